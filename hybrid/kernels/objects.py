"""Python's objects in native code: their fields, the addresses of known ones, making Tensors.

The fields of Tensor and of what hangs on it are found by looking where a probe has them, those of
ndarrays, dtypes and slices are checked against one: :func:`check_layouts` refuses an interpreter
that lays them out otherwise.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from collections.abc import Mapping
from typing import Any

import numpy as np

_POINTER = ctypes.sizeof(ctypes.c_void_p)
_HEADER = object.__basicsize__
_TYPE = _HEADER - _POINTER
_DESCR = _HEADER + 5 * _POINTER
_KIND = _HEADER + _POINTER  # of a dtype: one character
_SHAPE = "shape"
_LOOKED_AT = ("tensor", "alias", "large")


def _word(owner: Any, offset: int) -> int | None:
    return ctypes.c_void_p.from_address(id(owner) + offset).value


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
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise RuntimeError("this is not CPython with its lock")
    array, index = np.zeros(1, np.float32), slice(1, 2, 3)
    kind = ctypes.c_char.from_address(id(array.dtype) + _KIND).value
    bounds = [_word(index, _HEADER + i * _POINTER) for i in range(3)]
    if (
        _word(array, _TYPE) != id(np.ndarray)
        or _word(array, _DESCR) != id(array.dtype)
        or kind != b"f"
        or bounds != [id(index.start), id(index.stop), id(index.step)]
    ):
        raise RuntimeError("the interpreter lays its objects out in another way")


def assemble(code: str, known: Mapping[str, Any], fields: Mapping[str, int] = {}) -> str:
    """Return code with :data:`COMMON`, and with addresses and offsets for the names in ``<>``."""
    objects = {
        **{name: value for name, value in known.items() if name not in _LOOKED_AT},
        "ndarray": np.ndarray,
        "asarray": np.asarray,
        "None": None,
        "int": int,
        "float": float,
        "slice": slice,
        "tuple": tuple,
        "Ellipsis": ...,
        "Exception": Exception,
        "shape": _SHAPE,
        "numpys_reshape": np.ndarray.reshape,
    }
    numbers = {
        "header": _HEADER,
        "large": known.get("large", 0),
        "type": _TYPE,
        "nd": _HEADER + _POINTER,
        "sizes": _HEADER + 2 * _POINTER,
        "strides": _HEADER + 3 * _POINTER,
        "base": _HEADER + 4 * _POINTER,
        "descr": _DESCR,
        "kind": _KIND,
        "data": offset(known["tensor"], "_data"),
        "link": offset(known["tensor"], "_link"),
        "node": offset(known["tensor"], "_node"),
        **fields,
    }
    text = COMMON + code
    for name, value in objects.items():
        text = text.replace(f"<{name}>", address_text(value))
    for name, number in numbers.items():
        text = text.replace(f"<{name}>", str(number))
    return text


def address_text(value: Any) -> str:
    """Write the address of an object, which somebody has to keep."""
    return f"inttoptr (i64 {id(value)} to ptr)"


# What native code that makes Tensors shares.
COMMON = """
declare ptr @PyType_GenericAlloc(ptr, i64)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare ptr @PyObject_GetItem(ptr, ptr)
declare ptr @PyObject_GetAttr(ptr, ptr)
declare i32 @PyErr_ExceptionMatches(ptr)
declare void @PyErr_Clear()
declare ptr @PyErr_Occurred()
declare i64 @PySet_Size(ptr)
declare ptr @PyTuple_Pack(i64, ...)
declare i64 @PyTuple_Size(ptr)
declare ptr @PyTuple_GetItem(ptr, i64)

define internal ptr @field(ptr %x, i64 %offset) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  %value = load ptr, ptr %at
  ret ptr %value
}

define internal i1 @is_a(ptr %x, ptr %type) alwaysinline {
  %own = call ptr @field(ptr %x, i64 <type>)
  %is = icmp eq ptr %own, %type
  ret i1 %is
}

