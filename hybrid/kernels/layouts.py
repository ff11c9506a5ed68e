"""Where Python's and NumPy's objects have their fields.

Those of Tensor and of what hangs on it are found by looking where a probe has them, those of ints,
ndarrays, dtypes, slices and tuples are checked against one: :func:`check_layouts` refuses an
interpreter that lays them out otherwise.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from typing import Any

import numpy as np

_POINTER = ctypes.sizeof(ctypes.c_void_p)
_HEADER = object.__basicsize__

SIZE_BEFORE_DIGITS: bool = sys.version_info < (3, 12)
"""Whether an int has its size, which has its sign, before its digits; a tag later."""

# In PyObject, PyArrayObject, PyArray_Descr and PyTupleObject.
FIELDS = {
    "count": 0,
    "digit": _HEADER + _POINTER,
    "header": _HEADER,
    "type": _HEADER - _POINTER,
    "nd": _HEADER + _POINTER,
    "sizes": _HEADER + 2 * _POINTER,
    "strides": _HEADER + 3 * _POINTER,
    "base": _HEADER + 4 * _POINTER,
    "descr": _HEADER + 5 * _POINTER,
    "flags": _HEADER + 6 * _POINTER,
    "array_weak": _HEADER + 7 * _POINTER,
    "buffer": _HEADER + 8 * _POINTER,
    "kind": _HEADER + _POINTER,  # one character
    "type_num": _HEADER + _POINTER + 4,
    "itemsize": _HEADER + 3 * _POINTER,
    "items": _HEADER + _POINTER,
    "stop": _HEADER + _POINTER,
    "step": _HEADER + 2 * _POINTER,
}


def _word(owner: Any, offset: int) -> int | None:
    return ctypes.c_void_p.from_address(id(owner) + offset).value


def _number(owner: Any, field: str) -> int:
    return ctypes.c_int.from_address(id(owner) + FIELDS[field]).value


def offset(owner: Any, name: str) -> int:
    """Return where an object has a field, the value of which no other field has."""
    value = id(getattr(owner, name))
    places = range(_HEADER, type(owner).__basicsize__, _POINTER)
    found = [at for at in places if _word(owner, at) == value]
    if len(found) != 1:
        raise RuntimeError(f"{type(owner).__name__}.{name} is not to be found")
    return found[0]


def check_layouts() -> None:
    """Refuse an interpreter that lays out objects in another way."""
    # Without the lock an object begins with more than a count and its class.
    if sys.implementation.name != "cpython" or _HEADER != 2 * _POINTER:
        raise RuntimeError("this is not CPython with its lock")
    index, pair = slice(1, 2, 3), ("a", "b")
    array: Any = np.zeros((3, 1), np.float32)[:2]
    known = _number(array, "count")
    held = [array] * 3
    more = _number(array, "count")
    held.clear()
    view = array[1:]
    seen = weakref.ref(array)
    fresh = _word(array, FIELDS["buffer"])
    lent = memoryview(array)
    dtype = array.dtype
    sizes = (ctypes.c_ssize_t * 2).from_address(_word(array, FIELDS["sizes"]) or 0)
    strides = (ctypes.c_ssize_t * 2).from_address(_word(array, FIELDS["strides"]) or 0)
    if (
        _word(array, FIELDS["type"]) != id(np.ndarray)
        or _word(array, _HEADER) != array.ctypes.data
        or (*sizes, *strides) != (*array.shape, *array.strides)
        or _word(view, FIELDS["base"]) != id(view.base)
        or more != known + 3
        or _word(array, FIELDS["array_weak"]) != id(seen)
        or fresh is not None
        or lent.nbytes != array.nbytes
        or not _word(array, FIELDS["buffer"])
        or _word(array, FIELDS["descr"]) != id(dtype)
        or _number(array, "nd") != 2
        or _number(array, "flags") != array.flags.num
        or _number(dtype, "kind") & 0xFF != ord("f")
        or _number(dtype, "type_num") != dtype.num
        or _number(dtype, "itemsize") != dtype.itemsize
        or [_word(pair, FIELDS["items"] + i * _POINTER) for i in range(2)] != [*map(id, pair)]
        or any(_short_int(i) != i for i in (0, 7, -7, (1 << 30) - 1, 1 - (1 << 30)))
        or [_word(index, FIELDS[f]) for f in ("header", "stop", "step")]
        != [id(index.start), id(index.stop), id(index.step)]
    ):
        raise RuntimeError("the interpreter lays its objects out in another way")


def _short_int(x: int) -> int:
    """Return an int of one digit, read as native code does."""
    size, digit = _word(x, _HEADER) or 0, _number(x, "digit")
    if SIZE_BEFORE_DIGITS:
        return ctypes.c_ssize_t(size).value * digit
    return (1 - (size & 3)) * digit
