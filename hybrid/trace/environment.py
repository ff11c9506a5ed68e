"""Guards on what a function reads besides its arguments: names, and the contents of containers.

They are Python values that the trace has baked in, so they are guarded by identity: rebinding a
global, redefining a helper in a notebook cell or setting ``self.rate`` makes the next call trace
again.
"""

from __future__ import annotations

import weakref
from collections.abc import Container, Iterable, Iterator
from operator import is_
from types import CellType, FunctionType
from typing import Any

import numpy as np

from hybrid.core.number import Number
from hybrid.core.tensor import Tensor
from hybrid.records import dataclass

MISSING = object()

STAND_INS: dict[int, Any] = {}
"""What an object stands for, by identity, while some function is traced: see `stand_in`."""

INSERTED: dict[int, Any] = {}
"""The functions that stand for built-in ones, under their names in globals, by identity."""


def is_inserted(value: Any) -> bool:
    """Tell whether a global stands for a built-in function, and is gone after the trace."""
    return id(value) in INSERTED


class Builtins:
    """The names of built-in functions in some code, for as long as no global takes their place.

    Parameters
    ----------
    scope : dict
        The globals of the code.
    names : iterable of str
    """

    def __init__(self, scope: dict[str, Any], names: Iterable[str]) -> None:
        self.scope = scope
        self.names = frozenset(names)

    def __iter__(self) -> Iterator[Any]:
        for name in sorted(self.names):
            found = self.scope.get(name, MISSING)
            yield MISSING if is_inserted(found) else found


class Space:
    """Where code may make new names: globals, a module, a class, a function; holds what has come.

    Special methods are among them (``__len__``, ``__getattr__``), which no code names that is
    given them.

    Parameters
    ----------
    fields : mapping
        The names and what they mean, as it is now.
    asked : container of str, optional
        The names that some code reads; all, if left out. Others may come as they like.
    """

    def __init__(self, fields: Any, asked: Container[str] | None) -> None:
        self.fields = fields
        self.size = len(fields)
        self.last = next(reversed(fields), None)
        self._known = frozenset(fields)
        self._asked = asked

    @property
    def may_lose(self) -> bool:
        """Whether a name may go that nobody reads, so that another one leaves the size as it was.

        Those with two underscores, which every class has, stay.
        """
        asked = self._known if self._asked is None else self._asked
        unread = (name for name in self._known if name not in asked)
        return not all(name.startswith("__") for name in unread)

    def come(self) -> list[str]:
        """Return the names that were not there, whether any code reads them or not."""
        return [name for name in self.fields if name not in self._known]

    def know(self, names: Iterable[str]) -> None:
        """Take names for some that were there."""
        self._known = self._known.union(names)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.come() if self._reads(name))

    def _reads(self, name: str) -> bool:
        special = name.startswith("__") and callable(self.fields.get(name))
        return special or self._asked is None or name in self._asked


class Kind:
    """The class of an object, which ``x.__class__ = Other`` changes, as a container of it."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj

    def __iter__(self) -> Iterator[Any]:
        yield type(self.obj)


class Bases:
    """The classes that a class inherits from, all the way up, as a container of their tuple."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __iter__(self) -> Iterator[Any]:
        yield self.kind.__mro__


