"""Single elements at index arrays in a Plan: kernels that are called with arrays as they lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from hybrid.core.graph import Const
from hybrid.core.layout import Layout, contiguous
from hybrid.core.spec import broadcast_shapes
from hybrid.kernels.picking import Picking, numbers_of
from hybrid.ops.indexing.gather import out_of_bounds
from hybrid.runtime.load import LoadedKernel, load_written
from hybrid.runtime.steps import LibraryStep, Place, Step

if TYPE_CHECKING:
    from hybrid.kernels.spec import Geometry
    from hybrid.kernels.texts import Source

Array = np.ndarray[Any, np.dtype[Any]]


def pick_kernel(step: LibraryStep) -> tuple[LoadedKernel, tuple[Place | Const, ...]] | None:
    """Return the kernel of an op with single elements, and what it is called with before a flag."""
    found = _pick(step)
    return None if found is None else (load_written(*found[0]), found[1])


def pick_sources(steps: Iterable[Step]) -> list[Source]:
    """Return what is to be compiled for single elements at index arrays among some steps."""
    found = (_pick(step) for step in steps if isinstance(step, LibraryStep))
    return [pick[0][0] for pick in found if pick is not None]


def _pick(
    step: LibraryStep,
) -> tuple[tuple[Source, Geometry], tuple[Place | Const, ...]] | None:
    picking = step.into
    if not isinstance(picking, Picking):
        return None
    index = step.args[step.node.op.first_index :]
    out = Place(step.outputs[0], step.outputs[0].layout)
    moved: tuple[Place | Const, ...] = ()
    if picking.mode == "gather":
        moved = step.args[0], out
    elif picking.mode != "check":
        moved = out, step.args[1]
    layouts = tuple(map(_layout, index))
    try:
        block = broadcast_shapes(*(layout.shape for layout in layouts))
    except ValueError:
        return None  # the indices of different axes are checked together, whatever their shapes
    geometry = picking.geometry(block, layouts, *map(_layout, moved))
    return None if geometry is None else ((picking.source, geometry), (*moved, *index))


def _layout(operand: Place | Const) -> Layout:
    return operand.layout if isinstance(operand, Place) else contiguous(())


def outside(
    where: tuple[tuple[int, ...] | None, tuple[int, ...]], geometry: Geometry, *index: Array
) -> Exception:
    """Return the error for indices of which a kernel has found some outside of their axes.

    Parameters
    ----------
    where : tuple
        The shape of the array, None where all axes are indexed, so that the geometry has it; and
        the axes.
    geometry : ndarray
        What the kernel was called with.
    *index : ndarray
    """
    (shape, axes), found, sizes = where, [], []
    for k, array in enumerate(index):
        number, first, step, size = numbers_of(geometry, k)
        places = first + step * np.arange(number)
        found.append(as_strided(array, (int(places.max()) + 1,), (array.itemsize,))[places])
        sizes.append(size)
    return out_of_bounds(shape or tuple(sizes), tuple(found), axes) or IndexError(axes)