; The ndarray of a Tensor; null for anything else, and where something may be recorded.
define internal ptr @array_of(ptr %x) alwaysinline {
  %is = call i1 @is_a(ptr %x, ptr <Tensor>)
  br i1 %is, label %tensor, label %no
tensor:
  %data = call ptr @field(ptr %x, i64 <data>)
  %some = icmp ne ptr %data, null
  br i1 %some, label %known, label %no
known:
  %plain = call i1 @is_a(ptr %data, ptr <ndarray>)
  br i1 %plain, label %yes, label %no
yes:
  ret ptr %data
no:
  ret ptr null
}

; Whether nobody would divide the work on an array among threads.
define internal i1 @small(ptr %x) {
  %nd_at = getelementptr i8, ptr %x, i64 <nd>
  %nd32 = load i32, ptr %nd_at
  %nd = sext i32 %nd32 to i64
  %sizes = call ptr @field(ptr %x, i64 <sizes>)
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %axis ]
  %total = phi i64 [ 1, %0 ], [ %product, %axis ]
  %more = icmp slt i64 %i, %nd
  br i1 %more, label %axis, label %done
axis:
  %at = getelementptr i64, ptr %sizes, i64 %i
  %size = load i64, ptr %at
  %product = mul i64 %total, %size
  %i.up = add i64 %i, 1
  br label %next
done:
  %is = icmp slt i64 %total, <large>
  ret i1 %is
}

define internal i1 @idle() alwaysinline {
  %threads = call i64 @PySet_Size(ptr <busy>)
  %none = icmp eq i64 %threads, 0
  ret i1 %none
}

; A Tensor around an array, with what it hangs on; both references are taken over.
define internal ptr @made(ptr %data, ptr %link) {
  %t = call ptr @PyType_GenericAlloc(ptr <Tensor>, i64 0)
  %failed = icmp eq ptr %t, null
  br i1 %failed, label %no, label %yes
yes:
  %data_at = getelementptr i8, ptr %t, i64 <data>
  store ptr %data, ptr %data_at
  %link_at = getelementptr i8, ptr %t, i64 <link>
  store ptr %link, ptr %link_at
  call void @Py_IncRef(ptr <None>)
  %node_at = getelementptr i8, ptr %t, i64 <node>
  store ptr <None>, ptr %node_at
  ret ptr %t
no:
  call void @Py_DecRef(ptr %data)
  call void @Py_DecRef(ptr %link)
  ret ptr null
}

define internal ptr @word(ptr %words, i64 %i) alwaysinline {
  %at = getelementptr i64, ptr %words, i64 %i
  %value = load ptr, ptr %at
  ret ptr %value
}

; The Python function, or any other, with self before the arguments.
define internal ptr @long(ptr %otherwise, ptr %self, ptr %args, i64 %n, ptr %names) {
  %named = icmp ne ptr %names, null
  br i1 %named, label %count, label %all
count:
  %keywords = call i64 @PyTuple_Size(ptr %names)
  br label %all
all:
  %more = phi i64 [ 0, %0 ], [ %keywords, %count ]
  %total = add i64 %n, %more
  %size = add i64 %total, 1
  %given = alloca ptr, i64 %size
  store ptr %self, ptr %given
  br label %next
next:
  %i = phi i64 [ 0, %all ], [ %i.up, %copy ]
  %left = icmp slt i64 %i, %total
  br i1 %left, label %copy, label %go
copy:
  %x = call ptr @word(ptr %args, i64 %i)
  %i.up = add i64 %i, 1
  %to = getelementptr ptr, ptr %given, i64 %i.up
  store ptr %x, ptr %to
  br label %next
go:
  %positional = add i64 %n, 1
  %r = call ptr @PyObject_Vectorcall(ptr %otherwise, ptr %given, i64 %positional, ptr %names)
  ret ptr %r
}
"""
