"""Writes in place: a `view_update` writes only the part that changes, where the old value is dead.

In a graph a write makes a new value of the whole array. Where nothing reads the old value any more
the new one lies in the same array and only the part is written; otherwise the array is copied
first. If the kernel just scheduled computes what is written, it writes there itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod
from typing import Any

from hybrid.core.graph import Const, Node, Operand, Value
from hybrid.core.layout import Layout, contiguous, overlap
from hybrid.core.op import OPS
from hybrid.records import dataclass
from hybrid.runtime.building import Building
from hybrid.runtime.memory import may_store
from hybrid.runtime.steps import KernelStep, Place, Root, WriteStep
from hybrid.runtime.storing import store_access


def schedule_write(building: Building, node: Node, number: int) -> bool:
    """Schedule a `view_update`; False where the part to write is no view of the array."""
    base, value = node.inputs
    before, part = building.place(base), _part(node)
    if isinstance(before, Const) or part is None or not node.output.spec.size:
        return False
    in_place = building.owns(before) and building.dies(before.root, number)
    own = before.root if in_place else None
    producer = producer_of(building, value, part, number)
    if producer is not None and not _may_store(producer, before.root, own, part):
        mostly = 2 * prod(part.layout.shape) > before.root.spec.size
        if own is not None and building.is_donated(own) and mostly:
            own = None  # to copy the rest of the array takes less than to copy the part
        else:
            producer = None
    if producer is not None:
        building.steps.pop()
        building.planned.remove(producer.output)
    root = own or building.plan(node.output.spec)
    if own is None:
        building.steps.append(WriteStep(node, before, Place(root, root.layout)))
    if producer is not None:
        building.steps.append(producer.into(root))
    else:
        source = building.place(value)
        if isinstance(source, Place) and (source.root.base is root or _crosses(source, root, part)):
            source = copied(building, node, source, value)
        building.steps.append(WriteStep(node, source, replace(part, root=root)))
    building.define(node.outputs, (root,))
    return True


def _crosses(source: Place, root: Root, part: Place) -> bool:
    """Tell whether NumPy, which copies from vector to vector, would read what it has just written.

    The same steps go well, as in ``x[1:] = x[:-1]``; ``x[:, 2] = x[1]`` does not.
    """
    if source.root is not root or len(part.layout.shape) != 1:
        return False
    steps = (*source.layout.strides, *part.layout.strides)
    if len(steps) == 2 and all(isinstance(n, int) for n in steps) and steps[0] == steps[1]:
        return False
    return overlap(source.layout, part.layout)


def copied(building: Building, node: Node, source: Place, value: Operand) -> Place:
    """Copy a value to an array of its own."""
    root = building.plan(value.spec)
    building.steps.append(WriteStep(node, source, Place(root, root.layout)))
    return Place(root, root.layout)


def _part(node: Node) -> Place | None:
    """Return the place that is written: what the chain of view ops shows of the new array."""
    return part_of(node, ((name, dict(frozen)) for name, frozen in node.attrs["chain"]))


def part_of(node: Node, chain: Iterable[tuple[str, dict[str, Any]]]) -> Place | None:
    """Return what view ops show of the array that a node makes; None where it is no view."""
    spec = node.output.spec
    root = Root("planned", -1, spec, contiguous(spec.shape))
    place, source = Place(root, root.layout), node.output
    for name, attrs in chain:
        op = OPS[name]
        assert op.view is not None
        layout = op.view(place.layout, **attrs)
        if layout is None:
            return None
        step = Node(op, (source,), attrs, (Value(op.infer(source.spec, **attrs)),), node.line)
        place, source = Place(root, layout, (*place.chain, step)), step.output
    return place


@dataclass(frozen=True, slots=True)
class Producer:
    """The last step, a kernel, with one of its outputs aimed at a part of another array."""

    step: KernelStep
    position: int
    output: Root

    def into(self, root: Root) -> KernelStep:
        """Return the step that stores into `root`."""
        outputs = list(self.step.outputs)
        outputs[self.position] = root
        return replace(self.step, outputs=tuple(outputs))


def producer_of(building: Building, value: Operand, part: Place, number: int) -> Producer | None:
    """Return the last step if it computes `value`, which nothing but this write wants."""
    last = building.steps[-1] if building.steps else None
    if isinstance(value, Const) or not isinstance(last, KernelStep):
        return None
    place, spec = building.places[value], value.spec
    aimed = (part.layout.shape, part.root.spec.dtype) == (spec.shape, spec.dtype)
    if place.root not in last.outputs or not building.owns(place) or not aimed:
        return None
    if last.outputs.count(place.root) != 1 or not building.dies(place.root, number):
        return None
    if any(place.root in step.outputs for step in building.steps[place.root.start : -1]):
        return None  # it stores into a part of an array already
    if not stores_by_axes(last, place.root):
        return None
    position = last.outputs.index(place.root)
    stored, _ = last.region.outputs[position]
    access = store_access(part.layout, part.root.spec, last.region.space)
    outputs = list(last.region.outputs)
    outputs[position] = stored, access
    region = replace(last.region, outputs=tuple(outputs))
    return Producer(replace(last, region=region), position, place.root)


def stores_by_axes(step: KernelStep, root: Root) -> bool:
    """Tell whether a kernel goes over the axes of an output, and not of another shape."""
    space = step.region.space
    _, access = step.region.outputs[step.outputs.index(root)]
    return len(space) >= root.spec.ndim and access == store_access(root.layout, root.spec, space)


def _may_store(producer: Producer, base: Root, own: Root | None, part: Place) -> bool:
    """Tell whether the kernel may store into `own`, or into a copy of the base where None."""
    step = producer.step
    if base in step.outputs:
        # Which of two outputs is stored last is not said, so they must have no element in common.
        stored = [
            Layout(step.region.space, access.strides, access.offset)
            for root, (_, access) in zip(step.outputs, step.region.outputs, strict=True)
            if root is base
        ]
        if own is None or any(overlap(part.layout, other) for other in stored):
            return False
    reads_it = own is not None and own in [root.owner for root in step.inputs]
    return not reads_it or may_store(step, base, producer.position)
