"""Memory growth: resident memory over many calls, and over many traces that are dropped again.

Run as ``python -m benchmarks.growth``; exits with 1 if memory grows. The first tenth of each run is
warm-up. Traces are dropped in the two ways there are: with the function, and with the object among
its arguments that it knows by identity.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hybrid as hb

CALLS, TRACES = 1_000_000, 10_000
STEPS = 10
OBJECTS = 10  # a function; after twelve that are gone it runs eagerly
# What the allocator may keep between two looks without anything having leaked.
NOISE_MB = 2.0


def resident_mb() -> float:
    """Read what of this process is in memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


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

    return run


def grown(name: str, count: int, make: Callable[[int], Callable[[], None]]) -> float:
    """Run a tenth `STEPS` times; return by how many MB memory grew after the first tenth."""
    run = make(count // STEPS)
    sizes = []
    for _ in range(STEPS):
        run()
        gc.collect()
        sizes.append(resident_mb())
    line = " ".join(f"{size:.1f}" for size in sizes)
    print(f"{name}, {count:,}: {sizes[-1] - sizes[0]:+.1f} MB ({line})", flush=True)
    return sizes[-1] - sizes[0]


def grown_each(part: int = 1) -> dict[str, float]:
    """MB by which memory grew, for each way; the counts may be divided."""
    import warnings

    warnings.simplefilter("ignore", hb.errors.RetraceWarning)
    ways = (
        ("calls", CALLS, calls),
        ("traces, dropped with their functions", TRACES, functions),
        ("traces, dropped with an argument", TRACES, objects),
    )
    return {name: grown(name, count // part, make) for name, count, make in ways}


def main() -> int:
    """Print a line for each way; return 1 if memory grows in one of them."""
    return int(max(grown_each().values()) > NOISE_MB)


if __name__ == "__main__":
    sys.exit(main())
