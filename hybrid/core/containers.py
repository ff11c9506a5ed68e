"""Nested containers, by optree's rules; None is a leaf, so that structure never hides a value."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable, Container, Iterable, Sequence
from types import ModuleType
from typing import Any

Tree = Any
"""The structure of a container without its leaves: ``optree.PyTreeSpec``."""


_NAMESPACE = "hybrid"


@functools.cache
def _optree() -> ModuleType:
    """The library, a tenth of an import: it comes with the first container that is asked about."""
    import optree

    # The order of a dict is part of what a function sees: of its structure, and of results.
    mode = optree.dict_insertion_ordered(True, namespace=_NAMESPACE)
    mode.__enter__()
    atexit.register(mode.__exit__, None, None, None)  # held till then: it ends with what began it
    return optree


def register_container(
    kind: type,
    flatten: Callable[[Any], tuple[Sequence[Any], Any]],
    unflatten: Callable[[Any, Sequence[Any]], Any],
) -> None:
    """Let a class count as a container: what it holds is looked into, as a list's items are.

    Parameters
    ----------
    kind : type
    flatten : callable
        Takes an object; returns what it holds, and the rest of it (hashable).
    unflatten : callable
        Takes the rest and a sequence of what is held; returns an object.

    Raises
    ------
    ValueError
        If the class is registered already.

    Examples
    --------
    >>> import hybrid as hb
    >>> class Interval:
    ...     def __init__(self, low, high):
    ...         self.low, self.high = low, high
    >>> hb.register_container(
    ...     Interval, lambda x: ((x.low, x.high), None), lambda _, parts: Interval(*parts)
    ... )
    >>> width = hb.compile(lambda interval: interval.high - interval.low)
    >>> width(Interval(hb.asarray(1.0), hb.asarray(4.0)))
    Tensor(3., dtype=float32)
    """
    _optree().register_pytree_node(
        kind,
        lambda x: (*flatten(x), None),
        lambda rest, parts: unflatten(rest, tuple(parts)),
        namespace=_NAMESPACE,
    )


def flatten(container: Any) -> tuple[list[Any], Tree]:
    """Return the leaves of a container and its structure."""
    leaves, tree = _optree().tree_flatten(container, none_is_leaf=True, namespace=_NAMESPACE)
    return leaves, tree


def unflatten(tree: Tree, leaves: Iterable[Any]) -> Any:
    """Put leaves into a structure."""
    return _optree().tree_unflatten(tree, leaves)


def is_named_tuple(x: Any) -> bool:
    """Tell whether an object is a tuple whose items have names."""
    return bool(_optree().is_namedtuple_instance(x))


def leaves_of(container: Any) -> list[Any]:
    """Return the leaves of a container."""
    return flatten(container)[0]


def map_leaves(function: Callable[[Any], Any], container: Any) -> Any:
    """Return a container of the same structure, with `function` applied; None stays None."""
    leaves, tree = flatten(container)
    return unflatten(tree, [None if x is None else function(x) for x in leaves])


def paths(container: Any) -> list[tuple[Any, ...]]:
    """Return the way to each leaf: keys, indices, field names."""
    found: list[tuple[Any, ...]] = _optree().tree_paths(
        container, none_is_leaf=True, namespace=_NAMESPACE
    )
    return found


def broadcast_prefix(prefix: Any, container: Any) -> Any:
    """Repeat each leaf of `prefix`, a container that stops early, for all leaves below it.

    Raises
    ------
    ValueError
        Where `prefix` is no prefix of `container`.
    """
    return _optree().tree_broadcast_prefix(
        prefix, container, none_is_leaf=True, namespace=_NAMESPACE
    )


def held_by(container: Any) -> list[Any] | None:
    """Return what a container holds, one level deep; None for a leaf."""
    held, tree = _optree().tree_flatten(
        container, lambda x: x is not container, none_is_leaf=True, namespace=_NAMESPACE
    )
    return None if tree.is_leaf() else held


def visit(function: Callable[[Any], None], container: Any) -> None:
    """Call ``function(it)`` for each container and leaf, outer before inner."""

    def seen(x: Any) -> bool:
        function(x)
        return False

    _optree().tree_flatten(container, seen, none_is_leaf=True, namespace=_NAMESPACE)


def map_items(function: Callable[[Any], Any], container: Any, whole: Container[int]) -> Any:
    """Replace leaves, and the containers whose identity is in `whole`, by ``function(it)``."""
    return _optree().tree_map(
        function,
        container,
        is_leaf=lambda x: id(x) in whole,
        none_is_leaf=True,
        namespace=_NAMESPACE,
    )
