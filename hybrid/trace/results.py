"""What a compiled function returns: how it is put together from what its segments computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hybrid.core import containers, dispatch
from hybrid.core.making import asarray
from hybrid.core.places import DeviceArray
from hybrid.core.storage import Chain
from hybrid.core.tensor import Tensor, wrap
from hybrid.records import dataclass
from hybrid.trace.mutation import deliver, given_back
from hybrid.trace.sources import Environment, Item


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """A result leaf that the graph computed; a weak one is a Python scalar."""

    index: int
    weak: bool


@dataclass(frozen=True, slots=True)
class FromArgument:
    """A result leaf that is an argument, or a view of one (by a chain of view ops).

    Here and below, a silent view is one that was made where no tape looks.
    """

    leaf: int
    chain: Chain = ()
    silent: bool = False


@dataclass(frozen=True, slots=True)
class SharedView:
    """A result leaf that shares memory with others: a view of a value of the environment."""

    index: int
    chain: Chain
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Same:
    """A result leaf that is the same object as an earlier one."""

    leaf: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """A result leaf that is a Python object, or a Tensor from outside (or a view of it)."""

    value: Any
    chain: Chain = ()
    silent: bool = False


class Kept:
    """What stands, in what is returned, for a container that something outside holds too.

    Parameters
    ----------
    container : object
        Every call returns it itself.
    """

    def __init__(self, container: Any) -> None:
        self.container = container


@dataclass(frozen=True, slots=True)
class FromFormula:
    """A result leaf that is a Python number which follows from sizes and int arguments."""

    read: Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, slots=True)
class FromFilled:
    """A result that is a list or dict which the function has only filled."""

    place: int


Leaf = FromFilled | FromEnvironment | FromArgument | SharedView | Same | Fixed | FromFormula


@dataclass(frozen=True, slots=True)
class Result:
    """How the return value is put together.

    Where the function changed containers among its arguments, `changed` has their numbers, and what
    is built is a tuple of the return value and the new contents of each.
    """

    tree: Any
    leaves: tuple[Leaf, ...]
    changed: tuple[int, ...] = ()

    def deliver(
        self, environment: Environment, arguments: Sequence[Any], given: Sequence[Any]
    ) -> Any:
        """Return what the user's function returned, and change containers as it changed them.

        Parameters
        ----------
        environment : list
        arguments : sequence
            The leaves of the arguments.
        given : sequence
            The arguments as the caller gave them.
        """
        built = self.build(environment, arguments)
        if not self.changed:
            return built
        returned, *contents = built
        return given_back(returned, deliver(list(zip(self.changed, contents, strict=True)), given))

    def build(self, environment: Environment, arguments: Sequence[Any]) -> Any:
        """Return what the user's function returned."""
        made: list[Any] = []
        known: dict[int, Any] = {}  # what is in a list as well, or viewed, is one object
        filled = any(type(leaf) is FromFilled for leaf in self.leaves)
        for leaf in self.leaves:
            if isinstance(leaf, FromFilled):
                made.append(_contents(environment[leaf.place], known, arguments))
            elif isinstance(leaf, SharedView):
                base = as_python(environment[leaf.index], known, arguments)
                made.append(_view(base, leaf.chain, leaf.silent))
            elif filled and isinstance(leaf, FromEnvironment) and not leaf.weak:
                made.append(as_python(environment[leaf.index], known, arguments))
            else:
                made.append(_build(leaf, environment, arguments, made))
        return containers.unflatten(self.tree, made)


def as_python(
    item: Any, known: dict[int, Any], arguments: Mapping[int, Any] | Sequence[Any]
) -> Any:
    """Return what was put into a list as Python has it.

    Parameters
    ----------
    item : object
        As :meth:`Item.taken` returns it.
    known : dict
        Tensors by the identity of their arrays.
    arguments : sequence or mapping
    """
    if isinstance(item, Tensor | np.ndarray | DeviceArray):
        return known.setdefault(id(item), _tensor(item))
    if type(item) is tuple and type(item[-1]) is Item:
        array, view = item
        return _view(as_python(array, known, arguments), view.chain, view.silent)
    if type(item) is not Item or item.leaf is None:
        return item
    value = arguments[item.leaf]
    return _view(asarray(value), item.chain, item.silent) if item.chain else value


def _contents(taken: Any, known: dict[int, Any], arguments: Sequence[Any]) -> Any:
    found = known.get(id(taken))  # returned twice, it is one
    if found is None:
        if isinstance(taken, dict):
            found = {k: as_python(x, known, arguments) for k, x in taken.items()}
        else:
            found = [as_python(x, known, arguments) for x in taken]
        known[id(taken)] = found
    return found


def _tensor(value: Any) -> Tensor:
    return value if type(value) is Tensor else wrap(value)


def _view(value: Tensor, chain: Chain, silent: bool) -> Tensor:
    if silent:
        with dispatch.scope(tapes=(), silent=True):
            return _view(value, chain, silent=False)
    for op, attrs in chain:
        value = dispatch.bind(op, (value,), attrs)
    return value


def _build(
    leaf: FromEnvironment | FromArgument | Same | Fixed | FromFormula,
    environment: Environment,
    arguments: Sequence[Any],
    made: list[Any],
) -> Any:
    match leaf:
        case FromEnvironment(index, weak):
            value = environment[index]
            return value.item() if weak else _tensor(value)
        case FromArgument(number, chain, silent):
            value = arguments[number]
            return _view(asarray(value), chain, silent) if chain else value
        case Same(number):
            return made[number]
        case FromFormula(read):
            return read(arguments)
        case Fixed(value, chain, silent):
            return _view(value, chain, silent) if chain else value
