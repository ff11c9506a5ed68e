"""Exponentials, logarithms and the error function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hybrid.ops.elementwise.declare import REAL, binary, unary
from hybrid.ops.elementwise.selection import where
from hybrid.ops.elementwise.special import special

_LN2 = math.log(2.0)
_LN10 = math.log(10.0)
_POSITIVE = (0.1, 3.0)

exp = unary(
    "exp",
    "exp({0})",
    lambda g, out, x: g * out,
    ufunc=np.exp,
    doc="e to the power of each element.",
    example="""
>>> exp([0.0, 1.0])
Tensor([1.      , 2.718282], dtype=float32)
""",
)

exp2 = unary(
    "exp2",
    "exp2({0})",
    lambda g, out, x: g * (out * _LN2),
    ufunc=np.exp2,
    doc="2 to the power of each element.",
    example="""
>>> exp2([0.0, 3.0])
Tensor([1., 8.], dtype=float32)
""",
)

expm1 = unary(
    "expm1",
    "expm1({0})",
    lambda g, out, x: g * (out + 1),
    ufunc=np.expm1,
    # NumPy's formula multiplies infinities by 0 where C99's exp does not.
    mend=("FD", lambda xp, out, x: xp.where(xp.isfinite(out), out, xp.exp(x) - 1)),
    doc="``exp(x) - 1``, accurate near 0.",
    example="""
>>> expm1([0.0, 1e-6])
Tensor([0.0000000e+00, 1.0000005e-06], dtype=float32)
""",
)

log = unary(
    "log",
    "log({0})",
    lambda g, out, x: g / x,
    ufunc=np.log,
    domain=_POSITIVE,
    doc="Natural logarithm; -inf for 0, NaN for negative numbers.",
    example="""
>>> log([1.0, 2.0])
Tensor([0.       , 0.6931472], dtype=float32)
""",
)

log2 = unary(
    "log2",
    "log2({0})",
    lambda g, out, x: g / (x * _LN2),
    ufunc=np.log2,
    domain=_POSITIVE,
    doc="Logarithm to the base 2.",
    example="""
>>> log2([1.0, 8.0])
Tensor([0., 3.], dtype=float32)
""",
)

log10 = unary(
    "log10",
    "log10({0})",
    lambda g, out, x: g / (x * _LN10),
    ufunc=np.log10,
    domain=_POSITIVE,
    doc="Logarithm to the base 10.",
    example="""
>>> log10([1.0, 10.0])
Tensor([0., 1.], dtype=float32)
""",
)

log1p = unary(
    "log1p",
    "log1p({0})",
    lambda g, out, x: g / (x + 1),
    ufunc=np.log1p,
    domain=(-0.9, 3.0),
    doc="``log(1 + x)``, accurate near 0.",
    example="""
>>> log1p([0.0, 1e-6])
Tensor([0.000000e+00, 9.999995e-07], dtype=float32)
""",
)


def _share(out: Any, x: Any, y: Any) -> Any:
    # sigmoid(x - y), not exp(x - out): the difference of two inputs is exact where out is rounded.
    # Two -inf have no difference; as in logsumexp, neither of them moves the result.
    from hybrid.ops.elementwise.activation import sigmoid

    return where(out == -math.inf, 0, sigmoid(x - y))


logaddexp = binary(
    "logaddexp",
    "logaddexp({0}, {1})",
    lambda g, out, x, y: g * _share(out, x, y),
    lambda g, out, x, y: g * _share(out, y, x),
    ufunc=np.logaddexp,
    doc="``log(exp(x) + exp(y))`` without overflow.",
    notes="The gradient is 0 where both are -inf.",
    example="""
>>> logaddexp([0.0, 1000.0], 0.0)
Tensor([6.931472e-01, 1.000000e+03], dtype=float32)
""",
)

# The derivative of erf at 0.
_ERF_SLOPE = 2.0 / math.sqrt(math.pi)

erf = unary(
    "erf",
    "erf({0})",
    lambda g, out, x: g * (_ERF_SLOPE * exp(-x * x)),
    eager=special("erf"),
    rule=REAL,
    doc="The error function.",
    example="""
>>> erf([0.0, 1.0])
Tensor([0.       , 0.8427008], dtype=float32)
""",
)

erfc = unary(
    "erfc",
    "erfc({0})",
    lambda g, out, x: g * (-_ERF_SLOPE * exp(-x * x)),
    eager=special("erfc"),
    rule=REAL,
    doc="``1 - erf(x)``, accurate where that is small.",
    example="""
>>> erfc([0.0, 1.0])
Tensor([1.       , 0.1572992], dtype=float32)
""",
)
