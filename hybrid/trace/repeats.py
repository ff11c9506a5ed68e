"""``while err > tol:`` of Python as a loop in native code.

Each time Python asks whether to go on, the trace is cut. Where everything that Python can see is
then the same as at the time before, but for Tensors that have been computed anew in the same way,
what happens next is the same too, for as long as the answer is: Python is deterministic, and what
a replay could not repeat (see `effects`) has not happened. So the segment between the two questions
is the body of a loop, which runs until the answer changes; only then is Python told.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core.graph import FuncGraph, Node, Value, has_effects
from hybrid.core.op import OPS
from hybrid.core.source import is_framework
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.trace.segment import Environment, Segment

if TYPE_CHECKING:
    from hybrid.trace.cutting import Cutter

_LITERALS = (bool, int, float, complex, str, bytes, range, type(None), type(Ellipsis), np.dtype)
_MOST = 1000  # things that Python can see; more are not looked at


class Opaque(Exception):
    """Something that Python can see may have changed without showing it."""


@dataclass(frozen=True, slots=True)
class At:
    """Where a Tensor that Python can see is in the environment, and which part of that it shows."""

    index: int
    storage: int
    part: tuple[Any, ...]


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """What Python can see when it asks.

    Attributes
    ----------
    where : tuple
        Code and instruction of each frame of the traced function and its helpers.
    seen : list
        What their local variables hold, one by one: `At`, literals, other objects.
    tensors : frozenset of int
        The Tensors among them, by identity.
    frame : frame
        The innermost one. While it runs those around it stand still.
    counted : bool
        One of those is in a ``for`` loop, which cannot be seen.
    """

    where: tuple[tuple[CodeType, int], ...]
    seen: list[Any]
    tensors: frozenset[int]
    frame: FrameType
    counted: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A guard that was met: the segment that it ends, whose results begin at `first`."""

    segment: Segment
    first: int
    state: State
    answer: bool

    @property
    def results(self) -> range:
        """Where what the segment computes is in the environment."""
        count = len(self.segment.graph.outputs) - len(self.segment.writes)
        return range(self.first, self.first + count)


