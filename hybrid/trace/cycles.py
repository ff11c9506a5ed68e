"""A way round a loop whose steps ask several questions, as a loop in native code.

Where the tree of segments comes back to a question (see `meeting`), the segments in between are a
step: from what Python saw at the question to what it sees when it is asked again. As long as all
questions of a step are answered as they were, one step after the other does the same. So the step
is a body that also tells whether it was answered so, and the loop stops before the first that was
not: that one is gone through segment by segment, like any step of a loop. Nothing in a step acts,
writes or may fail, for the one that is tried in vain must leave no trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value, has_effects, may_fail
from hybrid.core.op import OPS
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass
from hybrid.trace.meeting import Meeting
from hybrid.trace.segment import Segment
from hybrid.trace.sources import Environment

_COUNT = TensorSpec((), dtypes.int64)
_ANSWER = TensorSpec((), dtypes.bool_)
_TRIES = 8
"""After so many it must have gone two steps at a time: a try costs what a segment does."""


@dataclass(eq=False, slots=True)
class Cycle:
    """The steps of a loop that go one way.

    Attributes
    ----------
    loop : Segment
        Its graph takes steps for as long as they go this way; parameters are in the environment.
    places : tuple of int
        Where in the environment its results go.
    answer : bool
        To the question at which it begins.
    tries, steps : int
        How often it was run, and how far it went.
    """

    loop: Segment
    places: tuple[int, ...]
    answer: bool
    tries: int = 0
    steps: int = 0

    def run(self, environment: Environment, arguments: Sequence[Any]) -> None:
        """Take as many steps as go this way."""
        if self.tries >= _TRIES and self.steps < 2 * self.tries:
            return
        count = len(self.places)
        arrays = [environment[i] for i in self.loop.parameters]
        arrays[:count] = map(np.asarray, arrays[:count])
        *found, steps = self.loop.sized(arguments).plan_for(arrays).run(*arrays)
        self.tries += 1
        self.steps += int(steps)
        if not steps:
            return
        for place, value in zip(self.places, found, strict=True):
            environment[place] = value


def cycle(
    way: Sequence[tuple[Segment, Any]], meeting: Meeting, specs: Mapping[int, TensorSpec]
) -> Cycle | None:
    """Return the loop over the segments that lead from a question back to it.

    Parameters
    ----------
    way : sequence of (Segment, answer)
        As they were traced, the one that met the question again last.
    meeting : Meeting
    specs : mapping
        Of what is in the environment there, before it is moved.
    """
    asked, target = [segment for segment, _ in way], meeting.target
    if target is None or target not in asked or target.repeat is not None:
        return None
    at = asked.index(target)
    answers, steps = [answer for _, answer in way[at:]], asked[at + 1 :]
    if len(steps) < 2 or answers[-1] is not answers[0] or not all(map(_is_pure, steps)):
        return None
    if any(segment.meeting is not None for segment in steps[:-1]):
        return None
    step = _step(steps, answers[1:], meeting, specs)
    return None if step is None else _loop(step, [place for place, _ in meeting.moves], answers[0])


def _is_pure(segment: Segment) -> bool:
    kept = segment.captured or segment.writes or segment.fills or segment.inputs or segment.planner
    if kept or segment.repeat is not None or segment.guard is None or segment.guard[0] is not bool:
        return False
    return not any(has_effects(n) or may_fail(n.op, n.attrs) for n in segment.graph.nodes)


def _step(
    segments: Sequence[Segment],
    answers: Sequence[bool],
    meeting: Meeting,
    specs: Mapping[int, TensorSpec],
) -> tuple[FuncGraph, tuple[int, ...]] | None:
    """Return a step as a graph, and where in the environment is what it takes.

    First comes what moves, which it returns; then it tells whether it was answered as before.
    """
    given = {place: Value(_strong(specs[late])) for place, late in meeting.moves if late in specs}
    if len(given) < len(meeting.moves):
        return None
    here: dict[int, Operand] = {**given}
    nodes: list[Node] = []
    size, told = meeting.size, []

    def at(place: int, spec: TensorSpec) -> Operand:
        if place not in here:
            here[place] = given[place] = Value(replace(spec))
        return here[place]

    for segment, answer in zip(segments, answers, strict=True):
        graph = segment.graph
        pairs = zip(graph.parameters, segment.parameters, strict=True)
        names: dict[Operand, Operand] = {v: at(place, v.spec) for v, place in pairs}
        for node in graph.nodes:
            outputs = tuple(Value(v.spec) for v in node.outputs)
            inputs = tuple(names.get(x, x) if isinstance(x, Value) else x for x in node.inputs)
            nodes.append(replace(node, inputs=inputs, outputs=outputs))
            names |= zip(node.outputs, outputs, strict=True)
        results = [names.get(x, x) if isinstance(x, Value) else x for x in graph.outputs]
        here |= enumerate(results, size)
        size += len(results)
        assert segment.guard is not None
        guard = here[segment.guard[1]]
        if not isinstance(guard, Value) or (guard.spec.shape, guard.spec.dtype) != _ONE:
            return None
        told.append(guard if answer else _noted(nodes, "logical_not", guard))
    same = told[0]
    for other in told[1:]:
        same = _noted(nodes, "logical_and", same, other)
    late = [at(i, specs[i]) for _, i in meeting.moves]
    if not all(isinstance(x, Value) for x in late):
        return None
    return FuncGraph("step", tuple(given.values()), (), tuple(nodes), (*late, same)), tuple(given)


_ONE = ((), dtypes.bool_)


def _strong(spec: TensorSpec) -> TensorSpec:
    return replace(spec, weak=False)


def _noted(nodes: list[Node], op: str, *inputs: Operand, spec: TensorSpec = _ANSWER) -> Value:
    found = Value(spec)
    nodes.append(Node(OPS[op], inputs, {}, (found,)))
    return found


def _loop(step: tuple[FuncGraph, tuple[int, ...]], places: Sequence[int], answer: bool) -> Cycle:
    """Return a loop that is one step ahead: what it returns is from before the last one.

    It carries what there is now, what there is a step later, whether that went this way, and the
    number of steps; the first time around it takes no step.
    """
    graph, taken = step
    count = len(places)
    moving = graph.inputs[:count]
    before = tuple(Value(v.spec) for v in moving)
    went, steps = Value(_ANSWER), Value(_COUNT)
    carries = (*before, *moving, went, steps)
    nodes = list(graph.nodes)
    more = _noted(nodes, "add", steps, Const(1, dtypes.int64), spec=_COUNT)
    results = (*moving, *graph.outputs, more)
    body = FuncGraph("step", (*carries, *graph.inputs[count:]), (), tuple(nodes), results)
    asked = tuple(Value(v.spec) for v in body.inputs)
    cond = FuncGraph("again", asked, (), (), (asked[2 * count],))

    now = tuple(Value(v.spec) for v in graph.inputs)
    made: list[Node] = []
    attrs = {"shape": (), "dtype": dtypes.bool_}
    true, minus = Value(_ANSWER), Value(_COUNT)
    made.append(Node(OPS["full"], (Const(True, dtypes.bool_),), attrs, (true,)))
    attrs = {"shape": (), "dtype": dtypes.int64}
    made.append(Node(OPS["full"], (Const(-1, dtypes.int64),), attrs, (minus,)))
    operands = (*now[:count], *now[:count], true, minus, *now[count:])
    found = tuple(Value(v.spec) for v in carries)
    attrs = {"cond": cond, "body": body, "carries": len(carries)}
    # Of n times around the last one was in vain.
    made.append(Node(OPS["while_loop"], operands, attrs, found))
    outputs = (*found[:count], found[-1])
    whole = FuncGraph("cycle", now, (), tuple(made), outputs)
    return Cycle(Segment(whole, taken, ()), tuple(places), answer)
