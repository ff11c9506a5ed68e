"""Calls that bring an object of their own each, which no trace serves twice.

A trace knows `self`, a generator of random numbers or a dataclass by identity. Where every call has
another one, as in ``state = step(state)``, all would be traced, which takes a thousand times as
long as the function. After some of them such calls run eagerly, whether the caller keeps the
objects or not, until an object comes again.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from hybrid.core.variable import Variable
from hybrid.trace.signature import Identity, Signature

TRACES_BEFORE_EAGER = 4  # for objects that have not come again
FALLBACKS_BEFORE_EAGER = 2
LIVING_BEFORE_WARNING = 64  # objects whose own method it is: layers, which do come again
_MOST = 256  # kinds of calls, and objects of one kind, that are remembered

Objects = tuple[Callable[[], Any], ...]


class _Seen:
    """What has come with objects of some classes, whatever else was given."""

    def __init__(self) -> None:
        self.traced: OrderedDict[tuple[int, ...], Objects] = OrderedDict()
        self.eager: OrderedDict[tuple[int, ...], Objects] = OrderedDict()
        self.unpaid: list[Objects] = []  # of those traced, who has not come again
        self.fallbacks = 0
        self.answered = 0
        self.told = False

    @property
    def pays(self) -> bool:
        """Whether it is worth while to trace for other objects."""
        few = len(self.unpaid) < TRACES_BEFORE_EAGER
        return few and self.fallbacks < FALLBACKS_BEFORE_EAGER

    @property
    def all_live(self) -> bool:
        """Whether nothing has gone, and no more have come than a model has layers."""
        living = all(ref() is not None for refs in self.unpaid for ref in refs)
        return living and len(self.unpaid) + len(self.eager) < LIVING_BEFORE_WARNING


class Fleeting:
    """Tells calls whose objects are new each time."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[Any, ...], _Seen] = OrderedDict()

    def clear(self) -> None:
        """Begin anew."""
        self._seen.clear()

    def runs_eagerly(self, signature: Signature, leaves: Sequence[Any], answered: int) -> bool:
        """Take note of a call that no trace answers; tell whether it runs eagerly.

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
            return False
        key = _classes(signature)
        seen = self._seen.setdefault(key, _Seen())
        self._seen.move_to_end(key)
        _bound(self._seen)
        if seen.answered != answered:
            seen.answered = answered
            del seen.unpaid[-1:]
        ids = tuple(id(x) for _, x in objects)
        refs = tuple(_reference(x) for _, x in objects)
        again = _are(seen.traced.get(ids), objects) or _are(seen.eager.pop(ids, None), objects)
        if again or seen.pays:
            if not again:
                seen.unpaid.append(refs)
            seen.traced[ids] = refs
            _bound(seen.traced)
            return False
        seen.eager[ids] = refs
        _bound(seen.eager)
        return True

    def worth_telling(self, signature: Signature, leaves: Sequence[Any], method: bool) -> str:
        """Name what makes a call run eagerly, once; not while it may be layer after layer."""
        seen = self._seen[_classes(signature)]
        if seen.told or (method and not seen.fallbacks and seen.all_live):
            return ""
        seen.told = True
        return ", ".join(name for name, _ in _objects(signature, leaves))

    def fell_back(self, signature: Signature) -> None:
        """Take note that a trace for such a call has given up."""
        seen = self._seen.get(_classes(signature))
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


def _classes(signature: Signature) -> tuple[Any, ...]:
    """Leave aside which objects they are, and all other arguments: ints may count the calls."""
    kinds = (x.kind if isinstance(x, Identity) else None for x in signature.leaves)
    return signature.tree, *kinds


def _are(before: Objects | None, objects: list[tuple[str, Any]]) -> bool:
    return before is not None and all(
        ref() is x for ref, (_, x) in zip(before, objects, strict=True)
    )


def _reference(x: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(x)
    except TypeError:
        return lambda: None  # nobody can tell whether it comes again
