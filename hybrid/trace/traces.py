"""The traces of one function, by signature; where sizes are unknown, several under one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.signature import Signature

MAX_VARIANTS = 64  # traces of one signature that differ in the conditions on sizes and ints


class Traces:
    """What :class:`~hybrid.trace.compile.CompiledFunction` keeps, oldest first."""

    def __init__(self) -> None:
        self._by_signature: dict[Signature, tuple[ConcreteFunction, ...]] = {}

    def find(self, signature: Signature, leaves: Sequence[Any]) -> ConcreteFunction | None:
        """Return the trace for these arguments, if it is there and up to date."""
        for concrete in self._by_signature.get(signature, ()):
            if concrete.holds(leaves):
                return None if concrete.out_of_date else self._used(concrete)
        return None

    def _used(self, concrete: ConcreteFunction) -> ConcreteFunction:
        """Let the trace that was used last be the first to be asked."""
        found = self._by_signature.get(concrete.signature, ())
        if len(found) > 1 and found[0] is not concrete and concrete in found:
            rest = tuple(x for x in found if x is not concrete)
            self._by_signature[concrete.signature] = (concrete, *rest)
        return concrete

    def keep(self, concrete: ConcreteFunction) -> None:
        """Add a trace in the place of those of its signature that are out of date."""
        rest = [x for x in self.of(concrete.signature) if x is not concrete and not x.out_of_date]
        self._by_signature[concrete.signature] = (concrete, *rest[: MAX_VARIANTS - 1])

    def drop(self, signature: Signature) -> tuple[ConcreteFunction, ...]:
        """Forget a signature."""
        return self._by_signature.pop(signature, ())

    def of(self, signature: Signature) -> tuple[ConcreteFunction, ...]:
        """Return the traces of a signature, the one that was used last first."""
        return self._by_signature.get(signature, ())

    def clear(self) -> None:
        """Forget everything."""
        self._by_signature.clear()

    def __contains__(self, concrete: object) -> bool:
        return isinstance(concrete, ConcreteFunction) and concrete in self.of(concrete.signature)

    def __iter__(self) -> Iterator[ConcreteFunction]:
        found = [x for same in list(self._by_signature.values()) for x in same]
        return iter(sorted(found, key=lambda x: x.number))

    def __len__(self) -> int:
        return sum(map(len, list(self._by_signature.values())))
