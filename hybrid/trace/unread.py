"""Ops that may raise although nobody reads their results: eager code raises all the same.

Passes drop what nobody reads. So a trace says which of these ops are needed. Of an op that raises
only where an index is out of bounds it keeps the check of the indices, and that only where no op
that stays looks at the same ones: a gradient that is asked for without the loss does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from hybrid import dtypes
from hybrid.core.graph import Const, Node, Operand, Value, has_effects, may_fail
from hybrid.core.op import Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.unknown import spell
from hybrid.ops.indexing.gather import IN_BOUNDS

NEEDED = register(
    Op(
        name="needed",
        family="control",
        infer=lambda *specs: (),
        eager=lambda xp, *arrays: (),
        multi=True,
        impure=True,
        anywhere=True,
        no_gradient="it has no results",
        doc="Nothing: what it is given was computed because that may raise.",
    )
)


def with_unread(nodes: Sequence[Node], results: Collection[Operand]) -> tuple[Node, ...]:
    """Return the nodes of a graph with what keeps those that may raise.

    Parameters
    ----------
    nodes : sequence of Node
    results : collection of Value or Const
        What is read of them.

    Returns
    -------
    tuple of Node
    """
    failing = [node for node in nodes if may_fail(node.op, node.attrs)]
    stays = _read(nodes, results) if failing else set()
    if stays.issuperset(failing):
        return tuple(nodes)
    checked = {bound for node in stays for bound in _bounds(node)}
    read = _values(results)
    found: list[Node] = []
    for node in reversed(nodes):
        if not read.isdisjoint(node.outputs) or has_effects(node):
            read |= _values(node.inputs)
        elif node in failing and not _is_implied(node, checked):
            check = check_of(node) if node.op.first_index else node
            read |= _values(check.inputs)
            checked |= _bounds(node)
            found.append(Node(NEEDED, check.outputs, {}, (), node.line))
            if check is not node:
                found.append(check)
        found.append(node)
    return tuple(reversed(found))


def recorded(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes of a trace without what `with_unread` has added."""
    return [node for node in nodes if node.op is not NEEDED and node.op is not IN_BOUNDS]


def check_of(node: Node) -> Node:
    """Return the node that raises where an index of `node` is out of bounds."""
    base, index = node.inputs[0], node.inputs[node.op.first_index :]
    attrs = {"axes": node.attrs["axes"], "shape": base.spec.shape}
    result = Value(TensorSpec((), dtypes.bool_, base.spec.device))
    return Node(IN_BOUNDS, index, attrs, (result,), node.line)


def _read(nodes: Sequence[Node], results: Collection[Operand]) -> set[Node]:
    """Return the nodes that stay whatever they may raise."""
    read = _values(results)
    found = set()
    for node in reversed(nodes):
        if not read.isdisjoint(node.outputs) or has_effects(node):
            read |= _values(node.inputs)
            found.add(node)
    return found


def _values(operands: Collection[Operand]) -> set[Operand]:
    return {x for x in operands if type(x) is Value}


def _is_implied(node: Node, checked: set[tuple[Operand, str]]) -> bool:
    return node.op.first_index > 0 and _bounds(node) <= checked


def _bounds(node: Node) -> set[tuple[Operand, str]]:
    """Return the indices of a node with the sizes of their axes, but for those that fit."""
    if not node.op.first_index:
        return set()
    shape = node.inputs[0].spec.shape
    pairs = zip(node.inputs[node.op.first_index :], node.attrs["axes"], strict=True)
    # Spelled: an unknown size that is hashed is one that is asked for.
    return {(x, spell(shape[axis])) for x, axis in pairs if not _fits(x, shape[axis])}


def _fits(index: Operand, size: Any) -> bool:
    return isinstance(index, Const) and type(size) is int and -size <= index.value.real < size
