"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from hybrid.core.graph import Const, FuncGraph, Node, Operand, has_effects
from hybrid.core.op import Attrs
from hybrid.core.unknown import Unknown
from hybrid.trace.passes.rewriting import Rewriter


def run(graph: FuncGraph) -> FuncGraph:
    """Let equal applications of a pure op to equal operands share one node."""
    r = Rewriter()
    known: dict[Hashable, Node] = {}
    attrs: dict[int, Hashable] = {}  # by identity: the nodes of a trace share them
    for node in graph.nodes:
        operands = r.operands(node)
        if not has_effects(node):
            its = attrs.get(id(node.attrs))
            if its is None:
                its = attrs[id(node.attrs)] = attrs_key(node.attrs)
            key = (node.op.name, tuple([_operand_key(x) for x in operands]), its)
            first = known.setdefault(key, node)
            if first is not node:
                for old, new in zip(node.outputs, first.outputs, strict=True):
                    r.replace(old, new)
                continue
        r.keep(node, operands)
    return r.finish(graph) if r.replaced else graph


def _operand_key(operand: Operand) -> Hashable:
    return operand.key() if type(operand) is Const else operand


def attrs_key(attrs: Attrs) -> Hashable:
    """Return a key that attributes share if they are the same, types and signs of zero included."""
    return tuple((name, _frozen(attrs[name])) for name in sorted(attrs)) if attrs else ()


def _frozen(value: Any) -> Hashable:
    """Return a key that tells ``1`` from ``True`` and ``1.0``, and ``0.0`` from ``-0.0``."""
    if isinstance(value, tuple):
        return tuple(map(_frozen, value))
    if type(value) is Unknown:
        return value
    if isinstance(value, bool | int | float | complex | slice):
        return type(value).__name__, repr(value)
    key: Hashable = value
    return key
