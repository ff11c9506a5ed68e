"""What names are looked up in besides dicts, lists and cells: each as a container of what is there.

None of them keeps alive what only the program holds.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from types import FunctionType, MemberDescriptorType
from typing import Any

from hybrid.trace.environment import MISSING


class Items:
    """A read-only view of a dict, as a container of its keys and values."""

    def __init__(self, view: Any) -> None:
        self._view = view

    def __iter__(self) -> Iterator[Any]:
        return iter((*self._view, *self._view.values()))


class Viewed:
    """What a view of a dict shows, ``d.values()``, as a container of it."""

    def __init__(self, view: Any) -> None:
        self._view = view

    def __iter__(self) -> Iterator[Any]:
        return iter(self._view)


class Own:
    """What is of a function itself, as a container that does not keep the function alive."""

    def __init__(self, function: FunctionType) -> None:
        self._function = weakref.ref(function)

    def __iter__(self) -> Iterator[Any]:
        function = self._function()
        if function is not None:
            yield function.__code__
            yield from function.__defaults__ or ()
            yield from (function.__kwdefaults__ or {}).values()


def remembered(function: Any) -> Iterator[Any]:
    """Yield what ``functools.cache`` or ``lru_cache`` keeps for a function, arguments among it.

    No attribute leads there. A cache without bounds is a dict of the results; one with bounds shows
    the garbage collector its keys and results.
    """
    own = function.__wrapped__, vars(function)
    for held in gc.get_referents(function):
        if isinstance(held, type) or any(held is x for x in own):
            continue
        if type(held) is dict:
            yield from held.values()
        else:
            yield held


def slots_of(obj: Any) -> tuple[Any, ...]:
    """Return the values of the attributes of an object that are in ``__slots__``."""
    return tuple(Slots(obj))


class Slots:
    """The attributes of an object that are in ``__slots__``."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        members = {k: v for base in type(obj).__mro__ for k, v in vars(base).items()}
        members.pop("__dict__", None)  # one of a SimpleNamespace
        self.names = [k for k, v in members.items() if isinstance(v, MemberDescriptorType)]

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self.obj, name, MISSING) for name in self.names)


class PerThread:
    """The attributes that a ``threading.local`` has in the thread that asks."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj

    def __iter__(self) -> Iterator[Any]:
        return iter((*vars(self.obj), *vars(self.obj).values()))


class InContext:
    """The value of a ``ContextVar`` where it is asked for."""

    def __init__(self, variable: ContextVar[Any]) -> None:
        self.variable = variable

    def __iter__(self) -> Iterator[Any]:
        yield self.variable.get(MISSING)


class Referent:
    """Whether what a weak reference was made for is still there."""

    def __init__(self, reference: weakref.ref[Any]) -> None:
        self._reference = reference

    def __iter__(self) -> Iterator[Any]:
        yield self._reference() is None
