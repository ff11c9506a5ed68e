"""The passes: what is done to a FuncGraph between its trace and its Plan.

Each pass is a module with ``run(graph) -> FuncGraph``; it rebuilds the graph and keeps what the
graph computes. A pass that finds nothing to do returns the graph that it was given. They are
switched off one by one with ``HYBRID_PASSES_OFF="fuse,cse"``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import groupby

from hybrid.core.graph import FuncGraph, verify
from hybrid.core.tracelog import counted, timed
from hybrid.records import dataclass
from hybrid.trace.passes import (
    algebra,
    apart,
    bodies,
    casts,
    cse,
    dead_code,
    expand,
    fold,
    fuse,
    invariants,
    keep_axes,
    layout,
    movement,
    rolling,
    unrolling,
)
from hybrid.trace.passes.settle import devices_of, settle

ROUNDS = 4  # of simplification at most: each finds less than the one before


@dataclass(frozen=True, slots=True)
class Pass:
    """A named step. Those that `simplify` enable each other: they run in turn until none finds
    anything more to do."""

    name: str
    run: Callable[[FuncGraph], FuncGraph]
    simplify: bool = True


PASSES: tuple[Pass, ...] = (
    Pass("rolling", rolling.run, simplify=False),
    Pass("invariants", invariants.run, simplify=False),
    Pass("unrolling", unrolling.run, simplify=False),
    Pass("expand", expand.run, simplify=False),
    Pass("cse", cse.run),
    Pass("fold", fold.run),
    Pass("algebra", algebra.run),
    Pass("casts", casts.run),
    Pass("movement", movement.run),
    Pass("layout", layout.run),
    Pass("keep_axes", keep_axes.run),
    Pass("dead_code", dead_code.run),
    Pass("fuse", fuse.run, simplify=False),
    Pass("bodies", bodies.run, simplify=False),
)


def optimize(graph: FuncGraph) -> FuncGraph:
    """Run all the passes over a graph.

    Parameters
    ----------
    graph : FuncGraph

    Returns
    -------
    FuncGraph
        It computes the same; elementwise ops and reductions are in `fused` nodes.
    """
    devices = devices_of(graph)
    with timed("passes") as entry:
        before = len(graph.nodes)
        if len(devices) > 1:
            graph = apart.run(dead_code.run(graph), lambda part, where: _optimized(part, {where}))
        else:
            graph = _optimized(graph, devices)
        entry.text = f"{graph.name}: {counted(before, 'node')} become {len(graph.nodes)}"
    return graph


def _optimized(graph: FuncGraph, devices: set[str]) -> FuncGraph:
    off = _switched_off()
    steps = [step for step in PASSES if step.name not in off]
    for simplify, group in groupby(steps, key=lambda step: step.simplify):
        graph = _in_turn(tuple(group), graph, ROUNDS if simplify else 1)
    return settle(graph, devices)


def _in_turn(steps: tuple[Pass, ...], graph: FuncGraph, rounds: int) -> FuncGraph:
    checked = int(os.environ.get("HYBRID_DEBUG") or 0) >= 1
    idle = 0  # steps in a row that changed nothing
    for step in steps * rounds:
        new = step.run(graph)
        idle = idle + 1 if new is graph else 0
        graph = new
        if checked:
            verify(graph)
        if idle == len(steps):
            break
    return graph


def _switched_off() -> frozenset[str]:
    names = os.environ.get("HYBRID_PASSES_OFF", "").replace(" ", "").split(",")
    return frozenset(name for name in names if name)
