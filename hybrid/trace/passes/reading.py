"""What kernels read at indices: gathers that become part of the one kernel that reads them.

A kernel looks at no bounds. So the gather leaves behind a check of its indices, which raises as the
gather would have; the kernel waits for its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hybrid import dtypes
from hybrid.core.graph import Node, Value
from hybrid.core.layout import Layout
from hybrid.core.spec import TensorSpec
from hybrid.ops.indexing.gather import IN_BOUNDS
from hybrid.trace.passes.grouping import FUSABLE, Group, Grouping, bits

# A result smaller than this is in the cache when it is read, and a check costs as much as it.
LEAST = 1 << 13
# Rows shorter than this fill no vector: NumPy's gather, which copies them whole, is quicker
# (400,000 float32 in rows of 8: 0.20 ms inside a kernel, 0.09 outside; of 32: 0.075 and 0.088).
LEAST_ROW = 32


@dataclass(frozen=True, slots=True)
class Gathered:
    """A gather that a kernel does while it reads, and the check that runs before."""

    node: Node
    check: Node


def gathers_inside(grouping: Grouping) -> dict[Value, Gathered]:
    """Return the gathers, by their results, that the one group which reads them does itself."""
    found = {}
    for node in grouping.graph.nodes:
        if not node.op.picks or not _fits(node):
            continue
        readers = list(_readers(grouping, node.output))
        again = [g for g in grouping.each() if g.fusable and node.output in g.reads]
        if None in readers or len({*readers, *again}) != 1:
            continue
        found[node.output] = Gathered(node, _check(node))
    return found


def _fits(node: Node) -> bool:
    """Tell whether a kernel can do a gather, and gains by it."""
    spec = node.output.spec
    if spec.dtype not in FUSABLE or spec.size < LEAST or (spec.shape or (1,))[-1] < LEAST_ROW:
        return False
    return all(isinstance(x, Value) and x.spec.size for x in node.inputs)


def _readers(grouping: Grouping, value: Value) -> Iterator[Group | None]:
    """Yield the groups that read a value, by itself or as a view; None for what is no kernel."""
    if value in grouping.kept_alive:
        yield None
    for i in bits(grouping.users.get(value, 0)):
        group, node = grouping.groups[i], grouping.graph.nodes[i]
        if group.fusable:
            yield group
        elif is_plain_view(node):
            yield from _readers(grouping, node.output)
        else:
            yield None


def is_plain_view(node: Node) -> bool:
    """Tell whether a node is a view of its input however that lies in memory."""
    op = node.op
    if op.view is None or len(node.inputs) != 1 or not isinstance(node.inputs[0], Value):
        return False
    # No two of these strides fit together, so that a reshape which joins axes finds no view.
    shape = node.inputs[0].spec.shape
    odd = tuple(1_000_003 * (i + 2) ** 2 for i in range(len(shape)))
    return op.view(Layout(shape, odd), **node.attrs) is not None


def _check(node: Node) -> Node:
    base, *index = node.inputs
    attrs = {"axes": node.attrs["axes"], "shape": base.spec.shape}
    result = Value(TensorSpec((), dtypes.bool_, base.spec.device))
    return Node(IN_BOUNDS, tuple(index), attrs, (result,), node.line)
