"""Pooling: the largest element or the mean of what lies under a window, at each of its places.

The place of each largest element is found once, by `pool_argmax`; picking elements there and
putting gradients back there are linear, and each other's gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.op import Example, Op, always, register
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.errors import ShapeError
from hybrid.kernels import pooling as kernels
from hybrid.ops.conv.geometry import Padding, positions

# --- where windows lie ----------------------------------------------------------------------------


def _pooled(name: str, x: Shape, window: Shape, stride: Shape, padding: Padding) -> Shape:
    """Return the shape of the result: a window slides over each of the last axes."""
    first = len(x) - len(window)
    if first < 0:
        raise ShapeError(f"{name}: a window of {len(window)} axes for an input of shape {x}")
    ones = (1,) * len(window)
    places = positions(name, x[first:], window, stride, padding, ones)
    if any(k <= max(around) for k, around in zip(window, padding)) or 0 in x[first:]:
        raise ShapeError(
            f"{name}: a window of {window} on an input of shape {x} padded by {padding} would lie "
            "on padding alone"
        )
    return (*x[:first], *places)


def _overlaps(size: int, places: int, window: int, stride: int, before: int) -> Iterator[Any]:
    """Yield for each element of a window the places where it lies on the axis, and on what."""
    for k in range(window):
        low = max(0, -((k - before) // stride))
        high = min(places, (size - 1 + before - k) // stride + 1)
        if low < high:
            start = low * stride + k - before
            stop = start + (high - low - 1) * stride + 1
            yield k, slice(low, high), slice(start, stop, stride)


def _wide(x: Any) -> Any:
    """Return `x` in the dtype to add in: float16 and bfloat16 are summed in float32."""
    low = x.dtype in (dtypes.float16, dtypes.bfloat16)
    return x.astype(np.float32 if low else x.dtype, copy=False)


def _any_lead(attrs: Any, size: int, *shapes: Shape) -> Any:
    """Windows slide over the last axes, whatever axes come before."""
    return attrs


# --- the largest element --------------------------------------------------------------------------


def _infer_argmax(x: TensorSpec, *, window: Shape, stride: Shape, padding: Padding) -> TensorSpec:
    shape = _pooled("max_pool", x.shape, window, stride, padding)
    return TensorSpec(shape, dtypes.int64, x.device)


def _eager_argmax(xp: Any, x: Any, *, window: Shape, stride: Shape, padding: Padding) -> Any:
    shape = _pooled("max_pool", x.shape, window, stride, padding)
    first = x.ndim - len(window)
    size, places = x.shape[first:], shape[first:]
    if xp is np and len(window) <= 2 and kernels.takes(x):
        lift = 2 - len(window)  # a sequence is an image of one row
        image, ones = x.reshape((*x.shape[:first], *(1,) * lift, *size)), (1,) * lift
        around = (((0, 0),) * lift) + padding
        index = kernels.argmax(image, ones + places, ones + window, ones + stride, around)
        return index.reshape(shape)
    best = xp.zeros(shape, x.dtype)
    index = xp.full(shape, -1, np.int64)
    numbers = xp.arange(prod(size)).reshape(size)
    befores = [before for before, _ in padding]
    for taps in product(*map(_overlaps, size, places, window, stride, befores)):
        at = (..., *(place for _, place, _ in taps))
        under = tuple(elements for _, _, elements in taps)
        value, most = x[(..., *under)], best[at]
        # Of elements that tie the first one stays; a NaN is larger than all but another NaN.
        better = (index[at] < 0) | ~((value <= most) | (most != most))
        best[at] = xp.where(better, value, most)
        index[at] = xp.where(better, numbers[under], index[at])
    return index


_TWO = {"window": (2, 2), "stride": (1, 2), "padding": ((0, 1), (1, 0))}
_ONE = {"window": (3,), "stride": (2,), "padding": ((0, 0),)}

POOL_ARGMAX = register(
    Op(
        name="pool_argmax",
        family="pooling",
        infer=_infer_argmax,
        eager=_eager_argmax,
        in_order=always,
        lead=_any_lead,
        examples=(Example(((2, 3, 4),), _TWO), Example(((2, 7),), _ONE, ("int32",))),
        doc="Where the largest element under each place of a window is; the last axes flattened.",
    )
)


def _flat(x: Any, count: int) -> Any:
    """Return `x` with its leading axes as one and its last `count` axes as one."""
    first = x.ndim - count
    return x.reshape(prod(x.shape[:first]), prod(x.shape[first:]))


def _check_index(name: str, x: Shape, index: TensorSpec, count: int) -> None:
    if x[: len(x) - count] != index.shape[: index.ndim - count] or index.dtype.kind != "i":
        raise ShapeError(f"{name}: an index {index} does not fit shape {x}")


def _infer_pick(x: TensorSpec, index: TensorSpec, *, axes: int) -> TensorSpec:
    _check_index("pool_pick", x.shape, index, axes)
    return TensorSpec(index.shape, x.dtype, x.device)


def _eager_pick(xp: Any, x: Any, index: Any, *, axes: int) -> Any:
    rows, places = _flat(x, axes), _flat(index, axes)
    if xp is np and kernels.takes(x):
        return kernels.pick(rows, places).reshape(index.shape)
    return xp.take_along_axis(rows, places, 1).reshape(index.shape)


POOL_PICK = register(
    Op(
        name="pool_pick",
        family="pooling",
        infer=_infer_pick,
        eager=_eager_pick,
        in_order=always,
        vjp=(
            lambda g, out, x, index, *, axes: _put(g, index, x.shape[x.ndim - axes :]),
            None,
        ),
        lead=_any_lead,
        examples=(Example(((2, 3), (2, 4)), {"axes": 1}, ("float64", "int64"), (0, 3)),),
        doc="The elements at given places of the flattened last axes.",
    )
)


def _infer_put(g: TensorSpec, index: TensorSpec, *, size: Shape) -> TensorSpec:
    shape = (*g.shape[: g.ndim - len(size)], *size)
    _check_index("pool_put", shape, index, len(size))
    return TensorSpec(shape, g.dtype, g.device)


def _eager_put(xp: Any, g: Any, index: Any, *, size: Shape) -> Any:
    rows = prod(g.shape[: g.ndim - len(size)])
    if xp is np and kernels.takes(g):
        found = kernels.put(_flat(g, len(size)), _flat(index, len(size)), prod(size))
        return found.reshape((*g.shape[: g.ndim - len(size)], *size))
    wide = _wide(g)
    total = xp.zeros(rows * prod(size), wide.dtype)
    places = _flat(index, len(size)) + xp.arange(rows)[:, None] * prod(size)
    xp.add.at(total, places.ravel(), wide.ravel())
    return total.astype(g.dtype, copy=False).reshape((*g.shape[: g.ndim - len(size)], *size))


POOL_PUT = register(
    Op(
        name="pool_put",
        family="pooling",
        infer=_infer_put,
        eager=_eager_put,
        in_order=always,
        vjp=(
            lambda h, out, g, index, *, size: bind(POOL_PICK, (h, index), {"axes": len(size)}),
            None,
        ),
        lead=_any_lead,
        examples=(Example(((2, 4), (2, 4)), {"size": (3,)}, ("float64", "int64"), (0, 3)),),
        doc="Elements added up at given places of the flattened last axes.",
    )
)


def _put(g: Tensor, index: Tensor, size: Shape) -> Tensor:
    return bind(POOL_PUT, (g, index), {"size": size})


# --- sums -----------------------------------------------------------------------------------------


def _infer_sum(x: TensorSpec, *, window: Shape, stride: Shape, padding: Padding) -> TensorSpec:
    shape = _pooled("avg_pool", x.shape, window, stride, padding)
    return TensorSpec(shape, x.dtype, x.device)


def eager_sum(xp: Any, x: Any, *, window: Shape, stride: Shape, padding: Padding) -> Any:
    shape = _pooled("avg_pool", x.shape, window, stride, padding)
    total = _wide(x)
    for axis in range(x.ndim - len(window), x.ndim):
        i = axis - x.ndim
        source = total
        total = xp.zeros((*shape[: axis + 1], *x.shape[axis + 1 :]), source.dtype)
        after = (slice(None),) * (-1 - i)
        taps = _overlaps(x.shape[axis], shape[axis], window[i], stride[i], padding[i][0])
        for _, places, elements in taps:
            total[(..., places, *after)] += source[(..., elements, *after)]
    return total.astype(x.dtype, copy=False)


POOL_SUM = register(
    Op(
        name="pool_sum",
        family="pooling",
        infer=_infer_sum,
        eager=eager_sum,
        in_order=always,
        vjp=(lambda g, out, x, **attrs: _spread(g, x.shape, attrs),),
        lead=_any_lead,
        examples=(Example(((2, 3, 4),), _TWO), Example(((2, 7),), _ONE, ("bfloat16",))),
        doc="The sum of what lies under a window, at each of its places on the last axes.",
    )
)


def _infer_spread(
    g: TensorSpec, *, size: Shape, window: Shape, stride: Shape, padding: Padding
) -> TensorSpec:
    shape = (*g.shape[: g.ndim - len(size)], *size)
    if _pooled("pool_spread", shape, window, stride, padding) != g.shape:
        raise ShapeError(f"pool_spread: shape {g.shape} is not what pooling {shape} gives")
    return TensorSpec(shape, g.dtype, g.device)


def _eager_spread(
    xp: Any, g: Any, *, size: Shape, window: Shape, stride: Shape, padding: Padding
) -> Any:
    total = _wide(g)
    for i in range(-len(size), 0):
        axis = g.ndim + i
        source = total
        total = xp.zeros((*total.shape[:axis], size[i], *g.shape[axis + 1 :]), source.dtype)
        after = (slice(None),) * (-1 - i)
        taps = _overlaps(size[i], g.shape[axis], window[i], stride[i], padding[i][0])
        for _, places, elements in taps:
            total[(..., elements, *after)] += source[(..., places, *after)]
    return total.astype(g.dtype, copy=False)


POOL_SPREAD = register(
    Op(
        name="pool_spread",
        family="pooling",
        infer=_infer_spread,
        eager=_eager_spread,
        in_order=always,
        vjp=(lambda h, out, g, *, size, **attrs: bind(POOL_SUM, (h,), attrs),),
        lead=_any_lead,
        examples=(
            Example(((2, 4, 2),), {"size": (4, 3), **_TWO}),
            Example(((2, 3),), {"size": (7,), **_ONE}),
        ),
        doc="Each element added to all that lay under its place of a window.",
    )
)


def _spread(g: Tensor, shape: Shape, attrs: dict[str, Any]) -> Tensor:
    size = shape[len(shape) - len(attrs["window"]) :]
    return bind(POOL_SPREAD, (g,), {"size": size, **attrs})
