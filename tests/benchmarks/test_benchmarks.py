"""The benchmarks compute the same in every mode of hybrid as in NumPy, and can be reported."""

from __future__ import annotations

import fnmatch
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import hybrid as hb
from benchmarks import arithmetic, ceilings, journal, limits, readme, report, targets, worker
from benchmarks import harness as harnesses
from benchmarks import vectormath as speeds
from benchmarks.beyond import MEASURES
from benchmarks.case import Case, formula, uniform
from benchmarks.cases import CASES
from benchmarks.ceilings import CEILINGS, Copy, Functions, ceilings_of
from benchmarks.eager_cost import Row, summary
from benchmarks.harness import Effort, Harness, Result
from benchmarks.machine import Machine
from benchmarks.peers import OURS, PEERS
from benchmarks.worker import NEW_SHAPES, Bench, Problem, Worker
from hybrid.kernels import vectormath

COPIES = ((2**23, 1e11), (2**27, 1e10))
MACHINE = Machine("processor", "system", "3.11", 2, COPIES, 1e11, 5e10)
CASE = Case("add", uniform(2, "float32"), 16, formula(lambda xp: lambda a, b: a + b))
PEER_AND_BOUNDS = "hybrid", "copy", "functions"
FAR = replace(CASE, name="far")
FIRST_CALLS = "compile", "restart", "shape"
NONE = Problem("no compiler")
DISTINCT = {(id(case.programs), id(case.inputs)): name for name, case in CASES.items()}.values()
"""Cases that differ in more than in their size and in what is timed."""


@pytest.mark.parametrize("peer", OURS)
@pytest.mark.parametrize("name", DISTINCT)
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
        Result("add", "copy", (5e-7,)),
        Result("add", "functions", (1e-6,)),
    ]
    lines = report.markdown([(CASE, results)], MACHINE).splitlines()
    heads = "| case | numpy | hybrid | torch | jax | times faster | of ceiling | of functions |"
    row = "| add | wrong | 2.00 µs ±0% | skipped | **8.00 µs** ±0% | 4.00 | 25% | 50% |"
    assert lines[lines.index(heads) + 2] == row
    assert "- torch skipped (add): no compiler" in lines
    assert "- numpy WRONG (add): differs" in lines


def test_the_verdict_on_an_eager_op_knows_what_making_a_tensor_costs() -> None:
    rows = [
        Row("x + y", 16, numpy=0.3, hybrid=0.7, torch=1.0),
        Row("sum(x)", 16, numpy=1.0, hybrid=2.6, torch=2.0),
        Row("x.T", 16, numpy=0.05, hybrid=0.5, torch=None),
    ]
    assert [row.verdict(floor=0.15) for row in rows] == ["within", "over", "floor"]
    text = summary(rows, 0.15)
    assert "1 of 3 statements within 2.5 times NumPy; over: sum(x)" in text
    assert "1 of 2 take less than torch; more: sum(x)" in text


def test_every_peer_has_a_colour_in_the_chart() -> None:
    assert set(PEERS) <= set(report._COLOURS)


