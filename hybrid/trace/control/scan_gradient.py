"""The gradient of a scan is a scan in the other direction.

Forward, the scan also stacks the carry that each step was given, and what no kernel computes again:
the results of matrix products, say. Backward, each step computes the rest of the body again from
that, and hands on the gradient by the carry and the sums of those by the constants.

A carry that nobody reads after the last step has no gradient there. The scan can only hand on a 0
for it, and 0 times an infinite slope is NaN. Where that may happen, the last steps are not part of
the scan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.autodiff.needs import needs_of
from hybrid.core import dispatch
from hybrid.core.graph import Const, FuncGraph, Operand, Value
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.dtypes import is_inexact
from hybrid.ops.creation import zeros
from hybrid.ops.joining import concat
from hybrid.ops.unit_axes import expand_dims
from hybrid.records import dataclass
from hybrid.trace.control.pullback import applied, gradients, reached, remembered, witnessed
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
    body, carries, xs, kept = (attrs[k] for k in ("body", "carries", "xs", "kept"))
    roles = _roles(body, wanted, g, carries, xs)
    rows: Any = (
        *out[len(out) - kept :],
        *inputs[carries : carries + xs],
        *[g[i] for i in roles.ys],
    )
    values: Any = body.outputs[len(body.outputs) - kept + carries :]
    course = attrs["length"], attrs["reverse"]
    way = _Way(body, roles, values, rows, inputs[carries + xs :], *course)
    found = _Found({i: part for i in roles.carry if (part := g[i]) is not None}, [])
    while len(found.rows) < way.length and _zeros_may_spread(way, found):
        found = _one_step(way, found)
    if len(found.rows) < way.length:
        found = _scanned(op, way, found)
    by_input = found.sums | _stacked(way, found.rows)
    return tuple(by_input.get(i) if want else None for i, want in enumerate(wanted))


@dataclass(frozen=True, slots=True)
class _Way:
    """What the way back through a scan is given.

    Attributes
    ----------
    values : tuple of Value
        Of the body, that are known: further outputs, behind the carries that it was given.
    rows : tuple of Tensor
        What each step has its own of: carries, values, xs, and gradients by the ys with a role.
    """

    body: FuncGraph
    roles: _Roles
    values: tuple[Value, ...]
    rows: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]
    length: int
    reverse: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """The gradients after some steps back: by carries and constants, and by the xs of the steps.

    The last step comes first; the scan is one of these steps. Each has rows in their own order.
    """

    sums: dict[int, Tensor]
    rows: list[dict[int, Tensor]]


def _zeros_may_spread(way: _Way, found: _Found) -> bool:
    """Tell whether a 0 for a carry without a gradient may meet a slope that is infinite.

    It may not where a gradient comes by other ways too, and in what is linear. The steps that need
    one of their own are no more than there are carries, unless some take turns for ever.
    """
    outputs, roles = way.body.outputs, way.roles
    if not len(found.rows) < min(way.length, roles.carries):
        return False
    sure: set[object] = {outputs[i] for i in (*found.sums, *roles.ys) if i < len(outputs)}
    zero: set[object] = {outputs[i] for i in roles.carry if i not in found.sums}
    for node in reversed(way.body.nodes if zero else ()):
        op = node.op
        rules = (
            op.vjp if isinstance(op.vjp, tuple) else (op.vjp or op.joint_vjp,) * len(node.inputs)
        )
        reached = [
            i
            for i, x in enumerate(node.inputs)
            if isinstance(x, Value) and is_inexact(x.spec.dtype) and rules[i] is not None
        ]
        if not sure.isdisjoint(node.outputs):
            sure.update(node.inputs[i] for i in reached)
        if not (zero - sure).isdisjoint(node.outputs):
            needs = needs_of(op, len(node.inputs), tuple(reached))
            if needs.output or not all(_is_finite(node.inputs[i]) for i in needs.inputs):
                return True
            zero.update(node.inputs[i] for i in reached)
    return False


def _is_finite(x: Operand) -> bool:
    return isinstance(x, Const) and bool(np.isfinite(x.value))


def _one_step(way: _Way, found: _Found) -> _Found:
    """Go back through the last step that is left."""
    i = len(found.rows) if way.reverse else way.length - 1 - len(found.rows)
    given = {i: x for i, x in found.sums.items() if i in way.roles.carry}
    tensors = [*given.values(), *(x[i] for x in way.rows), *way.constants]
    connected: list[int] = []

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        take = _Taker(tensors)
        sums = dict(zip(given, take(len(given)), strict=True))
        by_input = _pulled(way, take(len(way.rows)), take(len(way.constants)), sums)
        connected.extend(by_input)
        return tuple(by_input.values())

    graph, _ = trace_pure(f"gradient of {way.body.name}", step, [x.spec for x in tensors])
    by_input = dict(zip(connected, applied(graph, tensors), strict=True))
    roles, sums = way.roles, {i: by_input[i] for i in way.roles.carry if i in by_input}
    for i in roles.constants:
        parts = [part for by in (found.sums, by_input) if (part := by.get(i)) is not None]
        if parts:
            sums[i] = sum(parts[1:], parts[0])
    rows = {i: expand_dims(by_input[i], 0) for i in roles.rows if i in by_input}
    return _Found(sums, [*found.rows, rows])


def _scanned(op: Op, way: _Way, found: _Found) -> _Found:
    """Go back through all steps that are left."""
    done, roles = len(found.rows), way.roles
    rows = way.rows
    if done:
        left = slice(done, None) if way.reverse else slice(0, way.length - done)
        rows = tuple(x[left] for x in rows)
    summed = (*roles.carry, *roles.constants)
    start = [_or_zeros(found.sums.get(i), way.body.inputs[i].spec) for i in summed]
    graph, connected = _backward(way, summed)
    attrs: dict[str, Any] = {
        "body": graph,
        "carries": len(start),
        "xs": len(rows),
        "length": way.length - done,
        "reverse": not way.reverse,
    }
    if dispatch.state.tapes:
        attrs = dict(recorded(**attrs))
    results = dispatch.bind_all(op, (*start, *rows, *way.constants), attrs)
    reached = {*roles.carry, *connected, *found.sums}
    sums = {i: x for i, x in zip(summed, results, strict=False) if i in reached}
    with_rows = [i for i in roles.rows if i in connected]
    by_row = dict(zip(with_rows, results[len(start) :], strict=False))
    return _Found(sums, [*found.rows, by_row])


def _backward(way: _Way, summed: tuple[int, ...]) -> tuple[FuncGraph, set[int]]:
    """Return the body of the scan that goes back, and which inputs have a gradient."""
    roles, inputs = way.roles, [v.spec for v in way.body.inputs]
    plain = [replace(s, weak=False) for s in inputs]
    own = slice(0, roles.carries), slice(roles.carries, roles.carries + roles.xs)
    seen = [replace(v.spec, weak=False) for v in way.values]
    seeds = [way.body.outputs[i].spec for i in roles.ys]
    rows = [*inputs[own[0]], *seen, *inputs[own[1]], *seeds]
    constants = inputs[own[1].stop :]
    connected: set[int] = set()

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        take = _Taker(tensors)
        sums = dict(zip(summed, take(len(summed)), strict=True))
        by_input = _pulled(way, take(len(rows)), take(len(constants)), sums)
        connected.update(by_input)
        return (
            *(_or_zeros(by_input.get(i), plain[i]) for i in roles.carry),
            *(_added(sums[i], by_input.get(i)) for i in roles.constants),
            *(by_input[i] for i in roles.rows if i in by_input),
        )

    specs = [*(plain[i] for i in summed), *rows, *constants]
    graph, _ = trace_pure(f"gradient of {way.body.name}", step, specs)
    return graph, connected


def _pulled(
    way: _Way, rows: Sequence[Tensor], constants: Sequence[Tensor], sums: Mapping[int, Tensor]
) -> dict[int, Tensor]:
    """Return the gradients by the inputs of one step, where there are any."""
    body, roles = way.body, way.roles
    take = _Taker(tuple(rows))
    carry, known = take(roles.carries), take(len(way.values))
    parameters = (*carry, *take(roles.xs), *constants)
    ends = {i: sums[i] for i in roles.carry if i in sums}
    ends |= dict(zip(roles.ys, take(len(roles.ys)), strict=True))
    given = dict(zip(way.values, known, strict=True))
    found = gradients(body, parameters, roles.active, given, ends)
    return {i: x for i, x in enumerate(found) if x is not None}


def _stacked(way: _Way, rows: list[dict[int, Tensor]]) -> dict[int, Tensor]:
    """Put together the gradients by the rows of the steps, which go backwards."""
    if len(rows) < 2:
        return rows[0] if rows else {}
    lengths = [1] * (len(rows) - 1)
    lengths.append(way.length - len(lengths))
    found = {}
    for i in way.roles.rows:
        spec = way.body.inputs[i].spec
        if any(i in by_row for by_row in rows):
            parts = [
                by_row[i] if i in by_row else zeros((n, *spec.shape), dtype=spec.dtype)
                for by_row, n in zip(rows, lengths, strict=True)
            ]
            found[i] = concat(parts if way.reverse else parts[::-1])
    return found


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
