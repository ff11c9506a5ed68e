"""What bounds a case that moves memory, measured in the turns of its peers.

A copy of as many bytes, and the functions that it calls, by themselves. In turns because a machine
that others share is slower for minutes, up to 1.8 times: a copy of another time says nothing about
a case that fell into these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks import arithmetic
from benchmarks.case import Case
from benchmarks.machine import MOVED, copy_rate
from benchmarks.vectormath import least

CEILINGS = ("copy", "functions")
"""They answer like peers, but are none: no time is compared with theirs."""


def ceilings_of(case: Case) -> tuple[str, ...]:
    """Name those that bound a case."""
    if case.measure != "call" or not case.traffic:
        return ()
    traced = "hybrid" in case.peers and not case.flops
    return CEILINGS if traced else CEILINGS[:1]


@dataclass(slots=True)
class Copy:
    """Copies as many bytes as a case moves, by NumPy's copy or hybrid's, whichever is faster."""

    threads: int
    _traffic: int = 0

    def prepare(self, case_name: str) -> None:
        """Choose the case."""
        from benchmarks.cases import CASES

        self._traffic = CASES[case_name].traffic

    def warm_up(self, sample: float, warm: float) -> int:
        """Copy once; returns the number of copies in a sample, which is always one."""
        self.sample(1, warm)
        return 1

    def sample(self, count: int, warm: float) -> float:
        """Return the seconds that the bytes take at the rate of a copy.

        Of less than 8 MB they are those of a part of 8 MB: what fits in a core's own cache bounds
        nobody who reads results of another call.
        """
        rate = copy_rate(max(self._traffic, MOVED[0]) // 2, self.threads, rounds=1)
        return self._traffic / rate


@dataclass(slots=True)
class Functions:
    """Calls the functions that a traced case calls, over numbers that lie in the cache."""

    threads: int
    _weights: list[float] = field(default_factory=list)
    _ways: list[Sequence[Callable[[], object]]] = field(default_factory=list)

    def prepare(self, case_name: str) -> None:
        """Count the calls of the case, and make its functions ready."""
        from benchmarks.cases import CASES

        counted = arithmetic.calls(CASES[case_name])
        self._weights = [count / arithmetic.SIZE / self.threads for count in counted.values()]
        self._ways = [arithmetic.ways(*function) for function in counted]

    def warm_up(self, sample: float, warm: float) -> int:
        """Call each once; returns the number of calls in a sample, which is always one."""
        self.sample(1, warm)
        return 1

    def sample(self, count: int, warm: float) -> float:
        """Return the seconds of all calls, divided among the threads; 0.0 where there are none."""
        each = [min(least(ways, rounds=ROUNDS)) * 1e-6 for ways in self._ways]
        return sum(map(float.__mul__, self._weights, each))


ROUNDS = 3  # of which the least counts: a turn is short
