"""Arrays put together of parts, as writes: so that the loop around them can run in native code.

``stack``, ``concat`` and ``pad`` (the gradient of a slice) are calls of library functions. A new
array and a write for each part are kernels instead.
"""

from __future__ import annotations

from hybrid.core.graph import Const, FuncGraph, Node, Operand
from hybrid.trace.passes.rewriting import Rewriter, fill, rewrite


def written(graph: FuncGraph) -> FuncGraph:
    """Return a graph that computes the same without the ops that only put parts together."""
    return rewrite(graph, _written)


def _written(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    spec = node.output.spec
    if node.op.parts is None or any(x.spec.dtype != spec.dtype for x in operands):
        return None
    parts = node.op.parts(*(x.spec for x in operands), **node.attrs)
    if parts is None:
        return None
    rest, places = parts
    whole = fill(r, Const(rest, spec.dtype), spec.shape, node.line)
    for operand, chain in zip(operands, places, strict=True):
        if operand.spec.size:
            whole = r.apply("view_update", (whole, operand), {"chain": chain}, node.line)
    return whole
