"""Applying a ufunc at index arrays, in place: where a place occurs twice, twice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hybrid.core.places import Place
from hybrid.core.spec import Shape
from hybrid.kernels import scatter
from hybrid.ops._axes import Axes
from hybrid.ops.indexing.gather import move_block, numpy_index, out_of_bounds, picked_shape

# Elements from which on it pays to work out their places in the flattened array: `ufunc.at` has a
# fast loop for one axis, 2 ns an element, and takes 12 ns with several.
_MANY = 4096


def accumulate(
    xp: Any, ufunc: str, out: Any, value: Any, index: tuple[Any, ...], axes: Axes, at: int
) -> None:
    """Write ``ufunc(out[index], value)`` to `out`, which is contiguous, value by value."""
    index = tuple([xp.asarray(i) for i in index])  # in graphs they may be literals
    picked = picked_shape(out, index, axes, at)
    many = out.ndim > 1 and math.prod(picked) >= _MANY
    if many and xp is np and ufunc == "add" and axes == (0,) and at == 0 and scatter.takes(out):
        _check(out.shape, index, axes)
        scatter.add_rows(out, np.broadcast_to(value, picked), index[0])
        return
    if many:
        places = _flat_places(xp, out.shape, index, axes, at)
        values = xp.broadcast_to(value, picked).reshape(-1)
        getattr(xp, ufunc).at(out.reshape(-1), places.reshape(-1), values)
        return
    native, value = to_numpy(xp, out, value, index, axes, at)
    try:
        getattr(xp, ufunc).at(out, native, value)
    except IndexError as error:
        raise out_of_bounds(out.shape, index, axes) or error from None


def add_in_order(
    place: Place, out: Any, value: Any, index: tuple[Any, ...], axes: Axes, at: int
) -> None:
    """Add values to `out`, a contiguous array of a card, by a kernel: the same sums each time.

    Parameters
    ----------
    place : Place
    out : array of the card
        Of a dtype in ``hybrid.kernels.cuda.scattering.DTYPES``.
    value : array of the card
        Of the dtype of `out`.
    index, axes, at
        As of :func:`accumulate`; in bounds.
    """
    from hybrid.kernels.cuda.scattering import add_rows

    xp = place.xp
    index = tuple([xp.asarray(i) for i in index])
    values = xp.broadcast_to(value, picked_shape(out, index, axes, at))
    if axes == (0,):
        (rows,) = index
        rows, inner = xp.asarray(rows, dtype=np.int64), math.prod(out.shape[1:])
        places = xp.where(rows < 0, rows + out.shape[0], rows)
    else:
        places, inner = _flat_places(xp, out.shape, index, axes, at), 1
    shape = places.size, inner
    add_rows(place, out.reshape(-1, max(inner, 1)), places.reshape(-1), values.reshape(shape))


def to_numpy(
    xp: Any, out: Any, value: Any, index: tuple[Any, ...], axes: Axes, at: int
) -> tuple[tuple[Any, ...], Any]:
    """Return the index for NumPy, and the value with the axes of the indices where it has them."""
    native, place = numpy_index(out.ndim, index, axes)
    if place != at and value.ndim:
        value = xp.broadcast_to(value, picked_shape(out, index, axes, at))
        value = move_block(xp, value, max(np.ndim(i) for i in index), at, place)
    return native, value


def _check(shape: Shape, index: tuple[Any, ...], axes: Axes) -> None:
    for array, axis in zip(index, axes, strict=True):
        n = shape[axis]
        if ((array < -n) | (array >= n)).any():
            raise out_of_bounds(shape, index, axes) or IndexError(axis)


def _flat_places(xp: Any, shape: Shape, index: tuple[Any, ...], axes: Axes, at: int) -> Any:
    """Return where the picked elements are in the flattened array, in the picked shape."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    places = xp.zeros((), np.int64)
    _check(shape, index, axes)
    for array, axis in zip(index, axes, strict=True):
        n = shape[axis]
        array = xp.asarray(array, dtype=np.int64)
        places = places + xp.where(array < 0, array + n, array) * strides[axis]
    block = places.ndim
    places = places.reshape(places.shape + (1,) * (len(rest) - at))
    for i, axis in enumerate(rest):
        after = len(rest) - i - 1 + (block if i < at else 0)
        along = xp.arange(shape[axis]) * strides[axis]
        places = places + along.reshape((-1,) + (1,) * after)
    return places
