"""How kernels store results into arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybrid.core.layout import Layout, contiguous
from hybrid.core.spec import Shape, TensorSpec

if TYPE_CHECKING:
    from hybrid.kernels.region import Access


def output_access(spec: TensorSpec, space: Shape) -> Access:
    """Return how a kernel over `space` stores a result into an array of its own."""
    return store_access(contiguous(spec.shape), spec, space)


def store_access(layout: Layout, spec: TensorSpec, space: Shape) -> Access:
    """Return how a kernel over `space` stores a result into a part of an array of `spec`."""
    from hybrid.kernels.region import Access

    layout = layout.expand(space)
    strides = tuple(
        stride if size != 1 else 0 for size, stride in zip(space, layout.strides, strict=True)
    )
    return Access(spec.dtype.name, spec.ndim, layout.offset, strides)
