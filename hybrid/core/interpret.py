"""Running a FuncGraph node by node, with the eager form of each op: what every Plan must equal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value

Array = np.ndarray[Any, np.dtype[Any]]


def interpret(graph: FuncGraph, arrays: Iterable[Array], xp: Any = np) -> tuple[Array, ...]:
    """Compute the outputs of `graph` with the eager form of its ops.

    Parameters
    ----------
    graph : FuncGraph
    arrays : iterable of ndarray
        One for each input, then one for each capture.
    xp : module
        NumPy, or CuPy for arrays on a GPU.

    Returns
    -------
    tuple of ndarray
        In the order of ``graph.outputs``; they may share memory with `arrays`.
    """
    values: dict[Value, Array] = dict(zip(graph.parameters, arrays, strict=True))
    for node in graph.nodes:
        operands = [_array(x, values, xp) for x in node.inputs]
        values.update(zip(node.outputs, run_node(node, operands, xp), strict=True))
    return tuple(_array(x, values, xp) for x in graph.outputs)


def run_node(node: Node, operands: Iterable[Array], xp: Any = np) -> tuple[Array, ...]:
    """Compute the results of one node."""
    result = node.op.eager(xp, *operands, **node.attrs)
    results = result if node.op.multi else (result,)
    return tuple(xp.asarray(r) for r in results)


def _array(operand: Operand, values: dict[Value, Array], xp: Any) -> Array:
    if isinstance(operand, Const):
        array: Array = xp.asarray(operand.value, dtype=operand.dtype)
        return array
    return values[operand]
