"""Arrays put together of parts, as writes: so that the loop around them can run in native code.

``stack``, ``concat`` and ``pad`` (the gradient of a slice) are calls of library functions. A new
array and a write for each part are kernels instead.
"""

from __future__ import annotations

from hybrid import dtypes
from hybrid.core.graph import Builder, Const, FuncGraph, Node, Operand, Value
from hybrid.core.op import OPS
from hybrid.dtypes import DType
from hybrid.runtime.native_calls import EQUATIONS
from hybrid.trace.passes.rewriting import Rewriter, fill, rewrite


def written(graph: FuncGraph) -> FuncGraph:
    """Return a graph that computes the same without the ops that only put parts together."""
    return rewrite(graph, _written)


def _cast(r: Rewriter, x: Operand, dtype: DType) -> Operand:
    """Convert a value by a kernel."""
    given = Value(x.spec)
    inner = Builder()
    outputs = inner.emit(OPS["astype"], (given,), {"dtype": dtype})
    body = FuncGraph("body", (given,), (), tuple(inner.nodes), outputs)
    return r.emit(OPS["fused"], (x,), {"body": body})[0]


def _written(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    spec = node.output.spec
    if node.op.name in EQUATIONS and spec.dtype == dtypes.float32:
        wide = [_cast(r, x, dtypes.float64) for x in operands]  # as NumPy computes them
        return _cast(r, r.emit(node.op, wide, node.attrs, node.line)[0], dtypes.float32)
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
