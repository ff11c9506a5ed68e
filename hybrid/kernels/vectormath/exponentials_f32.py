"""Powers of e and of 2 in float32: 16ths of the exponent of 2 from a table in registers.

What a table leaves is so small that a polynomial of degree 3 does. After P.-T. P. Tang,
"Table-driven implementation of the exponential function" (ACM TOMS 15, 1989).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.kernels import wide
from hybrid.kernels.formulas import polynomial
from hybrid.kernels.intrinsics import float_bits, fma, like, sar, select, sub
from hybrid.kernels.vectormath import coefficients_f32 as coefficients
from hybrid.kernels.vectormath.logarithms_f32 import power_of_two
from hybrid.kernels.vectormath.tables import powers_of_2

f32 = np.float32
MAGIC = f32(786432.0)  # 1.5 * 2**19: adding it rounds to 16ths, whose number is in the low bits
_MAGIC_BITS = np.int32(0x49400000)
LOG2E = f32(1.4426950408889634)
LN2_HI = f32(0.693145751953125)  # 15 bits
LN2_LO = f32(1.428606765330187e-06)

EXP_NEAR = polynomial("exp_f32_near", *coefficients.EXP_NEAR)
_EXP2_NEAR = polynomial("exp2_f32_near", *coefficients.EXP2_NEAR)
POWERS, POWERS_REST = powers_of_2()


def exponent(rounded: Any) -> Any:
    """The floor of `rounded` - `MAGIC`, an integer."""
    return sar(sub(float_bits(rounded), _MAGIC_BITS), 4)


def in_two_steps(y: Any, n: Any) -> Any:
    """y * 2**n in two exact steps and one rounding, so that subnormal results are right."""
    half = sar(n, 1)
    return y * power_of_two(half) * power_of_two(sub(n, half))


def scaled(y: Any, rounded: Any) -> Any:
    """y * 2**n, n the floor of `rounded` - `MAGIC`, rounded once."""
    if wide.available(y):
        return wide.call("scale", y, rounded - MAGIC)
    return in_two_steps(y, exponent(rounded))


def _clamped(x: Any, low: float, high: float) -> Any:
    """x where its power is a number; beyond that the processor may do by itself (`_kept`)."""
    if wide.available(x):
        return x
    x = select(f32(high) < x, f32(high), x)
    return select(f32(low) > x, f32(low), x)


def _kept(r: Any) -> Any:
    """What is left of x, which is anything where x is large, infinite or NaN.

    There the exponent alone decides, and a factor near 1 must not spoil it.
    """
    return wide.call("nearer_zero", r, like(r, 2.0**-5)) if wide.available(r) else r


def exp_f32(x: Any) -> Any:
    """e**x."""
    x = _clamped(x, -104.0, 89.0)
    rounded = fma(x, LOG2E, MAGIC)
    k = rounded - MAGIC
    r = _kept(fma(k, -LN2_LO, fma(k, -LN2_HI, x)))
    root = POWERS(float_bits(rounded))
    return scaled(fma(root, fma(r * r, EXP_NEAR(r), r), root), rounded)


def exp2_f32(x: Any) -> Any:
    """2**x."""
    x = _clamped(x, -151.0, 129.0)
    rounded = x + MAGIC
    r = _kept(x - (rounded - MAGIC))
    root = POWERS(float_bits(rounded))
    return scaled(fma(root, r * _EXP2_NEAR(r), root), rounded)
