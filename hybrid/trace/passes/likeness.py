"""What nodes have in common: codes that are equal where nodes differ in their operands only.

By the `EXACT` likeness attributes and literals are the same. By the `MOVING` one they may differ in
what a loop's index decides: where slices start, and literals of elementwise ops and of writes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

import numpy as np

from hybrid.core.graph import Const, FuncGraph, Node, Operand, bodies_of, has_effects
from hybrid.core.op import Attrs
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass
from hybrid.trace.alike import attrs_key

Starts = tuple[int, ...]
WRITES = ("view_update", "moving_update")


@dataclass(frozen=True, slots=True)
class Likeness:
    """When two nodes count as alike.

    Attributes
    ----------
    attrs : callable
        A key of a node's attributes, bodies left out.
    literal : callable
        ``literal(node, const)``: a key of one of its literals.
    numbers : callable
        What may differ in the attributes of nodes that are alike.
    """

    attrs: Callable[[Node], Hashable]
    literal: Callable[[Node, Const], Hashable]
    numbers: Callable[[Node], tuple[int, ...]]


def chain_of(node: Node) -> tuple[tuple[str, Attrs], ...]:
    """Return the view ops that say which part of an array a node reads or writes, if it does."""
    if node.op.name == "slice":
        return (("slice", node.attrs),)
    return tuple((name, dict(frozen)) for name, frozen in node.attrs.get("chain", ()))


def starts_of(node: Node) -> Iterator[Starts]:
    """Yield the starts of the slices among a node's view ops; () for the other ones."""
    for _, attrs in chain_of(node):
        yield attrs.get("starts", ())


def has_free_literals(node: Node) -> bool:
    """Tell whether a value may stand in the place of a node's literals."""
    return node.op.elementwise or node.op.name in WRITES


def literals(node: Node) -> Iterator[Const]:
    """Yield the literals that may differ from step to step, those in the body of a loop too."""
    if node.op.name == "scan":
        for inner in node.attrs["body"].nodes:
            yield from literals(inner)
    if has_free_literals(node):
        for x in node.inputs:
            if isinstance(x, Const):
                yield _stored(x, node) if node.op.name in WRITES else x


def _stored(x: Const, node: Node) -> Const:
    """Return a literal in the dtype of the array that it is written to."""
    dtype = node.output.spec.dtype
    return Const(np.asarray(x.value, x.dtype).astype(dtype).item(), dtype)


def _numbers(node: Node) -> tuple[int, ...]:
    if node.op.name == "slice":
        found: tuple[int, ...] = node.attrs["starts"]
        return found
    if node.op.name == "scan":
        return tuple(n for inner in node.attrs["body"].nodes for n in _numbers(inner))
    if "chain" not in node.attrs:
        return ()
    return tuple(n for starts in starts_of(node) for n in starts)


def _without_starts(node: Node) -> Hashable:
    chain = chain_of(node)
    if not chain:
        return attrs_key(_plain(node))
    kept = tuple(
        (name, attrs_key({k: v for k, v in attrs.items() if k != "starts"}))
        for name, attrs in chain
    )
    rest = {k: v for k, v in node.attrs.items() if k == "moves"}
    return kept, attrs_key(rest)


def _plain(node: Node) -> Attrs:
    if not node.op.bodies:
        return node.attrs
    return {k: v for k, v in node.attrs.items() if k not in node.op.bodies}


EXACT = Likeness(
    attrs=lambda node: attrs_key(_plain(node)),
    literal=lambda node, const: const.key(),
    numbers=lambda node: (),
)
MOVING = Likeness(
    attrs=_without_starts,
    literal=lambda node, const: const.dtype if has_free_literals(node) else const.key(),
    numbers=_numbers,
)


def codes(graph: FuncGraph, like: Likeness) -> list[int]:
    """Return a number for each node: the same for nodes that are alike."""
    known: dict[Hashable, int] = {}
    # By identity: the nodes of a trace share attributes, specs and most literals.
    seen: dict[Hashable, int] = {}
    attrs: dict[int, int] = {}
    specs: dict[int, int] = {}

    def spec(x: TensorSpec) -> int:
        found = specs.get(id(x))
        if found is None:
            found = specs[id(x)] = known.setdefault(x, len(known))
        return found

    found = []
    for i, node in enumerate(graph.nodes):
        if has_effects(node):
            found.append(len(known) + i + len(graph.nodes))  # never twice
            continue
        inputs = [id(x) if type(x) is Const else id(x.spec) for x in node.inputs]
        same = (node.op, id(node.attrs), *inputs, -1, *[id(v.spec) for v in node.outputs])
        code = seen.get(same)
        if code is not None:
            found.append(code)
            continue
        its = attrs.get(id(node.attrs))
        if its is None:
            its = known.setdefault(("attrs", _attrs(node, like)), len(known))
            attrs[id(node.attrs)] = its
        kinds = [like.literal(node, x) if type(x) is Const else spec(x.spec) for x in node.inputs]
        results = [spec(v.spec) for v in node.outputs]
        code = seen[same] = known.setdefault((node.op, its, *kinds, -1, *results), len(known))
        found.append(code)
    return found


def _attrs(node: Node, like: Likeness) -> Hashable:
    if not node.op.bodies:
        return like.attrs(node)
    inner = like if node.op.name == "scan" else EXACT
    bodies = tuple(_structure(body, inner) for body in bodies_of(node))
    return like.attrs(node), bodies


def _structure(graph: FuncGraph, like: Likeness) -> Hashable:
    """Return a key that two graphs share if they are alike but for the names of values."""
    names: dict[Operand, int] = {}
    for value in graph.parameters:
        names[value] = len(names)
    nodes = []
    for node in graph.nodes:
        inputs = tuple(
            like.literal(node, x) if isinstance(x, Const) else names.get(x, x) for x in node.inputs
        )
        for value in node.outputs:
            names[value] = len(names)
        nodes.append((node.op, inputs, _attrs(node, like), tuple(v.spec for v in node.outputs)))
    outputs = tuple(x.key() if isinstance(x, Const) else names.get(x, x) for x in graph.outputs)
    return tuple(v.spec for v in graph.parameters), tuple(nodes), outputs
