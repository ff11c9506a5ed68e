"""Which parameters some results of a body need; the body without all the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress

from hybrid.core.graph import FuncGraph, Value, has_effects


def needs(graph: FuncGraph, outputs: Sequence[bool]) -> tuple[bool, ...]:
    """Return which inputs the chosen outputs, and the effects, depend on."""
    live = {x for x in compress(graph.outputs, outputs) if isinstance(x, Value)}
    for node in reversed(graph.nodes):
        if not live.isdisjoint(node.outputs) or has_effects(node):
            live.update(x for x in node.inputs if isinstance(x, Value))
    return tuple(v in live for v in graph.inputs)


def narrowed(graph: FuncGraph, inputs: Sequence[bool], outputs: Sequence[bool]) -> FuncGraph:
    """Return a graph with the chosen inputs and outputs only."""
    from hybrid.trace.passes import dead_code

    chosen = replace(
        graph,
        inputs=tuple(compress(graph.inputs, inputs)),
        outputs=tuple(compress(graph.outputs, outputs)),
    )
    return dead_code.run(chosen)


def live_carries(
    graphs: Sequence[tuple[FuncGraph, Sequence[bool]]], used: Sequence[bool], carries: int
) -> tuple[bool, ...]:
    """Return which carries of a loop matter.

    Parameters
    ----------
    graphs : sequence of (FuncGraph, outputs)
        Those whose first inputs are the carries, and which further outputs are wanted; the first
        graph is the body, whose first outputs are the next carries.
    used : sequence of bool
        Which carries are wanted at the end.
    carries : int
    """
    live = list(used)
    while True:
        before = list(live)
        for i, (graph, wanted) in enumerate(graphs):
            outputs = (*live, *wanted) if i == 0 else tuple(wanted)
            needed = needs(graph, outputs)[:carries]
            live = [a or b for a, b in zip(live, needed, strict=True)]
        if live == before:
            return tuple(live)
