"""Vector math on float64: branch-free, vectorised by LLVM when inlined into a loop.

Notation and method are those of ``f32``: polynomials are minimax fits (Remez's exchange
algorithm in 220-bit arithmetic, weighted by the relative error of the function, coefficients
rounded one by one), reductions take constants in two parts (Cody and Waite, 1980). Sums that
need more than 53 bits are pairs (high, low), after T. J. Dekker (Numer. Math. 18, 1971).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels import intrinsics as k_
from hybrid.kernels import wide
from hybrid.kernels.formulas import polynomial, polynomial_in_halves
from hybrid.kernels.intrinsics import (
    add,
    and_,
    bits_float,
    copysign,
    fabs,
    float_bits,
    fma,
    sar,
    select,
    shl,
    sub,
    xor,
)
from hybrid.kernels.vectormath import coefficients_f64 as coefficients
from hybrid.kernels.vectormath import derived
from hybrid.kernels.vectormath.exponentials_f64 import (
    LN2_HI,
    LN2_LO,
    LOG2E,
    exp_f64,
    power_of_two,
)
from hybrid.kernels.vectormath.logarithms_f64 import log1p_f64, log1p_parts, log_sum
from hybrid.kernels.vectormath.reduction import reduce_f64
from hybrid.kernels.vectormath.tables import bare_roots_of_2

# --- exponentials -----------------------------------------------------------------------------

# 1.5 * 2**52: adding it rounds to an integer, kept in the low bits of the sum. With twice the
# exponent bias on top, halves of that integer are biased exponents.
MAGIC = 6755399441055744.0
_BIASED_MAGIC = MAGIC + 2046.0
MAGIC_BITS = np.int64(0x4338000000000000)
_BIASED_MAGIC_BITS = np.int64(0x4338000000000000 + 2046)

_EXP = polynomial("exp_f64_tail", *coefficients.EXP)
_EXPM1 = polynomial("expm1_f64_tail", *coefficients.EXPM1)
_EXPM1_NEAR = polynomial_in_halves("expm1_f64_near", *coefficients.EXPM1_NEAR)
_ROOTS, _ROOTS_REST = bare_roots_of_2(np.float64)
_TANH = polynomial("tanh_f64_tail", *coefficients.TANH)


def _scale(y: Any, shifted: Any) -> Any:
    """y * 2**k for shifted = k + _BIASED_MAGIC.

    Two exact steps and one rounding, so that subnormal results are right.
    """
    if wide.available(y):
        return wide.call("scale", y, shifted - _BIASED_MAGIC)
    bits = float_bits(shifted)
    half = sar(bits, 1)
    return y * bits_float(shl(half, 52)) * bits_float(shl(sub(bits, half), 52))


def _reduce_exp(x: Any) -> Any:
    """(r, k + _BIASED_MAGIC): x = k log(2) + r, |r| <= log(2)/2."""
    shifted = fma(x, LOG2E, _BIASED_MAGIC)
    k = shifted - _BIASED_MAGIC
    return fma(k, -LN2_LO, fma(k, -LN2_HI, x)), shifted


def _reduced(x: Any) -> tuple[Any, Any]:
    """(r, k) with x = k log(2) + r, k an integer."""
    r, shifted = _reduce_exp(x)
    return r, sub(float_bits(shifted), _BIASED_MAGIC_BITS)


def _expm1_parts(x: Any) -> Any:
    """(p, k) with exp(x) = (1 + p) * 2**k and |1 + p| between sqrt(1/2) and sqrt(2)."""
    r, k = _reduced(x)
    return fma(r * r, _EXPM1(r), r), k


def expm1_f64(x: Any) -> Any:
    """e**x - 1: 2**k (1 + p) - 1, by 16ths of k as in float32.

    Their powers have 12 bits, so that 2**k - 1 is exact from -29 to 36 and half a unit off at most
    beyond that. Where that half is 1, from 36.7 to 37.4, 2e-21 a 16th less in r brings the results
    back within one unit. Up to 0.032 k is 0. What r loses by rounding is not in p.
    """
    large = fabs(x) >= 0.032
    bounded = select(x < -38.0, -38.0, x)
    rounded = fma(bounded, 23.083120654223414, MAGIC)
    limit = MAGIC + 16383.0  # 2**1024 is not a float64; p grows beyond that
    rounded = select(large, select(rounded > limit, limit, rounded), MAGIC)
    k = rounded - MAGIC
    bits = float_bits(rounded)
    exact = fma(k, -0.04332169878489367, bounded)
    rest = fma(k, -1.0291218704310676e-13, _ROOTS_REST(bits))
    r = exact + rest
    p = exact + fma(r * r, _EXPM1_NEAR(r), rest)
    # k is added to the exponent, and its 16ths to what the table has less.
    power = bits_float(add(float_bits(_ROOTS(bits)), shl(bits, 48)))
    return copysign(fma(p, power, power - 1.0), x)


def tanh_f64(x: Any) -> Any:
    """(e**2a - 1) / (e**2a + 1) with a = |x|; 1 from a = 19.1 on."""
    a = fabs(x)
    a = select(a > 19.25, 19.25, a)
    rounded = fma(a, 2.8853900817779268, MAGIC)
    r = fma(rounded - MAGIC, -0.34657359027997264, a)
    p = fma(r * r, _TANH(r), r + r)
    # The exponent field of 1 plus k: the upper bits of the magic number are shifted out.
    scale = bits_float(add(shl(float_bits(rounded), 52), np.int64(0x3FF0000000000000)))
    e = fma(p, scale, scale - 1.0)
    return copysign(e / (e + 2.0), x)


def _exp_below_one(x: Any) -> Any:
    """e**x for x <= 0, within 0.6 units near 0, where what a table's powers lack would be more."""
    r, shifted = _reduce_exp(select(x < -746.0, -746.0, x))
    return _scale(1.0 + fma(r * r, _EXP(r), r), shifted)


