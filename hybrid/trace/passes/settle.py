"""Devices of what passes have made: ops infer shapes and dtypes, their inputs say where."""

from __future__ import annotations

from dataclasses import replace

from hybrid.core.devices import CPU
from hybrid.core.graph import FuncGraph, Node, Value
from hybrid.core.placed import together


def devices_of(graph: FuncGraph) -> set[str]:
    """Return the devices that a graph has values on, but for Python numbers."""
    values = (*graph.parameters, *(v for node in graph.nodes for v in node.outputs))
    return {value.spec.device for value in values if not value.spec.weak}


def settle(graph: FuncGraph, devices: set[str]) -> FuncGraph:
    """Put the values of an optimised graph where those of the traced one were.

    Parameters
    ----------
    graph : FuncGraph
    devices : set of str
        Those of the traced graph. What has no inputs is made on the only one; where there are
        several it stays where it says.
    """
    if devices <= {CPU}:
        return graph
    alone = next(iter(devices)) if len(devices) == 1 else None
    for node in graph.nodes:
        where = _where(node, alone)
        for value in node.outputs:
            if where is not None and value.spec.device != where:
                value.spec = replace(value.spec, device=where)
    return graph


def _where(node: Node, alone: str | None) -> str | None:
    if "device" in node.attrs:
        return str(node.attrs["device"])
    specs = [x.spec for x in node.inputs if isinstance(x, Value) and not x.spec.weak]
    found = together(node.op.name, ((s.device, s.ndim) for s in specs))
    return alone if found is None or (found == CPU and alone) else found
