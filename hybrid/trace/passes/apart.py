"""Graphs with values on several devices: the work of each device is optimised by itself.

Passes know shapes and dtypes: they would merge equal constants of two devices, and fuse across.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hybrid.core.devices import CPU
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.core.op import OPS
from hybrid.runtime.cuda.stages import MOVE, stages


def run(graph: FuncGraph, optimize: Callable[[FuncGraph, str], FuncGraph]) -> FuncGraph:
    """Optimise the stages of a graph, and put them together again.

    Parameters
    ----------
    graph : FuncGraph
    optimize : callable
        ``optimize(graph, device)`` does it for the work of one device.
    """
    nodes: list[Node] = []
    became: dict[Value, Operand] = {}
    for stage in stages(graph):
        part = FuncGraph(graph.name, stage.inputs, (), tuple(stage.nodes), stage.outputs)
        if stage.device != MOVE:
            part = optimize(part, stage.device)
        for node in part.nodes:
            nodes.append(replace(node, inputs=_now(node.inputs, became)))
        for old, new in zip(stage.outputs, part.outputs, strict=True):
            if isinstance(new, Const) and stage.device != CPU:
                new = _placed(new, old, nodes)
            if new is not old:
                (became[old],) = _now((new,), became)
    return replace(graph, nodes=tuple(nodes), outputs=_now(graph.outputs, became))


def _now(operands: tuple[Operand, ...], became: dict[Value, Operand]) -> tuple[Operand, ...]:
    return tuple(became.get(x, x) if isinstance(x, Value) else x for x in operands)


def _placed(literal: Const, value: Value, nodes: list[Node]) -> Value:
    """Return a new value on the device of another, with what a literal says."""
    made = Value(value.spec)
    attrs = {"shape": value.spec.shape, "dtype": value.spec.dtype}
    nodes.append(Node(OPS["full"], (literal,), attrs, (made,), None))
    return made
