"""Products of matrices over the threads of kernels, each block of a product on one thread of BLAS.

A product is cut along the longer side of its result, or between the matrices of a batch, and the
blocks are NumPy's own inner loop, which gives BLAS each matrix where it lies. A batch of two axes
that no single step goes through, as heads of attention are, is cut along one and repeated along the
other. OpenBLAS is told to use one thread meanwhile: its own threads
spin for a tenth of a second after a product, so that kernels between two products shared the
processors with them, and they wait for each other, which takes 4 to 16 milliseconds where another
process has one of the processors. Of 81 random products 76 have the bits that one thread of
OpenBLAS gives (55 with two threads of its own); the others differ in the last places.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.core.layout import Layout
from hybrid.kernels import parallel
from hybrid.kernels.gufunc import inner_loop, matmul_numbers
from hybrid.kernels.spec import as_geometry

# Multiplications from which on a product is divided; OpenBLAS has the same limit.
_WORTH_DIVIDING = 1 << 18
# Rows or columns of a block: at least so many, a multiple of what BLAS computes at a time.
_LEAST, _MULTIPLE = 48, 16
# A thread has one block, which packs the operand that is not cut but once, until its blocks are as
# large as this; then smaller ones cost little, and wait less for a thread that is not scheduled.
_LARGE = 512
_BLOCKS_PER_THREAD = 4

_HEAD = 13  # words before the dimensions
_WORDS = _HEAD + 4 + 9

# A pack is (driver, blocks, function, data, axis, size, then for each array how many bytes further
# on its next unit along the axis lies, how often the blocks are repeated, for each array how many
# bytes further on its next repetition lies, dimensions, strides, addresses).
_CODE = """
@counting = internal global i64 0
@callers = internal global i64 0
@found = internal global i32 0
@hybrid_known = global [3 x ptr] zeroinitializer  ; what gets threads of BLAS and sets them, ours

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i32 @<YIELD>()
declare i32 @PyErr_BadArgument()
declare ptr @Py_BuildValue(ptr, ...)
@empty = internal constant [1 x i8] zeroinitializer

; In a forked child: nobody is inside.
define void @hybrid_reset_products() {
  store i64 0, ptr @counting
  store i64 0, ptr @callers
  ret void
}

define internal void @blocks(ptr %pack, i64 %lo, i64 %hi) {
  %function_at = getelementptr i64, ptr %pack, i64 2
  %function = load ptr, ptr %function_at
  %data_at = getelementptr i64, ptr %pack, i64 3
  %data = load ptr, ptr %data_at
  %axis_at = getelementptr i64, ptr %pack, i64 4
  %axis = load i64, ptr %axis_at
  %size_at = getelementptr i64, ptr %pack, i64 5
  %size = load i64, ptr %size_at
  %given = getelementptr i64, ptr %pack, i64 <DIMENSIONS>
  %strides = getelementptr i64, ptr %given, i64 4
  %dimensions = alloca [4 x i64]
  call void @llvm.memcpy.p0.p0.i64(ptr %dimensions, ptr %given, i64 32, i1 false)
  %cut = getelementptr i64, ptr %dimensions, i64 %axis
  %whole = load i64, ptr %cut
  %start = mul i64 %lo, %size
  %end = mul i64 %hi, %size
  %beyond = icmp sgt i64 %end, %whole
  %stop = select i1 %beyond, i64 %whole, i64 %end
  %count = sub i64 %stop, %start
  store i64 %count, ptr %cut
  %repeats_at = getelementptr i64, ptr %pack, i64 9
  %repeats = load i64, ptr %repeats_at
  %arrays = alloca [3 x i64]
  br label %again
again:
  %turn = phi i64 [ 0, %0 ], [ %next, %again ]
  <ADDRESSES>
  call void %function(ptr %arrays, ptr %dimensions, ptr %strides, ptr %data)
  %next = add i64 %turn, 1
  %more = icmp slt i64 %next, %repeats
  br i1 %more, label %again, label %done
done:
  ret void
}

; Wait until nobody else counts callers, which takes a few nanoseconds.
define internal void @enter() {
start:
  br label %try
try:
  %pair = cmpxchg ptr @counting, i64 0, i64 1 seq_cst seq_cst
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %done, label %wait
wait:
  %yielded = call i32 @<YIELD>()
  br label %try
done:
  ret void
}

