"""The order of a graph's nodes: what frees more memory than it takes runs as soon as it can.

Where two nodes read an array, such as the products that give the gradients by a layer's weights and
by its input, a graph has them in the order in which they were traced. If the one that makes a small
result comes first, a large operand is free before the other takes memory for its result.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from dataclasses import replace

from hybrid.core.fused import is_view
from hybrid.core.graph import FuncGraph, Node, Value, has_effects, may_fail

# Of less, the order of the program is kept: it is what people read.
WORTH_MOVING = 1 << 16


def free_early(graph: FuncGraph) -> FuncGraph:
    """Order the nodes of a graph so that large arrays are read for the last time early.

    Parameters
    ----------
    graph : FuncGraph

    Returns
    -------
    FuncGraph
        Computes the same; the graph itself where nothing is worth moving.
    """
    order = _Order(graph)
    for number in range(len(graph.nodes)):
        order.emit(number)
    same = all(map(operator.is_, order.nodes, graph.nodes))
    return graph if same else replace(graph, nodes=tuple(order.nodes))


class _Order:
    """Which nodes have been emitted, and what that leaves."""

    def __init__(self, graph: FuncGraph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self._done = [False] * len(graph.nodes)
        self._maker: dict[Value, int] = {}
        self._holder: dict[Value, Value] = {}
        self._readers: dict[Value, set[int]] = defaultdict(set)
        for number, node in enumerate(graph.nodes):
            values = [x for x in node.inputs if isinstance(x, Value)]
            for value in node.outputs:
                self._maker[value] = number
            if is_view(node) and values:
                self._holder[node.output] = self._held(values[0])
            else:
                for value in values:
                    self._readers[self._held(value)].add(number)
        self._kept = {self._held(x) for x in graph.outputs if isinstance(x, Value)}

    def emit(self, number: int) -> None:
        """Append a node, and whatever frees memory now that this one has run."""
        pending = [number]
        while pending:
            found = pending.pop()
            if self._done[found]:
                continue
            self._append(found)
            node = self.graph.nodes[found]
            candidates: set[int] = set()
            for value in {self._held(x) for x in node.inputs if isinstance(x, Value)}:
                readers = self._readers[value]
                readers.discard(found)
                if len(readers) == 1:
                    candidates |= readers
            for value in node.outputs:
                candidates |= self._readers[value]
            worth = [other for other in candidates if self._worth_moving(other)]
            pending += sorted(worth, reverse=True)

    def _held(self, value: Value) -> Value:
        return self._holder.get(value, value)

    def _append(self, number: int) -> None:
        """Append a node after the views that it reads."""
        self._done[number] = True
        node = self.graph.nodes[number]
        for value in node.inputs:
            maker = self._maker.get(value) if isinstance(value, Value) else None
            if maker is not None and not self._done[maker]:
                self._append(maker)
        self.nodes.append(node)

    def _worth_moving(self, number: int) -> bool:
        node = self.graph.nodes[number]
        if has_effects(node) or may_fail(node.op, node.attrs):
            return False  # no error comes before another one
        values = {self._held(x) for x in node.inputs if isinstance(x, Value)}
        if any(value in self._maker and not self._done[self._maker[value]] for value in values):
            return False
        freed = sum(
            value.spec.nbytes
            for value in values
            if value in self._maker and value not in self._kept and len(self._readers[value]) == 1
        )
        return freed - sum(value.spec.nbytes for value in node.outputs) >= WORTH_MOVING
