"""Powers of float32: the logarithm as a pair, and e to a pair, from tables in registers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels import wide
from hybrid.kernels.formulas import polynomial_at_once
from hybrid.kernels.intrinsics import (
    fabs,
    float_bits,
    fma,
    select,
    shr,
    sub,
)
from hybrid.kernels.vectormath import coefficients_f32 as coefficients
from hybrid.kernels.vectormath import derived
from hybrid.kernels.vectormath.exponentials_f32 import (
    EXP_NEAR,
    LOG2E,
    MAGIC,
    POWERS,
    POWERS_REST,
    exponent,
    in_two_steps,
    scaled,
)
from hybrid.kernels.vectormath.logarithms_f32 import parts, power_of_two
from hybrid.kernels.vectormath.tables import logarithms, reciprocals

f32 = np.float32
_INF = f32(np.inf)
_ZERO = f32(0)
_LEAST = f32(2.0**-126)
_MOST = f32(105)  # e to it and to its negative are neither finite nor more than 0

_LN2_HI = f32(0.693115234375)  # 12 bits
_LN2_LO = f32(3.1946184e-05)

_LOG_NEAR = polynomial_at_once("log_f32_near", *coefficients.LOG_NEAR)
_RECIPROCALS = reciprocals("reciprocals_32_f32", 32)
_LOG_HIGH, _LOG_LOW, _LN2 = logarithms("ln_32_f32", 32, None, 17)


def _log_pair(x: Any) -> Any:
    """log(x) = high + low to some 35 bits, for positive finite x."""
    m, k = parts(x)
    i = shr(float_bits(m), 18)
    f = fma(m, _RECIPROCALS(i), f32(-1))
    return derived.log_pair(f, k, (_LOG_HIGH(i), _LOG_LOW(i)), _LN2, _LOG_NEAR)


def _exp_parts(t: Any, low: Any) -> tuple[Any, Any, Any]:
    """(root, p, rounded): e**(t + low) = root (1 + p) 2**n, n the floor of `rounded` - `MAGIC`.

    The root is a power of the 16th root of 2, and the sixteenths that are left are its number.
    """
    rounded = fma(t + low, LOG2E, MAGIC)
    k = rounded - MAGIC
    r = fma(k, -_LN2_HI, t) + fma(k, -_LN2_LO, low)
    bits = float_bits(rounded)
    p = fma(r * r, EXP_NEAR(r), r + POWERS_REST(bits))
    return POWERS(bits), p, rounded


def _scaled(root: Any, p: Any, rounded: Any) -> Any:
    """root (1 + p) 2**n; subnormal numbers are rounded twice."""
    return scaled(fma(root, p, root), rounded)


def _magnitude(t: Any, rest: Any, _: Any) -> Any:
    """e**(t + rest) for any t, rounded once.

    Added to `unit`, a number that will be subnormal keeps the bits that it will have.
    """
    rest = select(fabs(t) < _MOST, rest, _ZERO)
    t = select(t > _MOST, _MOST, t)
    t = select(t < -_MOST, -_MOST, t)
    root, p, rounded = _exp_parts(t, rest)
    usual = _scaled(root, p, rounded)
    n = exponent(rounded)
    unit = power_of_two(sub(np.int32(-126), n))
    total = unit + root
    y = (total + fma(root, p, root - (total - unit))) - unit
    return select(usual < _LEAST, in_two_steps(y, n), usual)


def pow_f32(x: Any, y: Any) -> Any:
    """x**y as exp(y log x) with the logarithm in 35 bits, and all special cases of C's pow."""
    a = fabs(x)
    high, low = _log_pair(a)
    if not wide.available(x):  # else it is infinite by itself
        high = select(a < _INF, high, a)
        high = select(a == _ZERO, -_INF, high)
    t = y * high
    rest = fma(y, low, fma(y, high, -t))
    return derived.pow_edges(_magnitude, x, y, t, rest, _scaled(*_exp_parts(t, rest)))
