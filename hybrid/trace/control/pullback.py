"""Gradients of bodies: a graph replayed under a tape, and what of it must not happen twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from hybrid.autodiff.needs import needs_of
from hybrid.autodiff.tape import GradientTape
from hybrid.core import dispatch
from hybrid.core.devices import CPU, DeviceScope
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value, bodies_of, has_effects
from hybrid.core.op import Attrs
from hybrid.core.tensor import Tensor, wrap
from hybrid.dtypes import is_inexact
from hybrid.errors import GradientError
from hybrid.trace.residuals import choose, is_fusable


def recorded_attrs(node: Node) -> Attrs:
    """Return the attrs under which a node is applied where a gradient may be asked for."""
    return node.attrs if node.op.recorded is None else node.op.recorded(**node.attrs)


def replay(node: Node, tensors: dict[Value, Any]) -> None:
    """Apply a node to the Tensors that stand for its inputs, and note its results."""
    inputs = tuple(value_of(x, tensors) for x in node.inputs)
    where = node.outputs[0].spec.device if node.outputs else CPU
    with DeviceScope(where) if where != dispatch.state.device else nullcontext():
        bound: Any = dispatch.bind(node.op, inputs, recorded_attrs(node))
    tensors.update(zip(node.outputs, bound if node.op.multi else (bound,)))


def value_of(operand: Operand, tensors: Mapping[Value, Any]) -> Any:
    """Return the Tensor or number that stands for an operand."""
    return operand.value if isinstance(operand, Const) else tensors[operand]


def applied(graph: FuncGraph, tensors: Sequence[Tensor]) -> list[Any]:
    """Apply a graph, node by node, to Tensors; what records them sees its ops."""
    known: dict[Value, Any] = dict(zip(graph.parameters, tensors, strict=True))
    for node in graph.nodes:
        replay(node, known)
    return [value_of(x, known) for x in graph.outputs]


def gradients(
    graph: FuncGraph,
    parameters: Sequence[Tensor],
    wanted: Sequence[bool],
    given: Mapping[Value, Tensor],
    seeds: Mapping[int, Tensor],
) -> list[Tensor | None]:
    """Replay a graph, without its effects, and return the gradient by each wanted parameter.

    Parameters
    ----------
    graph : FuncGraph
    parameters : sequence of Tensor
        Of the trace that is under way.
    wanted : sequence of bool
        One for each parameter.
    given : mapping
        Values of the graph that are known: the results of its effects (see :func:`witnessed`), and
        what is not to be computed again (see :func:`remembered`).
    seeds : mapping
        The gradient by each output that has one, by its number.
    """
    quiet = silent(graph)
    tensors: dict[Value, Any] = dict(zip(graph.parameters, parameters, strict=True))
    tensors.update((v, given[v]) for v in witnessed(graph))
    tape = GradientTape(persistent=True, watch_accessed_variables=False)
    sources = [t for t, want in zip(parameters, wanted, strict=True) if want]
    with dispatch.scope(tapes=()):
        with tape:
            tape.watch(sources)
            for node in quiet.nodes:
                if node.outputs[0] in given:
                    _recall(node, tensors, given)
                else:
                    replay(node, tensors)
        ends = {i: value_of(graph.outputs[i], tensors) for i in seeds}
        ends = {i: t for i, t in ends.items() if has_gradient(t)}
        found: Any = [None] * len(sources)
        if ends:
            found = tape.gradient(
                list(ends.values()), sources, output_gradients=[seeds[i] for i in ends]
            )
    by_source = iter(found)
    return [next(by_source) if want else None for want in wanted]


def _recall(node: Node, tensors: dict[Value, Any], given: Mapping[Value, Tensor]) -> None:
    """Let the tapes see a node whose result is known."""
    inputs = tuple(value_of(x, tensors) for x in node.inputs)
    found = tensors[node.output] = wrap(given[node.output]._data)
    dispatch.state.tapes[-1]._record(node.op, inputs, node.attrs, found)


def has_gradient(x: Any) -> bool:
    """Tell whether a tape knows how `x` came about."""
    return isinstance(x, Tensor) and x._node is not None and is_inexact(x.dtype)


def witnessed(graph: FuncGraph) -> tuple[Value, ...]:
    """Return the results of the effects of a graph: a replay must be given them."""
    return tuple(v for node in graph.nodes if node.op.impure for v in node.outputs)


def remembered(graph: FuncGraph) -> tuple[Value, ...]:
    """Return values from which kernels alone compute all that the gradient of a graph needs."""
    needed: list[Value] = []
    for node in graph.nodes:
        if not any(is_inexact(v.spec.dtype) for v in node.outputs):
            continue
        values = [x if isinstance(x, Value) else None for x in node.inputs]
        tracked = [i for i, x in enumerate(values) if x is not None and is_inexact(x.spec.dtype)]
        needs = needs_of(node.op, len(values), tuple(tracked))
        needed += [x for i in needs.inputs if (x := values[i]) is not None]
        needed += node.outputs if needs.output else ()
    makers = {v: node for node in graph.nodes for v in node.outputs}
    kept = choose(graph.nodes, [v for v in needed if v in makers], graph.outputs, is_fusable)
    return tuple(v for v in kept.values if _can_be_given(makers[v]))


def _can_be_given(node: Node) -> bool:
    return not (node.op.multi or node.op.impure or node.op.bodies)


def silent(graph: FuncGraph) -> FuncGraph:
    """Return a graph without its effects, whose results count as given."""
    if not any(map(has_effects, graph.nodes)):
        return graph
    nodes = tuple(_silent(node) for node in graph.nodes if not node.op.impure)
    return replace(graph, nodes=nodes)


def refuse_witnesses(graph: FuncGraph) -> None:
    """Raise where running a graph again would ask a callback again."""
    found = next((node for node in graph.nodes if node.op.impure and node.outputs), None)
    if found is not None:
        where = f"\n  at {found.line.describe()}" if found.line else ""
        raise GradientError(
            f"gradient: it would call hb.{found.op.name} again, for its results; let it return "
            "nothing here, or write the loop around it in Python or as a single hb.scan" + where
        )


def _silent(node: Node) -> Node:
    if not has_effects(node):
        return node
    for body in bodies_of(node):
        refuse_witnesses(body)
    attrs = dict(node.attrs)
    for name in node.op.bodies:
        body = attrs[name]
        attrs[name] = tuple(map(silent, body)) if isinstance(body, tuple) else silent(body)
    return replace(node, attrs=attrs)


def reached(graph: FuncGraph, active: Sequence[bool]) -> tuple[bool, ...]:
    """Return which outputs may have a gradient by the active parameters."""
    live = {v for v, on in zip(graph.parameters, active, strict=True) if on}
    for node in graph.nodes:
        if not live.isdisjoint(x for x in node.inputs if isinstance(x, Value)):
            live.update(v for v in node.outputs if is_inexact(v.spec.dtype))
    return tuple(x in live if isinstance(x, Value) else False for x in graph.outputs)
