"""``n += 1`` in a loop that asks: a number of Python that becomes a value of the graph.

Where a question is asked again, and all that Python can see is as it was but for Tensors and some
ints or floats among the variables of the function, these count something (``n += 1``) or shrink
(``t *= 0.5``). From then on the variables hold what stands for numbers in a trace
(:class:`~hybrid.core.number.Number`). So the steps look alike however far Python has counted, and
the count that is returned is a result like any other. Where Python needs such a number itself (as a
size, as text) it gets it, and counts by itself from there on.
"""

from __future__ import annotations

import ctypes
import gc
import math
import operator
import sys
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from hybrid import dtypes
from hybrid.core.graph import Const
from hybrid.core.limits import COUNTED
from hybrid.core.number import Number
from hybrid.core.op import OPS
from hybrid.core.source import is_framework
from hybrid.core.tensor import Tensor
from hybrid.trace import bytecode
from hybrid.trace.count import LONG
from hybrid.trace.seeing import State, locals_of

if TYPE_CHECKING:
    from hybrid.trace.cutting import Cutter

_LARGEST = 2**31


def counted(before: State, now: State, known: set[str]) -> frozenset[str]:
    """Return the variables that count from one question to another; none where more differs.

    Parameters
    ----------
    before, now : State
    known : set of str
        Variables that are left as they are.
    """
    names = {x for x in now.differs(before) if not x.startswith((LONG, "of "))} - known
    code, at = now.where[0]
    if not names or now.frame is None or before.frame is not now.frame or now.counts:
        return frozenset()
    if not names.isdisjoint(code.co_cellvars) or not names <= {*code.co_varnames}:
        return frozenset()
    if not all(_may_count(x.numbers.get(name)) for x in (before, now) for name in names):
        return frozenset()
    return frozenset(names) if bytecode.asks_alone(code, at) else frozenset()


def _may_count(literal: Any) -> bool:
    if literal is None or literal[0] not in (int, float):
        return False
    if literal[0] is float:
        return math.isfinite(float(literal[1]))
    return abs(int(literal[1])) < _LARGEST


class Counters:
    """Those of one trace.

    Parameters
    ----------
    tracer : Cutter
    home : code
        Of the function that calls the one that is traced.
    """

    def __init__(self, tracer: Cutter, home: CodeType) -> None:
        self._tracer = tracer
        self._home = home
        self._known = False
        self._keyed: dict[int, tuple[Number, int | float]] = {}
        self.floats = False  # whether there was one: Python may ask for what was made of it

    def sought(self, before: State, now: State) -> frozenset[str]:
        """Return the variables that are to become values of the graph at a question."""
        if self._known or self._tracer.tells_identity:
            return frozenset()
        names = counted(before, now, self._of_loops(now.frame))
        if names and now.frame is not None:
            held = locals_of(now.frame)
            for index, of in bytecode.indexed_by(now.frame.f_code):
                if index in names and type(held.get(of)) is not Tensor:
                    return frozenset()  # a list or dict wants the int
        return names

    def _of_loops(self, frame: FrameType | None) -> set[str]:
        """Return the variables that loops set, which know how far they are."""
        if frame is None or self._tracer.ranges is None:
            return set()
        return {x.reads for x in self._tracer.ranges.of(frame) if x.reads is not None}

    def take(self, names: frozenset[str]) -> None:
        """Let variables of the innermost frame hold what stands for the ints that they are."""
        frame = next(self._frames())
        held = locals_of(frame)
        set_locals(frame, {name: self._standing_for(held[name]) for name in sorted(names)})

    def _standing_for(self, x: int | float) -> Number:
        is_float = type(x) is float
        self.floats |= is_float
        dtype = dtypes.float64 if is_float else dtypes.int64
        tracer, attrs = self._tracer, {"shape": (), "dtype": dtype}
        first = tracer.emit(OPS["full"], (Const(x, dtype),), attrs, None)[0]
        # What leaves a number as it is: -0.0 added to 0.0 would not be.
        name, same = ("multiply", Const(1.0, dtype)) if is_float else ("add", Const(0, dtype))
        found = tracer.emit(OPS[name], (first, same), {}, None, weak=True)[0]
        return Number(tracer.tensor(found, None), None if is_float else COUNTED)

    def _frames(self) -> Any:
        """Yield the frames of the user's code, the innermost first."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not self._home:
            if not is_framework(frame.f_code):
                yield frame
            frame = frame.f_back

    def settle(self) -> None:
        """Give Python the ints themselves: it needs one of them, and so those of each step."""
        if self._known:
            return
        self._known = True
        self._tracer.ranges.settle()
        for frame in self._frames():
            found = {k: x for k, x in locals_of(frame).items() if _is_counter(x)}
            set_locals(frame, {k: operator.index(x) for k, x in found.items()})

    def release(self) -> None:
        """Give Python the numbers that are known since the trace has given up."""
        for frame in self._frames():
            held = {k: x for k, x in locals_of(frame).items() if type(x) is Number and x.known}
            found = {k: x for k, x in held.items() if x.limits or self.floats}
            set_locals(frame, {k: x.value("") for k, x in found.items()})

    def keyed(self, number: Number, value: int | float) -> None:
        """Note that what stands for a number may have become a key, which must be that itself."""
        self._keyed[id(number)] = number, value

    def unlock(self) -> None:
        """Let dicts and sets have the ints for keys."""
        keyed, self._keyed = self._keyed, {}
        for number, value in keyed.values():
            for holder in gc.get_referrers(number):
                _replace(holder, number, value)

    def close(self) -> None:
        """Let go of the trace, which has come to its end."""
        del self._tracer


def _replace(holder: Any, key: Any, value: Any) -> None:
    """Put another key in the place of one, in the same order."""
    if type(holder) is tuple:
        found = tuple(value if x is key else x for x in holder)
        for outer in gc.get_referrers(holder):
            if type(outer) in (dict, set):
                _replace(outer, holder, found)
    elif type(holder) is dict and any(x is key for x in holder):
        items = list(holder.items())
        holder.clear()
        holder.update((value if x is key else x, y) for x, y in items)
    elif type(holder) is set and any(x is key for x in holder):
        members = list(holder)
        holder.clear()
        holder.update(value if x is key else x for x in members)


def _is_counter(x: Any) -> bool:
    return type(x) is Number and x.limits is not None and not x.known and x.__class__ is int


def set_locals(frame: FrameType, values: dict[str, Any]) -> None:
    """Bind variables of a function that is running."""
    if not values:
        return
    held = frame.f_locals
    held.update(values)
    if sys.version_info < (3, 13):  # a copy, which debuggers write back in this way
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
        held.clear()
