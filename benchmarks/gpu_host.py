"""The host's own time for a replay, without a card: ``python -m benchmarks.gpu_host``.

A card of stand-ins does nothing: what is measured is hybrid's part of a call whose Plan has 15
nodes, from the compiled function to the replay and back. CuPy's allocation, its array for the
result and the launch of the graph come on top; ``python -m benchmarks.gpu`` measures them too.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import hybrid as hb
from benchmarks.gpu import chain
from hybrid.core import devices
from hybrid.core.layout import Layout
from hybrid.core.places import Place
from hybrid.kernels.cuda import card as cards

SAMPLES = 9


class Memory:
    """Stands for CuPy's MemoryPointer."""

    __slots__ = ("ptr",)

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


class Array:
    """Stands for CuPy's ndarray."""

    __slots__ = ("base", "data", "dtype", "flags", "ndim", "shape", "size", "strides")

    def __init__(self, shape: Any, dtype: Any, data: Memory, strides: Any) -> None:
        self.shape, self.dtype, self.data, self.strides = shape, dtype, data, strides
        self.ndim, self.base, self.size = len(shape), None, 1
        self.flags = SimpleNamespace(c_contiguous=True)


class Idle:
    """A card that does nothing; ``hybrid.kernels.cuda.card.Card`` says what it is asked."""

    threads = 256

    def __init__(self, place: Place) -> None:
        self.place = place
        self._lock = threading.RLock()
        self.asked: list[str] = []

    def turn(self) -> Any:
        """Only the lock."""
        return self._lock

    def load(self, source: Any) -> Any:
        """Nothing is compiled."""
        return source.phases

    def empty(self, nbytes: int) -> Memory:
        """Memory that comes again, as in a loop."""
        return Memory(8192)

    def address(self, array: Any) -> int:
        """Where an array begins."""
        memory = array if type(array) is Memory else array.data
        found: int = memory.ptr
        return found

    def view(self, array: Any, offset: int, layout: Layout, dtype: Any) -> Array:
        """An array like CuPy's."""
        size = dtype.itemsize
        memory = array if type(array) is Memory else array.data
        strides = tuple([stride * size for stride in layout.strides])
        return Array(layout.shape, dtype, Memory(memory.ptr + offset), strides)

    def launch(self, *_: Any) -> None:
        """Only the number of launches is kept."""
        self.asked.append("launch")

    def multiply(self, *_: Any) -> None:
        """The same of products."""
        self.asked.append("multiply")

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """A graph that does nothing."""
        work()
        return lambda: self.asked.append("replay")


def idle_place() -> Place:
    """A place whose arrays hold nothing."""
    nothing: Any = None
    return Place(
        name="cuda:0",
        xp=SimpleNamespace(),
        put=lambda x: Array(x.shape, x.dtype, Memory(4096), x.strides),
        get=nothing,
        move=nothing,
        adopt=nothing,
        current=contextlib.nullcontext,
        wait=lambda: None,
        stopwatch=nothing,
    )


def calls(nodes: int, repeat: int) -> tuple[list[str], list[float]]:
    """What the card is asked for in the last calls, and microseconds for one, sample by sample."""
    place = idle_place()
    card: Any = Idle(place)
    opened = dict(devices._opened)
    devices._opened["cuda:0"], cards._known[place] = place, card
    try:
        f, x = hb.compile(chain(nodes)), hb.asarray(np.eye(16, dtype=np.float32), device="cuda")
        for _ in range(10):
            f(x)
        del card.asked[:]
        found = []
        for _ in range(SAMPLES):
            start = time.process_time()
            for _ in range(repeat):
                f(x)
            found.append((time.process_time() - start) / repeat * 1e6)
        return card.asked, found
    finally:
        del cards._known[place]
        devices._opened.clear()
        devices._opened.update(opened)


if __name__ == "__main__":
    _, samples = calls(15, 10_000)
    print(
        f"a call with 15 nodes: {np.median(samples):.1f} us of the host, {min(samples):.1f} at best"
    )
