"""Splitting arrays, and turning them round."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.ops._axes import one_axis, some_axes
from hybrid.ops.permuting import moveaxis, swapaxes
from hybrid.ops.slicing import flip, split


def array_split(x: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Split along an axis into parts that are as equal as they can be.

    Parameters
    ----------
    x : array-like
    indices_or_sections : int or sequence of int
        How many parts, or where to cut.
    axis : int

    Returns
    -------
    list of Tensor
        Views.

    Examples
    --------
    >>> [len(part) for part in array_split([1, 2, 3, 4, 5], 3)]
    [2, 2, 1]
    """
    x = asarray(x)
    size = x.shape[one_axis("array_split", axis, x.shape)]
    if not np.ndim(indices_or_sections):
        count = int(indices_or_sections)
        if count <= 0:
            raise ShapeError(located(f"array_split: {count} parts; there must be one at least"))
        small, rest = divmod(size, count)
        indices_or_sections = np.cumsum([small + (i < rest) for i in range(count - 1)])
    return list(split(x, [int(i) for i in indices_or_sections], axis))


def _along(name: str, x: ArrayLike, indices_or_sections: Any, axis: int) -> list[Tensor]:
    x = asarray(x)
    if x.ndim <= axis:
        raise ShapeError(located(f"{name}: shape {x.shape} has no axis {axis} to split along"))
    return list(split(x, indices_or_sections, axis))


def hsplit(x: ArrayLike, indices_or_sections: Any) -> list[Tensor]:
    """Split column by column; an array of one axis along it.

    Parameters
    ----------
    x : array-like
    indices_or_sections : int or sequence of int
        How many equal parts, or where they begin.

    Returns
    -------
    list of Tensor
        Views.

    Examples
    --------
    >>> hsplit([1, 2, 3, 4], 2)
    [Tensor([1, 2], dtype=int64), Tensor([3, 4], dtype=int64)]
    """
    x = asarray(x)
    return _along("hsplit", x, indices_or_sections, min(max(x.ndim - 1, 0), 1))


def vsplit(x: ArrayLike, indices_or_sections: Any) -> list[Tensor]:
    """Split row by row.

    Parameters
    ----------
    x : array-like
    indices_or_sections : int or sequence of int
        How many equal parts, or where they begin.

    Returns
    -------
    list of Tensor
        Views.

    Examples
    --------
    >>> vsplit([[1, 2], [3, 4]], 2)
    [Tensor([[1, 2]], dtype=int64), Tensor([[3, 4]], dtype=int64)]
    """
    x = asarray(x)
    if x.ndim < 2:
        raise ShapeError(located(f"vsplit: shape {x.shape} has fewer than two axes"))
    return _along("vsplit", x, indices_or_sections, 0)


def dsplit(x: ArrayLike, indices_or_sections: Any) -> list[Tensor]:
    """Split along the third axis.

    Parameters
    ----------
    x : array-like
    indices_or_sections : int or sequence of int
        How many equal parts, or where they begin.

    Returns
    -------
    list of Tensor
        Views.

    Examples
    --------
    >>> dsplit([[[1, 2]]], 2)
    [Tensor([[[1]]], dtype=int64), Tensor([[[2]]], dtype=int64)]
    """
    return _along("dsplit", x, indices_or_sections, 2)


def flipud(m: ArrayLike, /) -> Tensor:
    """Reverse the first axis.

    Parameters
    ----------
    m : array-like
        Of one axis at least.

    Returns
    -------
    Tensor
        A view.

    Examples
    --------
    >>> flipud([[1, 2], [3, 4]])
    Tensor([[3, 4],
            [1, 2]], dtype=int64)
    """
    return flip(m, axis=0)


def fliplr(m: ArrayLike, /) -> Tensor:
    """Reverse the second axis.

    Parameters
    ----------
    m : array-like
        Of two axes at least.

    Returns
    -------
    Tensor
        A view.

    Examples
    --------
    >>> fliplr([[1, 2], [3, 4]])
    Tensor([[2, 1],
            [4, 3]], dtype=int64)
    """
    return flip(m, axis=1)


def rot90(m: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Turn by `k` right angles in the plane of two axes, from the first towards the second.

    Parameters
    ----------
    m : array-like
    k : int
    axes : tuple of int
        Two.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> rot90([[1, 2], [3, 4]])
    Tensor([[2, 4],
            [1, 3]], dtype=int64)
    """
    m = asarray(m)
    first, second = some_axes("rot90", axes, m.shape)
    turns = k % 4
    if turns == 2:
        return flip(m, axis=(first, second))
    if turns == 1:
        return swapaxes(flip(m, axis=second), first, second)
    return flip(swapaxes(m, first, second), axis=second) if turns else m[...]


def rollaxis(x: ArrayLike, axis: int, start: int = 0) -> Tensor:
    """Move an axis back until it lies before `start`.

    Parameters
    ----------
    x : array-like
    axis, start : int

    Returns
    -------
    Tensor
        A view.

    Examples
    --------
    >>> import hybrid as hb
    >>> rollaxis(hb.ones((2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    x = asarray(x)
    axis = one_axis("rollaxis", axis, x.shape)
    start = one_axis("rollaxis", start, x.shape, extra=1)
    return moveaxis(x, axis, start - (axis < start))
