"""Matrices with ones on a diagonal, out of nothing."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor, wrap
from hybrid.ops._axes import as_shape
from hybrid.ops.creation import float_or, placed

EYE = register(
    Op(
        name="eye",
        family="creation",
        infer=lambda *, n, m, k, dtype: TensorSpec((n, m), dtype),
        eager=lambda xp, *, n, m, k, dtype: xp.eye(n, m, k, dtype=dtype),
        no_gradient="it has no inputs",
        examples=(Example((), {"n": 3, "m": 4, "k": 1, "dtype": dtypes.float32}),),
        doc="Ones on a diagonal.",
    )
)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Return a matrix with ones on diagonal `k`, of the default dtype unless another is given.

    Parameters
    ----------
    n_rows : int
    n_cols : int, optional
        As many as rows if it is left out.
    k : int
        Number of the diagonal, above the main one or, if negative, below it.
    dtype : dtype, optional
    device : str, optional
        Where it is; the one of ``with hb.device(...)`` if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> eye(2, 3, k=1)
    Tensor([[0., 1., 0.],
            [0., 0., 1.]], dtype=float32)
    """
    if not busy and device is n_cols is None and type(n_rows) is type(k) is int and n_rows >= 0:
        return wrap(np.eye(n_rows, n_rows, k, float_or("eye", dtype)))
    if device is not None and device != state.device:
        return placed("eye", device, eye, n_rows, n_cols, k=k, dtype=dtype)
    rows = as_shape("eye", n_rows)[0]
    columns = rows if n_cols is None else as_shape("eye", n_cols)[0]
    attrs = {"n": rows, "m": columns, "k": operator.index(k), "dtype": float_or("eye", dtype)}
    return bind(EYE, (), attrs)


def identity(n: int, dtype: Any = None) -> Tensor:
    """NumPy's name of a square :func:`eye`.

    Parameters
    ----------
    n : int
    dtype : dtype, optional

    Returns
    -------
    Tensor

    Examples
    --------
    >>> identity(2)
    Tensor([[1., 0.],
            [0., 1.]], dtype=float32)
    """
    return eye(n, dtype=dtype)
