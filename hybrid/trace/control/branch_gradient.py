"""The gradient of a branch is a branch: each computes its own graph again, and its gradient.

What the branch that is taken does not use has no gradient. The other one has, so the result is a 0,
with a mask that keeps it a 0 whatever it is multiplied by later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any

from hybrid.autodiff.backward import Chosen
from hybrid.core import dispatch
from hybrid.core.graph import Const, FuncGraph, Node, Value
from hybrid.core.op import OPS, Attrs, Op
from hybrid.core.tensor import Tensor
from hybrid.ops.creation import zeros
from hybrid.trace.control.pullback import gradients, reached, witnessed
from hybrid.trace.recorder import trace_pure

Branches = tuple[FuncGraph, ...]


def recorded(*, branches: Branches, kept: int = 0) -> Attrs:
    """Return the attrs of the switch that also returns what the effects of its branches gave."""
    seen = [witnessed(branch) for branch in branches]
    if kept or not any(seen):
        return {"branches": branches, "kept": kept} if kept else {"branches": branches}
    longer = tuple(_witnessing(branch, i, seen) for i, branch in enumerate(branches))
    return {"branches": longer, "kept": sum(map(len, seen))}


def _witnessing(branch: FuncGraph, number: int, seen: Sequence[tuple[Value, ...]]) -> FuncGraph:
    """Return a branch with the results of all effects, zeros where they are of another branch."""
    extra: list[Value] = []
    fills: list[Node] = []
    for i, values in enumerate(seen):
        if i == number:
            extra += values
            continue
        for value in values:
            attrs = {"shape": value.spec.shape, "dtype": value.spec.dtype}
            zero = Value(value.spec)
            fills.append(Node(OPS["full"], (Const(0, value.spec.dtype),), attrs, (zero,)))
            extra.append(zero)
    return replace(branch, nodes=(*branch.nodes, *fills), outputs=(*branch.outputs, *extra))


def vjp(
    op: Op,
    wanted: tuple[bool, ...],
    g: tuple[Tensor | None, ...],
    out: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    attrs: Attrs,
) -> tuple[Tensor | Chosen | None, ...]:
    """Return the gradients of a switch by its wanted inputs."""
    branches: Branches = attrs["branches"]
    kept: int = attrs.get("kept", 0)
    index, *operands = inputs
    given = out[len(out) - kept :]
    seeded = [i for i, part in enumerate(g) if part is not None]
    active = wanted[1:]
    found = [reached(branch, active) for branch in branches]
    if not any(row[i] for row in found for i in seeded):
        return (None,) * len(inputs)
    numbers = [i for i, on in enumerate(active) if on]
    connected: list[set[int]] = [set() for _ in branches]
    backward = tuple(
        _backward(branch, active, numbers, seeded, slice(*span), kept, used)
        for branch, span, used in zip(branches, _spans(branches), connected, strict=True)
    )
    ends = tuple(g[i] for i in seeded)
    results = dispatch.bind_all(op, (index, *operands, *given, *ends), {"branches": backward})
    gradients: list[Any] = [None] * len(inputs)
    for i, gradient in zip(numbers, results, strict=True):
        taken = [i in used for used in connected]
        if all(taken):
            gradients[i + 1] = gradient
        elif any(taken):
            gradients[i + 1] = Chosen(gradient, _is_one_of(index, taken), True)
    return tuple(gradients)


def _is_one_of(index: Tensor, taken: Sequence[bool]) -> Tensor:
    """Tell whether the branch of an index is one of those."""
    if index.dtype.kind == "b":
        return index if taken[1] else ~index
    last = len(taken) - 1
    masks = [index <= 0, *(index == i for i in range(1, last)), index >= last]
    return reduce(or_, (mask for mask, on in zip(masks, taken, strict=True) if on))


def _spans(branches: Branches) -> Iterable[tuple[int, int]]:
    """Return where among all witnesses those of each branch are."""
    start = 0
    for branch in branches:
        count = len(witnessed(branch))
        yield start, start + count
        start += count


def _backward(
    branch: FuncGraph,
    active: Sequence[bool],
    numbers: Sequence[int],
    seeded: Sequence[int],
    own: slice,
    kept: int,
    used: set[int],
) -> FuncGraph:
    """Return the graph of the gradients of a branch, and note in `used` which there are."""
    inputs = [v.spec for v in branch.inputs]
    seen = [x.spec for x in branch.outputs[len(branch.outputs) - kept :]] if kept else []
    seeds = [branch.outputs[i].spec for i in seeded]

    def pull(*tensors: Tensor) -> tuple[Tensor, ...]:
        parameters = tensors[: len(inputs)]
        given = tensors[len(inputs) : len(inputs) + kept][own]
        ends = dict(zip(seeded, tensors[len(inputs) + kept :], strict=True))
        known = dict(zip(witnessed(branch), given, strict=True))
        found = gradients(branch, parameters, active, known, ends)
        used.update(i for i in numbers if found[i] is not None)
        made = [(found[i], inputs[i]) for i in numbers]
        return tuple(zeros(s.shape, dtype=s.dtype) if x is None else x for x, s in made)

    return trace_pure(f"gradient of {branch.name}", pull, (*inputs, *seen, *seeds))[0]
