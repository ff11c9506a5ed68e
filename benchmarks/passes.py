"""What each pass is worth: ``python -m benchmarks.passes [NAME ...]``.

For each pass a program that it helps, compiled with all passes and with all but this one, run in
turns on one thread. Parts of passes, and what is done to a graph before and after them, are left
out one by one in the same way. The clock is the thread's own, which stands still while others have
the processor. The table is the one in ``docs/passes.md``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from statistics import median
from time import thread_time
from typing import Any
from unittest import mock

from benchmarks.machine import limit_threads

SECONDS = 0.02  # of one sample
SAMPLES = 15


@dataclass(frozen=True, slots=True)
class Program:
    """A function that a pass helps.

    Attributes
    ----------
    name : str
        Of the pass, or of the part of one.
    text : str
        What is measured, for the table.
    function : callable
    shapes : tuple of shapes
        Of its arguments, float32.
    without : str, optional
        A function of hybrid's that decides whether the part is done, ``module:name``; the pass of
        that name is switched off if left out.
    apart : callable, optional
        What is run instead of the compiled function, where nothing switches the part off.
    """

    name: str
    text: str
    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    without: str | None = None
    apart: Callable[..., Any] | None = None

    def switched_off(self) -> AbstractContextManager[Any]:
        """Return a context in which functions are compiled without it."""
        if self.without is None:
            return mock.patch.dict(os.environ, HYBRID_PASSES_OFF=self.name)
        module, _, names = self.without.partition(":")
        *owners, name = names.split(".")
        return mock.patch.object(reduce(getattr, owners, import_module(module)), name, _never)


def _never(*args: Any) -> tuple[()]:
    """Say no, whether a bool, a tuple or a dict is asked for."""
    return ()


def programs() -> Iterator[Program]:
    """Yield one program for each pass that makes something faster by itself."""
    import hybrid as hb

    def heat(u: Any) -> Any:
        for n in range(100):  # a loop whose variable is read is recorded step by step
            u[n + 1, 1:-1] = u[n, 1:-1] + 0.1 * (u[n, 2:] - 2 * u[n, 1:-1] + u[n, :-2])
        return u

    yield Program("rolling", "100 steps of heat, rows of one array", heat, ((101, 256),))

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

    def by_hand(x: Any) -> Any:
        x = hb.exp(x - hb.max(x, axis=1)[:, None])
        return x / hb.sum(x, axis=1)[:, None]

    yield Program("keep_axes", "softmax by hand, with x[:, None]", by_hand, (image,))

    def last(x: Any) -> Any:
        return hb.scan(lambda c, _: ((c[0] * 0.5, hb.sin(c[1])), None), (x, x), length=100)[0][0]

    yield Program("dead_code", "an unread carry of a scan", last, (matrix,))
    yield Program("fuse", "ten elementwise ops", _chain, (image, image))
    rolled = lambda x: hb.roll(x, 1, 0) + hb.roll(x, -1, 0) + hb.roll(x, 1, 1) + hb.roll(x, -1, 1)
    yield Program("fuse", "a periodic stencil by rolls", rolled, (image,))
    layer = lambda x, w, b: hb.gelu(x @ w + b)
    yield Program("fuse", "gelu(x @ w + b)", layer, ((4096, 256), (256, 256), (256,)))
    steps = lambda x: hb.scan(lambda c, _: (_chain(c, x), None), x, length=10)[0]
    yield Program("bodies", "ten elementwise ops in 10 steps of a scan", steps, (image,))
    yield from _parts()


def _parts() -> Iterator[Program]:
    """Yield programs for parts of passes, and for what is done with memory after them."""
    import hybrid as hb

    image, tall = (1000, 1000), (2000, 2000)
    inner = hb.compile(lambda x: hb.tanh(x * 0.5 + 0.1))
    thrice = lambda x: inner(inner(inner(x)))
    text = "a compiled function called three times in another"
    yield Program("inlining", text, thrice, (image,), apart=thrice)
    fuse = "hybrid.trace.passes.fuse"
    spread = lambda x: (hb.max(x, axis=1), hb.sum(x, axis=1), hb.exp(x))
    yield Program(
        "fuse, siblings",
        "max and sum of rows, exp, 16 MB",
        spread,
        (tall,),
        without=f"{fuse}:_siblings_pay",
    )

    def unit(x: Any) -> Any:
        y = x * 2.0 + 1.0
        return y / hb.sqrt(hb.sum(y * y))

    yield Program(
        "fuse, recompute or store",
        "y = 2 * x + 1 over its length, 16 MB",
        unit,
        (tall,),
        without=f"{fuse}:_chain",
    )
    yield Program(
        "fuse, reading",
        "roll(x, 1, 0) * 2 + x",
        lambda x: hb.roll(x, 1, 0) * 2.0 + x,
        (image,),
        without=f"{fuse}:read_inside",
    )

    def edges(x: Any) -> Any:
        y = x * 2.0
        y[0], y[-1], y[:, 0], y[:, -1] = 0.0, 1.0, y[:, 1], y[:, -2]
        return y

    yield Program(
        "writes in place",
        "four edges of an array, 4 MB",
        edges,
        (image,),
        without="hybrid.runtime.building:Building.owns",
    )
    yield Program(
        "reuse of buffers",
        "relu(x @ w + 1) @ w, 4 MB each",
        lambda x, w: hb.maximum(x @ w + 1.0, 0.0) @ w,
        ((16384, 64), (64, 64)),
        without="hybrid.runtime.memory:may_overwrite",
    )


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
    from hybrid.core.containers import leaves_of

    rng = np.random.default_rng(0)
    arrays = [hb.asarray(rng.normal(size=s).astype(np.float32)) for s in program.shapes]
    without: Callable[..., Any] = program.apart or hb.compile(program.function)
    present = hb.compile(program.function)
    with program.switched_off() if program.apart is None else nullcontext():
        wanted = without(*(x.copy() for x in arrays))
    found = present(*(x.copy() for x in arrays))
    for want, got in zip(leaves_of(wanted), leaves_of(found), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    samples: tuple[list[float], list[float]] = [], []
    for _ in range(SAMPLES):
        samples[0].append(_sample(without, arrays))
        samples[1].append(_sample(present, arrays))
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
