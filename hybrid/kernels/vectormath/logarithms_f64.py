"""Logarithms of float64, and log(1 + x), from tables of 16 entries, like those of float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels import wide
from hybrid.kernels.formulas import polynomial_at_once
from hybrid.kernels.intrinsics import (
    and_,
    bits_float,
    float_bits,
    fma,
    maximum,
    or_,
    select,
    shl,
    shr,
    sub,
)
from hybrid.kernels.vectormath import coefficients_f64 as coefficients
from hybrid.kernels.vectormath import derived
from hybrid.kernels.vectormath.logarithms import Reduced, binary, edges
from hybrid.kernels.vectormath.tables import logarithms, reciprocals

_MANTISSA = np.int64(0x000FFFFFFFFFFFFF)
_ONE = np.int64(0x3FF0000000000000)  # its bits
_TWICE_BIAS = np.int64(2046)
_INTEGER = 6755399441055744.0  # 1.5 * 2**52: an integer is in the low bits of a sum with it
_INTEGER_BITS = np.int64(0x4338000000000000)
_LOG10E = 0.4342944819032518

_LOG = polynomial_at_once("log_f64_tail", *coefficients.LOG)
_LOG2 = polynomial_at_once("log2_f64_tail", *coefficients.LOG2)
_LOG10 = polynomial_at_once("log10_f64_tail", *coefficients.LOG10)
_RECIPROCALS = reciprocals("reciprocals_16_f64", 16, np.float64)
# Units that leave room for the integer bits of the results, of which log2 has eleven.
_LN_HIGH, _LN_LOW, _LN = logarithms("ln_16_f64", 16, None, 42, np.float64)
_LOG2_HIGH, _LOG2_LOW, _ = logarithms("log2_f64", 16, 2, 41, np.float64)
_LOG10_HIGH, _LOG10_LOW, _LG = logarithms("log10_f64", 16, 10, 43, np.float64)
_LOGARITHM = Reduced(48, _RECIPROCALS, _LN_HIGH, _LN_LOW, _LN, _LOG)


def _normal_parts(x: Any) -> tuple[Any, Any]:
    """(m, e) with x = m * 2**(e - 1023) and 1 <= m < 2, for a normal x > 0; e an integer."""
    bits = float_bits(x)
    return bits_float(or_(and_(bits, _MANTISSA), _ONE)), shr(bits, 52)


def _unbiased(exponent: Any) -> Any:
    """As a float64; adding in place of a conversion, which AVX2 lacks for int64."""
    return bits_float(or_(exponent, _INTEGER_BITS)) - (_INTEGER + 1023.0)


def parts(x: Any) -> tuple[Any, Any]:
    """(m, k) with x = m * 2**k and 1 <= m < 2; k as a floating-point number."""
    if wide.available(x):
        return wide.call("mantissa", x), wide.call("exponent", x)
    tiny = x < 2.2250738585072014e-308
    m, exponent = _normal_parts(select(tiny, x * 18014398509481984.0, x))
    return m, _unbiased(exponent) - select(tiny, 54.0, 0.0)


def log_f64(x: Any) -> Any:
    """Natural logarithm: k log(2) - log(r) exactly, and the small rest."""
    m, k = parts(x)
    return edges(x, _LOGARITHM.natural(m, k, None))


def log2_f64(x: Any) -> Any:
    """Logarithm to base 2."""
    m, k = parts(x)
    f, i = _LOGARITHM.near_one(m)
    return edges(x, binary(f, i, k, _LOG2, _LOG2_HIGH, _LOG2_LOW))


def log10_f64(x: Any) -> Any:
    """Logarithm to base 10: k log10(2) - log10(r) exactly, and the small log(1 + f) * log10(e)."""
    m, k = parts(x)
    f, i = _LOGARITHM.near_one(m)
    rest = fma(f, _LOG10E, fma(f, _LOG10(f), fma(k, _LG[1], _LOG10_LOW(i))))
    return edges(x, fma(k, _LG[0], _LOG10_HIGH(i)) + rest)


def log_sum(u: Any, lost: Any) -> tuple[Any, Any]:
    """(log(u + lost), k) for u = m * 2**k, a normal number, and what it lost by rounding."""
    if wide.available(u):
        m, k = parts(u)
        return _LOGARITHM.natural(m, k, wide.call("scale", lost, -k)), k
    m, exponent = _normal_parts(u)
    # 2**-k; 2**-1022 where that would be subnormal, as nothing is lost for such u.
    shift = maximum(sub(_TWICE_BIAS, exponent), np.int64(1))
    k = _unbiased(exponent)
    return _LOGARITHM.natural(m, k, lost * bits_float(shl(shift, 52))), k


def log1p_parts(x: Any) -> tuple[Any, Any]:
    """(log(1 + x), k) for -1 < x < inf: the rounding error of 1 + x = m * 2**k is kept.

    It is exact where x is so small that it shows: u - 1 is, up to u = 2**53.
    """
    u = x + 1.0
    return log_sum(u, x - (u - 1.0))


def log1p_f64(x: Any) -> Any:
    """log(1 + x)."""
    y, k = log1p_parts(x)
    return derived.log1p_edges(x, y, k)
