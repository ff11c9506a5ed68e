"""Tensors that were dropped are kept for the next ones, as Python keeps its tuples and floats.

Python allocates an object of a class of its own, clears it, and frees it by way of everything such
a class could have: 40 ns. The few fields of a Tensor are let go here, and the object is kept.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import pythonapi

import numpy as np

_KEPT = 64
SPARE = np.zeros(1 + _KEPT, np.int64)
"""How many Tensors are kept, and where: the first so many words after that."""

# In PyTypeObject, by words.
_DEALLOC, _ALLOC, _FREE = 6, 38, 40


_keeping: list[type] = []


def check_slots(kind: type) -> None:
    """Refuse a class that is not allocated and freed in the way of Python's own."""
    if kind in _keeping:
        return
    slots = _slots(kind)
    expected = [_slots(type("Any", (), {"__slots__": ()}))[_DEALLOC]]
    expected += [_address("PyType_GenericAlloc"), _address("PyObject_GC_Del")]
    if [slots[i] for i in (_DEALLOC, _ALLOC, _FREE)] != expected:
        raise RuntimeError("the interpreter lays its classes out in another way")


def keep_spare(kind: type, address_of: Callable[[str], int]) -> None:
    """Have instances of `kind`, which has no ``__del__``, kept when they are dropped; once."""
    if kind in _keeping:
        return
    _keeping.append(kind)
    pythonapi.Py_IncRef(ctypes.py_object(SPARE))  # Tensors are dropped after the modules are
    slots = _slots(kind)
    slots[_ALLOC], slots[_DEALLOC] = address_of("hybrid_taken"), address_of("hybrid_dropped")


def _slots(kind: type) -> ctypes.Array[ctypes.c_ssize_t]:
    return (ctypes.c_ssize_t * (_FREE + 1)).from_address(id(kind))


def _address(name: str) -> int:
    return ctypes.cast(getattr(pythonapi, name), ctypes.c_void_p).value or 0


SPARED = f"""
declare void @PyObject_GC_UnTrack(ptr)
declare void @PyObject_GC_Del(ptr)
declare void @PyObject_ClearWeakRefs(ptr)

define internal ptr @emptied(ptr %x, i64 %offset) alwaysinline {{
  %at = getelementptr i8, ptr %x, i64 %offset
  %value = load ptr, ptr %at
  store ptr null, ptr %at
  ret ptr %value
}}

; How the class allocates an instance.
define ptr @hybrid_taken(ptr %type, i64 %n) {{
  %own = icmp eq ptr %type, <Tensor>
  br i1 %own, label %take, label %other
take:
  %t = call ptr @fresh()
  ret ptr %t
other:
  %o = call ptr @PyType_GenericAlloc(ptr %type, i64 %n)
  ret ptr %o
}}

; How it lets one go, and what is left of one of a class that is derived from it. What its fields
; held may take and drop other Tensors meanwhile.
define void @hybrid_dropped(ptr %x) {{
  call void @PyObject_GC_UnTrack(ptr %x)
  %weak = call ptr @field(ptr %x, i64 <weak>)
  %seen = icmp ne ptr %weak, null
  br i1 %seen, label %tell, label %clear
tell:
  call void @PyObject_ClearWeakRefs(ptr %x)
  br label %clear
clear:
  %data = call ptr @emptied(ptr %x, i64 <data>)
  %link = call ptr @emptied(ptr %x, i64 <link>)
  %node = call ptr @emptied(ptr %x, i64 <node>)
  call void @Py_DecRef(ptr %data)
  call void @Py_DecRef(ptr %link)
  call void @Py_DecRef(ptr %node)
  %type = call ptr @field(ptr %x, i64 <type>)
  %own = icmp eq ptr %type, <Tensor>
  %count = load i64, ptr <spare>
  %room = icmp slt i64 %count, {_KEPT}
  %keep = and i1 %own, %room
  br i1 %keep, label %kept, label %free
kept:
  %up = add i64 %count, 1
  %to = getelementptr i64, ptr <spare>, i64 %up
  store ptr %x, ptr %to
  store i64 %up, ptr <spare>
  ret void
free:
  call void @PyObject_GC_Del(ptr %x)
  call void @Py_DecRef(ptr %type)
  ret void
}}
"""
