"""``for _ in range(n)`` in a traced function: a loop of which can be seen where it is.

Python keeps to itself how far an iterator is. So for the time of a trace a `range` in the globals
stands for the built-in one. Where nobody reads the variable of the loop, or the function that is
compiled only returns it, it gives always the same object, and the trace knows the position. As long
as the steps ask nothing, or one question each, that is a number of this trace: the loop may become
a `scan` (see `skipping`), or one of native code that goes on while the answer is the same and steps
are left (see `repeats`). Where they ask more, the position is a value of the graph, and whether a
step is left is a question as any other: loops within loops then come back to what they have passed
(see `meeting`), whatever the numbers are.
"""

from __future__ import annotations

import operator
import sys
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from hybrid import dtypes
from hybrid.core import containers
from hybrid.core.dispatch import bind, scope
from hybrid.core.graph import Const
from hybrid.core.number import Number
from hybrid.core.op import OPS
from hybrid.core.source import is_framework
from hybrid.core.state import state
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.trace import bytecode
from hybrid.trace.count import LONG, Count
from hybrid.trace.filling import is_only_returned
from hybrid.trace.seeing import Opaque, locals_of

if TYPE_CHECKING:
    from hybrid.trace.cutting import Cutter
    from hybrid.trace.repeats import Questions

LEAST = 8
"""A loop of fewer steps is known for each of them."""
ALONE = 3
"""Steps of one question each that Python takes before the position becomes a value."""
MANY = 2
_LARGEST = 2**62


class Counting:
    """The iterator of a loop.

    Parameters
    ----------
    tracer : Cutter
    numbers : range
    loop : int
        The instruction that asks for the next number.
    frame : int
        The identity of the frame, which lives as long as the iterator.
    told : bool
        Whether the function returns how far it came.
    reads : str, optional
        The variable, where steps read it.
    """

    def __init__(
        self,
        tracer: Cutter,
        numbers: range,
        loop: int,
        frame: int,
        *,
        told: bool,
        reads: str | None = None,
    ) -> None:
        self.numbers, self.loop, self.frame = numbers, loop, frame
        self.at = Count(numbers)
        self.at.loop = weakref.ref(self)
        self._told, self.reads = told, reads
        self.index: Tensor | None = None  # the position, in the graph, before there is a counter
        self.name = f"{LONG if len(numbers) >= LEAST else 'of '}{loop}"
        self._tracer = tracer
        skips, places = tracer.skips if reads is None else None, range(len(numbers))
        self._steps: Iterator[int] = skips.steps(places, self.name) if skips else iter(places)
        self._asked = 0  # questions in this step, as many as matter
        self._since: int | None = None  # the first step that asked
        self._fixed = len(numbers) < LEAST

    def __iter__(self) -> Counting:
        return self

    def __next__(self) -> int | Count | Number:
        if not (self._more() if self.at.counter is not None else self._goes_on()):
            raise StopIteration
        if self.reads is not None:
            standing = self._standing()
            if standing is not None:
                return standing
            further = 0 if self.counter is None else int(self.counter.numpy())
            return self.numbers[self.position + further]
        return self.at if self._told else self.numbers[0]

    def _standing(self) -> Number | None:
        """Return what stands for the number of a step, once steps have asked."""
        tracer, numbers = self._tracer, self.numbers
        if self._fixed or self._since is None or not tracer.open or state.recorder is not tracer:
            self.index = None
            return None
        base, index = 0, self.counter
        if index is None:
            self.index = index = tracer.ranges.next_of(self.index, self.position)
        else:
            base, self.index = self.position, None
        found: Number = tracer.ranges.number(index, numbers[base], numbers)
        return found

    @property
    def position(self) -> int:
        """See :class:`Count`."""
        return self.at.position

    @property
    def counter(self) -> Tensor | None:
        """See :class:`Count`."""
        return self.at.counter

    @property
    def left(self) -> int:
        """The number of steps that follow this one."""
        return len(self.numbers) - 1 - self.position

    @property
    def seen(self) -> tuple[Any, ...]:
        """What tells the iterator from another one, beside how far it is."""
        if self.counter is not None:
            return self.loop, repr(self.numbers), self.position
        return self.loop, repr(self.numbers), self._asked, self._since, self._fixed

    def settle(self) -> None:
        """Give Python the numbers themselves from here on."""
        if self.reads is None:
            return
        self._fixed = True
        if self.at.counter is not None:
            self.at.position += operator.index(self.at.counter)
            self.at.counter = None
            self._steps = iter(range(self.position + 1, len(self.numbers)))

    def note_question(self, kind: type) -> None:
        """Note that Python asks for a traced value."""
        self._fixed |= kind is not bool
        self._asked = min(self._asked + 1, MANY)
        if self._since is None:
            self._since = self.position

    def pass_loop(self, steps: Tensor | None) -> None:
        """Note that native code has taken steps: as many as a Tensor, or all that were left."""
        if steps is None:
            self.at.position = len(self.numbers) - 1
            self._steps = iter(())
        else:
            self.index = None
            self.at.counter = steps

    def _goes_on(self) -> bool:
        asked, self._asked = self._asked, 0
        if asked and self._is_to_be_asked(asked):
            if not self.left:
                return False
            self.at.position += 1
            self.at.counter = self._tracer.ranges.zero()
            return True
        position = next(self._steps, None)
        if position is None:
            return False
        self.at.position = position
        return True

    def _is_to_be_asked(self, asked: int) -> bool:
        tracer = self._tracer
        if self._fixed or state.recorder is not tracer or not tracer.open:
            return False
        alone = ALONE + (self.reads is not None)
        if asked < MANY and self._since is not None and self.at.position - self._since < alone:
            return False
        shown: bool = tracer.ranges.shows_all()
        return shown

    def _more(self) -> bool:
        """Take a step; ask whether there is one more."""
        assert self.at.counter is not None
        data = self.at.counter._data
        if type(data) is Symbol and data.array is None:
            with scope(tapes=()):
                self.at.counter = bind(OPS["add"], (self.at.counter, 1), {})
            if self._tracer.ranges.ask(self):
                return True
            self.at.position, self.at.counter = len(self.numbers) - 1, None
            return False
        # The trace has given up meanwhile.
        self.at.position += int(self.at.counter.numpy())
        self.at.counter = None
        self._steps = iter(range(self.at.position + 1, len(self.numbers)))
        return self._goes_on()


