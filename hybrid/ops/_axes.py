"""Axes, shapes and dtypes as users write them, turned into the normal forms that attrs hold."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind
from hybrid.core.op import Attrs, Op
from hybrid.core.source import located
from hybrid.core.spec import Shape
from hybrid.core.unknown import as_size
from hybrid.errors import AxisError, DTypeError, HybridError, ShapeError

Axes = tuple[int, ...]


def one_axis(name: str, axis: Any, shape: Shape, extra: int = 0) -> int:
    """Return `axis` counted from the front; `extra` axes are about to be added."""
    number = axis if type(axis) is int else _number(name, axis)
    ndim = len(shape) + extra
    if not -ndim <= number < ndim:
        raise AxisError(
            located(f"{name}: axis {number} does not exist in an array of shape {shape}")
        )
    return number % ndim


def _number(name: str, axis: Any) -> int:
    try:
        return operator.index(axis)
    except HybridError:  # of a Tensor, which says what it is
        raise
    except TypeError:
        raise TypeError(located(f"{name}: an axis is an int, not {axis!r}")) from None


def some_axes(name: str, axis: Any, shape: Shape, extra: int = 0) -> Axes:
    """Return `axis` (an int or several) as a tuple counted from the front, in the order given."""
    if type(axis) is int:
        return (one_axis(name, axis, shape, extra),)
    given = axis if type(axis) is tuple else _as_tuple(axis)
    axes = tuple([one_axis(name, a, shape, extra) for a in given])
    if len(set(axes)) != len(axes):
        raise AxisError(located(f"{name}: axes {given} name one axis of shape {shape} twice"))
    return axes


def _as_tuple(x: Any) -> tuple[Any, ...]:
    if type(x) is int:  # before the slower question
        return (x,)
    # An array without axes, of one int, is Iterable by its class.
    return tuple(x) if isinstance(x, Iterable) and getattr(x, "ndim", True) else (x,)


def all_axes(name: str, axis: Any, shape: Shape) -> Axes:
    """Return the axes to reduce, ascending; None means all of them."""
    if axis is None:
        return tuple(range(len(shape)))
    if type(axis) is int:
        return (one_axis(name, axis, shape),)
    return tuple(sorted(some_axes(name, axis, shape)))


def as_shape(name: str, shape: Any) -> Shape:
    """Return `shape` (an int or several) as a tuple of ints that are not negative."""
    if type(shape) is int and shape >= 0:
        return (shape,)
    try:
        given = shape if type(shape) is tuple else _as_tuple(shape)
        sizes = tuple([n if type(n) is int else as_size(n) for n in given])
    except TypeError as error:
        if isinstance(error, HybridError):
            raise
        raise TypeError(located(f"{name}: a shape is an int or several, not {shape!r}")) from None
    if any(n < 0 for n in sizes):
        raise ShapeError(located(f"{name}: shape {sizes} has a negative size"))
    return sizes


def as_dtype(name: str, dtype: Any) -> dtypes.DType:
    """Return `dtype` as one of the supported dtypes."""
    try:
        found: dtypes.DType = np.dtype(dtype)
    except TypeError:
        text = f"{name}: {dtype!r} is no dtype; hybrid has {dtypes.NAMES}"
        if isinstance(dtype, int):  # as in ones(3, 4)
            text = f"{name}: {dtype!r} is no dtype; a shape of several sizes is one tuple"
        raise DTypeError(located(text)) from None
    if found not in dtypes.SUPPORTED:
        raise DTypeError(
            located(f"{name}: dtype {found} is not supported; hybrid has {dtypes.NAMES}")
        )
    return found


def without(shape: Shape, axes: Axes, keepdims: bool) -> Shape:
    """Return `shape` with `axes` removed, or kept with size 1."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def lead_axis(attrs: Attrs, size: int, *shapes: Shape) -> Attrs | None:
    """Return the attrs of an op on axes for inputs with one more axis in front."""
    axis = attrs["axis"]
    if axis is None:  # all of them, as if they were one
        return None
    return {**attrs, "axis": axis + 1 if isinstance(axis, int) else tuple(a + 1 for a in axis)}


def lead_as_is(attrs: Attrs, size: int, *shapes: Shape) -> Attrs:
    """Return the attrs of an op on the last axes, which takes any number of axes before them."""
    return attrs


def batch_elements(of: int) -> Callable[[Op, int, Lanes, Attrs], Any]:
    """Return the batching rule of an op that looks up each element of the input `of` in the others.

    Where examples share the others, the batch is one more axis of elements.
    """

    def rule(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Any:
        if [lane.batched for lane in lanes] != [i == of for i in range(len(lanes))]:
            return None
        return bind(op, tuple(lane.tensor for lane in lanes), attrs)

    return rule
