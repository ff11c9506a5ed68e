"""One op on a whole batch: by its own rule, by the rules of simpler ops, or example by example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hybrid.core.batch import Lane
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Op
from hybrid.core.operands import spec_of
from hybrid.core.tensor import Tensor
from hybrid.ops.broadcasting import broadcast_to
from hybrid.ops.creation import zeros
from hybrid.ops.joining import stack
from hybrid.ops.unit_axes import expand_dims


def batched_op(op: Op, lanes: tuple[Lane, ...], attrs: Attrs, size: int) -> list[Lane]:
    """Apply an op to all examples.

    Parameters
    ----------
    op : Op
    lanes : tuple of Lane
    attrs : mapping
        As for one example.
    size : int
        How many examples there are.

    Returns
    -------
    list of Lane
        One for each result of the op.
    """
    if op.batch is not None:
        found = op.batch(op, size, lanes, attrs)
        if found is not None:
            return _batched(op, found)
    if not any(lane.batched for lane in lanes):
        results = bind(op, tuple(lane.tensor for lane in lanes), attrs)
        return [Lane(x, batched=False) for x in (results if op.multi else (results,))]
    if op.aligns:
        return _batched(op, bind(op, _aligned(lanes), attrs))
    if op.lead is not None:
        shapes = tuple(_example_shape(lane) for lane in lanes)
        led = op.lead(attrs, size, *shapes)
        if led is not None:
            return _batched(op, bind(op, tuple(filled(lane, size) for lane in lanes), led))
    return _batched(op, _one_by_one(op, lanes, attrs, size))


def _batched(op: Op, results: Any) -> list[Lane]:
    return [
        x if type(x) is Lane else Lane(x, batched=True)
        for x in (results if op.multi else (results,))
    ]


def _example_shape(lane: Lane) -> tuple[int, ...]:
    shape: tuple[int, ...] = spec_of(lane.tensor).shape
    return shape[1:] if lane.batched else shape


def _aligned(lanes: tuple[Lane, ...]) -> tuple[Any, ...]:
    """Put axes of size 1 behind the batch axis, so that examples of fewer axes broadcast.

    What lacks none goes as it is: a view between an op and `where` hides which branch was taken.
    """
    ndim = max(len(_example_shape(lane)) for lane in lanes)
    aligned = []
    for lane in lanes:
        missing = ndim - len(_example_shape(lane)) if lane.batched else 0
        axes = tuple(range(1, 1 + missing))
        aligned.append(expand_dims(lane.tensor, axes) if missing else lane.tensor)
    return tuple(aligned)


def filled(lane: Lane, size: int) -> Tensor:
    """Return a Tensor with the batch axis, repeating what the examples share."""
    if lane.batched:
        tensor: Tensor = lane.tensor
        return tensor
    shared = asarray(lane.tensor)
    return broadcast_to(shared, (size, *shared.shape))


def _one_by_one(op: Op, lanes: tuple[Lane, ...], attrs: Attrs, size: int) -> Any:
    """Apply an op that has no rule to each example, and stack the results."""
    if not size:
        specs = [
            replace(spec_of(lane.tensor), shape=_example_shape(lane), weak=False) for lane in lanes
        ]
        inferred = op.infer(*specs, **attrs)
        empty = [
            zeros((0, *s.shape), dtype=s.dtype, device=s.device)
            for s in (inferred if op.multi else (inferred,))
        ]
        return tuple(empty) if op.multi else empty[0]
    found = [
        bind(op, tuple(lane.tensor[i] if lane.batched else lane.tensor for lane in lanes), attrs)
        for i in range(size)
    ]
    return tuple(map(stack, zip(*found, strict=True))) if op.multi else stack(found)
