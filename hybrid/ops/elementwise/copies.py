"""Ops that copy: without a gradient, and as the new contents of a Variable."""

from __future__ import annotations

import numpy as np

from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Example
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops.elementwise.declare import elementwise

_STOP_GRADIENT = elementwise(
    "stop_gradient",
    lambda xp, x: xp.array(x),
    lambda x: (np.dtype(x), np.dtype(x)),
    scalar="{0}",
    vjp=(None,),
    no_gradient="asked for",
    examples=(Example(((2, 3),)), Example(((),))),
    doc="A copy that gradients do not pass.",
)


def stop_gradient(x: ArrayLike, /) -> Tensor:
    """Return a copy that gradients do not pass.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor

    Examples
    --------
    >>> stop_gradient([1.0, 2.0])
    Tensor([1., 2.], dtype=float32)
    """
    result: Tensor = bind(_STOP_GRADIENT, (asarray(x),), {})
    return result


_ASSIGNED = elementwise(
    "assigned",
    lambda xp, before, value: xp.array(xp.broadcast_arrays(before, value)[1]),
    lambda before, value: (np.dtype(before), np.dtype(value), np.dtype(value)),
    scalar="{1}",
    vjp=(lambda g, out, before, value: g, None),
    examples=(),
    doc="What a Variable holds that is assigned a value: that, with the gradients of the Variable.",
)


def assigned(before: Tensor, value: Tensor) -> Tensor:
    """Return `value` as new contents of a Variable that held `before`.

    As in eager code, gradients do not pass the assignment; what is read from then on is the
    Variable itself, and counts for its gradient.
    """
    result: Tensor = bind(_ASSIGNED, (before, value), {})
    return result
