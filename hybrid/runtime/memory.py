"""Schedule -> memory: which planned arrays share which bytes.

Arrays that are returned get fresh memory at each call. All others lie in one arena: arrays that
live at the same time never overlap, others may. A kernel may write over an input that it is the
last to read, where it writes each element at the very place where it has just read it; so may an
op that changes some elements of its first input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from hybrid.core.recycle import ALIGNMENT as ALIGNMENT
from hybrid.records import dataclass
from hybrid.runtime.steps import (
    KernelStep,
    LibraryStep,
    Place,
    Return,
    Root,
    Schedule,
    Step,
    WindowStep,
    WriteStep,
)

if TYPE_CHECKING:
    from hybrid.kernels.region import Region


@dataclass(frozen=True, slots=True)
class Interval:
    """A block of the arena: how many bytes, from which step to which, both included."""

    nbytes: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where planned arrays lie.

    Parameters
    ----------
    offsets : dict from Root to int
        Byte offset in the arena, of all planned arrays that are not fresh.
    fresh : dict from Root to Return
        Arrays that are in the memory of an output.
    last_use : dict from Root to int
        The last step that reads an array; the number of steps for those that are returned.
    arena : int
        Bytes of the arena.
    naive : int
        What the arena would take if no two arrays shared memory.
    """

    offsets: dict[Root, int]
    fresh: dict[Root, Return]
    last_use: dict[Root, int]
    arena: int
    naive: int


def plan_memory(schedule: Schedule, donated: Collection[Root] = ()) -> MemoryPlan:
    """Give each planned array its place in the arena or in an output.

    Parameters
    ----------
    schedule : Schedule
    donated : collection of Root
        Results that have a better place than the memory of a temporary.
    """
    last_use = last_uses(schedule)
    holder = _in_place(schedule, last_use, donated)
    fresh = _fresh(schedule, holder)
    blocks: dict[Root, Interval] = {}
    for root in schedule.planned:
        owner = holder[root]
        if owner in fresh:
            continue
        before = blocks.get(owner)
        start = root.start if before is None else before.start
        end = max(last_use[root], before.end if before else 0)
        blocks[owner] = Interval(_aligned(root.spec.nbytes), start, end)
    places, arena = pack(tuple(blocks.values()))
    at = dict(zip(blocks, places, strict=True))
    offsets = {r: at[holder[r]] for r in schedule.planned if holder[r] in at}
    naive = sum(
        _aligned(r.spec.nbytes) for r in schedule.planned if r in offsets or holder[r] is not r
    )
    return MemoryPlan(
        offsets,
        {root: fresh[holder[root]] for root in schedule.planned if holder[root] in fresh},
        last_use,
        arena,
        naive,
    )


def pack(intervals: tuple[Interval, ...]) -> tuple[tuple[int, ...], int]:
    """Place blocks so that those that live at the same time do not overlap.

    Largest first, each into the smallest gap that it fits (Pisarchyk and Lee, "Efficient memory
    management for deep neural net inference", 2020: greedy by size).

    Parameters
    ----------
    intervals : tuple of Interval
        Sizes are multiples of the alignment.

    Returns
    -------
    tuple
        The offset of each block, and the size of the arena.
    """
    offsets = [0] * len(intervals)
    placed: list[tuple[int, int]] = []  # offset and number, sorted
    order = sorted(range(len(intervals)), key=lambda i: (-intervals[i].nbytes, i))
    for number in order:
        block = intervals[number]
        taken = [
            (offset, offset + intervals[other].nbytes)
            for offset, other in placed
            if intervals[other].start <= block.end and block.start <= intervals[other].end
        ]
        offsets[number] = _best_gap(block.nbytes, taken)
        if block.nbytes:
            placed.append((offsets[number], number))
            placed.sort()
    sizes = (offset + block.nbytes for offset, block in zip(offsets, intervals, strict=True))
    return tuple(offsets), max(sizes, default=0)


def _best_gap(nbytes: int, taken: list[tuple[int, int]]) -> int:
    """Return the start of the smallest gap between blocks sorted by offset, or their end."""
    best: tuple[int, int] | None = None
    end = 0
    for start, stop in taken:
        gap = start - end
        if gap >= nbytes and (best is None or gap < best[0]):
            best = gap, end
        end = max(end, stop)
    return end if best is None else best[1]


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def used_roots(step: Step) -> Iterable[Root]:
    """Return the arrays that a step reads."""
    if isinstance(step, KernelStep):
        return step.inputs
    if isinstance(step, WriteStep):
        return (step.source.root,) if isinstance(step.source, Place) else ()
    if isinstance(step, WindowStep):
        counters = (place.root for place in step.counters if isinstance(place, Place))
        return (step.source.root, *counters)
    return tuple(arg.root for arg in step.args if isinstance(arg, Place))


