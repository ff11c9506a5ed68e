"""Watches the questions of a trace for those that were asked before: see `meeting`."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from hybrid.core.graph import Value
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass
from hybrid.trace import bytecode
from hybrid.trace.count import LONG
from hybrid.trace.meeting import At, Bodies, Key, Loop, Meeting
from hybrid.trace.repeats import Questions
from hybrid.trace.seeing import At as Place
from hybrid.trace.seeing import State, Where, own_place, place_of
from hybrid.trace.segment import Segment

if TYPE_CHECKING:
    from hybrid.trace.cutting import Cutter

MAX_VISITS = 32  # that are held against the next question


@dataclass(eq=False, slots=True)
class Visit:
    """A question that was met for the first time.

    Attributes
    ----------
    state : State
        What could be seen then.
    segment : Segment
        Which asked.
    first, size : int
        Where its results begin in the environment, and where those of later ones do.
    specs : dict
        Of what is where.
    held : tuple of int
        Where what the trace itself keeps is: the contents of arguments, Variables, Tensors outside.
    loop : Loop
    times : int
        How often it was asked since.
    """

    state: State
    segment: Segment
    first: int
    size: int
    specs: dict[int, TensorSpec]
    held: tuple[int, ...]
    loop: Loop
    times: int = 0


class Visits:
    """The questions of one trace.

    Parameters
    ----------
    questions : Questions
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._visits: list[Visit] = []
        self._unmoved = sys.maxsize  # places before it hold what they did from the first on
        self.bodies: Bodies | None = None  # once there is a loop
        self._last: tuple[Where, bool] | None = None
        self._waited: set[Where] = set()

    def knows(self, where: Where) -> bool:
        """Tell whether there is a loop by now that asks there."""
        return any(v.times and v.segment.at is not None for v in self._of(where))

    def _of(self, where: Where) -> list[Visit]:
        return [v for v in self._visits if v.loop.where == where]

    def count(self, where: Where) -> None:
        """Note that a question was asked once more."""
        for visit in self._of(where):
            visit.times += 1

    def forget_frames(self) -> None:
        """Let go of functions that have returned: they would keep Tensors alive."""
        running = set()
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            running.add(frame)
            frame = frame.f_back
        for visit in self._visits:
            if visit.state.frame is not None and visit.state.frame not in running:
                visit.state = replace(visit.state, frame=None)
        self._visits = [v for v in self._visits if v.state.frame is not None or not v.state.counted]

    def close(self) -> None:
        """Let go of everything that was seen."""
        self._visits = []

    def meet(
        self,
        tracer: Cutter,
        segment: Segment,
        asked: Value,
        answer: bool,
        places: dict[Value, int],
    ) -> Meeting | None:
        """Return what becomes of the environment where a question was asked before.

        Parameters
        ----------
        tracer : Cutter
        segment : Segment
            Which asks now; it learns its place in the loop, if it is a new one.
        asked : Value
        answer : bool
        places : dict
            Where values are in the environment.
        """
        now = self.see(tracer, segment, segment, asked, places)
        before, self._last = self._last, None if now is None else (now.loop.where, answer)
        if now is None or segment.repeat is not None:
            return None
        inside = {index: value.spec for value, index in places.items()}
        segment.counters = self._counted(tracer, now, inside, places)
        if segment.counters:
            return None
        if before == self._last and now.loop.where not in self._waited:
            self._waited.add(now.loop.where)  # a step more shows whether it may run in native code
            return None
        for visit in reversed(self._of(now.loop.where)):
            if visit is now:
                continue
            moves = self._moves(visit, now, inside)
            if moves is None or not self._all_seen(tracer, visit, now, moves, places):
                continue
            self._visits.remove(now)
            return self._meeting(visit, now, moves)
        return None

    def _counted(
        self, tracer: Cutter, now: Visit, inside: dict[int, TensorSpec], places: dict[Value, int]
    ) -> frozenset[str]:
        """Return the variables by which alone a question differs from one that was asked."""
        if not self._questions.native:
            return frozenset()
        for visit in reversed(self._of(now.loop.where)):
            names = tracer.counters.sought(visit.state, now.state)
            moves = self._moves(visit, now, inside) if names else None
            if moves is not None and self._all_seen(tracer, visit, now, moves, places):
                return names
        return frozenset()

    def see(
        self,
        tracer: Cutter,
        segment: Segment,
        known: Segment,
        asked: Value,
        places: dict[Value, int],
    ) -> Visit | None:
        """Note what can be seen at a question, unless not all can be.

        Parameters
        ----------
        tracer, asked, places
            See `meet`.
        segment, known : Segment
            Which asks: as it was traced now, and before.
        """
        question = self._questions.question(segment, answer=False, places=places)
        if question is None:
            return None
        state = question.state
        self.count(state.where)
        code, at = state.where[0]
        if state.counts and not bytecode.once_a_step(code, at):
            return None
        seen = {i for x in state.seen if isinstance(x, Place) for i in (x.index, x.own)}
        held = tuple(f(t, places) for t in tracer.held() for f in (place_of, own_place))
        specs = {i: v.spec for v, i in places.items() if i in seen or i in held}
        specs[places[asked]] = asked.spec
        loop = known.at.loop if known.at is not None else Loop(state.where)
        visit = Visit(state, known, question.first, tracer.size, specs, held, loop)
        self._visits = [*self._visits[1 - MAX_VISITS :], visit]
        return visit

    def _moves(
        self, visit: Visit, now: Visit, specs: dict[int, TensorSpec]
    ) -> dict[int, int] | None:
        """Return from where each Tensor gets back to where it was; None if more has changed."""
        old, new = visit.state, now.state
        if len(old.seen) != len(new.seen) or len(visit.held) != len(now.held):
            return None
        if new.counted and (old.frame is not new.frame or new.frame is None):
            return None
        assert visit.segment.guard is not None
        assert now.segment.guard is not None
        # A step further in a loop that may run in native code, as one whole.
        steps = [x for x in new.numbers if x.startswith(LONG)]
        if any(old.numbers.get(x) != new.numbers[x] for x in steps):
            return None
        pairs = [(visit.segment.guard[1], now.segment.guard[1])]
        pairs += zip(visit.held, now.held, strict=True)
        for a, b in zip(old.seen, new.seen, strict=True):
            if isinstance(a, Place) and isinstance(b, Place):
                if (a.storage, a.part) != (b.storage, b.part):
                    return None
                pairs += [(a.index, b.index), (a.own, b.own)]
            elif type(a) is not type(b) or a != b:
                return None
        found: dict[int, int] = {}
        for was, index in pairs:
            if was < 0 and index < 0:
                continue
            if was < 0 or index < 0 or was >= visit.size or found.setdefault(was, index) != index:
                return None
            before, after = visit.specs.get(was), specs.get(index)
            # As text: unknown sizes are not to be asked whether they are equal in this call.
            if before is not after and str(before) != str(after):
                return None
        return found

    def _all_seen(
        self,
        tracer: Cutter,
        visit: Visit,
        now: Visit,
        moves: dict[int, int],
        places: dict[Value, int],
    ) -> bool:
        """Tell whether all that no variable shows is where it has been from the first on."""
        changed = [was for was, index in moves.items() if was != index]
        unmoved = min([self._unmoved, visit.first, *changed])
        if any(places.get(value, -1) >= visit.size for value in tracer.captured()):
            return False
        assert now.segment.guard is not None
        shown = {*now.state.tensors, *map(id, tracer.held())}
        for t in tracer.live_tensors():
            place = max(place_of(t, places), own_place(t, places))
            if id(t) not in shown and place >= unmoved and place != now.segment.guard[1]:
                return False
        self._unmoved = unmoved
        return True

    def _meeting(self, visit: Visit, now: Visit, moves: dict[int, int]) -> Meeting:
        """Return the meeting, at a place that is known or at one that the loop has from now on."""
        self.bodies = self.bodies or Bodies()
        loop = visit.loop
        if visit.segment.at is None:
            self._place(loop, _key(visit.state, 0), visit.segment, visit.state)
        key = _key(now.state, visit.times)
        known = loop.places.get(key)
        if known is not None and known.repeat is not None and known.repeat.grows:
            known = None  # it goes on for as long as Python was seen to
        if known is not None and not self._questions.untouched():
            known = None
        if known is None:
            self._place(loop, key, now.segment, now.state)
            assert visit.segment.guard is not None
            now.segment.guard = visit.segment.guard
        changed = tuple((was, index) for was, index in moves.items() if was != index)
        return Meeting(changed, visit.size, known)

    def _place(self, loop: Loop, key: Key, segment: Segment, state: State) -> None:
        segment.at = At(loop, state.numbers, state.shown)
        loop.places[key] = segment


def _key(state: State, times: int) -> Key:
    """Return what tells one place of a loop from another: the numbers that may be read there."""
    code, at = state.where[0]
    numbers = state.numbers
    if state.counts:
        return times, *sorted(numbers.items())
    read = [bytecode.read_after(code, at, answer, state.shown) for answer in (True, False)]
    if read[0] is None or read[1] is None:
        return tuple(sorted(numbers.items()))
    return tuple(sorted((x, numbers[x]) for x in read[0] | read[1] if x in numbers))
