"""What kernels do while they read: gathers, and blocks of arrays put side by side.

An op that only finds elements becomes part of the one kernel that reads them. A kernel looks at no
bounds. So a gather leaves behind a check of its indices, which raises as the gather would have; the
kernel waits for its result.
"""

from __future__ import annotations

from collections.abc import Iterator

from hybrid.core.graph import Node, Value
from hybrid.core.layout import Layout
from hybrid.records import dataclass
from hybrid.trace.passes.grouping import FUSABLE, Group, Grouping, bits
from hybrid.trace.unread import check_of

# A result smaller than this is in the cache when it is read, and a check costs as much as it.
LEAST = 1 << 13
# Rows shorter than this fill no vector: NumPy's gather, which copies them whole, is quicker
# (400,000 float32 in rows of 8: 0.20 ms inside a kernel, 0.09 outside; of 32: 0.075 and 0.088).
LEAST_ROW = 32
# Blocks are found once for each row or stretch of one, which costs less than a call of NumPy's at
# any size, but for short rows with a border (`pad(x, 1) * 2 + 1` of 100 x 100 x 3 float64: 0.30 ms
# inside a kernel, 0.13 outside; of 30 x 16 0.0026 and 0.0088).
LEAST_PADDED_ROW = 16
MOST_PADDED = 1 << 12
MOST_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class Found:
    """An op that a kernel does while it reads, and the check that runs before, if any."""

    node: Node
    check: Node | None


def read_inside(grouping: Grouping) -> dict[Value, Found]:
    """Return the ops that find elements, by their results, which the one group that reads does."""
    found = {}
    for node in grouping.graph.nodes:
        if not node.op.finds or not _fits(node):
            continue
        readers = list(_readers(grouping, node.output, through_views=node.op.picks))
        again = [g for g in grouping.each() if g.fusable and node.output in g.reads]
        if None in readers or len({*readers, *again}) != 1:
            continue
        if node.op.draws and not _in_rows(readers[0], node.output):
            continue
        found[node.output] = Found(node, check_of(node) if node.op.picks else None)
    return found


def _fits(node: Node) -> bool:
    """Tell whether a kernel can find the elements, and gains by it."""
    spec = node.output.spec
    if spec.dtype not in FUSABLE:
        return False
    if not all(isinstance(x, Value) and x.spec.size for x in node.inputs):
        return False
    row = (spec.shape or (1,))[-1]
    if node.op.blocks is None:
        return spec.size >= LEAST and row >= LEAST_ROW
    blocks = node.op.blocks(*(x.spec for x in node.inputs), **node.attrs)
    alike = all(x.spec.dtype == spec.dtype for x in node.inputs)
    if blocks is None or not alike or len(blocks[1]) > MOST_BLOCKS:
        return False
    return blocks[0] is None or row >= LEAST_PADDED_ROW or spec.size < MOST_PADDED


def is_copied(node: Node) -> bool:
    """Tell whether a kernel that does nothing else had better put blocks of an array elsewhere.

    NumPy's `roll` is Python: 10 us, and 20 along two axes, and no part of a native loop. What
    `parts` describes is written where it goes by those who compute it.
    """
    op = node.op
    return (
        op.blocks is not None
        and op.parts is None
        and node.output.spec.device == "cpu"
        and _fits(node)
    )


def _in_rows(reader: Group | None, value: Value) -> bool:
    """Tell whether a kernel wants each word once; those of reductions draw none in rows."""
    assert reader is not None
    return reader.axis is None and reader.scan is None and reader.space == value.spec.shape


def _readers(grouping: Grouping, value: Value, through_views: bool) -> Iterator[Group | None]:
    """Yield the groups that read a value, by itself or as a view; None for what is no kernel."""
    if value in grouping.kept_alive:
        yield None
    for i in bits(grouping.users.get(value, 0)):
        group, node = grouping.groups[i], grouping.graph.nodes[i]
        if group.fusable:
            yield group
        elif through_views and is_plain_view(node):
            yield from _readers(grouping, node.output, through_views)
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
