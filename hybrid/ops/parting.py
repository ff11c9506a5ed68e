"""Putting what is smaller than an element in front of it, and what is larger behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops._axes import one_axis
from hybrid.ops._methods import attach
from hybrid.ops.inplace import write
from hybrid.ops.reshaping import ravel
from hybrid.ops.sorting import argsort, sort


def partition(x: ArrayLike, kth: Any, /, axis: int | None = -1) -> Tensor:
    """Put smaller elements in front of the `kth` along an axis, and larger ones behind.

    All are sorted here, which is one of the orders that this allows; of the others NumPy may take
    another one.

    Parameters
    ----------
    x : array-like
    kth : int or sequence of int
        Places whose elements are where a sort would put them.
    axis : int, optional
        None ravels `x`.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        For a place outside the axis.

    Examples
    --------
    >>> partition([3, 1, 2, 0], 1)
    Tensor([0, 1, 2, 3], dtype=int64)
    """
    x = asarray(x)
    _check_places("partition", x, kth, axis)
    if axis is None:
        x, axis = ravel(x), -1
    return sort(x, axis=axis)


def argpartition(x: ArrayLike, kth: Any, /, axis: int | None = -1) -> Tensor:
    """Return the indices that part along an axis; arguments as of :func:`partition`.

    Examples
    --------
    >>> argpartition([3, 1, 2, 0], 1)
    Tensor([3, 1, 2, 0], dtype=int64)
    """
    x = asarray(x)
    _check_places("argpartition", x, kth, axis)
    return argsort(x, axis=axis)


def _check_places(name: str, x: Tensor, kth: Any, axis: int | None) -> None:
    n = x.size if axis is None else x.shape[one_axis(name, axis, x.shape)]
    for k in np.atleast_1d(np.asarray(kth)):
        if x.size and not -n <= k < n:
            raise ValueError(located(f"{name}: kth is {k}, there are {n} elements"))


def _check_way(kind: Any, order: Any) -> None:
    if kind != "introselect" or order is not None:
        np.empty(1).partition(0, kind=kind, order=order)  # for NumPy to refuse what is wrong


def _partition_method(
    self: Tensor, kth: Any, axis: int = -1, kind: str = "introselect", order: Any = None
) -> None:
    """Part in place along an axis, as the method of ndarray does; see :func:`partition`.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.asarray([3, 1, 2])
    >>> x.partition(1)
    >>> x[1]
    Tensor(2, dtype=int64)
    """
    _check_way(kind, order)
    write(self, partition(self, kth, axis))


def _argpartition_method(
    self: Tensor, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None
) -> Tensor:
    """Return the indices that part along an axis; see :func:`argpartition`.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.asarray([3, 1, 2]).argpartition(1)[1]
    Tensor(2, dtype=int64)
    """
    _check_way(kind, order)
    return argpartition(self, kth, axis)


attach(partition=_partition_method, argpartition=_argpartition_method)
