"""Quantiles, percentiles and medians, with NaN counted or left out."""

from __future__ import annotations

from math import prod

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError
from hybrid.ops._axes import Axes, all_axes
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.copying import laid
from hybrid.ops.elementwise.operands import is_weak
from hybrid.ops.permuting import moveaxis
from hybrid.ops.reduction import Axis, mean
from hybrid.ops.reshaping import reshape
from hybrid.ops.statistics.missing import warn_of_nothing
from hybrid.ops.statistics.quantile_methods import METHODS
from hybrid.ops.statistics.quantiles_of_rows import QUANTILE
from hybrid.ops.unit_axes import expand_dims


def _quantile(
    name: str,
    x: ArrayLike,
    q: ArrayLike,
    axis: Axis,
    method: str,
    keepdims: bool,
    *,
    skip: bool,
    whole: float = 1,
) -> Tensor:
    """Return quantiles by `q` of `whole`."""
    if method not in METHODS:
        raise ValueError(
            located(f"{name}: there is no method {method!r}, only {', '.join(METHODS)}")
        )
    x = asarray(x)
    if x.dtype.kind == "c":
        text = f"{name}: {x.dtype.name} has no order; it takes real numbers"
        raise DTypeError(located(text))
    if not METHODS[method].exact:
        if x.dtype.kind == "b":
            text = f"{name}: there is nothing between booleans; method='lower' takes one of them"
            raise DTypeError(located(text))
        x = x.astype(_between_dtype(x, q), copy=False)
    parts = _as_float64(q)
    parts = parts if whole == 1 else parts / whole
    found = _of_axes(name, x, parts, axis, method, keepdims, skip=skip)
    return found if skip else laid(found, found, "C")


def _between_dtype(x: Tensor, q: ArrayLike) -> dtypes.DType:
    """Return the dtype of what lies between elements: that of their products with `q`."""
    if is_weak(q) or isinstance(q, list | tuple):
        return x.dtype if dtypes.is_inexact(x.dtype) else dtypes.float64
    return dtypes.promote((x.dtype, dtypes.to_inexact(asarray(q).dtype)))


def _of_axes(
    name: str, x: Tensor, q: Tensor, axis: Axis, method: str, keepdims: bool, *, skip: bool
) -> Tensor:
    axes = all_axes(name, axis, x.shape)
    if skip and not prod(x.shape[a] for a in axes):
        nothing = mean(x, axis=axes, keepdims=keepdims)  # NaN, with NumPy's warning
        return broadcast_to(nothing, (*q.shape, *nothing.shape)).copy()
    out = bind(QUANTILE, (_rows(x, axes), q), {"method": method, "skip": skip})
    return expand_dims(out, tuple(q.ndim + a for a in axes)) if keepdims and axes else out


def _as_float64(q: ArrayLike) -> Tensor:
    # A Python float keeps its digits: places among many elements need them.
    return q.astype(dtypes.float64) if isinstance(q, Tensor) else asarray(q, dtypes.float64)


def _rows(x: Tensor, axes: Axes) -> Tensor:
    """Return `x` with `axes` made one, the last."""
    last = tuple(range(x.ndim - len(axes), x.ndim))
    if len(axes) == 1 and axes == last:
        return x
    moved = moveaxis(x, axes, last)
    rest = moved.shape[: x.ndim - len(axes)]
    return reshape(moved, (*rest, prod(x.shape[a] for a in axes)))


def quantile(
    x: ArrayLike,
    q: ArrayLike,
    /,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
) -> Tensor:
    """Return quantiles along axes.

    Parameters
    ----------
    x : array-like
        Of real numbers.
    q : array-like
        What part of the elements lies below, from 0 to 1. It has gradients too.
    axis : int or tuple of int, optional
        Left out: all axes.
    method : str
        What is taken between two elements: the names of :func:`numpy.quantile`.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor
        The axes of `q` come first. Python numbers, lists of them too, leave floating-point `x` its
        dtype and make float64 of integers; a `q` that has a dtype is promoted with that of `x`.
        With a method whose result is an element it is the dtype of `x`. NaN where there is one.

    Raises
    ------
    ValueError
        For a `q` outside of 0 to 1, an unknown method, or no elements.
    DTypeError
        For complex numbers, and for what lies between booleans.

    Notes
    -----
    Between infinite neighbours that are equal the result is they, where NumPy has NaN.

    Examples
    --------
    >>> quantile([1.0, 2.0, 4.0], [0.25, 0.5])
    Tensor([1.5, 2. ], dtype=float32)
    """
    return _quantile("quantile", x, q, axis, method, keepdims, skip=False)


