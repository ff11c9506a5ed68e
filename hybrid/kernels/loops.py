"""The loops of a region, in an order in which memory is walked well."""

from __future__ import annotations

from hybrid.kernels.region import Access, Region
from hybrid.records import dataclass


@dataclass(slots=True)
class Loop:
    size: int
    strides: list[int]
    kept: bool
    weight: float = 0.0


def loops_of(region: Region, accesses: list[Access], offsets: list[int]) -> list[Loop]:
    """The loops with more than one step; those that run backwards everywhere are turned.

    The loop of a scan keeps its direction.
    """
    loops = []
    scans = any(instr.kind == "scan" for instr in region.body)
    for axis, size in enumerate(region.space):
        if size == 1:
            continue
        strides = [access.strides[axis] for access in accesses]
        scanned = scans and axis in region.axes
        if not scanned and any(strides) and all(stride <= 0 for stride in strides):
            for index, stride in enumerate(strides):
                offsets[index] += stride * (size - 1)
            strides = [-stride for stride in strides]
        # The root keeps one operand with a huge stride from outvoting several unit ones.
        jumps = (_jump(accesses, x, axis) for x in accesses if not x.is_position)
        weight = sum(jump**0.5 for jump in jumps)
        loops.append(Loop(size, strides, axis not in region.axes, weight))
    return loops


def _jump(accesses: list[Access], access: Access, axis: int) -> int:
    """How far apart neighbours along an axis lie, or may lie since indices vary along it."""
    if access.words:  # which are drawn in rows, by far the cheapest way
        return abs(access.strides[axis]) << 20
    picked = (abs(pick.step) for pick in access.picks if accesses[pick.index].strides[axis])
    return abs(access.strides[axis]) + sum(picked)


def _collapse(loops: list[Loop]) -> list[Loop]:
    """Merge neighbours that every operand walks as one."""
    merged: list[Loop] = []
    for loop in loops:
        if merged and merged[-1].kept == loop.kept:
            before = merged[-1]
            pairs = zip(before.strides, loop.strides, strict=True)
            if all(a == b * loop.size for a, b in pairs):
                before.size *= loop.size
                before.strides = loop.strides
                before.weight = loop.weight
                continue
        merged.append(Loop(loop.size, loop.strides, loop.kept, loop.weight))
    return merged


def sorted_loops(loops: list[Loop]) -> list[Loop]:
    return _collapse(sorted(loops, key=lambda loop: -loop.weight))
