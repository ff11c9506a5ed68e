"""Norms of vectors and matrices."""

from __future__ import annotations

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import located
from hybrid.core.tensor import ArrayLike, Tensor, asarray
from hybrid.ops import searching
from hybrid.ops._axes import Axes, all_axes
from hybrid.ops.elementwise.arithmetic import absolute, sqrt
from hybrid.ops.elementwise.selection import where


def vector_norm(
    x: ArrayLike, /, *, axis: int | Axes | None = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """Return the norm of vectors that lie along axes.

    The gradient of the 2-norm at the origin is taken as 0.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        Left out: all elements are one vector.
    keepdims : bool
        Keep the reduced axes with size 1.
    ord : number
        The order: 1, 2, any other power, ``inf``, ``-inf``, or 0 to count what is not zero.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> vector_norm([3.0, 4.0])
    Tensor(5., dtype=float32)
    """
    x = asarray(x)
    if not dtypes.is_inexact(x.dtype):
        x = x.astype(dtypes.float64)
    axes = all_axes("vector_norm", axis, x.shape)
    if x.dtype.kind == "c":
        x = absolute(x)
    if ord == 2:
        total = (x * x).sum(axis=axes, keepdims=keepdims)
        at_origin = total == 0
        return where(at_origin, 0, sqrt(where(at_origin, 1, total))).astype(x.dtype, copy=False)
    if ord == 0:
        return searching.count_nonzero(x, axis=axes, keepdims=keepdims).astype(x.dtype)
    size = absolute(x)
    if ord == np.inf:
        return size.max(axis=axes, keepdims=keepdims)
    if ord == -np.inf:
        return size.min(axis=axes, keepdims=keepdims)
    if ord == 1:
        return size.sum(axis=axes, keepdims=keepdims)
    return (size**ord).sum(axis=axes, keepdims=keepdims) ** (1 / ord)


def norm(
    x: ArrayLike,
    /,
    ord: float | str | None = None,
    axis: int | Axes | None = None,
    *,
    keepdims: bool = False,
) -> Tensor:
    """Return a vector norm, or the Frobenius norm of matrices (``ord="fro"`` or left out)."""
    if ord is None or ord == "fro":
        return vector_norm(x, axis=axis, keepdims=keepdims)
    x = asarray(x)
    axes = all_axes("norm", axis, x.shape)
    if isinstance(ord, str) or len(axes) != 1:
        raise ValueError(
            located(f"norm: order {ord!r} over axes {axes} of shape {x.shape} is not supported")
        )
    return vector_norm(x, axis=axes, keepdims=keepdims, ord=ord)
