"""NumPy's own loops on large arrays, divided among the threads of kernels.

NumPy runs an elementwise function in one thread. Its inner loops need no interpreter, so that the
pool of :mod:`hybrid.kernels.parallel` can run one on several parts of the arrays at once: the same
code on the same elements, the same bits. The floating-point flags of the threads, which say what a
loop found wrong, are collected, and who called is told.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.kernels import parallel
from hybrid.kernels.innerloops import FLAGS, inner_loop

_POINTER = ctypes.sizeof(ctypes.c_void_p)
_HEADER = object.__basicsize__

LARGE = 1 << 18
"""Elements worth dividing: of float32 NumPy adds as many in 33 us, to divide them takes 5."""

Loop = Callable[..., int]
"""``loop(out, *arrays)`` writes the result into `out`; gives what went wrong, as bits."""


@functools.cache
def divided(ufunc: np.ufunc, types: str) -> Loop | None:
    """Return a loop of a ufunc that runs in several threads.

    Parameters
    ----------
    ufunc : numpy.ufunc
        With one result.
    types : str
        The loop, as ``ufunc.types`` names it: ``"ff->f"``; of floating-point numbers.

    Returns
    -------
    callable or None
        Its arrays are aligned, in C order and of these dtypes, all of one shape or of none. None
        where there is one processor only, or NumPy has no such loop.
    """
    driver = parallel.driver_address() if FLAGS is not None else 0
    loop = inner_loop(ufunc, types)
    if not driver or loop is None:
        return None
    sizes = [np.dtype(c).itemsize for c in types.replace("->", "")]
    words = np.array([driver, _run(), loop.function, loop.data, *sizes], np.int64)
    method, create = _method()
    found: Loop = create(ctypes.addressof(method), words, (words, ufunc))
    return found


@functools.cache
def _code() -> Callable[[str], int]:
    from hybrid.kernels import assembly

    return assembly.load(_CODE)


def _run() -> int:
    return _code()("hybrid_part")


@functools.cache
def _method() -> tuple[Any, Any]:
    from hybrid.kernels import native

    return native.method(_code()("hybrid_divided"), "divided")


# The words of `self`: driver, trampoline, loop, its data, the itemsize of each operand, the result
# last. The frame that the threads read: loop, its data, flags, number of operands, then address
# and stride of each. A loop has four operands at most.
_CODE = f"""
declare i32 @feclearexcept(i32)
declare i32 @fetestexcept(i32)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyLong_FromLong(i64)

define void @hybrid_part(ptr %frame, i64 %lo, i64 %hi) {{
start:
  %pointers = alloca [4 x ptr]
  %steps = alloca [4 x i64]
  %count = alloca i64
  %loop = load ptr, ptr %frame
  %data_at = getelementptr i64, ptr %frame, i64 1
  %data = load ptr, ptr %data_at
  %flags_at = getelementptr i64, ptr %frame, i64 2
  %n_at = getelementptr i64, ptr %frame, i64 3
  %n = load i64, ptr %n_at
  %many = sub i64 %hi, %lo
  store i64 %many, ptr %count
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %i.up, %one ]
  %left = icmp slt i64 %i, %n
  br i1 %left, label %one, label %go
one:
  %i.up = add i64 %i, 1
  %twice = mul i64 %i, 2
  %at = add i64 %twice, 4
  %address_at = getelementptr i64, ptr %frame, i64 %at
  %address = load ptr, ptr %address_at
  %step_at = getelementptr i64, ptr %address_at, i64 1
  %step = load i64, ptr %step_at
  %skip = mul i64 %step, %lo
  %from = getelementptr i8, ptr %address, i64 %skip
  %pointer_to = getelementptr ptr, ptr %pointers, i64 %i
  store ptr %from, ptr %pointer_to
  %step_to = getelementptr i64, ptr %steps, i64 %i
  store i64 %step, ptr %step_to
  br label %next
go:
  %cleared = call i32 @feclearexcept(i32 {sum((FLAGS or {}).values())})
  call void %loop(ptr %pointers, ptr %count, ptr %steps, ptr %data)
  %found = call i32 @fetestexcept(i32 {sum((FLAGS or {}).values())})
  %flags = zext i32 %found to i64
  %before = atomicrmw or ptr %flags_at, i64 %flags seq_cst
  ret void
}}

