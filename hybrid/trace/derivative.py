"""The derivative of a graph: its forward graph with residuals, and its backward graph.

The graph is replayed on traced Tensors under a tape, which gives the joint graph. Its gradient
nodes become the backward graph, and the forward values that it needs become further outputs of the
forward one. Both are optimised and fused like any other graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from hybrid.autodiff.tape import GradientTape
from hybrid.core import dispatch
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.core.op import OPS
from hybrid.core.places import DeviceArray
from hybrid.core.spec import TensorSpec
from hybrid.core.substitute import OfGraphs
from hybrid.core.tensor import Array, Tensor
from hybrid.core.tracelog import timed
from hybrid.records import dataclass
from hybrid.runtime.arguments import layout_of, strides_of
from hybrid.runtime.plan import Plan, make_plan
from hybrid.trace import passes, residuals
from hybrid.trace.control.pullback import has_gradient, refuse_witnesses, replay, silent, value_of
from hybrid.trace.recorder import GraphRecorder


@dataclass(eq=False, slots=True)
class GraphCall(OfGraphs):
    """A graph as an op calls it, with its Plans and, once asked for, its derivative."""

    graph: FuncGraph
    plans: dict[Any, Plan] = field(default_factory=dict, init=False)
    derivatives: dict[tuple[bool, ...], Derivative] = field(default_factory=dict, init=False)
    _optimized: FuncGraph | None = field(default=None, init=False)
    _quiet: GraphCall | None = field(default=None, init=False)

    def __str__(self) -> str:
        return self.graph.name

    def run(self, arrays: Sequence[Any]) -> tuple[Array, ...]:
        """Run the graph on ndarrays."""
        arrays = [a if type(a) is DeviceArray else np.asarray(a) for a in arrays]
        key = strides_of(arrays)
        plan = self.plans.get(key)
        if plan is None:
            if self._optimized is None:
                self._optimized = passes.optimize(self.graph)
            plan = self.plans[key] = make_plan(self._optimized, tuple(map(layout_of, arrays)))
        return tuple(plan.run(*arrays))

    def quiet(self) -> GraphCall:
        """Return the graph without its effects, for a run that only repeats another one."""
        if self._quiet is None:
            graph = silent(self.graph)
            refuse_witnesses(self.graph)
            self._quiet = self if graph is self.graph else GraphCall(graph)
        return self._quiet

    def derivative(self, wanted: tuple[bool, ...]) -> Derivative:
        """Return forward and backward graph for the gradient by the `wanted` parameters."""
        found = self.derivatives.get(wanted)
        if found is None:
            with timed("derivative", f"of {self.graph.name}"):
                found = self.derivatives[wanted] = derive(self.graph, wanted)
        return found


class Places(NamedTuple):
    """Where the residuals, and the nodes that run again, are in the forward pass."""

    values: tuple[int, ...]
    again: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Derivative(OfGraphs):
    """A forward graph that also returns what the backward graph needs.

    `forward` returns the outputs of the original graph and then the residuals. `backward` takes the
    parameters, the residuals, and a gradient for each output of `seeded`; it returns the gradients
    by the parameters of `connected`.

    `places` says which forward values are the residuals, and which forward nodes run again.
    `source` has the graph and the parameters that it was derived for, where the rules of the ops
    were used; `narrower` the derivatives for fewer seeds, by these.
    """

    forward: GraphCall
    backward: GraphCall
    seeded: tuple[int, ...]
    connected: tuple[int, ...]
    places: Places
    source: tuple[FuncGraph, tuple[bool, ...]] | None = None
    narrower: dict[tuple[int, ...], Derivative] = field(default_factory=dict, init=False)


class _Joint(GraphRecorder):
    """Records a graph and its gradient, which know nothing from outside.

    A number that the rule of an op makes of a size, say, is a literal of the graph.
    """

    def shadow(self, tensor: Tensor) -> Tensor:
        """Return what stands for an array that a rule has made by itself."""
        if not isinstance(tensor._data, np.ndarray) or tensor.ndim:
            return super().shadow(tensor)
        spec = tensor.spec
        literal = Const(tensor._data.item(), spec.dtype)
        attrs = {"shape": (), "dtype": spec.dtype}
        return self.tensor(self.emit(OPS["full"], (literal,), attrs, None)[0], None)


def derive(
    graph: FuncGraph,
    wanted: tuple[bool, ...],
    only: tuple[int, ...] | None = None,
    places: Places | None = None,
) -> Derivative:
    """Derive the gradient graphs of `graph` by its `wanted` parameters.

    Parameters
    ----------
    graph : FuncGraph
        As traced.
    wanted : tuple of bool
        One per parameter.
    only : tuple of int, optional
        The outputs that have gradients; otherwise all that may.
    places : Places, optional
        What is kept; otherwise it is chosen.

    Returns
    -------
    Derivative
    """
    recorder = _Joint(line=lambda depth=0: None)
    tensors: dict[Value, Tensor] = {v: recorder.parameter(v.spec) for v in graph.parameters}
    tape = GradientTape(persistent=True, watch_accessed_variables=False)
    sources = [tensors[v] for v, want in zip(graph.parameters, wanted, strict=True) if want]
    with dispatch.scope(recorder=recorder, tapes=()):
        with tape:
            tape.watch(sources)
            for node in graph.nodes:
                replay(node, tensors)
        split = len(recorder.nodes)
        outputs = [value_of(x, tensors) for x in graph.outputs]
        seeded = tuple(
            i for i, t in enumerate(outputs) if has_gradient(t) and (only is None or i in only)
        )
        seeds = [recorder.parameter(_spec(outputs[i])) for i in seeded]
        targets = [outputs[i] for i in seeded]
        found = tape.gradient(targets, sources, output_gradients=seeds) if seeded else []
        found = found if found else [None] * len(sources)
        asked = [i for i, want in enumerate(wanted) if want]
        pairs = [(i, g) for i, g in zip(asked, found, strict=True) if g is not None]
        gradients = tuple(recorder.operand(g) for _, g in pairs)
        results_of = tuple(recorder.operand(t) for t in outputs)
    parameters = tuple(tensors[v]._data.value for v in graph.parameters)
    seed_values = tuple(t._data.value for t in seeds)
    split_up = split_joint(
        graph.name,
        recorder,
        split,
        (parameters, seed_values),
        (results_of, gradients),
        (seeded, tuple(i for i, _ in pairs)),
        places,
    )
    return replace(split_up, source=(graph, wanted))


def split_joint(
    name: str,
    recorder: GraphRecorder,
    split: int,
    entries: tuple[tuple[Value, ...], tuple[Value, ...]],
    results: tuple[tuple[Operand, ...], tuple[Operand, ...]],
    ends: tuple[tuple[int, ...], tuple[int, ...]],
    places: Places | None = None,
) -> Derivative:
    """Return a derivative, given a function and its gradient recorded one after the other.

    Parameters
    ----------
    name : str
    recorder : GraphRecorder
    split : int
        How many nodes belong to the function itself.
    entries : (parameters, seeds)
    results : (outputs, gradients)
    ends : (seeded, connected)
        Which outputs have seeds, and which parameters gradients.
    places : Places, optional
        What is kept; otherwise it is chosen.

    Returns
    -------
    Derivative
    """
    parameters, seeds = entries
    outputs, gradients = results
    forward, backward = recorder.nodes[:split], recorder.nodes[split:]
    made = [v for node in forward for v in node.outputs]
    if places is None:
        known = set(made)
        used = [x for node in backward for x in node.inputs] + list(gradients)
        needed = [x for x in used if isinstance(x, Value) and x in known]
        kept = residuals.choose(forward, needed, outputs)
        places = _places(kept, made, forward)
    else:
        again = tuple(forward[i] for i in places.again)
        kept = residuals.Kept(tuple(made[i] for i in places.values), again)
    # A parameter cannot be told from a result where it is one: residuals leave by outputs only.
    forward_graph = FuncGraph(name, parameters, (), tuple(forward), (*outputs, *kept.values))
    backward_graph = FuncGraph(
        f"gradient of {name}",
        (*parameters, *kept.values, *seeds),
        (),
        (*kept.again, *backward),
        gradients,
    )
    return Derivative(GraphCall(forward_graph), GraphCall(backward_graph), *ends, places)


def _places(kept: residuals.Kept, made: Sequence[Value], forward: Sequence[Node]) -> Places:
    values, again = set(kept.values), set(kept.again)
    where = {v: i for i, v in enumerate(made) if v in values}
    return Places(
        tuple(where[v] for v in kept.values),
        tuple(i for i, node in enumerate(forward) if node in again),
    )


def _spec(tensor: Tensor) -> TensorSpec:
    return replace(tensor.spec, weak=False)


def narrowed(derivative: Derivative, g: Sequence[Tensor | None]) -> Derivative:
    """Return the derivative for the outputs that have gradients, if it needs nothing more.

    Zeros for the others are the same but for what is not finite: 0 times the derivative of a root
    at 0 is NaN, where eager code has nothing.
    """
    only = tuple(i for i in derivative.seeded if g[i] is not None)
    if only == derivative.seeded or derivative.source is None:
        return derivative
    found = derivative.narrower.get(only)
    if found is None:
        graph, wanted = derivative.source
        found = derivative.narrower[only] = derive(graph, wanted, only, derivative.places)
    return found if _is_closed(found.backward.graph) else derivative


def _is_closed(graph: FuncGraph) -> bool:
    """Tell whether a graph uses nothing but what it is given and computes."""
    known = {*graph.parameters, *(v for node in graph.nodes for v in node.outputs)}
    used = chain(graph.outputs, *(node.inputs for node in graph.nodes))
    return all(x in known for x in used if isinstance(x, Value))
