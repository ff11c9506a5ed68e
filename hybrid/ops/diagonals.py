"""Diagonals of matrices, which are views, and their sums."""

from __future__ import annotations

import operator
from typing import Any

from hybrid.core.dispatch import bind
from hybrid.core.layout import Layout
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.ops import reduction
from hybrid.ops._axes import lead_as_is
from hybrid.ops._methods import attach
from hybrid.ops.creation import zeros
from hybrid.ops.permuting import moveaxis


def _view_diagonal(layout: Layout, *, offset: int) -> Layout:
    *shape, m, n = layout.shape
    *strides, down, right = layout.strides
    size = max(0, min(m + min(offset, 0), n - max(offset, 0)))
    start = max(offset, 0) * right - min(offset, 0) * down if size else 0
    return Layout((*shape, size), (*strides, down + right), layout.offset + start)


def _infer_diagonal(x: TensorSpec, *, offset: int) -> TensorSpec:
    if x.ndim < 2:
        raise ShapeError(f"diagonal: shape {x.shape} has {x.ndim} axes, a diagonal needs two")
    *batch, m, n = x.shape
    size = max(0, min(m + min(offset, 0), n - max(offset, 0)))
    return TensorSpec((*batch, size), x.dtype, x.device)


def _eager_diagonal(xp: Any, x: Any, *, offset: int) -> Any:
    view = x.diagonal(offset, -2, -1)
    if x.flags.writeable:  # NumPy's is read-only for the sake of old code; a slice is not either
        view.flags.writeable = True
    return view


def _vjp_diagonal(g: Tensor, out: Tensor, x: Tensor, *, offset: int) -> Tensor:
    from hybrid.ops.view_update import view_update

    return view_update(zeros(x.shape, g.dtype), g, ((DIAGONAL, {"offset": offset}),))


DIAGONAL = register(
    Op(
        name="diagonal",
        family="movement",
        lead=lead_as_is,
        infer=_infer_diagonal,
        eager=_eager_diagonal,
        vjp=(_vjp_diagonal,),
        view=_view_diagonal,
        selects=True,
        examples=(
            Example(((3, 3),), {"offset": 0}),
            Example(((2, 3, 4),), {"offset": 2}),
            Example(((4, 3),), {"offset": -2}),
            Example(((2, 2),), {"offset": 5}),
        ),
        doc="The diagonals of matrices.",
    )
)


def diagonal(x: ArrayLike, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the diagonals along two axes, as views that can be written to.

    Parameters
    ----------
    x : array-like
    offset : int
    axis1, axis2 : int
        They are removed; the diagonals lie along the last axis of the result.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where `x` has fewer than two axes.

    Examples
    --------
    >>> diagonal([[1, 2], [3, 4]], 1)
    Tensor([2], dtype=int64)
    """
    x = asarray(x)
    if x.ndim < 2:
        raise ShapeError(
            located(f"diagonal: shape {x.shape} has {x.ndim} axes, a diagonal needs two")
        )
    moved = moveaxis(x, (axis1, axis2), (-2, -1))
    return bind(DIAGONAL, (moved,), {"offset": operator.index(offset)})


def trace(
    x: ArrayLike, /, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None
) -> Tensor:
    """Return the sums of the diagonals along two axes.

    Parameters
    ----------
    x : array-like
    offset, axis1, axis2 : int
        See :func:`diagonal`.
    dtype : dtype, optional
        To add in and to return; left out, as in :func:`sum`.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> trace([[1, 2], [3, 4]], 1)
    Tensor(2, dtype=int64)
    """
    return reduction.sum(diagonal(x, offset, axis1, axis2), axis=-1, dtype=dtype)


attach(diagonal=diagonal, trace=trace)
