"""Questions that Python asks again: where the tree of segments comes back to itself.

A step of a loop may ask several questions, and take one of several ways. Where Python is asked the
same as before, and all that it can see is as it was, but for Tensors, what follows is what followed
then. So the Tensors are moved to where they were, and the call goes on in the segments that hang
there. Numbers, and the steps of a ``for`` loop, make a place of their own for each of their values;
it has its own followers, but the kernels of the steps before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from hybrid.core.graph import FuncGraph
from hybrid.records import dataclass
from hybrid.trace import bytecode
from hybrid.trace.bodies import same_body
from hybrid.trace.seeing import Where

if TYPE_CHECKING:
    from hybrid.trace.segment import Segment

Key = tuple[Any, ...]
MAX_STEPS = 4096  # segments of one trace that are those of a step before


@dataclass(frozen=True, eq=False, slots=True)
class Meeting:
    """What becomes of the environment at a question that was asked before.

    Attributes
    ----------
    moves : tuple of (int, int)
        Places, and from where they get what they hold.
    size : int
        Of the environment, as it was then.
    target : Segment, optional
        The one that asked then, where all else is as it was too.
    """

    moves: tuple[tuple[int, int], ...]
    size: int
    target: Segment | None

    def move(self, environment: list[Any]) -> None:
        """Move what Python sees to where it was."""
        found = [environment[late] for _, late in self.moves]
        del environment[self.size :]
        environment += [None] * (self.size - len(environment))  # what nobody needs any more
        for (place, _), value in zip(self.moves, found, strict=True):
            environment[place] = value


@dataclass(eq=False, slots=True)
class Loop:
    """A question that was asked more than once.

    Attributes
    ----------
    where : tuple
        Code and instruction of each frame.
    places : dict
        The segments that have asked it, by the numbers that Python had then.
    exits : dict
        Where an answer was followed, by the answer and the numbers that are read after it.
    """

    where: Where
    places: dict[Key, Segment] = field(default_factory=dict)
    exits: dict[Key, Segment] = field(default_factory=dict)

    def exit(self, answer: bool, at: At) -> Key | None:
        """Return what decides what follows an answer; None where the number of steps may."""
        code, place = self.where[0]
        read = bytecode.read_after(code, place, answer, at.shown)
        if read is None:
            return None
        return (answer, *((x, at.numbers[x]) for x in sorted(read) if x in at.numbers))


@dataclass(frozen=True, eq=False, slots=True)
class At:
    """The place of a segment in a loop: the numbers that Python has there.

    `shown` are the ``for`` loops around it whose positions are values of the graph.
    """

    loop: Loop
    numbers: dict[str, Any]
    shown: frozenset[int] = frozenset()


def follow(segment: Segment, value: Any) -> Segment | None:
    """Return the segment that comes next, by the value met at the guard of one."""
    found = segment.children.get(value)
    if found is None and segment.at is not None and type(value) is bool:
        key = segment.at.loop.exit(value, segment.at)
        other = None if key is None else segment.at.loop.exits.get(key)
        found = None if other is None else other.children.get(value)
    return found


def way_to(last: Segment) -> list[tuple[Segment, Any]]:
    """Return the segments that were traced before one, with the values met at their guards."""
    found: list[tuple[Segment, Any]] = []
    while last.parent is not None:
        found.append(last.parent)
        last = last.parent[0]
    return found[::-1]


class Bodies:
    """The segments of a tree, to find those that do the same in the same places."""

    def __init__(self) -> None:
        self._known: dict[Any, list[tuple[Segment, FuncGraph]]] = {}

    def twin(self, segment: Segment) -> Segment | None:
        """Return a known segment that does the same; where there is none, it is known now."""
        if segment.captured or segment.result is not None:
            return None
        key = (segment.parameters, segment.guard, len(segment.graph.nodes), len(segment.writes))
        known = self._known.setdefault(key, [])
        for other, graph in known:
            if _writes_same(other, segment) and same_body(graph, segment.graph):
                return other
        known.append((segment, segment.graph))
        return None


def _writes_same(one: Segment, other: Segment) -> bool:
    pairs = zip(one.writes, other.writes, strict=True)
    return (
        one.fixed == other.fixed
        and one.replaced == other.replaced
        and all(
            (a.target is b.target or (type(a.target) is int and a.target == b.target))
            and (a.index, a.rebind) == (b.index, b.rebind)
            for a, b in pairs
        )
    )


def moved(places: Sequence[tuple[Any, int]], meeting: Meeting) -> dict[Any, int]:
    """Return where values are after a meeting, those in lower places first."""
    to: dict[int, int] = {}
    for place, late in meeting.moves:
        to.setdefault(late, place)
    taken = {place for place, _ in meeting.moves}
    found = {}
    for value, index in places:
        if index in to:
            found[value] = to[index]
        elif index < meeting.size and index not in taken:
            found[value] = index
    return dict(sorted(found.items(), key=lambda item: item[1]))
