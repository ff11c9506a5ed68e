"""NumPy's functions that write into their first argument: hybrid's writes, which tapes can see."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.lost import warn_of_array
from hybrid.core.making import asarray
from hybrid.core.tensor import Tensor
from hybrid.ops._methods import attach
from hybrid.ops.elementwise.selection import clip, where
from hybrid.ops.flat import cycled
from hybrid.ops.indexing import take
from hybrid.ops.indexing.along import put_along_axis
from hybrid.ops.indexing.update import index_update
from hybrid.ops.protocols.by_numpy import put_into
from hybrid.ops.protocols.functions import implements
from hybrid.ops.reduction import cumsum
from hybrid.ops.reshaping import ravel, reshape


def within(index: Any, size: int, mode: str) -> Tensor:
    """Return indices into an axis as ``mode="raise"`` takes them."""
    places = asarray(index)
    if mode == "wrap":
        return places % size
    if mode == "clip":
        return clip(places, 0, size - 1)
    if mode != "raise":
        raise ValueError(f"mode is 'raise', 'wrap' or 'clip', not {mode!r}")
    return places


@implements(np.put)
def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Write values, over and over again if they are few, to places of the raveled array.

    Parameters
    ----------
    ind : array-like of int
    v : array-like
    mode : {"raise", "wrap", "clip"}
        What becomes of indices out of bounds.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.zeros(4)
    >>> x.put([0, 2, 3], [1.0, 2.0])
    >>> x
    Tensor([1., 0., 2., 1.], dtype=float32)
    """
    target = asarray(a)
    places = ravel(within(ind, target.size, mode))
    if places.size and np.size(v):
        values = cycled(v, places.size).astype(target.dtype, copy=False)
        found = index_update(ravel(target), values, (places,), (0,), 0, "set")
        put_into(reshape(found, target.shape), a)


attach(put=_put)


@implements(np.place)
def _place(arr: Any, mask: Any, vals: Any) -> None:
    target, flat, values = asarray(arr), ravel(asarray(mask)), ravel(asarray(vals))
    if flat.size != target.size:
        raise ValueError(
            f"place: a mask of shape {asarray(mask).shape} does not fit the shape {target.shape}"
        )
    if not values.size:
        raise ValueError("place: there are no values to insert")
    order = cumsum(flat.astype(bool).astype(dtypes.int64)) - 1
    chosen = take(values, order % values.size).astype(target.dtype, copy=False)
    put_into(reshape(where(flat.astype(bool), chosen, ravel(target)), target.shape), arr)


@implements(np.putmask)
def _putmask(a: Any, mask: Any, values: Any) -> None:
    target = asarray(a)
    if not np.size(values) or not target.size:
        return
    wanted = reshape(cycled(values, target.size), target.shape).astype(target.dtype, copy=False)
    put_into(where(reshape(asarray(mask), target.shape).astype(bool), wanted, target), a)


@implements(np.put_along_axis)
def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None = -1) -> None:
    target = asarray(arr)
    warn_of_array(values, arr)
    put_along_axis(target, indices, values, axis)
    if target is not arr and not isinstance(arr, np.ndarray):  # what a Variable holds
        put_into(target, arr)


@implements(np.fill_diagonal)
def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    shape = asarray(a).shape
    if len(shape) < 2:
        raise ValueError(f"fill_diagonal: an array of shape {shape} has no diagonal")
    if len(shape) == 2:
        step, end = shape[1] + 1, prod(shape) if wrap else min(prod(shape), shape[1] ** 2)
    elif len(set(shape)) == 1:
        step, end = sum(shape[0] ** i for i in range(len(shape))), prod(shape)
    else:
        raise ValueError(f"fill_diagonal: the axes of shape {shape} are not of the same size")
    _put(a, np.arange(0, end, step), val)
