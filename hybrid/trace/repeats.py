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
from types import CodeType
from typing import TYPE_CHECKING, Any

from hybrid.core.graph import Value, has_effects, may_fail
from hybrid.core.symbol import Symbol
from hybrid.trace import bytecode
from hybrid.trace.looping import Question, Repeat, asked_at, loop_of, over_range
from hybrid.trace.seeing import At, Opaque, State, look, place_of
from hybrid.trace.segment import Segment

if TYPE_CHECKING:
    from hybrid.trace.counting import Counting, Ranges
    from hybrid.trace.cutting import Cutter
    from hybrid.trace.skipping import Head


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
                over_range(loop_of(before, now, renamed, visible=False), loop)
                if self.untouched()
                else None
            )
        if tracer.counters.sought(before.state, now.state):
            return None  # they become values of the graph
        if numbers or now.state.counts:
            code, at = now.state.where[0]
            read = bytecode.read_after(code, at, not answer)
            return loop_of(before, now, renamed, read is None or bool(read & numbers))
        self.last = None
        return loop_of(before, now, renamed) if self.untouched() else None

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
    return same and asked_at(before) == asked_at(now)


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
