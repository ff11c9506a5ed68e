"""The op behind quantiles: those of the last axis, with their gradients."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hybrid import dtypes
from hybrid.core.batch import Lanes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops import elementwise
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.creation import zeros
from hybrid.ops.indexing import scatter_add, take_along_axis
from hybrid.ops.ordering import ordered
from hybrid.ops.permuting import moveaxis
from hybrid.ops.reduction import sum
from hybrid.ops.reshaping import reshape
from hybrid.ops.sorting import argsort
from hybrid.ops.statistics.quantile_methods import METHODS, neighbours


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
    lower, upper, weight = neighbours(xp, method, xp.asarray(n), xp.asarray(q, dtypes.float64))
    return lower, upper, weight, sorted({*lower.tolist(), *upper.tolist(), n - 1})


def _of_present(xp: Any, rows: Any, q: Any, method: str) -> tuple[Any, Any, Any]:
    """Return the same for the elements of each row that are not NaN."""
    rows = xp.sort(rows, axis=-1)
    count = xp.count_nonzero(~xp.isnan(rows), axis=-1)
    flat = q.reshape((q.size,) + (1,) * count.ndim) if count.ndim else q
    lower, upper, weight = neighbours(xp, method, count, flat)

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
    found = neighbours(elementwise, method, _counts(x, skip), flat)
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
