"""Gradients of segments: a compiled function under a tape is one entry of the tape.

The ops that call a graph, and differentiate it by its derivative; and how a segment is run under
the tapes around a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.autodiff.batching import filled
from hybrid.core import dispatch
from hybrid.core.batch import Lane
from hybrid.core.graph import FuncGraph, Operand, Value
from hybrid.core.op import Attrs, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.substitute import OfGraphs
from hybrid.core.tensor import Array, Tensor, wrap
from hybrid.dtypes import is_inexact
from hybrid.errors import GradientError
from hybrid.ops.creation import zeros
from hybrid.records import dataclass
from hybrid.trace.control.batched import applied, batched_graph, widened
from hybrid.trace.derivative import Derivative, GraphCall, narrowed, split_joint
from hybrid.trace.recorder import GraphRecorder, trace_pure
from hybrid.trace.segment import Segment
from hybrid.trace.sources import Derived, Environment, Local

# --- the op ---------------------------------------------------------------------------------------


def _infer(*specs: TensorSpec, call: GraphCall) -> tuple[TensorSpec, ...]:
    return tuple(replace(x.spec, weak=False) for x in call.graph.outputs)


def _eager(xp: Any, *arrays: Any, call: GraphCall) -> tuple[Array, ...]:
    return call.run(arrays)


Gradients = tuple[Tensor | None, ...]


def _joint_vjp(
    wanted: tuple[bool, ...], g: Gradients, out: tuple[Tensor, ...], *inputs: Any, call: GraphCall
) -> tuple[Any, ...]:
    # Without the residuals at hand (a derivative of a derivative) the forward graph runs again.
    derivative = call.quiet().derivative(wanted)
    forward = dispatch.bind_all(CALL, inputs, {"call": derivative.forward})
    return _backward(derivative, g, inputs, forward[len(out) :])


def _backward(
    derivative: Derivative, g: Gradients, inputs: tuple[Any, ...], kept: tuple[Tensor, ...]
) -> tuple[Any, ...]:
    outputs = derivative.forward.graph.outputs
    derivative = narrowed(derivative, g)
    seeds = tuple(_or_zeros(g[i], outputs[i].spec) for i in derivative.seeded)
    found = dispatch.bind_all(CALL, (*inputs, *kept, *seeds), {"call": derivative.backward})
    gradients: list[Any] = [None] * len(inputs)
    for place, gradient in zip(derivative.connected, found, strict=True):
        gradients[place] = gradient
    return tuple(gradients)


def _or_zeros(gradient: Tensor | None, spec: TensorSpec) -> Tensor:
    if gradient is not None:
        return gradient
    return zeros(spec.shape, dtype=spec.dtype, device=spec.device)


def _batch(op: Op, size: Any, lanes: Sequence[Lane], attrs: Attrs) -> tuple[Lane, ...]:
    flags = [lane.batched for lane in lanes]
    whole, found = batched_graph(attrs["call"].graph, flags, size)
    given = tuple(lane.tensor for lane in lanes)
    out = dispatch.bind_all(op, given, {"call": GraphCall(whole)})
    return tuple(Lane(x, batched=flag) for x, flag in zip(out, found, strict=True))


CALL = register(
    Op(
        name="call",
        family="control",
        infer=_infer,
        eager=_eager,
        anywhere=True,
        joint_vjp=_joint_vjp,
        batch=_batch,
        multi=True,
        doc="Run a graph.",
    )
)


@dataclass(frozen=True, eq=False, slots=True)
class Chosen(OfGraphs):
    """A derivative and the parameters that it was chosen for, as one attribute of a node."""

    wanted: tuple[bool, ...]
    value: Derivative

    def __str__(self) -> str:
        return str(self.value.backward)


def _with_residuals_vjp(
    wanted: tuple[bool, ...],
    g: Gradients,
    out: tuple[Tensor, ...],
    *inputs: Any,
    call: GraphCall,
    derivative: Chosen,
) -> tuple[Any, ...]:
    count = len(call.graph.outputs)
    if any(part is not None for part in g[count:]):
        # The gradient of a gradient comes back through the residuals too.
        return _joint_vjp(wanted, g, out, *inputs, call=derivative.value.forward)
    if wanted != derivative.wanted:
        return _joint_vjp(wanted, g[:count], out[:count], *inputs, call=call)
    return _backward(derivative.value, g, inputs, out[count:])


CALL_WITH_RESIDUALS = register(
    Op(
        name="call_with_residuals",
        family="control",
        infer=lambda *specs, call, derivative: _infer(*specs, call=derivative.value.forward),
        eager=lambda xp, *arrays, call, derivative: derivative.value.forward.run(arrays),
        anywhere=True,
        joint_vjp=_with_residuals_vjp,
        multi=True,
        doc="Run a graph and keep what its gradient needs.",
    )
)


def _custom_vjp(
    wanted: tuple[bool, ...],
    g: Gradients,
    out: tuple[Tensor, ...],
    *inputs: Any,
    call: GraphCall,
    derivative: Chosen,
) -> tuple[Any, ...]:
    own = [x for x, given in zip(inputs, derivative.wanted, strict=True) if given]
    for i, want in enumerate(wanted):
        if want and not derivative.wanted[i] and _is_used(call, i, inputs[i], own):
            raise GradientError(
                located(
                    f"{call.graph.name} has a gradient of its own, by its arguments only; it also "
                    f"uses a watched value of {inputs[i].spec} from outside. Pass that as an "
                    "argument"
                )
            )
    count = len(call.graph.outputs)
    found = _backward(derivative.value, g, inputs, out[count:])
    if all(part is None for part in g[count:]):
        return found
    # The gradient of the gradient comes back through the residuals, which are plain results.
    through = (*(None for _ in range(count)), *g[count:])
    more = _joint_vjp(wanted, through, out, *inputs, call=derivative.value.forward)
    return tuple(a if b is None else b if a is None else a + b for a, b in zip(found, more))


def _is_used(call: GraphCall, place: int, x: Tensor, own: list[Tensor]) -> bool:
    """Tell whether results depend on a value from outside that is none of the arguments.

    What only the gradient that the user gives is made of, or what is detached, is no matter.
    """
    if any(x is y or (x._node is not None and x._node is y._node) for y in own):
        return False
    alone = tuple(i == place for i in range(len(call.graph.parameters)))
    return place in call.derivative(alone).connected


def _batch_custom(op: Op, size: Any, lanes: Sequence[Lane], attrs: Attrs) -> tuple[Lane, ...]:
    flags = [lane.batched for lane in lanes]
    plain, chosen = attrs["call"].graph, attrs["derivative"]
    derivative = chosen.value
    forward, found = batched_graph(derivative.forward.graph, flags, size)
    count = len(plain.outputs)
    seeds = [found[i] for i in derivative.seeded]
    backward = _batched_backward(derivative, flags, (*found[count:], *seeds), size)
    whole = replace(derivative, forward=GraphCall(forward), backward=GraphCall(backward))
    own = {
        "call": GraphCall(batched_graph(plain, flags, size, found[:count])[0]),
        "derivative": Chosen(chosen.wanted, whole),
    }
    out = dispatch.bind_all(op, tuple(lane.tensor for lane in lanes), own)
    return tuple(Lane(x, batched=flag) for x, flag in zip(out, found, strict=True))


def _batched_backward(
    derivative: Derivative, flags: list[bool], rest: tuple[bool, ...], size: Any
) -> FuncGraph:
    """Return the gradients for all examples; by what they share, their sum."""
    graph = derivative.backward.graph
    given = (*flags, *rest)

    def whole(*tensors: Tensor) -> tuple[Any, ...]:
        lanes = [Lane(x, batched=flag) for x, flag in zip(tensors, given, strict=True)]
        found = applied(graph, lanes, size)
        pairs = zip(derivative.connected, found, strict=True)
        return tuple(filled(x, size) if flags[i] else _summed(x) for i, x in pairs)

    specs = [widened(v.spec, flag, size) for v, flag in zip(graph.parameters, given, strict=True)]
    return trace_pure(graph.name, whole, specs)[0]


def _summed(lane: Lane) -> Any:
    return lane.tensor.sum(axis=0) if lane.batched else lane.tensor


CUSTOM_CALL = register(
    Op(
        name="custom_call",
        family="control",
        infer=lambda *specs, call, derivative: _infer(*specs, call=derivative.value.forward),
        eager=lambda xp, *arrays, call, derivative: derivative.value.forward.run(arrays),
        anywhere=True,
        joint_vjp=_custom_vjp,
        batch=_batch_custom,
        multi=True,
        doc="Run a graph whose gradient the user has given.",
    )
)


def given_derivative(
    name: str,
    recorder: GraphRecorder,
    split: int,
    entries: tuple[tuple[Value, ...], tuple[Value, ...]],
    results: tuple[tuple[Operand, ...], tuple[Operand, ...]],
    places: tuple[tuple[int, ...], tuple[int, ...]],
) -> tuple[GraphCall, Derivative]:
    """Return the graph of a function and its derivative, both recorded one after the other.

    Parameters
    ----------
    name : str
    recorder : GraphRecorder
    split : int
        How many nodes belong to the function itself.
    entries : (parameters, seeds)
    results : (outputs, gradients)
    places : (seeded, connected)
        Which outputs have seeds, and which parameters gradients.
    """
    derivative = split_joint(name, recorder, split, entries, results, places)
    plain = FuncGraph(name, entries[0], (), tuple(recorder.nodes[:split]), results[0])
    return GraphCall(plain), derivative


def run_under(
    tapes: tuple[Any, ...],
    segment: Segment,
    environment: Environment,
    arguments: Sequence[Any],
    fetch: Any = None,
) -> None:
    """Run a segment on Tensors under `tapes`, as one entry of theirs."""
    with dispatch.scope(recorder=None, tapes=tapes):
        _run_recorded(segment, environment, arguments)


def _run_recorded(segment: Segment, environment: Environment, arguments: Sequence[Any]) -> None:
    for source in segment.captured:
        environment.append(_tensor_of(source, arguments))
    try:
        found = _recorded(segment, environment, arguments)
    except Exception as error:
        raise segment.failure(error, environment) from error.__cause__
    environment.extend(found)
    segment.commit(environment, arguments)


def _recorded(
    segment: Segment, environment: Environment, arguments: Sequence[Any]
) -> Sequence[Tensor]:
    inputs = tuple(environment[i] for i in segment.parameters)
    sized = segment.sized(arguments)
    if sized.differentiable is None:
        sized.differentiable = GraphCall(sized.graph)
    call = sized.differentiable
    wanted = tuple(_watched(x) for x in inputs)
    if not any(wanted):
        arrays = [x._data for x in inputs]
        return [wrap(a) for a in sized.plan_for(arrays).run(*arrays)]
    chosen = Chosen(wanted, call.derivative(wanted))
    results = dispatch.bind_all(CALL_WITH_RESIDUALS, inputs, {"call": call, "derivative": chosen})
    return results[: len(call.graph.outputs)]


def _tensor_of(source: Any, arguments: Sequence[Any]) -> Tensor:
    if type(source) is Tensor:
        return source
    if type(source) is Derived:
        return wrap(np.asarray(source.read(arguments)))
    tensor: Tensor = wrap(source.contents) if type(source) is Local else source.read()
    return tensor


def _watched(tensor: Any) -> bool:
    if not isinstance(tensor, Tensor) or not is_inexact(tensor.dtype):
        return False
    dispatch.refresh(tensor)
    return tensor._node is not None
