"""What a function can write to: taken before it runs, put back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from hybrid.core.aliases import own_alias
from hybrid.core.containers import leaves_of
from hybrid.core.places import fill, on_cpu
from hybrid.core.storage import Storage
from hybrid.core.tensor import Array, Tensor
from hybrid.core.variable import Variable, living
from hybrid.trace.reach import reach


class Place(Protocol):
    """Something that can be written to."""

    def changed(self) -> bool:
        """Tell whether the contents differ from those that were taken."""

    def contents(self) -> Array:
        """Return the present contents."""

    def restore(self) -> None:
        """Put the contents back that were taken."""


class Cell:
    """A Variable, with the Tensor that it held."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable
        self.tensor = variable._tensor

    def changed(self) -> bool:
        return self.variable._tensor is not self.tensor

    def contents(self) -> Array:
        return np.asarray(on_cpu(self.variable._tensor._data))

    def restore(self) -> None:
        self.variable._tensor = self.tensor


class Memory:
    """The memory of a Tensor; copied only when something is about to overwrite it."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.snapshot = storage.snapshot()

    def changed(self) -> bool:
        return self.snapshot.array is not None

    def contents(self) -> Array:
        return np.asarray(on_cpu(self.storage.base))

    def restore(self) -> None:
        if self.snapshot.array is not None:
            fill("compare", self.storage.base, self.snapshot.array)
            self.snapshot = self.storage.snapshot()


class Buffer:
    """An ndarray of the user's, which can be written behind everybody's back."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.copy = array.copy()

    def changed(self) -> bool:
        return self.array.tobytes() != self.copy.tobytes()

    def contents(self) -> Array:
        return self.array

    def restore(self) -> None:
        if self.changed():
            np.copyto(self.array, self.copy)


class State:
    """The Variables, Tensors and ndarrays that a call can change, as they are now.

    Variables are found wherever they live, as Python code reaches them by any path; Tensors and
    ndarrays among the arguments and what the function reads from its globals and closure. Other
    Python objects are not taken.

    Parameters
    ----------
    function : callable
    arguments : nested container
    """

    def __init__(self, function: Callable[..., Any], arguments: Any) -> None:
        leaves = leaves_of(arguments)
        objects = [("", x) for x in leaves if not isinstance(x, Tensor | np.ndarray | Variable)]
        outside = [b.value for b in reach(function, objects).bindings]
        self.places = list(_places([*leaves, *leaves_of(outside)]))

    def changed(self) -> list[Array]:
        """Return copies of what has changed."""
        return [place.contents().copy() for place in self.places if place.changed()]

    def narrow(self) -> None:
        """Forget what has not changed: the function does not write there."""
        self.places = [place for place in self.places if place.changed()]

    def restore(self) -> None:
        """Put everything back."""
        for place in self.places:
            place.restore()


def _places(leaves: Iterable[Any]) -> Iterator[Place]:
    variables = living()
    yield from map(Cell, variables)
    tensors = [v._tensor for v in variables] + [x for x in leaves if type(x) is Tensor]
    storages = {id(s): s for s in (own_alias(t).storage for t in tensors)}
    yield from map(Memory, storages.values())
    arrays = {id(x): x for x in leaves if isinstance(x, np.ndarray) and x.flags.writeable}
    yield from map(Buffer, arrays.values())
