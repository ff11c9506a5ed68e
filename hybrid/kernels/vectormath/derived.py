"""Functions that are the same formula in float32 and float64, built from their parts.

``like(x, c)`` is the constant ``c`` in the type of ``x``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels import wide
from hybrid.kernels.intrinsics import (
    bits_float,
    copysign,
    fabs,
    float_bits,
    fma,
    like,
    minimum,
    select,
    shr,
    sqrt,
    sub,
    trunc,
)

_HUGE = 2.0**60  # its square is a float32; from here on 1 is nothing beside it


def hyperbolic_sine(
    reduced: Any, power: Any, integer: Any, bound: Any, tiny: Any, sinh_tail: Any, cosh_tail: Any
) -> Any:
    """sinh of a = |x| = k log(2) + r from sinh and cosh of r, by one polynomial each.

    It is B sinh(r) + A cosh(r) with A and B the halves of 2**k -+ 2**-k: no division.
    """

    def sinh(x: Any) -> Any:
        """A + (B sinh(r) + A (cosh(r) - 1)); A is exact where it is small."""
        a = fabs(x)
        r, k = reduced(select(bound < a, bound, a))
        z = r * r
        two, most = integer(2), integer(100)  # from where on 2**-k is nothing beside 2**k
        # Halves of the powers' halves, since 2**1024 is not a float64.
        up, down = power(sub(k, two)), power(sub(-two, minimum(k, most)))
        less = up - down
        y = less + fma(up + down, fma(r * z, sinh_tail(z), r), less * (z * cosh_tail(z)))
        return copysign(select(a < tiny, a, y + y), x)

    return sinh


def hyperbolic_cosine(expm1_parts: Any, power: Any, two: Any, bound: Any) -> Any:
    """cosh from exp(a) = (1 + p) * 2**k, a = |x|."""

    def cosh(x: Any) -> Any:
        """2q + 1 / (8q) with q = exp(a) / 4."""
        a = fabs(x)
        p, k = expm1_parts(select(bound < a, bound, a))
        quarter = power(sub(k, two))
        q = fma(p, quarter, quarter)
        return fma(q, like(x, 2.0), like(x, 0.125) / q)

    return cosh


def log1p_edges(x: Any, y: Any, k: Any) -> Any:
    """log(1 + x), which is y for ordinary x; k is the exponent of 1 + x."""
    infinity = like(x, np.inf)
    if wide.available(x):
        # k is infinite for -1 and the infinities, y is NaN below -1.
        return copysign(select(fabs(k) < infinity, y, k + x), x)
    y = select(x < infinity, copysign(y, x), x)
    least = like(x, -1.0)
    return select(x <= least, select(x == least, -infinity, like(x, np.nan)), y)


def inverse_hyperbolic(log1p_parts: Any, log_sum: Any, guess: Any) -> tuple[Any, Any, Any]:
    """asinh, acosh and atanh from log(1 + x), which keeps small results accurate."""

    def log1p(x: Any) -> Any:
        """log(1 + x) for x >= 0."""
        y, _ = log1p_parts(x)
        y = select(x < like(x, np.inf), y, x)
        # Below -1 the parts by AVX-512 are NaN.
        return y if wide.available(x) else select(x < like(x, 0.0), like(x, np.nan), y)

    def asinh(x: Any) -> Any:
        """log(a + s) with s = sqrt(1 + a**2), and with what all sums and the root round off.

        It is multiplied by 1 / (2 s) from the bits of 1 + a**2: exact for 1, 12 % off at most.
        """
        a, one, zero = fabs(x), like(x, 1.0), like(x, 0.0)
        huge = a > like(x, _HUGE)
        t = fma(a, a, one)
        s = sqrt(t)
        excess = fma(-s, s, t) + fma(a, a, one - t)
        slope = bits_float(sub(guess, shr(float_bits(t), 1)))
        s = select(huge, zero, s)
        u = a + s
        lost = select(huge, zero, fma(excess, slope, (s - u) + a))
        y, _ = log_sum(u, lost)
        y = y + select(huge, like(x, np.log(2.0)), zero)
        return copysign(y if wide.available(x) else select(a < like(x, np.inf), y, a), x)

    def acosh(x: Any) -> Any:
        """log1p(t + sqrt(2t + t**2)) with t = x - 1."""
        huge = x > like(x, _HUGE)
        t = x - like(x, 1.0)
        z = t + sqrt(fma(t, t, t + t))
        y = log1p(select(huge, x, z)) + select(huge, like(x, np.log(2.0)), like(x, 0.0))
        return select(x < like(x, 1.0), like(x, np.nan), y)

    def atanh(x: Any) -> Any:
        """log1p(2a / (1 - a)) / 2."""
        a = fabs(x)
        return copysign(like(x, 0.5) * log1p((a + a) / (like(x, 1.0) - a)), x)

    return asinh, acosh, atanh


def logistic(exp: Any) -> Any:
    """1 / (1 + exp(-x)), written with exp(-|x|), which does not overflow."""

    def sigmoid(x: Any) -> Any:
        e = exp(-fabs(x))
        one = like(x, 1.0)
        return select(x < like(x, 0.0), e, one) / (one + e)

    return sigmoid


def arc_sine_cosine(tail: Any, pi_hi: Any, pi_lo: Any, guess: Any) -> tuple[Any, Any]:
    """asin and acos from asin(s) = s + s z tail(z), z = s**2 <= 1/4.

    Beyond 1/2: asin(x) = pi/2 - 2 asin(s) with s = sqrt((1 - x)/2). What half of the bits of a
    number are taken from for half of its inverse square root is `guess`.
    """

    def half_range(x: Any) -> Any:
        """(far, t): t = asin(a) for a = |x| <= 1/2, else asin(sqrt((1 - a)/2))."""
        a = fabs(x)
        half = like(x, 0.5)
        far = a > half
        z = select(far, fma(a, -half, half), a * a)
        s = select(far, sqrt(z), a)
        # The rounding error of the square root is put back: doubled, it would show. What it is
        # multiplied by, 1 / (2 sqrt(z)), need not be exact: 2 % for the largest z, 6 % for others.
        slope = bits_float(sub(guess, shr(float_bits(z), 1)))
        lost = select(far, fma(-s, s, z) * slope, like(x, 0.0))
        return far, s, fma(s * z, tail(z), lost)

    def asin(x: Any) -> Any:
        far, s, t = half_range(x)
        half = like(x, 0.5)
        two = like(x, 2.0)
        beyond = pi_hi * half - two * s
        error = (pi_hi * half - beyond) - two * s
        beyond = beyond + (error + fma(-two, t, pi_lo * half))
        return copysign(select(far, beyond, s + t), x)

    def acos(x: Any) -> Any:
        far, s, t = half_range(x)
        half = like(x, 0.5)
        two = like(x, 2.0)
        # far: 2(s + t), or pi - 2(s + t); near: pi/2 -+ (s + t)
        side = copysign(like(x, 1.0), x)
        factor = select(far, two, like(x, -1.0)) * side
        right, right_lo = pi_hi * half, pi_lo * half
        base = select(far, fma(side, -right, right), right)
        base_lo = select(far, fma(side, -right_lo, right_lo), right_lo)
        total = fma(factor, s, base)
        error = fma(factor, s, base - total)
        return total + (error + fma(factor, t, base_lo))

    return asin, acos


def arc_tangents(tail: Any, pi_hi: Any, pi_lo: Any) -> tuple[Any, Any]:
    """atan and atan2 from atan(q) = q + q z tail(z), z = q**2, 0 <= q <= 1."""

    def atan(x: Any) -> Any:
        """pi/2 - atan(1/a) where a = |x| > 1."""
        a = fabs(x)
        one = like(x, 1.0)
        far = a > one
        q = select(far, one, a) / select(far, a, one)
        z = q * q
        t = q * z * tail(z)
        half = like(x, 0.5)
        base = pi_hi * half
        beyond = base - q
        y = beyond + ((base - beyond) - q + fma(pi_lo, half, -t))
        return copysign(select(far, y, q + t), x)

    def atan2(y: Any, x: Any) -> Any:
        """The angle of (x, y): the smaller coordinate over the larger, then the octant."""
        a, b = fabs(x), fabs(y)
        zero, one = like(x, 0.0), like(x, 1.0)
        steep = b > a
        top = select(steep, a, b)
        bottom = select(steep, b, a)
        q = select(top == bottom, one, top / bottom)
        q = select((bottom == zero) & (top == zero), zero, q)
        z = q * q
        t = q * z * tail(z)
        left = float_bits(x) < 0  # the sign bit, so that -0.0 counts as left
        half = like(x, 0.5)
        flip = select(steep != left, like(x, -1.0), one)
        base = select(steep, pi_hi * half, select(left, pi_hi, zero))
        base_lo = select(steep, pi_lo * half, select(left, pi_lo, zero))
        total = fma(flip, q, base)
        error = fma(flip, q, base - total)
        return copysign(total + (error + fma(flip, t, base_lo)), y)

    return atan, atan2


def log_pair(f: Any, k: Any, table: tuple[Any, Any], log2: tuple[Any, Any], near: Any) -> Any:
    """high + low = log((1 + f) / r * 2**k), twice as exact as a number and a little more.

    k log(2) - log(r) in two parts, f - f**2/2 with what it loses, and the rest of log(1 + f).
    """
    base, rest = fma(k, log2[0], table[0]), fma(k, log2[1], table[1])
    square, minus = f * f, like(f, -0.5)
    total = base + f
    high = fma(minus, square, total)
    lost = ((base - total) + f) + fma(minus, square, total - high)
    rest = fma(square * f, near(f), rest)
    return high, fma(minus, fma(f, f, -square), lost) + rest


def pow_edges(magnitude: Any, x: Any, y: Any, *given: Any) -> Any:
    """|x|**y with its sign, and the special cases of C's pow (C17, F.10.4.4).

    The last of what is `given` is |x|**y, but where that is no number of full precision, or other
    than usual: there it is the `magnitude` of all that is given.
    """

    def edges(x: Any, y: Any, *given: Any) -> tuple[Any]:
        return (_pow_edges(x, y, magnitude(*given)),)

    if not wide.branches(x):
        return edges(x, y, *given)[0]
    wide.edges_loop(x).define(x, edges)
    return wide.call("power", x, y, *given)


def _pow_edges(x: Any, y: Any, magnitude: Any) -> Any:
    zero, one = like(x, 0.0), like(x, 1.0)
    half = y * like(x, 0.5)
    integer = trunc(y) == y
    odd = integer & (trunc(half) != half)
    negative = float_bits(x) < 0
    value = select(negative & odd, -magnitude, magnitude)
    finite_base = (x < zero) & (x > like(x, -np.inf))
    value = select(finite_base & (trunc(y) != y) & (y == y), like(x, np.nan), value)
    unit = (fabs(x) == one) & (fabs(y) == like(x, np.inf))
    return select(unit | (x == one) | (y == zero), one, value)


def reciprocal_root(x: Any, least: float, up: float, back: float, guessed: Any) -> Any:
    """1 / sqrt(x), exact before it is rounded to all bits that any other way could tell.

    Numbers below `least` are multiplied by `up`, so that nothing of the residues underflows, and
    their results by `back`. `guessed` is a result to half of the bits from a guess to 14.
    """
    tiny = x < like(x, least)
    scaled = select(tiny, x * like(x, up), x)
    one, half = like(x, 1.0), like(x, 0.5)
    if wide.available(x):
        # Neither a root nor a division, which take 12 and 10 cycles for 16 float32.
        first = wide.call("inverse_root", scaled)
        r = guessed(first, fma(-(scaled * first), first, one))
    else:
        first = r = one / sqrt(scaled)
    # 1 - x r**2, of which the product x r is had in two parts.
    product = scaled * r
    lost = fma(scaled, r, -product)
    rest = fma(-lost, r, fma(-product, r, one))
    y = fma(r * rest, fma(like(x, 0.375), rest, half), r)
    # Zero and infinity leave no number as the rest.
    y = select(rest == rest, y, first)
    return select(tiny, y * like(x, back), y)


def guessed_twice(first: Any, rest: Any) -> Any:
    """1 / sqrt(x) to 27 bits; rest is 1 - x first**2."""
    return fma(first * like(first, 0.5), rest, first)


def guessed_thrice(first: Any, rest: Any) -> Any:
    """1 / sqrt(x) to 40 bits."""
    return fma(first * rest, fma(like(first, 0.375), rest, like(first, 0.5)), first)