def last_uses(schedule: Schedule) -> dict[Root, int]:
    """Return the last step that reads or writes each array."""
    last: dict[Root, int] = {root: root.start for root in schedule.planned}
    for number, step in enumerate(schedule.steps):
        for root in (*step.outputs, *used_roots(step)):
            last[root] = last[root.owner] = number
    for output in schedule.returns:
        if isinstance(output.source, Place):
            root = output.source.root
            last[root] = last[root.owner] = len(schedule.steps)
    return last


def _fresh(schedule: Schedule, holder: dict[Root, Root]) -> dict[Root, Return]:
    found = {}
    for output in schedule.returns:
        if output.owned and isinstance(output.source, Place) and output.source.root.planned:
            found[holder[output.source.root]] = output
    return found


# --- in place -------------------------------------------------------------------------------------


def _in_place(
    schedule: Schedule, last_use: dict[Root, int], donated: Collection[Root]
) -> dict[Root, Root]:
    """Map each planned array to the first array whose memory it lies in."""
    holder = {root: root for root in schedule.planned}
    written: set[Root] = set()
    for number, step in enumerate(schedule.steps):
        new = {output for output in step.outputs if output not in written}
        written |= new
        if isinstance(step, LibraryStep):
            changed = changed_by(step)
            if changed is not None and last_use[changed] == number and not new & set(donated):
                holder[step.outputs[0]] = holder[changed]
            continue
        if not isinstance(step, KernelStep):
            continue
        taken: set[Root] = set()
        for position, output in enumerate(step.outputs):
            if output not in new or output in donated:
                continue  # it is written into an array that exists already
            for source in step.inputs:
                dies = source.planned and last_use[source] == number
                if dies and source not in taken and may_overwrite(step, source, position):
                    taken.add(source)
                    holder[output] = holder[source]
                    break
    return holder


def changed_by(step: LibraryStep) -> Root | None:
    """Return the planned array of the first input, if the result may be written over it."""
    if step.into is None or not step.node.op.changes:
        return None
    first, *others = step.args
    if not isinstance(first, Place) or first.layout != first.root.layout or not first.root.planned:
        return None
    read_too = any(isinstance(x, Place) and x.root.owner is first.root for x in others)
    same = (first.root.spec.dtype, first.root.layout)
    (output,) = step.outputs
    return first.root if not read_too and same == (output.spec.dtype, output.layout) else None


def may_overwrite(step: KernelStep, source: Root, position: int) -> bool:
    """Tell whether a kernel may write an output over one of its inputs.

    It may if it reads the input nowhere but where it writes. Kernels with reductions sweep over
    their inputs several times, but store what has the shape of the space in the last sweep, each
    element after it has been read; so this holds for them too. The output must be computed from
    the input: only then does the order of their accesses follow from the data, which is what the
    compiler needs to know to vectorise the loop.
    """
    spec, target = source.spec, step.outputs[position].spec
    same = (spec.dtype, spec.size) == (target.dtype, target.size)
    return same and may_store(step, source, position)


def may_store(step: KernelStep, source: Root, position: int) -> bool:
    """Tell whether the elements of an input are those, one by one, where an output is stored."""
    region = step.region
    if any(root.base is source for root in (*step.inputs, *step.outputs)):
        return False  # where a window lies in it is not known
    value, access = region.outputs[position]
    numbers = {number for number, root in enumerate(step.inputs) if root is source}
    if not numbers <= _origins(region, value):
        return False
    reads = [region.inputs[number] for number in numbers]
    if any(read.sources or read.is_position or read.words for read in reads):
        return False
    for axis, size in enumerate(region.space):
        stride = access.strides[axis]
        if size > 1 and (stride == 0 or any(a.strides[axis] != stride for a in reads)):
            return False
    return all(read.offset == access.offset for read in reads)


def _origins(region: Region, value: int) -> set[int]:
    """Return the inputs from which a value is computed."""
    count = len(region.inputs)
    seen: set[int] = set()
    pending = [value]
    while pending:
        number = pending.pop()
        if number not in seen:
            seen.add(number)
            if number >= count:
                pending += [a for a in region.body[number - count].args if isinstance(a, int)]
    return {number for number in seen if number < count}
