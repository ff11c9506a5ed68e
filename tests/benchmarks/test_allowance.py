"""A quick run ends in time and says what it leaves out; a whole one leaves out nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from unittest import mock

import pytest

from benchmarks import __main__ as command
from benchmarks import beyond, harness
from benchmarks.allowance import Allowance, default_peers, in_turn, note
from benchmarks.case import Case
from benchmarks.cases import CASES
from benchmarks.harness import QUICK, Effort, Result
from benchmarks.machine import Machine
from benchmarks.peers import PEERS

ALL = list(CASES.values())
MACHINE = Machine("processor", "system", "3.11", 2, ((2**23, 1e11),), 1e11, 5e10)


def test_a_whole_run_has_all_cases_and_peers_and_all_the_time() -> None:
    assert in_turn(ALL, Effort()) == ALL
    assert default_peers(Effort()) == list(PEERS)
    assert Allowance(Effort()).for_cases == Allowance(Effort()).left == inf
    assert note(Effort(), ["numpy"], ALL, ALL) == ""


def test_a_quick_run_does_without_peers_that_compile_for_seconds() -> None:
    assert set(PEERS) - set(default_peers(QUICK)) == {"torch-compile"}


@pytest.mark.parametrize("count", [10, 20, 40, len(ALL)])
def test_each_beginning_of_a_quick_run_is_spread_over_the_cases(count: int) -> None:
    places = sorted(ALL.index(case) for case in in_turn(ALL, QUICK)[:count])
    assert len(set(places)) == count
    gaps = [b - a for a, b in zip([-1, *places], [*places, len(ALL)], strict=True)]
    assert max(gaps) <= 2.7 * len(ALL) / count


def test_a_quick_run_says_what_it_leaves_out() -> None:
    text = note(QUICK, default_peers(QUICK), ALL[:3], ALL[:2])
    assert text.startswith("Quick: ")
    assert "Without torch-compile." in text
    assert "2 of 3 cases" in text
    assert text.endswith(f"not measured: {ALL[2].name}.")
    assert "not measured" not in note(QUICK, list(PEERS), ALL, ALL)


class _Harness:
    """Gives results without measuring, and lets time pass."""

    def __init__(self, wanted: Sequence[str], threads: int, effort: Effort) -> None: ...

    def run(self, case: Case) -> list[Result]:
        _Clock.now += 10
        return [Result(case.name, "hybrid", (1e-6,))]

    def close(self) -> None: ...


class _Clock:
    now = 0.0


def test_no_case_begins_after_the_time_of_a_run_and_resuming_measures_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("benchmarks.allowance.time.perf_counter", lambda: _Clock.now)
    monkeypatch.setattr(harness, "Harness", _Harness)
    effort = replace(QUICK, cases=25.0)

    def measured(*, resume: bool) -> list[Case]:
        time, path = Allowance(effort), tmp_path / "run"
        rows = command._measure(ALL[:5], ["hybrid"], MACHINE, effort, time, path, resume=resume)
        return [case for case, _ in rows]

    first = measured(resume=False)
    assert len(first) == 3
    assert first == [case for case in ALL[:5] if case in in_turn(ALL[:5], effort)[:3]]
    assert measured(resume=True) == ALL[:5]


def test_what_no_case_shows_waits_no_longer_than_there_is_time() -> None:
    with mock.patch.object(beyond.subprocess, "run") as run:
        run.return_value = mock.Mock(returncode=0, stdout="{}")
        list(beyond.measured(True, lambda: 7.0))
        list(beyond.measured(False))
    limits = [call.kwargs["timeout"] for call in run.call_args_list]
    assert limits == [7.0] * len(beyond.MEASURES) + [beyond.LIMIT] * len(beyond.MEASURES)
