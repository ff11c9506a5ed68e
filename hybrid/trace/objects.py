"""Objects of the user's that a traced function returns, with traced values in their attributes.

A class that nobody has registered is a leaf to :mod:`hybrid.core.containers`: whoever got such an
object from a trace would find a Tensor there that no longer exists. So what a function has made of
a plain class is taken apart, and each call makes one anew, as eager code does. What cannot be taken
apart (a closure, a generator, an array of objects, a Tensor that is a key) ends tracing.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from hybrid.core import containers, dispatch
from hybrid.core.number import Number
from hybrid.core.source import is_framework
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import Unknown
from hybrid.core.variable import Variable
from hybrid.core.watched import Watched
from hybrid.trace.environment import MISSING
from hybrid.trace.holders import Slots
from hybrid.trace.owners import users_own

_HEAP_TYPE = 1 << 9  # of a class that is written in Python: nothing of its objects is hidden
_ATOMS = (int, float, complex, str, bytes, type(None), np.generic, np.ndarray, Tensor, Variable)
_ENDS = (ModuleType, type, *_ATOMS)


class Sealed(Exception):
    """An object holds traced values, and cannot be taken apart."""

    def __init__(self, kind: type, holds: str = "that holds") -> None:
        article = "an" if kind.__name__[0] in "aeiouAEIOU" else "a"
        super().__init__(f"it returns {article} {kind.__name__} {holds} what it computes")


class _Parts:
    """An object, taken apart: a container of its attributes, which `unflatten` makes it of."""

    def __init__(self, kind: type, fields: dict[str, Any]) -> None:
        self.kind = kind
        self.fields = fields


def _put_together(rest: tuple[type, tuple[str, ...]], values: Iterable[Any]) -> Any:
    kind, names = rest
    made: Any = object.__new__(kind)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(made, name, value)  # a class of the user's may do more, or refuse
    return made


containers.register_container(
    _Parts,
    lambda x: (tuple(x.fields.values()), (x.kind, tuple(x.fields))),
    _put_together,
)


def taken_apart(returned: Any, outside: Callable[[Any], bool]) -> Any:
    """Return what a traced function returned, with containers in place of objects that it made.

    Parameters
    ----------
    returned : object
    outside : callable
        Whether something outside of the call holds the attributes of an object.

    Raises
    ------
    Sealed
        Where it holds traced values that nobody could find at a replay.
    """

    return _each_apart(returned, outside, set())


# Functions of the module: one that calls itself by its own name is a cycle, and what the trace knew
# would live until the garbage is collected.
def _each_apart(x: Any, outside: Callable[[Any], bool], seen: set[int]) -> Any:
    def keys_are_plain(part: Any) -> None:
        if isinstance(part, dict) and any(_in_key(key, outside) for key in part):
            raise Sealed(type(part), "with keys that hold")

    containers.visit(keys_are_plain, x)
    return containers.map_leaves(lambda leaf: _apart(leaf, outside, seen), x)


def _in_key(key: Any, outside: Callable[[Any], bool]) -> bool:
    return type(key) is not str and (_is_traced(key) or _holds_traced(key, outside))


def _apart(x: Any, outside: Callable[[Any], bool], seen: set[int]) -> Any:
    atom = isinstance(x, _ATOMS) and not _is_of_objects(x)
    if atom or type(x) in (Number, Unknown) or not _holds_traced(x, outside):
        return x
    if id(x) in seen or not _is_plain(type(x)):  # as two objects they would be no longer one
        raise Sealed(type(x))
    seen.add(id(x))
    return _Parts(type(x), {k: _each_apart(v, outside, seen) for k, v in _fields(x)})


def _is_of_objects(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == object


def settle(objects: Iterable[Any]) -> None:
    """Give objects the numbers for which something stood in a trace that has given up."""
    for x in objects:
        if not isinstance(x, _ATOMS) and _is_plain(type(x)):
            for name, value in list(_fields(x)):
                if type(value) is Number:
                    object.__setattr__(x, name, dispatch.after_trace(value))


def _is_plain(kind: type) -> bool:
    """Tell whether attributes are all that there is to objects of a class of the user's."""
    bases = kind.__mro__[:-1]
    return users_own(kind.__module__) and all(base.__flags__ & _HEAP_TYPE for base in bases)


def _fields(x: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(x, "__dict__", {}).items()
    slots = Slots(x)
    for name, value in zip(slots.names, slots, strict=True):
        if value is not MISSING:
            yield name, value


def _holds_traced(x: Any, outside: Callable[[Any], bool]) -> bool:
    """Tell whether something of a trace is found in what an object holds."""
    pending, seen = [x], {id(x): x}
    while pending:
        for part in _held(pending.pop()):
            if _is_traced(part):
                return True
            if id(part) not in seen and not _ends(part) and not outside(part):
                seen[id(part)] = part
                pending.append(part)
    return False


def _ends(x: Any) -> bool:
    return isinstance(x, _ENDS) and not _is_of_objects(x)


def _held(x: Any) -> Iterable[Any]:
    match x:
        case FunctionType():
            if is_framework(x.__code__):
                return ()
            return (*(x.__closure__ or ()), *(x.__defaults__ or ()), x.__kwdefaults__)
        case np.ndarray():
            return x.ravel().tolist() if _is_of_objects(x) else ()  # unseen by the collector
        case _ if not users_own(type(x).__module__) and type(x).__module__.startswith("hybrid."):
            return ()
    return gc.get_referents(x)


def _is_traced(x: Any) -> bool:
    if type(x) is Tensor:
        return type(x._data) is Symbol and x._data.array is None
    if type(x) is Number:
        return not x.known
    return type(x) is Watched or (type(x) is Unknown and x.open)
