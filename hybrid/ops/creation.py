"""Tensors out of nothing: constants, ranges, grids. Floats are float32 unless a dtype is given."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from math import ceil
from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind, located, spec_of
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, asarray
from hybrid.dtypes import DType
from hybrid.errors import ShapeError
from hybrid.ops._axes import as_dtype, as_shape
from hybrid.ops.movement import broadcast_to, copy, reshape, sum_to

array = asarray

# --- constants ------------------------------------------------------------------------------------


def _infer_full(value: TensorSpec, *, shape: Shape, dtype: DType) -> TensorSpec:
    tail = shape[len(shape) - value.ndim :]
    if value.ndim > len(shape) or not all(n in (1, m) for n, m in zip(value.shape, tail)):
        raise ShapeError(f"full: a value of shape {value.shape} does not broadcast to {shape}")
    return TensorSpec(shape, dtype, value.device)


FULL = register(
    Op(
        name="full",
        family="creation",
        infer=_infer_full,
        eager=lambda xp, value, *, shape, dtype: xp.full(shape, value, dtype),
        vjp=(
            lambda g, out, value, *, shape, dtype: sum_to(g, value.shape).astype(
                value.dtype, copy=False
            ),
        ),
        examples=(
            Example(((),), {"shape": (2, 3), "dtype": dtypes.float32}),
            Example(((3,),), {"shape": (2, 3), "dtype": dtypes.float64}),
            Example(((),), {"shape": (), "dtype": dtypes.int32}, ("int64",)),
        ),
        doc="An array filled with one value.",
    )
)


def full(shape: int | Iterable[int], fill_value: ArrayLike, *, dtype: Any = None) -> Tensor:
    """Return a Tensor filled with one value.

    Parameters
    ----------
    shape : int or tuple of int
    fill_value : scalar or array-like that broadcasts to `shape`
    dtype : dtype, optional
        Left out: float32, int64 or bool for Python scalars, the value's own otherwise.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> full((2,), 0.5)
    Tensor([0.5, 0.5], dtype=float32)
    """
    if isinstance(fill_value, list | tuple):
        fill_value = asarray(fill_value)
    wanted = as_dtype("full", dtype) if dtype is not None else _own_dtype(fill_value)
    return bind(FULL, (fill_value,), {"shape": as_shape("full", shape), "dtype": wanted})


_NARROW = {dtypes.float64: dtypes.float32, dtypes.complex128: dtypes.complex64}


def _own_dtype(value: Any) -> DType:
    spec = spec_of(value)
    return _NARROW.get(spec.dtype, spec.dtype) if spec.weak else spec.dtype


def zeros(shape: int | Iterable[int], dtype: Any = dtypes.float32) -> Tensor:
    """Return a Tensor of zeros."""
    return full(shape, 0, dtype=dtype)


def ones(shape: int | Iterable[int], dtype: Any = dtypes.float32) -> Tensor:
    """Return a Tensor of ones."""
    return full(shape, 1, dtype=dtype)


def empty(shape: int | Iterable[int], dtype: Any = dtypes.float32) -> Tensor:
    """Return a Tensor whose contents nobody should rely on; they are zeros."""
    return full(shape, 0, dtype=dtype)


def full_like(
    x: ArrayLike, /, fill_value: ArrayLike, *, dtype: Any = None, shape: Any = None
) -> Tensor:
    """Return a Tensor of the shape and dtype of `x`, filled with one value."""
    spec = spec_of(x) if not isinstance(x, int | float | complex) else asarray(x).spec
    size = spec.shape if shape is None else shape
    return full(size, fill_value, dtype=spec.dtype if dtype is None else dtype)


def zeros_like(x: ArrayLike, /, dtype: Any = None, *, shape: Any = None) -> Tensor:
    """Return zeros of the shape and dtype of `x`."""
    return full_like(x, 0, dtype=dtype, shape=shape)


def ones_like(x: ArrayLike, /, dtype: Any = None, *, shape: Any = None) -> Tensor:
    """Return ones of the shape and dtype of `x`."""
    return full_like(x, 1, dtype=dtype, shape=shape)


def empty_like(x: ArrayLike, /, dtype: Any = None, *, shape: Any = None) -> Tensor:
    """Return zeros of the shape and dtype of `x`."""
    return full_like(x, 0, dtype=dtype, shape=shape)


# --- matrices -------------------------------------------------------------------------------------


EYE = register(
    Op(
        name="eye",
        family="creation",
        infer=lambda *, n, m, k, dtype: TensorSpec((n, m), dtype),
        eager=lambda xp, *, n, m, k, dtype: xp.eye(n, m, k, dtype=dtype),
        no_gradient="it has no inputs",
        examples=(Example((), {"n": 3, "m": 4, "k": 1, "dtype": dtypes.float32}),),
        doc="Ones on a diagonal.",
    )
)


def eye(n: int, m: int | None = None, /, *, k: int = 0, dtype: Any = dtypes.float32) -> Tensor:
    """Return a matrix of `n` rows (and `m` columns) with ones on diagonal `k`."""
    rows = as_shape("eye", n)[0]
    columns = rows if m is None else as_shape("eye", m)[0]
    attrs = {"n": rows, "m": columns, "k": operator.index(k), "dtype": as_dtype("eye", dtype)}
    return bind(EYE, (), attrs)


def identity(n: int, dtype: Any = dtypes.float32) -> Tensor:
    """NumPy's name of a square :func:`eye`."""
    return eye(n, dtype=dtype)


