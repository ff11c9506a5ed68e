"""A Tensor known to two records: of tapes inside of a trace that gave up, and of those around it.

While a trace is under way the tapes that were opened in it record its symbolic ops, and the tapes
around the call see nothing. Where the trace gives up, what it computed comes to the tapes around as
the result of one segment. From then on both kinds watch the same eager code, so that each value
that lives on must be known to both: its node is joined from the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hybrid.autodiff.nodes import AnyNode, Form, PartNode, Saved, TapeNode
from hybrid.autodiff.record import spec_of_node
from hybrid.core.op import Op
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap


def joined(inside: AnyNode | None, around: AnyNode | None) -> Any:
    """Return a node that hands its gradient to both nodes, each tape going on to its own."""
    if inside is None or around is None or inside is around:
        return inside if around is None else around
    spec = spec_of_node(inside)
    epoch = max(inside.form.epoch, around.form.epoch)
    form = Form(_JOINED, {}, (spec, spec), (spec,), (0, 1), (), epoch)
    tapes = frozenset(i if i >= 0 else ~i for i in inside.tapes | around.tapes)
    return TapeNode(form, (inside, around), None, tapes)


def around(node: AnyNode | None) -> AnyNode | None:
    """Return what the tapes around a trace know, of a node that may be made by :func:`joined`."""
    while isinstance(node, TapeNode) and node.form.op is _JOINED and node.parents is not None:
        node = node.parents[1]
    return node


def _never(*args: Any, **attrs: Any) -> Any:
    raise AssertionError("a joined node is made by joined()")


_JOINED = Op(
    "joined",
    "control",
    _never,
    _never,
    vjp=(lambda g, out, inside, around: g, lambda g, out, inside, around: g),
)


def hand_over(tensors: Iterable[Tensor], found: Any) -> None:
    """Give the records of a trace the values that were symbols when they were saved.

    Parameters
    ----------
    tensors : iterable of Tensor
        Those of the trace that live.
    found : callable
        ``found(symbol)`` gives the Tensor that it has become, with the node that it has for the
        tapes around; None for a symbol of another trace.
    """
    pending: list[Any] = [t._node for t in tensors if t._node is not None]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, PartNode):
            pending.append(node.node)
            continue
        if node.form.op is None:
            continue
        pending += node.sources()
        for value in node.values():
            if type(value) is Saved and type(value.data) is Symbol:
                became = found(value.data)
                if became is not None and became._node is not None:
                    value.data = wrap(became._data)  # whose node is that of now
                    value.data._node = became._node
