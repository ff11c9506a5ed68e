"""Carries of a native loop that stay where they are, and copies of which only a border is needed.

The new value of a carry lies in another buffer than the old one, unless nothing reads the old value
once the new one is written: element by element for a kernel that reads where it writes, or because
only a part changes. One buffer is half the memory to go through, and a write to a row costs a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import prod

from hybrid.runtime.memory import may_store, used_roots
from hybrid.runtime.steps import KernelStep, Place, Root, Schedule, Step, WindowStep, WriteStep


def still(order: Schedule, carries: int) -> dict[int, Step | None]:
    """Return which carries can stay in one buffer.

    Parameters
    ----------
    order : Schedule
        Of the body; its first parameters and its first results are the carries.
    carries : int

    Returns
    -------
    dict
        The number of each such carry, and the step that would copy it, which is not needed then.
    """
    found: dict[int, Step | None] = {}
    results = [output.source for output in order.returns]
    roots = [source.root if isinstance(source, Place) else None for source in results]
    for number, old in enumerate(order.parameters[:carries]):
        place = results[number]
        if not isinstance(place, Place) or old.spec.weak:
            continue
        new = place.root
        if new is old and is_plain(place):
            found[number] = None
        if old in roots or not new.planned or roots.index(new) != number or not is_plain(place):
            continue
        copy = next((step for step in order.steps if _copies(step, old, new)), None)
        steps = [step for step in order.steps if step is not copy]
        if _read_before(steps, old, new):
            found[number] = copy
    return found


def is_plain(place: Place) -> bool:
    """Tell whether a value is the whole of its root, in the order of its elements."""
    return (
        place.whole
        and place.layout.offset == 0
        and place.layout.is_contiguous
        and place.root.layout.is_contiguous
    )


def _copies(step: Step, old: Root, new: Root) -> bool:
    if not isinstance(step, WriteStep) or not isinstance(step.source, Place):
        return False
    whole = not step.target.chain and step.target.root is new and step.source.root is old
    return whole and is_plain(step.source) and old.spec.dtype == new.spec.dtype


def _read_before(steps: list[Step], old: Root, new: Root) -> bool:
    """Tell whether `old` is read for the last time before `new` is written, or as it is."""
    writing = [
        i
        for i, step in enumerate(steps)
        if not isinstance(step, WindowStep) and new in [root.owner for root in step.outputs]
    ]
    reading = [
        i for i, step in enumerate(steps) if old in [root.owner for root in used_roots(step)]
    ]
    if not writing or not reading or reading[-1] < writing[0]:
        return True
    step = steps[writing[0]]
    return (
        reading[-1] == writing[0]
        and isinstance(step, KernelStep)
        and step.outputs.count(new) == 1
        and may_store(step, old, step.outputs.index(new))
    )


# --- borders --------------------------------------------------------------------------------------


def without_overwritten(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Copy only the border of an array whose inside the next step writes, or nothing of it."""
    found: list[Step] = []
    for step, following in pairwise((*steps, None)):
        inside = None
        if isinstance(step, WriteStep) and following is not None:
            if _replaced(step, following):
                continue
            inside = _inside(step, following)
        if inside is None or not isinstance(step, WriteStep):
            found += [step] if step is not None else []
        else:
            found += _border(step, *inside)
    return tuple(found)


def _replaced(step: WriteStep, following: Step) -> bool:
    """Tell whether a kernel stores each element of an array that was copied."""
    new = step.target.root
    if step.target.chain or not isinstance(following, KernelStep) or new in following.inputs:
        return False
    space = following.region.space
    stored = [
        prod(n for stride, n in zip(access.strides, space, strict=True) if stride)
        for root, (_, access) in zip(following.outputs, following.region.outputs, strict=True)
        if root is new
    ]
    # Outputs in one array have no element in common.
    return sum(stored) == new.spec.size


Box = tuple[tuple[int, ...], tuple[int, ...]]


def _inside(step: WriteStep, following: Step) -> Box | None:
    """Return first indices and sizes of what a kernel overwrites of an array that was copied."""
    if not isinstance(step.source, Place) or not isinstance(following, KernelStep):
        return None
    new = step.target.root
    if step.target.chain or step.source.layout.shape != new.spec.shape:
        return None
    if following.outputs.count(new) != 1 or new in following.inputs:
        return None
    _, access = following.region.outputs[following.outputs.index(new)]
    sizes = []
    axes = dict(zip(access.strides, following.region.space, strict=True))
    starts, offset = [], access.offset
    for stride in new.layout.strides:
        starts.append(offset // stride)
        offset %= stride
        sizes.append(axes.get(stride, 1))
    ends = [a + n for a, n in zip(starts, sizes, strict=True)]
    fits = all(end <= n for end, n in zip(ends, new.spec.shape, strict=True))
    points = prod(n for s, n in zip(access.strides, following.region.space, strict=True) if s)
    found = 1 not in new.spec.shape and points == prod(sizes) and fits
    return (tuple(starts), tuple(sizes)) if found and 2 * points > new.spec.size else None


def _border(step: WriteStep, starts: tuple[int, ...], sizes: tuple[int, ...]) -> Iterator[Step]:
    """Yield copies of all that lies outside of a box: for each axis what is before and after it."""
    assert isinstance(step.source, Place)
    shape = step.target.root.spec.shape
    first, last = [0] * len(shape), list(shape)
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        for a, b in ((0, start), (start + size, shape[axis])):
            if b > a:
                low, high = [*first], [*last]
                low[axis], high[axis] = a, b
                yield replace(
                    step,
                    source=_part(step.source, low, high),
                    target=_part(step.target, low, high),
                )
        first[axis], last[axis] = start, start + size


def _part(place: Place, low: list[int], high: list[int]) -> Place:
    layout = place.layout
    for axis, (a, b) in enumerate(zip(low, high, strict=True)):
        layout = layout.slice(axis, a, b - a, 1)
    return replace(place, layout=layout)
