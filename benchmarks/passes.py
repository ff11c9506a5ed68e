"""What each pass is worth: ``python -m benchmarks.passes [NAME ...]``.

For each pass a program that it helps, compiled with all passes and with all but this one, run in
turns on one thread. The clock is the thread's own, which stands still while others have the
processor. The table is the one in ``docs/passes.md``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import thread_time
from typing import Any

from benchmarks.machine import limit_threads

SECONDS = 0.02  # of one sample
SAMPLES = 15


@dataclass(frozen=True, slots=True)
class Program:
    """A function that a pass helps.

    Attributes
    ----------
    name : str
        Of the pass.
    text : str
        What is measured, for the table.
    function : callable
    shapes : tuple of shapes
        Of its arguments, float32.
    """

    name: str
    text: str
    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]


def programs() -> Iterator[Program]:
    """Yield one program for each pass that makes something faster by itself."""
    import hybrid as hb

    def relaxation(p: Any) -> Any:
        for _ in range(100):
            q = p.copy()
            p[1:-1, 1:-1] = (q[2:, 1:-1] + q[:-2, 1:-1] + q[1:-1, 2:] + q[1:-1, :-2]) * 0.25
            p[0] = p[1]
        return p

    yield Program("rolling", "100 steps of Jacobi, 64 x 64", relaxation, ((64, 64),))

    def settling(x: Any, w: Any) -> Any:
        return hb.scan(lambda h, _: (h * 0.5 + hb.softmax(w), None), x, length=100)[0]

    matrix = (100, 100)
    yield Program("invariants", "a softmax in 100 steps of a scan", settling, (matrix, matrix))
    halving = lambda x: hb.scan(lambda c, _: (abs(c * 0.9 - 0.5), None), x, length=20)[0]
    yield Program("unrolling", "20 elementwise steps, 16 MB", halving, ((2000, 2000),))
    image, row = (1000, 1000), (1000,)
    yield Program("expand", "softmax(x)", lambda x: hb.softmax(x, axis=1), (image,))
    tall = (2000, 2000)
    yield Program("expand", "logsumexp of all, 16 MB", lambda x: hb.logsumexp(x), (tall,))
    yield Program("cse", "x @ x + exp(x @ x)", lambda x: x @ x + hb.exp(x @ x), (matrix,))
    yield Program("fold", "x * sqrt(full(4))", lambda x: x * hb.sqrt(hb.full(image, 4.0)), (image,))
    yield Program("algebra", "x**5 / 4", lambda x: x**5 / 4.0, (image,))
    yield Program("casts", "two rows of x, to float64 and back", _there_and_back, (image,))
    spread = lambda x: hb.exp(hb.broadcast_to(x, image))
    yield Program("movement", "exp(broadcast_to(x))", spread, (row,))
    turned = lambda x, y: hb.exp(x.T) @ y
    yield Program("layout", "exp(x.T) @ y, y a vector", turned, (image, row))
    centred = lambda x: hb.exp(x - hb.max(x, axis=1)[:, None])
    yield Program("keep_axes", "exp(x - max(x, axis=1)[:, None])", centred, (image,))

    def last(x: Any) -> Any:
        return hb.scan(lambda c, _: ((c[0] * 0.5, hb.sin(c[1])), None), (x, x), length=100)[0][0]

    yield Program("dead_code", "an unread carry of a scan", last, (matrix,))
    yield Program("fuse", "ten elementwise ops", _chain, (image, image))
    rolled = lambda x: hb.roll(x, 1, 0) + hb.roll(x, -1, 0) + hb.roll(x, 1, 1) + hb.roll(x, -1, 1)
    yield Program("fuse", "a periodic stencil by rolls", rolled, (image,))
    layer = lambda x, w, b: hb.gelu(x @ w + b)
    yield Program("fuse", "gelu(x @ w + b)", layer, ((4096, 256), (256, 256), (256,)))
    steps = lambda x: hb.scan(lambda c, _: (_chain(c, x), None), x, length=10)[0]
    yield Program("bodies", "the same in 10 steps of a scan", steps, (image,))


def _there_and_back(x: Any) -> Any:
    import hybrid as hb

    return hb.take(x.astype(hb.float64).astype(hb.float32), hb.asarray([5, 7]), axis=0)


def _chain(x: Any, y: Any) -> Any:
    for _ in range(5):
        x = abs(x * y - 0.5)
    return x


def measure(program: Program) -> tuple[float, float]:
    """Return milliseconds without the pass and with it: medians of samples taken in turns."""
    import numpy as np

    import hybrid as hb

    rng = np.random.default_rng(0)
    arrays = [hb.asarray(rng.normal(size=s).astype(np.float32)) for s in program.shapes]
    versions = []
    for off in (program.name, ""):
        os.environ["HYBRID_PASSES_OFF"] = off
        versions.append(hb.compile(program.function))
        found = versions[-1](*(x.copy() for x in arrays)).numpy()
        if off:
            wanted = found
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    samples: tuple[list[float], list[float]] = [], []
    for _ in range(SAMPLES):
        for taken, run in zip(samples, versions, strict=True):
            taken.append(_sample(run, arrays))
    return median(samples[0]) * 1e3, median(samples[1]) * 1e3


def _sample(run: Callable[..., Any], arrays: list[Any]) -> float:
    started, calls = thread_time(), 0
    while (elapsed := thread_time() - started) < SECONDS:
        run(*arrays)
        calls += 1
    return elapsed / calls


def main() -> int:
    """Measure and print the table."""
    limit_threads(1)
    chosen = set(sys.argv[1:])
    print("| pass | program | without, ms | with, ms | times faster |")
    print("| --- | --- | --- | --- | --- |")
    for program in programs():
        if chosen and program.name not in chosen:
            continue
        without, present = measure(program)
        print(
            f"| {program.name} | {program.text} | {without:.3g} | {present:.3g} "
            f"| {without / present:.2g} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
