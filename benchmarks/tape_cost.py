"""What recording an op on a tape costs, in time and bytes: ``python -m benchmarks.tape_cost``.

Chains of one op on 16 float32 elements, on one thread, with and without a tape, hybrid and torch in
turns. The clock is the thread's own, the least time of several rounds counts. Bytes are what the
chain holds for each op while its last result is alive, by tracemalloc, without the arrays that the
gradient needs.

The floor is what a Python function takes that does nothing but hang a new object of four fields on
the result, and that and keeping the result for the gradient.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tracemalloc
from collections.abc import Callable
from time import thread_time
from typing import Any

import numpy as np

from benchmarks.machine import limit_threads

LENGTH = 1000
Step = Callable[[Any, Any, Any], Any]

STEPS: dict[str, Step] = {
    "y + 1.5": lambda xp, y, x: y + 1.5,
    "y * 0.5": lambda xp, y, x: y * 0.5,
    "y + x": lambda xp, y, x: y + x,
    "y * x": lambda xp, y, x: y * x,
    "tanh(y)": lambda xp, y, x: xp.tanh(y),
    "sin(y)": lambda xp, y, x: xp.sin(y),
    "mean(y, keepdims=True)": lambda xp, y, x: xp.mean(y, axis=0, keepdims=True),
}


class Node:
    """What the floor hangs on each result."""

    __slots__ = ("form", "parents", "saved", "tapes")

    form: Any
    parents: Any
    saved: Any
    tapes: Any


def hang(result: Any, saved: Any) -> None:
    """Do as little as a record can."""
    node = object.__new__(Node)
    node.form = node.tapes = None
    node.parents = result._node
    node.saved = saved
    result._node = node


def chain(xp: Any, step: Step, x: Any) -> Any:
    """Apply an op to its own result again and again."""
    y = x
    for _ in range(LENGTH):
        y = step(xp, y, x)
    return y


def alone(hb: Any, step: Step) -> float:
    """Return the seconds of a chain without a tape."""
    return _timed(lambda: chain(hb, step, hb.ones(16)))


def recorded(hb: Any, step: Step) -> float:
    """Return the seconds of a chain on a tape."""
    x = hb.ones(16)
    with hb.GradientTape() as tape:
        tape.watch(x)
        return _timed(lambda: chain(hb, step, x))


def by_torch(torch: Any, step: Step, *, grad: bool) -> float:
    """Return the seconds of a chain of torch's."""
    x = torch.ones(16, requires_grad=grad)
    return _timed(lambda: chain(torch, step, x))


def least(hb: Any, *, keep: bool) -> float:
    """Return the seconds of a chain of tanh that does as little for each op as a record can."""
    x = hb.ones(16)

    def run() -> Any:
        y = x
        for _ in range(LENGTH):
            before = y._node
            y = hb.tanh(y)
            y._node = before
            hang(y, y._data if keep else None)
        return y

    return _timed(run)


def _timed(run: Callable[[], Any]) -> float:
    start = thread_time()
    result = run()
    seconds = thread_time() - start
    del result
    return seconds


def held(hb: Any, step: Step) -> float:
    """Return the bytes that a chain on a tape holds for each op, arrays left out."""
    x = hb.ones(16)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = chain(hb, step, step(hb, x, x))  # forms and caches are made by the first chain
        gc.collect()
        tracemalloc.start()
        try:
            y = chain(hb, step, x)
            gc.collect()
            total = tracemalloc.get_traced_memory()[0]
            arrays = tracemalloc.take_snapshot().filter_traces(
                [tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)]
            )
        finally:
            tracemalloc.stop()
    del y
    data = [trace.size for trace in arrays.traces]
    return (total - sum(data) - len(data) * sys.getsizeof(np.empty(0))) / LENGTH


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.tape_cost")
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    limit_threads(1)
    import hybrid as hb

    try:
        import torch
    except ImportError:
        torch = None
    gc.disable()
    print("| op | alone us | recorded us | adds us | bytes | torch adds us |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, step in STEPS.items():
        times: list[list[float]] = [[], [], [], []]
        for _ in range(rounds):
            times[0].append(alone(hb, step))
            times[1].append(recorded(hb, step))
            if torch is not None:
                times[2].append(by_torch(torch, step, grad=False))
                times[3].append(by_torch(torch, step, grad=True))
        first, second, *theirs = (min(t, default=0.0) / LENGTH * 1e6 for t in times)
        peer = f"{theirs[1] - theirs[0]:.2f}" if torch is not None else ""
        print(
            f"| `{name}` | {first:.2f} | {second:.2f} | {second - first:.2f} "
            f"| {held(hb, step):.0f} | {peer} |"
        )
    floors: tuple[Callable[[], float], ...] = (
        lambda: alone(hb, STEPS["tanh(y)"]),
        lambda: least(hb, keep=False),
        lambda: least(hb, keep=True),
    )
    plain, node, kept = (min(f() for _ in range(rounds)) / LENGTH * 1e6 for f in floors)
    print(
        f"floor: a Python function that hangs an object of four fields on each result adds "
        f"{node - plain:.2f} us, and keeping the result {kept - node:.2f} more"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
