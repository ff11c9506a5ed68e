"""Timing: results are compared first, then the peers take turns, sample by sample.

Turns, because a machine speeds up and slows down over seconds: whatever happens to one peer
happens to all of them. Medians and the distance between the quartiles, because such disturbances
only ever add time.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from benchmarks.case import Case
from benchmarks.ceilings import ceilings_of
from benchmarks.peers import PEERS
from benchmarks.worker import Problem, Worker, describe


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    rounds: int = 15  # turns of each peer
    sample: float = 0.01  # seconds that one sample lasts at least
    warm: float = 0.02  # seconds of calls before each sample, ten times that before the first
    budget: float = 6.0  # seconds of turns, after which no more begin
    least: int = 5  # turns that every peer has all the same
    processes: int = 3  # fresh processes for what only a fresh process can show, at most
    fresh: float = 20.0  # seconds after which no more of these begin
    limit: float = 150.0  # seconds to prepare in, to take turns in, and of a peer's fresh processes
    patient: bool = True  # with peers whose compilers take seconds, where none are named
    cases: float = inf  # seconds of the run after which no more cases begin
    whole: float = inf  # seconds of the run after which nothing more is measured


# Most of a short run is starting, compiling and checking: torch.compile takes two thirds of the
# softmax case, 19 of 29 s of processor time.
QUICK = Effort(
    rounds=5,
    sample=2e-3,
    warm=2e-3,
    budget=1.0,
    least=3,
    processes=1,
    limit=30.0,
    patient=False,
    cases=240.0,
    whole=320.0,
)

PAUSE = 0.01  # seconds between two turns
LEAST_PATIENCE = 10.0  # seconds for an answer, for peers behind one that took the case's time


@dataclass(frozen=True, slots=True)
class Result:
    """What one peer did in one case: samples in seconds, or the reason why there are none."""

    case: str
    peer: str
    samples: tuple[float, ...] = ()
    problem: Problem | None = None

    @property
    def median(self) -> float:
        return float(np.median(self.samples))

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = np.percentile(self.samples, [25, 75])
        return float(low), float(high)

    @property
    def spread(self) -> float:
        """Distance between the quartiles, relative to the median."""
        low, high = self.quartiles
        return (high - low) / self.median


class Harness:
    """Keeps one process for each peer over all cases."""

    def __init__(self, wanted: Sequence[str], threads: int, effort: Effort) -> None:
        self._wanted = wanted
        self._threads = threads
        self._effort = effort
        self._workers: dict[str, Worker] = {}
        self._end = 0.0

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def run(self, case: Case) -> list[Result]:
        """Measure one case with the peers that take part in it; what fails is a Problem."""
        names = [
            name
            for name in PEERS
            if name in self._wanted and name in case.peers and PEERS[name].library in case.programs
        ]
        names += ceilings_of(case)
        try:
            if case.measure == "call":
                return self._calls(case, names)
            return [self._first_calls(case, name) for name in names]
        # Whatever it is, the other cases are still to be measured. Workers may be waiting to
        # answer a question that nobody will read the answer of: new ones.
        except Exception as error:
            self.close()
            return [Result(case.name, name, problem=Problem(describe(error))) for name in names]

    def _allow(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds

    @property
    def _left(self) -> float:
        return max(self._end - time.perf_counter(), LEAST_PATIENCE)

    def _calls(self, case: Case, names: Sequence[str]) -> list[Result]:
        # Preparing is compiling, mostly, and not timed: all at once.
        self._allow(self._effort.limit)
        for name in names:
            self._worker(name).post("prepare", case.name)
        problems = {name: self._workers[name].answer(self._left) for name in names}
        able = [name for name in names if problems[name] is None]
        # Anew, or whoever compiles too long would take the others' turns.
        self._allow(self._effort.limit)
        samples = self._take_turns(able, problems)
        return [
            Result(case.name, name, tuple(samples.get(name, ())), problems[name]) for name in names
        ]

    def _worker(self, name: str) -> Worker:
        if name not in self._workers or not self._workers[name].alive:
            self._workers[name] = Worker(name, self._threads)
        return self._workers[name]

    def _take_turns(
        self, names: Sequence[str], problems: dict[str, Problem | None]
    ) -> dict[str, list[float]]:
        """Sample the peers in turns; one that fails is left out, and says why in `problems`."""
        effort = self._effort
        samples: dict[str, list[float]] = {name: [] for name in names}
        counts: dict[str, int] = {}

        def ask(name: str, what: str, *arguments: float) -> Any:
            answer = self._worker(name).ask(what, *arguments, seconds=self._left)
            if isinstance(answer, Problem):
                problems[name] = answer
                samples.pop(name)
            return answer

        for name in names:
            counts[name] = ask(name, "warm_up", effort.sample, 10 * effort.warm)
        end = time.perf_counter() + effort.budget
        for turn in range(effort.rounds):
            now = time.perf_counter()
            if (turn >= effort.least and now > end) or (turn and now > self._end):
                break
            for name in list(samples):
                time.sleep(PAUSE)
                answer = ask(name, "sample", counts[name], effort.warm)
                if name in samples:
                    samples[name].append(answer)
        return samples

    def _first_calls(self, case: Case, name: str) -> Result:
        """Measure in fresh processes, with disk caches that start empty."""
        what = "memory" if case.measure == "memory" else "first_calls"
        samples: list[float] = []
        start = time.perf_counter()
        self._allow(self._effort.limit)
        for _ in range(self._effort.processes):
            if samples and time.perf_counter() > start + self._effort.fresh:
                break
            with _empty_caches():
                answer = self._ask_fresh(case, name, what)
                if case.measure == "restart" and not isinstance(answer, Problem):
                    answer = self._ask_fresh(case, name, what)
            if isinstance(answer, Problem):
                return Result(case.name, name, problem=answer)
            samples += answer
        return Result(case.name, name, tuple(samples))

    def _ask_fresh(self, case: Case, name: str, what: str) -> list[float] | Problem:
        worker = Worker(name, self._threads)
        answer: list[float] | Problem = worker.ask(what, case.name, seconds=self._left)
        worker.close()
        return answer


@contextmanager
def _empty_caches() -> Iterator[None]:
    """Let new processes keep compiled code in a folder of their own."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="hybrid-bench-") as folder:
        os.environ |= {
            "HYBRID_CACHE_DIR": f"{folder}/hybrid",
            "TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch",
            "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax",
            # By default JAX keeps only what took a second to compile.
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        }
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before
