"""The traces of one function, by signature; where sizes are unknown, several under one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.signature import Signature

MAX_VARIANTS = 64  # traces of one signature that differ in the conditions on sizes and ints


MAX_SIGNATURES = 256
MAX_BYTES = 1 << 30  # of arrays that traces hold; of any two traces it may be more

Family = tuple[ConcreteFunction, ...]


class Traces:
    """What a :class:`~hybrid.trace.tracing.Subject` keeps: the traces that are in use.

    There are two generations. Where the young one has grown to half of what is kept, in number or
    in bytes, the old one is
    forgotten and the young one takes its place; whatever is found in the old one is young again. So
    what was not used for a generation goes, and nothing has to be counted at each call.
    """

    def __init__(self) -> None:
        self._young: dict[Signature, Family] = {}
        self._old: dict[Signature, Family] = {}

    def find(self, signature: Signature, leaves: Sequence[Any]) -> ConcreteFunction | None:
        """Return the trace for these arguments, if it is there and up to date."""
        for concrete in self.of(signature):
            if concrete.holds(leaves):
                return None if concrete.out_of_date else self._used(concrete)
        return None

    def _used(self, concrete: ConcreteFunction) -> ConcreteFunction:
        """Let the trace that was used last be the first to be asked, and its signature young."""
        signature = concrete.signature
        found = self.of(signature)
        if found and (found[0] is not concrete or signature not in self._young):
            rest = tuple(x for x in found if x is not concrete)
            self._old.pop(signature, None)
            self._young[signature] = (concrete, *rest)
        return concrete

    def keep(self, concrete: ConcreteFunction) -> bool:
        """Add a trace in the place of those of its signature that are out of date.

        Returns
        -------
        bool
            Whether a generation has ended. Short ways to its traces must be forgotten then: they
            would not show that a trace is in use.
        """
        rest = [x for x in self.of(concrete.signature) if x is not concrete and not x.out_of_date]
        self._old.pop(concrete.signature, None)
        self._young[concrete.signature] = (concrete, *rest[: MAX_VARIANTS - 1])
        if len(self._young) < MAX_SIGNATURES // 2 and self._light():
            return False
        self._old, self._young = self._young, {}
        return True

    def _light(self) -> bool:
        """Tell whether the young generation is of one trace, or holds less than its share."""
        if len(self._young) < 2:
            return True
        held = sum(x.nbytes for family in list(self._young.values()) for x in family)
        return held < MAX_BYTES // 2

    def drop(self, signature: Signature) -> Family:
        """Forget a signature."""
        return self._old.pop(signature, ()) or self._young.pop(signature, ())

    def of(self, signature: Signature) -> Family:
        """Return the traces of a signature, the one that was used last first."""
        return self._young.get(signature) or self._old.get(signature, ())

    def clear(self) -> None:
        """Forget everything."""
        self._young.clear()
        self._old.clear()

    def _families(self) -> list[Family]:
        return [*list(self._old.values()), *list(self._young.values())]

    def __contains__(self, concrete: object) -> bool:
        return isinstance(concrete, ConcreteFunction) and concrete in self.of(concrete.signature)

    def __iter__(self) -> Iterator[ConcreteFunction]:
        return iter(sorted((x for same in self._families() for x in same), key=lambda x: x.number))

    def __len__(self) -> int:
        return sum(map(len, self._families()))
