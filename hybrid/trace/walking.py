"""Loops that Python goes through step by step while they are traced, because it counts there.

A ``for`` loop that is left by ``break`` has an end that cannot be seen, and ``n += 1`` changes what
can be. So Python takes all its steps; each is held against the first one and, as it is the same,
is nothing new in the trace. A replay takes as many steps at most. With more, the trace is taken up
where it ended, and the bound grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hybrid.core.graph import Value
from hybrid.records import dataclass
from hybrid.trace import bytecode
from hybrid.trace.bodies import in_order, same_body
from hybrid.trace.looping import Question, Repeat
from hybrid.trace.repeats import Questions, has_more, is_body, stays
from hybrid.trace.segment import Segment, Steps
from hybrid.trace.sources import Environment

if TYPE_CHECKING:
    from hybrid.trace.cutting import Cutter

MAX_STEPS = 2048  # in one trace: each step is a trace of the body


@dataclass(eq=False, slots=True)
class Walk:
    """Python on its way through a loop.

    Attributes
    ----------
    question : Question
        What was seen where the loop was found, before its first step.
    repeat : Repeat
    questions : Questions
    past : Steps, optional
        What a replay has done already before it came to something new.
    taken : int
        Steps by now.
    """

    question: Question
    repeat: Repeat
    questions: Questions
    past: Steps | None = None
    taken: int = 0

    @property
    def segment(self) -> Segment:
        """The one whose results the loop goes on with."""
        return self.question.segment

    @property
    def replayed(self) -> bool:
        """Whether the next step was taken by a replay."""
        return self.past is not None and self.taken < self.past.steps

    def goes_on(
        self, tracer: Cutter, segment: Segment, asked: Sequence[Value], places: dict[Value, int]
    ) -> bool:
        """Tell whether a segment that has not run is one more step."""
        if segment.guard is None or segment.guard[0] is not bool:
            return False
        if not self._is_body(segment):
            return False
        if self.replayed:
            return True
        if self.taken - (self.past.steps if self.past else 0) >= MAX_STEPS:
            return False
        now = self.questions.question(segment, self.repeat.answer, places)
        if now is None or not is_body(self.question, now):
            return False
        if not stays(self.question, self.repeat, now):
            return False
        if has_more(tracer, self.question, now.state, asked[0], places):
            return False
        return self._is_bounded_alike(now)

    def _is_body(self, segment: Segment) -> bool:
        bound = self.repeat.bound
        assert bound is not None
        if tuple(sorted(segment.parameters)) != bound.places:
            return False
        return same_body(bound.body, in_order(segment.graph, segment.parameters))

    def _is_bounded_alike(self, now: Question) -> bool:
        """Tell whether what follows the loop can see as much of Python's numbers as was known."""
        assert self.repeat.bound is not None
        if self.repeat.bound.visible:
            return True
        code, at = now.state.where[0]
        read = bytecode.read_after(code, at, not self.repeat.answer)
        return read is not None and not read & now.state.differs(self.question.state)

    def place(self, segment: Segment, places: dict[Value, int]) -> None:
        """Let the results of a step be where those of the step before were."""
        late = {was: index for index, was in self.repeat.late.items()}
        for value, index in list(places.items()):
            if index in late:
                places[value] = late[index]
            elif index in self.repeat.results:
                del places[value]
        made = [x for x in segment.graph.outputs if isinstance(x, Value)]
        # What is written is listed twice: as a result first.
        places |= reversed([*zip(made, self.repeat.results, strict=True)])

    def step(self, environment: Environment, arguments: Sequence[Any]) -> bool:
        """Take a step, if no replay has; return the answer after it."""
        if self.past is not None and self.replayed:
            self.taken += 1  # the environment is that of later segments
            return self.past.answer if self.taken == self.past.steps else self.repeat.answer
        self.repeat.run(environment, arguments, most=1)
        self.taken += 1
        environment[self.repeat.results.stop] = self.taken
        return bool(self.segment.guard_value(environment))
