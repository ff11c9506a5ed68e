"""One process for each peer, so that none meets another's threads, allocator or imports.

The harness asks for one sample at a time and so lets the peers take turns.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.case import Array, Case
from benchmarks.peers import PEERS, Peer, Thunk

NEW_SHAPES = 6


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no measurement; ``wrong`` if the peer computed something else than NumPy."""

    text: str
    wrong: bool = False


class Worker:
    """The harness's end: ``worker.ask("sample", 100)`` calls `Bench.sample` in the process."""

    def __init__(self, peer: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, peer, threads), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, what: str, *arguments: Any) -> Any:
        """Return the answer, or a Problem."""
        try:
            self._pipe.send((what, arguments))
            return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return Problem(f"its process ended with code {self._process.exitcode}")

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()


def _serve(pipe: Connection, peer: str, threads: int) -> None:
    bench = Bench(PEERS[peer], threads)
    while True:
        try:
            what, arguments = pipe.recv()
        except EOFError:
            return
        # A peer may fail in any way that another library can think of; its row says how.
        try:
            answer = getattr(bench, what)(*arguments)
        except Exception as error:
            answer = Problem(_describe(error))
        pipe.send(answer)


def _describe(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@dataclass(slots=True)
class Bench:
    """What a worker does when asked, for the case that was prepared last."""

    peer: Peer
    threads: int
    _thunk: Thunk = field(default=lambda: None)

    def prepare(self, case_name: str) -> Problem | None:
        """Build the call of a case and compare its results with NumPy's."""
        case = _case(case_name)
        arrays = case.inputs(case.size)
        reference = self._build(case, PEERS["numpy"], arrays)
        self._thunk = self._build(case, self.peer, arrays)
        results = [self.peer.numpy(self._thunk()) for _ in range(case.calls)]
        for result in results:
            difference = _difference(result, np.asarray(reference()), case)
            if difference:
                return Problem(difference, wrong=True)
        return None

    def warm_up(self, sample: float, warm: float) -> int:
        """Call for ``warm`` seconds; returns how many calls last for ``sample`` seconds."""
        count = 1
        end = time.perf_counter() + warm
        while True:
            seconds = self._seconds(count)
            if seconds < sample:
                count *= 2
            elif time.perf_counter() > end:
                return count

    def sample(self, count: int, warm: float) -> float:
        """Return the seconds of a call, averaged over ``count`` of them."""
        gc.collect()
        gc.disable()
        # Caches and threads come back from the other peers' turns. The system needs some
        # milliseconds to put a pool's threads on processors of their own again.
        end = time.perf_counter() + warm
        while time.perf_counter() < end:
            self._thunk()
        seconds = self._seconds(count)
        gc.enable()
        return seconds / count

    def first_calls(self, case_name: str) -> list[float]:
        """Measure what a process shows only once."""
        case = _case(case_name)
        library = self.peer.open(self.threads)
        compiler = self.peer.compile(library)
        values = self._values(case, library, case.size)
        function = case.programs[self.peer.library](library, compiler)
        if case.measure == "compile":
            self._first_call(compiler(lambda *given: given[0] - given[-1]), values)
        first = self._first_call(function, values)
        if case.measure != "shape":
            return [first]
        sizes = range(case.size + 1, case.size + 1 + NEW_SHAPES)
        later = [self._values(case, library, size) for size in sizes]
        return [self._first_call(function, values) for values in later]

    def _build(self, case: Case, peer: Peer, arrays: tuple[Array, ...]) -> Thunk:
        library = peer.open(self.threads)
        function = case.programs[peer.library](library, peer.compile(library))
        return peer.thunk(function, tuple(peer.array(library, array) for array in arrays))

    def _values(self, case: Case, library: Any, size: int) -> tuple[Any, ...]:
        return tuple(self.peer.array(library, array) for array in case.inputs(size))

    def _first_call(self, function: Any, values: tuple[Any, ...]) -> float:
        start = time.perf_counter()
        self.peer.thunk(function, values)()
        return time.perf_counter() - start

    def _seconds(self, count: int) -> float:
        thunk = self._thunk
        start = time.perf_counter()
        for _ in repeat(None, count):
            thunk()
        return time.perf_counter() - start


def _case(name: str) -> Case:
    from benchmarks.cases import CASES

    return CASES[name]


def _difference(result: Array, expected: Array, case: Case) -> str:
    if result.shape != expected.shape or result.dtype != expected.dtype:
        return (
            f"gives {result.dtype}{list(result.shape)}, "
            f"NumPy {expected.dtype}{list(expected.shape)}"
        )
    error = np.abs(result.astype(np.float64) - expected)
    if np.all(error <= case.atol + case.rtol * np.abs(expected)):
        return ""
    return f"differs from NumPy by up to {np.max(error):.2g}"
