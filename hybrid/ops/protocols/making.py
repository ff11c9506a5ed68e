"""NumPy's functions that make arrays, as they are inside a trace: traced values can be written in.

NumPy hands over no call without a Tensor among its arguments, and an ndarray can hold no traced
value. So while a function is traced, its name for ``numpy`` stands for a module whose functions are
these (:mod:`hybrid.trace.stand_in`). Outside traces, and for dtypes and memory orders that Tensors
do not have, they are NumPy's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, cast

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import state
from hybrid.core.intent import to_be_written
from hybrid.core.making import asarray
from hybrid.core.number import as_numpy_would, each, in_graph, items
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.core.watched import Watched, current, holds_tensors, noted, plain
from hybrid.ops import creation, ranges, triangles, unit_matrices
from hybrid.ops.copying import packed
from hybrid.ops.elementwise.operands import is_weak
from hybrid.ops.joining import joined

Function = Callable[..., Any]

MAKERS: dict[Function, Function] = {}
"""What stands for a function of NumPy inside a trace."""


class Maker:
    """What is called in place of a function of NumPy: `ours` in traces, unless it returns None."""

    __wrapped__: Function

    def __init__(self, func: Function, ours: Function, numbers: Function | None) -> None:
        update_wrapper(self, func)
        self._ours = ours
        self._numbers = numbers

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.recorder is None:
            return self.__wrapped__(*args, **kwargs)
        # What the trace has written is not in memory yet.
        known, named = current((args, kwargs), self._numbers)
        made = self._ours(*known, **named)
        return by_numpy_itself(self.__wrapped__, *current((args, kwargs))) if made is None else made

    # numba knows functions by what they are equal to, when it compiles one during a trace.
    def __eq__(self, other: object) -> bool:
        return other is self.__wrapped__ or other is self

    def __hash__(self) -> int:
        return hash(self.__wrapped__)


def by_numpy_itself(func: Function, args: Any, kwargs: Any) -> Any:
    """Call a function of NumPy on what is known while a trace is recorded."""
    args, kwargs = noted(args), noted(kwargs)
    made = func(*args, **kwargs)
    return writable(made, shown=any(x is made for x in (*args, *kwargs.values())))


def writable(made: Any, *, shown: bool = False) -> Any:
    """Return what NumPy has made in a trace, as a Tensor where traced values may be written to it.

    Only there: Python asks an ndarray for its elements without the trace having to answer.

    Parameters
    ----------
    made : object
    shown : bool
        Whether it is an array that was there before.
    """
    if type(made) is not np.ndarray or not made.flags.writeable:
        return made
    if made.dtype not in dtypes.SUPPORTED or not to_be_written():
        return made
    if shown or (made.base is not None and sys.getrefcount(made.base) > 2):
        return asarray(made)  # it shows the memory of something else
    tensor = asarray(made if made.base is None else made.copy())
    state.recorder.note_made(tensor)
    return tensor


def _stands_for(
    func: Function, numbers: Function | None = as_numpy_would
) -> Callable[[Function], Function]:
    """Register a function that is tried in traces in place of `func`.

    Numbers of the trace are given to it as `numbers` makes them, or as they are.
    """

    def decorate(ours: Function) -> Function:
        MAKERS[func] = Maker(func, ours, numbers)
        return ours

    return decorate


def _supported(dtype: Any, order: str, rest: dict[str, Any]) -> bool:
    return (
        np.dtype(dtype) in dtypes.SUPPORTED and order in ("C", "K", "A") and not any(rest.values())
    )


def _filled_with(func: Function, value: int) -> None:
    @_stands_for(func)
    def make(shape: Any, dtype: Any = float, order: str = "C", **rest: Any) -> Tensor | None:
        dtype = float if dtype is None else dtype
        return creation.full(shape, value, dtype=dtype) if _supported(dtype, order, rest) else None


for _func, _value in ((np.zeros, 0), (np.empty, 0), (np.ones, 1)):
    _filled_with(_func, _value)


@_stands_for(np.full)
def _full(
    shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **rest: Any
) -> Tensor | None:
    value: Any = fill_value if isinstance(fill_value, Tensor) else np.asarray(fill_value)
    dtype = value.dtype if dtype is None else dtype
    value = fill_value if isinstance(fill_value, int) else value  # which may not fit
    return creation.full(shape, value, dtype=dtype) if _supported(dtype, order, rest) else None


def _like(x: Any, value: Any, dtype: Any, order: str, shape: Any, rest: Any) -> Tensor | None:
    """Make an array like an ndarray; with a Tensor NumPy hands the call over by itself."""
    x = plain(x)
    if type(x) is not np.ndarray or not x.flags.c_contiguous:
        return None
    dtype = x.dtype if dtype is None else dtype
    if not _supported(dtype, order, rest):
        return None
    return creation.full(x.shape if shape is None else shape, value, dtype=dtype)


def _filled_like(func: Function, value: int) -> None:
    @_stands_for(func)
    def make(
        x: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        **rest: Any,
    ) -> Tensor | None:
        return _like(x, value, dtype, order, shape, rest)


for _like_func, _value in ((np.zeros_like, 0), (np.empty_like, 0), (np.ones_like, 1)):
    _filled_like(_like_func, _value)


@_stands_for(np.full_like)
def _full_like(
    x: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    **rest: Any,
) -> Tensor | None:
    value = fill_value if isinstance(fill_value, Tensor | int) else np.asarray(fill_value)
    return _like(x, value, dtype, order, shape, rest)


@_stands_for(np.eye)
def _eye(
    N: Any, M: Any = None, k: int = 0, dtype: Any = float, order: str = "C", **rest: Any
) -> Tensor | None:
    dtype = float if dtype is None else dtype
    return unit_matrices.eye(N, M, k=k, dtype=dtype) if _supported(dtype, order, rest) else None


@_stands_for(np.identity)
def _identity(n: Any, dtype: Any = None, **rest: Any) -> Tensor | None:
    dtype = float if dtype is None else dtype
    return unit_matrices.eye(n, dtype=dtype) if _supported(dtype, "C", rest) else None


@_stands_for(np.tri)
def _tri(N: Any, M: Any = None, k: int = 0, dtype: Any = float, **rest: Any) -> Tensor | None:
    return triangles.tri(N, M, k, dtype) if _supported(dtype, "C", rest) else None


# --- ranges between traced values -----------------------------------------------------------------


@_stands_for(np.arange)
def _arange(*args: Any, **named: Any) -> Tensor | None:
    given = dict(zip(("start", "stop", "step", "dtype"), args)) | named
    traced = [x for x in given.values() if type(x) is Tensor and x.dtype.kind == "f"]
    doubles = all(x.spec.weak or x.dtype == dtypes.float64 for x in traced)
    if not traced or not doubles or given.keys() - {"start", "stop", "step", "dtype"}:
        return None  # NumPy's own asks for the values of ints, which guards hold
    start, stop, step = given.get("start"), given.get("stop"), given.get("step")
    if start is None:
        start, stop = stop, None
    dtype = given.get("dtype")
    return ranges.arange(
        cast(Any, start),
        stop,
        1 if step is None else step,
        dtype=float if dtype is None else dtype,
    )


# --- arrays of traced values ----------------------------------------------------------------------


def _array(
    obj: Any, dtype: Any = None, *, copy: bool | None = True, order: str = "K", **rest: Any
) -> Tensor | None:
    whole = dtype is not None and np.dtype(dtype).kind in "iu"
    (obj,) = each((obj,), in_graph if whole else as_numpy_would)
    if order not in ("C", "F", "K", "A") or not _holds_tensors(obj):
        return None
    if not _supported(dtype or float, "K", rest):
        return None
    if any(map(_is_odd, items(obj))):
        return None  # None or a text makes an array of objects, which ends the trace
    if whole and not _is_array(obj):
        return asarray(obj, dtype)  # which looks whether numbers fit
    made = joined(obj)
    if dtype is not None and np.dtype(dtype) != made.dtype:
        made = made.astype(dtype)
    elif copy and made is obj:
        # Not `copy`, which makes an array in C order: NumPy keeps the order of `obj` here.
        made = made.astype(made.dtype)
    return packed(made, order) if order in ("C", "F") and made.ndim else made


_stands_for(np.array, None)(_array)


def _is_odd(x: Any) -> bool:
    """Tell whether something in a list is neither a number nor an array."""
    if isinstance(x, Tensor | Variable | int | float | complex) or hasattr(type(x), "dtype"):
        return False
    return np.asarray(x).dtype not in dtypes.SUPPORTED


def gathered(x: Any) -> Any:
    """Return a list of traced numbers as the array that NumPy makes of it, anything else as it is.

    NumPy's functions look for Tensors among their arguments and, where they take several arrays in
    one, among the elements of that; not among the elements of an array.
    """
    if not isinstance(x, list | tuple) or not holds_tensors(x):
        return x
    return joined(each(x, as_numpy_would)) if all(map(_is_number, items(x))) else x


def _is_number(x: Any) -> bool:
    return is_weak(x) or isinstance(x, np.generic) or (type(x) is Tensor and not x.ndim)


@_stands_for(np.asarray, None)
def _asarray(
    obj: Any, dtype: Any = None, order: str = "K", *, copy: bool | None = None, **rest: Any
) -> Any:
    if type(obj) is Watched and not copy and order in (None, "K", "A") and not any(rest.values()):
        return obj if dtype is None or np.dtype(dtype) == obj.dtype else None
    return _array(obj, dtype, copy=copy, order=order or "K", **rest)


def _in_one_piece(func: Function, order: str) -> None:
    @_stands_for(func)
    def make(a: Any, dtype: Any = None, *args: Any, **rest: Any) -> Tensor | None:
        if not isinstance(a, Tensor | Variable) or args or any(rest.values()):
            return None
        made = _array(a, dtype, copy=None, order=order)
        # NumPy makes one axis of none where it is asked for an order.
        return made.reshape(1) if made is not None and order != "K" and not made.ndim else made


_in_one_piece(np.ascontiguousarray, "C")
_in_one_piece(np.asfortranarray, "F")
_in_one_piece(np.asanyarray, "K")
_in_one_piece(np.require, "K")


def _is_array(obj: Any) -> bool:
    return isinstance(obj, Tensor | Variable) and not is_weak(obj)


def _holds_tensors(obj: Any) -> bool:
    if isinstance(obj, list | tuple):
        return any(map(_holds_tensors, obj))
    return isinstance(obj, Tensor | Variable) or type(obj) is Tensor
