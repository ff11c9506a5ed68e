"""The backward pass: from the nodes of the targets to those of the sources, last to first."""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable
from typing import Any

from hybrid.autodiff.record import AnyNode, PartNode, Saved, TapeNode, restore_output
from hybrid.core import dispatch
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor, asarray
from hybrid.core.unknown import same, same_shape
from hybrid.errors import GradientError


def propagate(
    tape: int, seeds: list[tuple[AnyNode, Tensor]], keep: Container[AnyNode], *, release: bool
) -> dict[AnyNode, Tensor]:
    """Walk the nodes from last to first, adding up the gradient of each."""
    totals: dict[AnyNode, Any] = {}
    heap: list[tuple[float, int, AnyNode]] = []

    def add(node: AnyNode, gradient: Any) -> None:
        if node in totals:
            totals[node] = totals[node] + gradient
        else:
            totals[node] = gradient
            heapq.heappush(heap, (-node.sequence, id(node), node))

    for node, seed in seeds:
        add(node, seed)
    parts: dict[TapeNode, dict[int, Tensor]] = {}
    while heap:
        node = heapq.heappop(heap)[2]
        gradient = totals[node] if node in keep else totals.pop(node, None)
        if isinstance(node, PartNode):
            if node.node not in parts:
                parts[node.node] = {}
                heapq.heappush(heap, (-node.node.sequence, id(node.node), node.node))
            into = parts[node.node]
            old = into.get(node.index)
            into[node.index] = gradient if old is None else old + gradient
            continue
        if node.op is None or tape not in node.tapes:
            continue
        if node.op.multi:
            gradient = _gather_parts(node, parts.pop(node), fill=node.op.joint_vjp is None)
        for parent, part in _through(tape, node, gradient):
            add(parent, part)
        if release and len(node.tapes) == 1:
            node.op, node.inputs, node.parents, node.outputs = None, (), (), ()
    return totals


def _through(tape: int, node: TapeNode, gradient: Any) -> Iterable[tuple[AnyNode, Tensor]]:
    op = node.op
    assert op is not None
    wanted = tuple(p is not None and (tape in p.tapes or tape in p.watchers) for p in node.parents)
    inputs = tuple(x.restore() if type(x) is Saved else x for x in node.inputs)
    outputs = tuple(restore_output(node, i) for i in range(len(node.outputs)))
    out: Any = outputs if op.multi else outputs[0]
    if op.joint_vjp is not None:
        gradients = op.joint_vjp(wanted, gradient, out, *inputs, **node.attrs)
    else:
        gradients = tuple(
            _apply_rule(op, i, gradient, out, inputs, node.attrs) if want else None
            for i, want in enumerate(wanted)
        )
    for parent, want, part, x in zip(node.parents, wanted, gradients, inputs, strict=True):
        if want and part is not None:
            yield parent, _fit(part, x.spec)


def _apply_rule(
    op: Op, i: int, gradient: Any, out: Any, inputs: tuple[Any, ...], attrs: Attrs
) -> Any:
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
) -> tuple[Tensor | None, ...]:
    """Return a gradient for each result; zeros (or None, unless `fill`) where none arrived."""
    from hybrid.ops.creation import zeros

    specs = [saved.data for saved in node.outputs]
    return tuple(
        parts.get(i) if i in parts or not fill else zeros(data.shape, dtype=data.dtype)
        for i, data in enumerate(specs)
    )


def _fit(computed: Any, spec: TensorSpec) -> Tensor:
    """Undo broadcasting and promotion: give a gradient the shape and dtype of its input."""
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
            from hybrid.ops.movement import broadcast_to

            gradient = broadcast_to(gradient, spec.shape)
    if gradient.dtype != spec.dtype:
        if gradient.dtype.kind == "c" and spec.dtype.kind != "c":
            from hybrid.core.op import OPS

            gradient = dispatch.bind(OPS["real"], (gradient,), {})
        gradient = gradient.astype(spec.dtype)
    return gradient
