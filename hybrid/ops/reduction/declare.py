"""What reductions share: their axes, their dtypes, the gradient that goes back over the axes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.heard import heard
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.dtypes import DType
from hybrid.errors import ShapeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._axes import Axes, all_axes
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.unit_axes import expand_dims

Axis = int | Axes | None

_array = np.ndarray
_HALVES = frozenset(dtype.char for dtype in dtypes.SUPPORTED if dtypes.is_half(dtype))

REDUCTION_EXAMPLES = (
    Example(((3, 4),), {"axis": (0,), "keepdims": False}),
    Example(((2, 3, 4),), {"axis": (0, 2), "keepdims": True}),
    Example(((3, 4),), {"axis": (0, 1), "keepdims": False}),
    Example(((5,),), {"axis": (), "keepdims": False}),
    Example(((3, 4),), {"axis": (1,), "keepdims": False}, ("int32",)),
)
EMPTY_EXAMPLE = Example(((0, 3),), {"axis": (0,), "keepdims": False})


def spread(g: Tensor, shape: Shape, axis: Axes, keepdims: bool) -> Tensor:
    """Broadcast a reduced `g` back over the axes that were reduced."""
    return broadcast_to(restore(g, axis, keepdims), shape)


def restore(reduced: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    """Put the reduced axes back with size 1."""
    return reduced if keepdims or not axis else expand_dims(reduced, axis)


def accumulator(dtype: DType) -> DType:
    """Return the dtype in which NumPy adds: 64 bits for booleans and integers."""
    if dtype.kind in "bi":
        return dtypes.int64
    return dtypes.uint64 if dtype.kind == "u" else dtype


def eager_sum(name: str) -> Callable[..., Any]:
    """Return the eager form of a sum or product in the dtype that partial results need.

    For float16 and bfloat16 that is float32, and the result is rounded once: a sum of ones would
    end at 2048 and at 256.
    """

    numpys = getattr(np, name).reduce

    def eager(xp: Any, x: Any, *, axis: Axis, keepdims: bool) -> Any:
        wide = _WIDER.get(x.dtype.char)
        method = numpys if xp is np else getattr(xp, name).reduce
        found = method(x, axis, wide, None, keepdims)
        return _narrowed(found, x) if wide is dtypes.float32 else found

    return eager


def eager_scan(name: str) -> Callable[..., Any]:
    """Return the eager form of a running sum or product, likewise."""

    numpys = getattr(np, name).accumulate

    def eager(xp: Any, x: Any, *, axis: int) -> Any:
        wide = _WIDER.get(x.dtype.char)
        method = numpys if xp is np else getattr(xp, name).accumulate
        found = method(x, axis, wide)
        return _narrowed(found, x) if wide is dtypes.float32 else found

    return eager


def _narrowed(found: Any, x: Any) -> Any:
    return found.astype(x.dtype)


_WIDER = {
    dtype.char: wide
    for dtype in dtypes.SUPPORTED
    for wide in [dtypes.float32 if dtypes.is_half(dtype) else accumulator(dtype)]
    if wide != dtype
}


def not_empty(name: str, x: TensorSpec, axis: Axes) -> None:
    """Refuse to reduce an axis without elements by an op that then has no result."""
    if 0 in (x.shape[a] for a in axis):
        raise ShapeError(f"{name}: shape {x.shape} has no elements along axis {axis}")


def reduce(op: Op, x: ArrayLike, axis: Axis, keepdims: bool) -> Tensor:
    """Bind a reduction, whose axes are given as users write them."""
    single = axis is None or type(axis) is int
    if single and type(x) is Tensor and (not busy or state.plain) and type(x._data) is np.ndarray:
        try:  # what at_once does, without the time of its call
            data = heard()(op.eager, np, x._data, axis=axis, keepdims=keepdims)
        except Exception:
            pass  # explained below
        else:
            return wrap(data if type(data) is np.ndarray else np.asarray(data))
    x = asarray(x)
    return bind(op, (x,), {"axis": all_axes(op.name, axis, x.shape), "keepdims": keepdims})


def folding(op: Op, ufunc: np.ufunc) -> Callable[[ArrayLike, Axis, bool], Tensor]:
    """Return what binds a reduction that is ``ufunc.reduce``, or calls that at once.

    Half precision has another eager form, and NumPy other dtypes for it.
    """
    method: Callable[..., Any] = ufunc.reduce
    short: Callable[[Any, Any, Any], Tensor | None] | None = None

    def fold(x: ArrayLike, axis: Axis, keepdims: bool) -> Tensor:
        if short is not None and (done := short(x, axis, keepdims)) is not None:
            return done
        if (axis is None or type(axis) is int) and type(x) is Tensor and (not busy or state.plain):
            data = x._data
            if type(data) is _array and data.dtype.char not in _HALVES:
                try:
                    found = heard()(method, data, axis, None, None, keepdims)
                except Exception:
                    pass  # explained below
                else:
                    return _shortways.made(found)
        return reduce(op, x, axis, keepdims)

    def put(native: dict[str, Any]) -> None:
        nonlocal short
        short = native[op.name]

    _shortways.offer(Way(op.name, "function of an axis", ufunc), put)
    return fold


def count(shape: Shape, axis: Axis) -> int:
    """Return how many elements a reduction of `shape` along `axis` takes together."""
    if axis is None:
        return prod(shape)
    return shape[axis] if isinstance(axis, int) else prod(shape[a] for a in axis)
