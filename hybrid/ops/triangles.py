"""Ops that keep one triangle of matrices and put zeros into the other, and triangles of ones."""

from __future__ import annotations

import operator
from typing import Any

from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.ops._axes import lead_as_is
from hybrid.ops.creation import ones


def _infer_triangle(name: str) -> Any:
    def infer(x: TensorSpec, *, k: int) -> TensorSpec:
        if x.ndim < 2:
            raise ShapeError(f"{name}: shape {x.shape} has fewer than two axes")
        return TensorSpec(x.shape, x.dtype, x.device)

    return infer


_triangle_examples = (Example(((3, 4),), {"k": 0}), Example(((2, 3, 3),), {"k": -1}))

TRIU = register(
    Op(
        name="triu",
        family="movement",
        lead=lead_as_is,
        infer=_infer_triangle("triu"),
        eager=lambda xp, x, *, k: xp.triu(x, k),
        vjp=(lambda g, out, x, *, k: triu(g, k=k),),
        examples=_triangle_examples,
        doc="The upper triangle of the last two axes, zeros below.",
    )
)

TRIL = register(
    Op(
        name="tril",
        family="movement",
        lead=lead_as_is,
        infer=_infer_triangle("tril"),
        eager=lambda xp, x, *, k: xp.tril(x, k),
        vjp=(lambda g, out, x, *, k: tril(g, k=k),),
        examples=_triangle_examples,
        doc="The lower triangle of the last two axes, zeros above.",
    )
)


def triu(x: ArrayLike, /, k: int = 0) -> Tensor:
    """Zero what lies below diagonal `k` of the last two axes.

    Parameters
    ----------
    x : array-like
        (..., m, n).
    k : int
        Number of the diagonal, above the main one or, if negative, below it.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> triu([[1, 2], [3, 4]])
    Tensor([[1, 2],
            [0, 4]], dtype=int64)
    """
    return bind(TRIU, (asarray(x),), {"k": operator.index(k)})


def tril(x: ArrayLike, /, k: int = 0) -> Tensor:
    """Zero what lies above diagonal `k` of the last two axes.

    Parameters
    ----------
    x : array-like
        (..., m, n).
    k : int
        Number of the diagonal, above the main one or, if negative, below it.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> tril([[1, 2], [3, 4]])
    Tensor([[1, 0],
            [3, 4]], dtype=int64)
    """
    return bind(TRIL, (asarray(x),), {"k": operator.index(k)})


def tri(n: int, m: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Return a matrix of ones at and below diagonal `k`, zeros above.

    Parameters
    ----------
    n : int
        Rows.
    m : int, optional
        Columns, as many as rows if left out.
    k : int
    dtype : dtype, optional

    Returns
    -------
    Tensor

    Examples
    --------
    >>> tri(2, 3)
    Tensor([[1., 0., 0.],
            [1., 1., 0.]], dtype=float32)
    """
    return tril(ones((max(n, 0), max(n if m is None else m, 0)), dtype), k)
