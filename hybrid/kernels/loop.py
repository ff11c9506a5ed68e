"""Native loops over kernels: the kernels of a body run step after step without Python.

The loop is one small function for all bodies; what it runs is data. An entry of a program is
``(run, pack, work, driver)``: the trampoline of a kernel, its packed arguments, its work items, and
the parallel driver or 0. Between steps some slots of the packs move: each move is ``(slot, delta,
factor)``, and does ``*slot += delta; delta *= factor``. A factor of 1 walks along the rows of an
array, one of -1 swaps two buffers.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

_CODE = """
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; A trampoline that copies: its pack is (target, source, bytes).
define void @hybrid_copy(ptr %pack, i64 %lo, i64 %hi) {
  %target = load ptr, ptr %pack
  %source_at = getelementptr ptr, ptr %pack, i64 1
  %source = load ptr, ptr %source_at
  %bytes_at = getelementptr ptr, ptr %pack, i64 2
  %bytes = load i64, ptr %bytes_at
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 %bytes, i1 false)
  ret void
}

; A trampoline that calls an inner loop of NumPy: its pack is (function, data, dimensions, strides,
; count), then the addresses of `count` arrays, of which the loop is given a copy: it moves them.
define void @hybrid_inner_loop(ptr %pack, i64 %lo, i64 %hi) {
  %function = load ptr, ptr %pack
  %data_at = getelementptr i64, ptr %pack, i64 1
  %data = load ptr, ptr %data_at
  %dimensions_at = getelementptr i64, ptr %pack, i64 2
  %dimensions = load ptr, ptr %dimensions_at
  %strides_at = getelementptr i64, ptr %pack, i64 3
  %strides = load ptr, ptr %strides_at
  %count_at = getelementptr i64, ptr %pack, i64 4
  %count = load i64, ptr %count_at
  %given = getelementptr i64, ptr %pack, i64 5
  %arrays = alloca ptr, i64 %count
  %bytes = mul i64 %count, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %arrays, ptr %given, i64 %bytes, i1 false)
  call void %function(ptr %arrays, ptr %dimensions, ptr %strides, ptr %data)
  ret void
}

; Finds an operand that moves: its pack is (target, address, count), then (counter, bytes) for each.
define void @hybrid_seek(ptr %pack, i64 %lo, i64 %hi) {
start:
  %target = load ptr, ptr %pack
  %address_at = getelementptr i64, ptr %pack, i64 1
  %address = load i64, ptr %address_at
  %count_at = getelementptr i64, ptr %pack, i64 2
  %count = load i64, ptr %count_at
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %up, %one ]
  %found = phi i64 [ %address, %start ], [ %further, %one ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %done
one:
  %twice = mul i64 %i, 2
  %at = add i64 %twice, 3
  %counter_at = getelementptr i64, ptr %pack, i64 %at
  %counter = load ptr, ptr %counter_at
  %number = load i64, ptr %counter
  %bytes_at = getelementptr i64, ptr %counter_at, i64 1
  %bytes = load i64, ptr %bytes_at
  %distance = mul i64 %number, %bytes
  %further = add i64 %found, %distance
  %up = add i64 %i, 1
  br label %next
done:
  store i64 %found, ptr %target
  ret void
}

; A trampoline that runs a loop to its end: its pack is (template, words, bytes of both, do, does,
; moves, count, limit, given), then (word, address) for each of the `given`: what the loop finds in
; its words, which are a copy of the template otherwise.
define void @hybrid_nested(ptr %pack, i64 %lo, i64 %hi) {
start:
  %template = load ptr, ptr %pack
  %words_at = getelementptr i64, ptr %pack, i64 1
  %words = load ptr, ptr %words_at
  %bytes_at = getelementptr i64, ptr %pack, i64 2
  %bytes = load i64, ptr %bytes_at
  call void @llvm.memcpy.p0.p0.i64(ptr %words, ptr %template, i64 %bytes, i1 false)
  %given_at = getelementptr i64, ptr %pack, i64 8
  %given = load i64, ptr %given_at
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %up, %one ]
  %more = icmp slt i64 %i, %given
  br i1 %more, label %one, label %loop
one:
  %twice = mul i64 %i, 2
  %at = add i64 %twice, 9
  %word_at = getelementptr i64, ptr %pack, i64 %at
  %word = load ptr, ptr %word_at
  %address_at = getelementptr i64, ptr %word_at, i64 1
  %address = load i64, ptr %address_at
  store i64 %address, ptr %word
  %up = add i64 %i, 1
  br label %next
