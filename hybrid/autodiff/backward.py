"""The backward pass: from the targets back to the sources, each node after all that used it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np

from hybrid.autodiff.nodes import AnyNode, PartNode, Rules, TapeNode
from hybrid.autodiff.record import restore
from hybrid.autodiff.selections import Part, add_into, buffer_for, joined
from hybrid.core import dispatch
from hybrid.core.devices import DeviceScope
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import same, same_shape
from hybrid.errors import GradientError
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Chosen:
    """A gradient that is 0 wherever `mask` is false, whatever its elements say there.

    It comes from the branches of a ``where`` or a ``switch``: what a branch that is not taken
    computed may be infinite, and 0 times that is NaN. So the mask goes along as far as the ops are
    elementwise, or to the end if it is one truth for all elements, and is applied once.
    """

    gradient: Tensor
    mask: Tensor
    sure: bool
    """Whether the elements are 0 there as they stand."""

    def settled(self) -> Tensor:
        """Return the gradient with the mask applied."""
        if self.sure:
            return self.gradient
        from hybrid.ops.elementwise.selection import where

        return where(self.mask, self.gradient, 0)


def propagate(
    tape: int, seeds: list[tuple[AnyNode, Tensor]], keep: Container[AnyNode], *, release: bool
) -> dict[AnyNode, Tensor]:
    """Walk from the seeds to all they were computed from, adding up the gradient of each node."""
    totals = _Totals()
    for node, seed in seeds:
        totals.add(node, seed)
    found = totals.found
    waiting, leads = _arrivals(tape, found)
    ready = [node for node in found if not waiting[node]]
    here = dispatch.state.device
    parts: dict[TapeNode, dict[int, Tensor]] = {}
    while ready:
        node = ready.pop()
        gradient = totals.take(node)
        if gradient is not None and node in keep:
            gradient = found[node] = _settled(gradient)
        sources = leads.pop(node)
        if isinstance(node, PartNode):
            if gradient is not None:
                into, part = parts.setdefault(node.node, {}), _settled(gradient)
                old = into.get(node.index)
                into[node.index] = part if old is None else old + part
        elif sources:
            form = node.form
            op = form.op
            assert op is not None
            if op.multi:
                gradient = _gather_parts(node, parts.pop(node, {}), fill=op.joint_vjp is None)
            if gradient is None:
                pass
            elif form.device != here:  # rules make Tensors where the gradient is
                with DeviceScope(form.device):
                    for parent, part in _through(tape, node, gradient):
                        totals.add(parent, part)
            elif op.selects or op.scatter is not None:
                inputs = restore(node)[0] if form.kept else form.inputs
                totals.add_part(sources[0], Part(op, form.attrs, _settled(gradient), inputs))
            elif type(gradient) is Tensor and form.rules is not None:
                _directly(node, form.rules, sources, gradient, totals)
            else:
                for parent, part in _through(tape, node, gradient):
                    totals.add(parent, part)
            if release and len(node.tapes) == 1:
                node.release()
        for source in sources:
            left = waiting[source] = waiting[source] - 1
            if not left:
                ready.append(source)
    return found


class _Totals:
    """The sums of the gradients that have arrived at nodes.

    Where nothing records, a sum that was made here is added to in place: nobody else has it.
    """

    __slots__ = ("_ours", "_parts", "_plain", "found")

    def __init__(self) -> None:
        self.found: dict[AnyNode, Any] = {}
        self._ours: set[AnyNode] = set()
        self._parts: dict[AnyNode, tuple[TensorSpec, list[Part]]] = {}
        self._plain = dispatch.state.plain

    def add(self, node: AnyNode, gradient: Any) -> None:
        """Add a gradient of the shape and dtype of the node to what is there."""
        old = self.found.get(node)
        if old is None:
            self.found[node] = gradient
        elif not self._plain or type(old) is not Tensor or type(gradient) is not Tensor:
            self.found[node] = _sum(old, gradient)
        elif node in self._ours and type(old._data) is np.ndarray:
            np.add(old._data, gradient._data, out=old._data)
        else:
            self.found[node] = old + gradient
            self._ours.add(node)

    def add_part(self, node: AnyNode, part: Part) -> None:
        """Add a gradient by a part of what the node stands for."""
        spec = part.inputs[0]
        if not self._plain or type(part.gradient._data) is not np.ndarray:
            self._parts.setdefault(node, (spec, []))[1].append(part)
        elif node in self._ours and self.found[node]._data.flags.c_contiguous:
            add_into(self.found[node]._data, part, empty=False)
        else:
            self.add(node, buffer_for(spec, part))
            self._ours.add(node)

    def take(self, node: AnyNode) -> Any:
        """Return the sum for a node at which all gradients have arrived, and forget it."""
        if node in self._parts:
            self.add(node, joined(*self._parts.pop(node)))
        return self.found.pop(node, None)


def _arrivals(
    tape: int, seeds: Iterable[AnyNode]
) -> tuple[dict[AnyNode, int], dict[AnyNode, Sequence[AnyNode]]]:
    """Return how many gradients will arrive at each node on the way from the seeds.

    Beside it the nodes to which the gradient of each node goes on.
    """
    pending = list(seeds)
    waiting = dict.fromkeys(pending, 0)
    leads = {}
    while pending:
        node = pending.pop()
        leads[node] = sources = _sources(tape, node)
        for source in sources:
            if source in waiting:
                waiting[source] += 1
            else:
                waiting[source] = 1
                pending.append(source)
    return waiting, leads


def _sources(tape: int, node: AnyNode) -> Sequence[AnyNode]:
    """Return the nodes to which the gradient of a node goes on."""
    if isinstance(node, PartNode):
        return (node.node,)
    form = node.form
    if form.op is None or tape not in node.tapes:
        return ()
    sources = (node.parents,) if len(form.tracked) == 1 else node.sources()
    for p in sources:
        if tape not in p.tapes and ~tape not in p.tapes:
            return [p for p in sources if tape in p.tapes or ~tape in p.tapes]
    return sources


def _directly(
    node: TapeNode, rules: Rules, sources: Sequence[AnyNode], gradient: Tensor, totals: _Totals
) -> None:
    """Take a gradient through an op that has a rule for each input: a short way."""
    form = node.form
    inputs: Sequence[Any] = form.inputs
    outputs: Sequence[Any] = form.outputs
    if form.kept:
        inputs, outputs = restore(node)
    everywhere = len(sources) == len(rules)
    for (rule, spec), parent in zip(rules, sources if everywhere else node.sources(), strict=True):
        if rule is None or not (everywhere or parent in sources):
            continue
        part = rule(gradient, outputs[0], *inputs, **form.attrs)
        if part is not None:
            totals.add(parent, _fit(part, spec))


def _sum(a: Any, b: Any) -> Any:
    if type(a) is Chosen and type(b) is Chosen:
        if a.mask is b.mask:
            return Chosen(a.gradient + b.gradient, a.mask, a.sure and b.sure)
        return Chosen(a.settled() + b.settled(), a.mask | b.mask, True)
    return _settled(a) + _settled(b)


def _settled(gradient: Any) -> Any:
    return gradient.settled() if type(gradient) is Chosen else gradient


def _through(tape: int, node: TapeNode, incoming: Any) -> Iterable[tuple[AnyNode, Any]]:
    form, (inputs, outputs) = node.form, restore(node)
    op = form.op
    assert op is not None
    parents: list[Any] = [None] * len(inputs)
    for i, p in zip(form.tracked, node.sources(), strict=True):
        parents[i] = p if tape in p.tapes or ~tape in p.tapes else None
    wanted = tuple(p is not None for p in parents)
    mask = None
    if type(incoming) is Chosen:
        mask = incoming.mask if op.family == "elementwise" or incoming.mask.ndim == 0 else None
        gradient = incoming.settled() if mask is None else incoming.gradient
    else:
        gradient = incoming
    out: Any = tuple(outputs) if op.multi else outputs[0]
    if op.joint_vjp is not None:
        gradients = op.joint_vjp(wanted, gradient, out, *inputs, **form.attrs)
    else:
        gradients = tuple(
            _apply_rule(op, i, gradient, out, inputs, form.attrs) if want else None
            for i, want in enumerate(wanted)
        )
    for i, (parent, part) in enumerate(zip(parents, gradients, strict=True)):
        if parent is None or part is None:
            continue
        spec = form.inputs[i]
        assert spec is not None
        reached = mask if op.chosen is None else _both(mask, op.chosen(i, *inputs))
        if type(part) is Chosen:
            reached = _both(mask, part.mask)
            part = part.gradient
        if reached is None or (reached.ndim and not same_shape(asarray(part).shape, spec.shape)):
            settled = part if mask is None else Chosen(asarray(part), mask, False).settled()
            yield parent, _fit(settled, spec)
            continue
        linear = not form.kept and (mask is None or incoming.sure)
        sure = linear if mask is not None else True
        yield parent, Chosen(_fit(part, spec), reached, sure)


def _both(mask: Tensor | None, other: Tensor) -> Tensor:
    return other if mask is None else mask & other


def _apply_rule(op: Op, i: int, gradient: Any, out: Any, inputs: list[Any], attrs: Attrs) -> Any:
    if op.vjp is None:
        if op.no_gradient:
            return None
        raise GradientError(f"{op.name} has no gradient rule")
    if not isinstance(op.vjp, tuple):
        return op.vjp(i, gradient, out, *inputs, **attrs)
    rule = op.vjp[i]
    return None if rule is None else rule(gradient, out, *inputs, **attrs)


def _gather_parts(
    node: TapeNode, parts: dict[int, Tensor], *, fill: bool
) -> tuple[Tensor | None, ...] | None:
    """Return a gradient for each result; zeros (or None, unless `fill`) where none arrived."""
    if not parts:
        return None
    from hybrid.ops.creation import zeros

    specs = node.form.outputs
    return tuple(
        parts.get(i)
        if i in parts or not fill
        else zeros(spec.shape, dtype=spec.dtype, device=spec.device)
        for i, spec in enumerate(specs)
    )


def _fit(computed: Any, spec: TensorSpec) -> Tensor:
    """Undo broadcasting and promotion: give a gradient the shape and dtype of its input."""
    if type(computed) is Tensor:  # most gradients are as they should be: a short way
        data = computed._data
        if type(data) is np.ndarray and data.shape == spec.shape and data.dtype == spec.dtype:
            return computed
    gradient: Tensor = asarray(computed)
    shape = gradient.shape
    if not same_shape(shape, spec.shape):
        lead = len(shape) - len(spec.shape)
        if lead >= 0:
            axes = tuple(range(lead)) + tuple(
                axis
                for axis, (n, m) in enumerate(zip(spec.shape, shape[lead:], strict=True), lead)
                if not same(n, m) and n == 1 and m != 1
            )
            gradient = gradient.sum(axis=axes, keepdims=True) if axes else gradient
            gradient = gradient.reshape(gradient.shape[lead:]) if lead else gradient
        if not same_shape(gradient.shape, spec.shape):
            from hybrid.ops.broadcasting import broadcast_to

            gradient = broadcast_to(gradient, spec.shape)
    if gradient.dtype != spec.dtype:
        if gradient.dtype.kind == "c" and spec.dtype.kind != "c":
            from hybrid.core.op import OPS

            gradient = dispatch.bind(OPS["real"], (gradient,), {})
        gradient = gradient.astype(spec.dtype)
    return gradient
