"""Powers of e and of 2 in float64, as in float32: 16ths of the exponent of 2 from a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels import wide
from hybrid.kernels.formulas import polynomial_in_halves
from hybrid.kernels.intrinsics import (
    add,
    bits_float,
    float_bits,
    fma,
    like,
    sar,
    select,
    shl,
    sub,
)
from hybrid.kernels.vectormath import coefficients_f64 as coefficients
from hybrid.kernels.vectormath.tables import near_powers_of_2_f64

_MAGIC = (
    422212465065984.0  # 1.5 * 2**48: adding it rounds to 16ths, whose number is in the low bits
)
_MAGIC_BITS = np.int64(0x42F8000000000000)
LOG2E = 1.4426950408889634
LN2_HI = 0.6931471805582987  # 38 bits
LN2_LO = 1.6465949582897082e-12

_EXP = polynomial_in_halves("exp_f64_sixteenths", *coefficients.EXP_SIXTEENTHS)
_EXP2 = polynomial_in_halves("exp2_f64_sixteenths", *coefficients.EXP2_SIXTEENTHS)
_POWERS = near_powers_of_2_f64()


def power_of_two(k: Any) -> Any:
    """2**k for an int64 k in [-1022, 1023]; 1024 gives infinity."""
    return bits_float(shl(add(k, np.int64(1023)), 52))


def _scaled(y: Any, rounded: Any) -> Any:
    """y * 2**n, n the floor of `rounded` - `_MAGIC`, rounded once."""
    if wide.available(y):
        return wide.call("scale", y, rounded - _MAGIC)
    n = sar(sub(float_bits(rounded), _MAGIC_BITS), 4)
    half = sar(n, 1)
    return y * power_of_two(half) * power_of_two(sub(n, half))


def _clamped(x: Any, low: float, high: float) -> Any:
    if wide.available(x):
        return x
    x = select(x > high, high, x)
    return select(x < low, low, x)


def _kept(r: Any) -> Any:
    return wide.call("nearer_zero", r, like(r, 2.0**-5)) if wide.available(r) else r


def exp_f64(x: Any) -> Any:
    """e**x."""
    x = _clamped(x, -746.0, 710.0)
    rounded = fma(x, LOG2E, _MAGIC)
    k = rounded - _MAGIC
    r = _kept(fma(k, -LN2_LO, fma(k, -LN2_HI, x)))
    power = _POWERS(float_bits(rounded))
    return _scaled(fma(power, _EXP(r), power), rounded)


def exp2_f64(x: Any) -> Any:
    """2**x."""
    x = _clamped(x, -1076.0, 1025.0)
    rounded = x + _MAGIC
    r = _kept(x - (rounded - _MAGIC))
    power = _POWERS(float_bits(rounded))
    return _scaled(fma(power, _EXP2(r), power), rounded)
