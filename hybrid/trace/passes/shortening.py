"""Loops whose steps the tracer has not recorded, as a few steps: so *rolling* sees them in context.

What stands before and after such a loop is often one more step of it. So for the time of a search
the loop is some of its steps; a loop that is found around them is longer by all the others.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hybrid.core.graph import Builder, FuncGraph, Node, Operand, Value
from hybrid.records import dataclass

AGAIN = "again"
"""The name of the body of such a loop; see :mod:`hybrid.trace.skipping`."""
SHOWN = 12
"""How many steps are there for the search: more than rolling wants, and than values reach back."""


@dataclass(frozen=True, slots=True)
class Shortened:
    """Nodes `start` up to `stop` are `SHOWN` steps of `loop`; so many more are left out."""

    start: int
    stop: int
    left_out: int
    loop: Node

    @property
    def period(self) -> int:
        """The number of nodes in a step."""
        return (self.stop - self.start) // SHOWN

    @property
    def missing(self) -> int:
        """How many nodes are left out."""
        return self.left_out * self.period

    def within(self, start: int, stop: int, period: int) -> bool:
        """Tell whether a run of nodes with a period has nearly all of the steps."""
        few = 2 * self.period
        inside = start <= self.start + few and stop >= self.stop - few
        return inside and self.period % period == 0


def depth_of(node: Node) -> int:
    """Return how deep loops whose steps were not recorded lie in one; 0 for all other nodes."""
    if node.op.name != "scan" or node.attrs["body"].name != AGAIN:
        return 0
    body: FuncGraph = node.attrs["body"]
    if len(body.outputs) != node.attrs["carries"]:
        return 0  # its gradient wants to know of each step
    return 1 + max(map(depth_of, body.nodes), default=0)


def shortened(graph: FuncGraph, chosen: Collection[Node]) -> tuple[FuncGraph, list[Shortened]]:
    """Return a graph with some steps in the place of the chosen loops, and where these are."""
    builder = Builder()
    found = []
    for node in graph.nodes:
        if node not in chosen:
            builder.copy(node)
            continue
        start = len(builder.nodes)
        _show(builder, node)
        left_out = node.attrs["length"] - SHOWN
        found.append(Shortened(start, len(builder.nodes), left_out, node))
    return builder.finish(graph), found


def _show(builder: Builder, node: Node) -> None:
    """Append the nodes of some steps of a loop."""
    body: FuncGraph = node.attrs["body"]
    given = builder.operands(node)
    for _ in range(SHOWN):
        names: dict[Operand, Operand] = dict(zip(body.inputs, given, strict=True))
        for inner in body.nodes:
            inputs = tuple([names.get(x, x) for x in inner.inputs])
            outputs = tuple([Value(v.spec) for v in inner.outputs])
            builder.nodes.append(replace(inner, inputs=inputs, outputs=outputs))
            names.update(zip(inner.outputs, outputs, strict=True))
        results = tuple([names.get(x, x) for x in body.outputs])
        given = (*results, *given[len(results) :])
    builder.replaced.update(zip(node.outputs, given, strict=False))
