"""What a softmax and a logsumexp are made of, measured apart: what no copy has to do.

Both wait for a row's maximum before the first exponential, and a softmax for their sum before it
scales them. ``python -m benchmarks.limits`` takes in turns, over the same numbers: a copy, ``exp``
alone, each pass alone and the whole, each of rows that lie in the cache and of all from memory.
Times are the least, of all rows on all threads; those in the cache are of one thread, divided.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

from benchmarks.machine import copy_rate, limit_threads

ROWS = COLUMNS = 1000
CACHED = 40  # rows: 160 kB, and as many of a result
ROUNDS, CALLS = 100, 5
PASSES = {
    "softmax": ("maximum", "exp, stored and summed", "scaling"),
    "logsumexp": ("maximum", "exp and sum"),
}

Arrays = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds of one case and of its parts.

    Attributes
    ----------
    copied : float
        A copy that reads and writes as many bytes.
    functions : float
        ``exp`` of all numbers, in the cache: stored or added up, whichever takes less.
    passes : float
        The passes one after the other, all in the cache.
    cached : float
        The kernel, all in the cache.
    whole : float
        The kernel, from memory.
    """

    copied: float
    functions: float
    passes: float
    cached: float
    whole: float


def parts(hb: Any) -> dict[str, tuple[Callable[..., Any], int]]:
    """The parts and the whole, with the number of arrays as large as the rows that each takes.

    What follows are a number for each row.
    """

    def stored(x: Any, top: Any) -> Any:
        weights = hb.exp(x - top)
        return weights, hb.sum(weights, axis=-1)

    return {
        "exp alone": (hb.exp, 0),
        "maximum": (lambda x: hb.max(x, axis=-1), 0),
        "exp, stored and summed": (stored, 1),
        "exp and sum": (lambda x, top: hb.sum(hb.exp(x - top), axis=-1), 1),
        "scaling": (lambda x, share: x * share, 1),
        "softmax": (lambda x: hb.softmax(x, axis=-1), 0),
        "logsumexp": (lambda x: hb.logsumexp(x, axis=-1), 0),
    }


def kernel(function: Callable[..., Any], arguments: Arrays, driver: int) -> functools.partial[None]:
    """Return a call of the one kernel of a function, with memory for its results."""
    import numpy as np

    import hybrid as hb
    from hybrid.kernels.kernel import kernel_of

    compiled = hb.compile(function)
    given = tuple(map(hb.asarray, arguments))
    results = compiled(*given)
    (segment,) = compiled.get_concrete_function(*given).segments
    (plan,) = segment.plans.values()
    (step,) = plan.kernels
    made, geometry = kernel_of(step.region)
    several = results if isinstance(results, tuple) else (results,)
    out = [np.zeros_like(result.numpy()) for result in several]
    return functools.partial(made.call, driver, geometry, *arguments, *out)


def measure(threads: int, rounds: int = ROUNDS) -> tuple[dict[str, float], dict[str, float]]:
    """Return the seconds of each part in the cache and from memory, "copy" among the latter.

    Those of the copy are for as many bytes as one array has, read and written.
    """
    import numpy as np

    import hybrid as hb
    from hybrid.kernels import parallel

    hb.set_num_threads(threads)
    x = np.random.default_rng(0).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    top = x.max(axis=-1, keepdims=True)
    driver = parallel.driver_address() if threads > 1 else 0
    inside, outside = {}, {}
    for name, (function, more) in parts(hb).items():
        arguments = (x, top)[: 1 + more]
        outside[name] = kernel(function, arguments, driver)
        few = tuple(np.ascontiguousarray(array[:CACHED]) for array in arguments)
        inside[name] = kernel(function, few, 0)
    cached, from_memory = (dict.fromkeys(ways, float("inf")) for ways in (inside, outside))
    rate = 0.0
    for _ in range(rounds):
        rate = max(rate, copy_rate(x.nbytes, threads, 1))
        for name in inside:
            cached[name] = min(cached[name], _seconds(inside[name], CALLS))
            from_memory[name] = min(from_memory[name], _seconds(outside[name]))
    scaled = {name: each * ROWS / CACHED / threads for name, each in cached.items()}
    return scaled, from_memory | {"copy": 2 * x.nbytes / rate}


def _seconds(call: Callable[[], None], calls: int = 1) -> float:
    call()
    start = perf_counter()
    for _ in range(calls):
        call()
    return (perf_counter() - start) / calls


def limits(cached: Mapping[str, float], from_memory: Mapping[str, float]) -> dict[str, Limit]:
    """Put the parts together."""
    # A logsumexp reads only.
    share = {"softmax": 1.0, "logsumexp": 0.5}
    return {
        name: Limit(
            from_memory["copy"] * share[name],
            min(cached["exp alone"], cached["exp and sum"]),
            sum(cached[part] for part in passes),
            cached[name],
            from_memory[name],
        )
        for name, passes in PASSES.items()
    }


def measured(quick: bool) -> dict[str, dict[str, float]]:
    """Return the limits of the benchmark's cases, by their names."""
    import hybrid as hb

    found = limits(*measure(hb.get_num_threads(), ROUNDS // 5 if quick else ROUNDS))
    return {f"{name} {ROWS}x{COLUMNS}": asdict(limit) for name, limit in found.items()}


def text(cached: Mapping[str, float], from_memory: Mapping[str, float]) -> str:
    """The parts as a table, and what they leave of a copy's bandwidth."""
    lines = [f"{'us':24}{'in the cache':>14}{'from memory':>14}"]
    for name, seconds in from_memory.items():
        inside = f"{cached[name] * 1e6:14.0f}" if name in cached else " " * 14
        lines.append(f"{name:24}{inside}{seconds * 1e6:14.0f}")
    for name, limit in limits(cached, from_memory).items():
        shares = {
            "reached": limit.whole,
            "if all lay in the cache": limit.cached,
            "by its passes one by one there": limit.passes,
            "by exp alone": limit.functions,
        }
        told = ", ".join(f"{100 * limit.copied / x:.0f} % {how}" for how, x in shares.items())
        lines.append(f"{name}: of a copy's bandwidth ({limit.copied * 1e6:.0f} us) {told}")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.limits")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    threads = limit_threads(arguments.threads)
    found = measure(threads, arguments.rounds)
    print(text(*found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
