"""Stretches of the inner loop throughout which a window of an operand is open, or shut.

What is put together of blocks (`roll`, `concat`, `pad`) is read through windows. Asked at each
element, these cost more than what is computed: four rolls of 64 x 64 float64 took 12 us. The inner
loop is divided where a window along it begins or ends, and each stretch asks once. Where each
element lies in some block, it finds out in which, and reads there as from any array.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import replace

from hybrid.kernels.loops import Loop
from hybrid.kernels.region import Access, Region, Window
from hybrid.kernels.spec import KernelSpec


def flattened(region: Region) -> Region:
    """Return a region whose windows along one axis count the elements of all behind it, too.

    Blocks of whole rows that lie side by side are then one stretch each, not one for every row.
    The same region where windows are along several axes, or the axes behind are no single loop.
    """
    windows = [w for access in region.inputs for w in access.windows]
    if region.axes or len({w.position for w in windows}) != 1:
        return region
    (position,) = {w.position for w in windows}
    (axis,) = (a for a, stride in enumerate(region.inputs[position].strides) if stride)
    others = [x for x in (*region.inputs, *(out for _, out in region.outputs)) if not x.is_position]
    walked = any(position in instr.args for instr in region.body if instr.kind != "inside")
    if walked or axis == len(region.space) - 1 or not all(_as_one(x, region, axis) for x in others):
        return region
    units = [1] * len(region.space)
    for a in range(len(units) - 1, axis, -1):
        units[a - 1] = units[a] * region.space[a]
    rest = units[axis]
    strides = tuple(unit if a >= axis else 0 for a, unit in enumerate(units))
    inputs = [
        replace(x, windows=tuple(Window(position, w.low * rest, w.high * rest) for w in x.windows))
        for x in region.inputs
    ]
    inputs[position] = replace(inputs[position], strides=strides)
    return replace(region, inputs=tuple(inputs))


def _as_one(access: Access, region: Region, axis: int) -> bool:
    """Tell whether an operand is walked along an axis and those behind it as along one."""
    steps = list(zip(access.strides, region.space, strict=True))[axis:]
    pairs = itertools.pairwise(steps)
    plain = not (access.picks or access.words)
    return plain and all(far == near * size for (far, _), (near, size) in pairs)


def edges_of(accesses: Sequence[Access], inner: Loop, kept: Sequence[Loop]) -> list[int] | None:
    """Return where windows begin and end along the inner loop, in order, with both of its ends.

    None without windows, and where their positions do not count the steps of the loop.
    """
    found: list[int] = []
    for access in accesses:
        for window in access.windows:
            step = inner.strides[window.position]
            still = all(loop.strides[window.position] == 0 for loop in kept)
            if step not in (0, 1) or (step == 1 and not still):
                return None
            if step == 1:
                start = accesses[window.position].offset
                found += [window.low - start, window.high - start]
    if not any(access.windows for access in accesses):
        return None
    between: list[int] = []
    for edge in sorted(found):
        if edge > (between[-1] if between else 0) and edge < inner.size:
            between.append(edge)
    return [0, *between, inner.size]


@functools.lru_cache(maxsize=4096)
def choices(spec: KernelSpec) -> dict[int, tuple[int, ...]]:
    """Return the values that are an element of one of several inputs, with these inputs.

    The last of them is read where the windows of all others are shut.
    """
    found: dict[int, tuple[int, ...]] = {}
    count = len(spec.inputs)
    for number, instr in enumerate(spec.body, count):
        if instr.kind != "map" or instr.expr != "select({0}, {1}, {2})":
            continue
        test, one, other = instr.args
        if not (isinstance(test, int) and isinstance(one, int) and isinstance(other, int)):
            continue
        inside = spec.body[test - count] if test >= count else None
        if inside is None or inside.kind != "inside" or inside.args != (one,):
            continue
        others = found.get(other, (other,) if other < count else ())
        operands = [spec.inputs[x] for x in (one, *others)]
        alike = {(x.dtype, x.inner) for x in operands}
        special = any(x.picks or x.words or x.is_position or not x.windows for x in operands)
        if others and len(alike) == 1 and not special and operands[0].inner != "0":
            found[number] = (one, *others)
    return found