@dataclass(frozen=True, slots=True)
class Binding:
    """One name that the trace depends on.

    Attributes
    ----------
    name : str
        As a person would write it.
    holder : dict, list, cell, function or ndarray
        What is looked into.
    key : str, optional
        The name in a dict of globals, or the attribute of a function or array; None for a cell, and
        for the contents of a container.
    value : object
        What was found; for the contents of a container a tuple of them, keys first.
    """

    name: str
    holder: Any
    key: str | None
    value: Any

    def read(self) -> Any:
        """Return what the name means now."""
        holder = self.holder
        if isinstance(holder, FunctionType | np.ndarray):
            return getattr(holder, self.key or "", MISSING)
        if self.key is not None:
            now = holder.get(self.key, MISSING)
            return STAND_INS.get(id(now), now)
        if type(holder) is CellType:
            try:
                now = holder.cell_contents
                return STAND_INS.get(id(now), now)
            except ValueError:
                return MISSING
        held = (*holder, *holder.values()) if isinstance(holder, dict) else tuple(holder)
        return tuple([STAND_INS.get(id(x), x) for x in held])

    @property
    def changed(self) -> bool:
        """Whether the name means something else now."""
        now = self.read()
        return now is not self.value and not same_value(now, self.value)

    def changes(self) -> list[str]:
        """Return what means something else now: the items of a container, where they are few."""
        before, now = (_items(self.holder, held) for held in (self.value, self.read()))
        if self.key is not None or before is None or now is None:
            return [self.name]
        keys = [k for k in {**before, **now} if not _same_item(now, before, k)]
        if not 0 < len(keys) <= MOST_ITEMS or not all(isinstance(k, int | str) for k in keys):
            return [self.name]
        return [_name_of_item(self.name, k) for k in keys]


MOST_ITEMS = 3


def _items(holder: Any, held: Any) -> dict[Any, Any] | None:
    """Return the contents of a container by key or place, from a tuple as `Binding.value` is."""
    if type(held) is not tuple:
        return None
    if isinstance(holder, dict):
        return dict_of(held)
    return dict(enumerate(held)) if type(holder) is list else None


def dict_of(held: tuple[Any, ...]) -> dict[Any, Any]:
    """Return what a dict held, from a tuple as `Binding.value` is: its keys are found first."""
    half = len(held) // 2
    return dict(zip(held[:half], held[half:], strict=True))


def _same_item(now: dict[Any, Any], before: dict[Any, Any], key: Any) -> bool:
    a, b = now.get(key, MISSING), before.get(key, MISSING)
    return a is b or same_value(a, b)


def _name_of_item(name: str, key: Any) -> str:
    if name.endswith(".*"):
        return f"{name[:-1]}{key}"
    return f"{name.removesuffix('[...]')}[{key!r}]" if name.endswith("[...]") else name


class Contents:
    """The contents of an array from outside that a trace has read, as a container.

    It does not keep the array alive: nothing reads one that is gone.
    """

    def __init__(self, array: Any) -> None:
        self.array = weakref.ref(array)
        self.first = tuple(self)

    def same(self) -> bool:
        """Tell whether the contents are what they were, as fast as can be; maybe wrongly no."""
        array = self.array()
        return array is None or (
            not array.dtype.hasobject
            and array.shape == self.first[0]
            and array.tobytes() == self.first[1]
        )

    def __iter__(self) -> Iterator[Any]:
        array = self.array()
        if array is None:
            yield from self.first
            return
        yield array.shape
        if array.dtype.hasobject:
            yield from array.flat
        else:
            yield array.tobytes()


def same_value(now: Any, before: Any) -> bool:
    """Compare numbers and texts by value, the contents of containers one by one."""
    kind = type(now)
    if id(now) in STAND_INS:
        return STAND_INS[id(now)] is before
    if kind is not type(before):
        return False
    if kind in (int, str, bytes):
        return bool(now == before)
    if kind in (float, complex):
        return repr(now) == repr(before)  # the sign of zero counts, and NaN is NaN
    if kind is tuple and len(now) == len(before):
        return all(map(is_, now, before)) or all(
            a is b or same_value(a, b) for a, b in zip(now, before, strict=True)
        )
    return False


def literal_changed(before: Any, now: Any) -> bool:
    """Tell whether a number or text, or a Tensor, was replaced: in place of `before` is `now`."""
    if type(now) in (Tensor, Number) and now is not before:
        return True  # a value of the trace is kept outside, where the next call reads it
    literal = (int, float, complex, str, bytes)
    if isinstance(before, literal) and isinstance(now, literal):
        return not same_value(now, before)
    if isinstance(before, tuple) and isinstance(now, tuple) and len(before) == len(now):
        return any(literal_changed(a, b) for a, b in zip(before, now, strict=True))
    return False
