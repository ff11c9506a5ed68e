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
    sub,
)
from hybrid.kernels.vectormath import coefficients_f32 as coefficients
from hybrid.kernels.vectormath import derived
from hybrid.kernels.vectormath.logarithms import Reduced, binary, edges
from hybrid.kernels.vectormath.tables import logarithms, reciprocals

f32 = np.float32
_ONE = f32(1)
_ZERO = f32(0)
_TINIEST_NORMAL = f32(2.0**-126)
_MANTISSA = np.int32(0x007FFFFF)

_LOG = polynomial("log_f32_tail", *coefficients.LOG)
_LOG2 = polynomial("log2_f32_tail", *coefficients.LOG2)
_LOG10 = polynomial("log10_f32_tail", *coefficients.LOG10)
_RECIPROCALS = reciprocals("reciprocals_f32", 16)
# Units that leave room for the integer bits of the results, of which log2 has eight.
_LN_HIGH, _LN_LOW, _LN = logarithms("ln_f32", 16, None, 17)
_LOG2_HIGH, _LOG2_LOW, _ = logarithms("log2_f32", 16, 2, 16)
_LOG10_HIGH, _LOG10_LOW, _LG = logarithms("log10_f32", 16, 10, 18)
_LOGARITHM = Reduced(19, _RECIPROCALS, _LN_HIGH, _LN_LOW, _LN, _LOG)


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


def log_f32(x: Any) -> Any:
    """Natural logarithm: k log(2) - log(r) exactly, and the small rest."""
    m, k = parts(x)
    return edges(x, _LOGARITHM.natural(m, k, None))


def log2_f32(x: Any) -> Any:
    """Logarithm to base 2."""
    m, k = parts(x)
    f, i = _LOGARITHM.near_one(m)
    return edges(x, binary(f, i, k, _LOG2, _LOG2_HIGH, _LOG2_LOW))


def log10_f32(x: Any) -> Any:
    """Logarithm to base 10: k log10(2) - log10(r) exactly, and the small log(1 + f) * log10(e)."""
    m, k = parts(x)
    f, i = _LOGARITHM.near_one(m)
    rest = fma(f, _LOG10(f), fma(k, _LG[1], _LOG10_LOW(i)))
    rest = fma(f, f32(0.4342944819032518), rest)
    return edges(x, fma(k, _LG[0], _LOG10_HIGH(i)) + rest)


def log_sum(u: Any, lost: Any) -> tuple[Any, Any]:
    """(log(u + lost), k) for u = m * 2**k, a normal number, and what it lost by rounding."""
    if wide.available(u):
        m, k = parts(u)
        return _LOGARITHM.natural(m, k, wide.call("scale", lost, -k)), k
    m, exponent = _normal_parts(u)
    k = float_of_int(exponent)
    bounded = minimum(exponent, np.int32(126))
    return _LOGARITHM.natural(m, k, lost * power_of_two(sub(np.int32(0), bounded))), k


def log1p_parts(x: Any) -> tuple[Any, Any]:
    """(log(1 + x), k) for -1 < x < inf: the rounding error of 1 + x = m * 2**k is kept.

    It is exact where x is so small that it shows: u - 1 is, up to u = 2**24.
    """
    u = x + _ONE
    return log_sum(u, x - (u - _ONE))


def log1p_f32(x: Any) -> Any:
    """log(1 + x)."""
    y, k = log1p_parts(x)
    return derived.log1p_edges(x, y, k)
