"""Logarithms of float32, and log(1 + x), from tables of 16 entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels import wide
from hybrid.kernels.formulas import polynomial
from hybrid.kernels.intrinsics import (
    add,
    and_,
    bits_float,
    float_bits,
    float_of_int,
    fma,
    minimum,
    or_,
    sar,
    select,
    shl,
    shr,
    sub,
)
from hybrid.kernels.vectormath import coefficients_f32 as coefficients
from hybrid.kernels.vectormath import derived
from hybrid.kernels.vectormath.tables import logarithms, reciprocals

f32 = np.float32
_INF = f32(np.inf)
_NAN = f32(np.nan)
_ONE = f32(1)
_ZERO = f32(0)
_TINIEST_NORMAL = f32(2.0**-126)
_MANTISSA = np.int32(0x007FFFFF)
_LOG2E = f32(1.4426950408889634)

_LOG = polynomial("log_f32_tail", *coefficients.LOG)
_LOG2 = polynomial("log2_f32_tail", *coefficients.LOG2)
_LOG10 = polynomial("log10_f32_tail", *coefficients.LOG10)
_RECIPROCALS = reciprocals("reciprocals_f32", 16)
# Units that leave room for the integer bits of the results, of which log2 has eight.
_LN_HIGH, _LN_LOW, _LN = logarithms("ln_f32", 16, None, 17)
_LOG2_HIGH, _LOG2_LOW, _ = logarithms("log2_f32", 16, 2, 16)
_LOG10_HIGH, _LOG10_LOW, _LG = logarithms("log10_f32", 16, 10, 18)


def power_of_two(k: Any) -> Any:
    """2**k for an int32 k in [-126, 127]; 128 gives infinity."""
    return bits_float(shl(add(k, np.int32(127)), 23))


def _normal_parts(x: Any) -> Any:
    """(m, k) with x = m * 2**k and 1 <= m < 2, for a normal x; k an integer."""
    bits = float_bits(x)
    m = bits_float(or_(and_(bits, _MANTISSA), np.int32(0x3F800000)))
    return m, sub(sar(bits, 23), np.int32(127))


def parts(x: Any) -> Any:
    """The same for subnormal numbers too; k as a floating-point number."""
    if wide.available(x):
        return wide.call("mantissa", x), wide.call("exponent", x)
    tiny = x < _TINIEST_NORMAL
    # The bit pattern of a subnormal number, as an integer, is its multiple of 2**-149.
    m, k = _normal_parts(select(tiny, float_of_int(float_bits(x)), x))
    return m, float_of_int(k) - select(tiny, f32(149), _ZERO)


def _near_one(m: Any) -> Any:
    """(f, i) with m = (1 + f) / r, r the i-th of the table; f is exact."""
    i = shr(float_bits(m), 19)
    return fma(m, _RECIPROCALS(i), -_ONE), i


def _log_edges(x: Any, y: Any) -> Any:
    """y = log(x) for ordinary x; here zero, negative numbers, infinity and NaN."""
    if wide.available(x):
        return y  # These come out by themselves.
    y = select(x < _INF, y, x)
    return select(x <= _ZERO, select(x == _ZERO, -_INF, _NAN), y)


def _log_of(m: Any, k: Any, lost: Any) -> Any:
    """log((m + lost) * 2**k), `lost` a rounding error of m or None."""
    f, i = _near_one(m)
    near, rest = f, fma(k, _LN[1], _LN_LOW(i))
    if lost is not None:
        near, rest = (fma(lost, _RECIPROCALS(i), part) for part in (near, rest))
    rest = fma(near * near, _LOG(near), rest)
    return fma(k, _LN[0], _LN_HIGH(i)) + (f + rest)


def log_f32(x: Any) -> Any:
    """Natural logarithm: k log(2) - log(r) exactly, and the small rest."""
    m, k = parts(x)
    return _log_edges(x, _log_of(m, k, None))


def log2_f32(x: Any) -> Any:
    """Logarithm to base 2: k - log2(r) exactly, and the small log(1 + f) * log2(e)."""
    m, k = parts(x)
    f, i = _near_one(m)
    rest = fma(f, _LOG2E, fma(f, _LOG2(f), _LOG2_LOW(i)))
    return _log_edges(x, (k + _LOG2_HIGH(i)) + rest)


def log10_f32(x: Any) -> Any:
    """Logarithm to base 10: k log10(2) - log10(r) exactly, and the small log(1 + f) * log10(e)."""
    m, k = parts(x)
    f, i = _near_one(m)
    rest = fma(f, _LOG10(f), fma(k, _LG[1], _LOG10_LOW(i)))
    rest = fma(f, f32(0.4342944819032518), rest)
    return _log_edges(x, fma(k, _LG[0], _LOG10_HIGH(i)) + rest)


def log1p_parts(x: Any) -> tuple[Any, Any]:
    """(log(1 + x), k) for -1 < x < inf: the rounding error of 1 + x = m * 2**k is kept."""
    large = x > _ONE
    u = x + _ONE
    lost = select(large, _ONE, x) - (u - select(large, x, _ONE))
    if wide.available(x):
        m, k = parts(u)
        return _log_of(m, k, wide.call("scale", lost, -k)), k
    m, exponent = _normal_parts(u)
    k = float_of_int(exponent)
    bounded = minimum(exponent, np.int32(126))
    return _log_of(m, k, lost * power_of_two(sub(np.int32(0), bounded))), k


def log1p_f32(x: Any) -> Any:
    """log(1 + x)."""
    y, k = log1p_parts(x)
    return derived.log1p_edges(x, y, k)
