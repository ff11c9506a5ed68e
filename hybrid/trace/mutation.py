"""Containers that come as arguments, and what a function does to them.

A function is given copies of the caller's lists and dicts, in which traced Tensors take the place
of arrays. What it changes in a copy becomes part of what the trace returns; after the call, and
after each replay, the caller's own container is changed likewise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Sequence
from typing import Any

from hybrid.core import containers
from hybrid.core.source import warn_user
from hybrid.errors import SideEffectWarning
from hybrid.records import dataclass
from hybrid.trace.environment import Binding

_MUTABLE = (list, dict, deque)

READ_OTHERWISE = (
    "it changes a container among its arguments that it can also read as {0}; use the argument "
    "alone, or return what it adds"
)

Groups = tuple[tuple[int, ...], ...]

_OTHER_NAME = (
    "the function changes a container among its arguments that it can also read as {0}: while it "
    "is traced, and in each call of the trace, {0} shows what was there before the call. Use the "
    "argument alone, or return what it adds"
)


@dataclass(frozen=True, slots=True)
class Given:
    """What stands, in changed contents, for a container that came with the arguments."""

    number: int


def given_containers(arguments: Sequence[Any]) -> list[Any]:
    """Return the containers in arguments that a function can change, outer before inner."""
    found: list[Any] = []
    for value in arguments:
        _collect(value, found)
    return found


def same_containers(arguments: Sequence[Any]) -> Groups:
    """Return which of the containers in arguments are one object, by their numbers."""
    ids: list[int] = []

    def note(x: Any) -> None:
        if type(x) in _MUTABLE or hasattr(x, "__dict__"):
            ids.append(id(x))

    containers.visit(note, list(arguments))
    if len(set(ids)) == len(ids):
        return ()
    numbers: dict[int, list[int]] = {}
    for i, x in enumerate(given_containers(arguments)):
        numbers.setdefault(id(x), []).append(i)
    return tuple(tuple(group) for group in numbers.values() if len(group) > 1)


def joined(copies: Sequence[Any], groups: Groups) -> Sequence[Any]:
    """Return copies of arguments in which those of one container are one object again."""
    found = given_containers(copies)
    first = {id(found[i]): found[group[0]] for group in groups for i in group}
    same = containers.map_items(lambda x: first.get(id(x), x), tuple(copies), first)
    return tuple(same)


def _collect(value: Any, found: list[Any]) -> None:
    held = containers.held_by(value)
    if held is None:
        return
    if isinstance(value, _MUTABLE) or hasattr(value, "__dict__"):
        found.append(value)
    for part in held:
        _collect(part, found)


class Copies:
    """The copies that a function is given, as they are before it runs.

    Parameters
    ----------
    arguments : sequence
        With the copies in place of the caller's containers.
    """

    def __init__(self, arguments: Sequence[Any]) -> None:
        self._copies = given_containers(arguments)
        self._before = [_contents(c) for c in self._copies]

    def handed_on(self, returned: Any) -> dict[int, Given]:
        """Return what stands for the copies that a function returns, by their identity."""
        numbers = {id(c): Given(i) for i, c in enumerate(self._copies)}
        found: dict[int, Given] = {}

        def note(x: Any) -> None:
            if id(x) in numbers:
                found[id(x)] = numbers[id(x)]

        if numbers:
            containers.visit(note, [returned])
        return found

    def changes(self, handed: Container[int] = ()) -> list[tuple[int, Any]]:
        """Return what was changed: the number of the container and its contents now.

        Parameters
        ----------
        handed : container of int
            Copies, by identity, of which something is said in any case: of those that are as they
            were, that they are the caller's.
        """
        numbers = {id(c): Given(i) for i, c in enumerate(self._copies)}
        found: list[tuple[int, Any]] = []
        for i, (copy, before) in enumerate(zip(self._copies, self._before, strict=True)):
            if not _same_items(_contents(copy), before):
                found.append((i, _marked(_contents(copy), numbers)))
            elif id(copy) in handed:
                found.append((i, Given(i)))
        return found


def warn_of_other_names(
    bindings: Sequence[Binding], changes: Sequence[tuple[int, Any]], originals: Sequence[Any]
) -> None:
    """Warn of arguments that were changed and that the function reads under other names too.

    Under these it has read what they held before the call: the copy alone was changed.
    """
    changed = [number for number, contents in changes if type(contents) is not Given]
    for name in other_names(bindings, changed, originals):
        warn_user(_OTHER_NAME.format(name), SideEffectWarning)


def other_names(
    bindings: Sequence[Binding], changed: Sequence[int], originals: Sequence[Any]
) -> list[str]:
    """Return under which other names a function reads containers among its arguments.

    Parameters
    ----------
    bindings : sequence of Binding
        What it reads from outside.
    changed : sequence of int
        The containers that it changes, by the order of `given_containers`.
    originals : sequence
        The arguments of a call.
    """
    if not changed:
        return []
    names = {id(x.holder): x.name.removesuffix("[...]") for x in bindings if x.key is None}
    given = given_containers(originals)
    held = [id(x if isinstance(x, _MUTABLE) else vars(x)) for x in given]
    found = [names.get(held[i]) for i in changed if i < len(held)]
    return [*dict.fromkeys(name for name in found if name is not None)]


def deliver(changes: Sequence[tuple[int, Any]], originals: Sequence[Any]) -> list[Any]:
    """Change the caller's containers as the function changed its copies; return them all."""
    if not changes:
        return []
    given = given_containers(originals)
    for number, contents in changes:
        target = given[number]
        if type(contents) is Given:
            continue
        new = _unmarked(contents, given)
        if isinstance(target, list):
            target[:] = new
        elif isinstance(target, deque):
            target.clear()
            target.extend(new)
        else:
            fields = target if isinstance(target, dict) else vars(target)
            fields.clear()
            fields.update(new)
    return given


def given_back(returned: Any, given: Sequence[Any]) -> Any:
    """Return what a function returned with the caller's own containers in it."""
    if Given not in map(type, containers.leaves_of(returned)):
        return returned
    return _unmarked(returned, given)


def _contents(container: Any) -> Any:
    if isinstance(container, list | deque):
        return list(container)
    return dict(container if isinstance(container, dict) else vars(container))


def _same_items(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return list(a) == list(b) and all(a[key] is b[key] for key in a)
    return len(a) == len(b) and all(x is y for x, y in zip(a, b))


def _marked(contents: Any, numbers: dict[int, Given]) -> Any:
    return containers.map_items(lambda x: numbers.get(id(x), x), contents, numbers)


def _unmarked(contents: Any, given: Sequence[Any]) -> Any:
    return containers.map_items(lambda x: given[x.number] if type(x) is Given else x, contents, ())
