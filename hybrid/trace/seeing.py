"""What Python can see in the middle of a traced function: the local variables of all its frames."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.autodiff.tape import GradientTape
from hybrid.core.aliases import is_current
from hybrid.core.graph import Value
from hybrid.core.number import Number
from hybrid.core.source import is_framework
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.records import dataclass
from hybrid.trace import bytecode, taped
from hybrid.trace.count import Count
from hybrid.trace.environment import STAND_INS
from hybrid.trace.memory_order import in_order, known_all

if TYPE_CHECKING:
    from hybrid.trace.counting import Ranges

_LITERALS = (bool, int, float, complex, str, bytes, range, type(None), type(Ellipsis), np.dtype)
Where = tuple[tuple[CodeType, int], ...]
_MOST = 1000  # things that Python can see; more are not looked at


class Opaque(Exception):
    """Something that Python can see may have changed without showing it."""


@dataclass(frozen=True, slots=True)
class At:
    """Where a Tensor that Python can see is in the environment, and which part of that it shows.

    `own` is where the part itself is; -1 where it is nowhere, or was written through an alias.
    """

    index: int
    storage: int
    part: tuple[Any, ...]
    own: int = -1


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
    frame : frame, optional
        The innermost one, as long as it runs. Meanwhile those around it stand still.
    numbers : dict
        Its local variables that are literals.
    counted : bool
        One of the frames is in a ``for`` loop, whose iterator cannot be seen.
    counts : bool
        The innermost is.
    shown : frozenset of int
        Its ``for`` loops whose positions are values of the graph.
    """

    where: Where
    seen: list[Any]
    tensors: frozenset[int]
    frame: FrameType | None
    numbers: dict[str, Any]
    counted: bool
    counts: bool
    shown: frozenset[int] = frozenset()

    def differs(self, other: State) -> set[str]:
        """Return the names of the literals that are not the same in another one."""
        names = {*self.numbers, *other.numbers}
        return {x for x in names if self.numbers.get(x) != other.numbers.get(x)}


def look(
    home: CodeType,
    given: Sequence[Any],
    places: dict[Value, int],
    also: Sequence[Any] = (),
    counter: str | None = None,
    ranges: Ranges | None = None,
) -> State:
    """Return what can be seen.

    Parameters
    ----------
    home : code
        Of the function that calls the one that is traced.
    given : sequence
        Python objects whose attributes others look at.
    places : dict
        Where values are in the environment.
    also : sequence
        What is looked at besides, before all else.
    counter : str, optional
        The name of a loop of the innermost frame whose position is not looked at.
    ranges : Ranges, optional
        The loops whose positions can be seen.

    Raises
    ------
    Opaque
        Where not all can be.
    """
    seeing = _Seeing(places, tuple(given))
    for value in also:
        seeing.look(value)
    where: list[tuple[CodeType, int]] = []
    numbers: dict[str, Any] = {}
    counted = []
    shown: set[int] = set()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_framework(frame.f_code):
        frame = frame.f_back
    innermost = frame
    while frame is not None and frame.f_code is not home:
        code = frame.f_code
        if is_framework(code) or not code.co_flags & inspect.CO_OPTIMIZED:
            raise Opaque
        if code.co_flags & inspect.CO_GENERATOR:
            raise Opaque
        loops = [] if ranges is None else ranges.of(frame)
        counted.append(bytecode.counts(code, frame.f_lasti, [x.loop for x in loops]))
        for loop in loops:
            if loop.counter is not None:
                seeing.look(loop.counter)
                shown |= {loop.loop} if frame is innermost else set()
            elif frame is not innermost:
                seeing.seen.append(loop.position)
            elif loop.name != counter:
                numbers[loop.name] = loop.position
            if loop.index is not None:
                seeing.look(loop.index)
            seeing.seen.append(loop.seen)
        where.append((code, frame.f_lasti))
        for name, value in locals_of(frame).items():
            seeing.seen.append(name)
            if type(value) is Count:
                told = None if value.runs else value.seen
                if told is not None and frame is innermost:
                    numbers[name] = told
                else:
                    seeing.seen.append(told)
                if told is None or value.counter is None:
                    continue  # the loop shows it, or there is no more to it
                value = value.counter
            if frame is innermost and is_literal(value):
                numbers[name] = _literal(value)
            else:
                seeing.look(value)
        frame = frame.f_back
    if frame is None or innermost is None or not where:
        raise Opaque
    seeing.look_at_tapes()
    tensors = frozenset(seeing.tensors)
    seen, counts = seeing.seen, counted[0]
    some = any(counted)
    return State(tuple(where), seen, tensors, innermost, numbers, some, counts, frozenset(shown))


