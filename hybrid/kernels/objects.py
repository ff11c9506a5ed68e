"""Python's objects in native code: the addresses of known ones, making Tensors.

Code names an object, where one has a field, or a number in ``<>``; ``hybrid.kernels.layouts`` says
where fields are.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Mapping
from ctypes import pythonapi
from importlib import import_module
from typing import Any

import numpy as np

from hybrid.kernels import assembly, native
from hybrid.kernels.layouts import FIELDS, SIZE_BEFORE_DIGITS, offset
from hybrid.kernels.reading import READING
from hybrid.kernels.spare import SPARE, SPARE_VIEWS

_POINTER = ctypes.sizeof(ctypes.c_void_p)
_PREFIX = "hybrid.given."  # of the symbols that names in the text become
_LOOKED_AT = ("tensor", "alias", "large")

PLAIN = 0x101
"""Of the flags of an ndarray: in C order, and aligned."""

# Places in NumPy's table of C functions, which never change.
_NEW_ARRAY, _SET_BASE, _ARGMAX, _ARGMIN = 94, 282, 132, 133


def _of_numpy(place: int) -> int:
    """Return the address of one of NumPy's C functions."""
    table = pythonapi.PyCapsule_GetPointer
    table.restype, table.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    # Where NumPy's own header has it from.
    capsule = import_module("numpy._core._multiarray_umath")._ARRAY_API
    start = table(capsule, None)
    return ctypes.c_void_p.from_address(start + place * _POINTER).value or 0


def written(code: str, known: Mapping[str, Any], numbers: Mapping[str, int | str] = {}) -> str:
    """Return code with what native code shares before it, in which names in ``<>`` are written out.

    Parameters
    ----------
    code : str
    known : mapping of str to object
        ``tensor``, whose fields are looked at, and ``large``, if it is used.
    numbers : mapping of str to int or str
        What other names stand for, numbers or text. The rest stand for addresses, which `load` is
        given.
    """
    numbers = {
        **FIELDS,
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

    text = re.sub(r"<([\w.]+)>", one, READING + COMMON + _SHORT_INT + code)
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
        "True": True,
        "NotImplemented": NotImplemented,
        "int": int,
        "str": str,
        "__name__": "__name__",
        "package": __name__.partition(".")[0] + ".",
        "float": float,
        "numpy_float": np.float64,
        "numpy_int": np.int64,
        "slice": slice,
        "tuple": tuple,
        "list": list,
        "Ellipsis": ...,
        "zero": 0,
        "nothing": (),
        "Exception": Exception,
        **{dtype.str[1:]: dtype for dtype in map(np.dtype, ("?", "i8", "f4", "f8"))},
    }
    native.keep(objects)
    given = {name: id(value) for name, value in objects.items()}
    given |= {"new_array": _of_numpy(_NEW_ARRAY), "set_base": _of_numpy(_SET_BASE)}
    given |= {"argmax": _of_numpy(_ARGMAX), "argmin": _of_numpy(_ARGMIN)}
    given |= {"spare": SPARE.ctypes.data, "spare_views": SPARE_VIEWS.ctypes.data, **addresses}
    return assembly.load(text, {_PREFIX + name: address for name, address in given.items()})


# An int of one digit, which Python keeps in two ways; false for a longer one.
_SHORT_INT_3_11 = """
define internal i1 @short_int(ptr %int, ptr %to) alwaysinline {
  %digits = call i64 @number_at(ptr %int, i64 <header>)
  %digit = call i64 @number_in(ptr %int, i64 <digit>)
  %value = mul i64 %digits, %digit
  store i64 %value, ptr %to
  %up = add i64 %digits, 1
  %short = icmp ult i64 %up, 3
  ret i1 %short
}
"""
_SHORT_INT_3_12 = """
define internal i1 @short_int(ptr %int, ptr %to) alwaysinline {
  %tag = call i64 @number_at(ptr %int, i64 <header>)
  %digit = call i64 @number_in(ptr %int, i64 <digit>)
  %kind = and i64 %tag, 3
  %sign = sub i64 1, %kind
  %value = mul i64 %sign, %digit
  store i64 %value, ptr %to
  %short = icmp ult i64 %tag, 16
  ret i1 %short
}
"""
_SHORT_INT = _SHORT_INT_3_11 if SIZE_BEFORE_DIGITS else _SHORT_INT_3_12


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
