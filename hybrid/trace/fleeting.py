"""Calls that bring an object of their own each, which no trace serves twice.

A trace knows `self`, a generator of random numbers or a dataclass by identity. Where every call has
another one, as in ``state = step(state)``, all would be traced, which takes a thousand times as
long as the function. After some of them such calls run eagerly, until an object comes again.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hybrid.core.variable import Variable
from hybrid.trace.signature import Identity, Signature

GONE_BEFORE_EAGER = 12  # traces whose objects died before they came again
FALLBACKS_BEFORE_EAGER = 2
TRACES_BEFORE_EAGER = 64  # of objects that live on, but do not come again
_MOST = 256  # signatures, and calls of one, that are remembered

Objects = tuple[Callable[[], Any], ...]


class _Seen:
    """What has come under one signature, leaving aside which objects they were."""

    def __init__(self) -> None:
        self.traced: list[Objects] = []
        self.eager: OrderedDict[tuple[int, ...], Objects] = OrderedDict()
        self.fallbacks = 0
        self.answered = 0

    @property
    def pays(self) -> bool:
        """Whether it is worth while to trace for other objects."""
        gone = sum(any(ref() is None for ref in refs) for refs in self.traced)
        few = gone < GONE_BEFORE_EAGER and len(self.traced) < TRACES_BEFORE_EAGER
        return few and self.fallbacks < FALLBACKS_BEFORE_EAGER


class Fleeting:
    """Tells calls whose objects are new each time."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Signature, _Seen] = OrderedDict()

    def clear(self) -> None:
        """Begin anew."""
        self._seen.clear()

    def runs_eagerly(self, signature: Signature, leaves: Sequence[Any], answered: int) -> str:
        """Take note of a call that no trace answers; name what makes it run eagerly, if anything.

        Parameters
        ----------
        signature : Signature
        leaves : sequence
            The arguments.
        answered : int
            How many calls of the function were answered by traces: if some were since, they paid.
        """
        objects = _objects(signature, leaves)
        if not objects:
            return ""
        key = _masked(signature)
        seen = self._seen.setdefault(key, _Seen())
        self._seen.move_to_end(key)
        _bound(self._seen)
        if seen.answered != answered:
            seen.answered = answered
            del seen.traced[-1:]
        refs = tuple(_reference(x) for _, x in objects)
        ids = tuple(id(x) for _, x in objects)
        before = seen.eager.pop(ids, None)
        again = before is not None and all(
            ref() is x for ref, (_, x) in zip(before, objects, strict=True)
        )
        if again or seen.pays:
            seen.traced.append(refs)
            return ""
        seen.eager[ids] = refs
        _bound(seen.eager)
        return ", ".join(name for name, _ in objects)

    def fell_back(self, signature: Signature) -> None:
        """Take note that a trace for such a call has given up."""
        seen = self._seen.get(_masked(signature))
        if seen is not None:
            seen.fallbacks += 1


def _bound(remembered: OrderedDict[Any, Any]) -> None:
    while len(remembered) > _MOST:
        remembered.popitem(last=False)


def _objects(signature: Signature, leaves: Sequence[Any]) -> list[tuple[str, Any]]:
    found = zip(signature.names, signature.leaves, leaves, strict=True)
    return [
        (f"{name}, a {key.kind}", x)
        for name, key, x in found
        if isinstance(key, Identity) and not isinstance(x, Variable)
    ]


def _masked(signature: Signature) -> Signature:
    """Return a signature that leaves aside which objects they are."""
    leaves = [replace(x, number=0) if isinstance(x, Identity) else x for x in signature.leaves]
    return replace(signature, leaves=tuple(leaves))


def _reference(x: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(x)
    except TypeError:
        return lambda: None  # nobody can tell whether it comes again
