"""Scans: running sums and products along an axis."""

from __future__ import annotations

from typing import Any

from hybrid.core.dispatch import bind
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, asarray
from hybrid.ops._axes import as_dtype, one_axis
from hybrid.ops._methods import attach
from hybrid.ops.movement import flip, moveaxis, reshape, split
from hybrid.ops.rearranging import pad
from hybrid.ops.reduction.declare import accumulator

CUMSUM = register(
    Op(
        name="cumsum",
        family="reduction",
        infer=lambda x, *, axis: TensorSpec(x.shape, accumulator(x.dtype), x.device),
        eager=lambda xp, x, *, axis: xp.cumsum(x, axis=axis, dtype=accumulator(x.dtype)),
        vjp=(lambda g, out, x, *, axis: flip(cumsum(flip(g, axis), axis), axis),),
        examples=(
            Example(((3, 4),), {"axis": 0}),
            Example(((3, 4),), {"axis": 1}, ("int8",)),
        ),
        doc="The running sum along an axis.",
    )
)


def _along(name: str, x: ArrayLike, axis: int | None, dtype: Any) -> tuple[Tensor, int]:
    x = asarray(x)
    x = x if dtype is None else x.astype(as_dtype(name, dtype), copy=False)
    if axis is None:
        return reshape(x, (x.size,)), 0
    return x, one_axis(name, axis, x.shape)


def cumsum(x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the running sum along an axis, of the raveled array if `axis` is left out."""
    x, axis = _along("cumsum", x, axis, dtype)
    out = bind(CUMSUM, (x,), {"axis": axis})
    return out if dtype is None else out.astype(dtype, copy=False)


def cumulative_sum(x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The Array API's name of :func:`cumsum`."""
    return cumsum(x, axis, dtype=dtype)


def cumprod(x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the running product along an axis, of the raveled array if `axis` is left out."""
    x, axis = _along("cumprod", x, axis, dtype)
    out = moveaxis(x, axis, -1).astype(accumulator(x.dtype), copy=False)
    by = 1
    while by < out.shape[-1]:  # Hillis and Steele: products only, so that zeros have gradients
        out = out * shifted(out, by)
        by *= 2
    out = moveaxis(out, -1, axis)
    return out.astype(x.dtype if dtype is not None else out.dtype, copy=by == 1)


def cumulative_prod(x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The Array API's name of :func:`cumprod`."""
    return cumprod(x, axis, dtype=dtype)


def shifted(x: Tensor, by: int) -> Tensor:
    """Move the last axis by some places towards its end; ones come in."""
    kept = split(x, [max(x.shape[-1] - by, 0)], axis=-1)[0]
    added = x.shape[-1] - kept.shape[-1]
    return pad(kept, ((0, 0),) * (x.ndim - 1) + ((added, 0),), constant_values=1)


attach(cumsum=cumsum, cumprod=cumprod)
