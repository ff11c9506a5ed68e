"""Evenly spaced numbers, and grids of them."""

from __future__ import annotations

import contextlib
import math
import operator
from math import ceil
from typing import Any, TypeGuard, cast

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind, busy, state
from hybrid.core.number import in_graph
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.core.unknown import is_unknown
from hybrid.dtypes import DType
from hybrid.ops._axes import as_dtype, as_shape
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.copying import copy
from hybrid.ops.creation import float_or, placed
from hybrid.ops.reshaping import reshape


def _steps(start: float, stop: float, step: float) -> int:
    return max(ceil((stop - start) / step), 0)


def _integer_steps(start: int, stop: int, step: int) -> int:
    return max(-((start - stop) // step), 0)


def _length(start: Any, stop: Any, step: Any) -> int:
    whole = all(isinstance(x, int) for x in (start, stop, step))
    return _integer_steps(start, stop, step) if whole else _steps(start, stop, step)


def _eager_arange(xp: Any, *, start: Any, stop: Any, step: Any, dtype: DType) -> Any:
    count = _length(start, stop, step)
    if all(isinstance(x, int) for x in (start, stop, step)):
        steps = xp.arange(start, start + count * step, step)
        return steps.astype(dtype)
    # Each element is rounded once: adding up a rounded step would drift.
    return xp.arange(start, stop, step, dtype=dtypes.float64).astype(dtype)


ARANGE = register(
    Op(
        name="arange",
        family="creation",
        infer=lambda *, start, stop, step, dtype: TensorSpec((_length(start, stop, step),), dtype),
        eager=_eager_arange,
        no_gradient="its arguments are constants",
        examples=(
            Example((), {"start": 0, "stop": 5, "step": 1, "dtype": dtypes.int64}),
            Example((), {"start": 5, "stop": 0, "step": -2, "dtype": dtypes.int32}),
            Example((), {"start": 0.0, "stop": 1.0, "step": 0.3, "dtype": dtypes.float32}),
        ),
        doc="Evenly spaced numbers by their step.",
    )
)


def arange(
    start: float | Tensor,
    /,
    stop: float | Tensor | None = None,
    step: float | Tensor = 1,
    *,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Return the numbers from `start` on, `step` apart, below `stop`.

    Parameters
    ----------
    start : number or Tensor
        With no `stop`, this is the stop and the start is 0.
    stop, step : number or Tensor
        Gradients reach Tensors of floats. A trace depends on how many elements there are.
    dtype : dtype, optional
        Left out: int64 if all arguments are whole, the default dtype otherwise.
    device : str, optional
        Where the Tensor is to be; left out, where the scope of :func:`hybrid.device` says.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> arange(2, 8, 3)
    Tensor([2, 5], dtype=int64)
    """
    if not busy and type(start) is int and dtype is None and device is None:
        ends: Any = (0, start) if stop is None else (start, stop)
        if type(ends[1]) is type(step) is int and step:
            try:
                return wrap(np.arange(ends[0], ends[1], step, dtype=dtypes.int64))
            except (OverflowError, ValueError):
                pass  # explained below
    if device is not None and device != state.device:
        return placed("arange", device, arange, start, stop, step, dtype=dtype)
    if stop is None:
        start, stop = 0, start
    start, stop, step = in_graph(start), in_graph(stop), in_graph(step)
    if any(type(x) is Tensor and x.dtype.kind not in "biu" for x in (start, stop, step)):
        from hybrid.ops.composed.ranges import arange_between

        wanted = float_or("arange", dtype)
        return arange_between(start, stop, step, wanted)
    a, b, s = _number(start), _number(stop), _number(step)
    if s == 0:
        raise ValueError(located("arange: the step is 0"))
    whole = all(isinstance(x, int) for x in (a, b, s))
    default = state.defaults.dtypes["i" if whole else "f"]
    attrs = {
        "start": a,
        "stop": b,
        "step": s,
        "dtype": default if dtype is None else as_dtype("arange", dtype),
    }
    return bind(ARANGE, (), attrs)


def _number(x: Any) -> int | float:
    """Return a plain Python number; a traced one is asked for its value."""
    if type(x) is float or type(x) is int:
        return x
    if isinstance(x, Tensor):
        return int(x) if x.dtype.kind in "biu" else float(x)
    if is_unknown(x) and x.open:
        return cast(float, x)
    with contextlib.suppress(TypeError):
        return operator.index(x)
    try:
        return float(x)
    except (TypeError, ValueError):
        raise TypeError(located(f"a range is made of numbers, not of {x!r}")) from None


def _complex_number(x: Any) -> int | float | complex:
    """Return a plain Python number, complex where `x` is."""
    if isinstance(x, complex) or (isinstance(x, Tensor) and x.dtype.kind == "c"):
        return complex(x)
    return _number(x)


def _eager_linspace(
    xp: Any, *, start: complex, stop: complex, num: int, endpoint: bool, dtype: Any
) -> Any:
    first, last = start, stop
    steps = num - 1 if endpoint else num
    if xp is np and dtype.kind == "f" and steps > 0 and _is_plain(first) and _is_plain(last):
        step = (last - first) / steps
        if step and math.isfinite(step):
            # NumPy's own operations, in 2 us where its function takes 7: it takes arrays as well.
            found = np.arange(0.0, num)
            found *= step
            found += first
            if endpoint:
                found[-1] = last
            return found.astype(dtype, copy=False)
    return xp.linspace(start, stop, num, endpoint=endpoint, dtype=dtype)


def _is_plain(x: complex) -> TypeGuard[float]:
    """Tell of a number that it is a float, or an int that is one exactly."""
    return type(x) is float or (type(x) is int and -_EXACT_INTS <= x <= _EXACT_INTS)


_EXACT_INTS = 1 << 53

LINSPACE = register(
    Op(
        name="linspace",
        family="creation",
        infer=lambda *, start, stop, num, endpoint, dtype: TensorSpec((num,), dtype),
        eager=_eager_linspace,
        no_gradient="its arguments are constants",
        examples=(
            Example(
                (),
                {"start": 0.0, "stop": 1.0, "num": 5, "endpoint": True, "dtype": dtypes.float32},
            ),
            Example(
                (),
                {"start": 0.0, "stop": 1j, "num": 3, "endpoint": False, "dtype": dtypes.complex64},
            ),
        ),
        doc="Evenly spaced numbers by their count.",
    )
)


def linspace(
    start: complex | Tensor,
    stop: complex | Tensor,
    /,
    num: int = 50,
    *,
    endpoint: bool = True,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Return `num` evenly spaced numbers from `start` to `stop`.

    Parameters
    ----------
    start, stop : number or Tensor
        Gradients reach Tensors. Of those with axes a new first axis goes from one to the other.
    num : int
    endpoint : bool
        Whether `stop` is the last of them.
    dtype : dtype, optional
        Left out: that of Tensors; of numbers the default dtype, or a complex one if one of them is.
    device : str, optional
        Where the Tensor is to be; left out, where the scope of :func:`hybrid.device` says.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> linspace(0, 1, 3)
    Tensor([0. , 0.5, 1. ], dtype=float32)
    """
    if device is not None and device != state.device:
        options = {"num": num, "endpoint": endpoint, "dtype": dtype}
        return placed("linspace", device, linspace, start, stop, **options)
    start, stop = in_graph(start), in_graph(stop)
    if type(start) is Tensor or type(stop) is Tensor:
        from hybrid.ops.composed.ranges import dtype_between, linspace_between

        usual = dtype_between(start, stop, state.defaults.floats)
        wanted = usual if dtype is None else as_dtype("linspace", dtype)
        return linspace_between(start, stop, as_shape("linspace", num)[0], endpoint, wanted)
    first, last = _complex_number(start), _complex_number(stop)
    is_complex = isinstance(first, complex) or isinstance(last, complex)
    default = state.defaults.dtypes["c" if is_complex else "f"]
    attrs = {
        "start": first,
        "stop": last,
        "num": num if type(num) is int and num >= 0 else as_shape("linspace", num)[0],
        "endpoint": bool(endpoint),
        "dtype": default if dtype is None else as_dtype("linspace", dtype),
    }
    return bind(LINSPACE, (), attrs)


def meshgrid(*arrays: ArrayLike, indexing: str = "xy") -> list[Tensor]:
    """Return the coordinates of a grid, one Tensor per axis.

    Parameters
    ----------
    *arrays : array-like
        The coordinates along each axis.
    indexing : str
        ``"xy"`` swaps the first two axes of the results, as plots want it, ``"ij"`` does not.

    Returns
    -------
    list of Tensor

    Examples
    --------
    >>> meshgrid([1, 2], [3], indexing="ij")
    [Tensor([[1],
            [2]], dtype=int64), Tensor([[3],
            [3]], dtype=int64)]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing {indexing!r} is neither 'xy' nor 'ij'")
    axes = [reshape(a, -1) for a in arrays]
    places = list(range(len(axes)))
    if indexing == "xy" and len(axes) > 1:
        places[:2] = 1, 0
    shape = [0] * len(axes)
    for place, axis in zip(places, axes):
        shape[place] = axis.size
    grids = []
    for place, axis in zip(places, axes):
        lying = [axis.size if i == place else 1 for i in range(len(axes))]
        grids.append(copy(broadcast_to(reshape(axis, lying), shape)))
    return grids
