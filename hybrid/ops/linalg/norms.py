"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import at_once, bind, busy
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, LinAlgError
from hybrid.ops import reduction
from hybrid.ops._axes import Axes, all_axes, lead_axis, some_axes, without
from hybrid.ops.elementwise.arithmetic import absolute, sqrt
from hybrid.ops.elementwise.selection import where
from hybrid.ops.linalg._matrices import as_lapack, check_axes, check_square, checked, real_dtype
from hybrid.ops.linalg.determinants import slogdet
from hybrid.ops.linalg.solving import inv
from hybrid.ops.linalg.spectral import svdvals
from hybrid.ops.permuting import moveaxis
from hybrid.ops.products import conjugated
from hybrid.ops.reduction.declare import restore
from hybrid.ops.searching import count_nonzero
from hybrid.ops.unit_axes import expand_dims, squeeze
from hybrid.ops.unit_matrices import eye


def _largest(sizes: Tensor, axis: int | Axes, keepdims: bool = False) -> Tensor:
    """Return the largest of sizes, which is 0 where there are none."""
    axes = (axis,) if isinstance(axis, int) else axis
    if 0 in (sizes.shape[a] for a in axes):
        return sizes.sum(axis=axis, keepdims=keepdims)
    return sizes.max(axis=axis, keepdims=keepdims)


_REAL = (dtypes.float32, dtypes.float64)

_REDUCE: dict[Any, Any] = {
    "nuc": reduction.sum,
    **dict.fromkeys((1, 2, np.inf), _largest),
    **dict.fromkeys((-1, -2, -np.inf), reduction.min),
}


