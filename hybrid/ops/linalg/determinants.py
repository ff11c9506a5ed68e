"""Determinants, plain and as sign and logarithm."""

from __future__ import annotations

from typing import Any, NamedTuple

from hybrid.core.dispatch import bind, bind_all
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops._axes import lead_as_is
from hybrid.ops.elementwise.complex_parts import imag
from hybrid.ops.linalg._matrices import (
    as_lapack,
    attempt,
    check_square,
    real_dtype,
    regular,
)
from hybrid.ops.linalg.solving import inv
from hybrid.ops.permuting import matrix_transpose
from hybrid.ops.products import matmul


class SlogdetResult(NamedTuple):
    """What :func:`slogdet` returns.

    Attributes
    ----------
    sign : Tensor
        1, -1 or 0; of complex matrices a number of modulus 1.
    logabsdet : Tensor
        -inf where the determinant is 0.
    """

    sign: Tensor
    logabsdet: Tensor


def _infer_det(x: TensorSpec) -> TensorSpec:
    check_square("det", x)
    return TensorSpec(x.shape[:-2], x.dtype, x.device)


def _infer_cofactors(x: TensorSpec) -> TensorSpec:
    check_square("det", x)
    return x


def _eager_cofactors(xp: Any, x: Any) -> Any:
    """Return the gradient of the determinant, which a singular matrix has as well."""
    u, s, vh = attempt("det", "has a determinant without gradient", xp.linalg.svd, x)
    before = xp.cumprod(xp.concatenate([xp.ones_like(s[..., :1]), s[..., :-1]], -1), -1)
    behind = xp.cumprod(xp.concatenate([xp.ones_like(s[..., :1]), s[..., :0:-1]], -1), -1)[
        ..., ::-1
    ]
    others = (before * behind)[..., None, :]
    phase = (xp.linalg.det(u) * xp.linalg.det(vh))[..., None, None]
    return phase * xp.conj(xp.matmul(u * others, vh))


def _vjp_cofactors(g: Tensor, out: Tensor, x: Tensor) -> Tensor:
    inverse = matrix_transpose(inv(x))
    along = (g * out).sum(axis=(-2, -1), keepdims=True)
    return along * inverse - matmul(matmul(inverse, matrix_transpose(g)), out)


COFACTORS = register(
    Op(
        name="cofactors",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_cofactors,
        eager=_eager_cofactors,
        raises=True,
        vjp=(_vjp_cofactors,),
        examples=(Example(((3, 3),), prepare=regular), Example(((2, 2, 2),), prepare=regular)),
        doc="The derivative of the determinant by each element.",
    )
)

DET = register(
    Op(
        name="det",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_det,
        eager=lambda xp, x: xp.asarray(xp.linalg.det(x)),
        vjp=(lambda g, out, x: g[..., None, None] * bind(COFACTORS, (x,), {}),),
        examples=(Example(((3, 3),), prepare=regular), Example(((2, 2, 2),), prepare=regular)),
        doc="The determinant.",
    )
)


def det(x: ArrayLike, /) -> Tensor:
    """Return the determinants of square matrices.

    Parameters
    ----------
    x : array-like, shape (..., n, n)
        It may be singular; the second derivative is there for regular matrices only.

    Returns
    -------
    Tensor

    Raises
    ------
    LinAlgError
        Where `x` is not square.

    Examples
    --------
    >>> det([[2.0, 0.0], [0.0, 4.0]])
    Tensor(8., dtype=float32)
    """
    return bind(DET, (as_lapack("det", x),), {})


def _infer_slogdet(x: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
    check_square("slogdet", x)
    return (
        TensorSpec(x.shape[:-2], x.dtype, x.device),
        TensorSpec(x.shape[:-2], real_dtype(x.dtype), x.device),
    )


def _joint_vjp_slogdet(wanted: Any, g: Any, out: Any, x: Tensor) -> tuple[Tensor | None]:
    g_sign, g_log = g
    factor: Any = g_log
    if g_sign is not None and x.dtype.kind == "c":
        turned = 1j * imag(g_sign * out[0])
        factor = turned if g_log is None else g_log + turned
    if factor is None:
        return (None,)
    return (factor[..., None, None] * matrix_transpose(inv(x)),)


SLOGDET = register(
    Op(
        name="slogdet",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_slogdet,
        eager=lambda xp, x: xp.linalg.slogdet(x),
        joint_vjp=_joint_vjp_slogdet,
        multi=True,
        examples=(Example(((3, 3),), prepare=regular), Example(((2, 2, 2),), prepare=regular)),
        doc="Sign and logarithm of the determinant.",
    )
)


def slogdet(x: ArrayLike, /) -> SlogdetResult:
    """Return the determinant as its sign (complex: its phase) and the logarithm of its magnitude.

    Parameters
    ----------
    x : array-like, shape (..., n, n)

    Returns
    -------
    SlogdetResult
        ``sign`` and ``logabsdet``, 0 and ``-inf`` for a singular matrix.

    Raises
    ------
    LinAlgError
        Where `x` is not square; for the gradient, where it is singular.

    Examples
    --------
    >>> slogdet([[-1.0, 0.0], [0.0, 1.0]])
    SlogdetResult(sign=Tensor(-1., dtype=float32), logabsdet=Tensor(0., dtype=float32))
    """
    return SlogdetResult(*bind_all(SLOGDET, (as_lapack("slogdet", x),), {}))
