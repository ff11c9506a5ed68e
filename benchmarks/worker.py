"""One process for each peer, so that none meets another's threads, allocator or imports.

The harness asks for one sample at a time and so lets the peers take turns.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from math import inf
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.case import Array, Case
from benchmarks.machine import forget_peak, peak, resident
from benchmarks.peers import PEERS, Peer, Thunk

NEW_SHAPES = 6
PATIENCE = 150.0  # seconds for an answer; a compiler may take its time, but not all of it

GRACE = 5.0  # seconds that a process has to end by itself

# Thread pools spin after their last task, OpenBLAS's for 107 ms at 2.5 GHz, on the processors of
# the peer whose turn is next. So a turn ends when a process has hardly run for a while.
QUIET = 0.005  # seconds
HARDLY = 0.2  # of them, which is more than it takes to look
RESTLESS = 0.5  # seconds after which nobody waits any more


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

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.is_alive()

    def ask(self, what: str, *arguments: Any, seconds: float = PATIENCE) -> Any:
        """Return the answer, or a Problem if there is none in time."""
        self.post(what, *arguments)
        return self.answer(seconds)

    def post(self, what: str, *arguments: Any) -> None:
        """Ask without waiting."""
        # Where the process has died, `answer` finds out.
        with suppress(OSError):
            self._pipe.send((what, arguments))

    def answer(self, seconds: float = PATIENCE) -> Any:
        """Return the answer to the last `post`, or a Problem if there is none in time."""
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return Problem(f"its process ended with code {self._process.exitcode}")
        self._process.kill()
        self._process.join()
        return Problem(f"no answer in {seconds:.0f} s")

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(GRACE)
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, peer: str, threads: int) -> None:
    from benchmarks.ceilings import Copy, Functions

    own = {"copy": Copy, "functions": Functions}
    bench = own[peer](threads) if peer in own else Bench(PEERS[peer], threads)
    while True:
        try:
            what, arguments = pipe.recv()
        except EOFError:
            return
        # A peer may fail in any way that another library can think of; its row says how.
        try:
            answer = getattr(bench, what)(*arguments)
        except Exception as error:
            answer = Problem(describe(error))
        pipe.send(answer)


def come_to_rest() -> None:
    """Wait until no thread of this process runs."""
    end = time.perf_counter() + RESTLESS
    ran = inf
    while ran > HARDLY * QUIET and time.perf_counter() < end:
        before = time.process_time()
        time.sleep(QUIET)
        ran = time.process_time() - before


def describe(error: BaseException) -> str:
    """Name an error, with the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@dataclass(slots=True)
class Bench:
    """What a worker does when asked, for the case that was prepared last."""

    peer: Peer
    threads: int
    _thunk: Thunk = field(default=lambda: None)

    def prepare(self, case_name: str, size: int = 0) -> Problem | None:
        """Build the call of a case and compare its results with NumPy's.

        All calls come before the first comparison: what a peer writes to its own results later
        would otherwise go unseen.
        """
        case = _case(case_name)
        size = size or case.size
        reference = self._build(case, PEERS["numpy"], case.inputs(size))
        self._thunk = self._build(case, self.peer, case.inputs(size))
        results = [_parts(self._thunk()) for _ in range(case.calls)]
        for result in results:
            expected = [np.asarray(part) for part in _parts(reference())]
            found = [self.peer.numpy(part) for part in result]
            if len(found) != len(expected):
                return Problem(f"gives {len(found)} results, NumPy {len(expected)}", wrong=True)
            for difference in map(_difference, found, expected, repeat(case)):
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
                come_to_rest()
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
        come_to_rest()
        return seconds / count

    def first_calls(self, case_name: str) -> list[float]:
        """Measure what a process shows only once."""
        case = _case(case_name)
        library = self.peer.open(self.threads)
        compiler = self.peer.compile(library)
        values = self._values(case, library, case.size)
        function = case.programs[self.peer.library](library, compiler)
        if case.measure == "compile":
            self._first_call(compiler(lambda first, *rest: first * first - first), values)
        first = self._first_call(function, values)
        if case.measure != "shape":
            return [first]
        sizes = range(case.size + 1, case.size + 1 + NEW_SHAPES)
        later = [self._values(case, library, size) for size in sizes]
        return [self._first_call(function, values) for values in later]

    def memory(self, case_name: str) -> list[float]:
        """Return the bytes by which the process grows at most during the second call."""
        case = _case(case_name)
        library = self.peer.open(self.threads)
        function = case.programs[self.peer.library](library, self.peer.compile(library))
        values = self._values(case, library, case.size)
        if case.tiny:
            self.peer.thunk(function, self._values(case, library, case.tiny))()
        thunk = self.peer.thunk(function, values)
        gc.collect()
        before = resident()
        thunk()
        forget_peak()
        thunk()
        return [float(peak() - before)]

    def _build(self, case: Case, peer: Peer, arrays: tuple[Any, ...]) -> Thunk:
        library = peer.open(self.threads)
        function = case.programs[peer.library](library, peer.compile(library))
        return peer.thunk(function, _hand_over(peer, library, arrays))

    def _values(self, case: Case, library: Any, size: int) -> tuple[Any, ...]:
        return _hand_over(self.peer, library, case.inputs(size))

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


def _hand_over(peer: Peer, library: Any, values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        peer.array(library, value) if isinstance(value, np.ndarray) else value for value in values
    )


def _parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


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