; Of (out, *arrays): the frame, its operands in the order of the loop, then all threads.
define ptr @hybrid_divided(ptr %self, ptr %args, i64 %n) {{
start:
  %frame = alloca [12 x i64]
  %words_at = getelementptr i8, ptr %self, i64 {_HEADER}
  %words = load ptr, ptr %words_at
  %driver = load ptr, ptr %words
  %part_at = getelementptr ptr, ptr %words, i64 1
  %part = load ptr, ptr %part_at
  %loop_at = getelementptr i64, ptr %words, i64 2
  %loop = load i64, ptr %loop_at
  store i64 %loop, ptr %frame
  %data_at = getelementptr i64, ptr %words, i64 3
  %data = load i64, ptr %data_at
  %data_to = getelementptr i64, ptr %frame, i64 1
  store i64 %data, ptr %data_to
  %flags_at = getelementptr i64, ptr %frame, i64 2
  store i64 0, ptr %flags_at
  %n_to = getelementptr i64, ptr %frame, i64 3
  store i64 %n, ptr %n_to
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %i.up, %one ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %one, label %sizes
one:
  %i.up = add i64 %i, 1
  %x_at = getelementptr ptr, ptr %args, i64 %i
  %x = load ptr, ptr %x_at
  %address_at = getelementptr i8, ptr %x, i64 {_HEADER}
  %address = load i64, ptr %address_at
  %nd_at = getelementptr i8, ptr %x, i64 {_HEADER + _POINTER}
  %nd = load i32, ptr %nd_at
  %first = icmp eq i64 %i, 0
  %last = sub i64 %n, 1
  %before = sub i64 %i, 1
  %place = select i1 %first, i64 %last, i64 %before
  %size_place = add i64 %place, 4
  %size_at = getelementptr i64, ptr %words, i64 %size_place
  %size = load i64, ptr %size_at
  %single = icmp eq i32 %nd, 0
  %step = select i1 %single, i64 0, i64 %size
  %twice = mul i64 %place, 2
  %at = add i64 %twice, 4
  %to = getelementptr i64, ptr %frame, i64 %at
  store i64 %address, ptr %to
  %step_to = getelementptr i64, ptr %to, i64 1
  store i64 %step, ptr %step_to
  br label %next
sizes:
  %out = load ptr, ptr %args
  %out_nd_at = getelementptr i8, ptr %out, i64 {_HEADER + _POINTER}
  %out_nd32 = load i32, ptr %out_nd_at
  %out_nd = sext i32 %out_nd32 to i64
  %dims_at = getelementptr i8, ptr %out, i64 {_HEADER + 2 * _POINTER}
  %dims = load ptr, ptr %dims_at
  br label %axis
axis:
  %a = phi i64 [ 0, %sizes ], [ %a.up, %multiply ]
  %total = phi i64 [ 1, %sizes ], [ %product, %multiply ]
  %rest = icmp slt i64 %a, %out_nd
  br i1 %rest, label %multiply, label %go
multiply:
  %dim_at = getelementptr i64, ptr %dims, i64 %a
  %dim = load i64, ptr %dim_at
  %product = mul i64 %total, %dim
  %a.up = add i64 %a, 1
  br label %axis
go:
  %thread = call ptr @PyEval_SaveThread()
  call void %driver(ptr %part, ptr %frame, i64 %total)
  call void @PyEval_RestoreThread(ptr %thread)
  %flags = load i64, ptr %flags_at
  %r = call ptr @PyLong_FromLong(i64 %flags)
  ret ptr %r
}}
"""