def test_the_chart_has_a_line_for_each_case_with_a_peer(tmp_path: Path) -> None:
    other = Case("scale", uniform(1, "float32"), 16, formula(lambda xp: lambda a: 2 * a))
    rows = [
        (CASE, [Result("add", "hybrid", (2e-6,)), Result("add", "numpy", (9e-4,))]),
        (
            other,
            [Result("scale", "hybrid", (2e-6,)), Result("scale", "jax", problem=Problem("no"))],
        ),
    ]
    chart = report.chart(rows)
    axes = chart.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["add"]
    assert [text.get_text() for text in axes.texts] == ["450.00"]
    report.draw(rows, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 1000


def test_slow_cases_are_listed_and_all_are_averaged() -> None:
    rows = [
        (CASE, [Result("add", "hybrid", (4e-6,)), Result("add", "numpy", (1e-6,))]),
        (
            replace(CASE, name="far"),
            [Result("far", "hybrid", (1e-6,)), Result("far", "jax", (9e-6,))],
        ),
    ]
    text = report.summary(rows)
    assert "Over 2 cases hybrid is 1.50 times as fast" in text
    assert text.endswith("Below 0.8: add (0.25).")


def test_a_process_that_dies_or_hangs_is_a_problem() -> None:
    worker = Worker("numpy", 2)
    assert worker.ask("prepare", "no such case") == Problem("KeyError: 'no such case'")
    assert worker.ask("prepare", "call, 2 arguments") is None
    late = worker.ask("warm_up", 1e-3, 60.0, seconds=0.0)
    assert late == Problem("no answer in 0 s")
    assert not worker.alive
    assert worker.ask("prepare", "call, 2 arguments").text.startswith("its process ended")
    worker.close()


@pytest.mark.parametrize("name", vectormath.NAMES)
def test_a_function_of_the_vector_math_has_a_peer_that_computes_the_same(name: str) -> None:
    arguments = [x[:100] for x in speeds.drawn(name)]
    found, wanted = np.empty(100), np.empty(100)
    speeds.by_numpy(name)(*arguments, out=wanted)
    speeds.by_kernel(name, "float64")(*arguments, found)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_a_case_that_fails_is_reported_and_the_next_one_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = Harness(["numpy"], 2, Effort(rounds=1, sample=1e-5, warm=1e-5))
    try:
        with monkeypatch.context() as patched:
            patched.setattr(Worker, "post", mock.Mock(side_effect=ValueError("lost")))
            [lost] = harness.run(CASES["eager add"])
        [found] = harness.run(CASES["eager add"])
    finally:
        harness.close()
    assert lost.problem == Problem("ValueError: lost")
    assert found.problem is None
    assert len(found.samples) == 1


class _Stub:
    """A worker; that of torch-compile takes all the time there is to prepare."""

    alive = True

    def __init__(self, peer: str, threads: int) -> None:
        self.slow = peer == "torch-compile"
        self.given: list[float] = []

    def post(self, what: str, *arguments: Any) -> None:
        pass

    def answer(self, seconds: float) -> Problem | None:
        if not self.slow:
            return None
        time.sleep(seconds)
        return Problem("no answer")

    def ask(self, what: str, *arguments: float, seconds: float) -> float:
        self.given.append(seconds)
        return 1e-6

    def close(self) -> None:
        pass


def test_a_peer_that_takes_all_the_time_leaves_the_others_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(harnesses, "Worker", _Stub)
    monkeypatch.setattr(harnesses, "LEAST_PATIENCE", 0.0)
    harness = Harness(["torch-compile", "jax"], 2, Effort(rounds=2, limit=0.3))
    slow, found = harness.run(CASES["call, 2 arguments"])
    assert slow.problem == Problem("no answer")
    assert found.samples == (1e-6, 1e-6)
    assert min(harness._workers["jax"].given) > 0.1  # type: ignore[attr-defined]


def test_what_was_measured_is_read_again_by_a_run_of_the_same_kind(tmp_path: Path) -> None:
    path, settings = tmp_path / "run.jsonl", {"threads": 2}
    results = [Result("add", "hybrid", (2e-6, 3e-6)), Result("add", "jax", problem=NONE)]
    journal.begin(path, settings)
    journal.add(path, "add", results)
    assert journal.read(path, settings) == {"add": results}
    assert journal.read(path, {"threads": 1}) == {}
    assert journal.read(tmp_path / "none", settings) == {}


def test_promises_are_met_or_not_or_were_not_measured() -> None:
    rows = [
        (CASES["call, 4 arguments"], [Result("", "hybrid", (3e-6,)), Result("", "jax", (6e-6,))]),
        (CASES["new shape, MLP step"], [Result("", "hybrid", (5e-3,)), Result("", "jax", (1.0,))]),
    ]
    beyond = {"demo_step": {"eager": 4.3e-3, "traced": 1e-3}, "importing": {"problem": "no room"}}
    found = targets.findings(targets.Measured(rows, beyond))
    met = {finding.target.split(":")[0]: finding.met for finding in found}
    assert met["a new shape"] is True
    assert met["a call with four small Tensors"] is False
    assert met["the demo's training step, traced"] is True
    assert met["`import hybrid`"] is None
    assert met["elementwise and row reductions from 4 MB on"] is None
    text = targets.markdown(found)
    assert "| 3.00 µs, JAX 6.00 µs (2.0 times) | **not met** |" in text
    assert text.count("| not measured |") == sum(value is None for value in met.values())


@pytest.mark.parametrize("name", MEASURES)
def test_what_could_not_be_measured_is_no_finding(name: str) -> None:
    beyond = {name: {"problem": "no result in 0 s"}}
    found = targets.findings(targets.Measured([], beyond))
    assert len(found) == len(targets.TARGETS)
    assert all(finding.met is None for finding in found)


def test_the_bandwidth_promise_tells_what_the_functions_of_a_case_allow() -> None:
    names = (
        *("elementwise float32 1e6", "max over rows 2000x2000", "softmax 1000x1000"),
        "logsumexp 1000x1000",
    )
    seconds = 1e-3, 3.2e-4, 1e-4, 1e-4
    copied = 1.2e-4, 1.6e-4, 8e-5, 4e-5
    functions = 9e-4, 0.0, 5e-5, 6e-5
    rows = [
        (
            CASES[name],
            [
                Result(name, peer, (taken,))
                for peer, taken in zip(PEER_AND_BOUNDS, each, strict=True)
            ],
        )
        for name, *each in zip(names, seconds, copied, functions, strict=True)
    ]
    text, met = targets.bandwidth(targets.Measured(rows, {}))
    assert not met
    assert text == (
        "1 of 4 cases; below: logsumexp 1000x1000 40 % (its functions 60 %), "
        "max over rows 2000x2000 50 %; below, but bound by the time of their functions: "
        "elementwise float32 1e6 12 % (its functions 90 %)"
    )


def test_the_bandwidth_promise_stays_unmet_where_limits_say_why() -> None:
    name = "logsumexp 1000x1000"
    each = zip(PEER_AND_BOUNDS, (1e-4, 4e-5, 6e-5), strict=True)
    rows = [(CASES[name], [Result(name, peer, (taken,)) for peer, taken in each])]
    limit = {"copied": 4e-5, "functions": 5e-5, "passes": 9e-5, "cached": 8e-5, "whole": 1e-4}
    measured = targets.Measured(rows, {"limits": {name: limit}})
    assert targets.bandwidth(measured) == (
        "0 of 1 cases; below: logsumexp 1000x1000 40 % (its functions 60 %; "
        "of the bandwidth exp alone leaves 80 %, all in the cache 50 %)",
        False,
    )


def test_limits_are_those_of_a_kernel_and_its_passes() -> None:
    parts = limits.parts(hb)
    x = np.random.default_rng(0).standard_normal((20, 300), dtype=np.float32)
    for name, passes in limits.PASSES.items():
        assert set(passes) < set(parts)
        call = limits.kernel(parts[name][0], (x,), 0)
        call()
        np.testing.assert_allclose(call.args[-1], parts[name][0](hb.asarray(x)), rtol=1e-5)
    cached = dict.fromkeys(parts, 1.0) | {"exp alone": 3.0, "maximum": 2.0}
    found = limits.limits(cached, dict.fromkeys(parts, 4.0) | {"copy": 1.0})
    assert found["softmax"] == limits.Limit(1.0, 1.0, 4.0, 1.0, 4.0)
    assert found["logsumexp"] == limits.Limit(0.5, 1.0, 3.0, 1.0, 4.0)


def test_the_calls_of_functions_are_those_of_the_kernels() -> None:
    def scores(hb: Any) -> Any:
        return lambda x: hb.log(hb.sum(hb.exp(x) / 3.1, axis=1))

    def matrix(rows: int) -> Any:
        return (np.ones((rows, 50), np.float32),)

    case = Case("scores", matrix, 20, {"hybrid": lambda hb, compile: compile(scores(hb))})
    counted = arithmetic.calls(case)
    names = {"exp": 1000, "divide": 1000, "log": 20}
    assert counted == {(name, "float32"): count for name, count in names.items()}


def test_a_case_that_moves_memory_is_measured_in_turns_with_what_bounds_it() -> None:
    name = "softmax 1000x1000"
    harness = Harness(["hybrid"], 2, Effort(rounds=2, sample=1e-5, warm=1e-5))
    try:
        results = harness.run(CASES[name])
    finally:
        harness.close()
    assert [found.peer for found in results] == ["hybrid", *CEILINGS]
    assert all(len(found.samples) == 2 and found.median > 0 for found in results)


def test_only_copies_bound_what_hybrid_does_not_trace_or_multiplies() -> None:
    assert ceilings_of(CASES["pairwise squares 1000x32, by a product"]) == ("copy",)
    assert ceilings_of(CASES["eager add 1e6"]) == ceilings_of(CASES["LeNet step, 64 images"]) == ()


def test_the_seconds_of_functions_are_those_of_all_calls_on_all_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ceilings, "least", lambda ways, rounds: [30.0, 20.0])
    functions = Functions(2, [0.5, 2.0], [(), ()])
    assert functions.sample(1, 0.0) == pytest.approx(2.5 * 20e-6)


