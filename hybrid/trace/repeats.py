"""``while err > tol:`` of Python as a loop in native code.

Each time Python asks whether to go on, the trace is cut. Where everything that Python can see is
then the same as at the time before, but for Tensors that have been computed anew in the same way,
what happens next is the same too, for as long as the answer is: Python is deterministic, and what
a replay could not repeat (see `effects`) has not happened. So the segment between the two questions
is the body of a loop, which runs until the answer changes; only then is Python told.

Where Python counts as well, in a ``for`` loop that is left by ``break`` or with ``n += 1``, it goes
through the loop itself while that is traced (see `walking`), and the loop has a bound: the number
of steps for which it was seen to do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid import dtypes
from hybrid.core.graph import Const, FuncGraph, Node, Value, has_effects, may_fail
from hybrid.core.op import OPS
from hybrid.core.source import SourceLine
from hybrid.core.spec import TensorSpec
from hybrid.core.symbol import Symbol
from hybrid.records import dataclass
from hybrid.trace import bytecode
from hybrid.trace.bodies import in_order
from hybrid.trace.seeing import At, Opaque, State, look, place_of
from hybrid.trace.segment import Segment
from hybrid.trace.sources import Environment

if TYPE_CHECKING:
    from hybrid.trace.counting import Counting, Ranges
    from hybrid.trace.cutting import Cutter
    from hybrid.trace.skipping import Head

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


class Questions:
    """Watches the guards of a trace for loops.

    Parameters
    ----------
    home : code
        Of the function that calls the one that is traced.
    given : sequence
        Python objects among the arguments, whose attributes `untouched` looks at.
    untouched : callable
        Tells whether nothing outside has changed since the trace began.
    native : bool
        Whether loops may run in native code: not where tapes look at their steps.
    """

    def __init__(
        self,
        home: CodeType,
        given: Sequence[Any],
        untouched: Callable[[], bool],
        *,
        native: bool,
    ) -> None:
        self.native = native
        self.home = home
        self._given = given
        self._untouched = untouched
        self.last: Question | None = None  # that was asked, where all could be seen
        self.seen: Question | None = None  # at this question, which both look at
        self._over = False
        self.ranges: Ranges | None = None

    def forget(self) -> None:
        """Let the next question be the first."""
        self.last = self.seen = None

    def close(self) -> None:
        """Let go of the trace, which has come to its end."""
        self.forget()
        self._given = ()
        self.ranges = None
        self._untouched = lambda: False

    def repeat(
        self, tracer: Cutter, segment: Segment, asked: Value, answer: bool, places: dict[Value, int]
    ) -> Repeat | None:
        """Return the loop whose body a segment is, if Python is where it was one segment ago."""
        before, self.last = self.last, None
        now = self.question(segment, answer, places)
        if now is None:
            return None
        self.last = now
        if self._over or before is None or before.answer is not answer:
            return None
        if not is_body(before, now):
            return None
        renamed = _renamed(before, now)
        if renamed is None or has_more(tracer, before, now.state, asked, places):
            return None
        numbers = now.state.differs(before.state)
        loop = self._only_further(before, now, numbers)
        if loop is not None:
            self.last = None
            return (
                _over_range(_loop(before, now, renamed, visible=False), loop)
                if self.untouched()
                else None
            )
        if tracer.counters.sought(before.state, now.state):
            return None  # they become values of the graph
        if numbers or now.state.counts:
            code, at = now.state.where[0]
            read = bytecode.read_after(code, at, not answer)
            return _loop(before, now, renamed, read is None or bool(read & numbers))
        self.last = None
        return _loop(before, now, renamed) if self.untouched() else None

    def _only_further(self, before: Question, now: Question, numbers: set[str]) -> Counting | None:
        """Return the loop over a range that is one step further, if nothing else has changed."""
        if self.ranges is None or now.state.counts or now.state.frame is None:
            return None
        found = [x for x in self.ranges.of(now.state.frame) if {x.name} == numbers]
        names = (before.state.numbers, now.state.numbers)
        if len(found) != 1 or not found[0].left or not all(found[0].name in x for x in names):
            return None
        was, position = (x[found[0].name] for x in names)
        return found[0] if position == was + 1 else None

    def untouched(self) -> bool:
        """Tell whether nothing outside has changed since the trace began."""
        self._over = self._over or not self._untouched()  # it stays changed
        return not self._over

    def look(
        self, places: dict[Value, int], also: Sequence[Any] = (), counter: str | None = None
    ) -> State:
        """Return what Python can see; see :func:`~hybrid.trace.seeing.look`."""
        return look(self.home, self._given, places, also, counter, self.ranges)

    def question(self, segment: Segment, answer: bool, places: dict[Value, int]) -> Question | None:
        """Return what is seen at a question; None where not all is."""
        if self.seen is not None and self.seen.segment is segment:
            return self.seen
        self.seen = None
        try:
            state = self.look(places)
        except Opaque:
            return None
        asks = None if self.ranges is None else self.ranges.asking
        if asks is None and not bytecode.decides(*state.where[0]):
            return None  # C asks, and nobody can see what it does next: sorted(), any()
        made = [places[x] for x in segment.graph.outputs if x in places]
        made += [write.index for write in segment.writes]
        self.seen = Question(segment, min(made, default=0), state, answer)
        return self.seen


# --- from one question to the next ----------------------------------------------------------------


def is_body(before: Question, now: Question) -> bool:
    """Tell whether a segment has results like those of the one before, and no effects."""
    segment = now.segment
    if segment.captured or segment.fills or before.state.where != now.state.where:
        return False
    if not writes_alike(before.segment, segment):
        return False
    if any(map(has_effects, segment.graph.nodes)):
        return False
    results = [x.spec for x in before.segment.graph.outputs[: len(before.results)]]
    same = results == [x.spec for x in segment.graph.outputs]
    return same and _asked(before) == _asked(now)


def writes_alike(before: Segment, now: Segment) -> bool:
    """Tell whether segments write to the same arguments, if they do; and then nothing may fail.

    An error in a loop is raised by plain Python, which begins where the segment before it did. What
    that has written would be written twice.
    """
    targets = [write.target for write in now.writes]
    if not targets:
        return not before.writes
    earlier = [write.target for write in before.writes]
    if not all(type(target) is int for target in (*earlier, *targets)) or earlier != targets:
        return False  # what is captured is an array or a Variable, whose == is not an answer
    return not any(may_fail(n.op, n.attrs) for n in now.graph.nodes)


def _asked(question: Question) -> int:
    guard = question.segment.guard
    return -1 if guard is None else guard[1] - question.first


def _renamed(before: Question, now: Question) -> dict[int, int] | None:
    """Return where in the environment each Tensor that Python sees has gone; None if it changed.

    What has not stayed where it was is a result of the step as it was one of the step before, or
    it is where another Tensor was at the question before: ``old = new``.
    """
    found = moves(before.state, now.state)
    if found is None:
        return None
    moved = now.first - before.first
    for was, index in found.items():
        carried = was in before.results and index - was == moved
        if not (carried or index == was or (index in before.results and index in found)):
            return None
    return found


def moves(before: State, now: State) -> dict[int, int] | None:
    """Return where each Tensor that Python sees has gone; None where anything else changed."""
    found: dict[int, int] = {}
    if len(before.seen) != len(now.seen):
        return None
    if now.counted and before.frame is not now.frame:
        return None
    for old, new in zip(before.seen, now.seen, strict=True):
        if isinstance(old, At) and isinstance(new, At):
            if (old.storage, old.part, old.own < 0) != (new.storage, new.part, new.own < 0):
                return None
            if found.setdefault(old.index, new.index) != new.index:
                return None
            if old.own >= 0 and found.setdefault(old.own, new.own) != new.own:
                return None
        elif type(old) is not type(new) or old != new:
            return None
    return found


def has_more(
    tracer: Cutter,
    before: Question | Head,
    now: State,
    asked: Value | None,
    places: dict[Value, int],
) -> bool:
    """Tell whether Tensors that no variable shows are as new as those that any shows.

    Old ones stay what they are through all steps, unless a variable has held them meanwhile.
    """
    held = {x.index for x in before.state.seen if isinstance(x, At)}
    held -= {x.index for x in now.seen if isinstance(x, At)}
    for t in tracer.live_tensors():
        if id(t) in now.tensors or (type(t._data) is Symbol and t._data.value is asked):
            continue
        place = place_of(t, places)
        if place >= before.first or place in held:
            return True
    return False


def stays(question: Question, repeat: Repeat, now: Question) -> bool:
    """Tell whether all that Python sees has gone one step on since `question`."""
    renamed = _renamed(question, now)
    if renamed is None or question.state.frame is not now.state.frame:
        return False
    moved = now.first - question.first
    return all(
        index == (was + moved if was in repeat.results else repeat.late.get(was, was))
        for was, index in renamed.items()
    )


def _loop(
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
    cond = _condition(body, _asked(now), now.answer)
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


def _over_range(repeat: Repeat | None, loop: Counting) -> Repeat | None:
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