class Ranges:
    """The loops over ranges of one trace.

    Parameters
    ----------
    tracer : Cutter
    questions : Questions
    """

    def __init__(self, tracer: Cutter, questions: Questions) -> None:
        self._tracer = tracer
        self._questions = questions
        self._alive: list[weakref.ref[Counting]] = []
        self.asking: int | None = None  # the instruction that asks whether there is another step

    def over(self, numbers: range, frame: FrameType) -> Counting | None:
        """Return what goes through a loop that a frame begins; None where its variable is read."""
        found = bytecode.loop_over(frame.f_code, frame.f_lasti)
        if found is None:
            return None
        loop, name, told = found
        reads = None
        if told and not (
            frame.f_back is not None
            and frame.f_back.f_code is self._questions.home
            and is_only_returned(frame.f_code, name)
            and all(abs(x) < _LARGEST for x in (numbers.start, numbers.stop))
        ):
            if not self._may_stand(numbers, name, frame):
                return None
            told, reads = False, name
        made = Counting(self._tracer, numbers, loop, id(frame), told=told, reads=reads)
        self._alive.append(weakref.ref(made))
        return made

    def _may_stand(self, numbers: range, name: str, frame: FrameType) -> bool:
        """Tell whether something may stand for the numbers of a loop that its steps read."""
        if not self._questions.native or len(numbers) < LEAST or name in frame.f_code.co_cellvars:
            return False
        if max(abs(numbers.start), abs(numbers.stop)) >= 2**31 or self._tracer.tells_identity:
            return False
        if not bytecode.computes_with(frame.f_code, name):
            return False  # decisions that are known for each number cost nothing in a replay
        held = locals_of(frame)
        return all(
            type(held.get(of)) is Tensor
            for index, of in bytecode.indexed_by(frame.f_code)
            if index == name
        )

    def next_of(self, index: Tensor | None, position: int) -> Tensor:
        """Return the position in the graph: one more than it was."""
        one = Const(1, dtypes.int64)
        if index is None:
            return self.constant(position)
        data = self._tracer.value_of(index)
        return self._tracer.tensor(self._tracer.emit(OPS["add"], (data, one), {}, None)[0], None)

    def number(self, index: Tensor, first: int, numbers: range) -> Number:
        """Return what stands for a number so many steps after the first one."""
        emit, value = self._tracer.emit, self._tracer.value_of(index)
        step, start = Const(numbers.step, dtypes.int64), Const(first, dtypes.int64)
        value = emit(OPS["multiply"], (value, step), {}, None)[0] if numbers.step != 1 else value
        found = emit(OPS["add"], (value, start), {}, None, weak=True)[0]
        ends = sorted((numbers[0], numbers[-1]))
        return Number(self._tracer.tensor(found, None), (ends[0], ends[1]))

    def settle(self) -> None:
        """Give Python the numbers themselves: it needs one of them."""
        for x in self._live():
            x.settle()

    def told(self, returned: Any) -> dict[int, Any]:
        """Return the numbers for what stands for them in what is returned, by its identity."""
        counts = [x for x in containers.leaves_of(returned) if type(x) is Count]
        return {id(x): x.number(self._tracer) for x in counts}

    def _live(self) -> list[Counting]:
        found = [x for ref in self._alive if (x := ref()) is not None]
        self._alive = [weakref.ref(x) for x in found]
        return found

    def of(self, frame: FrameType) -> list[Counting]:
        """Return those whose loops a frame is in, the outermost first."""
        return [x for x in self._live() if x.frame == id(frame)]

    def innermost(self, loop: int) -> Counting | None:
        """Return the one of a loop that the user's code is in."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and is_framework(frame.f_code):
            frame = frame.f_back
        return None if frame is None else next((x for x in self.of(frame) if x.loop == loop), None)

    def close(self) -> None:
        """Let go of the trace, which has come to its end."""
        self._alive = []
        del self._tracer, self._questions

    def zero(self) -> Tensor:
        """Return a number of the graph that is 0."""
        return self.constant(0)

    def constant(self, x: int) -> Tensor:
        """Return a number of the graph that is `x`."""
        attrs, value = {"shape": (), "dtype": dtypes.int64}, Const(x, dtypes.int64)
        return self._tracer.tensor(self._tracer.emit(OPS["full"], (value,), attrs, None)[0], None)

    def shows_all(self) -> bool:
        """Tell whether all that Python can see can be looked at."""
        places = dict.fromkeys((x.value for x in self._tracer.live_symbols()), 0)
        try:
            self._questions.look(places)
        except Opaque:
            return False
        return True

    def note_question(self, kind: type) -> None:
        """Note that Python asks for a traced value."""
        for x in self._live():
            x.note_question(kind)

    def ask(self, x: Counting) -> bool:
        """Ask whether there is another step."""
        assert x.counter is not None
        self.asking = x.loop
        try:
            return bool(bind(OPS["less"], (x.counter, len(x.numbers) - x.position), {}))
        finally:
            self.asking = None


class _Kind(type):
    """The class of the stand-in for ``range``: in all else it is that."""

    def __call__(cls, *args: Any) -> Any:
        numbers = range(*args)
        ranges = getattr(state.recorder, "ranges", None)
        if ranges is None:
            return numbers
        frame = sys._getframe(1)
        found = ranges.over(numbers, frame)
        return numbers if found is None else found

    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, range)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, range)

    def __eq__(cls, other: object) -> bool:
        return other is range or other is cls

    def __hash__(cls) -> int:
        return hash(range)

    def __repr__(cls) -> str:
        return repr(range)

    def __getattr__(cls, name: str) -> Any:
        return getattr(range, name)


class Range(metaclass=_Kind):
    """Stands for ``range`` in code that only calls it: a loop over it may leave out steps."""
