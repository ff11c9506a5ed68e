"""Where segments take what comes from outside of the trace, and where they write to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid.core import dispatch, formula
from hybrid.core.formula import Formula
from hybrid.core.making import asarray
from hybrid.core.places import fill
from hybrid.core.storage import Chain
from hybrid.core.tensor import Array, Tensor, wrap
from hybrid.core.variable import Variable
from hybrid.kernels.overwriting import overwriting
from hybrid.ops._shortways import known_objects
from hybrid.records import dataclass
from hybrid.trace.signature import is_array

Environment = list[Any]


@dataclass(frozen=True, slots=True)
class Write:
    """A change that a segment makes to the world outside.

    `target` is a Variable or Tensor, or the number of an argument; `index` says where in the
    environment the new contents are; `rebind` gives a Variable a new Tensor, otherwise the memory
    is written in place.
    """

    target: Any
    index: int
    rebind: bool


@dataclass(frozen=True, slots=True)
class Item:
    """What is put into a list or dict.

    Attributes
    ----------
    place : int, optional
        Where in the environment it is, or what it is a view of.
    leaf : int, optional
        The number of the argument that it is, or a view of.
    chain : tuple
        The view ops from there.
    silent : bool
        Whether no tape looks at them.
    weak : bool
        Whether it is a number of Python's.
    literal : object
        What it is if it is neither.
    """

    place: int | None = None
    leaf: int | None = None
    chain: Chain = ()
    silent: bool = False
    weak: bool = False
    literal: Any = None

    def taken(self, environment: Environment) -> Any:
        """Return what is kept of it, which :meth:`Result.build` makes into what Python has."""
        if self.place is None:
            return self.literal if self.leaf is None else self
        found = environment[self.place]
        if self.weak:
            return number(found)
        return (found, self) if self.chain else found


@dataclass(frozen=True, slots=True)
class Fill:
    """What a segment puts into a list or dict that the function only fills.

    Attributes
    ----------
    place : int
        Where in the environment what it holds by now is.
    kind : type
        Of the container.
    new : bool
        Whether this segment makes it.
    items : tuple of (key, Item)
        The key in a dict, and what is put in.
    """

    place: int
    kind: type
    new: bool
    items: tuple[tuple[Any, Item], ...]

    def run(self, environment: Environment) -> None:
        """Put them in."""
        if self.new:
            environment.append(self.kind())
        found = environment[self.place]
        for key, item in self.items:
            if self.kind is dict:
                found[key] = item.taken(environment)
            else:
                found.append(item.taken(environment))


def number(found: Any) -> Any:
    """Return what is in the environment as a number of Python's, which an argument is already."""
    return found if _is_weak(found) else found.item()


@dataclass(frozen=True, eq=False, slots=True)
class Local:
    """An array that the function made by itself while it was traced, as it was when first used.

    Each call makes such an array anew, so that its contents are a constant of the trace; `fresh`
    says that a result is this memory, which then must be another one at each call.
    """

    array: Array
    fresh: bool

    @property
    def contents(self) -> Array:
        """The array, or a copy of it."""
        return self.array.copy() if self.fresh else self.array


@dataclass(frozen=True, eq=False, slots=True)
class Derived:
    """A Python number that follows from sizes and int arguments, and meets Tensors in the graph."""

    formula: Formula
    read: Callable[[Sequence[Any]], Any]

    def __str__(self) -> str:
        return formula.text(self.formula)


def contents(source: Any, arguments: Sequence[Any] = ()) -> Any:
    """Return the ndarray behind a captured Tensor, Variable or local array; a derived number."""
    if type(source) is Local:
        return source.contents
    if type(source) is Derived:
        return source.read(arguments)
    data: Array = source._tensor._data if type(source) is Variable else source._data
    return data


def start(leaves: Sequence[Any]) -> Environment:
    """Return the array leaves as the segments want them: Tensors under a tape, else ndarrays.

    Python scalars stay as they are, but under a tape.
    """
    arrays = [x for x in leaves if is_array(x)]
    if dispatch.state.tapes:
        return [_strong(x) if _is_weak(x) else asarray(x) for x in arrays]
    return [x if _is_weak(x) else asarray(x)._data for x in arrays]


def _is_weak(x: Any) -> bool:
    return isinstance(x, float | complex) and not isinstance(x, np.generic)


def _strong(x: complex) -> Tensor:
    return wrap(np.asarray(x))


def commit(write: Write, environment: Environment, arguments: Sequence[Any]) -> None:
    """Make one write visible outside."""
    value = environment[write.index]
    if write.rebind:
        # Without a record on tapes: an assignment is not differentiated.
        write.target._tensor = wrap(value._data if type(value) is Tensor else value)
        return
    target = arguments[write.target] if type(write.target) is int else write.target
    if isinstance(target, Variable):
        target = target._tensor
    if type(value) is Tensor:
        from hybrid.ops.inplace import write as write_tensor

        write_tensor(asarray(target), value)
        return
    # A segment after this one may still read the old contents under their old name.
    data = target._data if isinstance(target, Tensor) else target
    environment[:] = [x.copy() if x is data else x for x in environment]
    overwrite(target, value)


def overwrite(target: Any, value: Any) -> None:
    """Write what a Plan has computed to a Tensor, or array, unless it has done so itself."""
    if isinstance(target, Tensor):
        if target._alias is not None:
            target._alias.storage.before_write()
        target = target._data
    if target is not value:
        fill("a compiled function", target, value)


def overwrite_all(*pairs: Any) -> None:
    """Write to targets, each of which has its value behind it, one after the other."""
    for i in range(_overwritten(*pairs), len(pairs), 2):
        overwrite(pairs[i], pairs[i + 1])


WORTH_COMPILING = 100
"""Calls before native code writes the plain ones: once for a process, it takes milliseconds."""


def _none_overwritten(*pairs: Any) -> int:
    global _overwritten, _calls
    _calls += 1
    if _calls == WORTH_COMPILING:
        with contextlib.suppress(RuntimeError):  # an interpreter of another kind
            _overwritten = overwriting(known_objects())
    return 0


_overwritten: Callable[..., int] = _none_overwritten
_calls = 0
