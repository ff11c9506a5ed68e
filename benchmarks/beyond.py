"""What is promised and no case shows, each measured in a process of its own.

``python -m benchmarks.beyond NAME [--quick]`` prints one measurement as JSON; `measured` runs them
all, for the targets of the report.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.machine import limit_threads

LIMIT = 300.0  # seconds
TRACED_NODES, NATIVE_STEPS = 5_000, 1_000_000
Measurement = dict[str, Any]


def importing(quick: bool) -> Measurement:
    """Seconds of ``import hybrid`` in a new process, NumPy and all, and whether numba comes along.

    Also of what ``hb.compile`` brings beyond that, when it is asked for. Medians of several; the
    first, which reads files that are in no cache, is left out.
    """
    code = (
        "import sys, time; start = time.perf_counter(); import hybrid; "
        "there = time.perf_counter(); hybrid.compile; "
        "print(there - start, time.perf_counter() - there, 'numba' in sys.modules)"
    )
    seconds, compiled, numba = [], [], False
    for _ in range(4 if quick else 8):
        output = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.split()
        seconds.append(float(output[0]))
        compiled.append(float(output[1]))
        numba = output[2] == "True"
    return {"seconds": median(seconds[1:]), "compiled": median(compiled[1:]), "numba": numba}


def traffic(quick: bool) -> Measurement:
    """Bytes that a chain of ten ops reads and writes: op by op, and as its Plan counts them."""
    import hybrid as hb
    from benchmarks.cases.elementwise import ten_ops
    from hybrid.core.graph import Value
    from hybrid.kernels.region import region_bytes

    chain = hb.compile(ten_ops(hb))
    arguments = hb.random.uniform((2, 1_000_000))
    a, b = arguments[0], arguments[1]
    chain(a, b)
    (segment,) = chain.get_concrete_function(a, b).segments
    (plan,) = segment.plans.values()
    nodes = segment.graph.nodes
    touched = [x for node in nodes for x in (*node.inputs, *node.outputs) if isinstance(x, Value)]
    eager = sum(prod(x.spec.shape) * x.spec.dtype.itemsize for x in touched)
    traced = sum(region_bytes(kernel.region) for kernel in plan.kernels)
    return {"ops": len(nodes), "kernels": len(plan.kernels), "eager": eager, "traced": traced}


def demo_step(quick: bool) -> Measurement:
    """Seconds of a training step of the demo's classifier, eager and traced, in turns of ten.

    A turn begins when no thread runs: those of OpenBLAS spin after the products of eager steps, for
    the processor that the kernels of traced ones want.
    """
    import hybrid as hb
    from benchmarks.worker import come_to_rest
    from hybrid.demo.digits import Classifier
    from hybrid.demo.training import MODES, batches, load_digits

    images, targets = next(batches(load_digits(), 1))
    steps: dict[str, Callable[[Any, Any], Any]] = {}
    for name in MODES:
        model = Classifier()
        steps[name] = hb.compile(model.step) if name == "traced" else model.step
    samples: dict[str, list[float]] = {mode: [] for mode in steps}
    for _ in range(5 if quick else 30):
        for mode, step in steps.items():
            come_to_rest()
            for _ in range(10):
                start = perf_counter()
                float(step(images, targets))
                samples[mode].append(perf_counter() - start)
    return {mode: median(taken[20:]) for mode, taken in samples.items()}


def tracing(quick: bool) -> Measurement:
    """Seconds that a node takes to be traced: a chain of four kinds of op, before any pass."""
    import hybrid as hb
    from hybrid.core.spec import TensorSpec
    from hybrid.trace.recorder import trace_pure

    def chain(x: Any) -> Any:
        for _ in range(TRACED_NODES // 4):
            x = hb.tanh(x * 0.5 + x) - 1.0
        return x

    seconds = []
    for _ in range(3 if quick else 9):
        start = perf_counter()
        graph, _ = trace_pure("chain", chain, (TensorSpec((16,), hb.float32),))
        seconds.append((perf_counter() - start) / len(graph.nodes))
    return {"seconds": median(seconds), "nodes": len(graph.nodes)}


def native_step(quick: bool) -> Measurement:
    """Seconds of one step of a scan and of a while_loop over three numbers."""
    import hybrid as hb

    def scanned(x: Any) -> Any:
        return hb.scan(lambda c, _: (c * 0.5 + hb.sin(c), None), x, length=NATIVE_STEPS)[0]

    def looped(x: Any) -> Any:
        return hb.while_loop(
            lambda state: state[1] < NATIVE_STEPS,
            lambda state: (state[0] * 0.5 + hb.sin(state[0]), state[1] + 1),
            (x, 0),
        )[0]

    found = {}
    for name, function in (("scan", scanned), ("while_loop", looped)):
        run, x = hb.compile(function), hb.ones(3)
        seconds = []
        for _ in range(4 if quick else 10):
            start = perf_counter()
            run(x).numpy()
            seconds.append((perf_counter() - start) / NATIVE_STEPS)
        found[name] = median(seconds[1:])
    return found


def growth(quick: bool) -> Measurement:
    """How memory grows, as ``python -m benchmarks.growth`` measures it."""
    from benchmarks import growth

    part = 10 if quick else 1
    return {
        "calls": growth.CALLS // part,
        "traces": growth.TRACES // part,
        "grown": {name: list(found) for name, found in growth.grown_each(part).items()},
    }


def vector_math(quick: bool) -> Measurement:
    """How many times as fast as NumPy's loops each function of the vector math is."""
    from benchmarks import vectormath

    rounds = 5 if quick else vectormath.ROUNDS
    return vectormath.ratios(
        {dtype: vectormath.times(dtype, rounds) for dtype in vectormath.DTYPES}
    )


def limits(quick: bool) -> Measurement:
    """Seconds of the parts of kernels that more than a copy has to do, in the cache and whole."""
    from benchmarks import limits

    return dict(limits.measured(quick))


MEASURES: dict[str, Callable[[bool], Measurement]] = {
    "importing": importing,
    "traffic": traffic,
    "demo_step": demo_step,
    "tracing": tracing,
    "native_step": native_step,
    "limits": limits,
    "growth": growth,
    "vector_math": vector_math,
}
ONE_THREAD = "tracing", "native_step", "vector_math"


def measured(
    quick: bool, left: Callable[[], float] = lambda: LIMIT
) -> Iterator[tuple[str, Measurement]]:
    """Yield each measurement by its name; ``{"problem": ...}`` where there is none.

    ``left`` tells the seconds that there still are for all of them.
    """
    for name in MEASURES:
        limit = max(min(LIMIT, left()), 0.0)
        command = [sys.executable, "-m", "benchmarks.beyond", name, *["--quick"][:quick]]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=limit)
            last = (run.stdout if run.returncode == 0 else run.stderr).strip().splitlines()[-1:]
            text = "".join(last)
            yield name, json.loads(text) if run.returncode == 0 else {"problem": text}
        except subprocess.TimeoutExpired:
            yield name, {"problem": f"no result in {limit:.0f} s"}


@contextmanager
def _quiet_output() -> Iterator[None]:
    """Let everything that is printed go to standard error: the answer alone is the output."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def main() -> int:
    """Print one measurement."""
    parser = argparse.ArgumentParser("python -m benchmarks.beyond")
    parser.add_argument("name", choices=MEASURES)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    limit_threads(1 if arguments.name in ONE_THREAD else arguments.threads)
    with _quiet_output():
        found = MEASURES[arguments.name](arguments.quick)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
