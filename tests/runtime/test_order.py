"""The order of nodes: large arrays are free early, and the graph computes what it did."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.core.graph import FuncGraph, verify
from hybrid.runtime import order
from hybrid.runtime.memory import plan_memory
from hybrid.runtime.order import free_early
from hybrid.runtime.schedule import schedule
from tests.runtime.graphs import Sketch, draw_arrays, draw_graph, layouts_of


def two_layers(with_indices: bool = False) -> FuncGraph:
    """The gradients of two layers: by the input of the second first, as a tape gives them."""
    sketch = Sketch()
    x, w1, w2, g = (sketch.input(*s) for s in ((400, 50), (50, 500), (500, 30), (400, 30)))
    hidden = sketch("matmul", x, w1)
    slope = sketch("matmul", g, sketch("permute_dims", w2, axes=(1, 0)))
    turned = sketch("permute_dims", hidden, axes=(1, 0))
    by_w1 = sketch("matmul", sketch("permute_dims", x, axes=(1, 0)), slope)
    if with_indices:
        rows = sketch("gather", turned, sketch.input(3, dtype="int64"), at=0, axes=(0,))
        return sketch.graph(by_w1, rows)
    return sketch.graph(by_w1, sketch("matmul", turned, g))


def names(graph: FuncGraph) -> list[str]:
    return [str(node.output.spec.shape) for node in graph.nodes if node.op.name == "matmul"]


def test_the_last_reader_of_a_large_array_comes_before_the_next_large_array() -> None:
    graph = two_layers()
    assert names(graph) == ["(400, 500)", "(400, 500)", "(50, 500)", "(500, 30)"]
    ordered = verify(free_early(graph))
    assert names(ordered) == ["(400, 500)", "(500, 30)", "(400, 500)", "(50, 500)"]
    arrays = layouts_of(draw_arrays(random.Random(1), graph))
    before, after = (plan_memory(schedule(g, arrays)).arena for g in (graph, ordered))
    assert (before, after) == (2 * 400 * 500 * 4, 400 * 500 * 4)


def test_what_may_raise_an_error_stays() -> None:
    graph = two_layers(with_indices=True)
    computed = [node for node in graph.nodes if node.op.view is None]
    assert computed[-1].op.name == "gather"
    assert [node for node in free_early(graph).nodes if node.op.view is None] == computed


def test_what_is_returned_is_not_counted_as_freed() -> None:
    sketch = Sketch()
    x, y = sketch.input(300, 300), sketch.input(300, 5)
    kept = sketch("matmul", x, x)
    other = sketch("matmul", x, kept)
    graph = sketch.graph(other, kept, sketch("matmul", kept, y))
    assert free_early(graph) is graph


@settings(max_examples=50)
@given(st.integers(0, 10**6))
def test_any_order_is_one_in_which_the_nodes_can_run(seed: int) -> None:
    graph = draw_graph(random.Random(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "WORTH_MOVING", -1000)
        ordered = verify(free_early(graph))
    assert set(ordered.nodes) == set(graph.nodes)
    assert len(ordered.nodes) == len(graph.nodes)