def percentile(
    x: ArrayLike,
    q: ArrayLike,
    /,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
) -> Tensor:
    """Return percentiles along axes: :func:`quantile` of ``q / 100``.

    Parameters
    ----------
    x : array-like
    q : array-like
        Between 0 and 100.
    axis : int or tuple of int, optional
        All axes if it is left out.
    method : str
        How to fill gaps between elements, by NumPy's names; ``"linear"`` by itself.
    keepdims : bool
        Keep the axes, with size 1.

    Returns
    -------
    Tensor
        The axes of `q` come first.

    Examples
    --------
    >>> percentile([1.0, 2.0, 3.0], 50)
    Tensor(2., dtype=float32)
    """
    return _quantile("percentile", x, q, axis, method, keepdims, skip=False, whole=100)


def median(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the middle element along axes, or what lies halfway between the two in the middle.

    Parameters
    ----------
    x : array-like
        Complex numbers are ordered by their real parts, then by their imaginary parts.
    axis : int or tuple of int, optional
        Left out: all axes.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor
        NaN where there is one, or no element.

    Examples
    --------
    >>> median([[1.0, 9.0, 2.0], [3.0, 4.0, 5.0]], axis=1)
    Tensor([2., 4.], dtype=float32)
    """
    return _median("median", asarray(x), axis, keepdims, skip=False)


def _median(name: str, x: Tensor, axis: Axis, keepdims: bool, *, skip: bool) -> Tensor:
    if not dtypes.is_inexact(x.dtype):
        x = x.astype(dtypes.float64)
    axes = all_axes(name, axis, x.shape)
    if not prod(x.shape[a] for a in axes):
        return mean(x, axis=axes, keepdims=keepdims)  # NaN, with NumPy's warning
    return _of_axes(name, x, _as_float64(0.5), axes, "linear", keepdims, skip=skip)


def nanquantile(
    x: ArrayLike,
    q: ArrayLike,
    /,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
) -> Tensor:
    """Return quantiles of the elements that are not NaN; NaN where there are none.

    Parameters
    ----------
    x : array-like
    q : array-like
        Between 0 and 1.
    axis : int or tuple of int, optional
        All axes if it is left out.
    method : str
        How to fill gaps between elements, by NumPy's names; ``"linear"`` by itself.
    keepdims : bool
        Keep the axes, with size 1.

    Returns
    -------
    Tensor
        The axes of `q` come first.

    Examples
    --------
    >>> nanquantile([1.0, float("nan"), 2.0], 0.5)
    Tensor(1.5, dtype=float32)
    """
    x = asarray(x)
    warn_of_nothing(x, axis)
    return _quantile("nanquantile", x, q, axis, method, keepdims, skip=True)


def nanpercentile(
    x: ArrayLike,
    q: ArrayLike,
    /,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
) -> Tensor:
    """Return percentiles of the elements that are not NaN; NaN where there are none.

    Parameters
    ----------
    x : array-like
    q : array-like
        Between 0 and 100.
    axis : int or tuple of int, optional
        All axes if it is left out.
    method : str
        How to fill gaps between elements, by NumPy's names; ``"linear"`` by itself.
    keepdims : bool
        Keep the axes, with size 1.

    Returns
    -------
    Tensor
        The axes of `q` come first.

    Examples
    --------
    >>> nanpercentile([1.0, float("nan"), 2.0], 50)
    Tensor(1.5, dtype=float32)
    """
    x = asarray(x)
    warn_of_nothing(x, axis)
    return _quantile("nanpercentile", x, q, axis, method, keepdims, skip=True, whole=100)


def nanmedian(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the median of the elements that are not NaN; NaN where there are none.

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
    >>> nanmedian([1.0, float("nan"), 2.0])
    Tensor(1.5, dtype=float32)
    """
    x = asarray(x)
    warn_of_nothing(x, axis)
    return _median("nanmedian", x, axis, keepdims, skip=True)
