"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

from collections.abc import Hashable

from hybrid.core.graph import Const, FuncGraph, Node, Operand, has_effects
from hybrid.trace.alike import attrs_key
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
