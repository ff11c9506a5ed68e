"""Products of tensors, made of those of matrices: inner, outer, and over pairs of axes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from hybrid.core.dispatch import busy, state
from hybrid.core.heard import heard
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.errors import ShapeError
from hybrid.kernels.divided import LARGE
from hybrid.ops._axes import Axes, some_axes
from hybrid.ops._methods import as_numpy, attach
from hybrid.ops.elementwise.operands import together
from hybrid.ops.permuting import permute_dims
from hybrid.ops.products import conjugated, matmul
from hybrid.ops.reshaping import ravel, reshape


def dot(a: ArrayLike, b: ArrayLike, /, out: Any = None) -> Tensor:
    """Return NumPy's dot product.

    For matrices it is :func:`matmul`, for vectors the inner product, for a scalar the multiple;
    otherwise the sum over the last axis of `a` and the second to last of `b`.

    Parameters
    ----------
    a, b : array-like
        Of scalars, vectors, or arrays whose last and last but one axis agree.
    out : Tensor or ndarray, optional
        Which is filled.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> dot([1.0, 2.0], [3.0, 4.0])
    Tensor(11., dtype=float32)
    """
    if out is not None:
        return as_numpy(np.dot, a, b, out=out)
    if type(a) is type(b) is Tensor and a.ndim and 0 < b.ndim <= 2:
        return matmul(a, b)
    a, b = together(a, b)
    if not a.ndim or not b.ndim:
        return a * b
    if b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 2,)))


def inner(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Sum the products over the last axes of both; for scalars the plain product.

    Parameters
    ----------
    a, b : array-like
        Whose last axes agree.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> inner([[1, 2], [3, 4]], [1, 1])
    Tensor([3, 7], dtype=int64)
    """
    a, b = together(a, b)
    return a * b if not a.ndim or not b.ndim else tensordot(a, b, axes=((-1,), (-1,)))


def vdot(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Return the inner product of all elements of `a`, conjugated, with those of `b`.

    Parameters
    ----------
    a, b : array-like
        Of the same size.

    Returns
    -------
    Tensor
        Of no axis.

    Examples
    --------
    >>> vdot([1j, 2.0], [1j, 1.0])
    Tensor(3.+0.j, dtype=complex64)
    """
    return matmul(conjugated(ravel(a)), ravel(b))


def outer(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Return the products of each element of `a` with each of `b`, both raveled.

    Parameters
    ----------
    a, b : array-like

    Returns
    -------
    Tensor
        (size of `a`, size of `b`).

    Examples
    --------
    >>> outer([1, 2], [3, 4])
    Tensor([[3, 4],
            [6, 8]], dtype=int64)
    """
    if (not busy or state.plain) and type(a) is type(b) is Tensor:
        x, y, ufunc = a._data, b._data, np.multiply
        if type(x) is type(y) is np.ndarray and x.dtype is y.dtype and x.dtype.char in _USUAL:
            if x.ndim == y.ndim == 1 and x.size * y.size < LARGE:
                return wrap(heard()(ufunc, x[:, None], y))
    a, b = together(a, b)
    return reshape(a, (-1, 1)) * reshape(b, (1, -1))


_USUAL = frozenset("ilqfdFD")
"""Characters of the dtypes that NumPy multiplies as hybrid does."""


def kron(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Return the Kronecker product: each element of `a` times the whole of `b`, side by side.

    Parameters
    ----------
    a, b : array-like
        The one with fewer axes gets axes of size 1 in front.

    Returns
    -------
    Tensor
        Its size along each axis is the product of the sizes.

    Examples
    --------
    >>> kron([1, 10], [1, 2, 3])
    Tensor([ 1,  2,  3, 10, 20, 30], dtype=int64)
    """
    a, b = together(a, b)
    ndim = max(a.ndim, b.ndim)
    left = (1,) * (ndim - a.ndim) + a.shape
    right = (1,) * (ndim - b.ndim) + b.shape
    spread = reshape(a, [n for size in left for n in (size, 1)])
    block = reshape(b, [n for size in right for n in (1, size)])
    return reshape(spread * block, [m * n for m, n in zip(left, right)])


def tensordot(
    a: ArrayLike, b: ArrayLike, /, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Tensor:
    """Sum the products of two tensors over pairs of axes.

    Parameters
    ----------
    a, b : array-like
    axes : int, or a pair of sequences of int
        How many of the last axes of `a` meet the first axes of `b`; or which axes of `a` meet
        which of `b`.

    Returns
    -------
    Tensor
        The other axes of `a`, then those of `b`.

    Examples
    --------
    >>> tensordot([[1, 2], [3, 4]], [[1, 0], [0, 1]])
    Tensor(5, dtype=int64)
    """
    a, b = together(a, b)
    left, right = _contracted(a, b, axes)
    rest_a = tuple(i for i in range(a.ndim) if i not in left)
    rest_b = tuple(i for i in range(b.ndim) if i not in right)
    rows, columns = [a.shape[i] for i in rest_a], [b.shape[i] for i in rest_b]
    inner = prod(a.shape[i] for i in left)
    first = reshape(permute_dims(a, rest_a + left), (prod(rows), inner))
    second = reshape(permute_dims(b, right + rest_b), (inner, prod(columns)))
    return reshape(matmul(first, second), (*rows, *columns))


def _contracted(a: Tensor, b: Tensor, axes: Any) -> tuple[Axes, Axes]:
    if isinstance(axes, Sequence):
        if len(axes) != 2:
            text = f"tensordot: axes are those of the one and of the other array, not {axes!r}"
            raise ValueError(located(text))
        left, right = axes
    else:
        count = operator.index(axes)
        left, right = range(a.ndim - count, a.ndim), range(count)
    first, second = some_axes("tensordot", left, a.shape), some_axes("tensordot", right, b.shape)
    if [a.shape[i] for i in first] != [b.shape[i] for i in second]:
        raise ShapeError(
            located(
                f"tensordot: axes {first} of shape {a.shape} do not meet axes {second} of shape "
                f"{b.shape}: the sizes differ"
            )
        )
    return first, second


attach(dot=dot)