; A trampoline that multiplies. The first of several callers limits BLAS, the last restores it.
define void @hybrid_multiply(ptr %pack, i64 %lo, i64 %hi) {
  %driver = load ptr, ptr %pack
  %blocks_at = getelementptr i64, ptr %pack, i64 1
  %blocks = load i64, ptr %blocks_at
  %ours = getelementptr ptr, ptr @hybrid_known, i64 2
  %threads_at = load ptr, ptr %ours
  %threads = load atomic i64, ptr %threads_at seq_cst, align 8
  %many = icmp sgt i64 %threads, 1
  %divided = icmp ne ptr %driver, null
  %both = and i1 %many, %divided
  br i1 %both, label %together, label %alone
alone:
  call void @blocks(ptr %pack, i64 0, i64 %blocks)
  ret void
together:
  %get = load ptr, ptr @hybrid_known
  %setter = getelementptr ptr, ptr @hybrid_known, i64 1
  %set = load ptr, ptr %setter
  call void @enter()
  %before = load i64, ptr @callers
  %more = add i64 %before, 1
  store i64 %more, ptr @callers
  %first = icmp eq i64 %before, 0
  br i1 %first, label %limit, label %limited
limit:
  %found = call i32 %get()
  store i32 %found, ptr @found
  call void %set(i32 1)
  br label %limited
limited:
  store atomic i64 0, ptr @counting seq_cst, align 8
  call void %driver(ptr @blocks, ptr %pack, i64 %blocks)
  call void @enter()
  %now = load i64, ptr @callers
  %less = sub i64 %now, 1
  store i64 %less, ptr @callers
  %last = icmp eq i64 %less, 0
  br i1 %last, label %restore, label %leave
restore:
  %again = load i32, ptr @found
  call void %set(i32 %again)
  br label %leave
leave:
  store atomic i64 0, ptr @counting seq_cst, align 8
  ret void
}

; multiply(numbers, a, b, out), as CPython calls it.
define ptr @hybrid_product(ptr %kind, ptr %objects, i64 %count) {
  %pack = alloca [<PACK> x i64]
  %four = icmp eq i64 %count, 4
  br i1 %four, label %given, label %bad
bad:
  %error = call i32 @PyErr_BadArgument()
  ret ptr null
given:
  <ARRAYS>
  %numbers = load ptr, ptr %data_at0
  call void @llvm.memcpy.p0.p0.i64(ptr %pack, ptr %numbers, i64 <NUMBERS>, i1 false)
  <STORES>
  %state = call ptr @PyEval_SaveThread()
  call void @hybrid_multiply(ptr %pack, i64 0, i64 1)
  call void @PyEval_RestoreThread(ptr %state)
  %none = call ptr (ptr, ...) @Py_BuildValue(ptr @empty)
  ret ptr %none
}
"""

# An array of which it is asked where unit `start` lies in a turn, and where its address is found.
_ADDRESS = """
  %unit_at{0} = getelementptr i64, ptr %pack, i64 {unit}
  %unit{0} = load i64, ptr %unit_at{0}
  %address_at{0} = getelementptr i64, ptr %pack, i64 {address}
  %address{0} = load i64, ptr %address_at{0}
  %distance{0} = mul i64 %start, %unit{0}
  %first{0} = add i64 %address{0}, %distance{0}
  %further_at{0} = getelementptr i64, ptr %pack, i64 {further}
  %further{0} = load i64, ptr %further_at{0}
  %passed{0} = mul i64 %turn, %further{0}
  %begin{0} = add i64 %first{0}, %passed{0}
  %array{0} = getelementptr i64, ptr %arrays, i64 {0}
  store i64 %begin{0}, ptr %array{0}
"""

# An argument, which has to be an ndarray, and where its data pointer lies.
_ARRAY = """
  %object_at{0} = getelementptr ptr, ptr %objects, i64 {0}
  %object{0} = load ptr, ptr %object_at{0}
  %kind_at{0} = getelementptr i8, ptr %object{0}, i64 {kind}
  %kind{0} = load ptr, ptr %kind_at{0}
  %same{0} = icmp eq ptr %kind{0}, %kind
  br i1 %same{0}, label %array{0}, label %bad
array{0}:
  %data_at{0} = getelementptr i8, ptr %object{0}, i64 {data}
"""

_STORE = """
  %address{0} = load i64, ptr %data_at{0}
  %word{0} = getelementptr i64, ptr %pack, i64 {word}
  store i64 %address{0}, ptr %word{0}
"""


def _text() -> str:
    """The code in LLVM's assembly language."""
    header = object.__basicsize__
    addresses = (
        _ADDRESS.format(i, unit=6 + i, further=10 + i, address=_WORDS + i) for i in range(3)
    )
    arrays = (_ARRAY.format(i, kind=header - 8, data=header) for i in range(4))
    stores = (_STORE.format(i, word=_WORDS + i - 1) for i in range(1, 4))
    text = _CODE
    for name, value in (
        ("YIELD", parallel.YIELD),
        ("DIMENSIONS", str(_HEAD)),
        ("PACK", str(_WORDS + 3)),
        ("NUMBERS", str(8 * _WORDS)),
        ("ADDRESSES", "".join(addresses)),
        ("ARRAYS", "".join(arrays)),
        ("STORES", "".join(stores)),
    ):
        text = text.replace(f"<{name}>", value)
    return text


@functools.cache
def _openblas() -> tuple[int, int] | None:
    """The addresses of what gets and sets the number of threads of NumPy's OpenBLAS.

    None where NumPy has another BLAS: MKL and Accelerate share their threads out themselves.
    """
    try:
        # What is looked up in an extension is found in the libraries that it is linked with.
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    for name in ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", _PLAIN):
        try:
            found = [getattr(library, name.format(what)) for what in ("get", "set")]
        except AttributeError:
            continue
        get, set_ = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in found)
        return get, set_
    return None


