"""A scan in a vmap is a scan whose carries and rows are those of all examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid.core import dispatch
from hybrid.core.batch import Lane
from hybrid.core.graph import FuncGraph
from hybrid.core.op import Attrs, Op
from hybrid.ops.permuting import moveaxis
from hybrid.trace.control.batched import Flags, batched_graph, fitted
from hybrid.trace.control.scan_gradient import recorded


def carries_of(
    body: FuncGraph, batched: Sequence[bool], carries: int, size: Any
) -> tuple[FuncGraph, Flags, Flags]:
    """Return the body for all examples, which of its parameters have them, and which results.

    A carry that differs between examples after one step does so before the next.
    """
    flags = list(batched)
    while True:
        graph, found = batched_graph(body, flags, size, _forced(body, flags, carries))
        if list(found[:carries]) == flags[:carries]:
            return graph, tuple(flags), found
        flags[:carries] = found[:carries]


def _forced(body: FuncGraph, flags: Sequence[bool], carries: int) -> list[bool]:
    return [i < carries and flags[i] for i in range(len(body.outputs))]


def batch(op: Op, size: Any, lanes: Sequence[Lane], attrs: Attrs) -> tuple[Lane, ...]:
    """Return the results of a scan for all examples."""
    carries, xs = attrs["carries"], attrs["xs"]
    body, flags, found = carries_of(attrs["body"], [lane.batched for lane in lanes], carries, size)
    given = [*fitted(lanes, flags, size)]
    for i in range(carries, carries + xs):
        if flags[i]:
            given[i] = moveaxis(given[i], 0, 1)
    own = {k: v for k, v in attrs.items() if k != "kept"} | {"body": body}
    out = dispatch.bind_all(op, tuple(given), recorded(**own) if dispatch.state.tapes else own)
    last = tuple(Lane(x, batched=flag) for x, flag in zip(out[:carries], found, strict=False))
    rows = zip(out[carries:], found[carries:], strict=False)
    return (*last, *(Lane(moveaxis(y, 0, 1) if f else y, batched=f) for y, f in rows))
