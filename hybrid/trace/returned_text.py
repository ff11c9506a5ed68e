"""Source that puts together what a call returns, where that is new Tensors in containers."""

from __future__ import annotations

from typing import Any

from hybrid.core import containers
from hybrid.trace.results import FromEnvironment, Result


def returned_text(
    result: Result, first: int, scope: dict[str, Any]
) -> tuple[list[str], str] | None:
    """Write the lines that make the Tensors of a result, and what is returned then.

    Parameters
    ----------
    result : Result
    first : int
        How many values of the environment came before ``out``, which the Plan gives.
    scope : dict
        Gets the keys of dicts.

    Returns
    -------
    tuple of list and str, or None
        None where there is more to a result: views, numbers, one object twice, other containers.
    """
    if result.changed or not all(_is_new(leaf, first) for leaf in result.leaves):
        return None
    places = [leaf.index - first for leaf in result.leaves if isinstance(leaf, FromEnvironment)]
    if len({*places}) < len(places):
        return None
    whole = _text(containers.unflatten(result.tree, map(_Made, places)), scope)
    if whole is None:
        return None
    return [line for i in places for line in new_tensor(f"t{i}", f"out[{i}]")], whole


def new_tensor(name: str, data: str) -> list[str]:
    """Write what `wrap` does, without the call."""
    return [
        f"{name} = new(Tensor)",
        f"{name}._data = {data}",
        f"{name}._link = {name}._node = None",
    ]


def _is_new(leaf: Any, first: int) -> bool:
    return isinstance(leaf, FromEnvironment) and leaf.index >= first and not leaf.weak


class _Made:
    """Stands for a Tensor, by its place in what the Plan gives."""

    def __init__(self, place: int) -> None:
        self.place = place


def _text(x: Any, scope: dict[str, Any]) -> str | None:
    if type(x) is _Made:
        return f"t{x.place}"
    kind = type(x)
    if kind is not list and kind is not tuple and kind is not dict:
        return None
    items = [_text(item, scope) for item in (x.values() if kind is dict else x)]
    if None in items:
        return None
    if kind is dict:
        keys = [f"key{len(scope)}_{i}" for i in range(len(x))]
        scope.update(zip(keys, x, strict=True))
        pairs = zip(keys, items, strict=True)
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    inside = "".join(f"{item}, " for item in items)
    return f"[{inside}]" if kind is list else f"({inside})"