def tri(n: int, m: int | None = None, k: int = 0, dtype: Any = dtypes.float32) -> Tensor:
    """Return a matrix of ones at and below diagonal `k`, zeros above."""
    from hybrid.ops.rearranging import tril

    return tril(ones((n, n if m is None else m), dtype), k)


# --- ranges ---------------------------------------------------------------------------------------


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
    return (start + xp.arange(count) * float(step)).astype(dtype)


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
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: Any = None
) -> Tensor:
    """Return the numbers from `start` on, `step` apart, below `stop`.

    Parameters
    ----------
    start : number
        With no `stop`, this is the stop and the start is 0.
    stop : number, optional
    step : number
    dtype : dtype, optional
        Left out: int64 if all arguments are whole, float32 otherwise.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> arange(2, 8, 3)
    Tensor([2, 5], dtype=int64)
    """
    if stop is None:
        start, stop = 0, start
    a, b, s = _number(start), _number(stop), _number(step)
    if s == 0:
        raise ValueError(located("arange: the step is 0"))
    whole = all(isinstance(x, int) for x in (a, b, s))
    default = dtypes.int64 if whole else dtypes.float32
    attrs = {
        "start": a,
        "stop": b,
        "step": s,
        "dtype": default if dtype is None else as_dtype("arange", dtype),
    }
    return bind(ARANGE, (), attrs)


def _number(x: Any) -> int | float:
    """Return a plain Python number; a traced one is asked for its value."""
    if isinstance(x, Tensor):
        return int(x) if x.dtype.kind in "biu" else float(x)
    try:
        return operator.index(x)
    except TypeError:
        return float(x)


LINSPACE = register(
    Op(
        name="linspace",
        family="creation",
        infer=lambda *, start, stop, num, endpoint, dtype: TensorSpec((num,), dtype),
        eager=lambda xp, *, start, stop, num, endpoint, dtype: xp.linspace(
            start, stop, num, endpoint=endpoint, dtype=dtype
        ),
        no_gradient="its arguments are constants",
        examples=(
            Example(
                (),
                {"start": 0.0, "stop": 1.0, "num": 5, "endpoint": True, "dtype": dtypes.float32},
            ),
        ),
        doc="Evenly spaced numbers by their count.",
    )
)


def linspace(
    start: float,
    stop: float,
    /,
    num: int = 50,
    *,
    endpoint: bool = True,
    dtype: Any = dtypes.float32,
) -> Tensor:
    """Return `num` evenly spaced numbers from `start` to `stop`.

    Parameters
    ----------
    start, stop : number
    num : int
    endpoint : bool
        Whether `stop` is the last of them.
    dtype : dtype

    Returns
    -------
    Tensor

    Examples
    --------
    >>> linspace(0, 1, 3)
    Tensor([0. , 0.5, 1. ], dtype=float32)
    """
    attrs = {
        "start": _number(start),
        "stop": _number(stop),
        "num": as_shape("linspace", num)[0],
        "endpoint": bool(endpoint),
        "dtype": as_dtype("linspace", dtype),
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
