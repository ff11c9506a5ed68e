"""Rounding to integers; integers and booleans are left as they are."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from hybrid.core.dispatch import busy
from hybrid.core.making import asarray
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops._methods import as_numpy
from hybrid.ops.copying import laid
from hybrid.ops.elementwise.casting import astype
from hybrid.ops.elementwise.declare import PIECEWISE, Key, Loop, loops_of, unary

floor = unary(
    "floor",
    "floor({0})",
    ufunc=np.floor,
    no_gradient=PIECEWISE,
    doc="Round towards minus infinity.",
    example="""
>>> floor([-1.5, 1.5])
Tensor([-2.,  1.], dtype=float32)
""",
)

ceil = unary(
    "ceil",
    "ceil({0})",
    ufunc=np.ceil,
    no_gradient=PIECEWISE,
    doc="Round towards plus infinity.",
    example="""
>>> ceil([-1.5, 1.5])
Tensor([-1.,  2.], dtype=float32)
""",
)

trunc = unary(
    "trunc",
    "trunc({0})",
    ufunc=np.trunc,
    no_gradient=PIECEWISE,
    doc="Round towards zero.",
    example="""
>>> trunc([-1.5, 1.5])
Tensor([-1.,  1.], dtype=float32)
""",
)
fix = trunc

rint = unary(
    "rint",
    "rint({0})",
    ufunc=np.rint,
    no_gradient=PIECEWISE,
    doc="Round to the nearest integer, halves to the even one; integers become floating-point.",
    example="""
>>> rint([0.5, 1.5, -1.2])
Tensor([ 0.,  2., -1.], dtype=float32)
""",
)


def _round_eager(xp: Any, x: Any) -> Any:
    x = xp.asarray(x)
    return x.copy() if x.dtype.kind in "iu" else xp.rint(x)


_RINT = loops_of(np.rint)


def _round_rule(x: Key) -> Loop:
    dtype = np.dtype(x)
    return (dtype, dtype) if dtype.kind in "iu" else _RINT(dtype)


_round = unary(
    "round",
    "rint({0})",
    eager=_round_eager,
    rule=_round_rule,
    no_gradient=PIECEWISE,
    doc="Round to the nearest integer, halves to the even one.",
)


def round(x: ArrayLike, /, decimals: int = 0, out: Any = None) -> Tensor:
    """Round to a number of decimals, halves to the even digit.

    Parameters
    ----------
    x : array-like
    decimals : int
        Negative to round to tens, hundreds and so on.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> round([0.5, 1.5, 2.5])
    Tensor([0., 2., 2.], dtype=float32)
    >>> round([3.14159], 2)
    Tensor([3.14], dtype=float32)
    """
    if out is not None:
        return as_numpy(np.round, x, decimals, out=out)
    if decimals == 0 and not busy and type(x) is Tensor and x.dtype.kind == "f":
        return rint(x)  # the same, the short way
    x = asarray(x)
    if decimals == 0 or (decimals > 0 and x.dtype.kind in "biu"):
        return _round(x)
    scale = 10.0 ** builtins.abs(decimals)
    if decimals > 0:
        return laid(_round(x * scale) / scale, x, "A")
    result = laid(_round(x / scale) * scale, x, "A")
    return astype(result, x.dtype) if x.dtype.kind in "iu" else result


around = round
