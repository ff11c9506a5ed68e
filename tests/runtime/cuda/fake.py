"""A card that NumPy and numba's simulator play: memory of the host, with bounds.

Kernels run in the simulator, thread by thread; each access must lie in memory that the card gave
out and that nobody has dropped. New memory holds garbage. Captured work is kept and done again at
each replay.
"""

from __future__ import annotations

import bisect
import ctypes
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.core.layout import Layout
from hybrid.core.places import Place
from hybrid.errors import OutOfMemoryError
from hybrid.kernels.cuda.card import NotCaptured
from hybrid.kernels.cuda.products import Factor, Gemm
from hybrid.kernels.cuda.source import Source
from tests.gpu.fake import FakeArray
from tests.gpu.fake import place as fake_place
from tests.kernels.cuda.simulator import Addressed, launch

Array = np.ndarray[Any, Any]
GARBAGE = 0xA5


class FakeCard:
    """Satisfies ``hybrid.kernels.cuda.card.Card``; `limit` is how many bytes there are."""

    threads = 16

    def __init__(self, limit: int = 1 << 24, place: Place | None = None) -> None:
        self.place = place or fake_place(0)
        # Without a place of its own, ndarrays stand for its arrays, but where libraries work.
        self._lends = place is not None
        self._lock = threading.RLock()
        self.log: list[str] = []
        self.captured: list[Callable[[], None]] | None = None
        self.refuses_capture = ""
        self._all = np.empty(limit + 256, np.uint8)
        self._next = -(-self._all.ctypes.data // 256) * 256
        self._begin, self._end = self._next, self._next + limit
        self._foreign: dict[int, tuple[Array, int]] = {}
        self._kept: list[Array] = []
        self.living: dict[int, weakref.ref[_Lease]] = {}
        self.free: dict[int, list[int]] = {}

    def turn(self) -> Any:
        return self._lock

    # --- memory -------------------------------------------------------------------------------

    def empty(self, nbytes: int) -> Array:
        """Memory that was given back, the last first, as pools do; else new one."""
        kept, size = self.free.get(nbytes), -(-max(nbytes, 1) // 256) * 256
        if kept:
            start = kept.pop()
        else:
            start = self._next
            if start + size > self._end:
                raise OutOfMemoryError(f"{nbytes} bytes are asked for, {self._end - start} free")
            self._next += size
        lease = _Lease(self, start, nbytes)
        self.living[start] = weakref.ref(lease)
        block = np.asarray(lease)
        block[...] = GARBAGE
        return block

    def put(self, array: Array) -> Array:
        """The same elements on the card, which lie as those of the argument do."""
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        block = self.empty(max(base.nbytes, 1))
        block[: base.nbytes] = np.frombuffer(base.tobytes("A"), np.uint8)
        offset = array.ctypes.data - base.ctypes.data
        return np.ndarray(array.shape, array.dtype, block, offset, array.strides)

    def address(self, array: Any) -> int:
        data = getattr(array, "_data", array)
        start = int(data.ctypes.data)
        if not self._begin <= start < self._end:
            # An array that another made, as CuPy's users do.
            while isinstance(data.base, np.ndarray):
                data = data.base
            low, high = np.lib.array_utils.byte_bounds(data)
            self._foreign[low] = data, high - low
        return start

    def view(self, array: Any, offset: int, layout: Layout, dtype: Any) -> Any:
        made = self._shown(self.address(array) + offset, layout, dtype)
        return FakeArray(made) if self._lends else made

    def _shown(self, start: int, layout: Layout, dtype: Any) -> Array:
        size = np.dtype(dtype).itemsize
        start += layout.offset * size
        strides = tuple(stride * size for stride in layout.strides)
        block = self._block(start)
        # NumPy checks that all of it lies in the block.
        return np.ndarray(layout.shape, dtype, block, start - block.ctypes.data, strides)

    def upload(self, address: int, data: bytes) -> None:
        self.inside(address, len(data))
        self.log.append("upload")
        ctypes.memmove(address, data, len(data))

    def inside(self, address: int, nbytes: int) -> None:
        """Check that some bytes lie in memory that is there."""
        block = self._block(address)
        stop = block.ctypes.data + max(block.nbytes, 1)
        assert address + nbytes <= stop, f"{address + nbytes - stop} bytes behind the end"

    def _block(self, address: int) -> Array:
        """All of the memory that an address lies in."""
        if not self._begin <= address <= self._end:
            return self._of_others(address)
        starts = sorted(self.living)
        number = bisect.bisect_right(starts, address) - 1
        assert number >= 0, "an address before all memory"
        lease = self.living[starts[number]]()
        assert lease is not None, "memory that was given back"
        assert address <= lease.start + lease.nbytes, "an address in no memory, or given back"
        return np.asarray(lease)

    def _of_others(self, address: int) -> Array:
        for low, (array, nbytes) in self._foreign.items():
            if low <= address <= low + nbytes:
                raw = (ctypes.c_char * nbytes).from_address(low)
                block = np.frombuffer(raw, np.uint8)
                self._kept.append(array)
                return block
        raise AssertionError("an address in no memory")

    # --- work ---------------------------------------------------------------------------------

    def load(self, source: Source) -> tuple[tuple[Source, str], ...]:
        return tuple((source, entry) for entry in source.phases)

    def _do(self, what: str, work: Callable[[], None]) -> None:
        if self.captured is not None:
            self.captured.append(work)
        else:
            self.log.append(what)
            work()

    def launch(
        self, function: tuple[Source, str], blocks: int, threads: int, arguments: tuple[int, ...]
    ) -> None:
        source, entry = function
        assert blocks > 0
        assert threads == source.threads
        assert len(arguments) == len(source.parameters) + source.numbers
        pairs = zip(arguments, source.parameters, strict=False)
        pointers = [Pointer(self, address, dtype) for address, dtype in pairs]
        numbers = arguments[len(pointers) :]
        work = lambda: launch(source, entry, blocks, [*pointers, *numbers])
        self._do("launch", work)

    def library(self, work: Callable[[], None]) -> None:
        def lent() -> None:
            before, self._lends = self._lends, True
            try:
                work()
            finally:
                self._lends = before

        self._do("library", lent)

    def multiply(self, gemm: Gemm, first: int, second: int, out: int) -> None:
        self._do("multiply", lambda: self._multiply(gemm, first, second, out))

    def _multiply(self, gemm: Gemm, first: int, second: int, out: int) -> None:
        wide = np.float32 if np.dtype(gemm.dtype).itemsize == 2 else np.dtype(gemm.dtype)
        for number in range(gemm.batch):
            a = self._matrix(gemm, gemm.first, first, number, (gemm.m, gemm.k))
            b = self._matrix(gemm, gemm.second, second, number, (gemm.k, gemm.n))
            c = self._matrix(gemm, gemm.out, out, number, (gemm.m, gemm.n))
            c[...] = np.matmul(a.astype(wide), b.astype(wide))

    def _matrix(
        self, gemm: Gemm, factor: Factor, start: int, number: int, shape: tuple[int, int]
    ) -> Array:
        """One matrix of a batch by cuBLAS's rules: by columns, turned if it says so."""
        size = np.dtype(gemm.dtype).itemsize
        rows, columns = shape[::-1] if factor.transposed else shape
        assert factor.leading >= rows > 0
        layout = Layout((rows, columns), (1, factor.leading), number * factor.step)
        begin = start + layout.offset * size
        self.inside(begin, ((columns - 1) * factor.leading + rows) * size)
        matrix = self._shown(start, layout, gemm.dtype)
        return matrix.T if factor.transposed else matrix

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        self.log.append("capture")
        if self.refuses_capture:
            raise NotCaptured(self.refuses_capture)
        kept: list[Callable[[], None]] = []
        self.captured = kept
        try:
            work()
        finally:
            self.captured = None

        def replay() -> None:
            self.log.append("replay")
            for step in kept:
                step()

        return replay


class _Lease:
    """Gives memory back when no array shows it any more."""

    def __init__(self, card: FakeCard, start: int, nbytes: int) -> None:
        self.card = card
        self.start = start
        self.nbytes = nbytes
        self.__array_interface__ = {
            "version": 3,
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (start, False),
        }

    def __del__(self) -> None:
        del self.card.living[self.start]
        self.card.free.setdefault(self.nbytes, []).append(self.start)


class Pointer(Addressed):
    """A kernel's pointer: elements at and around an address, each checked to be there."""

    def __init__(self, card: FakeCard, address: int, dtype: str) -> None:
        self.card = card
        self.address = address
        self.dtype = np.dtype(dtype)

    def _element(self, index: int) -> Array:
        place = self.address + int(index) * self.dtype.itemsize
        self.card.inside(place, self.dtype.itemsize)
        raw = (ctypes.c_char * self.dtype.itemsize).from_address(place)
        return np.frombuffer(raw, self.dtype)

    def __getitem__(self, index: int) -> Any:
        return self._element(index)[0]

    def __setitem__(self, index: int, value: Any) -> None:
        self._element(index)[0] = value
