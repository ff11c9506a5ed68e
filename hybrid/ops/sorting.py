"""Sorting along an axis."""

from __future__ import annotations

from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, asarray
from hybrid.ops._axes import one_axis
from hybrid.ops._methods import attach
from hybrid.ops.indexing.reading import take_along_axis


def _eager_argsort(xp: Any, x: Any, *, axis: int, descending: bool, stable: bool) -> Any:
    if not descending:
        return xp.argsort(x, axis=axis, stable=stable)
    # Sorted backwards from the back, so that equal elements keep their order.
    n = x.shape[axis]
    return n - 1 - xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, stable=stable), axis)


ARGSORT = register(
    Op(
        name="argsort",
        family="indexing",
        infer=lambda x, *, axis, descending, stable: TensorSpec(x.shape, dtypes.int64, x.device),
        eager=_eager_argsort,
        examples=(
            Example(((3, 4),), {"axis": 1, "descending": False, "stable": True}),
            Example(((3, 4),), {"axis": 0, "descending": True, "stable": True}),
        ),
        doc="The indices that sort along an axis.",
    )
)


def argsort(
    x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """Return the indices that sort `x` along an axis.

    Parameters
    ----------
    x : array-like
    axis : int
    descending : bool
    stable : bool
        Whether equal elements keep their order.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> argsort([3, 1, 2])
    Tensor([1, 2, 0], dtype=int64)
    """
    x = asarray(x)
    where = one_axis("argsort", axis, x.shape)
    return bind(ARGSORT, (x,), {"axis": where, "descending": descending, "stable": stable})


def sort(
    x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """Return a sorted copy along an axis; arguments as of :func:`argsort`."""
    x = asarray(x)
    return take_along_axis(
        x, argsort(x, axis=axis, descending=descending, stable=stable), axis=axis
    )


attach(argsort=argsort)
