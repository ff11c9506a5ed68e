"""Joins in place: kernels store what `stack` and `concat` put together where it belongs.

The parts need no arrays of their own then, nor a call of NumPy's function, which takes 4 us for
three numbers. What no kernel makes for the join alone is copied to its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any, TypeVar

from hybrid.core.graph import Const, Node, Operand, Value
from hybrid.core.layout import Layout, contiguous
from hybrid.runtime.building import Building
from hybrid.runtime.memory import used_roots
from hybrid.runtime.steps import KernelStep, Place, Root, WriteStep
from hybrid.runtime.storing import store_access
from hybrid.runtime.writing import part_of, stores_by_axes

T = TypeVar("T")

JOINS = frozenset(("stack", "concat"))
FEW = 4096  # elements: in more, stores that lie apart take longer than a copy afterwards
COPIES = 2  # of parts, by NumPy: more take as long as its function


def schedule_join(building: Building, node: Node, number: int) -> bool:
    """Schedule a `stack` or `concat`; False where NumPy's function is to be called."""
    spec = node.output.spec
    if any(not isinstance(n, int) for x in (*node.inputs, node.output) for n in x.spec.shape):
        return False
    if not spec.size or any(x.spec.dtype != spec.dtype for x in node.inputs):
        return False
    parts = list(_parts(node))
    places = [building.place(x) for x in node.inputs]
    roots = [None if isinstance(place, Const) else place.root for place in places]
    users = _users(building, {root for root in roots if root is not None})
    makers = ((x, _maker(building, x, part, number, users)) for x, part in zip(node.inputs, parts))
    # What is two parts, or one and a view in another, needs an array to be copied from.
    alone = {x for x, root in zip(node.inputs, roots, strict=True) if roots.count(root) == 1}
    made = {x: step for x, step in makers if step is not None and x in alone}
    if len(node.inputs) - len(made) > COPIES or not made:
        return False
    root = Root("planned", building.made, spec, contiguous(spec.shape), min(made.values()))
    building.made += 1
    for x, part in zip(node.inputs, parts, strict=True):
        if x in made:
            _aim(building, x, part, made[x], root)
    building.planned.append(root)
    for x, part in zip(node.inputs, parts, strict=True):
        if x not in made:
            building.steps.append(WriteStep(node, building.place(x), replace(part, root=root)))
    building.define(node.outputs, (root,))
    return True


def _parts(node: Node) -> Iterator[Place]:
    """Yield where each operand lies in the result, which is reached by a slice."""
    spec, axis = node.output.spec, node.attrs["axis"]
    start = 0
    for operand in node.inputs:
        size = 1 if node.op.name == "stack" else operand.spec.shape[axis]
        starts, sizes = [0] * spec.ndim, list(spec.shape)
        starts[axis], sizes[axis] = start, size
        where: dict[str, Any] = {
            "sizes": tuple(sizes),
            "starts": tuple(starts),
            "steps": (1,) * spec.ndim,
        }
        chain = [("slice", where)]
        if node.op.name == "stack":
            chain.append(("squeeze", {"axis": (axis,)}))
        part = part_of(node, chain)
        assert part is not None, "a slice of a contiguous array is a view"
        yield part
        start += size


def _users(building: Building, roots: set[Root]) -> dict[Root, list[int]]:
    """Return which steps use arrays: in one walk, for a join may be of hundreds."""
    users: dict[Root, list[int]] = {root: [] for root in roots}
    first = min((root.start for root in roots if root.origin == "planned"), default=0)
    for i in range(first, len(building.steps)):
        step = building.steps[i]
        for root in {x.owner for x in (*step.outputs, *used_roots(step))} & roots:
            users[root].append(i)
    return users


def _maker(
    building: Building, operand: Operand, part: Place, number: int, users: dict[Root, list[int]]
) -> int | None:
    """Return which step is the kernel that makes an operand, for the join alone."""
    if isinstance(operand, Const) or not _near(part.layout):
        return None
    place = building.places[operand]
    root = place.root
    if root.origin != "planned" or place.layout != root.layout or not building.dies(root, number):
        return None
    using = users[root]
    if len(using) != 1:
        return None
    step = building.steps[using[0]]
    if not isinstance(step, KernelStep) or step.outputs.count(root) != 1:
        return None
    return using[0] if stores_by_axes(step, root) else None


def _near(layout: Layout) -> bool:
    """Tell whether a kernel that stores so stores one vector behind the other, or few elements."""
    return prod(layout.shape) <= FEW or layout.strides[-1:] == (1,)


def _aim(building: Building, operand: Operand, part: Place, number: int, joined: Root) -> None:
    """Let a step store into a part of the result what it stores into an array of its own."""
    assert isinstance(operand, Value)
    step = building.steps[number]
    assert isinstance(step, KernelStep)
    own = building.places[operand].root
    position = step.outputs.index(own)
    stored, _ = step.region.outputs[position]
    access = store_access(part.layout, joined.spec, step.region.space)
    region = replace(step.region, outputs=_with(step.region.outputs, position, (stored, access)))
    outputs = _with(step.outputs, position, joined)
    building.steps[number] = replace(step, region=region, outputs=outputs)
    building.planned.remove(own)


def _with(items: tuple[T, ...], position: int, item: T) -> tuple[T, ...]:
    return (*items[:position], item, *items[position + 1 :])
