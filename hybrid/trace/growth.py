"""What a function has made or replaced outside while it was traced: names, attributes, keys.

A cache is filled once, and its trace can be replayed. A counter that starts from nothing
(``f.calls = getattr(f, "calls", 0) + 1``) looks the same the first time. So a trace that has made
something depends on what was there before: the next call is traced once more, and shows whether
that stays, or is changed by each call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from types import CellType, MappingProxyType
from typing import Any

from hybrid.records import dataclass
from hybrid.trace.environment import MISSING, Binding, is_inserted
from hybrid.trace.holders import InContext, PerThread, Slots
from hybrid.trace.reached import Reached

_CHANCES = 4
"""How many calls in a row may make or replace something under the same name and be traced again."""

_NAMED = (CellType, dict, Slots, MappingProxyType, PerThread, InContext)
_MOST = 1000
"""Sizes that are remembered."""

Sizes = tuple[Any, ...]
"""The shapes of the arguments of a call."""


def made(before: Reached) -> Iterator[Binding]:
    """Return names that mean something now and meant nothing before, with `MISSING` as value.

    Of globals, of functions and of classes; what objects and containers hold is one binding.
    """
    for name, space in before.spaces:
        for key in space.come():
            if not key.startswith("__") and not is_inserted(space.fields.get(key)):
                yield Binding(f"{name}.{key}" if name else key, space.fields, key, MISSING)


@dataclass(frozen=True, slots=True)
class Changes:
    """What means something else than before a trace, each as it was then.

    Attributes
    ----------
    made : tuple of Binding
        Names that meant nothing.
    replaced : tuple of Binding
        Names that meant something else, and containers and objects that held something else.
    """

    made: tuple[Binding, ...]
    replaced: tuple[Binding, ...]

    @property
    def named(self) -> Iterator[Binding]:
        """Those of which what has changed has a name or a key."""
        yield from self.made
        yield from filter(is_named, self.replaced)


def changes_since(before: Reached) -> Changes:
    """Return what means something else now; it looks at all names and contents once."""
    return Changes(tuple(made(before)), tuple([b for b in before.bindings if b.changed]))


class Growth:
    """What the traces of a function have made outside, one after the other."""

    def __init__(self) -> None:
        # By sizes: a cache may have an entry for each.
        self._in_a_row: dict[Sizes, Counter[str]] = {}

    def restless(self, changes: Changes, sizes: Sizes) -> Binding | None:
        """Return what is another one after each call; None where that is not known yet."""
        so_far = self._in_a_row.get(sizes)
        if so_far is None:
            return None
        return next((b for b in changes.named if so_far[b.name] >= _CHANCES), None)

    def take(self, changes: Changes, sizes: Sizes) -> Sequence[Binding]:
        """Return what was made or replaced, as it was before the trace at hand."""
        found = tuple(changes.named)
        so_far = self._in_a_row.pop(sizes, Counter())
        if len(self._in_a_row) >= _MOST:
            self._in_a_row.clear()
        if found:
            self._in_a_row[sizes] = Counter({b.name: so_far[b.name] + 1 for b in found})
        return found


def is_named(binding: Binding) -> bool:
    """Tell whether what a binding looks at has a name or a key each."""
    holder = binding.holder
    return binding.key is not None or isinstance(holder, _NAMED)
