"""Products of matrices as parts of loops in native code: calls of NumPy's own inner loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid.runtime.steps import LibraryStep, Place

_MATMUL: np.ufunc = np.matmul
_PRODUCTS_PER_NS = 8  # of a BLAS on one core: how long a call takes need not be known exactly
_CALL_NS = 100


@dataclass(frozen=True, slots=True)
class Call:
    """An inner loop of NumPy, and what it is given besides the addresses of arrays.

    Attributes
    ----------
    function, data : int
        Addresses.
    dimensions, strides : tuple of int
        In NumPy's order; strides in bytes.
    offsets : tuple of int
        From the beginning of each array, in bytes.
    """

    function: int
    data: int
    dimensions: tuple[int, ...]
    strides: tuple[int, ...]
    offsets: tuple[int, ...]

    @property
    def cost(self) -> int:
        """About how many nanoseconds it takes."""
        return _CALL_NS + int(np.prod(self.dimensions)) // _PRODUCTS_PER_NS


def call_of(step: LibraryStep) -> Call | None:
    """Return how native code takes a step; None where it cannot."""
    from hybrid.kernels.gufunc import inner_loop, matmul_numbers

    root = step.outputs[0]
    places = [arg for arg in step.args if isinstance(arg, Place)]
    if step.into is not _MATMUL or len(places) != 2:
        return None
    one, other = (place.layout for place in places)
    if 0 in one.shape or 0 in other.shape:
        return None
    dtype = root.spec.dtype
    numbers = matmul_numbers(one, other, root.layout, dtype.itemsize)
    found = inner_loop(_MATMUL, dtype)
    if numbers is None or found is None:
        return None
    offsets = one.offset * dtype.itemsize, other.offset * dtype.itemsize, 0
    return Call(*found, *numbers, offsets)
