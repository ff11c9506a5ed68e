"""FuncGraph -> Plan for a card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid.core.graph import FuncGraph
from hybrid.core.layout import Layout
from hybrid.kernels.cuda.card import Card
from hybrid.runtime.cuda.lowering import GPU, Program, lower_schedule
from hybrid.runtime.cuda.replay import Runner
from hybrid.runtime.memory import plan_memory
from hybrid.runtime.plan import KernelCall, LibraryCall, Plan
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import KernelStep, LibraryStep, Schedule, Step

# Bytes of which an argument's address must be a multiple for the widest loads.
_WIDEST = 16


def make_plan(graph: FuncGraph, layouts: tuple[Layout, ...], card: Card) -> Plan:
    """Turn an optimised FuncGraph into a Plan for a card.

    Parameters
    ----------
    graph : FuncGraph
    layouts : tuple of Layout
        How each parameter lies in the array that it is called with.
    card : Card

    Returns
    -------
    Plan
        Its ``run`` takes and returns arrays of the card, and returns before they are computed.
    """
    order = schedule(graph, layouts, target=GPU)
    memory = plan_memory(order)
    runs = _Runs(order, memory, card)
    program = runs.for_alignment(frozenset()).program
    steps = tuple(map(_described, order.steps))
    source = "\n".join(map(str, program.calls)) + "\n"
    return Plan(graph.name, runs, source, program.arena, memory.naive, steps)


class _Runs:
    """Runs a Plan by the program for the arguments' alignment.

    Almost all arguments begin at multiples of 16 bytes; a view of a part of an array may not, and
    then the kernels that read it take one element at a time.
    """

    def __init__(self, order: Schedule, memory: Any, card: Card) -> None:
        self.order = order
        self.memory = memory
        self.card = card
        self.weak = frozenset(root.number for root in order.parameters if root.spec.weak)
        self.runners: dict[frozenset[int], Runner] = {}

    def __call__(self, *arguments: Any) -> tuple[Any, ...]:
        return self.for_alignment(self.unaligned(arguments))(*arguments)

    def unaligned(self, arguments: Sequence[Any]) -> frozenset[int]:
        """The arguments that do not begin at a multiple of 16 bytes."""
        address, weak = self.card.address, self.weak
        return frozenset(
            [n for n, x in enumerate(arguments) if n not in weak and address(x) % _WIDEST]
        )

    def for_alignment(self, unaligned: frozenset[int]) -> Runner:
        """The runner for such arguments."""
        found = self.runners.get(unaligned)
        if found is None:
            program: Program = lower_schedule(self.order, self.memory, self.card, unaligned)
            found = self.runners[unaligned] = Runner(self.order.name, program, self.card)
        return found


def _described(step: Step) -> KernelCall | LibraryCall:
    line = step.node.line
    if isinstance(step, KernelStep):
        return KernelCall(step.name, step.region, step.reads, step.writes, True, "", line)
    reason = step.reason if isinstance(step, LibraryStep) else ""
    return LibraryCall(step.name, step.reads, step.writes, reason, line)
