"""Dead code: nodes whose results nobody reads, and what loops and branches compute in vain."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress

from hybrid.core.graph import FuncGraph, Node, Value, has_effects


def run(graph: FuncGraph) -> FuncGraph:
    """Drop the nodes that no output depends on; those with effects stay."""
    live = {x for x in graph.outputs if isinstance(x, Value)}
    kept: list[Node] = []
    changed = False
    for node in reversed(graph.nodes):
        if not live.isdisjoint(node.outputs) or has_effects(node):
            narrow = node if node.op.narrow is None else _narrowed(node, live)
            changed = changed or narrow is not node
            for x in narrow.inputs:
                if type(x) is Value:
                    live.add(x)
            kept.append(narrow)
    if len(kept) == len(graph.nodes) and not changed:
        return graph
    return replace(graph, nodes=tuple(reversed(kept)))


def _narrowed(node: Node, live: set[Value]) -> Node:
    """Return a node with bodies without the results that nobody reads, and what only they need."""
    assert node.op.narrow is not None
    found = node.op.narrow(tuple(v in live for v in node.outputs), **node.attrs)
    if found is None:
        return node
    inputs, outputs, attrs = found
    return replace(
        node,
        inputs=tuple(compress(node.inputs, inputs)),
        outputs=tuple(compress(node.outputs, outputs)),
        attrs=attrs,
    )
