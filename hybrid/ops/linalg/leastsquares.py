"""Least squares, pseudo-inverses and ranks: what rests on which singular values count."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hybrid import dtypes
from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind, bind_all
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import LinAlgError
from hybrid.ops import reduction
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.creation import zeros
from hybrid.ops.linalg._matrices import (
    as_lapack,
    as_lapack_pair,
    attempt,
    check_matrices,
    checked,
    conjugate_transposed,
    real_dtype,
    regular,
)
from hybrid.ops.linalg.spectral import svd, svdvals
from hybrid.ops.products import conjugated, matmul
from hybrid.ops.reshaping import reshape
from hybrid.ops.searching import count_nonzero
from hybrid.ops.unit_axes import expand_dims


class LstsqResult(NamedTuple):
    """What :func:`lstsq` returns.

    Attributes
    ----------
    x : Tensor
        The solution of smallest norm.
    residuals : Tensor
        Sums of squares, column by column, where there are more rows than columns; else empty.
    rank : Tensor of int32
    s : Tensor
        The singular values.
    """

    x: Tensor
    residuals: Tensor
    rank: Tensor
    s: Tensor


def _default_rtol(x: Tensor) -> float:
    """The rounding of the largest singular value: the standard's choice, and NumPy's for ranks."""
    return max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)


# --- pinv -----------------------------------------------------------------------------------------


def _infer_pinv(x: TensorSpec, rtol: TensorSpec) -> TensorSpec:
    check_matrices("pinv", x)
    *batch, m, n = x.shape
    return TensorSpec((*batch, n, m), x.dtype, x.device)


def _eager_pinv(xp: Any, x: Any, rtol: Any) -> Any:
    why = "has singular values that did not converge; does it hold NaN or infinities?"
    return attempt("pinv", why, lambda a: xp.linalg.pinv(a, rcond=rtol), x, check_matrices)


def _vjp_pinv(g: Tensor, out: Tensor, x: Tensor, rtol: Any) -> Tensor:
    return conjugated(_pinv_gradient(conjugated(g), out, x))


def _pinv_gradient(g: Tensor, p: Tensor, x: Tensor) -> Tensor:
    """Return the gradient where the rank does not change (Golub and Pereyra 1973).

    Its products are ordered so that none is larger than `x` or the smaller of its Gram matrices.
    """
    g, p_h = conjugate_transposed(g), conjugate_transposed(p)
    if x.shape[-2] <= x.shape[-1]:
        k = matmul(g, p)
        k_p = matmul(k, p_h)
        null = matmul(matmul(p_h, p), g - matmul(k, x))
        return null - conjugate_transposed(matmul(p, k)) + k_p - matmul(matmul(x, p), k_p)
    k = matmul(p, g)
    p_k = matmul(p_h, k)
    null = matmul(matmul(g - matmul(x, k), p), p_h)
    return null - conjugate_transposed(matmul(k, p)) + p_k - matmul(matmul(p_k, p), x)


def _batch_pinv(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    x, rtol = lanes
    if not rtol.batched:
        given = rtol.tensor
        return bind(op, (x.tensor, given), attrs) if x.batched else None
    stacks = x.tensor.ndim - 2 - x.batched  # of one example; a tolerance for each, or for all
    new = tuple(range(1, 2 + stacks - rtol.tensor.ndim))
    given = expand_dims(rtol.tensor, new)
    matrices = x.tensor if x.batched else broadcast_to(x.tensor, (size, *x.tensor.shape))
    return bind(op, (matrices, given), attrs)


PINV = register(
    Op(
        name="pinv",
        family="linalg",
        batch=_batch_pinv,
        infer=_infer_pinv,
        eager=_eager_pinv,
        raises=True,
        vjp=(_vjp_pinv, None),
        examples=(
            Example(((4, 2), ()), prepare=regular, domain=(1e-6, 1e-5)),
            Example(((2, 2, 3), ()), prepare=regular, domain=(1e-6, 1e-5)),
        ),
        doc="The Moore-Penrose inverse.",
    )
)


def pinv(x: ArrayLike, /, *, rtol: ArrayLike | None = None) -> Tensor:
    """Return the Moore-Penrose inverses of matrices.

    Parameters
    ----------
    x : array-like, shape (..., m, n)
    rtol : float or array-like, optional
        Singular values up to `rtol` times the largest count as 0; ``max(m, n) * eps`` if left out.

    Returns
    -------
    Tensor, shape (..., n, m)
        Its gradient is that of matrices of the same rank.

    Raises
    ------
    LinAlgError
        Where `x` has fewer than two axes, or LAPACK fails.

    Examples
    --------
    >>> pinv([[2.0, 0.0], [0.0, 0.0]])
    Tensor([[0.5, 0. ],
            [0. , 0. ]], dtype=float32)
    """
    x = as_lapack("pinv", x)
    checked("pinv", x)
    return bind(PINV, (x, _default_rtol(x) if rtol is None else asarray(rtol)), {})


# --- matrix_rank ----------------------------------------------------------------------------------


def matrix_rank(x: ArrayLike, /, *, rtol: ArrayLike | None = None) -> Tensor:
    """Return how many singular values of matrices are not 0.

    Parameters
    ----------
    x : array-like, shape (..., m, n)
        A vector or a number counts as a matrix of one row, as in NumPy.
    rtol : float or array-like, optional
        Singular values up to `rtol` times the largest count as 0; ``max(m, n) * eps`` if left out.

    Returns
    -------
    Tensor
        Of int64.

    Raises
    ------
    LinAlgError
        Where LAPACK fails.

    Examples
    --------
    >>> matrix_rank([[1.0, 2.0], [2.0, 4.0]])
    Tensor(1, dtype=int64)
    """
    x = as_lapack("matrix_rank", x)
    if x.ndim < 2:
        return reduction.any(x != 0).astype(dtypes.int64)
    if 0 in x.shape[-2:]:
        return zeros(x.shape[:-2], dtype=dtypes.int64, device=x.device)
    values = svdvals(x)
    share = asarray(_default_rtol(x) if rtol is None else rtol)
    limit = values[..., :1] * (expand_dims(share, -1) if share.ndim else share)
    return count_nonzero(values > limit, axis=-1)


# --- lstsq ----------------------------------------------------------------------------------------


def _infer_lstsq(a: TensorSpec, b: TensorSpec, *, rcond: float) -> tuple[TensorSpec, ...]:
    check_matrices("lstsq", a)
    if a.ndim != 2 or b.ndim not in (1, 2):
        raise LinAlgError(
            f"lstsq: takes one matrix and one or two axes on the right, not shapes {a.shape} and "
            f"{b.shape}"
        )
    m, n = a.shape
    if b.shape[0] != m:
        raise LinAlgError(
            f"lstsq: shapes {a.shape} and {b.shape} do not fit: {m} rows and {b.shape[0]} rows"
        )
    real = real_dtype(a.dtype)
    columns = b.shape[1] if b.ndim == 2 else 1
    return (
        TensorSpec((n, *b.shape[1:]), a.dtype, a.device),
        TensorSpec((columns if m > n else 0,), real, a.device),
        TensorSpec((), dtypes.int32, a.device),
        TensorSpec((min(m, n),), real, a.device),
    )


def _eager_lstsq(xp: Any, a: Any, b: Any, *, rcond: float) -> Any:
    function = lambda matrix: xp.linalg.lstsq(matrix, b, rcond=rcond)
    check = lambda _, spec: _infer_lstsq(spec, TensorSpec(b.shape, b.dtype), rcond=rcond)
    why = "has singular values that did not converge; does it hold NaN or infinities?"
    x, residuals, rank, s = attempt("lstsq", why, function, a, check)
    if a.shape[0] > a.shape[1] and not residuals.size:  # of a rank less than the columns
        left = (b - a @ x).reshape(a.shape[0], -1)
        residuals = (left * left.conj()).real.sum(axis=0)
    return x, residuals, xp.asarray(rank, dtypes.int32), s


def _joint_vjp_lstsq(
    wanted: Any, g: Any, out: Any, a: Tensor, b: Tensor, *, rcond: float
) -> tuple[Tensor, Tensor]:
    g_x, g_residuals, _, g_s = g
    side = reshape(b, (b.shape[0], -1))
    x = reshape(out[0], (a.shape[1], -1))
    g_a: Any = zeros(a.shape, dtype=a.dtype)
    g_b: Any = zeros(side.shape, dtype=b.dtype)
    if g_x is not None:
        g_x = conjugated(reshape(g_x, x.shape))
        inverse = pinv(a, rtol=rcond)
        g_b = g_b + matmul(conjugate_transposed(inverse), g_x)
        g_a = g_a + _pinv_gradient(matmul(g_x, conjugate_transposed(side)), inverse, a)
    if g_residuals is not None and a.shape[0] > a.shape[1]:
        pull = 2 * g_residuals * (side - matmul(a, x))
        g_b = g_b + pull
        g_a = g_a - matmul(pull, conjugate_transposed(x))
    if g_s is not None:
        u, _, vh = svd(a, full_matrices=False)
        g_a = g_a + matmul(u * g_s, vh)
    return conjugated(g_a), reshape(conjugated(g_b), b.shape)


LSTSQ = register(
    Op(
        name="lstsq",
        family="linalg",
        infer=_infer_lstsq,
        eager=_eager_lstsq,
        raises=True,
        joint_vjp=_joint_vjp_lstsq,
        multi=True,
        examples=(
            Example(((4, 2), (4,)), {"rcond": 1e-12}, prepare=regular),
            Example(((4, 2), (4, 3)), {"rcond": 1e-6}, prepare=regular),
            Example(((2, 3), (2, 2)), {"rcond": 1e-6}, prepare=regular),
        ),
        doc="Least squares.",
    )
)


def lstsq(a: ArrayLike, b: ArrayLike, /, rcond: float | None = None) -> LstsqResult:
    """Return the `x` of least norm that makes the norm of ``b - a @ x`` least.

    Parameters
    ----------
    a : array-like, shape (m, n)
    b : array-like, shape (m,) or (m, k)
    rcond : float, optional
        Singular values up to `rcond` times the largest count as 0; ``max(m, n) * eps`` if left out.

    Returns
    -------
    LstsqResult
        ``x`` (n,) or (n, k); ``residuals``, the sum of squares left in each column where ``m > n``
        and otherwise empty (NumPy leaves them out for a rank below n too, which is known only when
        the numbers are); ``rank``; the singular values ``s``.

    Raises
    ------
    LinAlgError
        For stacks of matrices, and where LAPACK fails.
    ShapeError
        Where the numbers of rows differ.

    Examples
    --------
    >>> lstsq([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0]).x.round(3)
    Tensor([1., 2.], dtype=float32)
    """
    a, b = as_lapack_pair("lstsq", a, b)
    checked("lstsq", a)
    limit = _default_rtol(a) if rcond is None else float(rcond)
    return LstsqResult(*bind_all(LSTSQ, (a, b), {"rcond": limit}))
