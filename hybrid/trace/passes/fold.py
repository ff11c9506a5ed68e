"""Constant folding: what depends on literals only is computed now.

An array whose elements are all equal becomes ``full(literal)``; elementwise ops read the literal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.graph import Const, FuncGraph, Node, Operand
from hybrid.core.substitute import unknowns_in
from hybrid.trace.passes.rewriting import Rewriter, fill, rewrite

MAX_ELEMENTS = 1024  # of a result that is computed to see whether its elements are equal

_FAMILIES = frozenset(("elementwise", "movement", "creation", "reduction", "indexing"))


def run(graph: FuncGraph) -> FuncGraph:
    """Replace nodes that depend on literals only."""
    return rewrite(graph, _rule)


def _rule(r: Rewriter, node: Node, operands: tuple[Operand, ...]) -> Operand | None:
    if node.op.name == "full":
        return _full(r, node, operands[0])
    literals = [x for x in operands if isinstance(x, Const)]
    if len(literals) < len(operands) or node.op.family not in _FAMILIES:
        return None
    spec = node.output.spec
    if node.op.name == "broadcast_to":
        return fill(r, literals[0], spec.shape, node.line)
    if not 0 < spec.size <= MAX_ELEMENTS:
        return None
    # What depends on sizes has no value yet.
    literal = None if unknowns_in(node.attrs) else _computed(node, literals)
    return None if literal is None else fill(r, literal, spec.shape, node.line)


def _full(r: Rewriter, node: Node, value: Operand) -> Operand | None:
    """Make ``full`` of a literal carry its own dtype; of a value, a broadcast."""
    dtype, shape = node.attrs["dtype"], node.output.spec.shape
    if not isinstance(value, Const):
        if value.spec.dtype != dtype:
            value = r.apply("astype", (value,), {"dtype": dtype}, node.line)
        return r.shaped(value, shape, node.line)
    if value.dtype == dtype and shape:
        return None
    return fill(r, _literal(np.full((), value.value, dtype)), shape, node.line)


def _computed(node: Node, literals: list[Const]) -> Const | None:
    """Return the literal that all elements of a node's result equal, if they do."""
    arrays = [np.asarray(c.value, c.dtype) for c in literals]
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(node.op.eager(np, *arrays, **node.attrs))
    except Exception:
        return None  # the user sees the error when the graph runs, as in eager code
    first = result.reshape(-1)[:1]
    if result.tobytes() != first.tobytes() * result.size:
        return None
    return _literal(first.reshape(()))


def _literal(array: np.ndarray[Any, Any]) -> Const:
    value = array.item() if array.dtype != dtypes.bfloat16 else float(array)
    return Const(value, array.dtype)