def can_limit() -> bool:
    """Whether NumPy's BLAS can be told to use one thread, so that work here can be divided."""
    return _openblas() is not None


_PLAIN = "openblas_{}_num_threads"


@functools.cache
def _code() -> Callable[[str], int]:
    from hybrid.kernels import assembly

    found = _openblas()
    assert found is not None
    address = assembly.load(_text())
    known = (ctypes.c_void_p * 3).from_address(address("hybrid_known"))
    known[:] = [*found, parallel.threads_address()]
    reset = ctypes.CFUNCTYPE(None)(address("hybrid_reset_products"))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
    return address


@functools.cache
def multiply() -> Callable[..., None]:
    """``multiply(numbers, a, b, out)``: a product of ndarrays that lie as `numbers` says."""
    from hybrid.kernels import native

    return native.python_callable(_code()("hybrid_product"), "multiply")


@functools.cache
def multiply_address() -> int:
    """The trampoline that multiplies; its pack is the numbers, then three addresses."""
    return _code()("hybrid_multiply")


def product_numbers(
    one: Layout, other: Layout, out: Layout, dtype: np.dtype[Any]
) -> np.ndarray[Any, Any] | None:
    """Return the numbers with which a product is divided.

    None where it is too small, where the matrices of a batch take more than two steps to go
    through, and where nobody can tell NumPy's BLAS to use one thread.

    Parameters
    ----------
    one, other, out : Layout
        How the operands and the result lie, from the address of the first element of each.
    dtype : dtype
        Of all three.
    """
    merged = _one_batch(one, other, out)
    if merged is None or 0 in (*one.shape, *other.shape) or _openblas() is None:
        return None
    found = inner_loop(np.matmul, dtype)
    layouts, repeats, further = merged
    numbers = matmul_numbers(*layouts, dtype.itemsize)
    if found is None or numbers is None:
        return None
    dimensions, strides = numbers
    batch, rows, inner, columns = dimensions
    if repeats * batch * rows * inner * columns < _WORTH_DIVIDING:
        return None
    outer, (row_a, _, _, column_b, row_out, column_out) = strides[:3], strides[3:]
    if batch > 1:
        axis, units = 0, outer
    elif rows >= columns:
        axis, units = 1, (row_a, 0, row_out)
    else:
        axis, units = 3, (0, column_b, column_out)
    size = _block(dimensions[axis], axis)
    blocks = -(-dimensions[axis] // size)
    # One block too: BLAS's own threads would keep the processors from the kernels that follow.
    head = parallel.driver_address(), blocks, *found, axis, size, *units
    turns = repeats, *(steps * dtype.itemsize for steps in further)
    return as_geometry([*head, *turns, *dimensions, *strides])


def _block(whole: int, axis: int) -> int:
    """Return how many rows, columns or matrices of `whole` a block has."""
    threads = parallel.available()
    if not axis:
        return -(-whole // (threads * min(_BLOCKS_PER_THREAD, -(-whole // threads))))
    each = min(max(whole // (threads * _LARGE), 1), _BLOCKS_PER_THREAD)
    size = max(-(-whole // (threads * each)), _LEAST)
    return -(-size // _MULTIPLE) * _MULTIPLE


Steps = tuple[int, int, int]
"""How many elements further on the next matrix of each of the three arrays lies."""


def _one_batch(
    one: Layout, other: Layout, out: Layout
) -> tuple[tuple[Layout, Layout, Layout], int, Steps] | None:
    """Make the axes before those of the matrices one, which may have to be repeated along another.

    Returns the layouts of a turn, how many turns there are, and the steps between them; None where
    the axes are more than two in one of the arrays.
    """
    if len(out.shape) <= 3 or min(len(one.shape), len(other.shape)) < 2:
        return (one, other, out), 1, (0, 0, 0)
    batch = out.shape[:-2]
    wholes = [layout.expand((*batch, *layout.shape[-2:])) for layout in (one, other, out)]
    axes = _joined(batch, list(zip(*(whole.strides[:-2] for whole in wholes), strict=True)))
    if len(axes) > 2:
        return None
    # Cut along the longer axis: there are enough matrices for each thread.
    (turns, further), (size, steps) = sorted([(1, (0, 0, 0))] * (2 - len(axes)) + axes, key=_size)
    first, second, result = (
        Layout((size, *whole.shape[-2:]), (step, *whole.strides[-2:]), whole.offset)
        for whole, step in zip(wholes, steps, strict=True)
    )
    return (first, second, result), turns, further


def _size(axis: tuple[int, Steps]) -> int:
    return axis[0]


def _joined(batch: tuple[int, ...], strides: list[Steps]) -> list[tuple[int, Steps]]:
    """Make axes one where one step goes through them in all three arrays; leave those of size 1."""
    axes: list[tuple[int, Steps]] = []
    for size, steps in zip(batch, strides, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == tuple(step * size for step in steps):
            axes[-1] = axes[-1][0] * size, steps
        else:
            axes.append((size, steps))
    return axes
