"""The code behind a decision is planned once, however many ways lead to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import FuncGraph
from hybrid.trace import sized
from hybrid.trace.same_graphs import SameGraphs, key_of


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FuncGraph]:
    """Return the graphs of which Plans are made."""
    graphs: list[FuncGraph] = []
    make = sized.make_plan

    def noted(graph: FuncGraph, *more: Any) -> Any:
        graphs.append(graph)
        return make(graph, *more)

    monkeypatch.setattr(sized, "make_plan", noted)
    return graphs


def graph_of(function: Callable[..., Any], *arguments: Any) -> FuncGraph:
    return hb.compile(function).get_concrete_function(*arguments).segments[0].graph


def test_ways_that_meet_again_share_their_plans(made):
    def f(x):
        x = x * 2 if x[0] > 0 else x - 1
        x = x * 3 if x[1] > 0 else x - 2
        x = x * 4 if x[2] > 0 else x - 3
        return x + 1 if x[0] > 1 else x

    compiled = hb.compile(f)
    rng = np.random.default_rng(0)
    for x in rng.standard_normal((60, 3)):
        np.testing.assert_array_equal(compiled(x), f(x))
    segments = compiled.get_concrete_function(np.ones(3)).segments
    assert len(made) <= 9 < 20 < len(segments)


def test_the_same_graph_for_another_object_is_planned_once(made):
    class Layer:
        def __init__(self, rate):
            self.rate = rate

        @hb.compile
        def step(self, x):
            return x * self.rate.sum()

    x = np.arange(3.0)
    layers = [Layer(np.full(2, float(rate))) for rate in range(4)]
    for layer in layers:
        np.testing.assert_array_equal(layer.step(x), x * layer.rate.sum())
    assert len(made) == 1


def test_layouts_of_their_own_have_plans_of_their_own(made):
    def f(x, flag):
        y = x * 2.0
        return (y, flag)[0]

    compiled = hb.compile(f)
    x = np.arange(6.0).reshape(2, 3)
    for array in (x, x.T, np.asfortranarray(x)):
        for flag in (True, False):
            np.testing.assert_array_equal(compiled(array, flag), array * 2.0)
    assert len(made) == 3


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x * 2.0 + 2,
        lambda x: x * 2 - 1,
        lambda x: x[:2] * 2 + 1,
        lambda x: (x * 2 + 1, x * 2),
        lambda x: x * -2.0 + 1,
    ],
)
def test_graphs_that_differ_have_keys_that_differ(other):
    def key(function, x):
        graph = graph_of(function, x)
        inputs, captures, nodes, outputs = key_of(graph)
        return inputs, captures, tuple(node[:-1] for node in nodes), outputs  # but for the lines

    x = np.arange(3.0)
    one = key(lambda x: x * 2 + 1, x)
    assert one == key(lambda y: y * 2 + 1, x)
    assert one != key(other, x)
    assert one != key(lambda x: x * 2 + 1, x.astype(np.float32))


def test_graphs_of_other_lines_have_other_keys():
    one = graph_of(lambda x: x * 2, np.ones(3))
    two = graph_of(lambda x: x * 2, np.ones(3))
    assert key_of(one) != key_of(two)


def test_zeros_of_other_signs_and_one_and_true_are_told_apart():
    keys = {key_of(graph_of(eval(f"lambda x: x * {c}"), np.ones(3))) for c in ("0.0", "-0.0")}
    assert len(keys) == 2


def test_what_acts_and_what_has_bodies_has_no_key():
    def prints(x):
        hb.print("x", x)
        return x

    def loops(x):
        return hb.fori_loop(0, 3, lambda i, y: y * 2, x)

    assert key_of(graph_of(prints, np.ones(3))) is None
    assert key_of(graph_of(loops, np.ones(3))) is None


def test_what_nobody_uses_any_more_is_not_kept():
    class Made:
        pass

    graphs: SameGraphs[Made] = SameGraphs()
    graph = graph_of(lambda x: x * 2, np.ones(3))
    first = Made()
    assert graphs.first(graph, (), first) is first
    assert graphs.first(graph, (), Made()) is first
    assert graphs.first(graph, 1, second := Made()) is second
    del first
    assert graphs.first(graph, (), third := Made()) is third
