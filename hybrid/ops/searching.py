"""Searching: where the elements are that are largest, or not zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.asking import has_contents, size_by_data
from hybrid.core.batch import Lanes
from hybrid.core.devices import CPU
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.errors import ShapeError
from hybrid.kernels import extreme_places
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._axes import all_axes, lead_axis, one_axis, without
from hybrid.ops._methods import as_numpy, attach
from hybrid.ops.creation import zeros
from hybrid.ops.elementwise.selection import where
from hybrid.ops.joining import stack
from hybrid.ops.permuting import permute_dims
from hybrid.ops.ranges import arange
from hybrid.ops.reduction.declare import Axis, not_empty
from hybrid.ops.reduction.extremes import max, min
from hybrid.ops.reduction.sums import sum
from hybrid.ops.reshaping import ravel, reshape

# --- argmax, argmin -------------------------------------------------------------------------------


def _infer_arg(name: str) -> Any:
    def infer(x: TensorSpec, *, axis: int | None, keepdims: bool) -> TensorSpec:
        axes = tuple(range(x.ndim)) if axis is None else (axis,)
        not_empty(name, x, axes)
        return TensorSpec(without(x.shape, axes, keepdims), dtypes.int64, x.device)

    return infer


LONG_ROW = 64
"""NumPy finds the place in rows of at least this length faster than a kernel (0.09 ms for a million
elements in rows of 1,000); in short rows and across rows it looks at each element by itself."""


def _expand_arg(extreme: Any) -> Any:
    """Write it as the least of the places that hold the extreme, or NaN where that is NaN."""

    def expand(x: Tensor, *, axis: int | None, keepdims: bool) -> Tensor | None:
        if axis is None or (axis == x.ndim - 1 and x.shape[axis] >= LONG_ROW):
            return None
        top = extreme(x, axis=axis, keepdims=True)
        n = x.shape[axis]
        dtype = dtypes.int32 if n < 1 << 31 else dtypes.int64
        places = reshape(arange(n, dtype=dtype), (n, *(1,) * (x.ndim - 1 - axis)))
        found = where((x == top) | (x != x), places, np.iinfo(dtype).max)
        return min(found, axis=axis, keepdims=keepdims).astype(dtypes.int64)

    return expand


def _into_arg(name: str) -> Any:
    """Find the places of long rows by a kernel, where rows follow each other."""

    def into(x: TensorSpec, *, axis: int | None, keepdims: bool) -> Any:
        row = x.size if axis is None else x.shape[axis]
        if axis not in (None, x.ndim - 1) or not extreme_places.takes(x.size, row, x.dtype):
            return None

        def write(x: Any, out: Any) -> None:
            if x.flags.c_contiguous:
                extreme_places.places(x, out, name == "argmax")
            else:
                getattr(x, name)(axis=axis, keepdims=keepdims, out=out)

        return write

    return into


_ARG_EXAMPLES = (
    Example(((3, 4),), {"axis": 0, "keepdims": False}),
    Example(((3, 4),), {"axis": 1, "keepdims": False}),
    Example(((3, 4),), {"axis": None, "keepdims": True}),
)


def batch_place(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    """Find the place in each whole example; along an axis there is nothing to do but count it."""
    (lane,) = lanes
    if not lane.batched or attrs["axis"] is not None:
        return None
    x = lane.tensor
    rows = reshape(x, (size, -1)) if size else zeros((0, 1), dtype=x.dtype)
    found: Tensor = bind(op, (rows,), {"axis": 1, "keepdims": False})
    return reshape(found, (size, *(1,) * (x.ndim - 1))) if attrs["keepdims"] else found


ARGMAX = register(
    Op(
        name="argmax",
        family="reduction",
        lead=lead_axis,
        batch=batch_place,
        infer=_infer_arg("argmax"),
        eager=lambda xp, x, *, axis, keepdims: x.argmax(axis=axis, keepdims=keepdims),
        expand=_expand_arg(max),
        into=_into_arg("argmax"),
        examples=_ARG_EXAMPLES,
        doc="Where the largest element along an axis is; the first of several.",
    )
)

ARGMIN = register(
    Op(
        name="argmin",
        family="reduction",
        lead=lead_axis,
        batch=batch_place,
        infer=_infer_arg("argmin"),
        eager=lambda xp, x, *, axis, keepdims: x.argmin(axis=axis, keepdims=keepdims),
        expand=_expand_arg(min),
        into=_into_arg("argmin"),
        examples=_ARG_EXAMPLES,
        doc="Where the smallest element along an axis is; the first of several.",
    )
)


def _argument(
    op: Op, method: Callable[..., Any], x: ArrayLike, axis: int | None, keepdims: bool
) -> Tensor:
    """Find the place of an extreme by a method of ndarrays, or by `op`."""
    if (axis is None or type(axis) is int) and not busy and type(x) is Tensor:
        data = x._data
        if type(data) is np.ndarray and not keepdims:
            try:  # at once, where nothing records it; NumPy has nothing to warn of
                return wrap(np.asarray(method(data, axis)))
            except ValueError:
                pass  # explained below
    x = asarray(x)
    where = None if axis is None else one_axis(op.name, axis, x.shape)
    return bind(op, (x,), {"axis": where, "keepdims": keepdims})


def argmax(
    x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False, out: Any = None
) -> Tensor:
    """Return the index of the largest element, of the first one if several tie.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        Left out: the index into the raveled array.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> argmax([1, 5, 5])
    Tensor(1, dtype=int64)
    """
    if out is not None:
        return as_numpy(np.argmax, x, axis=axis, keepdims=keepdims, out=out)
    if _short_max is not None and (done := _short_max(x, axis, keepdims)) is not None:
        return done
    return _argument(ARGMAX, np.ndarray.argmax, x, axis, keepdims)


def argmin(
    x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False, out: Any = None
) -> Tensor:
    """Return the index of the smallest element; arguments as of :func:`argmax`.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        The raveled array if it is left out.
    keepdims : bool
        Keep the axes, with size 1.
    out : Tensor or ndarray, optional
        Of int64, which is filled.

    Returns
    -------
    Tensor of int64
        The first index where several elements are smallest.

    Examples
    --------
    >>> argmin([[3.0, 1.0], [0.0, 2.0]], axis=1)
    Tensor([1, 0], dtype=int64)
    """
    if out is not None:
        return as_numpy(np.argmin, x, axis=axis, keepdims=keepdims, out=out)
    if _short_min is not None and (done := _short_min(x, axis, keepdims)) is not None:
        return done
    return _argument(ARGMIN, np.ndarray.argmin, x, axis, keepdims)


_short_max: Callable[[Any, Any, Any], Tensor | None] | None = None
_short_min: Callable[[Any, Any, Any], Tensor | None] | None = None
_shortways.in_module(Way("argmax", "function of the largest"), globals(), "_short_max")
_shortways.in_module(Way("argmin", "function of the smallest"), globals(), "_short_min")

# --- what is not zero -----------------------------------------------------------------------------


def _infer_nonzero(x: TensorSpec, *, size: int) -> TensorSpec:
    return TensorSpec((x.ndim, size), dtypes.int64, x.device)


def _eager_nonzero(xp: Any, x: Any, *, size: int) -> Any:
    places = xp.zeros((np.ndim(x), size), np.int64)
    for row, found in zip(places, xp.nonzero(x), strict=True):
        row[: len(found)] = found[:size]
    return places


NONZERO = register(
    Op(
        name="nonzero",
        family="indexing",
        infer=_infer_nonzero,
        eager=_eager_nonzero,
        examples=(
            Example(((6,),), {"size": 3}),
            Example(((2, 3),), {"size": 4}),
            Example(((0, 2),), {"size": 0}),
        ),
        doc="The places of the first elements that are not zero, a row an axis; 0 behind the last.",
    )
)


def nonzero(x: ArrayLike, /) -> tuple[Tensor, ...]:
    """Return the indices of the elements that are not zero, one Tensor per axis.

    How many there are depends on the data: in a trace that number is a guard.

    Parameters
    ----------
    x : array-like
        Of at least one axis.

    Returns
    -------
    tuple of Tensor

    Examples
    --------
    >>> nonzero([[0, 1], [1, 1]])
    (Tensor([0, 1, 1], dtype=int64), Tensor([1, 0, 1], dtype=int64))
    """
    if not busy and type(x) is Tensor and type(x._data) is np.ndarray and x._data.ndim:
        return tuple([wrap(i) for i in x._data.nonzero()])
    x = asarray(x)
    if not x.ndim:
        raise ShapeError(located("nonzero: a Tensor without axes has no indices"))
    if not has_contents(x) or x.device != CPU:
        count = count_nonzero(x)
        size = int(count) if has_contents(count) else size_by_data(count)
        rows = bind(NONZERO, (x,), {"size": size})
        return tuple(rows[i] for i in range(x.ndim))
    data = x._concrete("nonzero")
    return tuple(wrap(i) for i in np.nonzero(data))


def flatnonzero(x: ArrayLike, /) -> Tensor:
    """Return the indices into the raveled array of the elements that are not zero.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor of int64

    Examples
    --------
    >>> flatnonzero([0, 1, 2, 0])
    Tensor([1, 2], dtype=int64)
    """
    return nonzero(ravel(x))[0]


def argwhere(x: ArrayLike, /) -> Tensor:
    """Return the indices of the elements that are not zero, one row per element.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor of int64
        (elements, axes of `x`).

    Examples
    --------
    >>> argwhere([[0, 1], [2, 0]])
    Tensor([[0, 1],
            [1, 0]], dtype=int64)
    """
    x = asarray(x)
    if not x.ndim:
        return zeros((flatnonzero(x).size, 0), dtypes.int64, device=x.device)
    return permute_dims(stack(nonzero(x)))


def count_nonzero(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Count the elements along axes that are not zero.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        All axes if it is left out.
    keepdims : bool
        Keep the axes, with size 1.

    Returns
    -------
    Tensor of int64

    Examples
    --------
    >>> count_nonzero([[0, 1], [2, 3]], axis=1)
    Tensor([1, 2], dtype=int64)
    """
    if axis is None and not keepdims and (not busy or state.plain) and type(x) is Tensor:
        data = x._data
        if type(data) is np.ndarray and data.dtype.kind in "biu":
            return wrap(np.asarray(np.count_nonzero(data)))
    x = asarray(x)
    axes = None if axis is None else all_axes("count_nonzero", axis, x.shape)
    return sum(x if x.dtype.kind == "b" else x != 0, axis=axes, keepdims=keepdims)


attach(argmax=argmax, argmin=argmin, nonzero=nonzero)
