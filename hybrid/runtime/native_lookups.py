"""Look-ups by data as parts of loops in native code: elements at indices, and places of extremes.

Eager code raises an error for an index out of bounds. So the indices are looked at first, and
those outside replaced; where there was one, the loop is run again step by step, which raises it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from hybrid.core.graph import FuncGraph, Node, Value
from hybrid.core.layout import Layout, contiguous
from hybrid.core.spec import TensorSpec
from hybrid.runtime.instructions import Unsupported
from hybrid.runtime.load import LoadedKernel, load_written
from hybrid.runtime.lower import Lowered, lower
from hybrid.runtime.steps import LibraryStep, Place, Step

if TYPE_CHECKING:
    from hybrid.kernels.spec import Geometry
    from hybrid.kernels.texts import Source


PLACES = ("argmax", "argmin")


def is_gather(step: Step) -> TypeGuard[LibraryStep]:
    """Tell whether a step reads an array at index arrays, and nothing else."""
    return isinstance(step, LibraryStep) and step.node.op.picks


def layouts_of(step: LibraryStep) -> tuple[Layout, ...]:
    """Return how the array and the index arrays of a gather lie from their first elements on."""
    base, *index = step.args
    read = base.layout if isinstance(base, Place) else contiguous(())
    shapes = [x.layout.shape if isinstance(x, Place) else () for x in index]
    return (replace(read, offset=0), *map(contiguous, shapes))


def lowered_gather(step: LibraryStep) -> Lowered | None:
    """Return the kernel of a gather, which is given indices side by side; None where there is none.

    It reads the array where it lies, and looks at no bounds.
    """
    base, *index = step.args
    plain = isinstance(base, Place) and base.root.spec.size
    if not plain or any(x.spec.dtype != np.int64 for x in step.node.inputs[1:]):
        return None
    layouts = layouts_of(step)
    dtypes = [step.node.inputs[0].spec.dtype, *(np.dtype(np.int64) for _ in index)]
    specs = (TensorSpec(x.shape, dtype) for x, dtype in zip(layouts, dtypes, strict=True))
    inputs = tuple(map(Value, specs))
    output = Value(step.outputs[0].spec)
    node = Node(step.node.op, inputs, step.node.attrs, (output,), step.node.line)
    try:
        return lower(FuncGraph("body", inputs, (), (node,), (output,)), layouts)
    except Unsupported:
        return None


def lookup_sources(steps: Iterable[Step]) -> list[Source]:
    """Return what is to be compiled for the indices of gathers and for places among some steps."""
    from hybrid.kernels.bounding import bounding

    library = [step for step in steps if isinstance(step, LibraryStep)]
    sources = [source for source, _ in filter(None, map(_places, library))]
    return [*sources, *([bounding()] if any(map(is_gather, library)) else [])]


def place_kernel(step: LibraryStep) -> LoadedKernel | None:
    """Return what finds where extremes are; None for other steps, and where there is no kernel.

    It is given the array where that begins, offset and all, and the places.
    """
    found = _places(step)
    return None if found is None else load_written(*found)


def _places(step: LibraryStep) -> tuple[Source, Geometry] | None:
    if step.node.op.name not in PLACES:
        return None
    from hybrid.kernels import extreme_places

    (place,), axis = step.args, step.node.attrs["axis"]
    if not isinstance(place, Place):
        return None
    layout = replace(place.layout, offset=0)
    rank = len(layout.shape)
    if axis is not None and axis != rank - 1:
        layout = layout.transpose((*(a for a in range(rank) if a != axis), axis))
    row = prod(layout.shape) if axis is None else layout.shape[-1]
    largest = step.node.op.name == "argmax"
    return extreme_places.place_kernel(layout, place.root.spec.dtype, row, largest)


def bounding_kernel(layout: Layout, size: int) -> LoadedKernel | None:
    """Return the kernel that keeps indices inside of an axis; None for those that lie otherwise."""
    from hybrid.kernels.bounding import bounding, numbers

    found = numbers(layout, size)
    return None if found is None else load_written(bounding(), found)
