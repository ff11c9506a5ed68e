"""Ranges whose ends are Tensors: in a trace nobody knows them, and gradients reach them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.dtypes import DType
from hybrid.ops.elementwise import ceil, floor, maximum, where
from hybrid.ops.ranges import arange
from hybrid.ops.reshaping import reshape


def arange_between(start: ArrayLike, stop: ArrayLike, step: ArrayLike, dtype: DType) -> Tensor:
    """Return ``arange(start, stop, step)``; in a trace, one for each number of elements."""
    a, b, s = (asarray(x, dtypes.float64) for x in (start, stop, step))
    if s == 0:
        raise ValueError(located("arange: the step is 0"))
    count = int(maximum(ceil((b - a) / s), 0.0).astype(dtypes.int64))
    places = arange(float(count), dtype=dtypes.float64, device=b.device)
    # What NumPy adds from the second element on is the step as it is left of `start + step`.
    line = where(places < 2, a + places * s, a + places * ((a + s) - a))
    return line.astype(dtype, copy=False)


def linspace_between(
    start: ArrayLike, stop: ArrayLike, num: int, endpoint: bool, dtype: DType
) -> Tensor:
    """Return ``linspace(start, stop, num)`` along a new first axis, step by step as NumPy does."""
    ends = [asarray(x, _wide(x)) for x in (start, stop)]
    a, b = ends
    delta = b - a
    numbers = arange(float(num), dtype=dtypes.float64, device=delta.device)
    places = reshape(numbers, (num, *(1,) * delta.ndim))
    parts = num - 1 if endpoint else num
    step = delta / parts if parts > 0 else delta
    line = where(step == 0, places / max(parts, 1) * delta, places * step) + a
    if endpoint and num > 1:
        line = where(places == num - 1, b, line)
    return (floor(line) if dtype.kind in "iu" else line).astype(dtype, copy=False)


def dtype_between(start: ArrayLike, stop: ArrayLike, scalar: DType) -> DType:
    """Return the dtype of a line between `start` and `stop`; `scalar` where both are scalars."""
    tensors = [x for x in (start, stop) if type(x) is Tensor and not x.spec.weak]
    kinds = [x.dtype if dtypes.is_inexact(x.dtype) else dtypes.float64 for x in tensors]
    is_complex = _wide(start).kind == "c" or _wide(stop).kind == "c"
    found = dtypes.promote(kinds) if kinds else scalar
    if is_complex and found.kind != "c":
        return np.result_type(found, dtypes.complex64)
    return found


def _wide(x: Any) -> DType:
    kind = x.dtype.kind if hasattr(x, "dtype") else np.asarray(x).dtype.kind
    return dtypes.complex128 if kind == "c" else dtypes.float64
