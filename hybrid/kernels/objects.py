"""Python's objects in native code: their fields, the addresses of known ones, making Tensors.

The fields of Tensor and of what hangs on it are found by looking where a probe has them, those of
ndarrays, dtypes, slices and tuples are checked against one: :func:`check_layouts` refuses an
interpreter that lays them out otherwise. Code that uses them names an object or a number in ``<>``.
"""

from __future__ import annotations

import ctypes
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping
from ctypes import pythonapi
from importlib import import_module
from typing import Any

import numpy as np

from hybrid.kernels import assembly, native
from hybrid.kernels.spare import SPARE

_POINTER = ctypes.sizeof(ctypes.c_void_p)
_HEADER = object.__basicsize__
_PREFIX = "hybrid.given."  # of the symbols that names in the text become
_LOOKED_AT = ("tensor", "alias", "large")

# In PyObject, PyArrayObject, PyArray_Descr and PyTupleObject.
_FIELDS = {
    "header": _HEADER,
    "type": _HEADER - _POINTER,
    "nd": _HEADER + _POINTER,
    "sizes": _HEADER + 2 * _POINTER,
    "strides": _HEADER + 3 * _POINTER,
    "base": _HEADER + 4 * _POINTER,
    "descr": _HEADER + 5 * _POINTER,
    "flags": _HEADER + 6 * _POINTER,
    "kind": _HEADER + _POINTER,  # one character
    "type_num": _HEADER + _POINTER + 4,
    "itemsize": _HEADER + 3 * _POINTER,
    "items": _HEADER + _POINTER,
    "stop": _HEADER + _POINTER,
    "step": _HEADER + 2 * _POINTER,
}
PLAIN = 0x101
"""Of the flags of an ndarray: in C order, and aligned."""

# Places in NumPy's table of C functions, which never change.
_NEW_ARRAY, _SET_BASE = 94, 282


def _word(owner: Any, offset: int) -> int | None:
    return ctypes.c_void_p.from_address(id(owner) + offset).value


def _number(owner: Any, field: str) -> int:
    return ctypes.c_int.from_address(id(owner) + _FIELDS[field]).value


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
    array, index, pair = np.zeros((3, 1), np.float32)[:2], slice(1, 2, 3), ("a", "b")
    view = array[1:]
    dtype = array.dtype
    sizes = (ctypes.c_ssize_t * 2).from_address(_word(array, _FIELDS["sizes"]) or 0)
    strides = (ctypes.c_ssize_t * 2).from_address(_word(array, _FIELDS["strides"]) or 0)
    if (
        _word(array, _FIELDS["type"]) != id(np.ndarray)
        or _word(array, _HEADER) != array.ctypes.data
        or (*sizes, *strides) != (*array.shape, *array.strides)
        or _word(view, _FIELDS["base"]) != id(view.base)
        or _word(array, _FIELDS["descr"]) != id(dtype)
        or _number(array, "nd") != 2
        or _number(array, "flags") != array.flags.num
        or _number(dtype, "kind") & 0xFF != ord("f")
        or _number(dtype, "type_num") != dtype.num
        or _number(dtype, "itemsize") != dtype.itemsize
        or [_word(pair, _FIELDS["items"] + i * _POINTER) for i in range(2)] != [*map(id, pair)]
        or [_word(index, _FIELDS[f]) for f in ("header", "stop", "step")]
        != [id(index.start), id(index.stop), id(index.step)]
    ):
        raise RuntimeError("the interpreter lays its objects out in another way")


def _of_numpy(place: int) -> int:
    """Return the address of one of NumPy's C functions."""
    table = pythonapi.PyCapsule_GetPointer
    table.restype, table.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    # Where NumPy's own header has it from.
    capsule = import_module("numpy._core._multiarray_umath")._ARRAY_API
    start = table(capsule, None)
    return ctypes.c_void_p.from_address(start + place * _POINTER).value or 0


def written(code: str, known: Mapping[str, Any], numbers: Mapping[str, int] = {}) -> str:
    """Return code with :data:`COMMON` before it, in which names in ``<>`` are written out.

    Parameters
    ----------
    code : str
    known : mapping of str to object
        ``tensor``, whose fields are looked at, and ``large``, if it is used.
    numbers : mapping of str to int
        What other names stand for. The rest stand for addresses, which `load` is given.
    """
    numbers = {
        **_FIELDS,
        "plain": PLAIN,
        "large": known.get("large", 0),
        "data": offset(known["tensor"], "_data"),
        "link": offset(known["tensor"], "_link"),
        "node": offset(known["tensor"], "_node"),
        "weak": type(known["tensor"]).__weakrefoffset__,
        **numbers,
    }
    addresses = set()

    def one(match: re.Match[str]) -> str:
        name = match[1]
        if name in numbers:
            return str(numbers[name])
        addresses.add(name)
        return f"@{_PREFIX}{name}"

    text = re.sub(r"<([\w.]+)>", one, COMMON + code)
    declared = [f"@{_PREFIX}{name} = external global i8" for name in sorted(addresses)]
    return "\n".join([*declared, text])


