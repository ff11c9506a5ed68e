"""The gradient of a scan is a scan in the other direction.

Forward, the scan also stacks the carry that each step was given, and what no kernel computes again:
the results of matrix products, say. Backward, each step computes the rest of the body again from
that, and hands on the gradient by the carry and the sums of those by the constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hybrid.core import dispatch
from hybrid.core.graph import FuncGraph
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.ops.creation import zeros
from hybrid.trace.control.pullback import gradients, reached, remembered, witnessed
from hybrid.trace.recorder import trace_pure

Gradients = tuple[Tensor | None, ...]


def recorded(*, body: FuncGraph, carries: int, kept: int = 0, **rest: Any) -> Attrs:
    """Return the attrs of the scan that also stacks what its gradient starts from."""
    if kept:
        return {"body": body, "carries": carries, "kept": kept, **rest}
    extra = (*body.inputs[:carries], *witnessed(body), *remembered(body))
    longer = replace(body, outputs=(*body.outputs, *extra))
    return {"body": longer, "carries": carries, "kept": len(extra), **rest}


@dataclass(frozen=True, slots=True)
class _Roles:
    """Which inputs of a body have gradients, and which results lead to one."""

    active: tuple[bool, ...]
    carries: int
    xs: int
    carry: tuple[int, ...]
    rows: tuple[int, ...]
    constants: tuple[int, ...]
    ys: tuple[int, ...]


def _roles(body: FuncGraph, wanted: Sequence[bool], g: Gradients, carries: int, xs: int) -> _Roles:
    active = list(wanted)
    while True:
        found = reached(body, active)
        grown = [a or b for a, b in zip(active[:carries], found, strict=False)]
        if grown == active[:carries]:
            break
        active[:carries] = grown
    numbers = [i for i, on in enumerate(active) if on]
    asked = _asked(body, g, carries)
    return _Roles(
        tuple(active),
        carries,
        xs,
        tuple(i for i in numbers if i < carries and i in asked),
        tuple(i for i in numbers if carries <= i < carries + xs),
        tuple(i for i in numbers if i >= carries + xs),
        tuple(i for i in range(carries, len(g)) if g[i] is not None and found[i]),
    )


def _asked(body: FuncGraph, g: Gradients, carries: int) -> set[int]:
    """Return the carries on which anything depends that has a gradient: others have none."""
    asked = {i for i, part in enumerate(g) if part is not None}
    while True:
        live: set[object] = {body.outputs[i] for i in asked}
        for node in reversed(body.nodes):
            if not live.isdisjoint(node.outputs):
                live.update(node.inputs)
        more = {i for i in range(carries) if body.inputs[i] in live}
        if more <= asked:
            return asked
        asked |= more


def vjp(
    op: Op,
    wanted: tuple[bool, ...],
    g: Gradients,
    out: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    attrs: Attrs,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of a scan by its wanted inputs."""
    if not attrs.get("kept"):
        attrs = recorded(**attrs)
        out = dispatch.bind_all(op, inputs, attrs)
        g = (*g, *[None] * (len(out) - len(g)))
    body, carries, xs = attrs["body"], attrs["carries"], attrs["xs"]
    roles = _roles(body, wanted, g, carries, xs)
    stacks = out[len(out) - attrs["kept"] :]
    start = [_or_zeros(g[i], out[i].spec) for i in roles.carry]
    start += [zeros(inputs[i].shape, dtype=inputs[i].dtype) for i in roles.constants]
    rows = (*stacks, *inputs[carries : carries + xs], *[g[i] for i in roles.ys])
    constants = inputs[carries + xs :]
    connected: list[int] = []
    graph = _backward(body, roles, len(stacks) - carries, connected)
    backward = {
        "body": graph,
        "carries": len(start),
        "xs": len(rows),
        "length": attrs["length"],
        "reverse": not attrs["reverse"],
    }
    if dispatch.state.tapes:
        backward = dict(recorded(**backward))
    results = dispatch.bind_all(op, (*start, *rows, *constants), backward)
    by_input: dict[int, Tensor] = dict(zip((*roles.carry, *roles.constants), results, strict=False))
    by_row = [i for i in roles.rows if i in connected]
    by_input.update(zip(by_row, results[len(start) :], strict=False))
    known = {*roles.carry, *connected}
    return tuple(by_input[i] if i in known and want else None for i, want in enumerate(wanted))


def _backward(body: FuncGraph, roles: _Roles, known: int, connected: list[int]) -> FuncGraph:
    """Return the body of the scan that goes back; note which inputs have a gradient.

    The last `known` outputs of the body are values that each step is given.
    """
    carries, xs = roles.carries, roles.xs
    inputs = [v.spec for v in body.inputs]
    plain = [replace(s, weak=False) for s in inputs]
    sums = [*(plain[i] for i in roles.carry), *(plain[i] for i in roles.constants)]
    values: Any = body.outputs[len(body.outputs) - known :]
    seen = [replace(v.spec, weak=False) for v in values]
    seeds = [body.outputs[i].spec for i in roles.ys]
    specs = [*sums, *inputs[:carries], *seen, *inputs[carries : carries + xs], *seeds]

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        take = _Taker(tensors)
        by_carry, totals = take(len(roles.carry)), take(len(roles.constants))
        carry, given = take(carries), dict(zip(values, take(known), strict=True))
        parameters = (*carry, *take(xs))
        by_y = take(len(roles.ys))
        parameters += take(len(inputs) - carries - xs)
        ends = dict(zip((*roles.carry, *roles.ys), (*by_carry, *by_y), strict=True))
        found = gradients(body, parameters, roles.active, given, ends)
        connected[:] = [i for i, part in enumerate(found) if part is not None]
        return (
            *(_or_zeros(found[i], plain[i]) for i in roles.carry),
            *(_added(t, found[i]) for t, i in zip(totals, roles.constants, strict=True)),
            *(part for i in roles.rows if (part := found[i]) is not None),
        )

    constants = inputs[carries + xs :]
    graph, _ = trace_pure(f"gradient of {body.name}", step, (*specs, *constants))
    return graph


class _Taker:
    """Takes the next few of a sequence."""

    def __init__(self, tensors: tuple[Tensor, ...]) -> None:
        self._rest = tensors

    def __call__(self, count: int) -> tuple[Tensor, ...]:
        found, self._rest = self._rest[:count], self._rest[count:]
        return found


def _added(total: Tensor, part: Tensor | None) -> Tensor:
    return total if part is None else total + part


def _or_zeros(gradient: Tensor | None, spec: TensorSpec) -> Tensor:
    return zeros(spec.shape, dtype=spec.dtype) if gradient is None else gradient
