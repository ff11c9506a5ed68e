"""FuncGraph -> Plan for cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.core import devices
from hybrid.core.devices import CPU
from hybrid.core.graph import FuncGraph
from hybrid.core.layout import Layout, contiguous
from hybrid.core.places import DeviceArray, Place
from hybrid.kernels.cuda.card import Card, card_at
from hybrid.runtime import plan
from hybrid.runtime.arguments import layout_of, strides_of
from hybrid.runtime.cuda.lowering import GPU, lower_schedule
from hybrid.runtime.cuda.replay import Runner
from hybrid.runtime.cuda.stages import MOVE, Staged, device_of
from hybrid.runtime.memory import MemoryPlan, plan_memory
from hybrid.runtime.plan import KernelCall, LibraryCall, Plan
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import KernelStep, LibraryStep, Schedule, Step

# Bytes of which an argument's address must be a multiple for the widest loads.
_WIDEST = 16


def make_plan(graph: FuncGraph, layouts: tuple[Layout, ...]) -> Plan:
    """Turn an optimised FuncGraph with values on cards into a Plan.

    Parameters
    ----------
    graph : FuncGraph
    layouts : tuple of Layout
        How each parameter lies in the array that it is called with.

    Returns
    -------
    Plan
        Its ``run`` takes and returns ndarrays and DeviceArrays, and returns before they are
        computed.
    """
    found = {device_of(node) for node in graph.nodes}
    found |= {x.spec.device for x in graph.outputs}
    if len(found) == 1 and found.isdisjoint((CPU, MOVE)):
        (device,) = found
        return _card_plan(graph, layouts, device)
    made: list[Plan] = []

    def make(part: FuncGraph, device: str, arrays: Sequence[Any]) -> Any:
        found = tuple(map(layout_of, arrays))
        host = device == CPU
        made.append(plan.make_plan(part, found) if host else _card_plan(part, found, device))
        return made[-1].run

    staged = Staged(graph, make, strides_of)
    return Plan(graph.name, staged, str(staged), 0, 0, tuple)


def _card_plan(graph: FuncGraph, layouts: tuple[Layout, ...], device: str) -> Plan:
    place = devices.place(device)
    assert place is not None
    host = frozenset(
        number
        for number, value in enumerate(graph.parameters)
        if value.spec.weak or value.spec.device == CPU
    )
    found = plan_for_card(graph, layouts, card_at(place), host)
    run = found.run

    def on_device_arrays(*arguments: Any) -> tuple[Any, ...]:
        given = [
            x.array if type(x) is DeviceArray and n not in host else _lent(x, place, n in host)
            for n, x in enumerate(arguments)
        ]
        return tuple([DeviceArray(x, place) for x in run(*given)])

    return Plan(
        found.name,
        on_device_arrays,
        found.source,
        found.temp_bytes,
        found.naive_bytes,
        found.describe,
    )


def _lent(x: Any, place: Place, to_host: bool) -> Any:
    """A value that is not where the trace has seen it: a carry without axes may change sides."""
    if to_host:
        return x.get() if type(x) is DeviceArray else x
    with place.current():
        return place.put(np.asarray(x))


def plan_for_card(
    graph: FuncGraph, layouts: tuple[Layout, ...], card: Card, host: frozenset[int]
) -> Plan:
    """Turn a graph all of whose work is one card's into a Plan.

    Parameters
    ----------
    graph : FuncGraph
    layouts : tuple of Layout
    card : Card
    host : set of int
        The parameters that are on the host.

    Returns
    -------
    Plan
        Its ``run`` takes and returns arrays of the card.
    """
    shapes = [value.spec.shape for value in graph.parameters]
    lying = tuple(contiguous(shapes[n]) if n in host else x for n, x in enumerate(layouts))
    order = schedule(graph, lying, target=GPU)
    memory = plan_memory(order)
    runs = Runs(order, memory, card, host)
    program = runs.for_alignment(frozenset()).program
    steps = tuple(map(_described, order.steps))
    source = "\n".join(map(str, program.calls)) + "\n"
    return Plan(graph.name, runs, source, program.arena, memory.naive, lambda: steps)


class Runs:
    """Runs a Plan by the program for the arguments' alignment.

    Almost all arguments begin at multiples of 16 bytes; a view of a part of an array may not, and
    then the kernels that read it take one element at a time.
    """

    def __init__(
        self, order: Schedule, memory: MemoryPlan, card: Card, host: frozenset[int]
    ) -> None:
        self.order = order
        self.memory = memory
        self.card = card
        self.host = host
        self.runners: dict[frozenset[int], Runner] = {}

    def __call__(self, *arguments: Any) -> tuple[Any, ...]:
        address = self.card.address
        if self.host:
            pairs = enumerate(arguments)
            given = [0 if number in self.host else address(x) for number, x in pairs]
        else:
            given = list(map(address, arguments))
        unaligned = frozenset([n for n, place in enumerate(given) if place % _WIDEST])
        return self.for_alignment(unaligned)(arguments, given)

    def for_alignment(self, unaligned: frozenset[int]) -> Runner:
        """The runner where these arguments do not begin at multiples of 16 bytes."""
        found = self.runners.get(unaligned)
        if found is None:
            program = lower_schedule(self.order, self.memory, self.card, self.host, unaligned)
            found = self.runners[unaligned] = Runner(self.order.name, program, self.card)
        return found


def _described(step: Step) -> KernelCall | LibraryCall:
    line = step.node.line
    if isinstance(step, KernelStep):
        return KernelCall(step.name, step.region, step.reads, step.writes, True, "", line)
    reason = step.reason if isinstance(step, LibraryStep) else ""
    return LibraryCall(step.name, step.reads, step.writes, reason, line)
