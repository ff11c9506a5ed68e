"""Lists and dicts that a traced function only fills, as ``history.append(err)`` in a loop.

Where the bytecode says that nobody reads what is in one before the function returns it, that
decides nothing. So at each cut of a trace what was put in goes to the environment, and Python's own
is emptied: the steps of a loop then look alike, however many there were. It is filled again where
the trace gives up; a replay makes it anew.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping, Sequence
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core import containers, dispatch
from hybrid.core.graph import Value
from hybrid.core.number import Number
from hybrid.core.source import is_framework
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.records import dataclass
from hybrid.trace import filling
from hybrid.trace.results import FromFilled, as_python
from hybrid.trace.seeing import is_literal, locals_of
from hybrid.trace.sources import Environment, Fill, Item

if TYPE_CHECKING:
    from hybrid.trace.cutting import Cutter


@dataclass(eq=False, slots=True)
class _Filled:
    """One of them: Python's own container, and where in the environment what it was given is.

    Of a list whose last items are read, so many of these stay with Python. One that was found at
    this very cut has no place yet.
    """

    container: list[Any] | dict[Any, Any]
    last: int
    place: int | None = None

    def items(self) -> list[tuple[Any, Any]]:
        """Return what was put in since the last cut, with its keys; those of a list are None."""
        if isinstance(self.container, dict):
            return list(self.container.items())
        return [(None, x) for x in self.container]

    def drop(self, items: Sequence[tuple[Any, Any]]) -> None:
        """Take the first items out again."""
        if isinstance(self.container, dict):
            for key, _ in items:
                del self.container[key]
        else:
            del self.container[: len(items)]


class _Rest:
    """What a function returns for one: first what the environment holds, then what is left."""

    def __init__(self, kind: type, keys: Sequence[Any], parts: Sequence[Any]) -> None:
        self.kind, self.keys, self.parts = kind, tuple(keys), tuple(parts)

    @staticmethod
    def build(kind_and_keys: tuple[type, tuple[Any, ...]], parts: Sequence[Any]) -> Any:
        """Return the container that eager code would have, once the first part is known."""
        kind, keys = kind_and_keys
        found, *late = parts
        if type(found) is FromFilled:
            return _Rest(kind, keys, parts)
        return found | dict(zip(keys, late, strict=True)) if kind is dict else [*found, *late]


containers.register_container(_Rest, lambda x: (x.parts, (x.kind, x.keys)), _Rest.build)


class FilledOnes:
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
        self._found: dict[str, _Filled] = {}
        self._given: dict[Value, weakref.ref[Tensor] | None] = {}

    def _source(self, x: Any) -> Value | int | None:
        """Return what a Tensor shows, a value of the trace or an argument; None for others."""
        data = x._data
        if type(data) is not Symbol or data.recorder is not self._tracer or data.spec.weak:
            return None
        alias = x._alias
        for leaf, tensor, _ in self._tracer.inputs:
            its = tensor._alias
            if x is tensor or (alias and its and alias.storage is its.storage and not its.chain):
                scalar = isinstance(self._tracer.arguments[leaf], np.generic)
                return None if scalar else leaf
        base = self._tracer.value_of(x) if alias is None else alias.storage.base.value
        held = [self._tracer.value_of(t) for t in self._tracer.held()]
        return base if base not in held else None

    def _is_kept(self, key: Any, x: Any) -> bool:
        """Tell whether an item can wait until the function returns: an array, or a literal."""
        if not is_literal(key):
            return False
        if type(x) is Number:
            return not x.known
        return self._source(x) is not None if type(x) is Tensor else is_literal(x)

    def _kept(self, filled: _Filled) -> list[tuple[Any, Any]]:
        items = filled.items()
        items = items[: max(len(items) - filled.last, 0)]
        for i, item in enumerate(items):
            if not self._is_kept(*item):
                return items[:i]  # the others stay where they are, for Python to see
        return items

    def look(self) -> None:
        """Find those that are new, and bring up to date what a cut is about to take.

        A view of what was written since takes a node of the segment, which has to know what it
        reads; so this comes before the segment counts that.
        """
        self._find()
        for filled in self._found.values():
            for _, x in self._kept(filled):
                if type(x) is Tensor:
                    dispatch.refresh(x)

    def values(self) -> list[Value]:
        """Return the values of the trace that the next cut takes."""
        items = [x for filled in self._found.values() for _, x in self._kept(filled)]
        found: list[Any] = [self._source(x) for x in items if type(x) is Tensor]
        found += [self._tracer.value_of(x.tensor) for x in items if type(x) is Number]
        return [x for x in found if isinstance(x, Value)]

    def _item(self, x: Any, places: dict[Value, int]) -> Item:
        if type(x) is Number:
            return Item(places[self._tracer.value_of(x.tensor)], weak=True)
        if type(x) is not Tensor:
            return Item(literal=x)
        chain = () if x._alias is None else x._alias.chain
        silent = x._data.value in self._tracer.silenced
        source = self._source(x)
        if type(source) is int:
            return Item(leaf=source, chain=chain, silent=silent)
        assert isinstance(source, Value)
        if source not in self._given or not chain:
            self._given[source] = None if chain else weakref.ref(x)
        return Item(places[source], chain=chain, silent=silent)

    def take(self, places: dict[Value, int], size: int) -> tuple[Fill, ...]:
        """Empty them at a cut; return what the segment puts where.

        Parameters
        ----------
        places : dict
            Where values are in the environment.
        size : int
            That of the environment, where a new one has its place.
        """
        fills = []
        for filled in self._found.values():
            items = self._kept(filled)
            found = tuple((key, self._item(x, places)) for key, x in items)
            filled.drop(items)
            new = filled.place is None
            if filled.place is None:
                filled.place, size = size, size + 1
            if found or new:
                fills.append(Fill(filled.place, type(filled.container), new, found))
        return tuple(fills)

    def _find(self) -> None:
        """Find those that the traced function has made by now."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and (outer := frame.f_back) is not None:
            if outer.f_code is self._home:
                break
            frame = outer
        else:
            return
        assert frame is not None
        if is_framework(frame.f_code):
            return  # the function has returned
        names = filling.filled(frame.f_code)
        if names.keys() <= self._found.keys():
            return
        held = locals_of(frame)
        for name, last in names.items():
            if name not in self._found and type(held.get(name)) in (list, dict):
                self._found[name] = _Filled(held[name], last)

    def close(self) -> None:
        """Let go of the trace, which has come to its end."""
        self._found, self._given = {}, {}
        del self._tracer

    def holds(self, value: Value) -> bool:
        """Tell whether an array was put in, which is about to be written."""
        return value in self._given

    def shown_by(self, leaves: Sequence[Any]) -> set[int]:
        """Return the Storages (by identity) of Tensors that show memory which was put in."""
        given = {*self._given, *self.values()}
        aliases = [x._alias for x in leaves if type(x) is Tensor and x._alias is not None]
        bases = [(a.storage, a.storage.base) for a in aliases]
        return {id(s) for s, b in bases if type(b) is Symbol and b.value in given}

    def marked(self, returned: Any, others: Mapping[int, Any]) -> Any:
        """Return what the function returns with what stands for them in their places.

        Parameters
        ----------
        returned : object
        others : mapping
            What stands for other containers, by their identity.
        """
        if not self._found and not others:
            return returned
        found = dict(others)
        for filled in self._found.values():
            items = filled.items()[len(self._kept(filled)) :]
            assert filled.place is not None  # those found at a cut are taken there
            mark = FromFilled(filled.place)
            keys, late = [k for k, _ in items], [x for _, x in items]
            kind = type(filled.container)
            found[id(filled.container)] = _Rest(kind, keys, (mark, *late)) if items else mark
        return containers.map_items(lambda x: found.get(id(x), x), returned, found.keys())

    def restore(self, environment: Environment, places: dict[Value, int]) -> None:
        """Give Python back what was taken, where the trace gives up."""
        known: dict[int, Any] = {}
        for value, ref in self._given.items():
            tensor, place = ref and ref(), places.get(value)
            if tensor is not None and place is not None:
                known[id(environment[place])] = tensor
        arguments = {leaf: tensor for leaf, tensor, _ in self._tracer.inputs}
        for filled in self._found.values():
            if filled.place is None:
                continue  # nothing was taken yet
            taken, container = environment[filled.place], filled.container
            if isinstance(container, dict):
                late = dict(container)
                container.clear()
                container |= {k: as_python(x, known, arguments) for k, x in taken.items()}
                container |= late
            else:
                container[:0] = [as_python(x, known, arguments) for x in taken]
        self._found = {}
