"""Linear equations between tensors: matrices whose rows and columns are several axes each."""

from __future__ import annotations

from math import prod

from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import LinAlgError
from hybrid.ops._axes import some_axes
from hybrid.ops.linalg.solving import inv, solve
from hybrid.ops.permuting import permute_dims
from hybrid.ops.reshaping import ravel, reshape


def tensorinv(a: ArrayLike, /, ind: int = 2) -> Tensor:
    """Return the inverse of a tensor as a map of its last axes to its first `ind` ones.

    Parameters
    ----------
    a : array-like
        The product of the first `ind` sizes is that of the others.
    ind : int
        How many axes count as rows.

    Returns
    -------
    Tensor
        With the last axes of `a` first: ``tensordot(tensorinv(a), a, ind)`` is an identity.

    Raises
    ------
    ValueError
        Where `ind` is not positive.
    LinAlgError
        Where the products differ, or the matrix is singular.

    Examples
    --------
    >>> import hybrid as hb
    >>> a = hb.eye(6).reshape(6, 2, 3) * 2
    >>> tensorinv(a, ind=1).shape
    (2, 3, 6)
    """
    x = asarray(a)
    if ind <= 0:
        raise ValueError(located(f"tensorinv: ind is {ind}, it must be positive"))
    first, last = x.shape[:ind], x.shape[ind:]
    matrix = _matrix("tensorinv", x, first, last)
    return reshape(inv(matrix), (*last, *first))


def tensorsolve(a: ArrayLike, b: ArrayLike, /, axes: int | tuple[int, ...] | None = None) -> Tensor:
    """Return the `x` for which ``tensordot(a, x, x.ndim)`` is `b`.

    Parameters
    ----------
    a : array-like
        Of the shape of `b` followed by that of the solution; as many elements in both.
    b : array-like
    axes : int or tuple of int, optional
        Axes of `a` that are moved to its end first.

    Returns
    -------
    Tensor

    Raises
    ------
    LinAlgError
        Where the shapes make no square matrix, or it is singular.

    Examples
    --------
    >>> import hybrid as hb
    >>> a = hb.eye(6).reshape(2, 3, 6) * 2
    >>> tensorsolve(a, hb.ones((2, 3)))
    Tensor([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], dtype=float32)
    """
    x, right = asarray(a), asarray(b)
    if axes is not None:
        moved = some_axes("tensorsolve", axes, x.shape)
        x = permute_dims(x, (*(i for i in range(x.ndim) if i not in moved), *moved))
    first, last = x.shape[: right.ndim], x.shape[right.ndim :]
    matrix = _matrix("tensorsolve", x, first, last)
    return reshape(solve(matrix, ravel(right)), last)


def _matrix(name: str, x: Tensor, first: tuple[int, ...], last: tuple[int, ...]) -> Tensor:
    rows, columns = prod(first), prod(last)
    if rows != columns:
        raise LinAlgError(
            located(
                f"{name}: shape {x.shape} makes no square matrix: {rows} rows of {first}, "
                f"{columns} columns of {last}"
            )
        )
    return reshape(x, (rows, columns))
