"""What native code is told of the calls that it answers by itself."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterator, Sequence
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
    SHORT,
    TENSOR,
    TUPLE,
    VALUE,
    Known,
    Ticket,
    ticket,
)
from hybrid.trace.keys import is_by_identity
from hybrid.trace.launcher import Launcher
from hybrid.trace.unchanged import unbound
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
    known = [found for x in given if (found := _known(x, each))]
    same = [(places[first], places[i]) for first, *rest in signature.aliases for i in rest]
    apart = [places[i] for i in launcher.apart]
    if len(known) < len(given) or None in itertools.chain(apart, *same) or len(apart) > _ARRAYS:
        return None
    still, words = None, np.zeros(1, np.int64)
    if launcher.valid is not unbound:
        watched = Watched(launcher.concrete.bindings, launcher.valid)
        still, words = watched.still, watched.words
    run, direct = _folding(launcher.run), launcher.direct
    if None in places:  # default values among them
        assert order is not None
        run, direct, places = (
            _folding(_ordered(launcher.run, order)),
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


def _known(x: Any, opened: Iterator[bool]) -> Known | None:
    """Return how native code knows an argument like `x`, as `fast_key` does; None where not.

    Parameters
    ----------
    x : object
    opened : iterator of bool
        Tells of each leaf whether an int there may have another value.
    """
    kind = type(x)
    if kind is list or kind is tuple:
        items = [known for item in x if (known := _known(item, opened))]
        return (LIST if kind is list else TUPLE, items) if len(items) == len(x) else None
    if kind is dict:
        values = {key: known for key, item in x.items() if (known := _known(item, opened))}
        return (DICT, values) if len(values) == len(x) else None
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
    return (ITSELF, x) if is_by_identity(x) else None


def _leaves(x: Any) -> list[Any]:
    """Return the leaves of an argument in the order in which native code finds them."""
    kind = type(x)
    if kind is list or kind is tuple or kind is dict:
        return [leaf for item in (x.values() if kind is dict else x) for leaf in _leaves(item)]
    return [x]


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