@pytest.mark.parametrize("size", [2**20, 2**23, 2**27])
def test_a_copy_takes_what_its_bytes_take(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    asked = []
    monkeypatch.setattr(ceilings, "copy_rate", lambda size, *_, **__: asked.append(size) or 1e9)
    assert Copy(2, size).sample(1, 0.0) == pytest.approx(size / 1e9)
    assert asked == [max(size, 2**23) // 2]


def test_promises_name_cases_that_there_are() -> None:
    results = [Result("", peer, (1e-6,)) for peer in [*PEERS, *CEILINGS]]
    beyond: dict[str, Any] = {
        "traffic": {"eager": 6, "traced": 1, "ops": 10, "kernels": 1},
        "demo_step": {"eager": 5, "traced": 1},
        "importing": {"seconds": 0.2, "compiled": 0.1, "numba": False},
        "growth": {"calls": 1, "traces": 1, "grown": {"calls": [0.0, 0, 0]}},
        "vector_math": {"exp": 1.5},
        "tracing": {"seconds": 5e-6, "nodes": 10},
        "native_step": {"scan": 1e-8},
        "limits": {
            f"{name} {limits.ROWS}x{limits.COLUMNS}": {
                "copied": 1.0,
                "functions": 1.0,
                "cached": 1.0,
            }
            for name in limits.PASSES
        },
    }
    assert set(beyond) == set(MEASURES)
    assert set(beyond["limits"]) <= set(CASES)
    rows = [(case, results) for case in CASES.values()]
    assert not [f for f in targets.findings(targets.Measured(rows, beyond)) if f.met is None]
    for pattern in targets.BANDWIDTH:
        assert fnmatch.filter(CASES, pattern)


def test_the_readme_shows_what_a_run_found() -> None:
    name = "softmax 1000x1000"
    samples = {"hybrid": 2e-4, "numpy": 4e-3, "jax": 1e-4}
    rows = [(CASES[name], [Result(name, peer, (s,)) for peer, s in samples.items()])]
    run = json.loads(report.as_json(rows, MACHINE))
    text = readme.written(f"above\n{readme.BEGIN}old\n{readme.END}below\n", run)
    assert text.startswith("above\n<!-- figures -->\nMedians on 2 cores (processor),")
    assert text.endswith("<!-- /figures -->\nbelow\n")
    assert "less than 0.8 times as fast: softmax 1000x1000 (0.50)." in text
    assert "| softmax 1000x1000 | 200 µs |  | 4.00 ms |  |  |  |  | **100 µs** |" in text
    assert readme.written(text, run) == text


def test_the_readme_names_cases_that_there_are() -> None:
    assert set(readme.CASES) <= set(CASES)
    assert set(readme.COLUMNS) <= set(PEERS)


@pytest.mark.parametrize("name", ["traffic", "demo_step", "tracing"])
def test_what_no_case_shows_is_measured_in_a_process_of_its_own(name: str) -> None:
    command = [sys.executable, "-m", "benchmarks.beyond", name, "--quick"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(run.stdout)
    assert all(value > 0 for value in found.values())
    if name == "traffic":
        assert found["ops"] >= 10
        assert found["kernels"] == 1
        assert 1 - found["traced"] / found["eager"] >= 0.83


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.measure in FIRST_CALLS])
def test_first_calls_take_arguments_of_any_shape(name: str) -> None:
    seconds = Bench(PEERS["numpy"], 2).first_calls(name)
    assert len(seconds) == (NEW_SHAPES if CASES[name].measure == "shape" else 1)
    assert min(seconds) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_that_of_results_and_intermediates() -> None:
    # 36 MB an array: beyond 32 the C library keeps no freed memory, which would hide growth.
    case = replace(CASES["peak memory, ten simple ops 1e7"], size=9_000_000)
    with mock.patch.dict(CASES, {case.name: case}):
        [grown] = Bench(PEERS["numpy"], 2).memory(case.name)
    assert 3 * 4 * case.size < grown < 12 * 4 * case.size


def test_a_turn_ends_when_no_thread_runs_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(worker.time, "perf_counter", lambda: now)
    monkeypatch.setattr(worker.time, "sleep", sleep)
    # A pool spins for 18 ms, and then sleeps.
    monkeypatch.setattr(worker.time, "process_time", lambda: min(now, 0.018))
    worker.come_to_rest()
    assert 0.018 < now < 0.03
    # One that never sleeps is not waited for.
    now = 0.0
    monkeypatch.setattr(worker.time, "process_time", lambda: now)
    worker.come_to_rest()
    assert worker.RESTLESS < now < worker.RESTLESS + 0.05
