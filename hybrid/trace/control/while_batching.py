"""A while loop in a vmap goes on until the last example is done; what is done stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid.core import dispatch
from hybrid.core.batch import Lane
from hybrid.core.graph import FuncGraph, has_effects
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.dtypes import bool_
from hybrid.ops.reduction import any as any_of
from hybrid.records import dataclass
from hybrid.trace.control.batched import (
    Flags,
    applied,
    batched_graph,
    fitted,
    lent,
    selected,
    stream_of,
)
from hybrid.trace.control.scan_batching import carries_of
from hybrid.trace.recorder import trace_pure


@dataclass(frozen=True, slots=True)
class Course:
    """A while loop over all examples.

    Attributes
    ----------
    cond, body : FuncGraph
    batched : tuple of bool
        Which operands have the axis of the examples.
    asked : FuncGraph, optional
        The condition of one example, where the examples disagree: between the carries and the
        constants there is then one more carry, which says who goes on.
    """

    cond: FuncGraph
    body: FuncGraph
    batched: Flags
    asked: FuncGraph | None

    def operands(self, lanes: Sequence[Lane], carries: int, size: Any) -> tuple[Any, ...]:
        """Return what the loop is given."""
        given = fitted(lanes, self.batched, size)
        if self.asked is None:
            return given
        full = [Lane(x, batched=f) for x, f in zip(given, self.batched, strict=True)]
        (going,) = applied(self.asked, full, size)
        return (*given[:carries], *fitted([going], [True], size), *given[carries:])


def course(
    cond: FuncGraph, body: FuncGraph, batched: Sequence[bool], carries: int, size: Any
) -> Course | None:
    """Return the loop over all examples; None where it can only be run for one after the other."""
    whole, flags, _ = carries_of(body, batched, carries, size)
    ask, (differs,) = batched_graph(cond, flags, size)
    if not differs:
        return Course(ask, whole, flags, None)
    if any(has_effects(node) for graph in (cond, body) for node in graph.nodes):
        return None
    streams = [stream_of(body, i) == i and not flags[i] for i in range(carries)]
    _, flags, _ = carries_of(body, [not s for s in streams] + list(flags[carries:]), carries, size)
    return Course(*_masked(cond, body, flags, streams, size), flags, cond)


def _masked(
    cond: FuncGraph, body: FuncGraph, flags: Flags, streams: Sequence[bool], size: Any
) -> tuple[FuncGraph, FuncGraph]:
    """Return the graphs of a loop that leaves the examples alone that are done."""
    carries = len(streams)
    plain = batched_graph(body, flags, size)[0].inputs
    going = TensorSpec((size,), bool_)
    specs = [v.spec for v in plain]
    specs.insert(carries, going)

    def split(tensors: tuple[Tensor, ...]) -> tuple[list[Lane], Tensor]:
        given = (*tensors[:carries], *tensors[carries + 1 :])
        lanes = [Lane(x, batched=f) for x, f in zip(given, flags, strict=True)]
        return lanes, tensors[carries]

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        lanes, mask = split(tensors)
        found = applied(body, lent(body, mask, lanes, size), size)
        new = [
            selected(mask, after, before, stream=stream, size=size)
            for after, before, stream in zip(found, lanes, streams, strict=False)
        ]
        (more,) = applied(cond, [*new, *lanes[carries:]], size)
        return (*fitted(new, flags[:carries], size), *fitted([more], [True], size))

    ask = trace_pure(cond.name, lambda *tensors: any_of(tensors[carries]), specs)[0]
    return ask, trace_pure(body.name, step, specs)[0]


def batch(op: Op, size: Any, lanes: Sequence[Lane], attrs: Attrs) -> tuple[Lane, ...] | None:
    """Return the results of a while loop for all examples."""
    cond, body, carries = attrs["cond"], attrs["body"], attrs["carries"]
    if len(cond.outputs) > 1:
        return None
    loop = course(cond, body, [lane.batched for lane in lanes], carries, size)
    if loop is None:
        return None
    own = {"cond": loop.cond, "body": loop.body, "carries": carries + (loop.asked is not None)}
    out = dispatch.bind_all(op, loop.operands(lanes, carries, size), own)
    return tuple(Lane(x, batched=f) for x, f in zip(out[:carries], loop.batched, strict=False))
