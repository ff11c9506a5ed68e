"""What native code is told of calls of a compiled function that were seen before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Ticket = tuple[Any, ...]
"""Numbers that say what a call is compared with and what it leads to; then what they refer to."""


Known = tuple[int, Any]
TENSOR, ARRAY, KIND, ITSELF, VALUE, LIST, TUPLE, DICT, INT, NAMED = range(10)
"""What is known of an argument: a Tensor or an ndarray by its layout, its type, which it is, what
is known of the items of a container, or the value of an int."""
SHORT = 1 << 30
"""Ints from here on are of several digits."""


def ticket(
    arguments: Sequence[Known],
    names: tuple[str, ...],
    counter: np.ndarray[Any, Any],
    still: Callable[[], bool] | None,
    watched: np.ndarray[Any, Any],
    run: Callable[..., Any],
    order: Sequence[int],
    same: Sequence[tuple[int, int]],
    apart: Sequence[int],
    *,
    is_plan: bool,
) -> Ticket:
    """Describe the calls that have a short way.

    Parameters
    ----------
    arguments : sequence of tuple
        For each argument `TENSOR` or `ARRAY` and an ndarray like it (dtype, shape and strides must
        be those), `KIND` and its class, `ITSELF` or `VALUE` and the object, which the ticket keeps
        alive if it is a value. `LIST` or `TUPLE` and a list of such pairs, one for each item;
        `NAMED` and a pair of the class of a named tuple and such a list;
        `DICT` and a dict of them, by keys that must be the same objects in the same order. `INT`
        and an int below `SHORT`, or None for any of these.
    names : tuple of str
        Of those among them, the last ones, that are given by name.
    counter : ndarray of int64
        Its one element counts the calls.
    still : callable, optional
        Tells whether the trace still holds.
    watched : ndarray of int64
        How many pairs follow of an address and the word that is there where `still` need not be
        asked; 0 where it must be.
    run : callable
        The Plan, which takes ndarrays and gives a tuple of one; or what takes the leaves as they
        are and gives what the call does.
    order : sequence of int
        Which leaves it takes: the arguments, those that are containers replaced by their items.
    same : sequence of tuple
        Pairs of leaves that are one object.
    apart : sequence of int
        Leaves of which no two are.
    is_plan : bool
    """
    held: list[Any] = []
    described = [word for x in arguments for word in _words(x, held)]
    words = [counter.ctypes.data, len(arguments) - len(names), id(names) if names else 0]
    words += [0 if still is None else id(still), id(run), watched.ctypes.data, int(is_plan)]
    words += [_leaves(arguments), len(order), len(same), len(apart)]
    words += [*order, *(i for pair in same for i in pair), *apart]
    words += described
    return np.array(words, np.int64), counter, names, still, watched, run, held


def _words(known: Known, held: list[Any]) -> list[int]:
    """Return the words of what is known of an argument; `held` gets what must be kept alive."""
    how, x = known
    if how in (TENSOR, ARRAY):
        held.append(x.dtype)
        return [how, id(x.dtype), x.ndim, *x.shape, *x.strides]
    if how in (LIST, TUPLE):
        return [how, len(x), *(word for item in x for word in _words(item, held))]
    if how == NAMED:
        kind, items = x
        held.append(kind)
        return [how, id(kind), len(items), *(word for item in items for word in _words(item, held))]
    if how == DICT:
        held.extend(x)
        items = ((id(key), *_words(item, held)) for key, item in x.items())
        return [how, len(x), *(word for words in items for word in words)]
    if how == INT:
        return [how, SHORT if x is None else x]
    held += [] if how == ITSELF else [x]
    return [how, id(x)]


def _leaves(known: Iterable[Known]) -> int:
    return sum(1 if (items := _items(how, x)) is None else _leaves(items) for how, x in known)


def _items(how: int, x: Any) -> Iterable[Known] | None:
    """Return what is known of the items of a container; None for a leaf."""
    if how == DICT:
        found: Iterable[Known] = x.values()
        return found
    return x if how in (LIST, TUPLE) else x[1] if how == NAMED else None
