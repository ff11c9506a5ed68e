"""Averages with weights, ranges, and the covariance of variables."""

from __future__ import annotations

from typing import Any

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops import reduction
from hybrid.ops._axes import Axes, all_axes, some_axes
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.copying import laid
from hybrid.ops.elementwise import clip, conj, imag, real, sqrt
from hybrid.ops.elementwise.operands import with_lists
from hybrid.ops.joining import concat
from hybrid.ops.permuting import permute_dims
from hybrid.ops.products import matmul
from hybrid.ops.reduction import Axis
from hybrid.ops.reshaping import reshape
from hybrid.ops.unit_axes import expand_dims

# --- averages -------------------------------------------------------------------------------------


def average(
    x: ArrayLike,
    /,
    axis: Axis = None,
    weights: ArrayLike | None = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the weighted mean along axes.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        Left out: all axes.
    weights : array-like, optional
        Of the shape of `x`, or of its shape along `axis`; left out, all count the same.
    returned : bool
        Also return the sum of the weights, of the shape of the result.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor, or two of them
        NaN or infinite where weights add up to 0.

    Raises
    ------
    ShapeError
        For weights of another shape.

    Examples
    --------
    >>> average([1.0, 3.0], weights=[3.0, 1.0])
    Tensor(1.5, dtype=float32)
    """
    x, weights = with_lists(x, weights)
    x = asarray(x)
    axes = all_axes("average", axis, x.shape)
    if weights is None:
        found = reduction.mean(x, axis=axes, keepdims=keepdims)
        count = 1
        for a in axes:
            count *= x.shape[a]
        total = asarray(count, found.dtype)
    else:
        order = axes if axis is None else some_axes("average", axis, x.shape)
        w = _spread_weights(asarray(weights), x, order, axis is None)
        at_least = x.dtype if dtypes.is_inexact(x.dtype) else dtypes.float64
        w = w.astype(dtypes.promote([at_least, w.dtype]), copy=False)
        total = reduction.sum(broadcast_to(w, x.shape), axis=axes, keepdims=keepdims)
        numerator = reduction.sum(x * w, axis=axes, keepdims=keepdims)
        found = laid(numerator / total, numerator)
    return (found, broadcast_to(total, found.shape)) if returned else found


def _spread_weights(w: Tensor, x: Tensor, order: Axes, whole: bool) -> Tensor:
    """Return the weights with an axis for each axis of `x`."""
    if w.shape == x.shape:
        return w
    wanted = tuple(x.shape[a] for a in order)
    if whole:  # NumPy's type: what is wrong is the call
        raise TypeError(
            located(
                f"average: weights of shape {w.shape} beside an array of shape {x.shape} need the "
                "axis to be named"
            )
        )
    if w.shape != wanted:
        raise ShapeError(
            located(f"average: weights of shape {w.shape} do not fit axes {order} of {x.shape}")
        )
    w = permute_dims(w, sorted(range(len(order)), key=order.__getitem__))
    return reshape(w, tuple(n if a in order else 1 for a, n in enumerate(x.shape)))


def ptp(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the largest less the smallest element along axes ("peak to peak").

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        All axes if it is left out.
    keepdims : bool
        Keep the axes, with size 1.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> ptp([[1, 4], [2, 2]], axis=1)
    Tensor([3, 0], dtype=int64)
    """
    x = asarray(x)
    top = reduction.max(x, axis=axis, keepdims=keepdims)
    return top - reduction.min(x, axis=axis, keepdims=keepdims)


# --- covariance -----------------------------------------------------------------------------------


def cov(
    m: ArrayLike,
    /,
    y: ArrayLike | None = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: float | None = None,
    fweights: ArrayLike | None = None,
    aweights: ArrayLike | None = None,
    *,
    dtype: Any = None,
) -> Tensor:
    """Return the covariance matrix of variables.

    Parameters
    ----------
    m : array-like
        Of one or two axes: a row for each variable, a column for each observation.
    y : array-like, optional
        More variables of the same observations.
    rowvar : bool
        False: a column for each variable.
    bias : bool
        Divide by the number of observations instead of one less.
    ddof : float, optional
        What to subtract from the number of observations instead.
    fweights : array-like of int, optional
        How often each observation counts.
    aweights : array-like, optional
        How much each observation counts.
    dtype : dtype, optional
        To compute in and to return; left out, float64 for integers.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError, DTypeError

    Examples
    --------
    >>> cov([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    Tensor([[ 1., -1.],
            [-1.,  1.]], dtype=float32)
    """
    x = _variables("cov", m, rowvar)
    if y is not None:
        x = concat([x, _variables("cov", y, rowvar)], axis=0)
    if dtype is not None or not dtypes.is_inexact(x.dtype):
        x = x.astype(dtypes.float64 if dtype is None else dtype, copy=False)
    ddof = (0 if bias else 1) if ddof is None else ddof
    if ddof != int(ddof):
        raise ValueError(located(f"cov: ddof is an integer, not {ddof}"))
    n = x.shape[1]
    w = None
    if fweights is not None:
        w = _observed(asarray(fweights), n, "fweights")
        if w.dtype.kind not in "iu":
            raise DTypeError(located(f"cov: fweights count, they cannot be {w.dtype.name}"))
        w = w.astype(dtypes.float64)
    if aweights is not None:
        a = _observed(asarray(aweights, dtypes.float64), n, "aweights")
        w = a if w is None else w * a
    if w is None:
        deviation = x - reduction.mean(x, axis=1, keepdims=True)
        weighted, divisor = deviation, n - ddof
        factor: Any = 1 / divisor if divisor > 0 else float("nan" if n == 0 else "inf")
    else:
        total = reduction.sum(w)
        weights = w.astype(real(x).dtype)
        mean = reduction.sum(x * weights, axis=1, keepdims=True) / total.astype(weights.dtype)
        deviation = x - mean
        weighted = deviation * weights
        lost = ddof if aweights is None else ddof * reduction.sum(w * a) / total
        factor = (1 / (total - lost)).astype(weights.dtype)
    other = permute_dims(deviation)
    out = matmul(weighted, conj(other) if other.dtype.kind == "c" else other) * factor
    return reshape(out, ()) if out.shape == (1, 1) else out


def _variables(name: str, m: ArrayLike, rowvar: bool) -> Tensor:
    x = asarray(m)
    if x.ndim > 2:
        raise ShapeError(located(f"{name}: shape {x.shape} has more than two axes"))
    if x.ndim < 2:
        return reshape(x, (1, x.size))
    return x if rowvar else permute_dims(x)


def _observed(w: Tensor, n: int, name: str) -> Tensor:
    if w.shape != (n,):
        raise ShapeError(located(f"cov: {name} of shape {w.shape} do not fit {n} observations"))
    return w


def corrcoef(
    x: ArrayLike, /, y: ArrayLike | None = None, rowvar: bool = True, *, dtype: Any = None
) -> Tensor:
    """Return the correlation coefficients of variables; arguments as of :func:`cov`.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> corrcoef([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    Tensor([[ 1., -1.],
            [-1.,  1.]], dtype=float32)
    """
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    scale = sqrt(real(c[range(c.shape[0]), range(c.shape[0])]))
    out = c / expand_dims(scale, 1) / expand_dims(scale, 0)
    if out.dtype.kind != "c":  # rounding must not take a coefficient out of its interval
        return clip(out, -1, 1)
    return clip(real(out), -1, 1) + 1j * clip(imag(out), -1, 1)
