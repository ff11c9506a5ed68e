"""What a Python loop recorded step by step becomes a loop again, and computes the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.graph import FuncGraph, verify
from hybrid.trace.passes import optimize, rolling
from hybrid.trace.passes.repeats import periods
from tests.trace.passes.graphs import assert_same, loops, names, rolled, sample, show, spec, traced

STEPS = 40


def jacobi(p: hb.Tensor, b: hb.Tensor, steps: int = STEPS) -> hb.Tensor:
    for _ in range(steps):
        q = p.copy()
        p[1:-1, 1:-1] = (q[1:-1, 2:] + q[1:-1, :-2] + q[2:, 1:-1] + q[:-2, 1:-1]) / 4 - b
        p[0] = p[1]
    return p


GRID = (spec(6, 6), spec(4, 4))


def test_steps_of_slice_updates_become_one_loop_with_one_carry():
    graph = rolled(jacobi, *GRID)
    assert names(graph) == ["scan"]
    (loop,) = graph.nodes
    assert (loop.attrs["length"], loop.attrs["carries"]) == (STEPS, 1)


def test_what_comes_before_and_after_the_loop_stays():
    def program(p, b):
        p = hb.exp(p) * 0.125
        p = jacobi(p, b[1:5, 1:5])
        return hb.sum(p, axis=0), p

    assert names(rolled(program, spec(6, 6), spec(6, 6))).count("scan") == 1


def test_values_of_two_steps_back_are_carried():
    def leapfrog(u, w):
        before = u
        for _ in range(STEPS):
            u, before = (w @ u) * 0.25 - before, u
        return u, before

    assert loops(rolled(leapfrog, spec(4), spec(4, 4))) == [STEPS]


def test_a_result_of_the_last_step_that_no_step_reads_is_there_afterwards():
    def program(x, w):
        for _ in range(STEPS):
            y = hb.sum(w @ x)
            x = x * 0.5 + y
        return x, y

    assert loops(rolled(program, spec(4), spec(4, 4))) == [STEPS]


def test_loops_in_loops_are_rolled_inner_ones_first():
    def nest(x, w):
        for _ in range(12):
            for _ in range(40):
                x = hb.tanh(w @ x)
            x = x - hb.mean(x)
        return x

    graph = rolled(nest, spec(4), spec(4, 4))
    assert loops(graph) == [12]
    (outer,) = [node for node in graph.nodes if node.op.name == "scan"]
    assert loops(outer.attrs["body"]) == [40]


def test_a_first_step_that_differs_is_left_before_the_loop():
    def program(x, w):
        total = 0.0
        for _ in range(STEPS):
            x = w @ x
            total = total + hb.sum(x)
        return total

    assert loops(rolled(program, spec(4), spec(4, 4)))[0] >= STEPS - 2


def test_steps_that_differ_in_a_literal_end_the_loop():
    def program(x, w):
        for i in range(3 * STEPS):
            x = w @ x + (1.0 if i != STEPS else 2.0)
        return x

    first, second = loops(rolled(program, spec(4), spec(4, 4)))
    assert first < STEPS + 1
    assert second <= 2 * STEPS


def test_results_of_all_steps_in_a_list_are_stacked_by_the_loop():
    def program(x, w):
        kept = [hb.sum(x)]
        for _ in range(STEPS):
            x = w @ x
            kept.append(hb.sum(x))
        return hb.stack(kept), x

    graph = rolled(program, spec(4), spec(4, 4))
    assert loops(graph)[0] >= STEPS - 1
    found = names(optimize(graph))
    assert found.count("scan") == 1
    assert "slice" not in found
    assert len(found) < 10


def test_stacked_results_can_be_read_by_themselves_too():
    def program(x, w):
        kept = []
        for _ in range(STEPS):
            x = hb.tanh(w @ x)
            kept.append(x)
        return kept[0], kept[7] + kept[3], hb.stack(kept[::-1]), hb.stack(kept[9:21]), kept[5] * x

    graph = rolled(program, spec(4), spec(4, 4))
    assert loops(graph)[0] >= STEPS - 1
    assert_same(graph, verify(optimize(graph)), sample(graph), rtol=1e-6)


def test_an_early_result_that_is_read_alone_keeps_the_graph():
    def program(x, w):
        kept = []
        for _ in range(STEPS):
            x = hb.tanh(w @ x)
            kept.append(x)
        return kept[0] + kept[7], x

    graph = traced(program, spec(4), spec(4, 4))
    assert rolling.run(graph) is graph


def test_a_chain_that_fuses_into_one_kernel_stays_unrolled():
    def chain(x):
        for _ in range(STEPS):
            x = x * 0.5 + 1.0
        return x

    graph = traced(chain, spec(4))
    assert rolling.run(graph) is graph


def test_effects_are_never_rolled():
    def program(x, w):
        for _ in range(STEPS):
            x = w @ x
            hb.print("{}", x)
        return x

    graph = traced(program, spec(4), spec(4, 4))
    assert rolling.run(graph) is graph


@pytest.mark.parametrize("off", ["", "rolling"])
def test_gradients_through_a_compiled_loop_are_the_same(off, monkeypatch):
    monkeypatch.setenv("HYBRID_PASSES_OFF", off)

    @hb.compile
    def loss(x, w):
        for _ in range(STEPS):
            x = hb.tanh(w @ x)
        return hb.sum(x)

    x, w = np.linspace(-1, 1, 4), np.eye(4) * 0.5 + 0.1
    found = hb.grad(loss, argnums=1)(hb.asarray(x), hb.asarray(w))
    eager = hb.grad(loss.__wrapped__, argnums=1)(hb.asarray(x), hb.asarray(w))
    np.testing.assert_allclose(found.numpy(), eager.numpy(), rtol=1e-12)


def test_numpy_code_that_is_only_decorated_computes_the_same():
    p, b = np.linspace(0, 1, 36).reshape(6, 6), np.linspace(1, 2, 16).reshape(4, 4)
    wanted = jacobi(p.copy(), b, 100)
    np.testing.assert_array_equal(hb.compile(jacobi)(p.copy(), b, 100), wanted)


# --- drawn programs -------------------------------------------------------------------------------


@st.composite
def programs(draw: Callable) -> FuncGraph:
    """Draw loops of which each step applies the same drawn ops to a few carried values."""
    steps = st.lists(
        st.tuples(
            st.sampled_from(["add", "matmul", "slice", "update", "swap", "sum", "constant"]),
            st.integers(0, 5),
            st.integers(0, 5),
        ),
        min_size=2,
        max_size=5,
    )
    plan, count, odd = draw(steps), draw(st.integers(8, 20)), draw(st.integers(-1, 20))
    before, results = draw(st.integers(0, 3)), draw(st.integers(1, 3))

    def apply(kind: str, a: int, b: int, values: list[Any], w: hb.Tensor) -> None:
        x, y = values[a % len(values)], values[b % len(values)]
        if kind == "add":
            values[a % len(values)] = hb.maximum(x * 0.5 + y, -4.0)
        elif kind == "matmul":
            values[b % len(values)] = (w @ x) * 0.0625
        elif kind == "slice":
            values[a % len(values)] = hb.concat([y[1:], x[:1]])
        elif kind == "update":
            x = x.copy()
            x[1:3, 1] = y[:2, 2]
            values[b % len(values)] = x
        elif kind == "swap":
            values[0], values[a % len(values)] = values[a % len(values)], values[0]
        elif kind == "sum":
            values[a % len(values)] = y - hb.sum(x, axis=0) * 0.25
        else:
            values[a % len(values)] = w * 0.5 - x

    def program(x, y, w):
        values = [x, y, x + y]
        for _ in range(before):
            values[0] = w @ values[0]
        for i in range(count):
            for step in plan:
                apply(*step, values, w)
            if i == odd:
                values[0] = values[0] * 0.5
        return tuple(values[:results])

    return traced(program, *[spec(4, 4, dtype="float64")] * 3)


@given(graph=programs(), seed=st.integers(0, 99))
def test_drawn_loops_compute_the_same_bits(graph, seed):
    note(show(graph))
    new = verify(rolling.run(graph))
    note(show(new))
    assert_same(graph, new, sample(graph, seed))
    verify(optimize(graph))


@given(
    before=st.lists(st.integers(0, 2), max_size=9),
    part=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    after=st.lists(st.integers(0, 2), max_size=9),
    times=st.integers(3, 8),
)
def test_periods_are_found_wherever_a_sequence_repeats(before, part, after, times):
    codes = before + part * times + after
    found = list(periods(codes, times))
    for start, stop, period in found:
        assert stop - start >= times * period
        assert all(codes[i] == codes[i + period] for i in range(start, stop - period))
    begin, end = len(before), len(before) + times * len(part)
    assert any(a <= begin and end <= b and len(part) % p == 0 for a, b, p in found)
