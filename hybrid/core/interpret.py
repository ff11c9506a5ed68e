"""Running a FuncGraph node by node, with the eager form of each op: what every Plan must equal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hybrid.core import devices, placed
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.core.places import DeviceArray, Place

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


def run_node(node: Node, operands: Iterable[Any], xp: Any = np) -> tuple[Any, ...]:
    """Compute the results of one node."""
    operands = tuple(operands)
    if any(isinstance(x, DeviceArray) for x in operands):
        return _several(node, placed.run(node.op, operands, node.attrs))
    here = None if operands or xp is not np else _made_at(node)
    if here is not None:
        return _several(node, placed.run_at(here, node.op, (), node.attrs))
    result = node.op.eager(xp, *operands, **node.attrs)
    results = result if node.op.multi else (result,)
    return tuple(r if isinstance(r, DeviceArray) else xp.asarray(r) for r in results)


def _made_at(node: Node) -> Place | None:
    """Return the card on which a node without inputs makes its results."""
    return devices.place(node.output.spec.device) if node.outputs else None


def _several(node: Node, result: Any) -> tuple[Any, ...]:
    return tuple(result) if node.op.multi else (result,)


def _array(operand: Operand, values: dict[Value, Array], xp: Any) -> Array:
    if isinstance(operand, Const):
        array: Array = xp.asarray(operand.value, dtype=operand.dtype)
        return array
    return values[operand]
