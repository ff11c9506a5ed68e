"""Factors of matrices: Cholesky's, and an orthogonal by a triangular one."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from hybrid.core.dispatch import bind, bind_all
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import GradientError
from hybrid.ops._axes import lead_as_is
from hybrid.ops.creation import zeros
from hybrid.ops.elementwise.complex_parts import real
from hybrid.ops.joining import concat
from hybrid.ops.linalg._matrices import (
    as_lapack,
    attempt,
    check_matrices,
    check_square,
    conjugate_transposed,
    positive_definite,
    regular,
)
from hybrid.ops.linalg.solving import solve_triangular
from hybrid.ops.products import conjugated, matmul
from hybrid.ops.triangles import tril, triu
from hybrid.ops.unit_matrices import eye


class QRResult(NamedTuple):
    """What :func:`qr` returns.

    Attributes
    ----------
    Q : Tensor
        Its columns are orthonormal.
    R : Tensor
        Upper triangular.
    """

    Q: Tensor
    R: Tensor


# --- cholesky -------------------------------------------------------------------------------------


def _infer_cholesky(x: TensorSpec, *, upper: bool) -> TensorSpec:
    check_square("cholesky", x)
    return x


def _eager_cholesky(xp: Any, x: Any, *, upper: bool) -> Any:
    function = lambda a: xp.linalg.cholesky(a, upper=upper)
    return attempt("cholesky", "is not positive definite", function, x)


def _vjp_cholesky(g: Tensor, out: Tensor, x: Tensor, *, upper: bool) -> Tensor:
    """Return the gradient by the matrix (Murray 2016, "Differentiation of the Cholesky")."""
    g = conjugated(g)
    lower, g = (conjugate_transposed(out), conjugate_transposed(g)) if upper else (out, g)
    inner = tril(matmul(conjugate_transposed(lower), tril(g)))
    inner = inner - inner * (eye(x.shape[-1], dtype=real(inner).dtype) / 2)
    inner = (inner + conjugate_transposed(inner)) / 2
    left = solve_triangular(lower, inner, trans="C", lower=True)
    both = solve_triangular(lower, conjugate_transposed(left), trans="C", lower=True)
    return conjugated(both)


CHOLESKY = register(
    Op(
        name="cholesky",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_cholesky,
        eager=_eager_cholesky,
        raises=True,
        vjp=(_vjp_cholesky,),
        examples=(
            Example(((3, 3),), {"upper": False}, prepare=positive_definite),
            Example(((2, 2, 2),), {"upper": True}, prepare=positive_definite),
        ),
        doc="The triangular factor of a positive definite matrix.",
    )
)


def cholesky(x: ArrayLike, /, *, upper: bool = False) -> Tensor:
    """Return the Cholesky factor: lower triangular ``L`` with ``x = L @ L.mT.conj()``.

    Parameters
    ----------
    x : array-like, shape (..., n, n)
        Hermitian and positive definite. As in NumPy only the triangle that is asked for is read.
        The gradient is the Hermitian one: it is right for changes that keep `x` Hermitian.
    upper : bool
        Return ``L.mT.conj()`` instead.

    Returns
    -------
    Tensor

    Raises
    ------
    LinAlgError
        Where `x` is not square or not positive definite.

    Examples
    --------
    >>> cholesky([[4.0, 2.0], [2.0, 2.0]])
    Tensor([[2., 0.],
            [1., 1.]], dtype=float32)
    """
    return bind(CHOLESKY, (as_lapack("cholesky", x),), {"upper": bool(upper)})


# --- qr -------------------------------------------------------------------------------------------


def _infer_qr(x: TensorSpec, *, mode: str) -> tuple[TensorSpec, TensorSpec]:
    check_matrices("qr", x)
    *batch, m, n = x.shape
    k = m if mode == "complete" else min(m, n)
    return (
        TensorSpec((*batch, m, k), x.dtype, x.device),
        TensorSpec((*batch, k, n), x.dtype, x.device),
    )


def _joint_vjp_qr(wanted: Any, g: Any, out: Any, x: Tensor, *, mode: str) -> tuple[Tensor]:
    q, r = out
    m, n = x.shape[-2:]
    if mode == "complete" and m > n:
        raise GradientError(
            located(
                f"qr: the columns that fill up Q for shape {x.shape} are not unique and have no "
                "gradient; call qr(x, mode='reduced')"
            )
        )
    g_q, g_r = (None if part is None else conjugated(part) for part in g)
    if m >= n:
        return (conjugated(_qr_gradient(q, r, g_q, g_r)),)
    # The columns beyond the square part are Q times theirs.
    g_square, g_beyond = (None, None) if g_r is None else (g_r[..., :m], g_r[..., m:])
    beyond = zeros(x[..., m:].shape, dtype=x.dtype)
    if g_beyond is not None:
        through = matmul(x[..., m:], conjugate_transposed(g_beyond))
        g_q = through if g_q is None else g_q + through
        beyond = matmul(q, g_beyond)
    square = _qr_gradient(q, r[..., :m], g_q, g_square)
    return (conjugated(concat((square, beyond), axis=-1)),)


def _qr_gradient(q: Tensor, r: Tensor, g_q: Tensor | None, g_r: Tensor | None) -> Tensor:
    """Return the gradient by ``q @ r``, `r` being square (Walter and Lehmann 2010)."""
    meeting: Any = 0
    if g_r is not None:
        meeting = matmul(triu(g_r), conjugate_transposed(r))
    if g_q is not None:
        meeting = meeting - matmul(conjugate_transposed(q), g_q)
    above = triu(meeting, 1)
    diagonal = real(meeting) * eye(r.shape[-1], dtype=real(meeting).dtype)
    found = matmul(q, above + conjugate_transposed(above) + diagonal)
    if g_q is not None:
        found = found + g_q
    return conjugate_transposed(solve_triangular(r, conjugate_transposed(found)))


QR = register(
    Op(
        name="qr",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_qr,
        eager=lambda xp, x, *, mode: xp.linalg.qr(x, mode=mode),
        joint_vjp=_joint_vjp_qr,
        multi=True,
        examples=(
            Example(((4, 3),), {"mode": "reduced"}, prepare=regular),
            Example(((2, 3),), {"mode": "complete"}, prepare=regular),
            Example(((2, 2, 3),), {"mode": "reduced"}, prepare=regular),
        ),
        doc="An orthogonal and a triangular factor.",
    )
)


def qr(x: ArrayLike, /, *, mode: Literal["reduced", "complete"] = "reduced") -> QRResult:
    """Return the factors of ``x = Q @ R``: `Q` with orthonormal columns, `R` upper triangular.

    Parameters
    ----------
    x : array-like, shape (..., m, n)
    mode : {"reduced", "complete"}
        `Q` has ``min(m, n)`` columns, or m.

    Returns
    -------
    QRResult
        ``Q`` and ``R``. Their gradients need linearly independent leading columns, and for complex
        ones a function that does not depend on the phases of the columns.

    Raises
    ------
    LinAlgError
        Where `x` has fewer than two axes.
    GradientError
        For the gradient of columns that only fill `Q` up.

    Examples
    --------
    >>> abs(qr([[3.0, 1.0], [4.0, 2.0]]).R[0, 0])
    Tensor(5., dtype=float32)
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(located(f"qr: mode is 'reduced' or 'complete', not {mode!r}"))
    return QRResult(*bind_all(QR, (as_lapack("qr", x),), {"mode": mode}))
