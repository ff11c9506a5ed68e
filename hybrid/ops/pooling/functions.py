"""Pooling as users call it: windows, strides and padding as one number or one for each axis."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops.conv.geometry import PaddingLike, as_padding, per_axis
from hybrid.ops.pooling.primitive import POOL_ARGMAX, POOL_PICK, POOL_SUM, eager_sum

Sizes = int | Iterable[int]


def max_pool(
    x: ArrayLike, /, window: Sizes, *, stride: Sizes | None = None, padding: PaddingLike = 0
) -> Tensor:
    """Return the largest element under a window, at each of its places on the last axes.

    A NaN counts as the largest. Padding is never chosen. The gradient goes to the element chosen;
    where several tie, to the first of them in the order of memory.

    Parameters
    ----------
    x : array-like
        Of shape (..., spatial axes), not complex.
    window : int or tuple of int
        Its size along each of the last axes, as many as there are numbers.
    stride : int or tuple of int, optional
        How far apart neighbouring places are; left out, windows lie side by side.
    padding : int, tuple of int, tuple of (before, after), "same" or "valid"
        How far windows may reach beyond the ends, less than their size.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where the window does not fit.

    Examples
    --------
    >>> max_pool([1, 5, 2, 3, 9], 2)
    Tensor([5, 3], dtype=int64)
    """
    return _max_pool("max_pool", x, _count(window), window, stride, padding)


def max_pool1d(
    x: ArrayLike, /, window: Sizes, *, stride: Sizes | None = None, padding: PaddingLike = 0
) -> Tensor:
    """Return the largest element of each window, for (N, C, L); see :func:`max_pool`.

    Examples
    --------
    >>> max_pool1d([[[1.0, 3.0, 7.0, 5.0]]], 2)
    Tensor([[[3., 7.]]], dtype=float32)
    """
    return _max_pool("max_pool1d", _layered("max_pool1d", x, 1), 1, window, stride, padding)


def max_pool2d(
    x: ArrayLike, /, window: Sizes, *, stride: Sizes | None = None, padding: PaddingLike = 0
) -> Tensor:
    """Return the largest element of each window, for (N, C, H, W); see :func:`max_pool`.

    Examples
    --------
    >>> max_pool2d([[[[1.0, 2.0, 0.0, 1.0], [3.0, 4.0, 7.0, 0.0]]]], 2)
    Tensor([[[[4., 7.]]]], dtype=float32)
    """
    return _max_pool("max_pool2d", _layered("max_pool2d", x, 2), 2, window, stride, padding)


def avg_pool(
    x: ArrayLike,
    /,
    window: Sizes,
    *,
    stride: Sizes | None = None,
    padding: PaddingLike = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of what lies under a window, at each of its places on the last axes.

    Parameters
    ----------
    x : array-like
        Of shape (..., spatial axes); booleans and integers are averaged in float64.
    window, stride, padding
        As for :func:`max_pool`.
    count_include_pad : bool
        Whether padding counts as zeros (as in PyTorch), or not at all.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where the window does not fit.

    Examples
    --------
    >>> avg_pool([1.0, 5.0, 2.0, 4.0], 2)
    Tensor([3., 3.], dtype=float32)
    """
    args = window, stride, padding, count_include_pad
    return _avg_pool("avg_pool", x, _count(window), *args)


def avg_pool1d(
    x: ArrayLike,
    /,
    window: Sizes,
    *,
    stride: Sizes | None = None,
    padding: PaddingLike = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window, for (N, C, L); see :func:`avg_pool`.

    Examples
    --------
    >>> avg_pool1d([[[1.0, 3.0, 5.0, 7.0]]], 2)
    Tensor([[[2., 6.]]], dtype=float32)
    """
    args = window, stride, padding, count_include_pad
    return _avg_pool("avg_pool1d", _layered("avg_pool1d", x, 1), 1, *args)


def avg_pool2d(
    x: ArrayLike,
    /,
    window: Sizes,
    *,
    stride: Sizes | None = None,
    padding: PaddingLike = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window, for (N, C, H, W); see :func:`avg_pool`.

    Examples
    --------
    >>> avg_pool2d([[[[1.0, 3.0], [5.0, 7.0]]]], 2)
    Tensor([[[[4.]]]], dtype=float32)
    """
    args = window, stride, padding, count_include_pad
    return _avg_pool("avg_pool2d", _layered("avg_pool2d", x, 2), 2, *args)


def _count(window: Any) -> int:
    return len(tuple(window)) if isinstance(window, Iterable) else 1


def _layered(name: str, x: Any, count: int) -> Tensor:
    tensor = asarray(x)
    if tensor.ndim != count + 2:
        raise ShapeError(
            located(f"{name}: the input has shape {tensor.shape}, not {count + 2} axes")
        )
    return tensor


def _attrs(name: str, x: Tensor, count: int, window: Any, stride: Any, padding: Any) -> Any:
    sizes = per_axis(name, "window", window, count, 1)
    if x.ndim < count:
        raise ShapeError(
            located(f"{name}: a window of {count} axes for an input of shape {x.shape}")
        )
    steps = sizes if stride is None else per_axis(name, "stride", stride, count, 1)
    around = as_padding(name, padding, x.shape[x.ndim - count :], sizes, steps, (1,) * count)
    return {"window": sizes, "stride": steps, "padding": around}


def _max_pool(name: str, x: Any, count: int, window: Any, stride: Any, padding: Any) -> Tensor:
    x = asarray(x)
    if x.dtype.kind == "c":
        raise DTypeError(located(f"{name}: {x.dtype.name} has no order, so no largest element"))
    attrs = _attrs(name, x, count, window, stride, padding)
    index = bind(POOL_ARGMAX, (x,), attrs)
    return bind(POOL_PICK, (x, index), {"axes": count})


def _avg_pool(
    name: str, x: Any, count: int, window: Any, stride: Any, padding: Any, include: bool
) -> Tensor:
    x = asarray(x)
    if not dtypes.is_inexact(x.dtype):
        x = x.astype(dtypes.float64)
    attrs = _attrs(name, x, count, window, stride, padding)
    total = bind(POOL_SUM, (x,), attrs)
    number: Any = prod(attrs["window"])
    if not include and any(map(any, attrs["padding"])):
        number = eager_sum(np, np.ones(x.shape[x.ndim - count :], total.dtype), **attrs)
    mean: Tensor = total / number
    return mean
