"""Whether two values of a trace are computed alike from the same."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from hybrid.core.graph import Const, Node, Operand, Value, has_effects
from hybrid.core.op import Attrs
from hybrid.core.unknown import Unknown

_FAR = 256  # nodes that are looked through for what computes a value
_DEEP = 8


def are_alike(nodes: list[Node], a: Value, b: Value) -> bool:
    """Tell whether two values are one, or are computed alike: ``x < 0`` written twice.

    Parameters
    ----------
    nodes : list of Node
        Of the trace so far; what is further back than a few hundred is not looked for.
    a, b : Value
    """
    if a is b:
        return True
    made = {value: node for node in nodes[-_FAR:] for value in node.outputs}
    return _alike(made, a, b, _DEEP)


def _alike(made: dict[Value, Node], a: Operand, b: Operand, deep: int) -> bool:
    if a is b:
        return True
    if isinstance(a, Const) or isinstance(b, Const):
        return isinstance(a, Const) and isinstance(b, Const) and a.key() == b.key()
    one, other = made.get(a), made.get(b)
    if one is None or other is None or not deep:
        return False
    if one.op is not other.op or len(one.outputs) != 1 or one.op.bodies or one.op.acts:
        return False
    if has_effects(one) or attrs_key(one.attrs) != attrs_key(other.attrs):
        return False
    pairs = zip(one.inputs, other.inputs, strict=False)
    return len(one.inputs) == len(other.inputs) and all(
        _alike(made, x, y, deep - 1) for x, y in pairs
    )


def attrs_key(attrs: Attrs) -> Hashable:
    """Return a key that attributes share if they are the same, types and signs of zero included."""
    return tuple((name, _frozen(attrs[name])) for name in sorted(attrs)) if attrs else ()


def _frozen(value: Any) -> Hashable:
    """Return a key that tells ``1`` from ``True`` and ``1.0``, and ``0.0`` from ``-0.0``."""
    if isinstance(value, tuple):
        return tuple(map(_frozen, value))
    if type(value) is Unknown:
        return value
    if isinstance(value, bool | int | float | complex | slice):
        return type(value).__name__, repr(value)
    key: Hashable = value
    return key
