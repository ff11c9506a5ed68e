"""Making Tensors and ndarrays of what users give: numbers, lists, arrays, Variables, Tensors."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core import dlpack, foreign, nested
from hybrid.core.devices import CPU, as_device, place
from hybrid.core.foreign import of_numbers
from hybrid.core.number import Number, in_graph, in_python, of_tensor
from hybrid.core.places import data_to
from hybrid.core.state import busy, state
from hybrid.core.storage import of_array
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Array, Tensor, moved, wrap
from hybrid.core.unknown import Unknown
from hybrid.core.watched import Watched, noted, plain
from hybrid.dtypes import DType

# Tensors made from ndarrays of the same memory must see each other's writes on a tape, so that the
# first Tensor around a block of memory is found again, for as long as it lives.
_external: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()

short_way_of_lists: Callable[[list[Any], DType], Tensor | None] | None = None
"""Makes Tensors of short lists of numbers, once it is compiled."""


def asarray(
    obj: Any, /, dtype: Any = None, *, device: Any = None, copy: bool | None = None
) -> Tensor:
    """Turn `obj` into a Tensor: ``hb.asarray`` but for ``requires_grad``, documented there."""
    if type(obj) is Tensor and dtype is None and not copy and device is None:
        return obj
    of_numpy = type(obj) is np.ndarray
    if not busy and not of_numpy and dtype is None and copy is None and device is None:
        if short_way_of_lists is not None and type(obj) is list:
            done = short_way_of_lists(obj, state.defaults.floats)
            if done is not None:
                return done
        numbers = of_numbers(obj)
        if numbers is not None:
            return wrap(numbers)
    bare = type(obj) is not Watched
    if not bare:
        obj = plain(obj)
    if dtype is None and not copy and device is None:
        if type(obj) is Tensor:
            return obj
        known = _external.get(id(obj)) if of_numpy else None
        if known is not None and known._data is obj:
            return _around(known, bare)
        if of_numpy and state.recorder is None and _as_it_is(obj):
            return _first_around(obj)
    from hybrid.core.variable import Variable

    wanted = as_device("asarray", device)
    if isinstance(obj, Variable):
        obj = obj.read()
    if type(obj) is Unknown:
        obj = _of_unknown(obj) if holds(dtype, obj) else obj.concrete()
    elif type(obj) is Number:
        obj = in_graph(obj)
        obj = own(obj) if dtype is None and type(obj) is Tensor else obj
    if type(obj) is not Tensor and dlpack.is_on_card(obj):
        obj, copy = wrap(dlpack.borrow(obj)), copy or None
    if isinstance(obj, list | tuple) and nested.holds_tensors(obj):
        obj, copy = nested.joined(obj, dtype, copy), None
    if type(obj) is Tensor:
        if device is not None and obj.device != wanted:
            if copy is False:
                raise foreign.needs_copy(f"what is on {obj.device} to be on {wanted}")
            obj, copy = moved(obj, wanted), None
        return _converted(obj, dtype, copy)
    array = as_ndarray(obj, dtype, copy)
    if wanted != CPU:
        if copy is False:
            raise foreign.needs_copy(f"what is on the CPU to be on {wanted}")
        return wrap(data_to(array, place(wanted)))
    if array is not obj:
        return wrap(array)
    known = _external.get(id(array))
    if known is not None and known._data is array:
        return _around(known, bare)
    return _around(_first_around(array), bare)


def _as_it_is(array: Array) -> bool:
    """Tell of an ndarray that nothing need be asked: it is taken in 3.3 us, where it took 10."""
    flags = array.flags
    plain = id(array.dtype) in _NATIVE and flags.c_contiguous and flags.aligned
    return bool(plain) and state.device == CPU


_NATIVE = frozenset(id(np.dtype(char)) for char in "?bBhHiIlLefdFD")


def _first_around(array: Array) -> Tensor:
    tensor = wrap(array)
    if not array.ndim:
        tensor._link = of_array(array, None)
    _external[id(array)] = tensor
    return tensor


def _around(tensor: Tensor, bare: bool) -> Tensor:
    """Let a trace know of a Tensor that shows an ndarray which nobody watches."""
    if bare and state.recorder is not None:
        state.recorder.note_bare(tensor)
    return tensor


def own(tensor: Tensor) -> Tensor:
    """Return a Tensor with a dtype of its own: one that stands for a number gets the usual one."""
    data = tensor._data
    if type(data) is not Symbol or not data.spec.weak:
        return tensor
    return tensor.astype(state.defaults.dtypes[data.dtype.kind])


def _converted(tensor: Tensor, dtype: Any, copy: bool | None) -> Tensor:
    if dtype is not None and (np.dtype(dtype) != tensor.dtype or tensor.spec.weak):
        if copy is False:
            raise foreign.needs_copy(f"dtype {tensor.dtype} to become {np.dtype(dtype)}")
        if tensor.spec.weak and tensor.dtype.kind == "f" and np.dtype(dtype).kind in "iu":
            info = np.iinfo(dtype)
            if not (tensor > int(info.min) - 1) & (tensor < int(info.max) + 1):
                return wrap(as_ndarray(in_python(of_tensor(tensor)), dtype))  # which refuses it
        return tensor.astype(dtype)
    return tensor.copy() if copy else tensor


def holds(dtype: Any, x: Unknown) -> bool:
    """Tell whether a dtype can hold a number; each float and each int of 64 bits with a sign."""
    wanted = np.dtype(dtype)
    if dtype is None or wanted.kind not in "iu" or wanted == dtypes.int64:
        return True
    info = np.iinfo(wanted)
    return isinstance(x.hint, int) and int(info.min) <= x <= int(info.max)


def _of_unknown(x: Unknown) -> Any:
    from hybrid.core.dispatch import in_trace

    found = in_trace(x)
    if not isinstance(found, Tensor):
        return found
    return found.astype(state.defaults.dtypes["i" if isinstance(x.hint, int) else "f"])


def as_ndarray(obj: Any, dtype: Any = None, copy: bool | None = None) -> Array:
    """Turn anything array-like but a Tensor into an ndarray of a supported dtype."""
    if isinstance(obj, list | tuple) and nested.holds_tensors(obj):
        obj = nested.as_arrays(obj)
    elif state.recorder is not None:
        obj = nested.without_unknowns(obj)
    return foreign.to_ndarray(noted(obj), dtype, copy)
