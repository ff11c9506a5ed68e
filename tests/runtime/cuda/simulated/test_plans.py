"""Whole programs on a simulated card give what they give on the CPU."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hybrid.core.graph import FuncGraph
from hybrid.core.interpret import interpret
from hybrid.core.spec import TensorSpec
from hybrid.runtime.cuda.plan import plan_for_card
from hybrid.runtime.plan import Plan
from hybrid.trace.passes import optimize
from tests.runtime.cuda.fake import FakeCard
from tests.runtime.cuda.programs import PROGRAMS, Program
from tests.runtime.graphs import draw_arrays, draw_graph, layouts_of
from tests.trace.passes.graphs import traced

Array = np.ndarray[Any, Any]


def graph_of(program: Program) -> FuncGraph:
    dtypes = program.dtypes or ("float32",) * len(program.shapes)
    specs = [TensorSpec(s, np.dtype(d)) for s, d in zip(program.shapes, dtypes, strict=True)]
    return traced(program.function, *specs)


def arrays_for(graph: FuncGraph, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal(v.spec.shape) * (3 if v.spec.dtype.kind == "i" else 1)).astype(
            v.spec.dtype
        )
        for v in graph.parameters
    ]


def planned(graph: FuncGraph, arrays: Sequence[Any], card: FakeCard) -> Plan:
    host = frozenset(n for n, value in enumerate(graph.parameters) if value.spec.weak)
    return plan_for_card(graph, layouts_of(arrays), card, host)


def on_card(card: FakeCard, arrays: Sequence[Any]) -> list[Any]:
    return [card.put(x) if isinstance(x, np.ndarray) else x for x in arrays]


def check(plan: Plan, card: FakeCard, graph: FuncGraph, arrays: Sequence[Any]) -> None:
    """Run a Plan on a card, and compare with the CPU; arguments stay as they are."""
    given = on_card(card, arrays)
    results = plan.run(*given)
    with np.errstate(all="ignore"):
        wanted = interpret(graph, arrays)
    for found, want in zip(results, wanted, strict=True):
        assert (found.shape, found.dtype) == (want.shape, want.dtype)
        assert not any(np.shares_memory(found, x) for x in given if isinstance(x, np.ndarray))
        if want.dtype.kind in "biu":
            np.testing.assert_array_equal(found, want)
        else:
            rough = want.dtype.itemsize == 2
            rtol, atol = (0.02, 0.02) if rough else (2e-5, 2e-5)
            wide = np.complex128 if want.dtype.kind == "c" else np.float64
            np.testing.assert_allclose(found.astype(wide), want.astype(wide), rtol=rtol, atol=atol)
    for x, y in zip(given, arrays, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    graph = graph_of(PROGRAMS[name])
    arrays, card = arrays_for(graph), FakeCard()
    plan = planned(optimize(graph), arrays, card)
    check(plan, card, graph, arrays)
    check(plan, card, graph, arrays_for(graph, 1))


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs(seed: int) -> None:
    """Fused nodes, views and library calls; arguments transposed, strided and reversed."""
    rng = random.Random(seed)
    graph = draw_graph(rng)
    arrays, card = draw_arrays(rng, graph), FakeCard()
    plan = planned(graph, arrays, card)
    check(plan, card, graph, arrays)
