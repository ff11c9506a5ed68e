"""The benchmarks compute the same in every mode of hybrid as in NumPy, and can be reported."""

from __future__ import annotations

import pytest

from benchmarks import report
from benchmarks.case import Case, formula, uniform
from benchmarks.cases import CASES
from benchmarks.harness import Effort, Harness, Result
from benchmarks.machine import Machine
from benchmarks.peers import OURS, PEERS
from benchmarks.worker import Bench, Problem

MACHINE = Machine("processor", "system", "3.11", 2, 1e11, 1e10, 1e11, 5e10)
CASE = Case("add", uniform(2, "float32"), 16, formula(lambda xp: lambda a, b: a + b))


@pytest.mark.parametrize("peer", OURS)
@pytest.mark.parametrize("name", CASES)
def test_a_case_gives_the_result_of_numpy(name: str, peer: str) -> None:
    case = CASES[name]
    assert Bench(PEERS[peer], threads=2).prepare(name, case.tiny or case.size) is None


def test_peers_take_turns_in_processes_of_their_own() -> None:
    harness = Harness(["numpy", "hybrid"], 2, Effort(rounds=3, sample=1e-5, warm=1e-5))
    try:
        results = harness.run(CASES["call, 2 arguments"])
    finally:
        harness.close()
    assert [found.peer for found in results] == ["numpy", "hybrid"]
    assert all(len(found.samples) == 3 and found.problem is None for found in results)


def test_the_table_compares_hybrid_with_the_best_peer() -> None:
    results = [
        Result("add", "hybrid", (2e-6, 2e-6)),
        Result("add", "torch", problem=Problem("no compiler")),
        Result("add", "jax", (8e-6, 8e-6)),
        Result("add", "numpy", problem=Problem("differs", wrong=True)),
    ]
    lines = report.markdown([(CASE, results)], MACHINE).splitlines()
    assert lines[0] == "| case | numpy | hybrid | torch | jax | times faster | of ceiling |"
    assert lines[2] == "| add | wrong | 2.00 µs ±0% | skipped | **8.00 µs** ±0% | 4.00 |  |"
    assert "- torch skipped (add): no compiler" in lines
    assert "- numpy WRONG (add): differs" in lines


def test_every_peer_has_a_colour_in_the_chart() -> None:
    assert set(PEERS) <= set(report._COLOURS)
