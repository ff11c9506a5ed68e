"""``np.pad`` with what hybrid's own `pad` has not: several constants, and modes that compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.number import each
from hybrid.core.source import located
from hybrid.core.tensor import Tensor
from hybrid.core.watched import holds_tensors
from hybrid.errors import ShapeError
from hybrid.ops import creation, joining, rearranging, reduction
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.copying import laid
from hybrid.ops.elementwise import astype
from hybrid.ops.protocols.by_numpy import by_numpy
from hybrid.ops.protocols.functions import implements
from hybrid.ops.slicing import narrow
from hybrid.ops.statistics import median

_BY_STATISTICS: dict[str, Callable[..., Tensor]] = {
    "maximum": reduction.max,
    "minimum": reduction.min,
    "mean": reduction.mean,
    "median": median,
}
_ROUNDED = frozenset(("mean", "median", "linear_ramp"))
"""Modes whose numbers NumPy rounds for integers."""


@implements(np.pad)
def _pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    x = original = asarray(array)
    if isinstance(pad_width, dict):
        pad_width = rearranging.widths(x, pad_width)
    elif isinstance(pad_width, list | tuple):
        # hybrid's own `pad` takes ints among the pairs, NumPy's does not.
        if len({len(row) if isinstance(row, list | tuple) else 0 for row in pad_width}) > 1:
            raise ShapeError(located(f"np.pad: the widths {pad_width} are not as many in each row"))
    values = kwargs.get("constant_values", 0)
    if mode == "empty" and not kwargs:
        return rearranging.pad(x, pad_width)
    if mode in rearranging.PAD_MODES and not kwargs.keys() - {"constant_values"}:
        if mode != "constant" or (np.ndim(values) == 0 and not holds_tensors(values)):
            return rearranging.pad(x, pad_width, mode, **kwargs)
    whole = isinstance(mode, str) and not isinstance(pad_width, Tensor)
    sides = _sides(mode, x.dtype) if whole else None
    if sides is None or kwargs.keys() - {_OPTION.get(mode)}:
        return by_numpy(np.pad, (array, pad_width, mode), kwargs)
    widths = np.broadcast_to(pad_width, (x.ndim, 2)).tolist()
    given = kwargs.get(_OPTION.get(mode, ""), 0)
    pairs = joining.joined(each(given)) if holds_tensors(given) else np.asarray(given)
    pairs = np.broadcast_to(pairs, (x.ndim, 2))
    for axis, (before, after) in enumerate(widths):
        first, last = sides(x, axis, before, after, pairs[axis])
        x = joining.concat([astype(first, x.dtype), x, astype(last, x.dtype)], axis=axis)
    return x if x is original else laid(x, original, "A")


_OPTION = {"constant": "constant_values", "linear_ramp": "end_values"}

Sides = Callable[[Tensor, int, int, int, Any], tuple[Tensor, Tensor]]


def _sides(mode: str, dtype: dtypes.DType) -> Sides | None:
    """Return what makes the two ends of an axis; None where that is left to NumPy."""
    if mode in _ROUNDED and not dtypes.is_inexact(dtype):
        return None
    if mode in _BY_STATISTICS:
        return lambda x, axis, before, after, _: _statistic(mode, x, axis, before, after)
    return {"constant": _constants, "linear_ramp": _ramps}.get(mode)


def _of_width(x: Tensor, axis: int, width: int) -> tuple[int, ...]:
    return (*x.shape[:axis], width, *x.shape[axis + 1 :])


def _statistic(mode: str, x: Tensor, axis: int, before: int, after: int) -> tuple[Tensor, Tensor]:
    found = _BY_STATISTICS[mode](x, axis=axis, keepdims=True)
    return (
        broadcast_to(found, _of_width(x, axis, before)),
        broadcast_to(found, _of_width(x, axis, after)),
    )


def _constants(x: Tensor, axis: int, before: int, after: int, values: Any) -> tuple[Tensor, Tensor]:
    first, last = (value.astype(x.dtype).to_device(x.device) for value in values)
    return (
        creation.full(_of_width(x, axis, before), first, dtype=x.dtype, device=x.device),
        creation.full(_of_width(x, axis, after), last, dtype=x.dtype, device=x.device),
    )


def _ramps(x: Tensor, axis: int, before: int, after: int, ends: Any) -> tuple[Tensor, Tensor]:
    return (
        _ramp(narrow(x, axis, 0, 1), axis, before, ends[0], np.arange(before)),
        _ramp(narrow(x, axis, x.shape[axis] - 1, 1), axis, after, ends[1], np.arange(after)[::-1]),
    )


def _ramp(edge: Tensor, axis: int, width: int, end: Any, steps: Any) -> Tensor:
    """Go from the end value to the edge, which the array itself has."""
    share = asarray((steps / max(width, 1)).astype(np.float64), device=edge.device)
    share = share.reshape((width,) + (1,) * (edge.ndim - 1 - axis))
    ramp: Tensor = end + (edge - end) * share
    return ramp