def load(
    text: str, known: Mapping[str, Any], addresses: Mapping[str, int] = {}
) -> Callable[[str], int]:
    """Load what `written` gave; return what gives the address of a symbol in it.

    Parameters
    ----------
    text : str
    known : mapping of str to object
        What names stand for, besides Python's and NumPy's own objects. All are kept.
    addresses : mapping of str to int
        Of what is no object.

    Raises
    ------
    RuntimeError
        Where it calls a function that this process does not have.
    """
    called = re.findall(r"^declare .*?@([\w.]+)\(", text, re.M)
    missing = [f for f in called if not f.startswith("llvm.") and not hasattr(pythonapi, f)]
    if missing:
        raise RuntimeError(f"this process has no {', '.join(missing)}")
    objects = {
        **{name: value for name, value in known.items() if name not in _LOOKED_AT},
        "ndarray": np.ndarray,
        "asarray": np.asarray,
        "None": None,
        "False": False,
        "NotImplemented": NotImplemented,
        "int": int,
        "str": str,
        "__name__": "__name__",
        "package": __name__.partition(".")[0] + ".",
        "float": float,
        "slice": slice,
        "tuple": tuple,
        "Ellipsis": ...,
        "zero": 0,
        "nothing": (),
        "Exception": Exception,
    }
    native.keep(objects)
    given = {name: id(value) for name, value in objects.items()}
    given |= {"new_array": _of_numpy(_NEW_ARRAY), "set_base": _of_numpy(_SET_BASE)}
    given |= {"spare": SPARE.ctypes.data, **addresses}
    return assembly.load(text, {_PREFIX + name: address for name, address in given.items()})


# What native code that makes Tensors shares.
COMMON = """
declare ptr @PyType_GenericAlloc(ptr, i64)
declare void @_Py_NewReference(ptr)
declare void @PyObject_GC_Track(ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare i32 @PyErr_ExceptionMatches(ptr)
declare void @PyErr_Clear()
declare ptr @PyErr_Occurred()
declare i64 @PySet_Size(ptr)
declare i64 @PyTuple_Size(ptr)
declare ptr @PyTuple_GetItem(ptr, i64)

define internal ptr @field(ptr %x, i64 %offset) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  %value = load ptr, ptr %at
  ret ptr %value
}

define internal i64 @number_in(ptr %x, i64 %offset) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  %value = load i32, ptr %at
  %wide = sext i32 %value to i64
  ret i64 %wide
}

define internal i64 @number_at(ptr %x, i64 %offset) alwaysinline {
  %at = getelementptr i8, ptr %x, i64 %offset
  %value = load i64, ptr %at
  ret i64 %value
}

define internal i8 @kind_of(ptr %dtype) alwaysinline {
  %at = getelementptr i8, ptr %dtype, i64 <kind>
  %kind = load i8, ptr %at
  ret i8 %kind
}

define internal ptr @word(ptr %words, i64 %i) alwaysinline {
  %at = getelementptr i64, ptr %words, i64 %i
  %value = load ptr, ptr %at
  ret ptr %value
}

define internal i64 @number(ptr %words, i64 %i) alwaysinline {
  %at = getelementptr i64, ptr %words, i64 %i
  %value = load i64, ptr %at
  ret i64 %value
}

define internal i1 @is_a(ptr %x, ptr %type) alwaysinline {
  %own = call ptr @field(ptr %x, i64 <type>)
  %is = icmp eq ptr %own, %type
  ret i1 %is
}

; Whether so many pairs of numbers are equal.
define internal i1 @equal(ptr %a, ptr %b, i64 %n) alwaysinline {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %pair ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %pair, label %yes
pair:
  %x = call i64 @number(ptr %a, i64 %i)
  %y = call i64 @number(ptr %b, i64 %i)
  %i.up = add i64 %i, 1
  %same = icmp eq i64 %x, %y
  br i1 %same, label %next, label %no
yes:
  ret i1 1
no:
  ret i1 0
}

; The ndarray of a Tensor; null for anything else.
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

; Whether nothing may be recorded, in whatever thread.
define internal i1 @idle() alwaysinline {
  %threads = call i64 @PySet_Size(ptr <busy>)
  %none = icmp eq i64 %threads, 0
  ret i1 %none
}

; The ndarray of a Tensor that native code may work on; else null.
define internal ptr @plain_array(ptr %x) alwaysinline {
  %data = call ptr @array_of(ptr %x)
  %idle = call i1 @idle()
  %r = select i1 %idle, ptr %data, ptr null
  ret ptr %r
}

; Whether the error at hand is one after which Python's way is tried; it is forgotten then.
define internal i1 @forgiven() noinline {
  %ours = call i32 @PyErr_ExceptionMatches(ptr <Exception>)
  %is = icmp ne i32 %ours, 0
  br i1 %is, label %forget, label %done
forget:
  call void @PyErr_Clear()
  br label %done
done:
  ret i1 %is
}

; A Tensor without contents: one that was dropped, if any is kept. Null after an error.
define internal ptr @fresh() {
  %count = load i64, ptr <spare>
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %take, label %allocate
take:
  %old = call ptr @word(ptr <spare>, i64 %count)
  %less = sub i64 %count, 1
  store i64 %less, ptr <spare>
  call void @_Py_NewReference(ptr %old)
  call void @PyObject_GC_Track(ptr %old)
  ret ptr %old
allocate:
  %new = call ptr @PyType_GenericAlloc(ptr <Tensor>, i64 0)
  ret ptr %new
}

; A Tensor around an array, with what it hangs on; both references are taken over.
define internal ptr @made(ptr %data, ptr %link) {
  %t = call ptr @fresh()
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

; A Tensor alone with an array, the reference to which is taken over.
define internal ptr @made_alone(ptr %data) alwaysinline {
  call void @Py_IncRef(ptr <None>)
  %t = call ptr @made(ptr %data, ptr <None>)
  ret ptr %t
}

; The Python function, or any other, with self before the arguments.
define internal ptr @long(ptr %otherwise, ptr %self, ptr %args, i64 %n, ptr %names) noinline {
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
