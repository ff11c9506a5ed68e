"""Argument reduction of sin, cos and tan: multiples of pi/2 taken off exactly.

Payne and Hanek, "Radian reduction for trigonometric functions" (SIGNUM 18, 1983): of the
product ``x * 2/pi`` only the part modulo 4 matters, so for an ``x`` of known exponent the leading
bits of 2/pi that contribute multiples of 4 are never multiplied. What is left of 2/pi is
kept as a sum of a few float64 numbers; fused multiply-adds give the exact products.

For float32, four sets of constants cover all exponents and are picked by selects. For float64 a
table is indexed by the exponent of ``x``; the look-ups become gathers in a vectorised loop.

All that is for large arguments, which are rare. From the others multiples of pi/2 in three parts
are taken (Cody and Waite). A loop leaves the rare ones to another, for a vector at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.kernels import wide
from hybrid.kernels.casts import cast_to
from hybrid.kernels.formulas import lookup
from hybrid.kernels.intrinsics import (
    and_,
    bits_float,
    fabs,
    float_bits,
    fma,
    like,
    or_,
    rint,
    select,
    shr,
    sub,
)

to_f32 = cast_to("float32")
to_f64 = cast_to("float64")
to_i32 = cast_to("int32")
# Enough bits of 2/pi for the largest float64: 1024 + 53 * 4 and some.
_BITS = 1400


def _two_over_pi() -> int:
    """floor(2/pi * 2**_BITS) by Machin's formula in integers."""
    guard = 64
    one = 1 << (_BITS + guard)

    def arctan_inverse(n: int) -> int:
        total = term = one // n
        k, sign = 3, -1
        while term:
            term //= n * n
            total += sign * (term // k)
            k, sign = k + 2, -sign
        return total

    pi = 4 * (4 * arctan_inverse(5) - arctan_inverse(239))
    return ((2 << (2 * (_BITS + guard))) // pi) >> guard


def _take(rest: int, scale: int = 0, drop: int = 0) -> tuple[float, int]:
    """The leading 53 bits of ``rest``, fewer if ``drop`` says so, as a number; what remains."""
    drop = max(drop, rest.bit_length() - 53)
    head = rest >> drop
    return float(np.ldexp(float(head), drop + scale - _BITS)), rest - (head << drop)


def _relevant(bits: int, top: int) -> int:
    """2/pi without its bits of weight 2**top and more."""
    return bits & ((1 << (_BITS + min(top, 0))) - 1)


def _columns(rows: list[list[float]]) -> list[np.ndarray[Any, Any]]:
    return list(np.array(rows, dtype=np.float64).T.copy())


def _narrow_row(bits: int, start: int) -> list[float]:
    """Three numbers for 2**start <= x < 2**(start + 28), float32.

    Two of 29 bits, so that the products with the 24 bits of x are exact, then one of 53. The
    first has no bit that gives a multiple of 4 for an x as small as 2**start.
    """
    top = min(25 - start, 0)
    first, rest = _take(_relevant(bits, top), drop=_BITS + top - 29)
    second, rest = _take(rest, drop=_BITS + top - 58)
    return [first, second, _take(rest)[0]]


def _wide_table(bits: int) -> list[np.ndarray[Any, Any]]:
    """For x = M * 2**(exponent - 1075), M < 2**53: four numbers a row."""
    rows: list[list[float]] = []
    for exponent in range(_WIDE_FIRST, 2047):
        rest = _relevant(bits, 1077 - exponent)
        scale = _WIDE_SCALE if exponent >= _WIDE_BIG else 0
        row: list[float] = []
        for _ in range(4):
            part, rest = _take(rest, scale)
            row.append(part)
        rows.append(row)
    return _columns([*rows, [np.nan] * 4])


# Up to the exponent of _WIDE_FIRST all of 2/pi counts. From 2**201 on, x is scaled down and
# the table up, so that the last parts of 2/pi do not underflow.
_WIDE_FIRST = 1077
_WIDE_BIG = 1023 + 201
_WIDE_SCALE = 300

_BIT_STRING = _two_over_pi()
_START_1, _START_2, _START_3 = np.float32(2.0**50), np.float32(2.0**78), np.float32(2.0**106)
_A0, _B0, _C0 = _narrow_row(_BIT_STRING, 0)
_A1, _B1, _C1 = _narrow_row(_BIT_STRING, 50)
_A2, _B2, _C2 = _narrow_row(_BIT_STRING, 78)
_A3, _B3, _C3 = _narrow_row(_BIT_STRING, 106)
_wide_1, _wide_2, _wide_3, _wide_4 = (
    lookup(f"two_over_pi_f64_{i}", column) for i, column in enumerate(_wide_table(_BIT_STRING))
)

_MAGIC = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer in the low bits
_MAGIC_FOUR = 4 * _MAGIC  # the same for multiples of 4
_PIO2_HI = 1.5707963267948966
_PIO2_LO = 6.123233995736766e-17
_BIG = np.ldexp(1.0, 201)
_DOWN = np.ldexp(1.0, -_WIDE_SCALE)
_FIRST = np.int64(_WIDE_FIRST)
_FIELD = np.int64(0x7FF)
_ZERO = np.int64(0)


# pi/2 as a sum of numbers, which are cut and not rounded: no sign changes, that of 0 included. The
# second one of float64 has 36 bits, so that its multiples are exact.
_PARTS_32 = (
    np.float32(1.570796251296997),
    np.float32(7.549789415861596e-08),
    np.float32(5.390302529957765e-15),
)
_PARTS_64 = (1.5707963267948966, 6.123233995707727e-17, 2.90385597397936e-28)
_MAGIC_32 = np.float32(1.5 * 2**23)
_MAGIC_32_BITS = np.int32(0x4B400000)


def reduce_f32(x: Any) -> Any:
    """(r, n) with x = n * pi/2 + r, |r| <= pi/4 and n modulo 4; NaN for infinities."""
    shifted = fma(x, np.float32(2 / np.pi), _MAGIC_32)
    k = shifted - _MAGIC_32
    # Exact: a multiple of the last bit of pi/2 below 1.
    r = fma(k, -_PARTS_32[0], x)
    r = fma(k, -_PARTS_32[2], fma(k, -_PARTS_32[1], r))
    r, shifted = _unless_far(x, (r, shifted), _reduce_far_f32)
    return r, float_bits(shifted)


def reduce_f64(x: Any) -> Any:
    """(high, low, n) with x = n * pi/2 + high + low, |high| <= pi/4 and n modulo 4."""
    shifted = fma(x, 2 / np.pi, _MAGIC)
    k = shifted - _MAGIC
    r = fma(k, -_PARTS_64[0], x)
    second = k * _PARTS_64[1]
    high = r - second
    low = fma(k, -_PARTS_64[2], (r - high) - second)
    near = (high, low, shifted)
    high, low, shifted = _unless_far(x, near, _reduce_far_f64)
    return high, low, float_bits(shifted)


def _unless_far(x: Any, near: tuple[Any, ...], reduce: Callable[[Any], Any]) -> Any:
    """What is `near`, but what `reduce` gives where x is large."""
    if wide.branches(x):
        wide.far_loop(x).define(x, reduce)
        return [wide.call(f"far_{i}", x, value) for i, value in enumerate(near)]
    far = fabs(x) >= like(x, wide.FAR)
    return [select(far, *pair) for pair in zip(reduce(x), near, strict=True)]


def _reduce_far_f32(x: Any) -> Any:
    """(r, shifted) for numbers of any size."""
    size = fabs(x)
    far, further, furthest = size >= _START_1, size >= _START_2, size >= _START_3
    c1 = select(furthest, _A3, select(further, _A2, select(far, _A1, _A0)))
    c2 = select(furthest, _B3, select(further, _B2, select(far, _B1, _B0)))
    c3 = select(furthest, _C3, select(further, _C2, select(far, _C1, _C0)))
    wider = to_f64(x)
    first = wider * c1
    first = first - ((first + _MAGIC_FOUR) - _MAGIC_FOUR)
    second = wider * c2
    rounded = (first + second) + _MAGIC
    fraction = fma(wider, c3, (first - (rounded - _MAGIC)) + second)
    quadrant = and_(to_i32(float_bits(rounded)), np.int32(3))
    return to_f32(fraction * _PIO2_HI), bits_float(or_(quadrant, _MAGIC_32_BITS))


def _two_sum(a: Any, b: Any) -> Any:
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _reduce_far_f64(x: Any) -> Any:
    """(high, low, shifted) for numbers of any size."""
    exponent = and_(shr(float_bits(x), 52), _FIELD)
    index = sub(exponent, _FIRST)
    index = select(index > _ZERO, index, _ZERO)
    x = select(fabs(x) >= _BIG, x * _DOWN, x)
    c1, c2, c3, c4 = _wide_1(index), _wide_2(index), _wide_3(index), _wide_4(index)
    p1 = x * c1
    e1 = fma(x, c1, -p1)
    p2 = x * c2
    e2 = fma(x, c2, -p2)
    p3 = x * c3
    e3 = fma(x, c3, -p3)
    whole = p1 - 4.0 * rint(p1 * 0.25)
    s, t1 = _two_sum(whole, e1)
    s, t2 = _two_sum(s, p2)
    rounded = s + _MAGIC
    s = s - (rounded - _MAGIC)
    t, t3 = _two_sum(t1, t2)
    u, u1 = _two_sum(e2, p3)
    s, s1 = _two_sum(s, t)
    s, s2 = _two_sum(s, u)
    rest = s1 + s2 + (t3 + u1 + (e3 + x * c4))
    high = s * _PIO2_HI
    low = fma(s, _PIO2_HI, -high) + fma(s, _PIO2_LO, rest * _PIO2_HI)
    return high, low, rounded
