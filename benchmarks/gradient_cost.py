"""What compiled gradients cost beside JAX, and what checkpoints save.

``python -m benchmarks.gradient_cost`` times the cases with gradients: hybrid and JAX in one
process, on one thread, in turns, by the clock of the processor, so that what else the machine does
matters less than to the wall clock of ``python -m benchmarks``. For the large MLP it adds the
products of matrices alone, by NumPy's BLAS and by XLA: what no compiler can take away.

``--arrays`` counts the arrays that the gradient of a chain ``x = sin(x @ x)`` needs at most, with
and without checkpoints, from the peak that tracemalloc sees.
"""

from __future__ import annotations

import argparse
import sys
import tracemalloc
from collections.abc import Callable
from math import isqrt
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.case import Case
from benchmarks.machine import limit_threads
from benchmarks.peers import PEERS, Thunk

NAMES = ("MLP step", "GELU block", "attention forward", "LeNet step", "LSTM over", "orbit of")
SIDE = 512  # large beside what compiling leaves behind


def in_turns(thunks: dict[str, Thunk], rounds: int) -> dict[str, float]:
    """Return the median processor seconds of each thunk."""
    times: dict[str, list[float]] = {name: [] for name in thunks}
    for i in range(rounds + 3):
        for name, thunk in thunks.items():
            start = process_time()
            thunk()
            if i >= 3:
                times[name].append(process_time() - start)
    return {name: median(found) for name, found in times.items()}


def thunks_of(case: Case) -> dict[str, Thunk]:
    """Return the calls of a case, compiled by hybrid and by JAX."""
    found = {}
    for name in ("hybrid", "jax"):
        peer = PEERS[name]
        library = peer.open(1)
        function = case.programs[name](library, peer.compile(library))
        found[name] = peer.thunk(
            function, tuple(peer.array(library, a) for a in case.inputs(case.size))
        )
    return found


def products() -> dict[str, Thunk]:
    """Return the products of the large MLP's step alone."""
    import jax

    rng = np.random.default_rng(0)
    shapes = [((256, 784), (784, 512)), ((256, 512), (512, 512)), ((256, 512), (512, 10))]
    shapes += [((784, 256), (256, 512)), ((512, 256), (256, 512)), ((512, 256), (256, 10))]
    shapes += [((256, 512), (512, 512)), ((256, 10), (10, 512))]
    pairs = [tuple(rng.random(s, dtype=np.float32) for s in pair) for pair in shapes]
    all_of = jax.jit(lambda given: [a @ b for a, b in given])
    there = jax.device_put(pairs)
    return {
        "NumPy": lambda: [a @ b for a, b in pairs],
        "jax": lambda: jax.block_until_ready(all_of(there)),
    }


def times(rounds: int) -> None:
    """Print the table of the cases, and the products of the large MLP."""
    from benchmarks.cases import CASES

    print("| case | hybrid ms | JAX ms | ratio |\n| --- | ---: | ---: | ---: |")
    for case in CASES.values():
        if (
            case.measure == "call"
            and "jax" in case.programs
            and any(name in case.name for name in NAMES)
        ):
            found = in_turns(thunks_of(case), rounds)
            ours, theirs = found["hybrid"] * 1e3, found["jax"] * 1e3
            print(f"| {case.name} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} |", flush=True)
    found = in_turns(products(), rounds)
    print(f"products of the large MLP alone: NumPy {found['NumPy'] * 1e3:.2f} ms, ", end="")
    print(f"JAX {found['jax'] * 1e3:.2f} ms")


def arrays(hb: Any, n: int, *, checkpoints: bool, traced: bool) -> int:
    """Return how many arrays of the chain's size its gradient holds at most."""

    def piece(x: Any, steps: int) -> Any:
        for _ in range(steps):
            x = hb.sin(x @ x)
        return x

    def chain(x: Any) -> Any:
        if not checkpoints:
            return hb.sum(piece(x, n))
        length = isqrt(n)
        for _ in range(n // length):
            x = hb.checkpoint(lambda x: piece(x, length))(x)
        return hb.sum(x)

    gradient: Callable[[Any], Any] = hb.grad(chain)
    gradient = hb.compile(gradient) if traced else gradient
    x = hb.full((SIDE, SIDE), 0.01)
    if traced:  # compiled code keeps its memory from call to call
        gradient(hb.full((8, 8), 0.01))
    else:
        gradient(x)
    tracemalloc.start()
    gradient(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(peak / (SIDE * SIDE * 4))


def counts() -> None:
    """Print the table of checkpoints."""
    import hybrid as hb

    print("| n | eager | under checkpoints | compiled | under checkpoints |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for n in (16, 64):
        found = [
            arrays(hb, n, checkpoints=checkpoints, traced=traced)
            for traced in (False, True)
            for checkpoints in (False, True)
        ]
        print(f"| {n} | {' | '.join(map(str, found))} |", flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.gradient_cost")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--arrays", action="store_true", help="count the arrays that are held")
    options = parser.parse_args()
    limit_threads(1)
    with threadpool_limits(1):  # NumPy's BLAS has read its variable already
        if options.arrays:
            counts()
        else:
            times(options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