def logaddexp_f64(x: Any, y: Any) -> Any:
    """log(e**x + e**y), from the larger of the two.

    Where the result nearly vanishes, it is accurate relative to the larger operand.
    """
    larger = k_.maximum(x, y)
    rest = log1p_f64(_exp_below_one(-fabs(x - y)))
    return select(x == y, x + 0.6931471805599453, larger + rest)


# --- trigonometric -----------------------------------------------------------------------------

_SIN = polynomial("sin_f64_tail", *coefficients.SIN)
_COS = polynomial("cos_f64_tail", *coefficients.COS)


def _sin_cos(high: Any, low: Any) -> Any:
    """sin and cos of high + low, |high| <= pi/4."""
    z = high * high
    sine = high + fma(high * z, _SIN(z), low * fma(-0.5, z, 1.0))
    h = 0.5 * z
    w = 1.0 - h
    cosine = w + (((1.0 - w) - h) + fma(z * z, _COS(z), -high * low))
    return sine, cosine


def _signed(y: Any, quadrant: Any) -> Any:
    """-y where bit 1 of ``quadrant`` is set."""
    return bits_float(xor(float_bits(y), shl(and_(quadrant, np.int64(2)), 62)))


def sin_f64(x: Any) -> Any:
    """Sine, of any argument."""
    high, low, n = reduce_f64(x)
    sine, cosine = _sin_cos(high, low)
    y = _signed(select(and_(n, np.int64(1)) == np.int64(0), sine, cosine), n)
    return select(fabs(x) < 7.450580596923828e-09, x, y)


def cos_f64(x: Any) -> Any:
    """Cosine, of any argument."""
    high, low, n = reduce_f64(x)
    sine, cosine = _sin_cos(high, low)
    even = and_(n, np.int64(1)) == np.int64(0)
    return _signed(select(even, cosine, sine), add(n, np.int64(1)))


def tan_f64(x: Any) -> Any:
    """Tangent, of any argument."""
    high, low, n = reduce_f64(x)
    sine, cosine = _sin_cos(high, low)
    even = and_(n, np.int64(1)) == np.int64(0)
    y = select(even, sine, -cosine) / select(even, cosine, sine)
    return select(fabs(x) < 7.450580596923828e-09, x, y)


_ASIN = polynomial("asin_f64_tail", *coefficients.ASIN)
_ATAN = polynomial("atan_f64_tail", *coefficients.ATAN)

_PI_PARTS = (3.141592653589793, 1.2246467991473532e-16)

