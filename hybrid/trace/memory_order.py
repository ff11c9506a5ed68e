"""How the results of a trace would lie in memory in eager code.

A Plan makes all arrays in C order. NumPy keeps the order of what it computes from: of ``a.T * 2``
the first axis is the contiguous one. Whether ``reshape`` gives a view of it or a copy depends on
that, and so does what a later write reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hybrid.core.graph import Node, Value
from hybrid.core.layout import Layout, contiguous
from hybrid.core.unknown import is_unknown
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """How a result lies, and whether that follows from how arguments lie.

    Attributes
    ----------
    layout : Layout or None
        None where only NumPy knows: sorting and joining, among others, have orders of their own.
    given : bool
    """

    layout: Layout | None
    given: bool


class Orders:
    """The orders of the results of one trace, found when they are asked for."""

    def __init__(self) -> None:
        self._nodes: dict[Value, Node] = {}
        self._known: dict[Value, Order] = {}
        self._noted: tuple[list[Node], int] = [], 0

    def note(self, nodes: list[Node]) -> None:
        """Take note of the nodes that were recorded in a list since the last time."""
        held, count = self._noted
        for node in nodes[count if held is nodes and count <= len(nodes) else 0 :]:
            self._nodes.update(dict.fromkeys(node.outputs, node))
        self._noted = nodes, len(nodes)

    def of(self, value: Value, of_source: Callable[[Value], Order]) -> Order:
        """Return how a result lies.

        Parameters
        ----------
        value : Value
        of_source : callable
            Takes what no node has made, and returns its Order.
        """
        waiting = [value]  # a loop, and no recursion: chains are long
        while waiting:
            last = waiting[-1]
            if last in self._known:
                waiting.pop()
                continue
            node = self._nodes.get(last)
            inputs = () if node is None else tuple(_arrays(node))
            missing = [x for x in inputs if x not in self._known]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            self._known[last] = (
                of_source(last)
                if node is None
                else _after(node, last, [self._known[x] for x in inputs])
            )
        return self._known[value]


def _arrays(node: Node) -> Iterable[Value]:
    return (x for x in node.inputs if isinstance(x, Value) and x.spec.shape)


def _after(node: Node, value: Value, inputs: list[Order]) -> Order:
    given = any(x.given for x in inputs)
    layouts = [x.layout for x in inputs]
    plain = contiguous(value.spec.shape)
    if node.op.name == "copy":
        return Order(plain, given)
    if None in layouts:
        return Order(None, given)
    if node.op.view is not None and layouts:
        (layout,) = layouts
        assert layout is not None
        found = node.op.view(layout, **node.attrs)
        return Order(plain if found is None else found, given)
    if all(x is not None and x.is_contiguous for x in layouts):
        return Order(plain, given)
    if any(map(is_unknown, value.spec.shape)) or not _keeps_order(node):
        return Order(None, given)
    return Order(_kept([x for x in layouts if x is not None], plain), given)


def _keeps_order(node: Node) -> bool:
    return node.op.elementwise or node.op.name == "astype"


def _kept(layouts: list[Layout], plain: Layout) -> Layout:
    """Return how NumPy lays out what a ufunc makes of arrays that lie so (its order ``"K"``)."""
    byte = np.empty(1, np.int8)  # of which no more than the strides is looked at
    arrays = [np.lib.stride_tricks.as_strided(byte, x.shape, x.strides) for x in layouts]
    options: Any = [["readonly"]] * len(arrays) + [["writeonly", "allocate"]]
    steps = np.nditer([*arrays, None], ["zerosize_ok", "multi_index"], options, order="K")
    made = steps.operands[-1]
    return Layout(plain.shape, made.strides)
