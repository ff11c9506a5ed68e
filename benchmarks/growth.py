"""Memory growth: over many calls, and over many traces that are dropped again.

Run as ``python -m benchmarks.growth``; exits with 1 if memory grows. Looks are taken after each
tenth of a run, before which two tenths are warm-up. Traces are dropped in the two ways there are:
with the function, and with the object among its arguments that it knows by identity.

Resident memory also takes steps that say nothing of a leak: a heap that grows once by more than was
asked for, code that is loaded when it begins to pay. So what is in use is counted as well, blocks
of Python's allocator (objects of up to 512 bytes) and bytes of the C library's. What goes on from
look to look is growth: the median of their differences, which one step leaves at nothing.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import hybrid as hb

CALLS, TRACES = 1_000_000, 10_000
STEPS = 10
WARM_UP = 2  # of them: dicts with names that come and go are as large as they get after some 20,000
OBJECTS = 4  # a function; after so many that do not come again it runs eagerly
# What the allocator may keep between two looks without anything having leaked.
NOISE_MB = 2.0
# A tenth of a block, or 10 bytes, for each of 10,000 traces.
NOISE_BLOCKS, NOISE_BYTES = 1_000, 100_000


class Look(NamedTuple):
    """What a process has of memory."""

    megabytes: float
    """In memory, of whatever kind."""
    blocks: int
    """In use, of Python's allocator."""
    bytes: int
    """In use, of the C library's."""


class Growth(NamedTuple):
    """How memory grew after the warm-up."""

    megabytes: float
    """In memory, steps included."""
    blocks: float
    """In use, if each look had found as many more as the median of them; so are the bytes."""
    bytes: float

    @property
    def is_noise(self) -> bool:
        """Whether that shows no leak."""
        steady = self.blocks <= NOISE_BLOCKS and self.bytes <= NOISE_BYTES
        return steady and self.megabytes <= NOISE_MB

    def __str__(self) -> str:
        used = f"{self.blocks:+,.0f} blocks, {self.bytes:+,.0f} bytes"
        return f"{self.megabytes:+.1f} MB (in use {used})"


_MALLOC_INFO = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = [(name, ctypes.c_size_t) for name in _MALLOC_INFO]


def look() -> Look:
    """Look at the memory of this process (Linux)."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _MallocInfo
    found = ask()
    return Look(pages * 4096 / 2**20, sys.getallocatedblocks(), found.uordblks + found.hblkhd)


def growth(looks: Sequence[Look]) -> Growth:
    """Tell by how much memory grew from the first look on."""
    steady = (
        median(y - x for x, y in pairwise(each)) * (len(looks) - 1)
        for each in ([x.blocks for x in looks], [x.bytes for x in looks])
    )
    return Growth(looks[-1].megabytes - looks[0].megabytes, *steady)


def calls(count: int) -> Callable[[], None]:
    state = hb.Variable(np.zeros(64, np.float32))

    @hb.compile
    def step(x: Any, y: Any) -> Any:
        state.assign_add(x * y)
        return hb.tanh(x) + hb.sum(state)

    x, y = hb.ones(64), hb.ones(64)

    def run() -> None:
        for _ in range(count):
            step(x, y)

    return run


def functions(count: int) -> Callable[[], None]:
    def run() -> None:
        x = hb.ones(8)
        for _ in range(count):
            hb.compile(lambda x: hb.exp(x) * 2 + x)(x)

    return run


def objects(count: int) -> Callable[[], None]:
    class Model:
        def __init__(self) -> None:
            self.weight = hb.ones(8)

    def apply(model: Model, x: Any) -> Any:
        return hb.exp(x) * model.weight

    def run() -> None:
        x = hb.ones(8)
        for _ in range(count // OBJECTS):
            compiled = hb.compile(apply)
            for _ in range(OBJECTS):
                compiled(Model(), x)
            if compiled.cache_info().misses != OBJECTS:
                raise RuntimeError("some of these calls were not traced")

    return run


def grown(name: str, count: int, make: Callable[[int], Callable[[], None]]) -> Growth:
    """Run a tenth `STEPS` times, after the warm-up; tell how memory grew."""
    run = make(count // STEPS)
    for _ in range(WARM_UP):
        run()
    looks = [look()]
    for _ in range(STEPS):
        run()
        looks.append(look())
    found = growth(looks)
    line = "; ".join(f"{x.megabytes:.1f} {x.blocks:.0f} {x.bytes:.0f}" for x in looks)
    print(f"{name}, {count:,}: {found}\n  MB, blocks, bytes: {line}", flush=True)
    return found


def grown_each(part: int = 1) -> dict[str, Growth]:
    """How memory grew, for each way; the counts may be divided."""
    import warnings

    from hybrid.ops import _shortways

    warnings.simplefilter("ignore", hb.errors.RetraceWarning)
    # Some MB, loaded or compiled by a thread once so and so many eager operators have run.
    _shortways.install()
    ways = (
        ("calls", CALLS, calls),
        ("traces, dropped with their functions", TRACES, functions),
        ("traces, dropped with an argument", TRACES, objects),
    )
    return {name: grown(name, count // part, make) for name, count, make in ways}


def main() -> int:
    """Print two lines for each way; return 1 if memory grows in one of them."""
    return int(not all(found.is_noise for found in grown_each().values()))


if __name__ == "__main__":
    sys.exit(main())
