"""How a trace is cut into segments while it is made.

While Python runs, each op becomes a node. Where Python asks for a concrete value, the nodes so
far become a segment that is compiled and run at once; Python goes on with the value it gets. So the
first call of a path is computed by the very segments that later calls replay. Where a path leaves a
known tree at a guard, the known segments are not run again: the function is re-run on traced values
to get Python to the same place, and the segments it passes are checked against the known ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from hybrid.core.asking import name_of
from hybrid.core.graph import Value
from hybrid.core.source import user_line
from hybrid.core.tensor import Tensor
from hybrid.core.tracelog import counted, listened, note, timed
from hybrid.trace.background import Planner
from hybrid.trace.bodies import in_order, same_body
from hybrid.trace.counters import Counters
from hybrid.trace.counting import Ranges
from hybrid.trace.cycles import cycle
from hybrid.trace.filled import FilledOnes
from hybrid.trace.looping import COUNT, Repeat
from hybrid.trace.meeting import MAX_STEPS as MAX_TWINS
from hybrid.trace.meeting import Meeting, follow, moved, way_to
from hybrid.trace.repeats import Questions
from hybrid.trace.same_graphs import SameGraphs
from hybrid.trace.segment import Failed, Runner, Segment, Steps
from hybrid.trace.segmenting import SegmentRecorder
from hybrid.trace.sized import Sized
from hybrid.trace.skipping import Skipping
from hybrid.trace.sources import Environment, Fill, commit, contents
from hybrid.trace.visits import Visits
from hybrid.trace.walking import MAX_STEPS, Walk


class Unstable(BaseException):  # no `except Exception` of the user's may catch it
    """A path that was traced again and did not repeat itself."""


class Cutter(SegmentRecorder):
    """Records a call in segments.

    Parameters
    ----------
    name : str
        The name of the function.
    arguments : sequence
        The flattened arguments as the caller gave them.
    known : list of (Segment, value)
        Segments that this call has run already, with the values met at their guards.
    environment : list
        What those segments computed; the array leaves of the arguments to begin with.
    first : bool
        No trace of the function exists: it may make Variables.
    run : callable
        ``run(segment, environment, arguments)``: plainly, or under the tapes around the call.
    planner : Planner, optional
        Makes Plans in the background.
    same : SameGraphs, optional
        Those of the function.
    questions : Questions
        Finds loops among the guards.

    Attributes
    ----------
    again : bool
        Whether the last one did what another has done before, in a loop.
    broken : bool
        Whether the last one has come to an error.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[Any],
        known: list[tuple[Segment, Any]],
        environment: Environment,
        *,
        first: bool,
        run: Runner,
        planner: Planner | None,
        same: SameGraphs[Sized] | None = None,
        questions: Questions,
    ) -> None:
        super().__init__(name, arguments, environment, first=first, planner=planner, same=same)
        self._run = run
        self.root: Segment | None = known[0][0] if known else None
        self._known = list(known)
        self._failed: Failed | None = None
        self._questions = questions
        self.skips = Skipping(self, questions) if questions.native else None
        self.counters = Counters(self, questions.home)
        self._visits = Visits(questions)
        self.ranges = questions.ranges = Ranges(self, questions)
        self.filled = FilledOnes(self, questions.home)
        self.again = False
        self._twins = 0
        self._left: dict[Segment, None] = {}  # each once, however often a loop comes by
        self._walk: Walk | None = None
        self._walked: dict[Repeat, int] = {}
        self.acted = False
        self.broken = False
        self._grafts: list[tuple[Segment, Any, Segment]] = []

    def _cut(self, extra: list[Value], guard: type | None = None) -> Any:
        """End a segment that others follow: run it, and return its guard's value."""
        self._refuse_to_go_on()
        self.counters.unlock()
        self._visits.forget_frames()
        self._questions.seen = None
        if guard is not bool:
            self._questions.forget()  # what follows is not the whole of a step
        size = self._size
        value: Any
        self.again = False
        segment = self._segment(extra, guard)
        if self._walk is not None and self._walk.goes_on(self, segment, extra, self._index):
            value = self._step(self._walk, segment, size)
        elif self._replays:
            raise Unstable
        elif self._known:
            value = self._pass_known(segment, extra)
        else:
            self._walk = None
            value = self._take(segment, extra)
        self.nodes = []
        self.acted = False
        segment = self.passed[-1][0]
        if segment.counters:
            self.counters.take(segment.counters)
        repeat = segment.repeat
        if repeat is None or repeat.bound is None or repeat.bound.over is None:
            return value
        return self._past_range(repeat, value)

    def _past_range(self, repeat: Repeat, way: Any) -> bool:
        """Let a loop of Python's know how many of its steps have been taken; return the answer."""
        assert repeat.bound is not None
        assert repeat.bound.over is not None
        steps = Value(COUNT)
        self._enter(steps)
        loop = self.ranges.innermost(repeat.bound.over)
        if loop is None:
            raise Unstable
        if isinstance(way, Steps):
            loop.pass_loop(None)
            return way.answer
        if way is not repeat.answer:
            loop.pass_loop(self.tensor(steps, None))
        return bool(way)

    @property
    def _replays(self) -> bool:
        """Whether Python is on its way through steps of a loop that a replay has taken."""
        return self._walk is not None and self._walk.replayed

    def _take(self, segment: Segment, extra: list[Value]) -> Any:
        """Run a segment that nothing is known of; return its guard's value."""
        self._attach(segment)
        with self._noting_failure():
            self._execute(segment)
            value = self._answered(segment, extra) if segment.guard else None
        if segment.guard and listened():
            note("guard", f"{name_of(segment.guard[0])} is {value!r}", user_line())
        self.passed.append((segment, value))
        if segment.guard is None or type(value) is not bool:
            return value
        if self._walk is not None:
            self._visits.see(self, segment, segment, extra[0], self._index)
            return value
        meeting = self._visits.meet(self, segment, extra[0], value, self._index)
        return value if meeting is None else self._meet(segment, meeting, value)

    def _meet(self, segment: Segment, meeting: Meeting, value: bool) -> bool | Steps:
        """Go on from where the question was asked before; return the answer to give to Python."""
        segment.meeting = meeting
        if meeting.target is not None and meeting.target.cycle is None and self._questions.native:
            specs = {index: value.spec for value, index in self._index.items()}
            meeting.target.cycle = cycle(self.passed, meeting, specs)
        self._questions.forget()  # it knows where things were
        meeting.move(self.environment)
        self._move(meeting)
        if meeting.target is None:
            return value
        if listened():
            note("guard", "as it was asked before", user_line())
        self.again = True
        self._left |= dict.fromkeys(segment for segment, _ in self.passed)
        self.passed = [*way_to(meeting.target), (meeting.target, value)]
        return self._go_on(meeting.target)

    def _move(self, meeting: Meeting) -> None:
        self._index = moved(list(self._index.items()), meeting)
        self._size = meeting.size

    def _go_on(self, base: Segment) -> bool | Steps:
        """Replay what is known of a loop; Python is then led to where that has come to."""
        inside = {base}
        with self._noting_failure():
            last, value = base, base.decide(self.environment, self.arguments)
            while (following := follow(last, value)) is not None:
                target = following.meeting.target if following.meeting else None
                if following.result is not None or not (target is None or target in inside):
                    break
                if following.repeat is not None and following.repeat.grows:
                    break
                if target is None and (
                    following.parent is None or following.parent[0] not in inside
                ):
                    break  # after an exit by another place of the loop
                self.passed = [*way_to(following)]
                self._execute(following)
                last = following.arrive(self.environment)
                inside.add(last)
                value = None
                if last.guard is not None:
                    value = last.decide(self.environment, self.arguments)
        way = [*way_to(last), (last, value)]
        at = len(way_to(base))
        self.passed, self._known = way[: at + 1], way[at + 1 :]
        way = self.passed[-1][1]
        return way if isinstance(way, Steps) else bool(way)

    def _pass_known(self, segment: Segment, extra: list[Value]) -> Any:
        """Let Python go past a segment that has run already, or into the loop that follows it."""
        known, way = self._check_known(segment)
        self.passed.append((known, way))
        self._commit_to_new(known, segment)
        self._walk = None
        if known.twin is not None or known.meeting is not None:
            self._count_twin()
        if known.meeting is not None:
            self._move(known.meeting)
            assert known.at is not None
            self._visits.count(known.at.loop.where)
        elif known.guard is not None and known.guard[0] is bool:
            self._visits.see(self, segment, known, extra[0], self._index)
        if known.repeat is None or not known.repeat.grows:
            return way
        self._size += 1  # for the number of steps
        if not isinstance(way, Steps):
            return way
        answer = known.repeat.answer
        question = self._questions.question(segment, answer, self._index)
        if question is None:
            raise Unstable
        question = replace(question, segment=known)
        self._walk = Walk(question, known.repeat, self._questions, way)
        return answer

    def _commit_to_new(self, known: Segment, segment: Segment) -> None:
        """Write what a segment has written to arrays that Python has made anew on its way to it.

        ``np.sort(captured)`` is an array like any from outside, but for the one call: a replay
        computes what is written to it, and has nothing to write that to.
        """
        committed = {id(write.target) for write in known.writes}
        for write in segment.writes:
            if not isinstance(write.target, int) and id(write.target) not in committed:
                commit(write, self.environment, self.arguments)
        self._expect(segment)

    def _step(self, walk: Walk, segment: Segment, size: int) -> bool:
        """Take one more step of a loop, which is no segment of its own."""
        if walk.segment.repeat is None:
            walk.segment.repeat = walk.repeat
            self.environment.append(0)
            size += 1
        self._size = size
        self.again = True
        self._visits.count(walk.question.state.where)
        walk.place(segment, self._index)
        replayed = walk.replayed
        with self._noting_failure():
            answer = walk.step(self.environment, self.arguments)
        way: Any = walk.past
        if not replayed:
            way = walk.segment.way(self.environment)
            self.passed[-1] = walk.segment, way
            self._walked[walk.repeat] = walk.taken
        if answer is not walk.repeat.answer or (self._known and not walk.replayed):
            self._walk = None
            if listened():
                note("guard", f"a loop: bool is {way!r}", user_line())
        return answer

    def _answered(self, segment: Segment, extra: list[Value]) -> Any:
        """Return the value of a guard; where the loop of it is known, once that has run."""
        value = segment.guard_value(self.environment)
        if self._questions.native and type(value) is bool:
            repeat = self._questions.repeat(self, segment, extra[0], value, self._index)
            if repeat is not None and repeat.grows:
                assert self._questions.last is not None
                where = self._questions.last.state.where
                if sum(self._walked.values()) < MAX_STEPS and not self._visits.knows(where):
                    self._walk = Walk(self._questions.last, repeat, self._questions)
            elif repeat is not None:
                segment.repeat = repeat
                if listened():
                    note("guard", f"a loop while bool is {value!r}", user_line())
        return segment.decide(self.environment, self.arguments)

    def _known_segment(self) -> Segment | None:
        if self._walk is not None:
            return self._walk.segment
        return self._known[0][0] if self._known else None

    def _segment(self, extra: list[Value], guard: type | None, result: Any = ...) -> Segment:
        self.filled.look()
        return super()._segment(extra, guard, result)

    def _fills(self) -> tuple[Fill, ...]:
        return self.filled.take(self._index, self._size)

    def _count_twin(self) -> None:
        self._twins += 1
        self.again = self._twins <= MAX_TWINS

    def _attach(self, segment: Segment) -> None:
        if self._visits.bodies is not None:
            twin = self._visits.bodies.twin(segment)
            if twin is not None:
                segment.share(twin)
                self._count_twin()
        if self.passed:
            segment.parent = self.passed[-1]
            self._grafts.append((*self.passed[-1], segment))
        else:
            self.root = segment

    def graft(self) -> bool:
        """Let replays find what was traced; the conditions for it must be in force by now.

        Returns
        -------
        bool
            Whether others had to go: see :meth:`Following.add`.
        """
        ended = False
        for parent, value, segment in reversed(self._grafts):
            ended |= parent.children.add(value, segment)
            if parent.at is not None and type(value) is bool:
                key = parent.at.loop.exit(value, parent.at)
                if key is not None:
                    parent.at.loop.exits.setdefault(key, parent)
        for repeat, steps in self._walked.items():
            assert repeat.bound is not None
            repeat.bound.most = max(repeat.bound.most, steps)
        return ended

    def _check_known(self, segment: Segment) -> tuple[Segment, Any]:
        known, value = self._known.pop(0)
        kinds = [None if x.guard is None else x.guard[0] for x in (known, segment)]
        graphs = [in_order(x.graph, range(len(x.graph.parameters))) for x in (known, segment)]
        if kinds[0] is not kinds[1] or known.fills != segment.fills or not same_body(*graphs):
            raise Unstable
        self.root = self.root or known
        return known, value

    def held(self) -> list[Tensor]:
        """Return the Tensors that stand for what is outside, in the order of their first use."""
        found = [tensor for _, tensor, _ in self.inputs]
        found += [tensor for _, tensor, _, _ in self.variables.values()]
        return found + [tensor for _, tensor, _ in self.shadows.values()]

    def captured(self) -> list[Value]:
        """Return the values that came from outside."""
        return [value for _, value in self.captures.values()]

    @property
    def written(self) -> list[Any]:
        """What the segments of this call have written to in place."""
        passed = [*self._left, *(segment for segment, _ in self.passed)]
        targets = [w.target for segment in passed for w in segment.writes]
        return [self.arguments[x] if isinstance(x, int) else x for x in targets]

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """Let an error of a Plan know what ran before, and the trace that it is over."""
        try:
            yield
        except Failed as failed:
            failed.path = list(self.passed)
            self._failed = failed
            raise

    def fail(self, error: Exception) -> NoReturn:
        """Leave it to eager code to do again what was recorded."""
        with self._noting_failure():
            raise Failed(error)

    def _refuse_to_go_on(self) -> None:
        """Raise once more what only an ``except:`` of the user's can have caught."""
        if self._failed is not None:
            raise self._failed

    def _execute(self, segment: Segment) -> None:
        """Run a segment on what was captured as it was when the function first used it."""
        graph = segment.graph
        with timed("segment", f"{graph.name}: {counted(len(graph.nodes), 'node')}"):
            self.broken = True  # until it has run: no error may let it act a second time
            self._run(segment, self.environment, self.arguments, self._fetch)
            self.broken = False
        self._expect(segment)

    def _expect(self, segment: Segment) -> None:
        """Remember what the arrays hold that a segment has written."""
        for write in segment.writes:
            if id(write.target) in self.expected:
                self.expected[id(write.target)] = np.array(write.target._data)

    def _fetch(self, source: Any, arguments: Sequence[Any]) -> Any:
        first = self.first_contents.get(id(source))
        return contents(source, arguments) if first is None else first
