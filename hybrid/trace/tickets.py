"""What native code is told of the calls that it answers by itself."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from operator import is_
from typing import Any, cast

import numpy as np

from hybrid.core import containers
from hybrid.core.folding import fold
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.kernels.ticket import (
    ARRAY,
    DICT,
    INT,
    ITSELF,
    KIND,
    LIST,
    NAMED,
    SHORT,
    TENSOR,
    TUPLE,
    VALUE,
    Known,
    Ticket,
    ticket,
)
from hybrid.trace.any_size_launcher import UNKNOWN
from hybrid.trace.environment import Binding, Kind
from hybrid.trace.holders import slots_of
from hybrid.trace.launcher import Launcher
from hybrid.trace.signature import Identity, Literal, leaf_key
from hybrid.trace.unchanged import unbound, unchanged
from hybrid.trace.watched_words import Watched

_ARRAYS = 256  # at most: each is compared with all
_LEAVES = 10_000  # at most: native code keeps them on its stack
Order = Callable[[Sequence[Any]], tuple[Any, ...]]


def ticket_of(
    launcher: Launcher,
    answered: np.ndarray[Any, Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    placed: Order | None,
    order: Order | None,
) -> Ticket | None:
    """Describe the calls that a launcher answers; None where native code cannot know them.

    Parameters
    ----------
    launcher : Launcher
    answered : ndarray
        Counts the answers.
    args, kwargs
        Arguments of such a call as they were given.
    placed : callable, optional
        ``placed((*args, *kwargs.values()))`` gives the arguments in their places.
    order : callable, optional
        ``order(leaves)`` of these gives what the launcher takes; the leaves as they are, if left
        out.
    """
    try:
        return _ticket_of(launcher, answered, args, kwargs, placed, order)
    except RecursionError:  # containers in containers, as deep as Python goes
        return None


def _ticket_of(
    launcher: Launcher,
    answered: np.ndarray[Any, Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    placed: Order | None,
    order: Order | None,
) -> Ticket | None:
    given = (*args, *kwargs.values())
    leaves = [leaf for x in given for leaf in _leaves(x)]
    raw = containers.leaves_of(given)
    if len(leaves) > _LEAVES or len(raw) != len(leaves) or not all(map(is_, raw, leaves)):
        return None  # a container that is none of Python's own
    numbers = itertools.count()
    blocks = [[_Place(next(numbers)) for _ in _leaves(x)] for x in given]
    marks = [mark for block in (placed or tuple)(blocks) for mark in block]
    places = [x.number if type(x) is _Place else None for x in (order or tuple)(marks)]
    signature = launcher.concrete.signature
    kinds = dict(zip(places, signature.leaves, strict=False))
    opened = [isinstance(kinds.get(i), TensorSpec) for i in range(len(leaves))]
    each = iter(opened)
    watching: list[Binding] = []
    known = [found for x in given if (found := _known(x, each, watching))]
    if len(known) < len(given):
        return None
    same: list[tuple[int | None, int | None]] = []
    apart: list[int | None] = []
    answer, direct = launcher.run, launcher.direct
    if launcher.simple:
        same = [(places[first], places[i]) for first, *rest in signature.aliases for i in rest]
        apart = [places[i] for i in launcher.apart]
        if None in itertools.chain(apart, *same) or len(apart) > _ARRAYS:
            return None
    else:
        answer, direct = _asking(launcher), None
    still, words = None, np.zeros(1, np.int64)
    bindings, valid = launcher.concrete.bindings, launcher.valid
    if watching:
        valid = unchanged((*bindings, *watching))
    if valid is not unbound:
        watched = Watched((*bindings, *watching), valid)
        still, words = watched.still, watched.words
    run = _folding(answer)
    if None in places:  # default values among them
        assert order is not None
        run, direct, places = (
            _folding(_ordered(answer, order)),
            None,
            [x.number for x in marks],
        )
    elif direct is not None:
        run, places = direct[0], [places[i] for i in direct[1]]
    names, taken, is_plan = tuple(kwargs), cast(list[int], places), direct is not None
    pairs, others = cast(list[tuple[int, int]], same), cast(list[int], apart)
    return ticket(known, names, answered, still, words, run, taken, pairs, others, is_plan=is_plan)


class _Place:
    """Stands for a leaf, to learn where it goes."""

    def __init__(self, number: int) -> None:
        self.number = number


def _known(x: Any, opened: Iterator[bool], watching: list[Binding]) -> Known | None:
    """Return how native code knows an argument like `x`, as `fast_key` does; None where not.

    Parameters
    ----------
    x : object
    opened : iterator of bool
        Tells of each leaf whether an int there may have another value.
    watching : list of Binding
        Gets what must stay as it is, beside the argument itself.
    """
    kind = type(x)
    inner = _items(x)
    if inner is not None:
        items = [known for item in inner if (known := _known(item, opened, watching))]
        if len(items) < len(x):
            return None
        if kind is dict:
            return DICT, dict(zip(x, items, strict=True))
        return (
            (LIST, items)
            if kind is list
            else (TUPLE, items)
            if kind is tuple
            else (NAMED, (kind, items))
        )
    is_open = next(opened)
    data = x._data if kind is Tensor else x
    if kind is Tensor or kind is np.ndarray:
        return (TENSOR if kind is Tensor else ARRAY, data) if type(data) is np.ndarray else None
    if kind is int:
        return (INT, None if is_open else x) if -SHORT < x < SHORT else None
    if kind is float or kind is complex:
        return KIND, kind
    if kind is bool or kind is str or x is None or isinstance(x, enum.Enum | np.dtype | type):
        return VALUE, x
    key = leaf_key(x)
    if isinstance(key, Literal) and key.fields is not None:
        return _known_by_fields(x, watching)
    return (ITSELF, x) if isinstance(key, Identity) else None


def _known_by_fields(x: Any, watching: list[Binding]) -> Known | None:
    """Return how an object with an equality of its own is known: it itself, as it is now."""
    if slots_of(x) or not hasattr(x, "__dict__"):
        return None
    own = vars(x)
    watching.append(Binding("an argument", own, None, (*own, *own.values())))
    watching.append(Binding("its class", Kind(x), None, (type(x),)))
    return VALUE, x


def _items(x: Any) -> Collection[Any] | None:
    """Return what native code finds in a container; None for a leaf."""
    kind = type(x)
    if kind is dict:
        return cast(dict[Any, Any], x).values()
    return x if kind is list or kind is tuple or containers.is_named_tuple(x) else None


def _leaves(x: Any) -> list[Any]:
    """Return the leaves of an argument in the order in which native code finds them."""
    items = _items(x)
    return [x] if items is None else [leaf for item in items for leaf in _leaves(item)]


def _asking(launcher: Launcher) -> Callable[[tuple[Any, ...]], Any]:
    """Return what a launcher runs, once it has been asked what native code does not look at."""
    clear, run = launcher.clear, launcher.run
    return lambda args: run(args) if clear(args) else UNKNOWN


def _ordered(run: Callable[[tuple[Any, ...]], Any], order: Order) -> Callable[..., Any]:
    return lambda args: run(order(args))


def _folding(run: Callable[[tuple[Any, ...]], Any]) -> Callable[..., Any]:
    """Return what a launcher runs as Python's own way of a call does: with errors folded."""

    def __call__(*args: Any) -> Any:  # so the call itself is named in tracebacks
        try:
            return run(args)
        except Exception as error:
            fold(error)
            raise

    return __call__