@dataclass(frozen=True, eq=False, slots=True)
class Repeat:
    """A loop over what a segment has computed.

    Attributes
    ----------
    loop : Segment
        Its graph runs the body for as long as the answer stays the same.
    results : range
        Where its results go in the environment: over those of the segment.
    answer : bool
        For which it goes on.
    """

    loop: Segment
    results: range
    answer: bool

    def run(self, environment: Environment, arguments: Sequence[Any]) -> None:
        """Run the loop to its end."""
        arrays = [environment[i] for i in self.loop.parameters]
        found = self.loop.sized(arguments).plan_for(arrays).run(*arrays)
        environment[self.results.start : self.results.stop] = found


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
    """

    def __init__(self, home: CodeType, given: Sequence[Any], untouched: Callable[[], bool]) -> None:
        self._home = home
        self._given = given
        self._untouched = untouched
        self._before: Question | None = None
        self._over = False

    def forget(self) -> None:
        """Let the next question be the first."""
        self._before = None

    def repeat(
        self, tracer: Cutter, segment: Segment, asked: Value, answer: bool, places: dict[Value, int]
    ) -> Repeat | None:
        """Return the loop whose body a segment is, if Python is where it was one segment ago."""
        before, self._before = self._before, None
        try:
            state = self._state(places)
        except Opaque:
            return None
        first = min((places[x] for x in segment.graph.outputs if isinstance(x, Value)), default=0)
        now = self._before = Question(segment, first, state, answer)
        if before is None or before.answer is not answer or not _is_body(before, now):
            return None
        renamed = _renamed(before, now)
        loose = (
            t
            for t in tracer.live_tensors()
            if id(t) not in state.tensors
            and not (type(t._data) is Symbol and t._data.value is asked)
            and _place(t, places) >= before.first
        )
        if renamed is None or next(loose, None) is not None:
            return None
        self._before = None
        if self._over or not self._untouched():
            self._over = True  # it stays changed
            return None
        return _loop(before, now, renamed)

    # --- what Python can see ----------------------------------------------------------------------

    def _state(self, places: dict[Value, int]) -> State:
        seeing = _Seeing(places, tuple(self._given))
        where, counted = [], False
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and is_framework(frame.f_code):
            frame = frame.f_back
        innermost = frame
        while frame is not None and frame.f_code is not self._home:
            code = frame.f_code
            if is_framework(code) or not code.co_flags & inspect.CO_OPTIMIZED:
                raise Opaque
            counts = _counts(code, frame.f_lasti)
            if code.co_flags & inspect.CO_GENERATOR or (counts and frame is innermost):
                raise Opaque
            counted = counted or counts
            where.append((code, frame.f_lasti))
            for name, value in _locals(frame).items():
                seeing.seen.append(name)
                seeing.look(value)
            frame = frame.f_back
        if frame is None or innermost is None or not where:
            raise Opaque
        if not _decides(innermost.f_code, innermost.f_lasti):
            raise Opaque  # C asks, and nobody can see what it does next: sorted(), any()
        tensors = frozenset(seeing.tensors)
        return State(tuple(where), seeing.seen, tensors, innermost, counted)


def _locals(frame: FrameType) -> dict[str, Any]:
    found = dict(frame.f_locals)
    if sys.version_info < (3, 13):
        frame.f_locals.clear()  # a copy that the frame keeps, and with it what was in it
    return found


@cache
def _loops_of(code: CodeType) -> list[tuple[int, int]]:
    """Return from where to where the bodies of ``for`` loops reach."""
    steps = (step for step in dis.get_instructions(code) if step.opname == "FOR_ITER")
    return [(step.offset, step.argval) for step in steps]


def _counts(code: CodeType, at: int) -> bool:
    """Tell whether an instruction is in a ``for`` loop, whose iterator cannot be seen."""
    return any(start < at < stop for start, stop in _loops_of(code))


@cache
def _jumps_of(code: CodeType) -> frozenset[int]:
    """Return where Python itself asks for a truth value."""
    asks = ("POP_JUMP", "JUMP_IF", "UNARY_NOT", "TO_BOOL")
    steps = dis.get_instructions(code)
    return frozenset(step.offset for step in steps if step.opname.startswith(asks))


def _decides(code: CodeType, at: int) -> bool:
    return at in _jumps_of(code)


class _Seeing:
    """Lists what can be seen from local variables."""

    def __init__(self, places: dict[Value, int], given: tuple[Any, ...]) -> None:
        self.places = places
        self.given = given
        self.seen: list[Any] = []
        self.tensors: set[int] = set()
        self._known: dict[int, tuple[int, Any]] = {}

    def _number(self, x: Any) -> tuple[int, bool]:
        """Number an object that can change; tell whether it was seen before."""
        known = id(x) in self._known
        return self._known.setdefault(id(x), (len(self._known), x))[0], known

    def look(self, x: Any) -> None:
        """Append a value, and what it contains."""
        kind = type(x)
        if len(self.seen) > _MOST:
            raise Opaque
        if kind is Tensor:
            self._tensor(x)
        elif kind in _LITERALS or isinstance(x, np.dtype):
            self.seen.append((kind, repr(x)))
        elif isinstance(x, np.generic):
            self.seen.append((kind, x.tobytes()))
        elif isinstance(x, FunctionType | BuiltinFunctionType):
            self._function(x)
        elif _is_fixed(x) or any(x is y for y in self.given):
            self.seen.append(_Object(x))
        elif kind in (tuple, list, dict):
            number, known = self._number(x)
            self.seen.append((kind, number, len(x)))
            for y in () if known else (*x, *x.values()) if kind is dict else x:
                self.look(y)
        else:
            raise Opaque(kind.__name__)

    def _function(self, x: Any) -> None:
        """Append a function and what it holds."""
        known = self._number(x)[1]
        self.seen.append(_Object(x))
        owner = getattr(x, "__self__", None)
        if not isinstance(owner, ModuleType | type | None):
            self.look(owner)
        for cell in () if known else getattr(x, "__closure__", None) or ():
            try:
                self.look(cell.cell_contents)
            except ValueError:  # nothing was assigned yet
                self.seen.append(None)
        for held in () if known else (getattr(x, "__dict__", {}), getattr(x, "__defaults__", ())):
            self.look(held or ())

    def _tensor(self, x: Tensor) -> None:
        self.tensors.add(id(x))
        index = _place(x, self.places)
        if type(x._data) is not Symbol:
            self.seen.append(_Object(x))
        elif index < 0:
            raise Opaque
        elif x._alias is None:
            self.seen.append(At(index, self._number(x)[0], ()))
        else:
            part = tuple((op.name, *sorted(attrs.items())) for op, attrs in x._alias.chain)
            self.seen.append(At(index, self._number(x._alias.storage)[0], part))


def _is_fixed(x: Any) -> bool:
    """Tell whether code of the user's changes nothing in an object that a trace would not show."""
    if isinstance(x, type):
        return x.__module__.partition(".")[0] in ("builtins", "numpy", "hybrid")
    return isinstance(x, ModuleType | Variable)


