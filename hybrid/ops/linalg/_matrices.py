"""What functions of matrices check before, and say when LAPACK fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, LinAlgError
from hybrid.ops.elementwise.complex_parts import conj
from hybrid.ops.elementwise.operands import together
from hybrid.ops.permuting import matrix_transpose

Check = Callable[[str, TensorSpec], object]

_LAPACK = frozenset((dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128))


def as_lapack(name: str, x: ArrayLike) -> Tensor:
    """Return `x` in a dtype that LAPACK has: integers and booleans become float64."""
    x = asarray(x)
    if x.dtype in _LAPACK:
        return x
    if dtypes.is_inexact(x.dtype):
        raise DTypeError(
            located(f"{name}: LAPACK has no {x.dtype}; convert with x.astype(hb.float32) first")
        )
    return x.astype(dtypes.float64)


def as_lapack_pair(name: str, a: ArrayLike, b: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return `a` and `b` in the dtype of LAPACK's in which they meet."""
    a, b = (as_lapack(name, x) for x in together(a, b))
    if a.dtype == b.dtype:
        return a, b
    dtype = dtypes.promote((a.dtype, b.dtype))
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


# --- what shape rules check -----------------------------------------------------------------------


def check_matrices(name: str, x: TensorSpec) -> None:
    """Raise where `x` is no matrix and no stack of matrices, or of no dtype of LAPACK's."""
    if x.dtype not in _LAPACK:
        raise DTypeError(f"{name}: LAPACK has no {x.dtype}")
    check_axes(name, x)


def check_square(name: str, x: TensorSpec) -> None:
    """Raise where `x` is no stack of square matrices, or of no dtype of LAPACK's."""
    check_matrices(name, x)
    check_square_shape(name, x)


def check_square_shape(name: str, x: TensorSpec) -> None:
    """Raise where `x` is no stack of square matrices."""
    check_axes(name, x)
    if x.shape[-1] != x.shape[-2]:
        raise LinAlgError(
            f"{name}: shape {x.shape} is not square: the last two axes have sizes {x.shape[-2]} "
            f"and {x.shape[-1]}"
        )


def check_axes(name: str, x: TensorSpec) -> None:
    """Raise where `x` is no matrix and no stack of matrices."""
    if x.ndim < 2:
        raise LinAlgError(
            f"{name}: shape {x.shape} has {x.ndim} axes; a matrix has two, a stack of matrices more"
        )


def checked(name: str, x: Tensor, check: Check = check_matrices) -> None:
    """Check the argument of a function that is made of several ops, in the function's own name."""
    try:
        check(name, x.spec)
    except LinAlgError as error:
        raise LinAlgError(located(str(error))) from None


def real_dtype(dtype: dtypes.DType) -> dtypes.DType:
    """Return the dtype of the real part."""
    return {dtypes.complex64: dtypes.float32, dtypes.complex128: dtypes.float64}.get(dtype, dtype)


# --- what LAPACK says -----------------------------------------------------------------------------


def attempt(
    name: str, why: str, function: Callable[[Any], Any], x: Any, check: Check | None = None
) -> Any:
    """Call a function of NumPy's ``linalg``; where it fails, say at which matrix.

    Where `x` itself does not pass `check` (by default: is not square), that is the reason.
    """
    try:
        return function(x)
    except np.linalg.LinAlgError:
        (check or check_square)(name, TensorSpec(x.shape, x.dtype))
        raise LinAlgError(f"{name}: {_failing(function, x)} {why}") from None


def _failing(function: Callable[[Any], Any], x: Any) -> str:
    for index in np.ndindex(x.shape[:-2]):
        try:
            function(x[index])
        except np.linalg.LinAlgError:
            place = f" at {list(index)} of the stack" if index else ""
            return f"the matrix of shape {x.shape[-2:]}{place}"
    return f"a matrix of the stack of shape {x.shape}"


# --- words of gradients ---------------------------------------------------------------------------


def conjugate_transposed(x: Tensor) -> Tensor:
    """Return the conjugate transpose of each matrix."""
    return matrix_transpose(conj(x) if x.dtype.kind == "c" else x)


# --- how examples prepare their inputs ------------------------------------------------------------


def symmetric(x: Any) -> tuple[Any]:
    """Return a Hermitian matrix whose eigenvalues lie apart."""
    n = x.shape[-1]
    return (x + x.mT.conj() + np.diag(9 * np.arange(n)).astype(x.dtype),)


def positive_definite(x: Any) -> tuple[Any]:
    """Return a positive definite matrix."""
    return (x @ x.mT.conj() + np.eye(x.shape[-1], dtype=x.dtype),)


def regular(x: Any, *others: Any) -> tuple[Any, ...]:
    """Return a matrix far from singular, and the other inputs as they are."""
    rows, columns = x.shape[-2:]
    apart = np.diag(9.0 + 5 * np.arange(max(rows, columns))).astype(x.dtype)
    return (x + apart[:rows, :columns], *others)
