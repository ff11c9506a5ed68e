"""A card for Plans: launches and graphs by cuda.core, memory by CuPy, products by cuBLAS.

No card was at hand when this was written: the tests know it from stand-ins for those libraries that
record what they are asked.
"""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.core import cards
from hybrid.core.layout import Layout
from hybrid.core.places import Place
from hybrid.errors import OutOfMemoryError
from hybrid.kernels.cuda import toolchain
from hybrid.kernels.cuda.blas import WORKSPACE, Blas
from hybrid.kernels.cuda.card import NotCaptured
from hybrid.kernels.cuda.products import Gemm
from hybrid.kernels.cuda.source import Source
from hybrid.kernels.cuda.spec import THREADS

_TO_CARD, _ON_CARD = 1, 3  # cudaMemcpyKind


class _Turn:
    """The lock, and work to the card; a class, since a generator takes the host twice the time."""

    __slots__ = ("_current", "_lock")

    def __init__(self, lock: Any, current: Any) -> None:
        self._lock = lock
        self._current = current

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._current.__enter__()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *error: Any) -> None:
        try:
            self._current.__exit__(*error)
        finally:
            self._lock.release()


class Nvidia:
    """A GPU; see ``hybrid.kernels.cuda.card.Card``.

    Parameters
    ----------
    place : Place
        Its array module is CuPy.
    architecture : (int, int)
        What kernels are compiled for.
    core : module, optional
        cuda.core.
    cublas : optional
        The library; found when the first product is made, where left out.
    """

    threads = THREADS

    def __init__(
        self,
        place: Place,
        architecture: toolchain.Architecture,
        core: Any = None,
        cublas: Any = None,
    ) -> None:
        self.place = place
        self.architecture = architecture
        self.xp = place.xp
        self._core = core = importlib.import_module("cuda.core") if core is None else core
        self._cublas = cublas
        self._device = core.Device(int(place.name.partition(":")[2]))
        self._device.set_current()
        self._stream = core.Stream.from_handle(place.stream)
        self._lock = threading.RLock()
        self._pointer = place.xp.cuda.MemoryPointer
        self._config = functools.cache(self._new_config)
        self._loaded: dict[Source, tuple[Any, ...]] = {}

    def turn(self) -> _Turn:
        """Take the card for one Plan's work; CuPy works on it too then."""
        return _Turn(self._lock, self.place.current())

    def load(self, source: Source) -> tuple[Any, ...]:
        """The entry points of a kernel: compiled, or from disk; loaded once."""
        found = self._loaded.get(source)
        if found is None:
            found = self._loaded.setdefault(source, self._load(source))
        return found

    def _load(self, source: Source) -> tuple[Any, ...]:
        code = self._core.ObjectCode.from_cubin(toolchain.binary(source, self.architecture).cubin)
        return tuple(code.get_kernel(entry) for entry in source.phases)

    # --- memory -------------------------------------------------------------------------------

    def empty(self, nbytes: int) -> Any:
        """New memory of CuPy's pool."""
        try:
            return self.xp.cuda.alloc(max(nbytes, 1))
        except MemoryError:
            free, total = self.xp.cuda.runtime.memGetInfo()
            raise OutOfMemoryError(
                f"{self.place.name} is out of memory: {nbytes:,} bytes were asked for, "
                f"{free:,} of {total:,} were free"
            ) from None

    def address(self, array: Any) -> int:
        """Where an array, or memory, begins."""
        memory = array if type(array) is self._pointer else array.data
        found: int = memory.ptr
        return found

    def view(self, array: Any, offset: int, layout: Layout, dtype: Any) -> Any:
        """An array in the memory of another."""
        size = dtype.itemsize
        memory = array if type(array) is self._pointer else array.data
        strides = tuple([stride * size for stride in layout.strides])
        return self.xp.ndarray(
            layout.shape, dtype, memory + (offset + layout.offset * size), strides
        )

    def upload(self, address: int, data: bytes) -> None:
        """Copy bytes of the host to the card; memory that is not pinned is staged at once."""
        host = np.frombuffer(data, np.uint8)
        self._copy(address, host.ctypes.data, len(data), _TO_CARD)

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Copy bytes from one address of the card to another."""
        self._copy(target, source, nbytes, _ON_CARD)

    def _copy(self, target: int, source: int, nbytes: int, kind: int) -> None:
        self.xp.cuda.runtime.memcpyAsync(target, source, nbytes, kind, self.place.stream)

    # --- work ---------------------------------------------------------------------------------

    def launch(self, function: Any, blocks: int, threads: int, arguments: tuple[int, ...]) -> None:
        """Start a kernel."""
        self._core.launch(self._stream, self._config(blocks, threads), function, *arguments)

    def _new_config(self, blocks: int, threads: int) -> Any:
        return self._core.LaunchConfig(grid=blocks, block=threads)

    def library(self, work: Callable[[], None]) -> None:
        """CuPy works on the current stream, which is the card's."""
        work()

    @functools.cached_property
    def _blas(self) -> Blas:
        self._workspace = self.empty(WORKSPACE)
        return Blas(self.place.stream, self._workspace.ptr, self._cublas)

    def multiply(self, gemm: Gemm, first: int, second: int, out: int) -> None:
        """Multiply by cuBLAS."""
        self._blas.multiply(gemm, first, second, out)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """A graph of what `work` asks, and of the memory that libraries take for it."""
        pool = self.xp.cuda.MemoryPool()
        builder = self._stream.create_graph_builder()
        try:
            # Relaxed, so that the pool may ask the driver for memory meanwhile.
            builder.begin_building("relaxed")
            try:
                with self.xp.cuda.using_allocator(pool.malloc):
                    work()
            finally:
                builder.end_building()
            graph = builder.complete()
        except Exception as error:
            raise NotCaptured(str(error).partition("\n")[0]) from error
        finally:
            builder.close()
        stream = self._stream

        def replay(pool: Any = pool) -> None:
            graph.launch(stream)

        return replay

    def synchronize(self) -> None:
        """Wait for all work that was asked for."""
        self._stream.sync()


def open_card(place: Place) -> Nvidia:
    """Make the card at a place ready for Plans."""
    toolchain.require()
    ordinal = int(place.name.partition(":")[2])
    return Nvidia(place, cards.found().cards[ordinal].capability)
