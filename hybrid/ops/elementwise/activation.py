"""Activation functions of neural networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.op import Example
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops.elementwise.declare import (
    REAL,
    Key,
    Loop,
    call,
    elementwise,
    key_of,
    meeting,
    unary,
)
from hybrid.ops.elementwise.exponential import erfc, exp
from hybrid.ops.elementwise.selection import where
from hybrid.ops.elementwise.special import special

_erfc = special("erfc")
_HALF_ROOT = math.sqrt(0.5)
_NORMAL = 1.0 / math.sqrt(2.0 * math.pi)  # the density of the normal distribution at 0


def _inexact(xp: Any, x: Any) -> Any:
    """Convert to the dtype in which functions of real numbers are computed."""
    x = xp.asarray(x)
    return x.astype(dtypes.to_inexact(x.dtype), copy=False)


def _sigmoid_eager(xp: Any, x: Any) -> Any:
    x = _inexact(xp, x)
    one = x.dtype.type(1)
    small = xp.exp(-xp.abs(x))  # never overflows, and is the result where that is tiny
    return xp.where(x >= 0, one, small) / (one + small)


sigmoid = unary(
    "sigmoid",
    "sigmoid({0})",
    lambda g, out, x: g * (out * (1 - out)),
    eager=_sigmoid_eager,
    rule=REAL,
    doc="``1 / (1 + exp(-x))`` without overflow.",
    example="""
>>> sigmoid([0.0, 100.0])
Tensor([0.5, 1. ], dtype=float32)
""",
)


def _relu_rule(x: Key) -> Loop:
    dtype = np.dtype(x)
    if dtype.kind in "bc":
        raise TypeError
    return dtype, dtype


relu = unary(
    "relu",
    "maximum({0}, 0)",
    lambda g, out, x: where(x > 0, g, 0),
    eager=lambda xp, x: xp.maximum(x, 0),
    rule=_relu_rule,
    hint="it needs real numbers",
    doc="``maximum(x, 0)``.",
    notes="The gradient at 0 is 0.",
    example="""
>>> relu([-1.0, 2.0])
Tensor([0., 2.], dtype=float32)
""",
)


def _leaky_rule(x: Key, slope: Key) -> Loop:
    common = REAL(meeting(x, slope))[0]
    return common, common, common


def _leaky_eager(xp: Any, x: Any, slope: Any) -> Any:
    common = _leaky_rule(key_of(x), key_of(slope))[-1]
    x, slope = xp.asarray(x, dtype=common), xp.asarray(slope, dtype=common)
    return xp.where(x > 0, x, x * slope)


_LEAKY_RELU = elementwise(
    "leaky_relu",
    _leaky_eager,
    _leaky_rule,
    scalar="select({0} > 0, {0}, {0} * {1})",
    vjp=(
        lambda g, out, x, slope: where(x > 0, g, g * slope),
        lambda g, out, x, slope: where(x > 0, 0, g * x),
    ),
    doc="`x` where it is positive, else `x` times a slope.",
    examples=(Example(((2, 3), ())), Example(((3,), (3,)))),
)


def leaky_relu(x: ArrayLike, /, negative_slope: ArrayLike = 0.01) -> Tensor:
    """Return `x` where it is positive, else `x` times a slope.

    Parameters
    ----------
    x : array-like
    negative_slope : array-like

    Returns
    -------
    Tensor

    Examples
    --------
    >>> leaky_relu([-1.0, 2.0], 0.5)
    Tensor([-0.5,  2. ], dtype=float32)
    """
    return call(_LEAKY_RELU, x, negative_slope)


def _gelu_eager(xp: Any, x: Any) -> Any:
    x = _inexact(xp, x)
    wide = x.astype(dtypes.float32, copy=False) if x.dtype.itemsize == 2 else x
    return (0.5 * wide * _erfc(xp, -_HALF_ROOT * wide)).astype(x.dtype, copy=False)


gelu = unary(
    "gelu",
    f"0.5 * {{0}} * erfc({-_HALF_ROOT!r} * {{0}})",
    lambda g, out, x: g * (0.5 * erfc(-_HALF_ROOT * x) + x * (_NORMAL * exp(-0.5 * x * x))),
    eager=_gelu_eager,
    rule=REAL,
    doc="`x` times the probability that a normal variable is below it.",
    notes="The exact form. It is written with erfc: ``1 + erf`` cancels for negative `x`.",
    example="""
>>> gelu([-1.0, 0.0, 1.0])
Tensor([-0.15865526,  0.        ,  0.8413447 ], dtype=float32)
""",
)


def _silu_eager(xp: Any, x: Any) -> Any:
    return xp.multiply(x, _sigmoid_eager(xp, x))


silu = unary(
    "silu",
    "{0} * sigmoid({0})",
    lambda g, out, x: g * (sigmoid(x) + out * (1 - sigmoid(x))),
    eager=_silu_eager,
    rule=REAL,
    doc="``x * sigmoid(x)``.",
    example="""
>>> silu([0.0, 100.0])
Tensor([  0., 100.], dtype=float32)
""",
)


def _softplus_eager(xp: Any, x: Any) -> Any:
    x = _inexact(xp, x)
    return xp.logaddexp(x, x.dtype.type(0))


softplus = unary(
    "softplus",
    "logaddexp({0}, 0)",
    lambda g, out, x: g * sigmoid(x),
    eager=_softplus_eager,
    rule=REAL,
    doc="``log(1 + exp(x))`` without overflow.",
    example="""
>>> softplus([-1.0, 0.0, 100.0])
Tensor([  0.3132617,   0.6931472, 100.       ], dtype=float32)
""",
)
