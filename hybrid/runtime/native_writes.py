"""Assignments to parts of arrays as kernels, for loops in native code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core.graph import Const
from hybrid.core.layout import Layout, overlap
from hybrid.runtime.steps import Place, Root
from hybrid.runtime.storing import store_access

if TYPE_CHECKING:
    from hybrid.kernels.region import Region

Array = np.ndarray[Any, np.dtype[Any]]


def write_region(source: Place | Const, target: Place) -> Region | None:
    """Return the kernel that copies the source of an assignment to where it goes.

    Its input is the array of the source; for a literal, an array without axes. None where source
    and target overlap, where nothing is assigned, or where elements are cast or have a
    dtype without kernels.
    """
    from hybrid.kernels.region import Access, Instr, Region, unsupported

    root, part = target.root, target.layout
    dtype = root.spec.dtype.name
    if 0 in part.shape:
        return None
    if isinstance(source, Const):
        layout, rank = Layout((), ()), 0
    else:
        if source.root.spec.dtype != root.spec.dtype:
            return None
        if source.root is root and overlap(source.layout, part):
            return None
        layout, rank = source.layout, source.root.spec.ndim
    spread = layout.expand(part.shape)
    space = zip(spread.strides, part.shape, strict=True)
    strides = tuple(stride if size != 1 else 0 for stride, size in space)
    region = Region(
        part.shape,
        (),
        (Access(dtype, rank, layout.offset, strides),),
        (Instr("map", "copy", "{0}", (0,), dtype),),
        ((1, store_access(part, root.spec, part.shape)),),
    )
    return None if unsupported(region) else region


def literal_of(source: Const, root: Root) -> Array:
    """Return a literal as NumPy assigns it to an element of `root`."""
    return np.array(source.value, source.dtype).astype(root.spec.dtype)
