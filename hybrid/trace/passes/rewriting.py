"""Rewriting node by node: what the passes that look at one place of a graph are written with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field

from hybrid.core.graph import Builder, Const, FuncGraph, Node, Operand, Value
from hybrid.core.op import OPS, Attrs, Op
from hybrid.core.source import SourceLine
from hybrid.core.spec import Shape
from hybrid.records import dataclass


@dataclass(slots=True)
class Rewriter(Builder):
    """A Builder that knows which node of the new graph made a value."""

    makers: dict[Value, Node] = field(default_factory=dict)

    def maker(self, operand: Operand, op: str = "") -> Node | None:
        """Return the node that made `operand`, if it is an application of `op`."""
        node = self.makers.get(operand) if isinstance(operand, Value) else None
        return node if node is None or not op or node.op.name == op else None

    def operands(self, node: Node) -> tuple[Operand, ...]:
        """Return what stands for the inputs of `node`; these themselves if none is replaced."""
        replaced = self.replaced
        if replaced:
            for x in node.inputs:
                if type(x) is Value and x in replaced:
                    return Builder.operands(self, node)
        return node.inputs

    def keep(self, node: Node, operands: tuple[Operand, ...]) -> None:
        """Append `node` with its inputs mapped to `operands`."""
        if operands is not node.inputs:
            node = Node(node.op, operands, node.attrs, node.outputs, node.line)
        self.nodes.append(node)
        for value in node.outputs:
            self.makers[value] = node

    def emit(
        self, op: Op, inputs: Iterable[Operand], attrs: Attrs, line: SourceLine | None = None
    ) -> tuple[Value, ...]:
        """Append a new node."""
        outputs = Builder.emit(self, op, inputs, attrs, line)
        for value in outputs:
            self.makers[value] = self.nodes[-1]
        return outputs

    def apply(
        self, op: str, inputs: Iterable[Operand], attrs: Attrs, line: SourceLine | None = None
    ) -> Value:
        """Append an application of the op of that name and return its result."""
        return self.emit(OPS[op], inputs, attrs, line)[0]

    def shaped(self, operand: Operand, shape: Shape, line: SourceLine | None = None) -> Operand:
        """Return `operand` broadcast to `shape`."""
        if operand.spec.shape == shape:
            return operand
        return self.apply("broadcast_to", (operand,), {"shape": shape}, line)


Rule = Callable[[Rewriter, Node, tuple[Operand, ...]], Operand | None]


def rewrite(graph: FuncGraph, rule: Rule) -> FuncGraph:
    """Offer each node of one result to `rule`.

    Parameters
    ----------
    graph : FuncGraph
    rule : callable
        ``rule(rewriter, node, operands)`` returns what to use in the place of the node's result,
        or None to keep the node; `operands` are the inputs of the node in the new graph.

    Returns
    -------
    FuncGraph
        `graph` itself if the rule changed nothing.
    """
    r = Rewriter()
    for node in graph.nodes:
        operands = r.operands(node)
        new = None
        if len(node.outputs) == 1 and not node.op.impure:
            new = rule(r, node, operands)
        if new is None:
            r.keep(node, operands)
        else:
            r.replaced[node.outputs[0]] = new
    return r.finish(graph) if r.replaced else graph


def fill(r: Rewriter, literal: Const, shape: Shape, line: SourceLine | None = None) -> Operand:
    """Return an operand of `shape` all elements of which are `literal`."""
    if not shape:
        return literal
    return r.apply("full", (literal,), {"shape": shape, "dtype": literal.dtype}, line)


def uniform(r: Rewriter, operand: Operand) -> Const | None:
    """Return the literal that all elements of `operand` are known to equal."""
    if isinstance(operand, Const):
        return operand
    node = r.maker(operand, "full")
    source = node.inputs[0] if node is not None else None
    if isinstance(source, Const) and source.dtype == operand.spec.dtype:
        return source
    return None
