"""Tensors and views that were dropped are kept for the next ones, as Python keeps its tuples.

Python allocates an object of a class of its own, clears it, and frees it by way of everything such
a class could have: 40 ns. The few fields of a Tensor are let go here, and the object is kept.
NumPy takes 40 ns for the ndarray of a view, which is kept too where nothing else knows it: without
the memory it showed, but with the room for its sizes. So is the ndarray of a number, with its dtype
and its memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import pythonapi

import numpy as np

_KEPT = 64
SPARE = np.zeros(1 + _KEPT, np.int64)
"""How many Tensors are kept, and where: the first so many words after that."""

_KEPT_VIEWS, _AXES = 32, 3
SPARE_VIEWS = np.zeros((1 + _AXES, 1 + _KEPT_VIEWS), np.int64)
"""The same of views, a row for each number of axes; the first is that of numbers."""

# Of the flags of an ndarray. Others are of what is odd: a copy to be written back, a warning.
_C_ORDER, _F_ORDER, _OWNER, _ALIGNED, _WRITEABLE = 1, 2, 4, 0x100, 0x400
_VIEW_FLAGS = _C_ORDER | _F_ORDER | _ALIGNED | _WRITEABLE
_PLAIN_FLAGS = _VIEW_FLAGS | _OWNER

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
    for kept in (SPARE, SPARE_VIEWS):  # Tensors are dropped after the modules are
        pythonapi.Py_IncRef(ctypes.py_object(kept))
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
  call void @let_go(ptr %data)
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

; The words of the kept views of so many axes, of which the first is how many they are.
define internal ptr @views_of(i64 %nd) alwaysinline {{
  %at = mul i64 %nd, {1 + _KEPT_VIEWS}
  %row = getelementptr i64, ptr <spare_views>, i64 %at
  ret ptr %row
}}

; Let the array of a Tensor go: a plain view that nothing else knows is kept.
define internal void @let_go(ptr %x) {{
  %none = icmp eq ptr %x, null
  br i1 %none, label %done, label %look
look:
  %array = call i1 @is_a(ptr %x, ptr <ndarray>)
  br i1 %array, label %measure, label %drop
measure:
  %known = call i64 @number_in(ptr %x, i64 <count>)
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %flags = call i64 @number_in(ptr %x, i64 <flags>)
  %weak = call ptr @field(ptr %x, i64 <array_weak>)
  %lent = call ptr @field(ptr %x, i64 <buffer>)
  %base = call ptr @field(ptr %x, i64 <base>)
  %row = call ptr @views_of(i64 %nd)
  %others = sub i64 %known, 1
  %odd = and i64 %flags, {~_VIEW_FLAGS}
  %less = sub i64 %nd, 1
  %alone = icmp eq i64 %others, 0
  %plain = icmp eq i64 %odd, 0
  %few = icmp ult i64 %less, {_AXES}
  %unseen = icmp eq ptr %weak, null
  %unlent = icmp eq ptr %lent, null
  %view = icmp ne ptr %base, null
  %a = and i1 %alone, %plain
  %b = and i1 %few, %unseen
  %c = and i1 %unlent, %view
  %ab = and i1 %a, %b
  %abc = and i1 %ab, %c
  br i1 %abc, label %room, label %number
number:
  %own = icmp eq i64 %flags, {_PLAIN_FLAGS}
  %single = icmp eq i64 %nd, 0
  %d = and i1 %own, %single
  %e = and i1 %alone, %unseen
  %f = and i1 %d, %e
  %fg = and i1 %f, %unlent
  br i1 %fg, label %room_for_one, label %drop
room_for_one:
  %numbers = load i64, ptr <spare_views>
  %numbers.left = icmp slt i64 %numbers, {_KEPT_VIEWS}
  br i1 %numbers.left, label %keep_one, label %drop
keep_one:
  %numbers.up = add i64 %numbers, 1
  %one.to = getelementptr i64, ptr <spare_views>, i64 %numbers.up
  store ptr %x, ptr %one.to
  store i64 %numbers.up, ptr <spare_views>
  br label %done
room:
  %count = load i64, ptr %row
  %left = icmp slt i64 %count, {_KEPT_VIEWS}
  br i1 %left, label %keep, label %drop
keep:
  %up = add i64 %count, 1
  %to = getelementptr i64, ptr %row, i64 %up
  %shown = call ptr @emptied(ptr %x, i64 <base>)
  %descr = call ptr @emptied(ptr %x, i64 <descr>)
  store ptr %x, ptr %to
  store i64 %up, ptr %row
  call void @Py_DecRef(ptr %shown)
  call void @Py_DecRef(ptr %descr)
  br label %done
drop:
  call void @Py_DecRef(ptr %x)
  br label %done
done:
  ret void
}}

; A kept array of one number of a dtype, whatever it is now. Null where the last one kept is of
; another, which makes room.
define internal ptr @kept_number(ptr %descr) {{
  %count = load i64, ptr <spare_views>
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %look, label %no
look:
  %last = call ptr @word(ptr <spare_views>, i64 %count)
  %its = call ptr @field(ptr %last, i64 <descr>)
  %same = icmp eq ptr %its, %descr
  %down = sub i64 %count, 1
  store i64 %down, ptr <spare_views>
  br i1 %same, label %take, label %drop
take:
  ret ptr %last
drop:
  call void @Py_DecRef(ptr %last)
  br label %no
no:
  ret ptr null
}}

; A kept view, that shows memory of x now, with all that NumPy sets; null where there is none, or x
; is not plain.
define internal ptr @kept_view(ptr %x, ptr %data, i64 %nd, ptr %sizes, ptr %strides) {{
  %flags = call i64 @number_in(ptr %x, i64 <flags>)
  %odd = and i64 %flags, {~_PLAIN_FLAGS | _ALIGNED}
  %plain = icmp eq i64 %odd, {_ALIGNED}
  %less = sub i64 %nd, 1
  %few = icmp ult i64 %less, {_AXES}
  %usual = and i1 %plain, %few
  br i1 %usual, label %look, label %no
look:
  %row = call ptr @views_of(i64 %nd)
  %count = load i64, ptr %row
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %take, label %no
take:
  %view = call ptr @word(ptr %row, i64 %count)
  %down = sub i64 %count, 1
  store i64 %down, ptr %row
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %itemsize = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %to.sizes = call ptr @field(ptr %view, i64 <sizes>)
  %to.strides = call ptr @field(ptr %view, i64 <strides>)
  br label %axis
axis:
  ; From the last axis on, how far elements of an array in C order are apart.
  %c.i = phi i64 [ %less, %take ], [ %c.down, %axis ]
  %c.apart = phi i64 [ %itemsize, %take ], [ %c.next, %axis ]
  %c.so_far = phi i1 [ 1, %take ], [ %c.now, %axis ]
  %any = phi i1 [ 1, %take ], [ %any.now, %axis ]
  %size = call i64 @number(ptr %sizes, i64 %c.i)
  %stride = call i64 @number(ptr %strides, i64 %c.i)
  %size.to = getelementptr i64, ptr %to.sizes, i64 %c.i
  %stride.to = getelementptr i64, ptr %to.strides, i64 %c.i
  store i64 %size, ptr %size.to
  store i64 %stride, ptr %stride.to
  %c.fits = icmp eq i64 %stride, %c.apart
  %single = icmp eq i64 %size, 1
  %c.fine = or i1 %c.fits, %single
  %c.now = and i1 %c.so_far, %c.fine
  %c.next = mul i64 %c.apart, %size
  %filled = icmp ne i64 %size, 0
  %any.now = and i1 %any, %filled
  %c.down = sub i64 %c.i, 1
  %c.more = icmp sge i64 %c.down, 0
  br i1 %c.more, label %axis, label %turn
turn:
  %f.i = phi i64 [ 0, %axis ], [ %f.up, %turn ]
  %f.apart = phi i64 [ %itemsize, %axis ], [ %f.next, %turn ]
  %f.so_far = phi i1 [ 1, %axis ], [ %f.now, %turn ]
  %f.size = call i64 @number(ptr %sizes, i64 %f.i)
  %f.stride = call i64 @number(ptr %strides, i64 %f.i)
  %f.fits = icmp eq i64 %f.stride, %f.apart
  %f.single = icmp eq i64 %f.size, 1
  %f.fine = or i1 %f.fits, %f.single
  %f.now = and i1 %f.so_far, %f.fine
  %f.next = mul i64 %f.apart, %f.size
  %f.up = add i64 %f.i, 1
  %f.more = icmp slt i64 %f.up, %nd
  br i1 %f.more, label %turn, label %settle
settle:
  %empty = xor i1 %any.now, 1
  %in_c = or i1 %c.now, %empty
  %in_f = or i1 %f.now, %empty
  %c.flag = select i1 %in_c, i64 {_C_ORDER}, i64 0
  %f.flag = select i1 %in_f, i64 {_F_ORDER}, i64 0
  %kept = and i64 %flags, {_ALIGNED | _WRITEABLE}
  %one = or i64 %kept, %c.flag
  %both = or i64 %one, %f.flag
  %flags32 = trunc i64 %both to i32
  %flags.to = getelementptr i8, ptr %view, i64 <flags>
  store i32 %flags32, ptr %flags.to
  %data.to = getelementptr i8, ptr %view, i64 <header>
  store ptr %data, ptr %data.to
  %descr.to = getelementptr i8, ptr %view, i64 <descr>
  call void @Py_IncRef(ptr %descr)
  store ptr %descr, ptr %descr.to
  br label %owner
owner:
  ; Of a view of a view the base is what owns the memory, as far as that is an ndarray.
  %held = phi ptr [ %x, %settle ], [ %base, %below ]
  %held.flags = call i64 @number_in(ptr %held, i64 <flags>)
  %owns = and i64 %held.flags, {_OWNER}
  %is_owner = icmp ne i64 %owns, 0
  br i1 %is_owner, label %hang, label %deeper
deeper:
  %base = call ptr @field(ptr %held, i64 <base>)
  %bare = icmp eq ptr %base, null
  br i1 %bare, label %hang, label %kind
kind:
  %array = call i1 @is_a(ptr %base, ptr <ndarray>)
  br i1 %array, label %below, label %hang
below:
  br label %owner
hang:
  %base.to = getelementptr i8, ptr %view, i64 <base>
  call void @Py_IncRef(ptr %held)
  store ptr %held, ptr %base.to
  ret ptr %view
no:
  ret ptr null
}}
"""