def _infer_norm(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
    if not dtypes.is_inexact(x.dtype):
        raise DTypeError(f"norm: takes real and complex numbers, not {x.dtype}")
    return TensorSpec(without(x.shape, axis, keepdims), real_dtype(x.dtype), x.device)


def _eager_norm(xp: Any, x: Any, *, axis: Axes, keepdims: bool) -> Any:
    if len(axis) == x.ndim and not keepdims and x.dtype in _REAL:
        row = x.ravel("K")  # one call of BLAS, as in `numpy.linalg.norm`
        return xp.sqrt(row.dot(row))
    wide = x.astype(dtypes.float32) if x.dtype.itemsize == 2 else x
    found = xp.linalg.vector_norm(wide, axis=axis, keepdims=keepdims)
    return xp.asarray(found).astype(real_dtype(x.dtype), copy=False)


def _expand_norm(x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor:
    wide = x.astype(dtypes.float32, copy=False) if x.dtype.itemsize == 2 else x
    return sqrt((wide * wide).sum(axis=axis, keepdims=keepdims)).astype(x.dtype, copy=False)


def _vjp_norm(g: Tensor, out: Tensor, x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor:
    # Divided by infinity: at the origin this gradient, which is 0, has no slope either.
    length = restore(out, axis, keepdims)
    return restore(g, axis, keepdims) * conjugated(x) / where(length == 0, math.inf, length)


NORM = register(
    Op(
        name="norm",
        family="linalg",
        lead=lead_axis,
        infer=_infer_norm,
        eager=_eager_norm,
        expand=_expand_norm,
        vjp=(_vjp_norm,),
        examples=(
            Example(((3,),), {"axis": (0,), "keepdims": False}),
            Example(((2, 3, 4),), {"axis": (0, 2), "keepdims": True}),
            Example(((2, 3),), {"axis": (0, 1), "keepdims": False}),
        ),
        doc="The root of the sum of squared magnitudes along axes.",
    )
)


def vector_norm(
    x: ArrayLike, /, *, axis: int | Axes | None = None, keepdims: bool = False, ord: Any = 2
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
    if dtypes.is_half(x.dtype):  # whose squares overflow early
        wide = x.astype(dtypes.float32)
        return vector_norm(wide, axis=axis, keepdims=keepdims, ord=ord).astype(x.dtype)
    if isinstance(ord, str):
        raise ValueError(located(f"vector_norm: there is no order {ord!r} for vectors"))
    axes = all_axes("vector_norm", axis, x.shape)
    if ord == 2:
        return bind(NORM, (x,), {"axis": axes, "keepdims": keepdims})
    size = absolute(x)
    if ord == 0:
        return count_nonzero(x, axis=axes, keepdims=keepdims).astype(size.dtype)
    if ord == np.inf:
        return _largest(size, axes, keepdims)
    if ord == -np.inf:
        return size.min(axis=axes, keepdims=keepdims)
    if ord == 1:
        return size.sum(axis=axes, keepdims=keepdims)
    powered: Tensor = (size**ord).sum(axis=axes, keepdims=keepdims)
    root: Tensor = powered ** (1 / ord)
    # A root has no slope at 0; the norm of zeros has the gradient 0.
    return root if ord < 0 else where(powered == 0, 0, root)


def matrix_norm(
    x: ArrayLike, /, *, keepdims: bool = False, ord: float | str | None = "fro"
) -> Tensor:
    """Return the norms of matrices, which lie along the last two axes.

    Parameters
    ----------
    x : array-like
    keepdims : bool
        Keep the last two axes with size 1.
    ord : {"fro", "nuc", 1, -1, 2, -2, inf, -inf}
        The root of the sum of squares; the sum of singular values; the largest (where negative the
        smallest) sum of a column's magnitudes, singular value, sum of a row's magnitudes.

    Returns
    -------
    Tensor

    Raises
    ------
    LinAlgError
        Where `x` has fewer than two axes.
    ValueError
        For another `ord`.

    Examples
    --------
    >>> matrix_norm([[1.0, 2.0], [3.0, -4.0]], ord=1)
    Tensor(6., dtype=float32)
    """
    x = asarray(x)
    if ord in ("nuc", 2, -2) or not dtypes.is_inexact(x.dtype):
        x = as_lapack("matrix_norm", x)
    checked("matrix_norm", x, check_axes)
    if ord is None or ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    reduce = _REDUCE.get(ord)
    if reduce is None:
        raise ValueError(located(f"matrix_norm: there is no order {ord!r} for matrices"))
    if ord in ("nuc", 2, -2):
        found = reduce(svdvals(x), axis=-1)
        return expand_dims(found, (-2, -1)) if keepdims else found
    columns = ord in (1, -1)
    sums = absolute(x).sum(axis=-2 if columns else -1, keepdims=True)
    found = reduce(sums, axis=-1 if columns else -2, keepdims=True)
    return found if keepdims else squeeze(found, (-2, -1))


def norm(
    x: ArrayLike,
    /,
    ord: float | str | None = None,
    axis: int | Axes | None = None,
    keepdims: bool = False,
) -> Tensor:
    """Return a norm of vectors or matrices, by NumPy's rules.

    Parameters
    ----------
    x : array-like
    ord : number or {"fro", "nuc"}, optional
        See :func:`vector_norm` and :func:`matrix_norm`. Left out: the root of the sum of squares.
    axis : int or pair of int, optional
        One axis for norms of vectors, two for norms of matrices. Left out: `x` is one vector or one
        matrix, or, where `ord` is left out too, the vector of all its elements.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        Where `ord` does not fit, or more than two axes are left.

    Examples
    --------
    >>> norm([3.0, 4.0])
    Tensor(5., dtype=float32)
    >>> norm([[1.0, 2.0], [3.0, 4.0]], ord=np.inf)
    Tensor(7., dtype=float32)
    """
    if ord is None and axis is None and not keepdims and type(x) is Tensor:
        if not busy and x.dtype in _REAL:
            found = at_once(NORM, x, {"axis": tuple(range(x.ndim)), "keepdims": False})
            if found is not None:
                return found
    x = asarray(x)
    if ord is None and axis is None:
        return vector_norm(x, keepdims=keepdims)
    axes = tuple(range(x.ndim)) if axis is None else some_axes("norm", axis, x.shape)
    if len(axes) == 1:
        return vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)
    if len(axes) != 2:
        raise ValueError(
            located(f"norm: a norm is over one axis or two, not over {axes} of shape {x.shape}")
        )
    found = matrix_norm(moveaxis(x, axes, (-2, -1)), ord=ord)
    return expand_dims(found, axes) if keepdims else found


def _check_elements(name: str, x: TensorSpec) -> None:
    check_axes(name, x)
    if 0 in x.shape[-2:]:
        raise LinAlgError(f"{name}: matrices of shape {x.shape[-2:]} have no elements")


def cond(x: ArrayLike, /, p: float | str | None = None) -> Tensor:
    """Return the condition numbers of matrices.

    Parameters
    ----------
    x : array-like
        Matrices along the last two axes.
    p : optional
        The order of the norm, as in :func:`matrix_norm`; left out, the 2-norm: the largest singular
        value by the smallest.

    Returns
    -------
    Tensor
        Infinity for a singular matrix.

    Raises
    ------
    LinAlgError
        Where a matrix is not square and `p` is neither 2 nor -2 nor left out, or has no elements.

    Examples
    --------
    >>> cond([[2.0, 0.0], [0.0, 1.0]])
    Tensor(2., dtype=float32)
    """
    x = as_lapack("cond", x)
    checked("cond", x, _check_elements)
    if p not in (None, 2, -2):
        checked("cond", x, check_square)
        singular = slogdet(x).sign == 0
        one = eye(x.shape[-1], dtype=x.dtype, device=x.device)
        regular = where(singular[..., None, None], one, x)
        found = matrix_norm(x, ord=p) * matrix_norm(inv(regular), ord=p)
        return where(singular, np.inf, found)
    checked("cond", x)
    values = svdvals(x)
    large, small = values[..., 0], values[..., -1]
    if p == -2:
        return small / large
    singular = small == 0
    return where(singular, np.inf, large / where(singular, 1, small))
