"""The modified Bessel functions of the first kind, of order 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.ops.elementwise.declare import REAL, Key, Loop, Unary, unary
from hybrid.ops.elementwise.selection import where
from hybrid.ops.elementwise.special import special


def _rule(x: Key) -> Loop:
    """Return float64 for integers, as NumPy does here whatever their size."""
    if not isinstance(x, type) and np.dtype(x).kind in "iub":
        return dtypes.float64, dtypes.float64
    return REAL(x)


def _of_float64(name: str) -> Callable[..., Any]:
    function = special(name)

    def eager(xp: Any, x: Any) -> Any:
        x = xp.asarray(x)
        return function(xp, x.astype(dtypes.float64) if x.dtype.kind in "iub" else x)

    return eager


i0: Unary = unary(
    "i0",
    None,
    lambda g, out, x: g * i1(x),
    eager=_of_float64("i0"),
    rule=_rule,
    doc="The modified Bessel function of the first kind and order 0.",
    notes="SciPy computes it, also in a trace.",
    example="""
>>> i0([0.0, 1.0])
Tensor([1.       , 1.2660658], dtype=float32)
""",
)

i1: Unary = unary(
    "i1",
    None,
    lambda g, out, x: g * where(x == 0, 0.5, i0(x) - out / where(x == 0, 1, x)),
    eager=_of_float64("i1"),
    rule=_rule,
    doc="The modified Bessel function of the first kind and order 1: the slope of :func:`i0`.",
    notes="SciPy computes it, also in a trace.",
    example="""
>>> i1([0.0, 1.0])
Tensor([0.       , 0.5651591], dtype=float32)
""",
)
