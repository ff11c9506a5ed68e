"""Powers and cube roots of float64, by tables in registers.

Powers take the logarithm as a pair, and e to a pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels import wide
from hybrid.kernels.formulas import polynomial_at_once
from hybrid.kernels.intrinsics import (
    copysign,
    fabs,
    float_bits,
    fma,
    sar,
    select,
    shr,
    sub,
)
from hybrid.kernels.vectormath import coefficients_f64 as coefficients
from hybrid.kernels.vectormath import derived
from hybrid.kernels.vectormath.exponentials_f64 import LN2_HI, LN2_LO, LOG2E, power_of_two
from hybrid.kernels.vectormath.f64 import MAGIC, MAGIC_BITS
from hybrid.kernels.vectormath.logarithms_f64 import parts
from hybrid.kernels.vectormath.tables import (
    cubes_f64,
    logarithms,
    reciprocals,
    roots_of_2_f64,
    thirds_f64,
)

_LOG_NEAR = polynomial_at_once("log_f64_near", *coefficients.LOG_NEAR)
_EXP_NEAR = polynomial_at_once("exp_f64_near", *coefficients.EXP_NEAR)
_RECIPROCALS = reciprocals("reciprocals_f64", 32, np.float64)
_LOG_HIGH, _LOG_LOW, _LN2_PARTS = logarithms("ln_f64", 32, None, 38, np.float64)
_ROOTS, _ROOTS_REST = roots_of_2_f64()
_CBRT = polynomial_at_once("cbrt_f64_tail", *coefficients.CBRT)
_CUBES, _CUBE_ROOTS = cubes_f64()
_THIRDS, _THIRDS_REST = thirds_f64()


def _log_pair(x: Any) -> Any:
    """log(x) = high + low to some 63 bits, for positive finite x."""
    m, k = parts(x)
    i = shr(float_bits(m), 47)
    f = fma(m, _RECIPROCALS(i), -1.0)
    return derived.log_pair(f, k, (_LOG_HIGH(i), _LOG_LOW(i)), _LN2_PARTS, _LOG_NEAR)


def _exp_of(high: Any, low: Any) -> Any:
    """e**(high + low), 16ths of powers of 2 from a table."""
    t = high + low
    rounded = fma(t, 16 * LOG2E, MAGIC)
    bits, k = float_bits(rounded), rounded - MAGIC
    r = fma(k, -LN2_LO / 16, fma(k, -LN2_HI / 16, t)) + ((high - t) + low)
    root = _ROOTS(bits)
    y = fma(root, r + fma(r * r, _EXP_NEAR(r), _ROOTS_REST(bits)), root)
    if wide.available(y):
        return wide.call("scale", y, k * 0.0625)
    exponent = sar(sub(bits, MAGIC_BITS), 4)
    half = sar(exponent, 1)
    return y * power_of_two(half) * power_of_two(sub(exponent, half))


def _magnitude(high: Any, low: Any, _: Any) -> Any:
    """e**(high + low) for any of these."""
    low = select(fabs(high) < 800.0, low, 0.0)
    high = select(high > 720.0, 720.0, high)
    high = select(high < -760.0, -760.0, high)
    return _exp_of(high, low)


def pow_f64(x: Any, y: Any) -> Any:
    """x**y as exp(y log x) with the logarithm in 63 bits, and all special cases of C's pow."""
    a = fabs(x)
    log_hi, log_lo = _log_pair(a)
    if not wide.available(x):  # else it is infinite by itself
        log_hi = select(a < np.inf, log_hi, a)
        log_hi = select(a == 0.0, -np.inf, log_hi)
    t = y * log_hi
    t_lo = fma(y, log_lo, fma(y, log_hi, -t))
    return derived.pow_edges(_magnitude, x, y, t, t_lo, _exp_of(t, t_lo))


def cbrt_f64(x: Any) -> Any:
    """Cube root: of x = (1 + f) c**3 2**(3q + j), c from a table and j -1, 0 or 1.

    c and 2**(j/3) have 26 bits each, so that their product is exact.
    """
    a = fabs(x)
    m, k = parts(a)
    i = shr(float_bits(m), 48)
    f = fma(m, _CUBES(i), -1.0)
    q = fma(k, 1 / 3, MAGIC) - MAGIC
    j = float_bits(fma(q, -3.0, k + MAGIC))
    root = _THIRDS(j) * _CUBE_ROOTS(i)
    low = root * _THIRDS_REST(j)
    y = root + fma(_CBRT(f), f * (root + low), low)
    if wide.available(x):
        return copysign(wide.call("scale", y, q), x)
    ordinary = (a > 0.0) & (a < np.inf)
    y = y * power_of_two(sub(float_bits(select(ordinary, q, 0.0) + MAGIC), MAGIC_BITS))
    return copysign(select(ordinary, y, a), x)
