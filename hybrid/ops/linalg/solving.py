"""Systems of linear equations, inverses and determinants."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

import numpy as np

from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec, broadcast_shapes
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import LinAlgError, ShapeError
from hybrid.ops._axes import lead_as_is
from hybrid.ops.broadcasting import sum_to
from hybrid.ops.linalg._matrices import (
    as_lapack,
    as_lapack_pair,
    attempt,
    check_square,
    regular,
)
from hybrid.ops.permuting import matrix_transpose
from hybrid.ops.products import conjugated, matmul, stacked
from hybrid.ops.triangles import tril, triu
from hybrid.ops.unit_axes import expand_dims

_SINGULAR = "is singular"


# --- inv ------------------------------------------------------------------------------------------


def _infer_inv(x: TensorSpec) -> TensorSpec:
    check_square("inv", x)
    return x


def _vjp_inv(g: Tensor, out: Tensor, x: Tensor) -> Tensor:
    transposed = matrix_transpose(out)
    return -matmul(matmul(transposed, g), transposed)


INV = register(
    Op(
        name="inv",
        family="linalg",
        lead=lead_as_is,
        infer=_infer_inv,
        eager=lambda xp, x: attempt("inv", _SINGULAR, xp.linalg.inv, x),
        raises=True,
        vjp=(_vjp_inv,),
        examples=(Example(((3, 3),), prepare=regular), Example(((2, 2, 2),), prepare=regular)),
        doc="The inverse of a matrix.",
    )
)


def inv(x: ArrayLike, /) -> Tensor:
    """Return the inverses of square matrices; :func:`solve` is faster and closer where it serves.

    Parameters
    ----------
    x : array-like, shape (..., n, n)

    Returns
    -------
    Tensor

    Raises
    ------
    LinAlgError
        Where `x` is not square or singular.

    Examples
    --------
    >>> inv([[2.0, 0.0], [0.0, 4.0]])
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]], dtype=float32)
    """
    return bind(INV, (as_lapack("inv", x),), {})


# --- solve ----------------------------------------------------------------------------------------


def _infer_solve(name: str, a: TensorSpec, b: TensorSpec) -> TensorSpec:
    check_square(name, a)
    n = a.shape[-1]
    rows = b.shape[-2 if b.ndim > 1 else -1 :][:1]
    if rows != (n,):
        found = f"{rows[0]} rows" if rows else "no axes"
        raise ShapeError(
            f"{name}: shapes {a.shape} and {b.shape} do not fit: matrices of {n} rows, and a right "
            f"side with {found}"
        )
    if b.ndim == 1:
        return TensorSpec((*a.shape[:-2], n), a.dtype, a.device)
    try:
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"{name}: shapes {a.shape} and {b.shape} do not fit: the axes before the last two, "
            f"{a.shape[:-2]} and {b.shape[:-2]}, do not broadcast"
        ) from None
    return TensorSpec((*batch, *b.shape[-2:]), a.dtype, a.device)


def _eager_solve(xp: Any, a: Any, b: Any) -> Any:
    try:
        return xp.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        attempt("solve", _SINGULAR, xp.linalg.inv, a)
        raise


def _columns(g: Tensor, out: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient and the solution as matrices."""
    return (expand_dims(g, -1), expand_dims(out, -1)) if b.ndim == 1 else (g, out)


