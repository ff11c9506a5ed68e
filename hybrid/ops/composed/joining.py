"""Joining arrays, taking parts out, building matrices of diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.variable import Variable
from hybrid.core.watched import noted
from hybrid.errors import ShapeError
from hybrid.ops._axes import one_axis
from hybrid.ops.copying import laid
from hybrid.ops.diagonals import diagonal
from hybrid.ops.elementwise.operands import each_of, together
from hybrid.ops.elementwise.selection import where
from hybrid.ops.indexing import take
from hybrid.ops.joining import concat
from hybrid.ops.ordering import beside
from hybrid.ops.rearranging import pad
from hybrid.ops.reshaping import ravel, reshape
from hybrid.ops.unit_axes import expand_dims
from hybrid.ops.unit_matrices import eye


def _each(arrays: tuple[ArrayLike, ...], raised: Any) -> Any:
    results = tuple(raised(asarray(x)) for x in arrays)
    return results[0] if len(results) == 1 else results


def atleast_1d(*arrays: ArrayLike) -> Any:
    """Return arrays with one axis at least; several as a tuple.

    Parameters
    ----------
    *arrays : array-like

    Returns
    -------
    Tensor or tuple of Tensor

    Examples
    --------
    >>> atleast_1d(3.0).shape
    (1,)
    """
    return _each(arrays, lambda x: x if x.ndim else reshape(x, 1))


def atleast_2d(*arrays: ArrayLike) -> Any:
    """Return arrays with two axes at least, vectors as rows; several as a tuple.

    Parameters
    ----------
    *arrays : array-like

    Returns
    -------
    Tensor or tuple of Tensor

    Examples
    --------
    >>> atleast_2d([1.0, 2.0]).shape
    (1, 2)
    """
    return _each(arrays, lambda x: x if x.ndim >= 2 else reshape(x, (1, x.size)))


def atleast_3d(*arrays: ArrayLike) -> Any:
    """Return arrays with three axes at least; several as a tuple.

    A vector becomes (1, n, 1), a matrix (m, n, 1).

    Parameters
    ----------
    *arrays : array-like

    Returns
    -------
    Tensor or tuple of Tensor

    Examples
    --------
    >>> atleast_3d([1.0, 2.0]).shape
    (1, 2, 1)
    """
    return _each(arrays, _with_three_axes)


def _with_three_axes(x: Tensor) -> Tensor:
    if x.ndim >= 3:
        return x
    return expand_dims(x, axis=2) if x.ndim == 2 else reshape(x, (1, x.size, 1))


def column_stack(tup: Sequence[ArrayLike], /) -> Tensor:
    """Join vectors as the columns of a matrix; matrices are joined as they are.

    Parameters
    ----------
    tup : sequence of array-like
        Of the same length.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> column_stack([[1, 2], [3, 4]])
    Tensor([[1, 3],
            [2, 4]], dtype=int64)
    """
    columns = [t if t.ndim >= 2 else reshape(t, (t.size, 1)) for t in each_of("column_stack", tup)]
    return concat(columns, axis=1)


def dstack(tup: Sequence[ArrayLike], /) -> Tensor:
    """Join arrays along the third axis.

    Parameters
    ----------
    tup : sequence of array-like

    Returns
    -------
    Tensor

    Examples
    --------
    >>> dstack([[1, 2], [3, 4]])
    Tensor([[[1, 3],
             [2, 4]]], dtype=int64)
    """
    return concat([atleast_3d(x) for x in each_of("dstack", tup)], axis=2)


def append(arr: ArrayLike, values: ArrayLike, axis: int | None = None) -> Tensor:
    """Return `arr` with `values` behind it along an axis; both raveled without one.

    Parameters
    ----------
    arr, values : array-like
    axis : int, optional
        Both are raveled if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> append([[1, 2]], [[3, 4]], axis=0)
    Tensor([[1, 2],
            [3, 4]], dtype=int64)
    """
    front, behind = together(arr, beside(values, arr))
    if axis is None:
        return concat([ravel(front), ravel(behind)])
    return concat([front, behind], axis=axis)


def delete(arr: ArrayLike, obj: Any, axis: int | None = None) -> Tensor:
    """Return `arr` without some places of an axis; raveled without an axis.

    Parameters
    ----------
    arr : array-like
    obj : int, slice, or sequence of int or bool
        The places; they are Python's or NumPy's values, since the shape of the result depends on
        them.
    axis : int, optional

    Returns
    -------
    Tensor

    Examples
    --------
    >>> delete([1, 2, 3], 1)
    Tensor([1, 3], dtype=int64)
    """
    x = asarray(arr)
    if axis is None:
        x, axis = ravel(x), 0
    axis = one_axis("delete", axis, x.shape)
    if isinstance(obj, Tensor | Variable):  # how many are left depends on what it holds
        obj = asarray(obj).numpy()
    obj = noted(obj)
    kept = np.delete(np.arange(x.shape[axis]), obj)
    if not isinstance(obj, slice) and (np.size(obj) != 1 or np.asarray(obj).dtype.kind == "b"):
        return x[(slice(None),) * axis + (kept,)]  # as NumPy does, and so laid out
    return laid(take(x, kept, axis=axis), x, "A")


def block(arrays: Any) -> Tensor:
    """Join nested lists of arrays: the innermost along the last axis, and so on outwards.

    Parameters
    ----------
    arrays : nested list of array-like

    Returns
    -------
    Tensor

    Examples
    --------
    >>> block([[asarray([[1, 2]]), asarray([[3]])], [asarray([[4, 5, 6]])]])
    Tensor([[1, 2, 3],
            [4, 5, 6]], dtype=int64)
    """
    depth = _depth(arrays)
    ndim = max([depth, *(x.ndim for x in _leaves(arrays))])
    return _block(arrays, depth, ndim)


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(x) for x in arrays}
    if len(depths) != 1:
        raise ShapeError(located("block: the lists are not all nested alike"))
    return depths.pop() + 1


def _leaves(arrays: Any) -> list[Tensor]:
    if isinstance(arrays, list):
        return [leaf for x in arrays for leaf in _leaves(x)]
    return [asarray(arrays)]


def _block(arrays: Any, depth: int, ndim: int) -> Tensor:
    if not isinstance(arrays, list):
        x = asarray(arrays)
        return reshape(x, (1,) * (ndim - x.ndim) + x.shape)
    return concat([_block(x, depth - 1, ndim) for x in arrays], axis=ndim - depth)


def diag(v: ArrayLike, k: int = 0) -> Tensor:
    """Return diagonal `k` of a matrix, or the matrix with a vector on diagonal `k`.

    Parameters
    ----------
    v : array-like
        Of one or two axes.
    k : int
        Above the main diagonal where positive.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> diag([1, 2])
    Tensor([[1, 0],
            [0, 2]], dtype=int64)
    """
    v = asarray(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ShapeError(located(f"diag: shape {v.shape} must have one or two axes"))
    columns = pad(v, (max(k, 0), max(-k, 0)))
    on = eye(columns.size, k=k, dtype=dtypes.bool_, device=v.device)
    return where(on, columns, 0).astype(v.dtype, copy=False)


def diagflat(v: ArrayLike, k: int = 0) -> Tensor:
    """Return the matrix with the raveled elements on diagonal `k`.

    Parameters
    ----------
    v : array-like
    k : int
        Above the main diagonal, or below it where negative.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> diagflat([1, 2])
    Tensor([[1, 0],
            [0, 2]], dtype=int64)
    """
    return diag(ravel(asarray(v)), k)
