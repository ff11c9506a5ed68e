"""What Python calls of a kernel: native code that is the same for all of them.

``call(par, geometry, *arrays)`` checks the number of arguments and that arrays are ndarrays, puts
their data pointers into a pack, behind them room for partial results, and runs the kernel's phases,
``void run(pack, lo, hi)``: itself, or through the driver of the threads that `par` is. Compiled
with each kernel, as it was, this took 5 to 7 ms of the 15 to 50 that LLVM needs for one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

# Nanoseconds of work from which on the GIL is given up: that costs about 50 itself.
_RELEASE_NS = 5_000
_HEADER = object.__basicsize__
_WORD = 8
# Bytes of a cache line, at which partial results begin: where malloc puts large memory, each vector
# of 64 bytes would lie in two lines.
_LINE = 64

# `self` is an array of numbers: the type ndarray, how many arguments, how many phases, the
# addresses of these. Of an ndarray its data pointer is the first field after Python's header.
# A geometry begins with the nanoseconds of work, the bytes for partial results, and how many items
# each phase has.
_CODE = f"""
declare i64 @PyLong_AsLongLong(ptr)
declare i32 @PyErr_BadArgument()
declare ptr @PyErr_NoMemory()
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @Py_BuildValue(ptr, ...)
declare ptr @malloc(i64)
declare void @free(ptr)

@empty = internal constant [1 x i8] zeroinitializer

define ptr @hybrid_entry(ptr %self, ptr %given, i64 %count) {{
entry:
  %known_at = getelementptr i8, ptr %self, i64 {_HEADER}
  %known = load ptr, ptr %known_at
  %wanted_at = getelementptr i64, ptr %known, i64 1
  %wanted = load i64, ptr %wanted_at
  %phases_at = getelementptr i64, ptr %known, i64 2
  %phases = load i64, ptr %phases_at
  %runs = getelementptr i64, ptr %known, i64 3
  %fits = icmp eq i64 %count, %wanted
  br i1 %fits, label %begin, label %bad
begin:
  %kind = load ptr, ptr %known
  %pack = alloca ptr, i64 %count
  %last = sub i64 %count, 1
  br label %array
array:
  %i = phi i64 [ 0, %begin ], [ %i.up, %plain ]
  %i.up = add i64 %i, 1
  %x_at = getelementptr ptr, ptr %given, i64 %i.up
  %x = load ptr, ptr %x_at
  %kind_at = getelementptr i8, ptr %x, i64 {_HEADER - _WORD}
  %x.kind = load ptr, ptr %kind_at
  %is_array = icmp eq ptr %x.kind, %kind
  br i1 %is_array, label %plain, label %bad
plain:
  %data_at = getelementptr i8, ptr %x, i64 {_HEADER}
  %data = load ptr, ptr %data_at
  %slot = getelementptr ptr, ptr %pack, i64 %i
  store ptr %data, ptr %slot
  %more = icmp slt i64 %i.up, %last
  br i1 %more, label %array, label %packed
packed:
  %par = load ptr, ptr %given
  %driver = call i64 @PyLong_AsLongLong(ptr %par)
  %drive = inttoptr i64 %driver to ptr
  %serial = icmp eq i64 %driver, 0
  %geometry = load ptr, ptr %pack
  %cost = load i64, ptr %geometry
  %long = icmp sgt i64 %cost, {_RELEASE_NS}
  %size_at = getelementptr i64, ptr %geometry, i64 1
  %size = load i64, ptr %size_at
  %partial = icmp sgt i64 %size, 0
  br i1 %partial, label %reserve, label %ready
reserve:
  %more_than = add i64 %size, {_LINE}
  %memory = call ptr @malloc(i64 %more_than)
  %missing = icmp eq ptr %memory, null
  br i1 %missing, label %no_memory, label %ready
ready:
  %temporary = phi ptr [ null, %packed ], [ %memory, %reserve ]
  %last_slot = getelementptr ptr, ptr %pack, i64 %last
  %temporary_at = ptrtoint ptr %temporary to i64
  %beyond = add i64 %temporary_at, {_LINE - 1}
  %line = and i64 %beyond, {-_LINE}
  store i64 %line, ptr %last_slot
  br i1 %long, label %release, label %phase
release:
  %state = call ptr @PyEval_SaveThread()
  br label %phase
phase:
  %held = phi ptr [ null, %ready ], [ %state, %release ], [ %held, %ran ]
  %p = phi i64 [ 0, %ready ], [ 0, %release ], [ %p.up, %ran ]
  %p.up = add i64 %p, 1
  %run_at = getelementptr ptr, ptr %runs, i64 %p
  %run = load ptr, ptr %run_at
  %work_slot = add i64 %p, 2
  %work_at = getelementptr i64, ptr %geometry, i64 %work_slot
  %work = load i64, ptr %work_at
  br i1 %serial, label %alone, label %together
alone:
  call void %run(ptr %pack, i64 0, i64 %work)
  br label %ran
together:
  call void %drive(ptr %run, ptr %pack, i64 %work)
  br label %ran
ran:
  %again = icmp slt i64 %p.up, %phases
  br i1 %again, label %phase, label %done
done:
  br i1 %long, label %take, label %give
take:
  call void @PyEval_RestoreThread(ptr %held)
  br label %give
give:
  call void @free(ptr %temporary)
  %none = call ptr (ptr, ...) @Py_BuildValue(ptr @empty)
  ret ptr %none
bad:
  %failed = call i32 @PyErr_BadArgument()
  ret ptr null
no_memory:
  %raised = call ptr @PyErr_NoMemory()
  ret ptr null
}}
"""


def callable_of(name: str, arrays: int, runs: Sequence[int]) -> Callable[..., None]:
    """A kernel as a function of Python: its name, how many arrays it takes, its phases' addresses.

    Arguments are ``(par, geometry, *arrays)``.
    """
    from hybrid.kernels import native

    known = np.array([id(np.ndarray), arrays + 2, len(runs), *runs], np.int64)
    function: Callable[..., None] = native.function_of(_address(), name, known)
    return function


@functools.cache
def _address() -> int:
    from hybrid.kernels import assembly

    return assembly.load(_CODE)("hybrid_entry")