def _vjp_solve_matrix(g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    g, out = _columns(g, out, b)
    found = -matmul(solve(matrix_transpose(a), g), matrix_transpose(out))
    return sum_to(found, a.shape)


def _vjp_solve_right(g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    g, _ = _columns(g, out, b)
    found = solve(matrix_transpose(a), g)
    return sum_to(found if b.ndim > 1 else found[..., 0], b.shape)


def _batch_solve(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    a, b = lanes
    if not (a.batched or b.batched):
        return None
    ndim_a, ndim_b = (lane.tensor.ndim - lane.batched for lane in lanes)
    left = stacked(a, None, ndim_b - 2)
    right = stacked(b, -1 if ndim_b == 1 else None, ndim_a - 2)
    out = bind(op, (left, right), attrs)
    return out[..., 0] if ndim_b == 1 else out


SOLVE = register(
    Op(
        name="solve",
        family="linalg",
        batch=_batch_solve,
        infer=lambda a, b: _infer_solve("solve", a, b),
        eager=_eager_solve,
        raises=True,
        vjp=(_vjp_solve_matrix, _vjp_solve_right),
        examples=(
            Example(((3, 3), (3,)), prepare=regular),
            Example(((3, 3), (3, 2)), prepare=regular),
            Example(((2, 1, 2, 2), (3, 2, 1)), prepare=regular),
            Example(((2, 3, 3), (3,)), prepare=regular),
        ),
        doc="The solution of linear equations.",
    )
)


def solve(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return ``x`` with ``x1 @ x = x2``.

    Parameters
    ----------
    x1 : array-like, shape (..., n, n)
    x2 : array-like, shape (n,) or (..., n, k)
        One vector, or matrices whose leading axes broadcast with those of `x1`.

    Returns
    -------
    Tensor

    Raises
    ------
    LinAlgError
        Where `x1` is not square or singular.
    ShapeError
        Where the shapes do not fit.

    Examples
    --------
    >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 8.0])
    Tensor([1., 2.], dtype=float32)
    """
    return bind(SOLVE, as_lapack_pair("solve", x1, x2), {})


# --- solve_triangular -----------------------------------------------------------------------------


def _infer_triangular(
    a: TensorSpec, b: TensorSpec, *, lower: bool, transposed: bool, unit_diagonal: bool
) -> TensorSpec:
    return _infer_solve("solve_triangular", a, b)


def _eager_triangular(
    xp: Any, a: Any, b: Any, *, lower: bool, transposed: bool, unit_diagonal: bool
) -> Any:
    n = a.shape[-1]
    right = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(a.shape[:-2], right.shape[:-2])
    out = xp.empty((*batch, *right.shape[-2:]), a.dtype)
    matrices = xp.broadcast_to(a, (*batch, n, n))
    sides = xp.broadcast_to(right, out.shape)
    solver = _by_blas if xp.__name__ == "numpy" else _by_cupy
    if not unit_diagonal and not xp.diagonal(a, 0, -2, -1).all():
        raise LinAlgError(f"solve_triangular: a matrix of shape {a.shape} has 0 on its diagonal")
    for index in np.ndindex(batch if out.size else ()):
        if out.size:
            out[index] = solver(matrices[index], sides[index], lower, transposed, unit_diagonal)
    return out[..., 0] if b.ndim == 1 else out


def _by_blas(a: Any, b: Any, lower: bool, transposed: bool, unit: bool) -> Any:
    """Solve by BLAS, whose matrices lie column by column: those given here are its transposes.

    Not LAPACK's ``trtrs``, by which SciPy solves: it wakes OpenBLAS threads for small matrices,
    4 to 30 ms where another process runs beside. 30x30 with 30 right sides: 12 ms against 7 us.
    """
    blas = import_module("scipy.linalg.blas")
    letter = _BLAS_LETTERS[a.dtype.char]
    if b.shape[-1] == 1:
        solve = getattr(blas, f"{letter}trsv")
        return solve(a.T, b[:, 0], lower=not lower, trans=not transposed, diag=unit)[:, None]
    solve = getattr(blas, f"{letter}trsm")
    return solve(1, a.T, b.T, side=1, lower=not lower, trans_a=transposed, diag=unit).T


_BLAS_LETTERS = {"f": "s", "d": "d", "F": "c", "D": "z"}


def _by_cupy(a: Any, b: Any, lower: bool, transposed: bool, unit: bool) -> Any:
    solve = import_module("cupyx.scipy.linalg").solve_triangular
    options = dict(trans=int(transposed), lower=lower, unit_diagonal=unit)
    return solve(a, b, check_finite=False, **options)


def _vjp_triangular_matrix(g: Tensor, out: Tensor, a: Tensor, b: Tensor, **attrs: bool) -> Tensor:
    g, out = _columns(g, out, b)
    transposed, unit = attrs["transposed"], int(attrs["unit_diagonal"])
    back = bind(SOLVE_TRIANGULAR, (a, g), {**attrs, "transposed": not transposed})
    left, right = (out, back) if transposed else (back, out)
    found = sum_to(-matmul(left, matrix_transpose(right)), a.shape)
    return tril(found, -unit) if attrs["lower"] else triu(found, unit)


def _vjp_triangular_right(g: Tensor, out: Tensor, a: Tensor, b: Tensor, **attrs: bool) -> Tensor:
    g, _ = _columns(g, out, b)
    back = bind(SOLVE_TRIANGULAR, (a, g), {**attrs, "transposed": not attrs["transposed"]})
    return sum_to(back if b.ndim > 1 else back[..., 0], b.shape)


def _triangular(lower: bool, transposed: bool, unit_diagonal: bool) -> dict[str, bool]:
    return {"lower": lower, "transposed": transposed, "unit_diagonal": unit_diagonal}


SOLVE_TRIANGULAR = register(
    Op(
        name="solve_triangular",
        family="linalg",
        batch=_batch_solve,
        infer=_infer_triangular,
        eager=_eager_triangular,
        raises=True,
        vjp=(_vjp_triangular_matrix, _vjp_triangular_right),
        examples=(
            Example(((3, 3), (3,)), _triangular(True, False, False), prepare=regular),
            Example(((3, 3), (3, 2)), _triangular(False, True, False), prepare=regular),
            Example(((2, 1, 2, 2), (3, 2, 1)), _triangular(True, True, True), prepare=regular),
        ),
        doc="The solution of linear equations with a triangular matrix.",
    )
)


def solve_triangular(
    a: ArrayLike,
    b: ArrayLike,
    /,
    trans: Literal[0, 1, 2, "N", "T", "C"] = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
) -> Tensor:
    """Return ``x`` with ``a @ x = b``, `a` being triangular (SciPy's function, for stacks too).

    Parameters
    ----------
    a : array-like, shape (..., n, n)
        Only one triangle is read.
    b : array-like, shape (n,) or (..., n, k)
    trans : {0, 1, 2} or {"N", "T", "C"}
        Solve with `a`, with its transpose, or with its conjugate transpose.
    lower : bool
        Read the lower triangle.
    unit_diagonal : bool
        Take the diagonal as ones, without reading it.

    Returns
    -------
    Tensor

    Raises
    ------
    LinAlgError
        Where `a` is not square or singular.
    ShapeError
        Where the shapes do not fit.

    Examples
    --------
    >>> solve_triangular([[2.0, 0.0], [1.0, 1.0]], [2.0, 3.0], lower=True)
    Tensor([1., 2.], dtype=float32)
    """
    code = "NTC"[trans] if trans in (0, 1, 2) else trans
    if code not in ("N", "T", "C"):
        raise ValueError(located(f"solve_triangular: trans is 0, 1 or 2 (N, T, C), not {trans!r}"))
    a, b = as_lapack_pair("solve_triangular", a, b)
    a = conjugated(a) if code == "C" else a
    return bind(
        SOLVE_TRIANGULAR, (a, b), _triangular(bool(lower), code != "N", bool(unit_diagonal))
    )