def locals_of(frame: FrameType) -> dict[str, Any]:
    """Return the local variables of a frame by their names."""
    found = dict(frame.f_locals)
    if sys.version_info < (3, 13):
        frame.f_locals.clear()  # a copy that the frame keeps, and with it what was in it
    return found


def is_literal(x: Any) -> bool:
    """Tell whether a value is all that there is to see of it."""
    return type(x) in _LITERALS or isinstance(x, np.dtype | np.generic)


def _literal(x: Any) -> tuple[type, Any]:
    """Return what is equal for literals that are the same."""
    return type(x), x.tobytes() if isinstance(x, np.generic) else repr(x)


class _Seeing:
    """Lists what can be seen from local variables."""

    def __init__(self, places: dict[Value, int], given: tuple[Any, ...]) -> None:
        self.places = places
        self.given = given
        self.seen: list[Any] = []
        self.tensors: set[int] = set()
        self._known: dict[int, tuple[int, Any]] = {}
        self._tapes: dict[GradientTape, None] = {}
        self._shown: list[Tensor] = []

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
        elif kind is Number and not x.known:
            self.seen.append((kind, x.limits))
            self._tensor(x.tensor)
        elif is_literal(x):
            self.seen.append(_literal(x))
        elif isinstance(x, FunctionType | BuiltinFunctionType) and id(x) not in STAND_INS:
            self._function(x)
        elif _is_fixed(x) or any(x is y for y in self.given):
            self.seen.append(_Object(x))
        elif kind is GradientTape:
            self._tape(x)
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

    def _tape(self, x: GradientTape) -> None:
        """Append a tape; what it knows comes last."""
        number, known = self._number(x)
        self.seen.append((GradientTape, number))
        if known:
            return
        self._tapes[x] = None
        try:
            self.seen.append(taped.about(x))
        except taped.Hidden:
            raise Opaque from None
        for tensor in () if taped.is_over(x) else taped.watched(x):
            self._tensor(tensor)

    def look_at_tapes(self) -> None:
        """Append what tapes know of all Tensors that were seen, and which of these are the same."""
        if not all(map(taped.is_over, self._tapes)):
            self.seen.append(tuple([self._number(x)[0] for x in self._shown]))
        try:
            for kind, x in taped.records(self._tapes, self._shown, self._number):
                if len(self.seen) > _MOST:
                    raise Opaque
                if kind != "value":
                    self.seen.append(_Object(x) if kind == "same" else (kind, x))
                elif (index := self.places.get(x.value, -1)) < 0:
                    raise Opaque
                else:
                    self.seen.append(At(index, -1, ()))
        except taped.Hidden:
            raise Opaque from None

    def _tensor(self, x: Tensor) -> None:
        self.tensors.add(id(x))
        self._shown.append(x)
        index = place_of(x, self.places)
        if type(x._data) is not Symbol:
            self.seen.append(_Object(x))
        elif index < 0:
            raise Opaque
        elif x._alias is None or x._link is None:
            self.seen.append(At(index, self._number(x)[0], ()))
        else:
            part: Any = tuple((op.name, *sorted(attrs.items())) for op, attrs in x._alias.chain)
            order = x._alias.storage.order
            if order is not None and (order.layout is None or not in_order(order.layout)):
                part += (id(order) if order.layout is None else known_all(order.layout.strides),)
            shown = own_place(x, self.places)
            self.seen.append(At(index, self._number(x._alias.storage)[0], part, shown))


def _is_fixed(x: Any) -> bool:
    """Tell whether code of the user's changes nothing in an object that a trace would not show."""
    if isinstance(x, type):
        return x.__module__.partition(".")[0] in ("builtins", "numpy", "hybrid")
    return isinstance(x, ModuleType | Variable | np.ufunc | type(np.sum)) or id(x) in STAND_INS


class _Object:
    """Equal to what holds the same object only; it keeps it alive, so that none takes its place."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is _Object and other.value is self.value

    __hash__ = object.__hash__


def place_of(x: Tensor, places: dict[Value, int]) -> int:
    """Return where the contents of a Tensor are in the environment; -1 where they are not."""
    data = x._data if x._alias is None else x._alias.storage.base
    if type(data) is not Symbol or data.array is not None:
        return -1
    return places.get(data.value, -1)


def own_place(x: Tensor, places: dict[Value, int]) -> int:
    """Return where the part that a view shows is by itself; -1 where it is nowhere."""
    if x._alias is None or not x._alias.chain or x._link is None or not is_current(x._link):
        return -1
    return places.get(x._data.value, -1) if type(x._data) is Symbol else -1
