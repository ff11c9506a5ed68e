"""Convolutions of any dtype by array functions alone: windows as views, then products."""

from __future__ import annotations

from itertools import product
from typing import Any

from hybrid import dtypes
from hybrid.core.spec import Shape
from hybrid.dtypes import DType
from hybrid.ops.conv.geometry import Padding


def computed(dtype: DType) -> DType:
    """Return the dtype to compute in: float16 and bfloat16 are summed in float32."""
    return dtypes.float32 if dtype in (dtypes.float16, dtypes.bfloat16) else dtype


def windows(
    xp: Any, x: Any, kernel: Shape, stride: Shape, padding: Padding, dilation: Shape
) -> Any:
    """Return the elements under each place of the window: axes N, C, places, kernel."""
    axes = tuple(range(2, x.ndim))
    if any(map(any, padding)):
        x = xp.pad(x, ((0, 0), (0, 0), *padding))
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation))
    view = xp.lib.stride_tricks.sliding_window_view(x, spans, axes)
    steps = (*stride, *dilation)
    return view[(slice(None), slice(None), *(slice(None, None, step) for step in steps))]


def convolved(
    xp: Any, x: Any, w: Any, stride: Shape, padding: Padding, dilation: Shape, groups: int
) -> Any:
    """Return each window's products with the weights, summed."""
    count = len(stride)
    view = windows(xp, x, w.shape[2:], stride, padding, dilation)
    places = view.shape[2 : 2 + count]
    out = xp.empty((x.shape[0], w.shape[0], *places), x.dtype)
    inputs, outputs = w.shape[1], w.shape[0] // groups
    summed = (1, *range(2 + count, 2 + 2 * count))
    for group in range(groups):
        part = view[:, group * inputs : (group + 1) * inputs]
        weights = w[group * outputs : (group + 1) * outputs]
        total = xp.tensordot(part, weights, (summed, (1, *range(2, 2 + count))))
        out[:, group * outputs : (group + 1) * outputs] = xp.moveaxis(total, -1, 1)
    return out


def by_input(
    xp: Any,
    g: Any,
    w: Any,
    size: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Any:
    """Return the transpose of :func:`convolved` by its input, applied to `g`."""
    inputs, outputs = w.shape[1], w.shape[0] // groups
    padded = tuple(n + before + after for n, (before, after) in zip(size, padding))
    out = xp.zeros((g.shape[0], inputs * groups, *padded), g.dtype)
    for group in range(groups):
        part = g[:, group * outputs : (group + 1) * outputs]
        weights = w[group * outputs : (group + 1) * outputs]
        target = out[:, group * inputs : (group + 1) * inputs]
        for tap in product(*map(range, w.shape[2:])):
            spread = xp.tensordot(part, weights[(slice(None), slice(None), *tap)], ((1,), (0,)))
            target[(..., *_places(tap, g.shape[2:], stride, dilation))] += xp.moveaxis(
                spread, -1, 1
            )
    inner = tuple(slice(before, before + n) for n, (before, _) in zip(size, padding))
    return xp.ascontiguousarray(out[(..., *inner)])


def _places(tap: Shape, count: Shape, stride: Shape, dilation: Shape) -> tuple[slice, ...]:
    """Select what one element of the window lies on, at all its places."""
    return tuple(
        slice(k * d, k * d + (n - 1) * s + 1, s) for k, n, s, d in zip(tap, count, stride, dilation)
    )


def by_weight(
    xp: Any,
    x: Any,
    g: Any,
    size: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Any:
    """Return the transpose of :func:`convolved` by its weights, applied to `g`."""
    count = len(stride)
    view = windows(xp, x, size, stride, padding, dilation)
    inputs, outputs = x.shape[1] // groups, g.shape[1] // groups
    out = xp.empty((g.shape[1], inputs, *size), x.dtype)
    summed = (0, *range(2, 2 + count))
    for group in range(groups):
        part = view[:, group * inputs : (group + 1) * inputs]
        slopes = g[:, group * outputs : (group + 1) * outputs]
        out[group * outputs : (group + 1) * outputs] = xp.tensordot(slopes, part, (summed, summed))
    return out
