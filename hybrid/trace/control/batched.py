"""Graphs that compute a whole batch of examples at once: bodies of loops and branches in a vmap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hybrid.autodiff.batching import batched_op, filled
from hybrid.core.batch import Lane
from hybrid.core.graph import Const, FuncGraph, Node, Value, bodies_of
from hybrid.core.op import OPS
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.dtypes import is_inexact
from hybrid.ops.creation import full
from hybrid.ops.drawing import RANDOM_ADVANCE, STATE
from hybrid.ops.elementwise.copies import stop_gradient
from hybrid.ops.elementwise.selection import maximum, where
from hybrid.ops.indexing import take
from hybrid.ops.reduction import any as any_of
from hybrid.ops.searching import argmax
from hybrid.trace.recorder import trace_pure

Flags = tuple[bool, ...]


def applied(graph: FuncGraph, lanes: Sequence[Lane], size: Any) -> list[Lane]:
    """Apply a graph to each of `size` examples, op by op.

    Parameters
    ----------
    graph : FuncGraph
        Of one example.
    lanes : sequence of Lane
        One for each parameter.
    size : int

    Returns
    -------
    list of Lane
        One for each output.
    """
    known = dict(zip(graph.parameters, lanes, strict=True))
    for node in graph.nodes:
        given = tuple(
            known[x] if isinstance(x, Value) else Lane(x.value, batched=False) for x in node.inputs
        )
        found = batched_op(node.op, given, node.attrs, size)
        known.update(zip(node.outputs, found, strict=True))
    return [_constant(x) if isinstance(x, Const) else known[x] for x in graph.outputs]


def _constant(x: Const) -> Lane:
    return Lane(full((), x.value, dtype=x.dtype), batched=False)


def batched_graph(
    graph: FuncGraph, batched: Sequence[bool], size: Any, forced: Sequence[bool] = ()
) -> tuple[FuncGraph, Flags]:
    """Return the graph that does to `size` examples what `graph` does to one.

    Parameters
    ----------
    graph : FuncGraph
    batched : sequence of bool
        Which parameters get a leading axis that counts the examples; others are shared.
    size : int
    forced : sequence of bool, optional
        Which outputs must have the axis; otherwise those do that differ between examples.

    Returns
    -------
    FuncGraph
    tuple of bool
        Which outputs have the axis.
    """
    specs = [widened(v.spec, flag, size) for v, flag in zip(graph.parameters, batched, strict=True)]
    flags: list[bool] = []

    def whole(*tensors: Tensor) -> tuple[Tensor, ...]:
        lanes = [Lane(x, batched=flag) for x, flag in zip(tensors, batched, strict=True)]
        found = applied(graph, lanes, size)
        must = forced or (False,) * len(found)
        flags.extend(lane.batched or force for lane, force in zip(found, must, strict=True))
        return tuple(
            filled(lane, size) if flag else lane.tensor
            for lane, flag in zip(found, flags, strict=True)
        )

    return trace_pure(graph.name, whole, specs)[0], tuple(flags)


def widened(spec: TensorSpec, batched: bool, size: Any) -> TensorSpec:
    """Return the spec of a value of all examples, given that of one."""
    return replace(spec, shape=(size, *spec.shape), weak=False) if batched else spec


def fitted(lanes: Sequence[Lane], batched: Sequence[bool], size: Any) -> tuple[Any, ...]:
    """Return the Tensors of lanes, with the axis of the examples where `batched` says so."""
    return tuple(
        filled(lane, size) if flag else lane.tensor
        for lane, flag in zip(lanes, batched, strict=True)
    )


# --- examples that do not take part ---------------------------------------------------------------


def selected(mask: Tensor, taken: Lane, otherwise: Lane, *, stream: bool, size: Any) -> Lane:
    """Return for each example one of two values.

    The state of a generator of random numbers, a `stream`, is shared by all examples: it moves on
    if it does for one of them.
    """
    if taken.tensor is otherwise.tensor:
        return taken
    if stream and not (taken.batched or otherwise.batched):
        return Lane(maximum(taken.tensor, otherwise.tensor), batched=False)
    (found,) = batched_op(OPS["where"], (Lane(mask, batched=True), taken, otherwise), {}, size)
    return found


def stream_of(graph: FuncGraph, output: int) -> int | None:
    """Return the parameter that an output is the later state of, if it is a generator's state."""
    makers: dict[Value, Node] = {v: node for node in graph.nodes for v in node.outputs}
    x = graph.outputs[output]
    if (x.spec.shape, x.spec.dtype) != (STATE.shape, STATE.dtype):
        return None
    while isinstance(x, Value) and x in makers:
        node = makers[x]
        if node.op is RANDOM_ADVANCE:
            x = node.inputs[0]
            continue
        roots = {_root_in(body, node, node.outputs.index(x)) for body in bodies_of(node)}
        if len(roots) != 1 or None in roots:
            return None
        (root,) = roots
        assert root is not None
        x = node.inputs[root]
    return graph.parameters.index(x) if isinstance(x, Value) else None


def _root_in(body: FuncGraph, node: Node, place: int) -> int | None:
    """Return the operand of a node whose later state one of the results of its body is."""
    if place >= len(body.outputs) or body.outputs[place].spec.shape != STATE.shape:
        return None
    root = stream_of(body, place)
    return None if root is None else root + len(node.inputs) - len(body.inputs)


def lent(graph: FuncGraph, mask: Tensor, lanes: Sequence[Lane], size: Any) -> Sequence[Lane]:
    """Lend what one example has that takes part to those that do not.

    What they compute then is as finite as what is asked for, so that 0 times its derivative is 0.
    Where a graph has elementwise ops only, the mask alone sees to that.

    Parameters
    ----------
    graph : FuncGraph
        What will be computed.
    mask : Tensor
        Which examples take part.
    lanes : sequence of Lane
        The inputs of the graph.
    size : int
    """
    if not size or all(node.op.elementwise for node in graph.nodes):
        return lanes
    some, one = any_of(mask), argmax(mask.astype("uint8"))
    return [_lent(x, mask, some, one, size) for x in lanes]


def _lent(lane: Lane, mask: Tensor, some: Tensor, one: Tensor, size: Any) -> Lane:
    if lane.batched:
        row = Lane(stop_gradient(take(lane.tensor, one, axis=0)), batched=False)
        return selected(mask, lane, row, stream=False, size=size)
    if not isinstance(lane.tensor, Tensor) or not is_inexact(lane.tensor.dtype):
        return lane
    # It has no gradient where nobody takes part.
    still = stop_gradient(lane.tensor)
    return Lane(where(some, lane.tensor, still), batched=False)
