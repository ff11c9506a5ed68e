"""Graphs whose values are on several devices, as stages: each is work of one device.

Most graphs that reach this are of one card, and one stage. Others draw random numbers on the CPU,
or move values: then the work of each device is put together as far as the order allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from hybrid.core import devices
from hybrid.core.devices import CPU
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value, has_effects
from hybrid.core.places import DeviceArray, data_to
from hybrid.records import dataclass

Run = Callable[..., tuple[Any, ...]]
Make = Callable[[FuncGraph, str, Sequence[Any]], Run]

MOVE = "move"


@dataclass(slots=True)
class _Stage:
    device: str
    nodes: list[Node] = field(default_factory=list)
    inputs: tuple[Value, ...] = ()
    outputs: tuple[Value, ...] = ()


def device_of(node: Node) -> str:
    """The device that a node is work of: a card, if any of its results is on one."""
    if node.op.name == "to_device":
        return MOVE
    values = node.outputs or [x for x in node.inputs if isinstance(x, Value)]
    return next((v.spec.device for v in values if v.spec.device != CPU), CPU)


def stages(graph: FuncGraph) -> tuple[_Stage, ...]:
    """Put the nodes of a graph into as few stages as the order of their work allows."""
    found: list[_Stage] = []
    at: dict[Value, int] = dict.fromkeys(graph.parameters, 0)
    last_effect = 0
    for node in graph.nodes:
        device, effect = device_of(node), has_effects(node)
        number = max((at[x] for x in node.inputs if isinstance(x, Value)), default=0)
        number = max(number, last_effect) if effect else number
        while number < len(found) and found[number].device != device:
            number += 1
        if number == len(found):
            found.append(_Stage(device))
        found[number].nodes.append(node)
        at |= dict.fromkeys(node.outputs, number)
        last_effect = number if effect else last_effect
    _connect(found, graph)
    return tuple(found)


def _connect(found: list[_Stage], graph: FuncGraph) -> None:
    """Say what each stage takes from others, and what it gives them."""
    wanted = {x for x in graph.outputs if isinstance(x, Value)}
    for stage in reversed(found):
        made = {value for node in stage.nodes for value in node.outputs}
        taken = [x for node in stage.nodes for x in node.inputs if isinstance(x, Value)]
        stage.inputs = tuple(dict.fromkeys(x for x in taken if x not in made))
        outputs = (value for node in stage.nodes for value in node.outputs)
        stage.outputs = tuple(value for value in outputs if value in wanted)
        wanted |= set(stage.inputs)


class Staged:
    """Runs a graph stage by stage.

    Parameters
    ----------
    graph : FuncGraph
    make : callable
        ``make(graph, device, arrays)`` gives the function of a Plan for a stage's graph, for
        arguments that lie as these do.
    strides : callable
        What tells apart how arguments lie.
    """

    def __init__(
        self, graph: FuncGraph, make: Make, strides: Callable[[Sequence[Any]], Any]
    ) -> None:
        self.graph = graph
        self.stages = stages(graph)
        self._make = make
        self._strides = strides
        self._graphs = [
            FuncGraph(f"{graph.name}_{n}", s.inputs, (), tuple(s.nodes), s.outputs)
            for n, s in enumerate(self.stages)
        ]
        self._runs: dict[Any, Run] = {}

    def __str__(self) -> str:
        lines = (f"{s.device}: {', '.join(n.op.name for n in s.nodes)}" for s in self.stages)
        return "\n".join(lines) + "\n"

    def __call__(self, *arguments: Any) -> tuple[Any, ...]:
        values: dict[Operand, Any] = dict(zip(self.graph.parameters, arguments, strict=True))
        for number, stage in enumerate(self.stages):
            arrays = [values[x] for x in stage.inputs]
            if stage.device == MOVE:
                _move(stage.nodes, values)
                continue
            key = number, self._strides(arrays)
            run = self._runs.get(key)
            if run is None:
                run = self._make(self._graphs[number], stage.device, arrays)
                self._runs[key] = run
            results = run(*arrays)
            pairs = zip(stage.outputs, results, strict=True)
            values.update((value, _arrived(x, value.spec.device)) for value, x in pairs)
        return self._results(values, arguments)

    def _results(self, values: dict[Operand, Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
        """The outputs, each in memory of its own."""
        found: list[Any] = []
        for x in self.graph.outputs:
            array = _as_array(np.array(x.value, x.dtype) if isinstance(x, Const) else values[x])
            shared = any(array is other for other in (*arguments, *found))
            found.append(array.copy() if shared else array)
        return tuple(found)


def _move(nodes: Sequence[Node], values: dict[Operand, Any]) -> None:
    for node in nodes:
        (x,) = node.inputs
        array = _as_array(np.array(x.value, x.dtype) if isinstance(x, Const) else values[x])
        values[node.output] = data_to(array, devices.place(node.attrs["device"]))


def _as_array(x: Any) -> Any:
    return x if isinstance(x, np.ndarray | DeviceArray) else np.asarray(x)


def _arrived(array: Any, device: str) -> Any:
    """A result of a stage where its graph says it is."""
    here = array.device if type(array) is DeviceArray else CPU
    return array if here == device else data_to(array, devices.place(device))
