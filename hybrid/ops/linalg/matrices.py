"""Functions of matrices: diagonals and traces, powers, chains of products, exponentials."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import LinAlgError, ShapeError
from hybrid.ops import diagonals
from hybrid.ops._axes import lead_as_is, one_axis
from hybrid.ops.broadcasting import broadcast_arrays, broadcast_to
from hybrid.ops.creation import zeros
from hybrid.ops.elementwise.operands import together
from hybrid.ops.joining import concat, stack
from hybrid.ops.linalg._matrices import (
    as_lapack,
    check_square,
    check_square_shape,
    checked,
)
from hybrid.ops.linalg.contraction import einsum
from hybrid.ops.linalg.solving import inv
from hybrid.ops.permuting import matrix_transpose, moveaxis
from hybrid.ops.products import matmul
from hybrid.ops.tensor_products import outer as _outer
from hybrid.ops.unit_matrices import eye

# --- diagonals ------------------------------------------------------------------------------------


def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Tensor:
    """Return the diagonals of matrices, as views that can be written to.

    Parameters
    ----------
    x : array-like, shape (..., m, n)
    offset : int
        How far the diagonal lies above (where negative: below) the main one.

    Returns
    -------
    Tensor, shape (..., k)

    Raises
    ------
    ShapeError
        Where `x` has fewer than two axes.

    Examples
    --------
    >>> diagonal([[1, 2], [3, 4]])
    Tensor([1, 4], dtype=int64)
    """
    return diagonals.diagonal(x, offset, -2, -1)


def trace(x: ArrayLike, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """Return the sums of the diagonals of matrices; see :func:`diagonal`.

    Parameters
    ----------
    x : array-like, shape (..., m, n)
    offset : int
    dtype : dtype, optional
        To add in and to return; left out, as in :func:`sum`.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> trace([[1, 2], [3, 4]])
    Tensor(5, dtype=int64)
    """
    return diagonals.trace(x, offset, -2, -1, dtype)


# --- products -------------------------------------------------------------------------------------


def cross(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """Return the cross products of vectors of three elements.

    Parameters
    ----------
    x1, x2 : array-like
        Of shapes that broadcast.
    axis : int
        The axis of both along which the vectors lie.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where the size along `axis` is not 3.

    Examples
    --------
    >>> cross([1, 0, 0], [0, 1, 0])
    Tensor([0, 0, 1], dtype=int64)
    """
    a, b = together(x1, x2)
    i, j = one_axis("cross", axis, a.shape), one_axis("cross", axis, b.shape)
    if a.shape[i] != 3 or b.shape[j] != 3:
        raise ShapeError(
            located(
                f"cross: shapes {a.shape} and {b.shape} have sizes {a.shape[i]} and {b.shape[j]} "
                f"along axis {axis}; a cross product is of vectors of 3 elements"
            )
        )
    a, b = broadcast_arrays(moveaxis(a, i, -1), moveaxis(b, j, -1))
    (a0, a1, a2), (b0, b1, b2) = ([v[..., k] for k in range(3)] for v in (a, b))
    found = stack((a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0), axis=-1)
    return moveaxis(found, -1, axis)


def outer(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the products of each element of one vector with each of another.

    Parameters
    ----------
    x1, x2 : array-like, of one axis
        ``hb.outer`` takes any shape.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where one is no vector.

    Examples
    --------
    >>> outer([1, 2], [3, 4])
    Tensor([[3, 4],
            [6, 8]], dtype=int64)
    """
    a, b = together(x1, x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(located(f"outer: shapes {a.shape} and {b.shape} are not both vectors'"))
    return _outer(a, b)


def multi_dot(arrays: Sequence[ArrayLike], /) -> Tensor:
    """Return the product of several matrices, in the order that costs least.

    Parameters
    ----------
    arrays : sequence of array-like
        At least two matrices; the first and the last may be vectors.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where shapes do not fit.

    Examples
    --------
    >>> multi_dot([[[1, 2], [3, 4]], [[1, 0], [0, 1]], [1, 1]])
    Tensor([3, 7], dtype=int64)
    """
    tensors = [asarray(x) for x in arrays]
    shapes = [t.shape for t in tensors]
    if len(tensors) < 2:
        raise ShapeError(located(f"multi_dot: needs two arrays or more, given {len(tensors)}"))
    inner_fit = all(len(s) == 2 for s in shapes[1:-1])
    if not inner_fit or any(len(s) not in (1, 2) for s in (shapes[0], shapes[-1])):
        raise LinAlgError(
            located(f"multi_dot: shapes {shapes} are not matrices with vectors at the ends at most")
        )
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if len(tensors) >= len(letters):
        half = len(tensors) // 2
        return matmul(multi_dot(tensors[:half]), multi_dot(tensors[half:]))
    for left, right in pairwise(shapes):
        if left[-1] != right[0]:
            raise ShapeError(
                located(f"multi_dot: shapes {left} and {right} of neighbours do not fit")
            )
    terms = [letters[i : i + 2] for i in range(len(tensors))]
    terms[0], terms[-1] = terms[0][-len(shapes[0]) :], terms[-1][: len(shapes[-1])]
    result = terms[0][: len(shapes[0]) - 1] + terms[-1][1:]
    return einsum(f"{','.join(terms)}->{result}", *tensors, optimize="dp")


def matrix_power(x: ArrayLike, n: int, /) -> Tensor:
    """Return matrices multiplied by themselves.

    Parameters
    ----------
    x : array-like, shape (..., m, m)
    n : int
        0 gives identity matrices, a negative number powers of the inverse.

    Returns
    -------
    Tensor

    Raises
    ------
    LinAlgError
        Where `x` is not square, or is singular and `n` negative.

    Examples
    --------
    >>> matrix_power([[1, 1], [0, 1]], 5)
    Tensor([[1, 5],
            [0, 1]], dtype=int64)
    """
    x, n = asarray(x), operator.index(n)
    checked("matrix_power", x, check_square_shape)
    if n == 0:
        return broadcast_to(eye(x.shape[-1], dtype=x.dtype, device=x.device), x.shape).copy()
    if n < 0:
        x, n = inv(x), -n
    found = None
    while n:
        n, odd = divmod(n, 2)
        if odd:
            found = x if found is None else matmul(found, x)
        x = matmul(x, x) if n else x
    assert found is not None
    return found


# --- expm -----------------------------------------------------------------------------------------


def _infer_expm(x: TensorSpec) -> TensorSpec:
    check_square("expm", x)
    return x


def _eager_expm(xp: Any, x: Any) -> Any:
    package = "scipy.linalg" if xp.__name__ == "numpy" else "cupyx.scipy.linalg"
    return xp.asarray(import_module(package).expm(x)).astype(x.dtype, copy=False)


def _vjp_expm(g: Tensor, out: Tensor, x: Tensor) -> Tensor:
    """Return the derivative of the exponential of the transpose in the direction `g`.

    It is a block of the exponential of a matrix of twice the size (Van Loan 1978).
    """
    n = x.shape[-1]
    transposed = matrix_transpose(x)
    top = concat((transposed, g), axis=-1)
    bottom = concat((zeros(x.shape, dtype=x.dtype), transposed), axis=-1)
    return bind(EXPM, (concat((top, bottom), axis=-2),), {})[..., :n, n:]


EXPM = register(
    Op(
        name="expm",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_expm,
        eager=_eager_expm,
        vjp=(_vjp_expm,),
        examples=(Example(((3, 3),)), Example(((2, 2, 2),))),
        doc="The exponential of a matrix.",
    )
)


def expm(x: ArrayLike, /) -> Tensor:
    """Return the exponentials of square matrices (SciPy's function).

    Parameters
    ----------
    x : array-like, shape (..., n, n)

    Returns
    -------
    Tensor

    Raises
    ------
    LinAlgError
        Where `x` is not square.

    Examples
    --------
    >>> expm([[0.0, 1.0], [0.0, 0.0]])
    Tensor([[1., 1.],
            [0., 1.]], dtype=float32)
    """
    return bind(EXPM, (as_lapack("expm", x),), {})
