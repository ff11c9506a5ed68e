"""Whether arrays that are written share memory with others: their bounds compared in native code.

Asked by NumPy pair by pair, 20 gradients and the 20 parameters that they change take 0.3 ms, ten
times what the change itself takes; here it is 3 us.
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from hybrid.kernels.layouts import FIELDS
from hybrid.kernels.reading import READING

APART, SHARED, UNKNOWN = range(3)
MOST = 10_000
"""Arrays at most: native code keeps their bounds on its stack."""

# The data of `self`: the type ndarray, None, from where on one object may be there twice, then for
# each array whether it is written. Bounds are those of `np.may_share_memory`.
_CODE = """
declare ptr @PyLong_FromLong(i64)

; Where an array begins and ends; both are 0 where nothing is in it.
define internal void @bounds(ptr %x, ptr %low_at, ptr %high_at) {
  %data = call i64 @number_at(ptr %x, i64 <header>)
  %nd = call i64 @number_in(ptr %x, i64 <nd>)
  %sizes = call ptr @field(ptr %x, i64 <sizes>)
  %strides = call ptr @field(ptr %x, i64 <strides>)
  %descr = call ptr @field(ptr %x, i64 <descr>)
  %itemsize = call i64 @number_at(ptr %descr, i64 <itemsize>)
  %end = add i64 %data, %itemsize
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.up, %far ]
  %low = phi i64 [ %data, %0 ], [ %low.new, %far ]
  %high = phi i64 [ %end, %0 ], [ %high.new, %far ]
  %more = icmp slt i64 %i, %nd
  br i1 %more, label %axis, label %done
axis:
  %size = call i64 @number(ptr %sizes, i64 %i)
  %empty = icmp eq i64 %size, 0
  br i1 %empty, label %done, label %far
far:
  %stride = call i64 @number(ptr %strides, i64 %i)
  %last = sub i64 %size, 1
  %by = mul i64 %last, %stride
  %back = icmp slt i64 %by, 0
  %by.low = select i1 %back, i64 %by, i64 0
  %by.high = select i1 %back, i64 0, i64 %by
  %low.new = add i64 %low, %by.low
  %high.new = add i64 %high, %by.high
  %i.up = add i64 %i, 1
  br label %next
done:
  %low.found = phi i64 [ %low, %next ], [ 0, %axis ]
  %high.found = phi i64 [ %high, %next ], [ 0, %axis ]
  store i64 %low.found, ptr %low_at
  store i64 %high.found, ptr %high_at
  ret void
}

define ptr @hybrid_overlap(ptr %self, ptr %args, i64 %count) {
  %known = call ptr @field(ptr %self, i64 <header>)
  %kind = call ptr @word(ptr %known, i64 0)
  %none = call ptr @word(ptr %known, i64 1)
  %given = call i64 @number(ptr %known, i64 2)
  %written = getelementptr i64, ptr %known, i64 3
  %lows = alloca i64, i64 %count
  %highs = alloca i64, i64 %count
  br label %each
each:
  %k = phi i64 [ 0, %0 ], [ %k.up, %measured ]
  %some = icmp slt i64 %k, %count
  br i1 %some, label %look, label %rows
look:
  %x = call ptr @word(ptr %args, i64 %k)
  %low_at = getelementptr i64, ptr %lows, i64 %k
  %high_at = getelementptr i64, ptr %highs, i64 %k
  store i64 0, ptr %low_at
  store i64 0, ptr %high_at
  %is_array = call i1 @is_a(ptr %x, ptr %kind)
  br i1 %is_array, label %array, label %other
other:
  %is_none = icmp eq ptr %x, %none
  br i1 %is_none, label %measured, label %answer
array:
  call void @bounds(ptr %x, ptr %low_at, ptr %high_at)
  br label %measured
measured:
  %k.up = add i64 %k, 1
  br label %each
rows:
  %i = phi i64 [ 0, %each ], [ %i.up, %row.done ]
  %left = icmp slt i64 %i, %count
  br i1 %left, label %row, label %answer
row:
  %is_written = call i64 @number(ptr %written, i64 %i)
  %changes = icmp ne i64 %is_written, 0
  br i1 %changes, label %pairs, label %row.done
pairs:
  %mine = call ptr @word(ptr %args, i64 %i)
  %low = call i64 @number(ptr %lows, i64 %i)
  %high = call i64 @number(ptr %highs, i64 %i)
  br label %pair
pair:
  %j = phi i64 [ 0, %pairs ], [ %j.up, %apart ]
  %rest = icmp slt i64 %j, %count
  br i1 %rest, label %compare, label %row.done
compare:
  %low.j = call i64 @number(ptr %lows, i64 %j)
  %high.j = call i64 @number(ptr %highs, i64 %j)
  %before = icmp ult i64 %low, %high.j
  %after = icmp ult i64 %low.j, %high
  %meet = and i1 %before, %after
  br i1 %meet, label %same, label %apart
same:
  %itself = icmp eq i64 %i, %j
  %theirs = call ptr @word(ptr %args, i64 %j)
  %is = icmp eq ptr %mine, %theirs
  %i.given = icmp sge i64 %i, %given
  %j.given = icmp sge i64 %j, %given
  %both = and i1 %i.given, %j.given
  %twice = and i1 %is, %both
  %fine = or i1 %itself, %twice
  br i1 %fine, label %apart, label %answer
apart:
  %j.up = add i64 %j, 1
  br label %pair
row.done:
  %i.up = add i64 %i, 1
  br label %rows
answer:
  %found = phi i64 [ <unknown>, %other ], [ <apart>, %rows ], [ <shared>, %same ]
  %answered = call ptr @PyLong_FromLong(i64 %found)
  ret ptr %answered
}
"""


def overlap(written: Collection[int], count: int, given: int) -> Callable[..., int]:
    """Return a function of so many ndarrays, or Nones.

    It tells whether one that is written shares memory with another: `APART`, `SHARED`, or `UNKNOWN`
    where something else is among them.

    Parameters
    ----------
    written : collection of int
        Which of them are written.
    count : int
        How many they are, at most `MOST`.
    given : int
        From here on one object that is there twice is one array.
    """
    words = [id(np.ndarray), id(None), given, *(int(i in written) for i in range(count))]
    method, create = _method()
    found: Callable[..., int] = create(ctypes.addressof(method), np.array(words, np.int64), None)
    return found


@functools.cache
def _method() -> tuple[Any, Any]:
    """The one method of all such functions; what differs is their ``self``."""
    from hybrid.kernels import assembly, native

    numbers = FIELDS | {"apart": APART, "shared": SHARED, "unknown": UNKNOWN}
    code = re.sub(r"<(\w+)>", lambda name: str(numbers[name[1]]), READING + _CODE)
    return native.method(assembly.load(code)("hybrid_overlap"), "overlap")
