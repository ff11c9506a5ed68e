"""Vector math on float32: branch-free, vectorised by LLVM when inlined into a loop.

Notation: k is an exponent, r or f a reduced argument. Polynomials are minimax fits
(Remez's exchange algorithm in 220-bit arithmetic, weighted by the relative error of the function,
each coefficient rounded before the next is fitted). Reductions follow W. J. Cody and W. Waite,
"Software manual for the elementary functions" (1980): constants in two parts, the first
short enough for exact products.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels import intrinsics as k_
from hybrid.kernels import wide
from hybrid.kernels.casts import cast_to
from hybrid.kernels.formulas import polynomial, table
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
    shr,
    sub,
    xor,
)
from hybrid.kernels.vectormath import coefficients_f32 as coefficients
from hybrid.kernels.vectormath import derived
from hybrid.kernels.vectormath.exponentials_f32 import LN2_HI, LN2_LO, LOG2E, exp_f32
from hybrid.kernels.vectormath.f64 import logaddexp_f64
from hybrid.kernels.vectormath.logarithms_f32 import (
    log1p_parts,
    log_sum,
    parts,
    power_of_two,
)
from hybrid.kernels.vectormath.reduction import reduce_f32
from hybrid.kernels.vectormath.tables import (
    bare_roots_of_2,
    cubes,
    thirds,
)

f32 = np.float32
to_f32 = cast_to("float32")
to_f64 = cast_to("float64")
to_i32 = cast_to("int32")
_INF = f32(np.inf)
_ONE = f32(1)
_HALF = f32(0.5)
_ZERO = f32(0)

# --- exponentials -----------------------------------------------------------------------------

# 1.5 * 2**23: adding it rounds to an integer, kept in the low bits of the sum.
_MAGIC = f32(12582912.0)
_MAGIC_BITS = np.int32(0x4B400000)

_EXPM1 = polynomial("expm1_f32_tail", *coefficients.EXPM1)
_EXPM1_NEAR = polynomial("expm1_f32_near", *coefficients.EXPM1_NEAR)
_ROOTS, _ROOTS_REST = bare_roots_of_2(f32)
_TANH = polynomial("tanh_f32_tail", *coefficients.TANH)


def _reduced(x: Any) -> tuple[Any, Any]:
    """(r, k) with x = k log(2) + r, |r| <= log(2)/2, k an integer."""
    shifted = fma(x, LOG2E, _MAGIC)
    k = shifted - _MAGIC
    return fma(k, -LN2_LO, fma(k, -LN2_HI, x)), sub(float_bits(shifted), _MAGIC_BITS)


def _expm1_parts(x: Any) -> Any:
    """(p, k) with exp(x) = (1 + p) * 2**k and |1 + p| between sqrt(1/2) and sqrt(2)."""
    r, k = _reduced(x)
    return fma(r * r, _EXPM1(r), r), k


def expm1_f32(x: Any) -> Any:
    """e**x - 1: 2**k (1 + p) - 1.

    k has 16ths, whose powers come from a table, in 8 bits so that 2**k - 1 is exact from -12 to 16
    and half a unit off beyond that; r has what these lose. Where that half is 1, from 16.6 to 17.3,
    1e-11 a 16th less in r brings the results back within one unit. Up to 0.066 k is 0; from there
    on the error of p is small beside the result. k stays below 128, since 2**128 is not a float32;
    beyond that p grows, and with it the result.
    """
    large = f32(0.066) <= fabs(x)
    bounded = select(f32(-18.0) > x, f32(-18.0), x)
    rounded = fma(bounded, f32(23.083120654223414), _MAGIC)
    limit = _MAGIC + f32(2047.0)
    rounded = select(large, select(limit < rounded, limit, rounded), _MAGIC)
    k = rounded - _MAGIC
    bits = float_bits(rounded)
    rest = fma(k, f32(-1.9966465e-06), _ROOTS_REST(bits))
    r = fma(k, f32(-0.0433197021484375), bounded) + rest
    p = fma(r * r, _EXPM1_NEAR(r), r)
    # k is added to the exponent, and its 16ths to what the table has less.
    power = bits_float(add(float_bits(_ROOTS(bits)), shl(bits, 19)))
    return copysign(fma(p, power, power - _ONE), x)


def tanh_f32(x: Any) -> Any:
    """(e**2a - 1) / (e**2a + 1) with a = |x|.

    From a = 9.02 on the result is 1 in float32. The error of one part of log(2) is invisible:
    k is small where the derivative of tanh is not.
    """
    a = fabs(x)
    a = select(f32(9.25) < a, f32(9.25), a)
    rounded = fma(a, f32(2.8853900817779268), _MAGIC)
    r = fma(rounded - _MAGIC, f32(-0.34657359027997264), a)
    p = fma(r * r, _TANH(r), r + r)
    # The exponent field of 1 plus k: the upper bits of the magic number are shifted out.
    scale = bits_float(add(shl(float_bits(rounded), 23), np.int32(0x3F800000)))
    e = fma(p, scale, scale - _ONE)
    return copysign(e / (e + f32(2)), x)


# (exp(2r) - 1 - 2r) / r**2 on |2r| <= log(2)/2: the polynomial of exp, rescaled
# --- trigonometric -----------------------------------------------------------------------------

_SIN = polynomial("sin_f32_tail", *coefficients.SIN)
_COS = polynomial("cos_f32_tail", *coefficients.COS)
_TAN = polynomial("tan_f32_tail", *coefficients.TAN)


def _sin_cos(r: Any) -> Any:
    """sin and cos on |r| <= pi/4."""
    z = r * r
    sine = copysign(fma(r * z, _SIN(z), r), r)
    return sine, fma(z * z, _COS(z), fma(-_HALF, z, _ONE))


def _signed(y: Any, quadrant: Any) -> Any:
    """-y where bit 1 of ``quadrant`` is set."""
    return bits_float(xor(float_bits(y), shl(and_(quadrant, np.int32(2)), 30)))


def sin_f32(x: Any) -> Any:
    """Sine, of any argument."""
    r, n = reduce_f32(x)
    sine, cosine = _sin_cos(r)
    return _signed(select(and_(n, np.int32(1)) == np.int32(0), sine, cosine), n)


def cos_f32(x: Any) -> Any:
    """Cosine, of any argument."""
    r, n = reduce_f32(x)
    sine, cosine = _sin_cos(r)
    even = and_(n, np.int32(1)) == np.int32(0)
    return _signed(select(even, cosine, sine), add(n, np.int32(1)))


def tan_f32(x: Any) -> Any:
    """Tangent, of any argument: tan(r), or -1 / tan(r)."""
    r, n = reduce_f32(x)
    z = r * r
    tangent = copysign(fma(r * z, _TAN(z), r), r)
    even = and_(n, np.int32(1)) == np.int32(0)
    return select(even, tangent, -_ONE) / select(even, _ONE, tangent)


_ASIN = polynomial("asin_f32_tail", *coefficients.ASIN)
_ATAN = polynomial("atan_f32_tail", *coefficients.ATAN)

_PI_PARTS = (f32(3.14159274101257324), f32(-8.742277657347586e-08))

asin_f32, acos_f32 = derived.arc_sine_cosine(_ASIN, *_PI_PARTS, np.int32(0x5F3B59DF - (1 << 23)))
atan_f32, atan2_f32 = derived.arc_tangents(_ATAN, *_PI_PARTS)

# --- hyperbolic -------------------------------------------------------------------------------

_SINH = polynomial("sinh_f32_tail", *coefficients.SINH)
_COSH = polynomial("cosh_f32_tail", *coefficients.COSH)

_BOUND = f32(89.5)

sinh_f32 = derived.hyperbolic_sine(
    _reduced, power_of_two, np.int32, _BOUND, f32(2.0**-13), _SINH, _COSH
)
cosh_f32 = derived.hyperbolic_cosine(_expm1_parts, power_of_two, np.int32(2), _BOUND)
asinh_f32, acosh_f32, atanh_f32 = derived.inverse_hyperbolic(
    log1p_parts, log_sum, np.int32(0x5EC00000)
)
sigmoid_f32 = derived.logistic(exp_f32)

# --- error function ---------------------------------------------------------------------------

_ERF = polynomial("erf_f32_near", *coefficients.ERF)
_LOG_ERFC = polynomial("erf_f32_far", *coefficients.LOG_ERFC)
_ERFCX = polynomial("erfc_f32_scaled", *coefficients.ERFCX)


def erf_f32(x: Any) -> Any:
    """Error function: a polynomial up to 0.92, then 1 - exp(polynomial), 1 from 3.92 on."""
    a = fabs(x)
    a = select(f32(4) < a, f32(4), a)
    near = fma(a, _ERF(a * a), a)
    p, k = _expm1_parts(_LOG_ERFC(a))
    scale = power_of_two(k)
    far = (_ONE - scale) - p * scale
    return copysign(select(a < f32(0.92), near, far), x)


def erfc_f32(x: Any) -> Any:
    """Complementary error function: exp(-x**2) / (1 + 2x) times a polynomial, in float64.

    The substitution is M. Shepherd's and J. Laframboise's (Math. Comp. 36, 1981).
    """
    a = to_f64(fabs(x))
    a = select(a > 10.2, 10.2, a)
    t = (a - 4.0) / (a + 4.0)
    y = _exp_f64_of(-a * a) * _ERFCX(t) / fma(2.0, a, 1.0)
    return to_f32(select(x < _ZERO, 2.0 - y, y))


# --- powers and roots -------------------------------------------------------------------------

_MAGIC_SIXTEENTHS = 422212465065984.0  # 1.5 * 2**48
_EXP2_WIDE = polynomial("exp2_f32_wide", *coefficients.EXP2_WIDE)
_ROOTS_OF_2 = table("roots_of_2", np.exp2(np.arange(16) / 16))
_CBRT = polynomial("cbrt_f32_tail", *coefficients.CBRT)
_CUBES, _CUBE_ROOTS = cubes()
_THIRDS, _THIRDS_REST = thirds()


def _exp2_f64_of(t: Any) -> Any:
    """2**t to some 29 bits, for a float64 t of any size: 16ths of t come from a table."""
    if not wide.available(t):
        t = select(t > 1100.0, 1100.0, t)
        t = select(t < -1100.0, -1100.0, t)
    rounded = t + _MAGIC_SIXTEENTHS
    bits = float_bits(rounded)
    root = _ROOTS_OF_2(bits)
    if wide.available(t):
        r = wide.call("above_sixteenths", t)
        return wide.call("scale", fma(root, r * _EXP2_WIDE(r), root), t - r)
    r = t - (rounded - _MAGIC_SIXTEENTHS)
    y = fma(root, r * _EXP2_WIDE(r), root)
    half = sar(bits, 5)
    rest = sub(sar(bits, 4), half)
    return y * _power_of_two_wide(half) * _power_of_two_wide(rest)


def _power_of_two_wide(k: Any) -> Any:
    """2**k for an int64 k in [-1022, 1023]."""
    return bits_float(shl(add(k, np.int64(1023)), 52))


def _exp_f64_of(t: Any) -> Any:
    return _exp2_f64_of(t * 1.4426950408889634)


def sqrt_f32(x: Any) -> Any:
    """Square root (the processor's, correctly rounded)."""
    return k_.sqrt(x)


def rsqrt_f32(x: Any) -> Any:
    """1 / sqrt(x)."""
    return derived.reciprocal_root(x, 2.0**-60, 2.0**64, 2.0**32, derived.guessed_twice)


def cbrt_f32(x: Any) -> Any:
    """Cube root: of x = (1 + f) c**3 2**(3q + j), c from a table and j -1, 0 or 1.

    What c 2**(j/3) loses by rounding is put back.
    """
    a = fabs(x)
    m, k = parts(a)
    i = shr(float_bits(m), 18)
    f = fma(m, _CUBES(i), -_ONE)
    q = fma(k, f32(1 / 3), _MAGIC) - _MAGIC
    j = float_bits(fma(q, f32(-3), k + _MAGIC))
    c, part = _CUBE_ROOTS(i), _THIRDS(j)
    root = part * c
    lost = fma(part, c, -root)
    y = root + fma(root, fma(f, _CBRT(f), _THIRDS_REST(j)), lost)
    if wide.available(x):
        return copysign(wide.call("scale", y, q), x)
    # The exponents of cube roots are small.
    y = y * power_of_two(to_i32(select(a < _INF, q, _ZERO)))
    return copysign(select((a > _ZERO) & (a < _INF), y, a), x)


def hypot_f32(x: Any, y: Any) -> Any:
    """sqrt(x**2 + y**2), in float64 where nothing overflows; an infinity beats NaN."""
    a, b = to_f64(x), to_f64(y)
    length = to_f32(k_.sqrt(fma(a, a, b * b)))
    infinite = (fabs(x) == _INF) | (fabs(y) == _INF)
    return select(infinite, _INF, length)


def logaddexp_f32(x: Any, y: Any) -> Any:
    """log(e**x + e**y), in float64: near a result of 0 the two terms cancel."""
    return to_f32(logaddexp_f64(to_f64(x), to_f64(y)))
