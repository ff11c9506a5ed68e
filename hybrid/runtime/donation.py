"""Results that replace a parameter: they may be written over it, where the caller allows it.

A function that assigns ``w - g * 0.01`` to a Variable, or writes it into its argument, has no use
for a second array. Writing into the old one saves its pages and a third of the traffic: an update
by Adam of 4,000,000 float32 takes 2.1 ms instead of 3.6, ``w -= g * 0.01`` of an argument 0.8
instead of 6.3 (processor time, one thread).

Whether anybody else holds the old contents is known at each call only, just before they would be
overwritten. So the driver asks then, and has fresh memory at hand for what it may not have. From
there on nothing may raise an error: what a call did not finish, it must not have begun.
"""

from __future__ import annotations

from collections.abc import Mapping

from hybrid.core.graph import may_fail
from hybrid.core.layout import contiguous
from hybrid.records import dataclass
from hybrid.runtime.memory import last_uses, may_overwrite
from hybrid.runtime.steps import KernelStep, LibraryStep, Place, Root, Schedule, Step, WriteStep

# Of less, asking costs more than it saves.
WORTH_ASKING = 1 << 16


@dataclass(frozen=True, slots=True)
class Donation:
    """A planned array that may lie in the memory of a parameter.

    Parameters
    ----------
    output : int
        Which result it is.
    result, parameter : Root
    step : int
        The step that writes it first.
    """

    output: int
    result: Root
    parameter: Root
    step: int


def find_donations(schedule: Schedule, replaced: Mapping[int, int]) -> tuple[Donation, ...]:
    """Return what may be written over parameters, in the order of the results.

    Parameters
    ----------
    schedule : Schedule
    replaced : mapping of int to int
        The parameter whose contents an output replaces.
    """
    if not replaced:
        return ()
    last = last_uses(schedule)
    safe = len(schedule.steps)
    while safe and not _may_raise(schedule.steps[safe - 1]):
        safe -= 1
    found = []
    for output, number in sorted(replaced.items()):
        source, parameter = schedule.returns[output].source, schedule.parameters[number]
        if not schedule.returns[output].owned or not isinstance(source, Place):
            continue
        root, spec = source.root, parameter.spec
        fits = (root.spec.dtype, source.layout) == (spec.dtype, parameter.layout)
        if not fits or parameter.layout != contiguous(spec.shape) or spec.nbytes < WORTH_ASKING:
            continue
        dead = last.get(parameter, -1) <= root.start
        if root.planned and root.start >= safe and dead and _overwrites(schedule, root, parameter):
            found.append(Donation(output, root, parameter, root.start))
    return tuple(found)


def _overwrites(schedule: Schedule, root: Root, parameter: Root) -> bool:
    """Tell whether the step that writes an array first may write it over a parameter."""
    step = schedule.steps[root.start]
    if isinstance(step, WriteStep):  # a copy of the parameter, a part of which is written then
        return step.source == Place(parameter, parameter.layout)
    if not isinstance(step, KernelStep) or step.outputs.count(root) != 1:
        return False
    return may_overwrite(step, parameter, step.outputs.index(root))


def _may_raise(step: Step) -> bool:
    if isinstance(step, LibraryStep):
        return step.into is None or may_fail(step.node.op, step.node.attrs)
    return not isinstance(step, KernelStep | WriteStep)
