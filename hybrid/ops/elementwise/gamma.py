"""The gamma function's logarithm and its derivatives, and the inverse of the error function.

SciPy computes them, also in a trace: no formula without branches is as accurate.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError
from hybrid.ops._axes import lead_as_is
from hybrid.ops.elementwise.declare import REAL, Unary, unary
from hybrid.ops.elementwise.exponential import exp
from hybrid.ops.elementwise.special import special, special_module

lgamma = unary(
    "lgamma",
    None,
    lambda g, out, x: g * digamma(x),
    eager=special("gammaln"),
    rule=REAL,
    domain=(0.2, 4.0),
    doc="The logarithm of the absolute value of the gamma function.",
    example="""
>>> lgamma([1.0, 5.0])
Tensor([0.       , 3.1780539], dtype=float32)
""",
)

digamma: Unary = unary(
    "digamma",
    None,
    lambda g, out, x: g * polygamma(1, x),
    eager=special("digamma"),
    rule=REAL,
    domain=(0.2, 4.0),
    doc="The derivative of :func:`lgamma`.",
    notes="At the poles 0, -1, -2 … it is NaN, but at 0 it is infinite.",
    example="""
>>> digamma(1.0)
Tensor(-0.5772157, dtype=float32)
""",
)


def _infer_polygamma(x: TensorSpec, *, n: int) -> TensorSpec:
    if x.dtype.kind == "c":
        raise DTypeError(f"polygamma: not defined for {x.dtype.name}")
    return TensorSpec(x.shape, dtypes.to_inexact(x.dtype), x.device)


def _eager_polygamma(xp: Any, x: Any, *, n: int) -> Any:
    x = xp.asarray(x)
    dtype = _infer_polygamma(TensorSpec(x.shape, x.dtype), n=n).dtype
    functions = special_module(xp)
    wide = x.astype(dtypes.float64)
    out = functions.polygamma(n, wide)
    if n == 1 and (wide < 0).any():  # by reflection; SciPy's own is for positive numbers
        with xp.errstate(divide="ignore", invalid="ignore"):
            mirrored = (xp.pi / xp.sin(xp.pi * (wide - xp.rint(wide)))) ** 2
            out = xp.where(wide < 0, mirrored - functions.polygamma(1, 1 - wide), out)
    return xp.asarray(out).astype(dtype)


POLYGAMMA = register(
    Op(
        name="polygamma",
        family="special",
        lead=lead_as_is,
        infer=_infer_polygamma,
        eager=_eager_polygamma,
        vjp=(lambda g, out, x, *, n: g * polygamma(n + 1, x),),
        examples=(
            Example(((2, 3),), {"n": 1}, domain=(0.3, 4.0)),
            Example(((),), {"n": 3}, domain=(0.5, 4.0)),
        ),
        doc="The n-th derivative of digamma.",
    )
)


def polygamma(n: int, x: ArrayLike, /) -> Tensor:
    """Return the `n`-th derivative of :func:`digamma`.

    Parameters
    ----------
    n : int
    x : array-like
        Positive; for negative numbers only `n` of 0 and 1 are defined, others give NaN.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        For a negative `n`.

    Examples
    --------
    >>> polygamma(1, 1.0)
    Tensor(1.644934, dtype=float32)
    """
    order = operator.index(n)
    if order < 0:
        raise ValueError(
            located(f"polygamma: n is {order}, the order of a derivative is not negative")
        )
    x = asarray(x)
    return bind(POLYGAMMA, (x,), {"n": order}) if order else digamma(x)


erfinv = unary(
    "erfinv",
    None,
    lambda g, out, x: g * (math.sqrt(math.pi) / 2 * exp(out * out)),
    eager=special("erfinv"),
    rule=REAL,
    domain=(-0.9, 0.9),
    doc="The inverse of the error function.",
    notes="Infinite at -1 and 1, NaN beyond.",
    example="""
>>> erfinv(0.0)
Tensor(0., dtype=float32)
""",
)
