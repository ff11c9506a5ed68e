"""Parts of arrays that move with a counter become arrays of their own: windows, in place."""

from __future__ import annotations

from dataclasses import replace

from hybrid.core.graph import Const, Node
from hybrid.core.layout import Layout, contiguous, overlap
from hybrid.core.op import OPS
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass
from hybrid.runtime.building import Building
from hybrid.runtime.steps import Place, Root, WindowStep, WriteStep
from hybrid.runtime.writing import copied, producer_of


@dataclass(frozen=True, slots=True)
class _Moving:
    """How a part lies for counters of 0, and how many elements further each counter moves it."""

    spec: TensorSpec
    layout: Layout
    units: tuple[int, ...]


def _moving(node: Node, layout: Layout) -> _Moving | None:
    """Return what part of an array of that layout a node moves; None where it is no view."""
    spec, moves = node.inputs[0].spec, node.attrs["moves"]
    units = [0] * len(moves)
    for place, (name, frozen) in enumerate(node.attrs["chain"]):
        op, attrs = OPS[name], dict(frozen)
        for i, move in enumerate(moves):
            units[i] += sum(m * s for m, s in zip(move[place], layout.strides, strict=False))
        assert op.view is not None
        following = op.view(layout, **attrs)
        if following is None:
            return None
        spec, layout = op.infer(spec, **attrs), following
    return _Moving(spec, layout, tuple(units))


def schedule_window(building: Building, node: Node) -> bool:
    """Schedule a `moving_view`; False where the part is no view of an array."""
    source = building.place(node.inputs[0])
    moving = None if isinstance(source, Const) else _moving(node, source.layout)
    if isinstance(source, Const) or moving is None:
        return False
    building.define((node.output,), (_window(building, node, source, moving),))
    return True


def _window(building: Building, node: Node, source: Place, moving: _Moving) -> Root:
    first = 1 if node.op.name == "moving_view" else 2
    counters = tuple(building.place(x) for x in node.inputs[first:])
    root = building.window(moving.spec, moving.layout, source.root.owner)
    building.steps.append(
        WindowStep(node, source, counters, moving.layout.offset, moving.units, root)
    )
    return root


def schedule_moving_write(building: Building, node: Node, number: int) -> bool:
    """Schedule a `moving_update`; False where the part to write is no view of the array.

    As for a `view_update`, the array is copied first where its old value is still read, and the
    kernel just scheduled stores into the part if it computes what is written and nothing else
    reads that.
    """
    base, value = node.inputs[:2]
    before = building.place(base)
    if isinstance(before, Const) or not node.output.spec.size:
        return False
    own = before.root if building.owns(before) and building.dies(before.root, number) else None
    moving = _moving(node, contiguous(node.output.spec.shape))
    if moving is None:
        return False
    counters = tuple(map(building.place, node.inputs[2:]))
    clear = _Clear(building, own, moving, counters)
    part = Place(Root("window", -1, moving.spec, moving.layout), replace(moving.layout, offset=0))
    producer = producer_of(building, value, part, number)
    if producer is not None and not clear.of(*producer.step.inputs, *producer.step.outputs):
        producer = None
    if producer is not None:
        building.steps.pop()
        building.planned.remove(producer.output)
        source: Place | Const | None = None
    else:
        source = building.place(value)
        if isinstance(source, Place) and not clear.of(source.root):
            source = copied(building, node, source, value)
    root = own or building.plan(node.output.spec)
    if own is None:
        building.steps.append(WriteStep(node, before, Place(root, root.layout)))
    target = _window(building, node, Place(root, root.layout), moving)
    if producer is not None:
        building.steps.append(producer.into(target))
    elif source is not None:
        building.steps.append(WriteStep(node, source, Place(target, target.layout)))
    building.define(node.outputs, (root,))
    return True


@dataclass(frozen=True, slots=True)
class _Clear:
    """Tells which arrays a write to a part of `own` leaves alone; all if that is None."""

    building: Building
    own: Root | None
    part: _Moving
    counters: tuple[Place | Const, ...]

    def of(self, *roots: Root) -> bool:
        """Tell whether no element of the part is one of these arrays'."""
        return all(root.owner is not self.own or self._beside(root) for root in roots)

    def _beside(self, root: Root) -> bool:
        """Tell of a window that moves as the part does whether they have no element in common."""
        made = (s for s in self.building.steps if isinstance(s, WindowStep) and s.output is root)
        step = next(made, None)
        if step is None or (step.counters, step.units) != (self.counters, self.part.units):
            return False
        return not overlap(replace(root.layout, offset=step.offset), self.part.layout)
