"""Loops over the results of a segment: what they are, and the graph that runs them.

`repeats` finds them among the guards of a trace. Here they are made: the nodes of the last step
become the body of a ``while_loop``, whose carries are what Python sees to change from one question
to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid import dtypes
from hybrid.core.graph import Const, FuncGraph, Node, Value
from hybrid.core.op import OPS
from hybrid.core.source import SourceLine
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass
from hybrid.trace.bodies import in_order
from hybrid.trace.seeing import State
from hybrid.trace.segment import Segment
from hybrid.trace.sources import Environment

if TYPE_CHECKING:
    from hybrid.trace.counting import Counting

COUNT = TensorSpec((), dtypes.int64)


@dataclass(frozen=True, slots=True)
class Question:
    """A guard that was met: the segment that it ends, whose results begin at `first`."""

    segment: Segment
    first: int
    state: State
    answer: bool

    @property
    def results(self) -> range:
        """Where what the segment computes, and then what it writes, is in the environment."""
        return range(self.first, self.first + len(self.segment.graph.outputs))


@dataclass(eq=False, slots=True)
class Bound:
    """How long a loop may go on in which Python counts.

    Attributes
    ----------
    visible : bool
        Whether what follows the loop can tell how many steps it took.
    body : FuncGraph
        As each step of Python's must give it, with its parameters in the order of `places`.
    places : tuple of int
        Where in the environment a step finds what it needs.
    most : int
        The number of steps that Python was seen to take, or that are left.
    over : int, optional
        The ``for`` loop over a range that has so many steps left: Python takes none of them.
    """

    visible: bool
    body: FuncGraph
    places: tuple[int, ...]
    most: int = 0
    over: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Repeat:
    """A loop over what a segment has computed.

    Attributes
    ----------
    loop : Segment
        Its graph runs the body for as long as the answer stays the same.
    results : range
        Where its results go in the environment: over those of the segment.
    late : dict
        Where else results go: what the variable there holds, by where it was one step before.
    answer : bool
        For which it goes on.
    bound : Bound, optional
        Where Python counts. The number of steps then follows the results in the environment.
    """

    loop: Segment
    results: range
    late: dict[int, int]
    answer: bool
    bound: Bound | None = None

    @property
    def grows(self) -> bool:
        """Whether the loop takes more steps once Python was seen to."""
        return self.bound is not None and self.bound.over is None

    def run(
        self, environment: Environment, arguments: Sequence[Any], most: int | None = None
    ) -> int:
        """Run the loop to its end, or for so many steps; return their number if it is counted."""
        arrays = [environment[i] for i in self.loop.parameters]
        if self.bound is not None:
            arrays += [np.asarray(0), np.asarray(self.bound.most if most is None else most)]
        found = list(self.loop.sized(arguments).plan_for(arrays).run(*arrays))
        steps = int(found.pop()) if self.bound is not None else 0
        count = len(self.results)
        environment[self.results.start : self.results.stop] = found[:count]
        for place, late in zip(self.late, found[count:], strict=True):
            environment[place] = late
        self.loop.commit(environment, arguments)
        return steps


def asked_at(question: Question) -> int:
    """Return which result of its segment was asked for, or -1."""
    guard = question.segment.guard
    return -1 if guard is None else guard[1] - question.first


def loop_of(
    before: Question, now: Question, renamed: dict[int, int], visible: bool | None = None
) -> Repeat | None:
    """Return the loop over the results of the last segment; `visible` makes it a bounded one."""
    segment, results = now.segment, now.results
    # What Python holds at these places will be, one step later, what is at those now.
    late = {
        index: renamed[index]
        for was, index in renamed.items()
        if index != was and index not in results
    }
    made = [x for x in segment.graph.outputs if isinstance(x, Value)]
    old = [x.spec for x in before.segment.graph.outputs]
    given = [Value(replace(x.spec)) for x in made]
    given_late = {index: Value(replace(old[index - before.first])) for index in late}
    carried: dict[Value, Value] = {}
    constants: dict[Value, int] = {}
    places = []
    for value, index in zip(segment.graph.parameters, segment.parameters, strict=True):
        place = renamed.get(index, index)
        places.append(place)
        if place in results:
            carried[value] = given[place - results.start]
        elif place in late:
            carried[value] = given_late[place]
        elif index in before.results and index not in renamed:
            return None
        else:
            constants[value] = index
    if any(place not in results and place not in late for place in late.values()):
        return None
    kept = tuple(
        given[place - results.start] if place in results else given_late[place]
        for place in late.values()
    )
    carries = (*given, *given_late.values())
    body = _body(segment.graph, carries, carried, kept, tuple(constants))
    cond = _condition(body, asked_at(now), now.answer)
    bound = None
    if visible is not None:
        bound = Bound(visible, in_order(segment.graph, places), tuple(sorted(places)))
        body, cond = _counted(body, len(carries)), _at_most(cond, len(carries))
    line = segment.graph.nodes[0].line if segment.graph.nodes else None
    name = f"{segment.graph.name}.loop"
    graph = _while_loop(name, cond, body, len(carries), line)
    parameters = (*results, *late, *constants.values())
    loop = Segment(graph, parameters, (), segment.writes, planner=segment.planner)
    return Repeat(loop, results, late, now.answer, bound)


def over_range(repeat: Repeat | None, loop: Counting) -> Repeat | None:
    """Let a loop take the steps that are left of one over a range."""
    if repeat is not None and repeat.bound is not None:
        repeat.bound.most, repeat.bound.over = loop.left, loop.loop
    return repeat


def _body(
    graph: FuncGraph,
    carries: Sequence[Value],
    carried: dict[Value, Value],
    kept: tuple[Value, ...],
    constants: tuple[Value, ...],
) -> FuncGraph:
    """Return what a step computes, and then what is kept of the step before."""
    nodes = tuple(
        replace(
            node,
            inputs=tuple(carried.get(x, x) if isinstance(x, Value) else x for x in node.inputs),
        )
        for node in graph.nodes
    )
    outputs = tuple(carried.get(x, x) if isinstance(x, Value) else x for x in graph.outputs)
    return FuncGraph("step", (*carries, *constants), (), nodes, (*outputs, *kept))


def _condition(body: FuncGraph, asked: int, answer: bool) -> FuncGraph:
    inputs = tuple(Value(x.spec) for x in body.inputs)
    if answer:
        return FuncGraph("again", inputs, (), (), (inputs[asked],))
    turned = Value(inputs[asked].spec)
    node = Node(OPS["logical_not"], (inputs[asked],), {}, (turned,))
    return FuncGraph("again", inputs, (), (node,), (turned,))


def _counted(body: FuncGraph, carries: int) -> FuncGraph:
    """Return a body that counts its steps: one more carry, and the bound last."""
    steps, more, most = (Value(COUNT) for _ in range(3))
    node = Node(OPS["add"], (steps, Const(1, COUNT.dtype)), {}, (more,))
    inputs = (*body.inputs[:carries], steps, *body.inputs[carries:], most)
    return FuncGraph(body.name, inputs, (), (*body.nodes, node), (*body.outputs, more))


def _at_most(cond: FuncGraph, carries: int) -> FuncGraph:
    """Return a condition that also asks whether there are steps left."""
    steps, most = Value(COUNT), Value(COUNT)
    left, both = Value(cond.outputs[0].spec), Value(cond.outputs[0].spec)
    nodes = (
        Node(OPS["less"], (steps, most), {}, (left,)),
        Node(OPS["logical_and"], (cond.outputs[0], left), {}, (both,)),
    )
    inputs = (*cond.inputs[:carries], steps, *cond.inputs[carries:], most)
    return FuncGraph(cond.name, inputs, (), (*cond.nodes, *nodes), (both,))


def _while_loop(
    name: str, cond: FuncGraph, body: FuncGraph, carries: int, line: SourceLine | None
) -> FuncGraph:
    """Return a graph that is one loop; of what it is given, the count and the bound come last."""
    given = [Value(x.spec) for x in body.inputs]
    outputs = tuple(Value(x.spec) for x in given[: len(body.outputs)])
    attrs = {"cond": cond, "body": body, "carries": len(outputs)}
    node = Node(OPS["while_loop"], tuple(given), attrs, outputs, line)
    counts = given[carries : len(outputs)]
    inputs = (*given[:carries], *given[len(outputs) :])
    inputs = (*inputs[:-1], *counts, inputs[-1]) if counts else inputs
    return FuncGraph(name, inputs, (), (node,), outputs)
