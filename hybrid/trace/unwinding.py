"""What a function had written when it raised an error: eager code would have written that much.

A Plan commits nothing before it has come to its end, and its steps are in another order than the
program. So a graph whose Plan has raised is computed once more as it was traced, node by node, up
to the error. That costs nothing where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from hybrid.core.graph import Const, FuncGraph, Operand, Value, acts
from hybrid.core.interpret import run_node
from hybrid.core.places import DeviceArray


@dataclass(frozen=True, slots=True)
class Written:
    """A write in a trace.

    Attributes
    ----------
    after : int
        How many nodes the segment had by then.
    target : Variable, Tensor or number of an argument
    value : Value
        Its whole contents from then on.
    rebind : bool
        Whether a Variable is given a new Tensor, rather than its memory written.
    """

    after: int
    target: Any
    value: Value
    rebind: bool


def written_before_error(
    traced: FuncGraph, graph: FuncGraph, arrays: Sequence[Any], history: Sequence[Written]
) -> Iterator[tuple[Any, Any, bool]]:
    """Yield target, contents and whether to rebind it, for what was written before an error.

    Parameters
    ----------
    traced : FuncGraph
        The Values of `history` are its.
    graph : FuncGraph
        The same for the sizes of the call; none of its nodes acts if anything is written.
    arrays : sequence of ndarray
        The parameters.
    history : sequence of Written
        In order.
    """
    values: dict[Operand, Any] = dict(zip(graph.parameters, map(_array, arrays), strict=True))
    reached = _run(graph, values)
    sized = dict(zip(_values(traced), _values(graph), strict=True))
    latest = {
        w.target if isinstance(w.target, int) else id(w.target): w
        for w in history
        if w.after <= reached
    }
    for w in latest.values():
        yield w.target, values[sized[w.value]], w.rebind


def _run(graph: FuncGraph, values: dict[Operand, Any]) -> int:
    """Compute the nodes of a graph; return how many raise nothing."""
    for number, node in enumerate(graph.nodes):
        if acts(node.op, node.attrs):
            continue
        operands = [
            np.asarray(x.value, x.dtype) if isinstance(x, Const) else values[x] for x in node.inputs
        ]
        try:
            results = run_node(node, operands)
        except Exception:
            return number
        values.update(zip(node.outputs, results, strict=True))
    return len(graph.nodes)


def _array(x: Any) -> Any:
    return x if type(x) is DeviceArray else np.asarray(x)


def _values(graph: FuncGraph) -> Iterator[Value]:
    return chain(graph.parameters, *(node.outputs for node in graph.nodes))
