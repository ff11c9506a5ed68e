"""Groups of nodes that can become one kernel, and when two of them may be one.

A group has an iteration space (a shape) and, if it reduces, the axes that it reduces. Its values
are inner (one per point of the space) or outer (one per point of the kept axes: results of the
reductions, and what is computed on their shape). Two groups merge if their spaces fit each other
(:func:`_fit`), if no path leads from one to the other through a third, and if it pays.

Sets of nodes are ints with one bit per node: reachability is then a few machine words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from math import prod

from hybrid import dtypes
from hybrid.core.graph import FuncGraph, Node, Value, has_effects
from hybrid.core.spec import Shape
from hybrid.dtypes import DType
from hybrid.kernels.loopnest import CHEAP_FUNCTIONS, COLUMN_BLOCK, called_functions
from hybrid.kernels.spec import holds_for_complex
from hybrid.records import dataclass

MAX_NODES = 256  # of a group: the compile time of a kernel grows with its body
MAX_ARRAYS = 48  # that a group reads: each takes a pointer register and a prefetch stream
# A region that uses its reduced values on the whole space is not split among threads within a
# row. So it needs rows enough for the threads, or a space that one thread is as quick with.
SMALL_SPACE = 1 << 16
ENOUGH_ROWS = 8
# Independent groups that share no input are put together only where the call is what costs.
SMALL_CALL = 1 << 14
SMALL_BODY = 48
# A scan along the innermost axis leaves the loop without vectors. What is cheap fills the time that
# each step waits for the one before; more would cost more than its way through memory.
SCAN_BODY = 16
# A producer on a smaller shape is computed anew at each point if it is small and cheap.
SPREAD_NODES = 4

_COMPLEX: frozenset[DType] = frozenset((dtypes.complex64, dtypes.complex128))
FUSABLE: frozenset[DType] = dtypes.SUPPORTED - _COMPLEX
# What float32 holds without rounding, so that a cast to 16 bits rounds once.
_EXACT_IN_SINGLE: frozenset[DType] = frozenset(
    d for d in FUSABLE if d.itemsize < 4 or d == dtypes.float32
)


def is_fusable(node: Node) -> bool:
    """Tell whether a node can be part of a kernel."""
    op = node.op
    if op.multi or op.impure or op.view is not None:
        return False
    if op.elementwise:
        if op.scalar is None and op.name != "astype":
            return False
    elif op.scan is not None:
        if not _is_same_dtype(node):
            return False
    elif op.reduce is None or not _is_canonical(node):
        return False
    found = {x.spec.dtype for x in (*node.inputs, *node.outputs)}
    if not found <= FUSABLE:
        return found <= FUSABLE | _COMPLEX and _fits_complex(node)
    return not any(map(dtypes.is_half, found)) or _fits_half(node)


def _fits_complex(node: Node) -> bool:
    """Tell whether kernels have an op for complex numbers; those of the CPU only."""
    if not node.op.elementwise or node.output.spec.device != "cpu":
        return False
    if node.op.name == "astype":
        # NumPy warns where it drops imaginary parts.
        return node.output.spec.dtype in _COMPLEX
    return node.op.scalar is not None and holds_for_complex(node.op.scalar)


def _fits_half(node: Node) -> bool:
    """Tell whether kernels round to 16 bits where eager code does: after each elementwise op."""
    if not node.op.elementwise:
        return False  # the `keep_axes` pass gives reductions and scans float32
    to_half = dtypes.is_half(node.output.spec.dtype)
    return not to_half or all(x.spec.dtype in _EXACT_IN_SINGLE for x in node.inputs)


def _is_canonical(node: Node) -> bool:
    """Tell whether a reduction has the form that the `keep_axes` pass gives it."""
    axis, spec = node.attrs["axis"], node.inputs[0].spec
    if not node.attrs["keepdims"] or not isinstance(node.inputs[0], Value):
        return False
    # Over no elements, or over one, a kernel has nothing to reduce.
    return spec.size > 0 and any(spec.shape[a] > 1 for a in axis)


def _is_same_dtype(node: Node) -> bool:
    """Tell whether a scan has something to do, in the dtype of its result."""
    source, spec = node.inputs[0], node.output.spec
    long = spec.size > 0 and spec.shape[node.attrs["axis"]] > 1
    return long and isinstance(source, Value) and source.spec.dtype == spec.dtype


def is_cheap(node: Node) -> bool:
    """Tell whether computing a node again costs less than reading its result from memory."""
    if node.op.scalar is None:
        return node.op.elementwise
    return all(name in CHEAP_FUNCTIONS for name in called_functions(node.op.scalar))


@dataclass(eq=False, slots=True)
class Group:
    """Nodes that run together: a kernel, or a single node that no kernel can hold.

    Attributes
    ----------
    members : int
        Bits of its nodes.
    before : int
        Bits of all nodes that must run before it.
    feeds : int
        Bits of the nodes whose results it reads.
    nodes : list of int
        Its nodes, in order.
    reads : set of Value
        What it reads from outside.
    space, axis : tuple of int
        The iteration space and the axes reduced, None without a reduction.
    scan : int, optional
        The axis of its scans.
    outer : set of Value
        Values on the kept axes.
    after : set of Value
        Values that depend on a reduction of this group.
    """

    members: int
    before: int
    feeds: int
    nodes: list[int]
    reads: set[Value]
    fusable: bool = False
    space: Shape = ()
    axis: tuple[int, ...] | None = None
    outer: set[Value] = field(default_factory=set)
    after: set[Value] = field(default_factory=set)
    scan: int | None = None

    @property
    def kept(self) -> Shape | None:
        """The space with the reduced axes at size 1."""
        if self.axis is None:
            return None
        return tuple(1 if i in self.axis else n for i, n in enumerate(self.space))


class Grouping:
    """A partition of the nodes of a graph into groups that can run one after the other.

    Nodes are entered one by one, in order; those entered so far can be merged.
    """

    def __init__(self, graph: FuncGraph) -> None:
        self.graph = graph
        self.groups: list[Group] = []  # by node; merged groups appear several times
        self.maker: dict[Value, int] = {}
        self.users: dict[Value, int] = {}
        self.kept_alive = {x for x in graph.outputs if isinstance(x, Value)}
        self._last_impure = 0
        for index, node in enumerate(graph.nodes):
            for x in node.inputs:
                if isinstance(x, Value):
                    self.users[x] = self.users.get(x, 0) | 1 << index

    def enter(self, index: int) -> Group:
        """Make the next node a group of its own."""
        node = self.graph.nodes[index]
        reads = {x for x in node.inputs if isinstance(x, Value)}
        feeds = 0
        for x in reads:
            if x in self.maker:
                feeds |= 1 << self.maker[x]
        if has_effects(node):
            # Effects keep their order.
            feeds, self._last_impure = feeds | self._last_impure, 1 << index
        before = feeds
        for i in bits(feeds):
            before |= self.groups[i].members | self.groups[i].before
        group = Group(1 << index, before, feeds, [index], reads)
        if is_fusable(node):
            group.fusable = True
            if node.op.reduce is None:
                group.space = node.output.spec.shape
                group.scan = node.attrs["axis"] if node.op.scan is not None else None
            else:
                group.space, group.axis = node.inputs[0].spec.shape, node.attrs["axis"]
                group.outer, group.after = {node.output}, {node.output}
        self.groups.append(group)
        for value in node.outputs:
            self.maker[value] = index
        return group

    # --- merging ----------------------------------------------------------------------------------

    def each(self) -> list[Group]:
        """Return the groups, each once, by their first nodes."""
        return list(dict.fromkeys(self.groups))

    def producers(self, group: Group) -> list[Group]:
        """Return the fusable groups whose results `group` reads, the largest space first."""
        found = {self.groups[i] for i in bits(group.feeds)}
        fusable = [g for g in found if g.fusable and g is not group]
        return sorted(fusable, key=lambda g: (-prod(g.space), -g.nodes[-1]))

    def merge(self, first: Group, second: Group) -> Group | None:
        """Make one group of two, where `second` may read results of `first`; None if it cannot."""
        if len(first.nodes) + len(second.nodes) > MAX_NODES:
            return None
        shape = self._fit(first, second) if self._scans_fit(first, second) else None
        if shape is None or self._between(first, second) or self._between(second, first):
            return None
        reads = {
            x
            for x in first.reads | second.reads
            if not (x in self.maker and 1 << self.maker[x] & (first.members | second.members))
        }
        if len(reads) > MAX_ARRAYS:
            return None
        after = self._after(first, second)
        if after is None:
            return None
        space, axis, outer = shape
        members = first.members | second.members
        merged = Group(
            members,
            (first.before | second.before) & ~members,
            (first.feeds | second.feeds) & ~members,
            sorted(first.nodes + second.nodes),
            reads,
            True,
            space,
            axis,
            outer,
            after,
            first.scan if second.scan is None else second.scan,
        )
        for i in merged.nodes:
            self.groups[i] = merged
        self._push_down(merged)
        return merged

    def _push_down(self, merged: Group) -> None:
        """Let what runs behind part of a new group run behind all that it needs."""
        reach = merged.members | merged.before
        members = merged.members
        for group in self.groups[merged.nodes[0] :]:
            if group.before & members:
                group.before |= reach

    def _between(self, first: Group, second: Group) -> bool:
        """Tell whether a path leads from `first` to `second` through a third group."""
        if not second.before & first.members:
            return False
        for i in bits(second.feeds & ~first.members):
            if self.groups[i].before & first.members:
                return True
        return False

    def _fit(
        self, first: Group, second: Group
    ) -> tuple[Shape, tuple[int, ...] | None, set[Value]] | None:
        """Return space, axes and outer values of two groups in one, or None."""
        if first.space == second.space:
            if first.axis is None or second.axis is None or first.axis == second.axis:
                axis = second.axis if first.axis is None else first.axis
                return first.space, axis, first.outer | second.outer
            return None
        if second.axis is None and second.space == first.kept:
            return first.space, first.axis, first.outer | self._results(second)
        if first.axis is None and first.space == second.kept:
            return second.space, second.axis, second.outer | self._results(first)
        if first.axis is None and self._spreads(first, second):
            return second.space, second.axis, second.outer
        return None

    def _scans_fit(self, first: Group, second: Group) -> bool:
        """Tell whether the scans of two groups, if any, allow them to be one."""
        scans = {g.scan for g in (first, second) if g.scan is not None}
        if not scans:
            return True
        if len(scans) > 1 or first.axis is not None or second.axis is not None:
            return False
        if first.scan is not None and first.space != second.space:
            return False
        (axis,) = scans
        if any(n > 1 for n in second.space[axis + 1 :]):
            return True
        nodes = [self.graph.nodes[i] for i in (*first.nodes, *second.nodes)]
        cheap = all(node.op.scan is not None or is_cheap(node) for node in nodes)
        return cheap and len(nodes) <= SCAN_BODY

    def _results(self, group: Group) -> set[Value]:
        return {self.graph.nodes[i].output for i in group.nodes}

    def _spreads(self, first: Group, second: Group) -> bool:
        """Tell whether `first` may be computed anew at each point of the larger space."""
        lead = len(second.space) - len(first.space)
        if lead < 0 or any(a not in (1, b) for a, b in zip(first.space, second.space[lead:])):
            return False
        nodes = [self.graph.nodes[i] for i in first.nodes]
        if len(nodes) > SPREAD_NODES or not all(map(is_cheap, nodes)):
            return False
        inside = first.members | second.members
        return all(
            node.output not in self.kept_alive and not self.users.get(node.output, 0) & ~inside
            for node in nodes
        )

    def _after(self, first: Group, second: Group) -> set[Value] | None:
        """Return the values that depend on reductions, or None where another pass does not pay."""
        after = first.after | second.after
        if not first.after or not second.reads & first.after:
            return after
        outer = first.outer | second.outer
        if second.axis is None and second.space == first.kept and second.space != first.space:
            outer = outer | self._results(second)
        may_pass_again = passes_pay(first.space, first.axis or ())
        for i in second.nodes:
            node = self.graph.nodes[i]
            if after.isdisjoint(node.inputs):
                continue
            if not may_pass_again and (node.op.reduce is not None or node.output not in outer):
                return None
            after.add(node.output)
        return after


def passes_pay(space: Shape, axis: tuple[int, ...]) -> bool:
    """Tell whether a kernel should use the reduced values on the whole space in further passes."""
    size = prod(space)
    if size <= SMALL_SPACE:
        return True
    kept = prod(n for i, n in enumerate(space) if i not in axis)
    innermost = max((i for i, n in enumerate(space) if n > 1), default=0)
    items = kept if innermost in axis else -(-kept // COLUMN_BLOCK)
    return items >= ENOUGH_ROWS


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
