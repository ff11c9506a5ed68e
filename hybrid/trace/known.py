"""Values of a trace that depend on nothing: Python may have them without a guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hybrid.core.graph import Const, Node, Value
from hybrid.core.interpret import run_node
from hybrid.core.tensor import Array


def known_value(nodes: Sequence[Node], wanted: Value, made: Mapping[Value, Array]) -> Array | None:
    """Compute a value that depends on literals only, however many nodes lie between.

    Parameters
    ----------
    nodes : sequence of Node
        In the order of their recording.
    wanted : Value
    made : mapping of Value to ndarray
        What the function has made itself, and from nothing.

    Returns
    -------
    ndarray or None
        Read-only; None where the value depends on something from outside, or on chance.
    """
    makers = {value: node for node in nodes for value in node.outputs}
    needed: set[int] = set()
    pending = [wanted]
    while pending:
        value = pending.pop()
        if value in made:
            continue
        node = makers.get(value)
        if node is None or node.op.impure:
            return None
        if id(node) not in needed:
            needed.add(id(node))
            pending.extend(x for x in node.inputs if isinstance(x, Value))
    values: dict[Value, Array] = dict(made)
    for node in nodes:
        if id(node) in needed:
            operands = [
                np.asarray(x.value, x.dtype) if isinstance(x, Const) else values[x]
                for x in node.inputs
            ]
            values.update(zip(node.outputs, run_node(node, operands), strict=True))
    found = values[wanted].copy()
    found.flags.writeable = False
    return found
