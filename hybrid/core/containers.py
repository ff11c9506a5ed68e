"""Nested containers, by optree's rules; None is a leaf, so that structure never hides a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import optree

Tree = Any
"""The structure of a container without its leaves: ``optree.PyTreeSpec``."""


def flatten(container: Any) -> tuple[list[Any], Tree]:
    """Return the leaves of a container and its structure."""
    leaves, tree = optree.tree_flatten(container, none_is_leaf=True)
    return leaves, tree


def unflatten(tree: Tree, leaves: Iterable[Any]) -> Any:
    """Put leaves into a structure."""
    return optree.tree_unflatten(tree, leaves)


def leaves_of(container: Any) -> list[Any]:
    """Return the leaves of a container."""
    return flatten(container)[0]


def paths(container: Any) -> list[tuple[Any, ...]]:
    """Return the way to each leaf: keys, indices, field names."""
    return optree.tree_paths(container, none_is_leaf=True)


def broadcast_prefix(prefix: Any, container: Any) -> Any:
    """Repeat each leaf of `prefix`, a container that stops early, for all leaves below it.

    Raises
    ------
    ValueError
        Where `prefix` is no prefix of `container`.
    """
    return optree.tree_broadcast_prefix(prefix, container, none_is_leaf=True)
