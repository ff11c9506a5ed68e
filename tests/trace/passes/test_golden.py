"""Printed graphs before and after each pass that changes them, as people read them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hybrid.core.graph import FuncGraph, format_graph, verify
from hybrid.trace.passes import PASSES, optimize
from tests.trace.passes.graphs import PROGRAMS, assert_same, check_bodies, sample, traced

GOLDEN = Path(__file__).parent / "golden"


def story(graph: FuncGraph) -> str:
    """Print a graph, and again after each pass that changed it."""
    text = [f"traced\n{format_graph(graph, lines=False)}"]
    for step in PASSES:
        new = verify(step.run(graph))
        if new is not graph:
            text.append(f"{step.name}\n{format_graph(new, lines=False)}")
        graph = new
    return "\n\n".join(text) + "\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_graph_after_each_pass(name):
    function, specs = PROGRAMS[name]
    found = story(traced(function, *specs))
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("HYBRID_UPDATE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text()


@pytest.mark.parametrize("name", PROGRAMS)
def test_optimized_programs_compute_the_same(name):
    function, specs = PROGRAMS[name]
    graph = traced(function, *specs)
    optimized = verify(optimize(graph))
    check_bodies(optimized)
    assert_same(graph, optimized, sample(graph), rtol=1e-5, atol=1e-6)
