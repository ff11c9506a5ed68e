"""Runs generated GPU source in numba's simulator: each thread of a block is one of Python's.

Only in a process with ``NUMBA_ENABLE_CUDASIM=1``. Blocks are small and few, since each thread is
one of the system's. They take turns: each goes on to its next barrier, in another order after each.
(Numba's own way, to ask all of them again and again whether they have come to one, takes five times
as long.) Scalar functions are the ones that the card gets, compiled for the CPU; what the card does
with memory and between lanes is done here by Python, which also checks bounds and alignment.
"""

from __future__ import annotations

import functools
import random
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, njit
from numba.cuda.simulator import kernel as numbas

from hybrid.kernels import build, half
from hybrid.kernels.cuda.kernel import Prepared, prepare
from hybrid.kernels.cuda.source import Source
from hybrid.kernels.region import Region

# More only where lanes of several warps are to meet.
FEW_THREADS = 16
THREADS = 64
BLOCKS = 4

Array = np.ndarray[Any, Any]
_PREDICATES = ("isnan", "isinf", "isfinite", "signbit")


@functools.cache
def _compiled(name: str, dtype: str) -> Any:
    function = getattr(half, name, None) or build.function(name, dtype)

    @njit(error_model="numpy")
    def one(a: Any) -> Any:
        return function(a)

    @njit(error_model="numpy")
    def two(a: Any, b: Any) -> Any:
        return function(a, b)

    return {1: one, 2: two}


def function(name: str, dtype: str) -> Any:
    """A scalar function as the card gets it; numba gives float32 back as Python's float."""
    result = "bool" if name in _PREDICATES else "float32" if name.startswith("round_") else dtype
    kind = np.dtype(result).type

    def call(*args: Any) -> Any:
        return kind(_compiled(name, dtype)[len(args)](*args))

    return call


