"""What a gradient keeps of the forward pass, and what it computes again: a minimum cut.

Every value that the backward graph needs must follow from values that are kept. Keeping one costs
its bytes; what a fused kernel computes in passing can be computed again from its inputs, for
nothing; parameters are there in any case. The cheapest set is a minimum cut between the parameters
and the needs (He and Yu, "Transcending runtime-memory tradeoffs in checkpointing by being fusion
aware", MLSys 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from hybrid.core.graph import Node, Value
from hybrid.core.unknown import Unknown
from hybrid.kernels.spec import CHEAP_FUNCTIONS, called_functions
from hybrid.records import dataclass

_INFINITE = 2**30  # capacities are 32-bit integers
_LARGEST = 2**20  # of a value, after scaling


Cheap = Callable[[Node], bool]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the backward graph starts from.

    Attributes
    ----------
    values : tuple of Value
        Further results of the forward graph.
    again : tuple of Node
        The forward nodes that the backward graph runs once more, in order.
    """

    values: tuple[Value, ...]
    again: tuple[Node, ...]


def choose(
    forward: Sequence[Node],
    needed: Iterable[Value],
    outputs: Iterable[object],
    cheap: Cheap | None = None,
) -> Kept:
    """Choose what to keep.

    Parameters
    ----------
    forward : sequence of Node
        In order.
    needed : iterable of Value
        The results of these nodes that the backward graph takes.
    outputs : iterable
        The operands that the forward graph returns in any case: storing them costs nothing more.
    cheap : callable, optional
        Whether a node costs nothing to compute again; :func:`is_cheap` where left out.

    Returns
    -------
    Kept
    """
    makers = {value: node for node in forward for value in node.outputs}
    wanted = list(dict.fromkeys(needed))
    if not wanted:
        return Kept((), ())
    cheap = cheap or is_cheap
    within = _within_reach(wanted, makers, cheap)
    kept = _cut(within, wanted, makers, {x for x in outputs if isinstance(x, Value)}, cheap)
    again = _between(kept, wanted, makers)
    return Kept(tuple(v for v in within if v in kept), tuple(n for n in forward if n in again))


def is_cheap(node: Node) -> bool:
    """Tell whether a kernel computes the node in passing: a view, a cast, a few instructions."""
    op = node.op
    if op.impure or op.multi or op.bodies:
        return False
    if op.view is not None or op.name == "astype":
        return True
    if not op.elementwise or op.scalar is None:
        return False
    # Measured: an exponential per element costs about as much as storing and loading it again.
    return all(name in CHEAP_FUNCTIONS for name in called_functions(op.scalar))


def is_fusable(node: Node) -> bool:
    """Tell whether a kernel can compute the node among others, at whatever cost."""
    op = node.op
    return is_cheap(node) or (op.scalar is not None and not op.impure)


def _within_reach(wanted: list[Value], makers: dict[Value, Node], cheap: Cheap) -> list[Value]:
    """Return all values that might be kept: the wanted ones, and what they follow from."""
    found = dict.fromkeys(wanted)
    pending = list(wanted)
    while pending:
        node = makers[pending.pop()]
        if not cheap(node):
            continue
        for x in node.inputs:
            if isinstance(x, Value) and x in makers and x not in found:
                found[x] = None
                pending.append(x)
    return list(found)


def _cut(
    within: list[Value],
    wanted: list[Value],
    makers: dict[Value, Node],
    free: set[Value],
    cheap: Cheap,
) -> set[Value]:
    """Return the cheapest values from which the wanted ones follow."""
    largest = max(map(_bytes, within), default=0)
    scale = max(largest / _LARGEST, 1.0)
    number = {v: i for i, v in enumerate(within)}
    # Each value is an edge from its beginning (2i) to its end (2i + 1); source and sink come last.
    source, sink = 2 * len(within), 2 * len(within) + 1
    edges: list[tuple[int, int, int]] = []
    for value, i in number.items():
        cost = max(int(_bytes(value) / scale), 1) * 2
        edges.append((2 * i, 2 * i + 1, cost // 2 if value in free else cost))
        node = makers[value]
        if not cheap(node):
            edges.append((source, 2 * i, _INFINITE))
            continue
        for x in {x for x in node.inputs if isinstance(x, Value) and x in number}:
            edges.append((2 * number[x] + 1, 2 * i, _INFINITE))
    edges += [(2 * number[v] + 1, sink, _INFINITE) for v in wanted]
    reached = _source_side(edges, source, sink)
    return {v for v, i in number.items() if 2 * i in reached and 2 * i + 1 not in reached}


def _bytes(value: Value) -> int:
    """Return the size in bytes; of an unknown size that of this call, which serves as well."""
    size: Any = value.spec.nbytes
    found: int = size.hint if type(size) is Unknown else size
    return found


def _source_side(edges: list[tuple[int, int, int]], source: int, sink: int) -> set[int]:
    """Return the vertices that a maximum flow still leaves within reach of the source."""
    # Not at the top: it takes 0.17 s to import, which `import hybrid` does without.
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    starts, ends, capacities = (np.asarray(column, np.int32) for column in zip(*edges, strict=True))
    size = sink + 1
    graph = csr_array((capacities, (starts, ends)), shape=(size, size))
    left = graph - maximum_flow(graph, source, sink).flow
    left.eliminate_zeros()
    return set(breadth_first_order(left, source, return_predecessors=False).tolist())


def _between(kept: set[Value], wanted: list[Value], makers: dict[Value, Node]) -> set[Node]:
    """Return the nodes that lead from what is kept to what is wanted."""
    found: set[Node] = set()
    pending = [v for v in wanted if v not in kept]
    while pending:
        node = makers[pending.pop()]
        if node not in found:
            found.add(node)
            pending += [
                x for x in node.inputs if isinstance(x, Value) and x in makers and x not in kept
            ]
    return found
