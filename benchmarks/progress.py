"""How far a run is, and how long it still takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from benchmarks.allowance import Allowance
from benchmarks.case import Case
from benchmarks.harness import Effort

# Seconds, on two cores: of starting, importing and compiling for all peers of a case, and of one
# fresh process with its first call, for each of about three peers.
PREPARE, FRESH = 5.0, 15.0


def expected(case: Case, effort: Effort) -> float:
    """Guess the seconds of a case."""
    if case.measure == "call":
        return PREPARE + effort.budget
    return effort.processes * FRESH


class Progress:
    """Prints a line for each case. What is left is guessed from how wrong the guesses were."""

    def __init__(self, cases: Sequence[Case], effort: Effort, allowed: Allowance) -> None:
        self._allowed = allowed
        self._guesses = [expected(case, effort) for case in cases]
        self._done = 0
        self._start = time.perf_counter()
        seconds = min(sum(self._guesses), allowed.for_cases)
        print(f"{len(cases)} cases, about {seconds / 60:.0f} min", file=sys.stderr)

    def begin(self, name: str) -> None:
        """Say which case is next."""
        print(
            f"[{self._done + 1}/{len(self._guesses)}] {name}", end="", file=sys.stderr, flush=True
        )
        self._case_start = time.perf_counter()

    def end(self, problems: Sequence[str]) -> None:
        """Say how long it took, what went wrong, and what is left."""
        now = time.perf_counter()
        self._done += 1
        factor = (now - self._start) / sum(self._guesses[: self._done])
        left = min(factor * sum(self._guesses[self._done :]), max(self._allowed.for_cases, 0)) / 60
        print(f": {now - self._case_start:.1f} s, {left:.0f} min left", file=sys.stderr, flush=True)
        for problem in problems:
            print(f"    {problem}", file=sys.stderr, flush=True)
