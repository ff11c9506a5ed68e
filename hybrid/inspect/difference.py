"""Where the eager and the traced result of a function part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.core import dispatch
from hybrid.core.containers import leaves_of
from hybrid.core.graph import FuncGraph, Node, Value, has_effects
from hybrid.core.interpret import interpret
from hybrid.core.places import on_cpu
from hybrid.core.source import SourceLine
from hybrid.core.tensor import Array, Tensor
from hybrid.core.variable import Variable
from hybrid.inspect.ulp import max_ulp
from hybrid.records import dataclass
from hybrid.runtime.arguments import layout_of
from hybrid.runtime.plan import make_plan
from hybrid.trace import passes
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.meeting import follow
from hybrid.trace.sources import contents, start

_MOST_BYTES = 2**30  # of all intermediate values at once; beyond, no search is made


@dataclass(frozen=True, slots=True)
class Origin:
    """The first op whose traced result differs from the eager one.

    Parameters
    ----------
    op : str
    line : SourceLine, optional
        Of the user's code.
    ulp : float
        How far apart the results of this op are.
    """

    op: str
    line: SourceLine | None
    ulp: float

    def __str__(self) -> str:
        where = f" ({self.line})" if self.line else ""
        return f"{self.op}{where}, {self.ulp:g} ULP there"


def results(returned: Any) -> list[Array]:
    """Return copies of the numeric leaves of what a function returned."""
    leaves = leaves_of(returned)
    numeric = (Tensor, Variable, np.ndarray, np.generic, bool, int, float, complex)
    return [_array(x) for x in leaves if isinstance(x, numeric)]


def largest(expected: Sequence[Array], found: Sequence[Array]) -> float:
    """Return the largest distance of two lists of results, in ULP.

    It is infinite where they differ in number, shape or dtype.
    """
    if len(expected) != len(found):
        return float("inf")
    return max((_distance(a, b) for a, b in zip(expected, found, strict=True)), default=0.0)


def _distance(a: Array, b: Array) -> float:
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    return max_ulp(a, b)


def find_origin(concrete: ConcreteFunction, leaves: Sequence[Any]) -> Origin | None:
    """Return the first op that differs on the path that the arguments take through a trace.

    Each segment is interpreted node by node with the eager forms, and compared with a Plan of the
    same graph that returns the result of every node. Keeping every result can hide a difference
    that comes from rewriting the graph; then the graph is cut shorter and shorter instead.

    Parameters
    ----------
    concrete : ConcreteFunction
    leaves : sequence
        The flattened arguments. The segments are run, and their writes committed.

    Returns
    -------
    Origin or None
        None where no op differs by itself, or where the values do not fit in memory.
    """
    with dispatch.scope(tapes=()):
        return _find_origin(concrete, leaves)


def _find_origin(concrete: ConcreteFunction, leaves: Sequence[Any]) -> Origin | None:
    environment = start(leaves)
    segment = concrete.root
    while segment is not None:
        known = [*environment, *(contents(source, leaves) for source in segment.captured)]
        found = _first_difference(
            segment.sized(leaves).graph, [known[i] for i in segment.parameters]
        )
        if found is not None:
            return found
        segment.run(environment, leaves)
        if segment.guard is None:
            return None
        at = segment.arrive(environment)
        segment = follow(at, at.decide(environment, leaves))
    return None


def _first_difference(graph: FuncGraph, arrays: Sequence[Any]) -> Origin | None:
    nodes = [n for n in graph.nodes if not has_effects(n)]
    if sum(v.spec.nbytes for n in nodes for v in n.outputs) > _MOST_BYTES:
        return None
    everything = tuple(v for n in nodes for v in n.outputs)
    expected = dict(zip(everything, _eager(graph, everything, arrays), strict=True))
    found = dict(zip(everything, _traced(graph, everything, arrays), strict=True))
    ends = [n for n in nodes if any(v in graph.outputs for v in n.outputs)]
    differing = [n for n in ends if _compared(n, expected, found)]
    for node in _ancestors(nodes, differing):
        origin = _compared(node, expected, found)
        if origin is not None:
            return origin
    return _bisect(graph, nodes, ends, expected, arrays)


def _compared(node: Node, expected: dict[Value, Array], found: dict[Value, Array]) -> Origin | None:
    ulp = largest([expected[v] for v in node.outputs], [found[v] for v in node.outputs])
    return Origin(node.op.name, node.line, ulp) if ulp else None


def _bisect(
    graph: FuncGraph,
    nodes: list[Node],
    ends: list[Node],
    expected: dict[Value, Array],
    arrays: Sequence[Any],
) -> Origin | None:
    """Cut the graph behind one node at a time, as the passes see it then."""

    def origin(node: Node) -> Origin | None:
        found = _traced(graph, node.outputs, arrays)
        return _compared(node, expected, dict(zip(node.outputs, found, strict=True)))

    end = next((n for n in ends if origin(n)), None)
    if end is None:
        return None
    path = _ancestors(nodes, [end])
    low, high = 0, len(path) - 1
    while low < high:
        middle = (low + high) // 2
        if origin(path[middle]):
            high = middle
        else:
            low = middle + 1
    return origin(path[low])


def _array(x: Any) -> Array:
    return np.array(x.numpy() if isinstance(x, Tensor | Variable) else x)


def _ancestors(nodes: list[Node], ends: Sequence[Node]) -> list[Node]:
    """Return the nodes that `ends` depend on, themselves included, in order."""
    needed: set[Any] = {v for end in ends for v in end.outputs}
    kept: list[Node] = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(x for x in node.inputs if isinstance(x, Value))
            kept.append(node)
    return kept[::-1]


def _cut(graph: FuncGraph, outputs: tuple[Value, ...]) -> FuncGraph:
    return replace(graph, outputs=outputs)


def _eager(graph: FuncGraph, outputs: tuple[Value, ...], arrays: Sequence[Any]) -> list[Array]:
    with np.errstate(all="ignore"):
        return [np.array(on_cpu(x)) for x in interpret(_cut(graph, outputs), arrays)]


def _traced(graph: FuncGraph, outputs: tuple[Value, ...], arrays: Sequence[Any]) -> list[Array]:
    layouts = tuple(map(layout_of, arrays))
    plan = make_plan(passes.optimize(_cut(graph, outputs)), layouts)
    return list(map(on_cpu, plan.run(*arrays)))
