"""Axes of size 1: removed and inserted, always as views."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hybrid.core.aliases import seen
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.layout import Layout
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.storage import Chain
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._axes import Axes, lead_axis, some_axes
from hybrid.ops._methods import attach
from hybrid.ops.reshaping import reshape


def _infer_squeeze(x: TensorSpec, *, axis: Axes) -> TensorSpec:
    for a in axis:
        if x.shape[a] != 1:
            raise ShapeError(
                f"squeeze: axis {a} of shape {x.shape} has size {x.shape[a]}, only axes of size 1 "
                "can be removed"
            )
    return TensorSpec(tuple(n for i, n in enumerate(x.shape) if i not in axis), x.dtype, x.device)


def _view_squeeze(layout: Layout, *, axis: Axes) -> Layout:
    for a in sorted(axis, reverse=True):
        layout = layout.drop(a)
    return layout


SQUEEZE = register(
    Op(
        name="squeeze",
        family="movement",
        lead=lead_axis,
        infer=_infer_squeeze,
        eager=lambda xp, x, *, axis: x.squeeze(axis),
        vjp=(lambda g, out, x, *, axis: reshape(g, x.shape),),
        view=_view_squeeze,
        examples=(Example(((1, 3, 1),), {"axis": (0, 2)}), Example(((1,),), {"axis": (0,)})),
        doc="Remove axes of size 1.",
    )
)


def squeeze(x: ArrayLike, /, axis: int | Axes | None = None) -> Tensor:
    """Remove axes of size 1 (all of them if `axis` is left out); a view.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        Of size 1.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> squeeze([[[1, 2]]], axis=0)
    Tensor([[1, 2]], dtype=int64)
    """
    if axis is None and _short is not None and (done := _short(x)) is not None:
        return done
    if (
        axis is None
        and (not busy or state.plain)
        and type(x) is Tensor
        and type(x._data) is np.ndarray
    ):
        return seen(x, x._data.squeeze(), _squeezed, *x._data.shape)
    x = asarray(x)
    if axis is None:
        axes = tuple([i for i, n in enumerate(x.shape) if n == 1])
    else:
        axes = some_axes("squeeze", axis, x.shape)
    return bind(SQUEEZE, (x,), {"axis": tuple(sorted(axes))})


_short: Callable[[Any], Tensor | None] | None = None


def _squeezed(*shape: int) -> Chain:
    return ((SQUEEZE, {"axis": tuple([i for i, n in enumerate(shape) if n == 1])}),)


def _expanded(shape: Shape, axis: Axes) -> Shape:
    sizes = iter(shape)
    return tuple(1 if i in axis else next(sizes) for i in range(len(shape) + len(axis)))


def _infer_expand(x: TensorSpec, *, axis: Axes) -> TensorSpec:
    return TensorSpec(_expanded(x.shape, axis), x.dtype, x.device)


def _view_expand(layout: Layout, *, axis: Axes) -> Layout:
    for a in sorted(axis):
        layout = layout.insert(a)
    return layout


EXPAND_DIMS = register(
    Op(
        name="expand_dims",
        family="movement",
        lead=lead_axis,
        infer=_infer_expand,
        eager=lambda xp, x, *, axis: x.reshape(_expanded(x.shape, axis)),
        vjp=(lambda g, out, x, *, axis: squeeze(g, axis),),
        view=_view_expand,
        examples=(Example(((2, 3),), {"axis": (0, 2)}), Example(((),), {"axis": (0,)})),
        doc="Insert axes of size 1.",
    )
)


_WHOLE = (slice(None),)


def expand_dims(x: ArrayLike, /, axis: int | Axes = 0) -> Tensor:
    """Insert axes of size 1 at places `axis` of the result; a view.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int
        Where the new axes are in the result.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> expand_dims([1, 2], 1)
    Tensor([[1],
            [2]], dtype=int64)
    """
    if type(axis) is int and not busy and type(x) is Tensor and type(x._data) is np.ndarray:
        if -x.ndim - 1 <= axis <= x.ndim:
            return x[(*_WHOLE * (axis % (x.ndim + 1)), None)]
    x = asarray(x)
    count = 1 if type(axis) is int or not isinstance(axis, Iterable) else len(tuple(axis))
    axes = some_axes("expand_dims", axis, x.shape, extra=count)
    return bind(EXPAND_DIMS, (x,), {"axis": tuple(sorted(axes))})


attach(squeeze=squeeze)
_shortways.on_tensor(Way("squeeze", "squeeze", _squeezed, squeeze))
_shortways.in_module(Way("squeeze", "function of unit axes", _squeezed), globals(), "_short")
