"""Fusion: nodes that can share a loop nest become one `fused` node, which becomes one kernel.

Elementwise chains are grouped with their consumers, with the reductions that read them and with
what uses the reduced values; independent groups over the same space that read the same arrays are
put together too. What may be a group is decided in :mod:`hybrid.trace.passes.grouping`.
"""

from __future__ import annotations

from dataclasses import field, replace
from math import prod

from hybrid.core.fused import FUSED
from hybrid.core.graph import Builder, FuncGraph, Node, Value, last_uses
from hybrid.records import dataclass
from hybrid.trace.passes import dead_code
from hybrid.trace.passes.grouping import (
    SMALL_BODY,
    SMALL_CALL,
    SPREAD_NODES,
    Group,
    Grouping,
    bits,
    is_cheap,
    is_fusable,
)
from hybrid.trace.passes.reading import Found, is_copied, is_plain_view, read_inside

# What leads from where to where is a bit for each pair of nodes. So a long graph is cut, which
# leaves one more kernel in 2,000 nodes; 9,000 nodes in one took 70 us each, so they take 20.
PIECE = 2048


def run(graph: FuncGraph) -> FuncGraph:
    """Put fusable nodes into `fused` nodes, in the form that :mod:`hybrid.core.fused` states."""
    if not any(is_fusable(node) or is_copied(node) for node in graph.nodes):
        return graph
    nodes = tuple(node for piece in _pieces(graph) for node in _fused_nodes(piece))
    return dead_code.run(replace(graph, nodes=nodes))