def _cast_to(dtype: str) -> Any:
    def cast(value: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(value).astype(dtype)[()]

    return cast


def _select(condition: Any, a: Any, b: Any) -> Any:
    assert type(a) is type(b), (type(a), type(b))
    return a if condition else b


def _load(pointer: Any, index: int) -> Any:
    return pointer[index]


def _store(pointer: Any, index: int, value: Any) -> None:
    kind = np.dtype(pointer.dtype)
    assert np.asarray(value).dtype == kind, f"{type(value)} is stored as {kind}"
    pointer[index] = value


class Addressed:
    """A pointer that knows where it points; an array begins where a card's memory does."""

    address = 0


def _assert_aligned(pointer: Any, index: int, count: int) -> None:
    size = np.dtype(pointer.dtype).itemsize
    place = (pointer.address if isinstance(pointer, Addressed) else 0) + index * size
    assert place % (count * size) == 0, f"{count} elements are moved at {place}"


def _vector_load(dtype: str, count: int) -> Any:
    def read(pointer: Any, index: int) -> tuple[Any, ...]:
        _assert_aligned(pointer, index, count)
        return tuple(pointer[index + i] for i in range(count))

    return read


def _vector_store(dtype: str, count: int) -> Any:
    def write(pointer: Any, index: int, values: tuple[Any, ...]) -> None:
        _assert_aligned(pointer, index, count)
        for i, value in enumerate(values):
            _store(pointer, index + i, value)

    return write


def _quotient(limit: int) -> Any:
    def quotient(index: int, size: int) -> int:
        assert 0 <= index < limit
        return index // size

    return quotient


@cuda.jit(device=True)
def _of_thread(value: Any, thread: int) -> Any:
    """The value of another thread of the block; all threads ask at once."""
    everyone = cuda.shared.array(THREADS, np.dtype(object))
    everyone[cuda.threadIdx.x] = value
    cuda.syncthreads()
    found = everyone[thread]
    cuda.syncthreads()
    return found


@cuda.jit(device=True)
def _exchange(value: Any, mask: int) -> Any:
    return _of_thread(value, cuda.threadIdx.x ^ mask)


@cuda.jit(device=True)
def _before(value: Any, distance: int) -> Any:
    return _of_thread(value, max(cuda.threadIdx.x - distance, cuda.threadIdx.x & ~31))


@cuda.jit(device=True)
def _of_lane(value: Any, lane: int) -> Any:
    return _of_thread(value, (cuda.threadIdx.x & ~31) | lane)


def _widen_bf16(bits: Any) -> Any:
    return np.array([0, bits], "<u2").view("<f4")[0]


def namespace() -> dict[str, Any]:
    """The names of ``device.namespace``, for the simulator."""
    names = build.scalar_namespace() | {
        "cuda": cuda,
        "function": function,
        "cast_to": _cast_to,
        "select": _select,
        "load": _load,
        "store": _store,
        "vector_load": _vector_load,
        "vector_store": _vector_store,
        "quotient32": _quotient(1 << 31),
        "quotient64": _quotient(1 << 63),
        "from_end": lambda index, size: index + size if index < 0 else index,
        "exchange": _exchange,
        "before": _before,
        "of_lane": _of_lane,
        "boolean": np.bool_,
        "widen_f16": lambda bits: np.float32(np.uint16(bits).view(np.float16)),
        "narrow_f16": lambda value: np.float16(value).view(np.uint16),
        "widen_bf16": _widen_bf16,
        "narrow_bf16": lambda value: np.uint16(_compiled("narrow_bf16", "float32")[1](value)),
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "and_": lambda a, b: a & b,
        "or_": lambda a, b: a | b,
        "xor": lambda a, b: a ^ b,
        "not_": lambda a: ~a if not isinstance(a, np.bool_) else np.bool_(not a),
    }
    return names


class _Thread(numbas.BlockThread):  # type: ignore[misc]
    """A thread of a block, which runs when it is its turn."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Locks that one thread takes and another lets go of: a Semaphore is Python code around two.
        self.turn, self.stopped = threading.Lock(), threading.Lock()
        self.turn.acquire()
        self.stopped.acquire()

    def run(self) -> None:
        self.turn.acquire()
        super().run()
        self.stopped.release()

    def syncthreads(self) -> None:
        self.syncthreads_blocked = True
        self.stopped.release()
        self.turn.acquire()
        if self.abort:
            raise RuntimeError("another thread has failed")

    def go_on(self) -> bool:
        """Run to the next barrier or to the end; tell whether there is more to do."""
        self.syncthreads_blocked = False
        self.turn.release()
        self.stopped.acquire()
        return self.syncthreads_blocked


class _Block(numbas.BlockManager):  # type: ignore[misc]
    """Runs the threads of a block in turns."""

    def run(self, grid_point: Any, *args: Any) -> None:
        def target() -> None:
            self._f(*args)

        points = np.ndindex(*self._block_dim)
        threads = [_Thread(target, self, grid_point, point, self._debug) for point in points]
        for thread in threads:
            thread.start()
        order, left = random.Random(0), threads
        while left:
            order.shuffle(left)  # what misses a barrier reads what is not there yet
            left = [thread for thread in left if self._goes_on(thread, threads)]

    def _goes_on(self, thread: _Thread, threads: Sequence[_Thread]) -> bool:
        more = thread.go_on()
        if thread.exception is not None:
            for other in threads:
                other.abort = True
                other.turn.release()
            error, traceback = thread.exception
            raise error.with_traceback(traceback)
        return more


numbas.BlockManager = _Block


def launch(source: Source, entry: str, blocks: int, arguments: Sequence[Any]) -> None:
    """Run one phase of a kernel."""
    names = namespace()
    exec(compile(source.text, f"<{source.name}>", "exec"), names)
    assert source.threads <= THREADS
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        cuda.jit(names[entry])[min(blocks, BLOCKS), source.threads](*arguments)


class _Moved(Addressed):
    """A pointer moved on to some element of an array's memory: what lies before has places < 0."""

    def __init__(self, array: Array, offset: int) -> None:
        flat = array.reshape(-1)
        half = flat.dtype.name in ("float16", "bfloat16")
        self.memory = flat.view(np.uint16) if half else flat
        self.offset = offset
        self.dtype = self.memory.dtype
        self.address = offset * self.dtype.itemsize

    def _place(self, index: int) -> int:
        place = int(index) + self.offset
        assert 0 <= place < self.memory.size, f"{place} of {self.memory.size}"
        return place

    def __getitem__(self, index: int) -> Any:
        return self.memory[self._place(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        self.memory[self._place(index)] = value


def run(
    region: Region, arrays: Sequence[Array], *, aligned: bool = True, threads: int = FEW_THREADS
) -> Prepared:
    """Run a region on its operands, outputs last; arrays that are given twice are in place."""
    prepared = prepare(region, aligned=aligned, threads=threads)
    pointers = [_Moved(x, offset) for x, offset in zip(arrays, prepared.offsets, strict=True)]
    # What temporaries hold at first must not matter.
    temporaries = [np.full(count, 77).astype(dtype) for dtype, count in prepared.temporaries]
    for step in prepared.launches:
        if step.blocks:
            arguments = [*pointers, *temporaries, *prepared.numbers]
            launch(prepared.source, step.entry, step.blocks, arguments)
    return prepared