class _Object:
    """Equal to what holds the same object only; it keeps it alive, so that none takes its place."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is _Object and other.value is self.value

    __hash__ = object.__hash__


def _place(x: Tensor, places: dict[Value, int]) -> int:
    """Return where the contents of a Tensor are in the environment; -1 where they are not."""
    data = x._data if x._alias is None else x._alias.storage.base
    if type(data) is not Symbol or data.array is not None:
        return -1
    return places.get(data.value, -1)


# --- from one question to the next ----------------------------------------------------------------


def _is_body(before: Question, now: Question) -> bool:
    """Tell whether a segment has results like those of the one before, and no effects."""
    segment = now.segment
    if segment.captured or segment.writes or before.state.where != now.state.where:
        return False
    weak = any(x.spec.weak for x in segment.graph.outputs)
    if weak or any(map(has_effects, segment.graph.nodes)):
        return False
    results = [x.spec for x in before.segment.graph.outputs[: len(before.results)]]
    same = results == [x.spec for x in segment.graph.outputs]
    return same and _asked(before) == _asked(now)


def _asked(question: Question) -> int:
    guard = question.segment.guard
    return -1 if guard is None else guard[1] - question.first


def _renamed(before: Question, now: Question) -> dict[int, int] | None:
    """Return where in the environment each Tensor that Python sees has gone; None if it changed."""
    found: dict[int, int] = {}
    if len(before.state.seen) != len(now.state.seen):
        return None
    if now.state.counted and before.state.frame is not now.state.frame:
        return None
    for old, new in zip(before.state.seen, now.state.seen, strict=True):
        if isinstance(old, At) and isinstance(new, At):
            moved = new.index - old.index
            carried = old.index in before.results and moved == now.first - before.first
            same_part = (old.storage, old.part) == (new.storage, new.part)
            if not same_part or not (carried or moved == 0):
                return None
            if found.setdefault(old.index, new.index) != new.index:
                return None
        elif type(old) is not type(new) or old != new:
            return None
    return found


def _loop(before: Question, now: Question, renamed: dict[int, int]) -> Repeat | None:
    """Return the loop over the results of the last segment."""
    segment, results = now.segment, now.results
    carried: dict[Value, int] = {}
    constants: dict[Value, int] = {}
    for value, index in zip(segment.graph.parameters, segment.parameters, strict=True):
        if index not in before.results or renamed.get(index) == index:
            constants[value] = index
        elif index in renamed:
            carried[value] = index - before.first
        else:
            return None
    made = segment.graph.outputs
    given = [Value(replace(x.spec)) for x in made]
    body = _body(segment.graph, given, carried, tuple(constants))
    cond = _condition(body, _asked(now), now.answer)
    start = [Value(x.spec) for x in made]
    outside = [Value(x.spec) for x in constants]
    outputs = tuple(Value(x.spec) for x in made)
    attrs = {"cond": cond, "body": body, "carries": len(made)}
    line = segment.graph.nodes[0].line if segment.graph.nodes else None
    node = Node(OPS["while_loop"], (*start, *outside), attrs, outputs, line)
    graph = FuncGraph(f"{segment.graph.name}.loop", (*start, *outside), (), (node,), outputs)
    places = (*results, *constants.values())
    return Repeat(Segment(graph, places, (), planner=segment.planner), results, now.answer)


def _body(
    graph: FuncGraph, given: list[Value], carried: dict[Value, int], constants: tuple[Value, ...]
) -> FuncGraph:
    names = {value: given[number] for value, number in carried.items()}
    nodes = tuple(
        replace(
            node, inputs=tuple(names.get(x, x) if isinstance(x, Value) else x for x in node.inputs)
        )
        for node in graph.nodes
    )
    outputs = tuple(names.get(x, x) if isinstance(x, Value) else x for x in graph.outputs)
    return FuncGraph("step", (*given, *constants), (), nodes, outputs)


def _condition(body: FuncGraph, asked: int, answer: bool) -> FuncGraph:
    inputs = tuple(Value(x.spec) for x in body.inputs)
    if answer:
        return FuncGraph("again", inputs, (), (), (inputs[asked],))
    turned = Value(inputs[asked].spec)
    node = Node(OPS["logical_not"], (inputs[asked],), {}, (turned,))
    return FuncGraph("again", inputs, (), (node,), (turned,))
