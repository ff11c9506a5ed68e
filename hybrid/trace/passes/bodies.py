"""Bodies: the graphs inside of loops and branches go through all the passes too."""

from __future__ import annotations

from dataclasses import replace
from operator import is_
from typing import Any

from hybrid.core.graph import FuncGraph, Node, bodies_of


def run(graph: FuncGraph) -> FuncGraph:
    """Optimise the bodies of the nodes that have some."""
    nodes = tuple(map(_optimized, graph.nodes))
    if all(new is old for new, old in zip(nodes, graph.nodes, strict=True)):
        return graph
    return replace(graph, nodes=nodes)


def _optimized(node: Node) -> Node:
    from hybrid.trace.passes import optimize

    found: dict[str, Any] = {}
    for name in node.op.bodies:
        body = node.attrs[name]
        if isinstance(body, tuple):
            found[name] = tuple(map(optimize, body))
        else:
            found[name] = optimize(body)
    same = all(map(is_, bodies_of(replace(node, attrs=found)), bodies_of(node)))
    return node if same else replace(node, attrs={**node.attrs, **found})
