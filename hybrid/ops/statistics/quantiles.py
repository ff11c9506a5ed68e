"""Quantiles, percentiles and medians, with NaN counted or left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

from hybrid import dtypes
from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, asarray
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops import elementwise
from hybrid.ops._axes import Axes, all_axes
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.creation import zeros
from hybrid.ops.elementwise.operands import is_weak
from hybrid.ops.indexing import scatter_add, take_along_axis
from hybrid.ops.movement import moveaxis, reshape
from hybrid.ops.reduction import Axis, mean, sum
from hybrid.ops.searching import ordered
from hybrid.ops.sorting import argsort
from hybrid.ops.statistics.missing import warn_of_nothing
from hybrid.ops.unit_axes import expand_dims
from hybrid.records import dataclass

# --- methods --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Method:
    """Where a quantile lies among `n` sorted elements.

    Parameters
    ----------
    place : callable
        ``place(xp, n, q)`` gives the place as a floating-point number, the first element at 0.
    weight : callable
        ``weight(xp, fraction)`` says how much the upper neighbour of a place counts.
    slope : callable
        ``slope(n)`` is the derivative of the place by `q` as far as the weight follows it.
    exact : bool
        The result is one of the elements.
    """

    place: Callable[[Any, Any, Any], Any]
    weight: Callable[[Any, Any], Any] = lambda xp, fraction: fraction
    slope: Callable[[Any], Any] = lambda n: n * 0.0
    exact: bool = False


def _continuous(alpha: float, beta: float) -> Method:
    return Method(
        lambda xp, n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1,
        slope=lambda n: n + (1 - alpha - beta),
    )


def _exact(place: Callable[[Any, Any, Any], Any]) -> Method:
    return Method(place, exact=True)


def _closest(xp: Any, n: Any, q: Any) -> Any:
    place = n * q - 1.5
    low = xp.floor(place)
    return xp.where((place == low) & (low % 2 == 1), low, low + 1)


# The names and formulas of numpy.quantile: Hyndman and Fan, "Sample Quantiles in Statistical
# Packages" (1996), and four more.
METHODS: dict[str, Method] = {
    "linear": Method(lambda xp, n, q: (n - 1) * q, slope=lambda n: n - 1.0),
    "inverted_cdf": _exact(lambda xp, n, q: xp.ceil(n * q - 1)),
    "averaged_inverted_cdf": Method(
        lambda xp, n, q: n * q - 1, lambda xp, fraction: xp.where(fraction == 0, 0.5, 1.0)
    ),
    "closest_observation": _exact(_closest),
    "interpolated_inverted_cdf": _continuous(0, 1),
    "hazen": _continuous(0.5, 0.5),
    "weibull": _continuous(0, 0),
    "median_unbiased": _continuous(1 / 3, 1 / 3),
    "normal_unbiased": _continuous(3 / 8, 3 / 8),
    "lower": _exact(lambda xp, n, q: xp.floor((n - 1) * q)),
    "higher": _exact(lambda xp, n, q: xp.ceil((n - 1) * q)),
    "nearest": _exact(lambda xp, n, q: xp.rint((n - 1) * q)),
    "midpoint": Method(
        lambda xp, n, q: (n - 1) * q, lambda xp, fraction: xp.where(fraction == 0, 0.0, 0.5)
    ),
}


def _neighbours(xp: Any, method: str, n: Any, q: Any) -> tuple[Any, Any, Any]:
    """Return the indices of the neighbours of the place of `q`, and the weight of the upper one."""
    rule = METHODS[method]
    place = rule.place(xp, n, q)
    low = xp.floor(place)
    top = xp.maximum(n - 1, 0)
    weight = rule.weight(xp, place - low)
    lower = xp.minimum(xp.maximum(low, 0), top)
    upper = lower if rule.exact else xp.minimum(xp.maximum(low + 1, 0), top)
    return lower.astype(dtypes.int64), upper.astype(dtypes.int64), weight


# --- the op: quantiles of rows --------------------------------------------------------------------


def _infer(x: TensorSpec, q: TensorSpec, *, method: str, skip: bool) -> TensorSpec:
    if q.dtype.kind == "c":
        raise DTypeError(f"quantile: q says where in an order, which {q.dtype.name} does not")
    if not x.shape[-1]:
        raise ShapeError("quantile: there are no elements along the axis")
    keeps = METHODS[method].exact or dtypes.is_inexact(x.dtype)
    return TensorSpec((*q.shape, *x.shape[:-1]), x.dtype if keeps else dtypes.float64, x.device)


def _eager(xp: Any, x: Any, q: Any, *, method: str, skip: bool) -> Any:
    x, q = xp.asarray(x), xp.asarray(q)
    spec = _infer(
        TensorSpec(x.shape, x.dtype), TensorSpec(q.shape, q.dtype), method=method, skip=skip
    )
    outside = ~((q >= 0) & (q <= 1))
    if outside.any():
        raise ValueError(f"quantile: {q[outside].flat[0]} is not between 0 and 1")
    rows, may_be_nan = ordered(x), dtypes.is_inexact(x.dtype)
    if skip and may_be_nan:
        low, high, weight = _of_present(xp, rows, q.ravel(), method)
    else:
        low, high, weight, top = _of_all(xp, rows, q.ravel(), method)
    out = low if METHODS[method].exact else _between(xp, low, high, weight)
    if may_be_nan and not skip:
        out = xp.where(xp.isnan(top), xp.nan, out)
    return xp.array(out.reshape(spec.shape), dtype=spec.dtype)


def _of_all(xp: Any, rows: Any, q: Any, method: str) -> tuple[Any, Any, Any, Any]:
    """Return the lower and upper neighbours of quantiles, the weight, the largest elements."""
    n = rows.shape[-1]
    lower, upper, weight, places = _places(xp, method, n, tuple(q.tolist()))
    rows = xp.partition(rows, places, axis=-1)
    rows = xp.moveaxis(rows, -1, 0) if rows.ndim > 1 else rows
    weight = weight.reshape((q.size,) + (1,) * (rows.ndim - 1))
    return rows[lower], rows[upper], weight, rows[-1]


@lru_cache(maxsize=64)
def _places(xp: Any, method: str, n: int, q: tuple[float, ...]) -> tuple[Any, Any, Any, list[int]]:
    """Return the neighbours of quantiles among `n` elements, and all places that must be sorted."""
    lower, upper, weight = _neighbours(xp, method, xp.asarray(n), xp.asarray(q, dtypes.float64))
    return lower, upper, weight, sorted({*lower.tolist(), *upper.tolist(), n - 1})


def _of_present(xp: Any, rows: Any, q: Any, method: str) -> tuple[Any, Any, Any]:
    """Return the same for the elements of each row that are not NaN."""
    rows = xp.sort(rows, axis=-1)
    count = xp.count_nonzero(~xp.isnan(rows), axis=-1)
    flat = q.reshape((q.size,) + (1,) * count.ndim) if count.ndim else q
    lower, upper, weight = _neighbours(xp, method, count, flat)

    def at(index: Any) -> Any:
        return xp.take_along_axis(rows[None], index[..., None], -1)[..., 0]

    return at(lower), at(upper), weight


def _between(xp: Any, low: Any, high: Any, weight: Any) -> Any:
    """Interpolate from the nearer end; equal or infinite ends do not make NaN."""
    wide = dtypes.complex128 if low.dtype.kind == "c" else dtypes.float64
    low, high = low.astype(wide), high.astype(wide)
    with xp.errstate(invalid="ignore", over="ignore"):
        gap = high - low
        out = xp.where(weight < 0.5, low + gap * weight, high - gap * (1 - weight))
        finite = xp.isfinite(gap)
        if not finite.all():
            far = xp.where(weight == 0, low, xp.where(weight == 1, high, low + high))
            out = xp.where(finite, out, xp.where(low == high, low, far))
    return out


def _vjp_x(g: Tensor, out: Tensor, x: Tensor, q: Tensor, *, method: str, skip: bool) -> Tensor:
    order = argsort(x)
    lower, upper, weight = _neighbours_of_rows(x, q, method, skip)
    wide = _wide(x)
    g = reshape(g, lower.shape).astype(wide)
    total = zeros(x.shape, wide)
    parts = (
        [(lower, g)] if METHODS[method].exact else [(lower, g * (1 - weight)), (upper, g * weight)]
    )
    for place, part in parts:
        origin = take_along_axis(order, moveaxis(place, 0, -1), -1)
        total = scatter_add(total, origin, moveaxis(part, 0, -1), axis=-1)
    return total.astype(x.dtype, copy=False)


def _vjp_q(g: Tensor, out: Tensor, x: Tensor, q: Tensor, *, method: str, skip: bool) -> Tensor:
    lower, upper, _ = _neighbours_of_rows(x, q, method, skip)
    wide = _wide(x)
    sorted_ = take_along_axis(x, argsort(x), -1).astype(wide)
    low, high = (take_along_axis(sorted_, moveaxis(i, 0, -1), -1) for i in (lower, upper))
    slope = (high - low) * METHODS[method].slope(_counts(x, skip))[..., None]
    by_row = elementwise.real(
        elementwise.conj(moveaxis(slope, -1, 0)) * reshape(g, lower.shape).astype(wide)
    )
    return reshape(sum(by_row, axis=tuple(range(1, by_row.ndim))), q.shape).astype(
        q.dtype, copy=False
    )


def _wide(x: Tensor) -> dtypes.DType:
    return dtypes.complex128 if x.dtype.kind == "c" else dtypes.float64


def _counts(x: Tensor, skip: bool) -> Tensor:
    """Return how many elements of each row count."""
    if skip and dtypes.is_inexact(x.dtype):
        return sum((~elementwise.isnan(x)).astype(dtypes.int64), axis=-1)
    return broadcast_to(asarray(x.shape[-1]), x.shape[:-1])


def _neighbours_of_rows(x: Tensor, q: Tensor, method: str, skip: bool) -> tuple[Tensor, ...]:
    rest = x.shape[:-1]
    flat = reshape(q, (q.size,) + (1,) * len(rest))
    found = _neighbours(elementwise, method, _counts(x, skip), flat)
    return tuple(broadcast_to(part, (q.size, *rest)) for part in found)


def _batch(op: Op, size: int, lanes: Lanes, attrs: Attrs) -> Tensor | None:
    x, q = lanes
    if x.batched == q.batched:
        return None
    found: Tensor = bind(op, (x.tensor, q.tensor), attrs)
    return found if q.batched else moveaxis(found, q.tensor.ndim, 0)


def _example(shapes: Any, method: str, dtype: str = "float64", *, skip: bool = False) -> Example:
    # One domain for both inputs: where quantiles can be asked for.
    attrs = {"method": method, "skip": skip}
    return Example(shapes, attrs, (dtype, "float64"), domain=(0.05, 0.93))


QUANTILE = register(
    Op(
        name="quantile",
        family="statistics",
        batch=_batch,
        infer=_infer,
        eager=_eager,
        raises=True,
        vjp=(_vjp_x, _vjp_q),
        examples=(
            *(_example(((2, 5), (3,)), method) for method in METHODS),
            _example(((3, 2, 4), ()), "linear", skip=True),
            _example(((6,), ()), "lower", "int32"),
            _example(((6,), (1,)), "hazen", "float32"),
            _example(((2, 4), ()), "linear", "complex128"),
        ),
        doc="Quantiles of the last axis, with NaN skipped or not.",
    )
)


# --- functions ------------------------------------------------------------------------------------


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
    return _of_axes(name, x, parts, axis, method, keepdims, skip=skip)


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
