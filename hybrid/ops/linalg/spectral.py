"""Eigenvalues of Hermitian matrices and singular values, with their vectors.

The gradients divide by the gaps between eigenvalues (between squared singular values). Where two
are equal, their vectors have no derivative. What depends on neither of the two has one, and gets
it; what depends on one of them gets NaN or infinities, never a number that is not the derivative
(``expm`` and other functions of the matrix itself have theirs at equal eigenvalues too).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hybrid.core.dispatch import bind, bind_all
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import GradientError
from hybrid.ops._axes import lead_as_is
from hybrid.ops.elementwise.complex_parts import imag
from hybrid.ops.elementwise.selection import where
from hybrid.ops.linalg._matrices import (
    as_lapack,
    attempt,
    check_matrices,
    check_square,
    conjugate_transposed,
    real_dtype,
    regular,
    symmetric,
)
from hybrid.ops.products import conjugated, matmul
from hybrid.ops.unit_matrices import eye


class EighResult(NamedTuple):
    """What :func:`eigh` returns.

    Attributes
    ----------
    eigenvalues : Tensor
        (..., n), ascending.
    eigenvectors : Tensor
        (..., n, n), as columns.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor


class SVDResult(NamedTuple):
    """What :func:`svd` returns.

    Attributes
    ----------
    U : Tensor
        (..., m, k), or (..., m, m) where the matrices are full.
    S : Tensor
        (..., k) with k = min(m, n), descending.
    Vh : Tensor
        (..., k, n), or (..., n, n).
    """

    U: Tensor
    S: Tensor
    Vh: Tensor


# --- eigenvalues ----------------------------------------------------------------------------------


