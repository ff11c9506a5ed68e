"""Invariants: what a loop would compute anew at each step, the same each time, is computed before.

What depends on the constants of a loop only (and on carries that it hands on unchanged) moves in
front of it and becomes one more constant. A few cheap elementwise nodes stay where they are: they
cost a kernel less than reading their result from memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace

from hybrid.core.graph import Builder, FuncGraph, Node, Value, bodies_of, has_effects
from hybrid.core.op import Attrs
from hybrid.records import dataclass
from hybrid.trace.passes import dead_code
from hybrid.trace.passes.grouping import SPREAD_NODES, is_cheap


def run(graph: FuncGraph) -> FuncGraph:
    """Move invariants out of loops, out of inner ones first."""
    builder = Builder()
    changed = False
    for node in graph.nodes:
        inner = _inside(node)
        moved = _without_invariants(inner, builder) if _is_loop(inner) else inner
        builder.nodes.append(moved)
        changed = changed or moved is not node
    return builder.finish(graph) if changed else graph


def _inside(node: Node) -> Node:
    """Return a node whose bodies have been gone through."""
    attrs = _mapped(node, [run(body) for body in bodies_of(node)])
    return node if attrs is node.attrs else replace(node, attrs=attrs)


def _mapped(node: Node, bodies: Iterable[FuncGraph]) -> Attrs:
    """Return the attrs of a node with other bodies, in the order of `bodies_of`."""
    if not node.op.bodies:
        return node.attrs
    new = iter(bodies)
    found = {}
    for name in node.op.bodies:
        old = node.attrs[name]
        found[name] = tuple(next(new) for _ in old) if isinstance(old, tuple) else next(new)
    same = all(
        x is y for x, y in zip(bodies_of(node), bodies_of(replace(node, attrs=found)), strict=True)
    )
    return node.attrs if same else {**node.attrs, **found}


def _is_loop(node: Node) -> bool:
    """Tell whether a node runs its bodies again and again, on carries, rows and constants."""
    return bool(node.op.bodies) and node.op.narrow is not None and "carries" in node.attrs


def _without_invariants(node: Node, builder: Builder) -> Node:
    """Append to `builder` what a loop need not compute at each step; return the loop without it."""
    always = node.attrs.get("length", 0) > 0 and not has_effects(node)
    inputs, bodies = list(node.inputs), list(bodies_of(node))
    for number, body in enumerate(bodies):
        moving = _Moving(body, _fixed(node, body))
        for inner in body.nodes:
            if always or _never_fails(inner):
                moving.offer(inner)
        found = moving.worth_moving()
        if not found:
            continue
        inputs += moving.moved(found, builder)
        for other, graph in enumerate(bodies):
            new = tuple(v if other == number else Value(v.spec) for v in found)
            bodies[other] = replace(graph, inputs=graph.inputs + new)
        bodies[number] = _given(bodies[number], found)
    if len(inputs) == len(node.inputs):
        return node
    return replace(node, inputs=tuple(inputs), attrs=_mapped(node, bodies))


def _fixed(node: Node, body: FuncGraph) -> dict[Value, Value]:
    """Return the inputs of a body that are the same at each step, and what they are outside."""
    *asked, step = bodies_of(node)
    carries = node.attrs["carries"]
    pairs = list(zip(body.inputs, node.inputs))
    fixed = pairs[carries + node.attrs.get("xs", 0) :]
    if all(len(graph.outputs) == 1 for graph in asked):  # else asking may change a carry
        fixed += [pairs[i] for i in range(carries) if step.inputs[i] is step.outputs[i]]
    return {inside: outside for inside, outside in fixed if isinstance(outside, Value)}


def _given(body: FuncGraph, found: list[Value]) -> FuncGraph:
    """Return a body that takes values, its last inputs, instead of computing them."""
    made = set(found)
    return dead_code.run(
        replace(body, nodes=tuple(n for n in body.nodes if made.isdisjoint(n.outputs)))
    )


def _never_fails(node: Node) -> bool:
    """Tell whether a node can run where the loop would not have run it."""
    if node.op.reduce is not None:
        return node.inputs[0].spec.size > 0
    return node.op.elementwise or node.op.view is not None


@dataclass(slots=True)
class _Moving:
    """The nodes of a body that could run before the loop."""

    body: FuncGraph
    outside: dict[Value, Value]
    makers: dict[Value, Node] = field(default_factory=dict)

    def offer(self, node: Node) -> None:
        """Note a node if it depends on nothing that a step changes."""
        known = all(
            x in self.outside or x in self.makers for x in node.inputs if isinstance(x, Value)
        )
        if known and not node.op.impure and not node.op.bodies:
            self.makers.update(dict.fromkeys(node.outputs, node))

    def worth_moving(self) -> list[Value]:
        """Return the values that the loop had better be given."""
        readers: dict[Value, list[Node]] = {
            x: [] for x in self.body.outputs if isinstance(x, Value) and x in self.makers
        }
        for node in reversed(self.body.nodes):
            for x in node.inputs if not self._moves(node) else ():
                # A view is as good in the body as outside: what counts is who reads it.
                behind = [node] if node.op.view is None else readers.get(node.output, [])
                if isinstance(x, Value) and x in self.makers:
                    readers.setdefault(x, []).extend(behind)
        return [x for x, found in readers.items() if self._pays(x, found)]

    def _moves(self, node: Node) -> bool:
        """Tell whether a node runs before the loop if what it makes is wanted there."""
        made = bool(node.outputs) and self.makers.get(node.outputs[0]) is node
        return made and node.op.view is None

    def _pays(self, value: Value, readers: list[Node]) -> bool:
        if self.makers[value].op.view is not None:
            return False
        chain = self._chain(value)
        work = [node for node in chain if node.op.view is None and node.inputs]
        sources = {x for node in chain for x in node.inputs if x in self.outside}
        if not work or not sources:
            return False
        if not all(node.op.elementwise and is_cheap(node) for node in work):
            return True
        # A reader that is no part of a kernel wants it in memory either way.
        if any(not (node.op.elementwise or node.op.view or node.op.computed) for node in readers):
            return True
        read = sum(x.spec.nbytes for x in sources)
        return len(work) > SPREAD_NODES and value.spec.nbytes <= read

    def _chain(self, value: Value) -> list[Node]:
        """Return the nodes that make a value, in order."""
        needed = {value}
        chain = []
        for node in reversed(self.body.nodes):
            made = node.outputs and self.makers.get(node.outputs[0]) is node
            if made and not needed.isdisjoint(node.outputs):
                chain.append(node)
                needed.update(x for x in node.inputs if isinstance(x, Value))
        return chain[::-1]

    def moved(self, found: list[Value], builder: Builder) -> list[Value]:
        """Append the nodes that make values to `builder`; return what these are outside."""
        inside = Builder(dict(self.outside))
        needed = {node for x in found for node in self._chain(x)}
        for node in self.body.nodes:
            if node not in needed:
                continue
            outputs = tuple(Value(v.spec) for v in node.outputs)
            builder.nodes.append(replace(node, inputs=inside.operands(node), outputs=outputs))
            inside.replaced.update(zip(node.outputs, outputs, strict=True))
        results = [inside.operand(x) for x in found]
        return [x for x in results if isinstance(x, Value)]
