"""Source that puts together what a call returns: Tensors, numbers and objects in containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hybrid.core import containers
from hybrid.trace.results import Fixed, FromArgument, FromEnvironment, FromFormula, Result, Same


def returned_text(
    result: Result, spell: Callable[[int], str | None], arguments: str, scope: dict[str, Any]
) -> tuple[list[str], str] | None:
    """Write the lines that make the Tensors of a result, and what is returned then.

    Parameters
    ----------
    result : Result
    spell : callable
        ``spell(i)`` writes a value of the environment; None where that is not to be had.
    arguments : str
        Spells the leaves of the arguments.
    scope : dict
        Gets the keys of dicts, and what is returned as it is.

    Returns
    -------
    tuple of list and str, or None
        None where there is more to a result: views, one array in two Tensors, other containers.
    """
    places = [x.index for x in result.leaves if isinstance(x, FromEnvironment) and not x.weak]
    if result.changed or len({*places}) < len(places):
        return None
    lines: list[str] = []
    texts: list[str] = []
    for i, leaf in enumerate(result.leaves):
        match leaf:
            case FromEnvironment(index, weak) if (value := spell(index)) is not None:
                lines += [f"t{i} = {value}.item()"] if weak else new_tensor(f"t{i}", value)
                texts.append(f"t{i}")
            case Fixed(value, ()):
                scope[f"fixed{i}"] = value
                texts.append(f"fixed{i}")
            case FromArgument(number, ()):
                texts.append(f"{arguments}[{number}]")
            case FromFormula(read):
                scope[f"read{i}"] = read
                texts.append(f"read{i}({arguments})")
            case Same(number):
                texts.append(texts[number])
            case _:
                return None
    whole = _text(containers.unflatten(result.tree, map(_Made, texts)), scope)
    return None if whole is None else (lines, whole)


def new_tensor(name: str, data: str) -> list[str]:
    """Write what `wrap` does, without the call."""
    return [
        f"{name} = new(Tensor)",
        f"{name}._data = {data}",
        f"{name}._link = {name}._node = None",
    ]


class _Made:
    """Stands for a leaf, by how it is written."""

    def __init__(self, text: str) -> None:
        self.text = text


def _text(x: Any, scope: dict[str, Any]) -> str | None:
    if type(x) is _Made:
        return x.text
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