def _infer_eigh(x: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
    check_square("eigh", x)
    values = TensorSpec(x.shape[:-1], real_dtype(x.dtype), x.device)
    return values, TensorSpec(x.shape, x.dtype, x.device)


def _infer_eigvalsh(x: TensorSpec) -> TensorSpec:
    check_square("eigvalsh", x)
    return TensorSpec(x.shape[:-1], real_dtype(x.dtype), x.device)


_NO_CONVERGENCE = "has eigenvalues that did not converge; does it hold NaN or infinities?"


def _joint_vjp_eigh(wanted: Any, g: Any, out: Any, x: Tensor) -> tuple[Tensor]:
    values, vectors = out
    g_values, g_vectors = g
    inner: Any = 0 if g_values is None else g_values[..., None, :] * _identity(values)
    if g_vectors is not None:
        meeting = matmul(conjugate_transposed(vectors), conjugated(g_vectors))
        gaps = values[..., None, :] - values[..., :, None]
        inner = inner + _by_gaps(meeting, gaps, g_vectors) / 2
    found = matmul(matmul(vectors, inner.astype(vectors.dtype)), conjugate_transposed(vectors))
    return (conjugated(found),)


def _by_gaps(meeting: Tensor, gaps: Tensor, g: Tensor) -> Tensor:
    """Divide the skew part of a gradient in the basis of vectors by the gaps between values.

    Where two values are equal and the gradient `g` by both their vectors is 0, the quotient is 0.
    """
    touched = (g != 0).any(axis=-2)
    apart = touched[..., None, :] | touched[..., :, None] | (gaps != 0)
    itself = _identity(gaps[..., 0]) != 0
    return (meeting - conjugate_transposed(meeting)) / where(apart & ~itself, gaps, np.inf)


def _identity(values: Tensor) -> Tensor:
    return eye(values.shape[-1], dtype=values.dtype)


EIGH = register(
    Op(
        name="eigh",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_eigh,
        eager=lambda xp, x: attempt("eigh", _NO_CONVERGENCE, xp.linalg.eigh, x),
        raises=True,
        joint_vjp=_joint_vjp_eigh,
        multi=True,
        examples=(Example(((3, 3),), prepare=symmetric), Example(((2, 2, 2),), prepare=symmetric)),
        doc="Eigenvalues and eigenvectors of Hermitian matrices.",
    )
)

EIGVALSH = register(
    Op(
        name="eigvalsh",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_eigvalsh,
        eager=lambda xp, x: attempt("eigvalsh", _NO_CONVERGENCE, xp.linalg.eigvalsh, x),
        raises=True,
        vjp=(lambda g, out, x: _joint_vjp_eigh((True,), (g, None), eigh(x), x)[0],),
        examples=(Example(((3, 3),), prepare=symmetric), Example(((2, 2, 2),), prepare=symmetric)),
        doc="Eigenvalues of Hermitian matrices.",
    )
)


def eigh(x: ArrayLike, /) -> EighResult:
    """Return eigenvalues and eigenvectors of Hermitian (real: symmetric) matrices.

    Parameters
    ----------
    x : array-like, shape (..., n, n)
        As in NumPy only the lower triangle is read. The gradient is the Hermitian one: it is right
        for changes that keep `x` Hermitian. It needs distinct eigenvalues where it passes through
        the eigenvectors, and for complex ones a function that does not depend on their phases.

    Returns
    -------
    EighResult
        ``eigenvalues`` (..., n), ascending, and ``eigenvectors`` (..., n, n), in columns.

    Raises
    ------
    LinAlgError
        Where `x` is not square, or LAPACK fails.

    Examples
    --------
    >>> eigh([[2.0, 0.0], [0.0, 1.0]]).eigenvalues
    Tensor([1., 2.], dtype=float32)
    """
    return EighResult(*bind_all(EIGH, (as_lapack("eigh", x),), {}))


def eigvalsh(x: ArrayLike, /) -> Tensor:
    """Return the eigenvalues of Hermitian matrices, ascending; see :func:`eigh`.

    Parameters
    ----------
    x : array-like
        (..., n, n); what is above the diagonal is not read.

    Returns
    -------
    Tensor of real numbers
        (..., n).

    Examples
    --------
    >>> eigvalsh([[2.0, 0.0], [0.0, 1.0]])
    Tensor([1., 2.], dtype=float32)
    """
    return bind(EIGVALSH, (as_lapack("eigvalsh", x),), {})


# --- singular values ------------------------------------------------------------------------------


def _infer_svd(x: TensorSpec, *, full_matrices: bool) -> tuple[TensorSpec, TensorSpec, TensorSpec]:
    check_matrices("svd", x)
    *batch, m, n = x.shape
    k = min(m, n)
    return (
        TensorSpec((*batch, m, m if full_matrices else k), x.dtype, x.device),
        TensorSpec((*batch, k), real_dtype(x.dtype), x.device),
        TensorSpec((*batch, n if full_matrices else k, n), x.dtype, x.device),
    )


def _infer_svdvals(x: TensorSpec) -> TensorSpec:
    return _infer_svd(x, full_matrices=False)[1]


def _eager_svd(xp: Any, x: Any, *, full_matrices: bool) -> Any:
    function = lambda a: xp.linalg.svd(a, full_matrices=full_matrices)
    return attempt("svd", _NO_SVD, function, x, check_matrices)


def _eager_svdvals(xp: Any, x: Any) -> Any:
    function = lambda a: xp.linalg.svd(a, compute_uv=False)
    return attempt("svdvals", _NO_SVD, function, x, check_matrices)


_NO_SVD = "has singular values that did not converge; does it hold NaN or infinities?"


def _joint_vjp_svd(
    wanted: Any, g: Any, out: Any, x: Tensor, *, full_matrices: bool
) -> tuple[Tensor]:
    m, n = x.shape[-2:]
    if full_matrices and m != n and (g[0] is not None or g[2] is not None):
        raise GradientError(
            located(
                f"svd: the singular vectors that fill up U and Vh for shape {x.shape} are not "
                "unique and have no gradient; call svd(x, full_matrices=False)"
            )
        )
    k = min(m, n)
    u, s, vh = out[0][..., :k], out[1], out[2][..., :k, :]
    return (conjugated(_svd_gradient(g, u, s, vh)),)


def _svd_gradient(g: Any, u: Tensor, s: Tensor, vh: Tensor) -> Tensor:
    """Return the gradient by ``u @ diag(s) @ vh`` (Giles 2008; Wan and Zhang 2019 if complex)."""
    g_u, g_s, g_vh = g
    row, column = s[..., None, :], s[..., :, None]
    gaps = (row - column) * (row + column)
    inner: Any = 0 if g_s is None else g_s[..., None, :] * _identity(s)
    rest: Any = 0
    if g_u is not None:
        g_u = conjugated(g_u)
        meeting = matmul(conjugate_transposed(u), g_u)
        inner = inner + _by_gaps(meeting, gaps, g_u) * row + _phases(meeting, s)
        if u.shape[-2] > s.shape[-1]:
            beyond = g_u / row
            beyond = beyond - matmul(u, matmul(conjugate_transposed(u), beyond))
            rest = matmul(beyond, vh)
    if g_vh is not None:
        g_v = conjugate_transposed(conjugated(g_vh))
        meeting = matmul(vh, g_v)
        inner = inner + column * _by_gaps(meeting, gaps, g_v)
        if vh.shape[-1] > s.shape[-1]:
            beyond = g_v / row
            beyond = beyond - matmul(conjugate_transposed(vh), matmul(vh, beyond))
            rest = rest + matmul(u, conjugate_transposed(beyond))
    found: Tensor = matmul(matmul(u, inner.astype(u.dtype)), vh) + rest
    return found


def _phases(meeting: Tensor, s: Tensor) -> Any:
    """Return what the diagonal adds for complex vectors, of which one of each pair turns freely."""
    if meeting.dtype.kind != "c":
        return 0
    return 1j * imag(meeting) * _identity(s) / s[..., None, :]


def _vjp_svdvals(g: Tensor, out: Tensor, x: Tensor) -> Tensor:
    u, _, vh = svd(x, full_matrices=False)
    return conjugated(matmul(u * g[..., None, :], vh))


_TALL = Example(((4, 2),), {"full_matrices": False}, prepare=regular)

SVD = register(
    Op(
        name="svd",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_svd,
        eager=_eager_svd,
        raises=True,
        joint_vjp=_joint_vjp_svd,
        multi=True,
        examples=(
            Example(((3, 3),), {"full_matrices": True}, prepare=regular),
            _TALL,
            Example(((2, 2, 3),), {"full_matrices": False}, prepare=regular),
        ),
        doc="Singular values and vectors.",
    )
)

SVDVALS = register(
    Op(
        name="svdvals",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_svdvals,
        eager=_eager_svdvals,
        raises=True,
        vjp=(_vjp_svdvals,),
        examples=(Example(((4, 2),), prepare=regular), Example(((2, 2, 3),), prepare=regular)),
        doc="Singular values.",
    )
)


def svd(x: ArrayLike, /, *, full_matrices: bool = True) -> SVDResult:
    """Return the singular value decomposition ``x = U @ diag(S) @ Vh``.

    Parameters
    ----------
    x : array-like, shape (..., m, n)
    full_matrices : bool
        Fill `U` up to m columns and `Vh` to n rows; otherwise both have ``k = min(m, n)``.

    Returns
    -------
    SVDResult
        ``U`` (..., m, m or k), ``S`` (..., k), descending, and ``Vh`` (..., n or k, n). Gradients
        through `U` and `Vh` need distinct singular values, not 0 where m and n differ, and for
        complex ones a function that does not depend on the phases of the vectors.

    Raises
    ------
    LinAlgError
        Where `x` has fewer than two axes, or LAPACK fails.
    GradientError
        For the gradient through vectors that only fill up.

    Examples
    --------
    >>> svd([[3.0, 0.0], [0.0, 4.0]]).S
    Tensor([4., 3.], dtype=float32)
    """
    attrs = {"full_matrices": bool(full_matrices)}
    return SVDResult(*bind_all(SVD, (as_lapack("svd", x),), attrs))


def svdvals(x: ArrayLike, /) -> Tensor:
    """Return the singular values of matrices, descending.

    Parameters
    ----------
    x : array-like
        (..., m, n).

    Returns
    -------
    Tensor of real numbers
        (..., min(m, n)).

    Examples
    --------
    >>> svdvals([[3.0, 0.0], [0.0, 4.0]])
    Tensor([4., 3.], dtype=float32)
    """
    return bind(SVDVALS, (as_lapack("svdvals", x),), {})