def _pieces(graph: FuncGraph) -> list[FuncGraph]:
    """Cut a long graph into pieces of at most PIECE nodes, all of about the same length."""
    total = len(graph.nodes)
    if total <= PIECE:
        return [graph]
    last = last_uses(graph)
    size = -(-total // -(-total // PIECE))
    pieces = []
    for start in range(0, total, size):
        stop = min(start + size, total)
        nodes = graph.nodes[start:stop]
        read_later = tuple(v for n in nodes for v in n.outputs if last.get(v, -1) >= stop)
        pieces.append(replace(graph, nodes=nodes, outputs=read_later))
    return pieces


def _fused_nodes(graph: FuncGraph) -> list[Node]:
    grouping = Grouping(graph)
    for index in range(len(graph.nodes)):
        _join_producers(grouping, grouping.enter(index))
    _join_consumers(grouping)
    _join_siblings(grouping)
    again = _computed_again(grouping)
    finds = read_inside(grouping)
    found = (_node_of(group, grouping, again, finds) for group in _in_order(grouping))
    return [node for node in found if node and (node.op is not FUSED or node.outputs)]


# --- who goes with whom ---------------------------------------------------------------------------


def _join_producers(grouping: Grouping, group: Group) -> bool:
    """Merge a group with those whose results it reads, where that can be."""
    joined = False
    for producer in grouping.producers(group) if group.fusable else ():
        merged = grouping.merge(producer, group)
        if merged is not None:
            group, joined = merged, True
    return joined


def _join_consumers(grouping: Grouping) -> None:
    """Merge what could not be merged before its neighbours were, until nothing changes."""
    changed = True
    while changed:
        changed = False
        for group in grouping.each():
            if grouping.groups[group.nodes[0]] is group:
                changed = _join_producers(grouping, group) or changed


def _join_siblings(grouping: Grouping) -> None:
    """Merge groups over the same space that do not depend on each other."""
    rows: dict[object, list[Group]] = {}
    for group in grouping.each():
        if group.fusable:
            rows.setdefault(group.space, []).append(group)
    for row in rows.values():
        joined: list[Group] = []
        for group in row:
            for i, other in enumerate(joined):
                if not _independent(other, group) or not _siblings_pay(other, group):
                    continue
                merged = grouping.merge(other, group)
                if merged is not None:
                    joined[i] = merged
                    break
            else:
                joined.append(group)


def _independent(a: Group, b: Group) -> bool:
    return not (a.before & b.members or b.before & a.members)


def _siblings_pay(a: Group, b: Group) -> bool:
    # A reduction and a map that share a small input only would lose more by waiting for each
    # other than they gain; a shared array of the size of the space is read once instead of twice.
    size = prod(a.space)
    if any(x.spec.size == size for x in a.reads & b.reads):
        return True
    return size <= SMALL_CALL and len(a.nodes) + len(b.nodes) <= SMALL_BODY


def _in_order(grouping: Grouping) -> list[Group]:
    """Return the groups in an order in which they can run, near to that of the nodes."""
    ordered: list[Group] = []
    done = 0
    for start in grouping.groups:
        stack = [start]
        while stack:
            group = stack[-1]
            if group.members & done:
                stack.pop()
                continue
            waiting = [grouping.groups[i] for i in bits(group.feeds & ~done)]
            if waiting:
                stack += reversed(waiting)
                continue
            stack.pop()
            ordered.append(group)
            done |= group.members
    return ordered


# --- what is computed again rather than stored ----------------------------------------------------

Chains = dict[Value, tuple[Node, ...]]
"""For each value that its readers compute themselves, the nodes that they do it with."""


def _computed_again(grouping: Grouping) -> Chains:
    """Find values that only other kernels read and that cost these less than reading them."""
    found: Chains = {}
    stored = set(grouping.kept_alive)
    for group in grouping.each():
        for i in group.nodes if group.fusable else ():
            value = grouping.graph.nodes[i].output
            outside = grouping.users.get(value, 0) & ~group.members
            if not outside or value in stored:
                continue
            readers = {grouping.groups[j] for j in bits(outside)}
            chain = _chain(value, group.reads | stored, grouping)
            if chain and all(_computes(reader, chain, value) for reader in readers):
                found[value] = chain
                for reader in readers:
                    reader.reads = reader.reads - {value} | _sources(chain)
            else:
                stored.add(value)
    return found


def _chain(value: Value, known: set[Value], grouping: Grouping) -> tuple[Node, ...]:
    """Return the few cheap nodes that make `value` from what is `known`; none if it takes more."""
    chain: dict[Value, Node] = {}
    waiting = [value]
    while waiting:
        x = waiting.pop()
        if x in chain or x in known:
            continue
        node = grouping.graph.nodes[grouping.maker[x]]
        if not is_cheap(node) or len(chain) == SPREAD_NODES:
            return ()
        chain[x] = node
        waiting += [y for y in node.inputs if isinstance(y, Value)]
    return tuple(sorted(chain.values(), key=lambda node: grouping.maker[node.output]))


def _computes(reader: Group, chain: tuple[Node, ...], value: Value) -> bool:
    """Tell whether a group had better compute `value` than read it."""
    if not reader.fusable:
        return False
    more = (x.spec for x in _sources(chain) - reader.reads)
    return sum(spec.nbytes for spec in more if spec.size > 1) <= value.spec.nbytes


def _sources(chain: tuple[Node, ...]) -> set[Value]:
    """Return what a chain of nodes reads from outside."""
    read = {x for node in chain for x in node.inputs if isinstance(x, Value)}
    return read - {node.output for node in chain}


# --- bodies ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Body:
    """A body under construction: fresh Values for everything in it."""

    grouping: Grouping
    again: Chains
    finds: dict[Value, Found]
    builder: Builder = field(default_factory=Builder)
    inputs: dict[Value, Value] = field(default_factory=dict)
    checks: set[Value] = field(default_factory=set)

    def read(self, value: Value) -> Value:
        """Return the Value inside that stands for one outside.

        Views become part of the body, and ops that find elements for this body alone.
        """
        known = self.builder.replaced.get(value)
        if isinstance(known, Value):
            return known
        if value in self.again:
            for node in self.again[value]:
                if node.output not in self.builder.replaced:
                    self.add(node)
            return self.read(value)
        inside: Value
        made = self.grouping.maker.get(value)
        view = None if made is None else self.grouping.graph.nodes[made]
        if view is not None and is_plain_view(view):
            source = view.inputs[0]
            assert isinstance(source, Value)
            (inside,) = self.builder.emit(view.op, (self.read(source),), view.attrs, view.line)
        elif value in self.finds:
            node, check = self.finds[value].node, self.finds[value].check
            sources = tuple(self.read(x) for x in node.inputs if isinstance(x, Value))
            (inside,) = self.builder.emit(node.op, sources, node.attrs, node.line)
            if check is not None:
                self.inputs[check.output] = Value(check.output.spec)
                self.checks.add(check.output)
        else:
            inside = self.inputs[value] = Value(value.spec)
        self.builder.replace(value, inside)
        return inside

    def add(self, node: Node) -> None:
        """Append a node of the graph."""
        for x in node.inputs:
            if isinstance(x, Value):
                self.read(x)
        outputs = tuple(Value(v.spec) for v in node.outputs)
        inputs = self.builder.operands(node)
        # Of hundreds of nodes: `replace` takes 3 us.
        self.builder.nodes.append(Node(node.op, inputs, node.attrs, outputs, node.line))
        for old, new in zip(node.outputs, outputs, strict=True):
            self.builder.replace(old, new)


def _node_of(
    group: Group, grouping: Grouping, again: Chains, finds: dict[Value, Found]
) -> Node | None:
    """Return the node that stands for a group; None for one that is part of another."""
    graph = grouping.graph
    members = [graph.nodes[i] for i in group.nodes]
    if not group.fusable:
        (node,) = members
        if not node.op.multi and node.output in finds:
            return finds[node.output].check
        if not is_copied(node):
            return node
    body = _Body(grouping, again, finds)
    outputs: list[Value] = []
    for node in members:
        body.add(node)
        value = node.output
        outside = grouping.users.get(value, 0) & ~group.members
        if (outside and value not in again) or value in grouping.kept_alive:
            outputs.append(value)
    results = tuple(body.builder.operand(v) for v in outputs)
    inputs = tuple(body.inputs.values())
    inner = dead_code.run(FuncGraph("body", inputs, (), tuple(body.builder.nodes), results))
    read = {x for n in inner.nodes for x in n.inputs}
    used = {
        outside: inside
        for outside, inside in body.inputs.items()
        if inside in read or outside in body.checks
    }
    line = next((node.line for node in reversed(members) if node.line is not None), None)
    inner = replace(inner, inputs=tuple(used.values()))
    return Node(FUSED, tuple(used), {"body": inner}, tuple(outputs), line)
