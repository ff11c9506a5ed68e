"""Look-ups by data as parts of loops in native code: elements at indices that a step computes.

Eager code raises an error for an index out of bounds. So the indices are looked at first, and
those outside replaced; where there was one, the loop is run again step by step, which raises it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from hybrid.core.graph import FuncGraph, Node, Value
from hybrid.core.layout import Layout, contiguous
from hybrid.core.spec import TensorSpec
from hybrid.runtime.load import LoadedKernel, load_written
from hybrid.runtime.lower import Lowered, Unsupported, lower
from hybrid.runtime.steps import LibraryStep, Place, Step

if TYPE_CHECKING:
    from hybrid.kernels.cpu import Source


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


def gather_sources(steps: Iterable[Step]) -> list[Source]:
    """Return what is to be compiled for the indices of gathers among some steps."""
    from hybrid.kernels.bounding import bounding

    return [bounding()] if any(map(is_gather, steps)) else []


def bounding_kernel(layout: Layout, size: int) -> LoadedKernel | None:
    """Return the kernel that keeps indices inside of an axis; None for those that lie otherwise."""
    from hybrid.kernels.bounding import bounding, numbers

    found = numbers(layout, size)
    return None if found is None else load_written(bounding(), found)
