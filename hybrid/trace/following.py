"""The segments that follow a guard, by the value met there: those that were used last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

MAX_WIDTH = 16

S = TypeVar("S")


class Following(Generic[S]):
    """What hangs under a guard, in two generations, as the traces of a function do.

    Where the young one has grown to half of what is kept, the old one is forgotten and the young
    one takes its place; whatever is found in the old one is young again. Generated steps that are
    running may know a segment that was forgotten: as long as they do, it is found.

    Attributes
    ----------
    forgotten : int
        How many segments had to go.
    """

    __slots__ = ("_all", "_old", "_young", "forgotten")

    def __init__(self) -> None:
        self._young: dict[object, S] = {}
        self._old: dict[object, S] = {}
        self._all: WeakValueDictionary[object, S] = WeakValueDictionary()
        self.forgotten = 0

    def get(self, value: object) -> S | None:
        """Return the segment for a value of the guard; it is young then."""
        found = self._young.get(value)
        if found is None:
            found = self._all.get(value)
            if found is not None:
                self._old.pop(value, None)
                self._young[value] = found
        return found

    def add(self, value: object, segment: S) -> bool:
        """Hang a segment under a value.

        Returns
        -------
        bool
            Whether a generation has ended. Short ways must be forgotten then: they would not show
            what is in use.
        """
        self._old.pop(value, None)
        self._young[value] = self._all[value] = segment
        if len(self._young) <= MAX_WIDTH // 2:
            return False
        self.forgotten += len(self._old)
        self._old, self._young = self._young, {}
        return True

    def items(self) -> list[tuple[object, S]]:
        """Return values and segments, those that were used last at the end."""
        return [*list(self._old.items()), *list(self._young.items())]

    def values(self) -> list[S]:
        """Return the segments, those that were used last at the end."""
        return [segment for _, segment in self.items()]

    def __iter__(self) -> Iterator[object]:
        return iter([value for value, _ in self.items()])

    def __len__(self) -> int:
        return len(self._old) + len(self._young)
