"""NumPy's functions that hybrid has under no name of its own, made of those that it has."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.errors import IndexingError
from hybrid.ops import (
    creation,
    joining,
    linalg,
    permuting,
    ranges,
    reduction,
    reshaping,
    sorting,
    unit_axes,
)
from hybrid.ops._axes import one_axis
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.conv import convolve
from hybrid.ops.copying import laid
from hybrid.ops.elementwise.logical import logical_not
from hybrid.ops.indexing import take, take_along_axis
from hybrid.ops.protocols.by_numpy import by_numpy
from hybrid.ops.protocols.functions import implements
from hybrid.ops.searching import nonzero
from hybrid.ops.sets import isin, unique

# --- order ----------------------------------------------------------------------------------------


@implements(np.lexsort)
def _lexsort(keys: Any, axis: int = -1) -> Any:
    first, *others = [asarray(key) for key in keys]
    order = sorting.argsort(first, axis=axis)
    for key in others:  # the last one decides: sorts that keep what the ones before have found
        sorted_key = take_along_axis(key, order, axis=axis)
        order = take_along_axis(order, sorting.argsort(sorted_key, axis=axis), axis=axis)
    return order


@implements(np.sort_complex)
def _sort_complex(a: Any) -> Any:
    found = sorting.sort(a)
    if found.dtype.kind == "c":
        return found
    return found.astype(dtypes.complex64 if found.dtype.char in "bhBH" else dtypes.complex128)


# --- sets -----------------------------------------------------------------------------------------


@implements(np.union1d)
def _union1d(ar1: Any, ar2: Any) -> Any:
    return unique(joining.concat([ar1, ar2], axis=None))


def _distinct(x: Any, assume_unique: bool) -> Tensor:
    found = reshaping.ravel(asarray(x)) if assume_unique else unique(x)
    assert isinstance(found, Tensor)
    return found


@implements(np.intersect1d)
def _intersect1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False
) -> Any:
    if return_indices:
        return by_numpy(np.intersect1d, (ar1, ar2, assume_unique, return_indices), {})
    both = sorting.sort(joining.concat([_distinct(x, assume_unique) for x in (ar1, ar2)]))
    return both[:-1][both[1:] == both[:-1]]


@implements(np.setxor1d)
def _setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    both = joining.concat([_distinct(x, assume_unique) for x in (ar1, ar2)])
    if not both.size:
        return both
    both = sorting.sort(both)
    edge = creation.ones(1, bool, device=both.device)
    new = joining.concat([edge, both[1:] != both[:-1], edge])
    return both[new[1:] & new[:-1]]


@implements(np.setdiff1d)
def _setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    found = _distinct(ar1, assume_unique)
    return found[isin(found, ar2, invert=True)]


# --- shapes ---------------------------------------------------------------------------------------


@implements(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    x = asarray(arr)
    if axis is None:
        x, axis = reshaping.ravel(x), 0
    axis = one_axis("insert", axis, x.shape)
    n = x.shape[axis]
    places = np.arange(n)[obj] if isinstance(obj, slice) else obj
    if isinstance(places, Tensor | Variable) or np.asarray(places).dtype.kind == "b":
        return by_numpy(np.insert, (arr, obj, values, axis), {})  # where to, the data decide
    places = np.asarray(places, np.int64 if np.size(places) == 0 else None)
    wrong = places[(places < -n) | (places > n)]
    if wrong.size:
        where = f"index {wrong.flat[0]} is out of bounds for axis {axis} of size {n}"
        raise IndexingError(located(f"insert: {where}"))
    given = values if type(values) is Tensor else asarray(values, device=x.device)
    given = given.astype(x.dtype, copy=False)
    given = reshaping.reshape(given, (1,) * (x.ndim - given.ndim) + given.shape)
    if not places.ndim:
        given = permuting.moveaxis(given, 0, axis)
    if places.size == 1:
        places = places.reshape(1) % (n + 1) if places.flat[0] >= 0 else places.reshape(1) + n
        places = np.repeat(places, given.shape[axis])
    places = np.where(places < 0, places + n, places)
    places[np.argsort(places, kind="stable")] += np.arange(places.size)
    source = np.empty(n + places.size, np.int64)
    old = np.ones(source.size, bool)
    old[places] = False
    source[old], source[places] = np.arange(n), n + np.arange(places.size)
    shape = (*x.shape[:axis], places.size, *x.shape[axis + 1 :])
    return laid(
        take(joining.concat([x, broadcast_to(given, shape)], axis=axis), source, axis), x, "A"
    )


@implements(np.resize)
def _resize(a: Any, new_shape: Any) -> Any:
    shape = new_shape if isinstance(new_shape, tuple | list) else (new_shape,)
    if any(n < 0 for n in shape):
        raise ValueError(f"resize: sizes in {tuple(shape)} are negative")
    flat = reshaping.ravel(asarray(a))
    if not flat.size or not prod(shape):
        return creation.zeros(tuple(shape), flat.dtype, device=flat.device)
    return reshaping.reshape(take(flat, np.arange(prod(shape)) % flat.size), tuple(shape))


@implements(np.lib.stride_tricks.sliding_window_view)
def _sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    if writeable:
        raise ValueError("sliding_window_view: the windows of a Tensor are a copy, not to write to")
    x = asarray(x)
    sizes = tuple(window_shape) if np.iterable(window_shape) else (window_shape,)
    axes = range(x.ndim) if axis is None else tuple(axis) if np.iterable(axis) else (axis,)
    if len(sizes) != len(axes):
        raise ValueError(f"sliding_window_view: {len(sizes)} sizes for {len(axes)} axes")
    for size, place in zip(sizes, axes, strict=True):
        at = one_axis("sliding_window_view", place, x.shape)
        if not 0 <= size <= x.shape[at]:
            raise ValueError(f"sliding_window_view: no window of {size} fits the shape {x.shape}")
        index = np.arange(x.shape[at] - size + 1)[:, None] + np.arange(size)
        x = permuting.moveaxis(take(x, index, at), at + 1, -1)
    return x


@implements(np.meshgrid)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    if not sparse:
        return tuple(ranges.meshgrid(*xi, indexing=indexing))
    axes = [reshaping.ravel(asarray(x)) for x in xi]
    places = list(range(len(axes)))
    if indexing == "xy" and len(axes) > 1:
        places[:2] = 1, 0
    shapes = (tuple(-1 if i == p else 1 for i in range(len(axes))) for p in places)
    return tuple(reshaping.reshape(x, shape) for x, shape in zip(axes, shapes, strict=True))


@implements(np.ix_)
def _ix(*args: Any) -> tuple[Tensor, ...]:
    axes = []
    for place, given in enumerate(args):
        x = asarray(given)
        if x.ndim != 1:
            raise ValueError(located(f"ix_: expected vectors, not an array of shape {x.shape}"))
        x = nonzero(x)[0] if x.dtype.kind == "b" else x
        x = x if x.size else x.astype(np.int64)
        axes.append(reshaping.reshape(x, [-1 if i == place else 1 for i in range(len(args))]))
    return tuple(axes)


def _indices_of_shape(func: Callable[..., Any], make: Callable[..., Any]) -> None:
    @implements(func)
    def adapter(arr: Any, *args: Any, **kwargs: Any) -> Any:
        return make(np.broadcast_to(np.empty(()), asarray(arr).shape), *args, **kwargs)


for _of_shape in (np.triu_indices_from, np.tril_indices_from, np.diag_indices_from):
    _indices_of_shape(_of_shape, _of_shape)


@implements(np.einsum_path)
def _einsum_path(*operands: Any, **options: Any) -> Any:
    shown = [
        np.broadcast_to(np.empty((), x.dtype), x.shape) if isinstance(x, Tensor | Variable) else x
        for x in operands
    ]
    return np.einsum_path(*shown, **options)


# --- functions of parts ---------------------------------------------------------------------------


@implements(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    x = asarray(x)
    single = not isinstance(condlist, list | tuple) and np.ndim(condlist) == x.ndim
    conditions = [asarray(c).astype(bool) for c in ([condlist] if single else condlist)]
    if len(funclist) == len(conditions) + 1:
        conditions.append(logical_not(reduction.any(joining.stack(conditions), axis=0)))
    if len(funclist) != len(conditions):
        raise ValueError(
            f"piecewise: {len(conditions)} conditions take as many functions, or one more, "
            f"not {len(funclist)}"
        )
    result = creation.zeros_like(x)
    for condition, function in zip(conditions, funclist, strict=True):
        if callable(function):
            part = x[condition]
            if part.size:
                result[condition] = function(part, *args, **kw)
        else:
            result[condition] = function
    return result


@implements(np.apply_along_axis)
def _apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    x = asarray(arr)
    axis = one_axis("apply_along_axis", axis, x.shape)
    last = permuting.moveaxis(x, axis, -1)
    lead = last.shape[:-1]
    if not prod(lead):
        raise ValueError(f"apply_along_axis: shape {x.shape} has no part along axis {axis}")
    rows = reshaping.reshape(last, (prod(lead), last.shape[-1]))
    parts = joining.stack([asarray(func1d(row, *args, **kwargs)) for row in rows])
    found = reshaping.reshape(parts, (*lead, *parts.shape[1:]))
    new = parts.ndim - 1
    return permuting.moveaxis(
        found, tuple(range(len(lead), found.ndim)), tuple(range(axis, axis + new))
    )


@implements(np.apply_over_axes)
def _apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    x = asarray(a)
    for axis in axes if np.iterable(axes) else (axes,):
        axis = one_axis("apply_over_axes", axis, x.shape)
        found = asarray(func(x, axis))
        x = found if found.ndim == x.ndim else unit_axes.expand_dims(found, axis)
    return x


# --- linear algebra, polynomials ------------------------------------------------------------------


@implements(np.cross)
def _cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = permuting.moveaxis(a, axisa, -1), permuting.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        return by_numpy(np.cross, (a, b), {"axisc": axisc})
    return permuting.moveaxis(linalg.cross(a, b), -1, axisc)


def _in_front(x: Tensor, count: int) -> Tensor:
    return joining.concat([creation.zeros(count, x.dtype, device=x.device), x]) if count else x


def _sum_of_polynomials(func: Callable[..., Any], sign: int) -> None:
    @implements(func)
    def adapter(a1: Any, a2: Any) -> Any:
        a, b = (reshaping.reshape(asarray(p), -1) for p in (a1, a2))
        n = max(a.size, b.size)
        a, b = _in_front(a, n - a.size), _in_front(b, n - b.size)
        return a + b if sign > 0 else a - b


_sum_of_polynomials(np.polyadd, 1)
_sum_of_polynomials(np.polysub, -1)


@implements(np.poly)
def _poly(seq_of_zeros: Any) -> Any:
    zeros = asarray(seq_of_zeros)
    if zeros.ndim != 1 or zeros.dtype.kind == "c":
        return by_numpy(np.poly, (seq_of_zeros,), {})
    if not zeros.size:
        return 1.0
    if not dtypes.is_inexact(zeros.dtype) or dtypes.is_half(zeros.dtype):
        zeros = zeros.astype(dtypes.float64)
    found = creation.ones(1, zeros.dtype, device=zeros.device)
    for zero in zeros:
        found = convolve(found, joining.stack([creation.ones_like(zero), -zero]))
    return found


@implements(np.polyder)
def _polyder(p: Any, m: int = 1) -> Any:
    p = asarray(p)
    for _ in range(m):
        p = p[:-1] * np.arange(p.size - 1, 0, -1)
    return p


@implements(np.polyfit)
def _polyfit(x: Any, y: Any, deg: int, rcond: Any = None, *more: Any, **options: Any) -> Any:
    if more or any(v is not None and v is not False for v in options.values()) or deg < 0:
        return by_numpy(np.polyfit, (x, y, deg, rcond, *more), options)
    x, y = asarray(x) + 0.0, asarray(y) + 0.0
    if x.ndim != 1 or not x.size or y.ndim not in (1, 2) or x.shape[0] != y.shape[0]:
        text = f"polyfit: x of shape {x.shape} and y of shape {y.shape} are no samples"
        raise TypeError(located(f"{text}: x has one axis and elements, y one more axis at most"))
    powers = np.vander(x, deg + 1)
    scale = np.sqrt(np.sum(powers * powers, axis=0))
    rcond = x.size * np.finfo(x.dtype).eps if rcond is None else rcond
    found = linalg.lstsq(powers / scale, y, rcond=rcond)[0]
    return (found.T / scale).T


# --- sums of pieces -------------------------------------------------------------------------------


def reduced_at(function: Callable[..., Tensor], x: Tensor, places: Any, axis: int) -> Tensor:
    """Reduce the pieces of an axis that start at `places`, as ``ufunc.reduceat`` does."""
    axis = one_axis("reduceat", axis, x.shape)
    n = x.shape[axis]
    starts = [int(i) for i in np.asarray(places)]
    if any(not 0 <= i < n for i in starts):
        raise IndexingError(
            located(f"reduceat: indices {starts} leave axis {axis} of shape {x.shape}")
        )
    parts = []
    for start, stop in pairwise([*starts, n]):
        stop = stop if stop > start else start + 1
        piece = x[(slice(None),) * axis + (slice(start, stop),)]
        parts.append(function(piece, axis=axis, keepdims=True))
    return joining.concat(parts, axis=axis)