loop:
  %do_at = getelementptr i64, ptr %pack, i64 3
  %do = load ptr, ptr %do_at
  %does_at = getelementptr i64, ptr %pack, i64 4
  %does = load i64, ptr %does_at
  %moves_at = getelementptr i64, ptr %pack, i64 5
  %moves = load ptr, ptr %moves_at
  %count_at = getelementptr i64, ptr %pack, i64 6
  %count = load i64, ptr %count_at
  %limit_at = getelementptr i64, ptr %pack, i64 7
  %limit = load i64, ptr %limit_at
  %steps = call i64 @hybrid_loop(ptr null, i64 0, ptr null, ptr %do, i64 %does,
                                 ptr %moves, i64 %count, i64 %limit)
  ret void
}

define internal void @program(ptr %entries, i64 %count) {
start:
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %up, %on ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %entry, label %done
entry:
  %at = mul i64 %i, 4
  %run_at = getelementptr i64, ptr %entries, i64 %at
  %run = load ptr, ptr %run_at
  %pack_at = getelementptr i64, ptr %run_at, i64 1
  %pack = load ptr, ptr %pack_at
  %work_at = getelementptr i64, ptr %run_at, i64 2
  %work = load i64, ptr %work_at
  %driver_at = getelementptr i64, ptr %run_at, i64 3
  %driver = load i64, ptr %driver_at
  %serial = icmp eq i64 %driver, 0
  br i1 %serial, label %alone, label %together
alone:
  call void %run(ptr %pack, i64 0, i64 %work)
  br label %on
together:
  %drive = inttoptr i64 %driver to ptr
  call void %drive(ptr %run, ptr %pack, i64 %work)
  br label %on
on:
  %up = add i64 %i, 1
  br label %next
done:
  ret void
}

define internal void @move(ptr %moves, i64 %count) {
start:
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %up, %one ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %done
one:
  %at = mul i64 %i, 3
  %slot_at = getelementptr i64, ptr %moves, i64 %at
  %slot = load ptr, ptr %slot_at
  %delta_at = getelementptr i64, ptr %slot_at, i64 1
  %delta = load i64, ptr %delta_at
  %factor_at = getelementptr i64, ptr %slot_at, i64 2
  %factor = load i64, ptr %factor_at
  %old = load i64, ptr %slot
  %new = add i64 %old, %delta
  store i64 %new, ptr %slot
  %turned = mul i64 %delta, %factor
  store i64 %turned, ptr %delta_at
  %up = add i64 %i, 1
  br label %next
done:
  ret void
}

; Steps until %flag is false or %limit are done; the number of steps.
define i64 @hybrid_loop(ptr %ask, i64 %asks, ptr %flag, ptr %do, i64 %does,
                        ptr %moves, i64 %count, i64 %limit) {
start:
  %counted = icmp eq ptr %flag, null
  br label %next
next:
  %step = phi i64 [ 0, %start ], [ %up, %body ]
  %more = icmp slt i64 %step, %limit
  br i1 %more, label %question, label %done
question:
  br i1 %counted, label %body, label %asked
asked:
  call void @program(ptr %ask, i64 %asks)
  %answer = load i8, ptr %flag
  %yes = icmp ne i8 %answer, 0
  br i1 %yes, label %body, label %done
body:
  call void @program(ptr %do, i64 %does)
  call void @move(ptr %moves, i64 %count)
  %up = add i64 %step, 1
  br label %next
done:
  ret i64 %step
}
"""


@functools.cache
def _code() -> Callable[[str], int]:
    from hybrid.kernels import assembly

    return assembly.load(_CODE)


@functools.cache
def copy_address() -> int:
    """The address of the trampoline that copies bytes."""
    return _code()("hybrid_copy")


@functools.cache
def seek_address() -> int:
    """The address of the trampoline that finds an operand that moves."""
    return _code()("hybrid_seek")


@functools.cache
def inner_loop_address() -> int:
    """The address of the trampoline that calls an inner loop of NumPy."""
    return _code()("hybrid_inner_loop")


@functools.cache
def nested_address() -> int:
    """The address of the trampoline that runs a loop within a loop."""
    return _code()("hybrid_nested")


@functools.cache
def looper() -> Callable[..., int]:
    """``loop(ask, asks, flag, do, does, moves, count, limit)``, addresses and counts.

    It releases the GIL. Called again with what it left behind, it goes on.
    """
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 8)
    return kind(_code()("hybrid_loop"))
