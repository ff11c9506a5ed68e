"""Dead code: nodes whose results nobody reads."""

from __future__ import annotations

from dataclasses import replace

from hybrid.core.graph import FuncGraph, Value


def run(graph: FuncGraph) -> FuncGraph:
    """Drop the nodes that no output depends on; impure ones stay."""
    live = {x for x in graph.outputs if isinstance(x, Value)}
    kept = []
    for node in reversed(graph.nodes):
        if node.op.impure or not live.isdisjoint(node.outputs):
            live.update(x for x in node.inputs if isinstance(x, Value))
            kept.append(node)
    if len(kept) == len(graph.nodes):
        return graph
    return replace(graph, nodes=tuple(reversed(kept)))