asin_f64, acos_f64 = derived.arc_sine_cosine(
    _ASIN, *_PI_PARTS, np.int64(0x5FE76B50C7B537A9 - (1 << 52))
)
atan_f64, atan2_f64 = derived.arc_tangents(_ATAN, *_PI_PARTS)

# --- hyperbolic -------------------------------------------------------------------------------

_SINH = polynomial("sinh_f64_tail", *coefficients.SINH)
_COSH = polynomial("cosh_f64_tail", *coefficients.COSH)

_BOUND = 710.6

sinh_f64 = derived.hyperbolic_sine(_reduced, power_of_two, np.int64, _BOUND, 2.0**-27, _SINH, _COSH)
cosh_f64 = derived.hyperbolic_cosine(_expm1_parts, power_of_two, np.int64(2), _BOUND)
asinh_f64, acosh_f64, atanh_f64 = derived.inverse_hyperbolic(
    log1p_parts, log_sum, np.int64(0x5FD8000000000000)
)
sigmoid_f64 = derived.logistic(exp_f64)

# --- error function ---------------------------------------------------------------------------

_ERF = polynomial("erf_f64_near", *coefficients.ERF)
_ERFCX = polynomial("erfc_f64_scaled", *coefficients.ERFCX)


def _erfc_parts(a: Any) -> Any:
    """(y, k + _BIASED_MAGIC), erfc(a) = y * 2**k for 0 <= a <= 27.3: exp(-a**2) by a polynomial.

    The substitution is M. Shepherd's and J. Laframboise's (Math. Comp. 36, 1981).
    """
    square = a * a
    r, shifted = _reduce_exp(-square)
    r = r - fma(a, a, -square)
    u = (a + a) / (a + 4.0)
    ratio = fma(u, _ERFCX(u - 1.0), 1.0) / fma(2.0, a, 1.0)
    return fma(fma(r * r, _EXP(r), r), ratio, ratio), shifted


def erf_f64(x: Any) -> Any:
    """Error function: a polynomial up to 1, then 1 - erfc."""
    a = fabs(x)
    a = select(a > 6.0, 6.0, a)
    near = fma(a, _ERF(a * a), a)
    y, shifted = _erfc_parts(a)
    far = fma(-y, power_of_two(sub(float_bits(shifted), _BIASED_MAGIC_BITS)), 1.0)
    return copysign(select(a < 1.0, near, far), x)


def erfc_f64(x: Any) -> Any:
    """Complementary error function."""
    a = fabs(x)
    a = select(a > 27.3, 27.3, a)
    y, shifted = _erfc_parts(a)
    # Close to 1 half a ULP weighs twice: one rounding of 1 - erf instead of several.
    y = select(a < 0.35, 1.0 - fma(a, _ERF(a * a), a), _scale(y, shifted))
    return select(x < 0.0, 2.0 - y, y)


# --- roots -------------------------------------------------------------------------


def sqrt_f64(x: Any) -> Any:
    """Square root (the processor's, correctly rounded)."""
    return k_.sqrt(x)


def rsqrt_f64(x: Any) -> Any:
    """1 / sqrt(x)."""
    return derived.reciprocal_root(x, 2.0**-700, 2.0**400, 2.0**200, derived.guessed_thrice)


def hypot_f64(x: Any, y: Any) -> Any:
    """sqrt(x**2 + y**2), scaled so that nothing overflows; an infinity beats NaN.

    What squares, sum and root round off is put back to first order, after C. F. Borges, "An
    improved algorithm for hypot(a,b)" (2019).
    """
    a, b = fabs(x), fabs(y)
    top = select(a > b, a, b)
    b = select(a > b, b, a)
    a = top
    scale = select(top > 2.0**500, 2.0**-600, select(top < 2.0**-400, 2.0**600, 1.0))
    back = select(top > 2.0**500, 2.0**600, select(top < 2.0**-400, 2.0**-600, 1.0))
    a, b = a * scale, b * scale
    length = k_.sqrt(fma(a, a, b * b))
    square, larger = length * length, a * a
    excess = fma(-b, b, square - larger) + fma(length, length, -square) - fma(a, a, -larger)
    rest = excess / (length + length)
    length = (length - select(rest == rest, rest, 0.0)) * back
    return select((fabs(x) == np.inf) | (fabs(y) == np.inf), np.inf, length)
