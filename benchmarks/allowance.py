"""What a run may take, and which cases are measured where that is too little for all."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.case import Case
from benchmarks.harness import Effort
from benchmarks.peers import PEERS

GOLDEN = (5**0.5 - 1) / 2


class Allowance:
    """The time of a run, from now on."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._start = time.perf_counter()

    @property
    def for_cases(self) -> float:
        """Seconds in which cases may still begin."""
        return self._start + self._effort.cases - time.perf_counter()

    @property
    def left(self) -> float:
        """Seconds in which anything may still be measured."""
        return self._start + self._effort.whole - time.perf_counter()


def in_turn(cases: Sequence[Case], effort: Effort) -> list[Case]:
    """Return the cases in the order to measure them in.

    Where time may end before the cases do, each beginning of the order is spread evenly over all
    of them: the multiples of the golden ratio fall into every part of a circle as often.
    """
    if effort.cases == float("inf"):
        return list(cases)
    order = sorted(range(len(cases)), key=lambda place: place * GOLDEN % 1)
    return [cases[place] for place in order]


def default_peers(effort: Effort) -> list[str]:
    """Return the peers that take part where none are named."""
    return [name for name, peer in PEERS.items() if effort.patient or not peer.slow_to_compile]


def note(effort: Effort, peers: Sequence[str], cases: Sequence[Case], done: Sequence[Case]) -> str:
    """Say what a quick run leaves out; nothing of a whole one."""
    if effort.patient:
        return ""
    parts = [
        f"Quick: {effort.least} to {effort.rounds} turns of {effort.sample * 1e3:.0f} ms, "
        f"{effort.processes} fresh process where only such a one shows it; for rough figures"
    ]
    if absent := [name for name in PEERS if name not in peers]:
        parts.append(f"without {', '.join(absent)}")
    names = {case.name for case in done}
    if missing := [case.name for case in cases if case.name not in names]:
        parts.append(
            f"{len(done)} of {len(cases)} cases began in {effort.cases / 60:.0f} min, "
            f"the others are not measured: {'; '.join(missing)}"
        )
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."
