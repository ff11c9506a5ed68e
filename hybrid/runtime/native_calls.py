"""Products of matrices and equations as parts of loops in native code: NumPy's own inner loops.

Those of linear algebra tell by a flag of the processor that a matrix is singular, as NumPy's
functions are told. The flag stays: after a loop it says whether all went well.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core.layout import Layout
from hybrid.records import dataclass
from hybrid.runtime.load import LoadedKernel, load_written
from hybrid.runtime.steps import LibraryStep, Place, Step

if TYPE_CHECKING:
    from hybrid.kernels.spec import Geometry
    from hybrid.kernels.texts import Source

Array = np.ndarray[Any, np.dtype[Any]]

_MATMUL: np.ufunc = np.matmul
_PRODUCTS_PER_NS = 8  # of a BLAS on one core: how long a call takes need not be known exactly
_CALL_NS = 100
EQUATIONS = ("solve", "inv", "cholesky")
_INVALID = 1  # FE_INVALID of x86 and ARM


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
    checked : bool
        It raises the flag where it fails.
    divided : tuple of int
        The numbers of a product that is divided among threads.
    """

    function: int
    data: int
    dimensions: tuple[int, ...]
    strides: tuple[int, ...]
    offsets: tuple[int, ...]
    checked: bool = False
    divided: tuple[int, ...] = ()

    @property
    def cost(self) -> int:
        """About how many nanoseconds it takes."""
        return _CALL_NS + int(np.prod(self.dimensions)) // _PRODUCTS_PER_NS


def call_of(step: LibraryStep) -> Call | None:
    """Return how native code takes a step; None where it cannot."""
    from hybrid.kernels.gufunc import inner_loop, matmul_numbers

    if step.node.op.name in EQUATIONS:
        return _equations(step)
    places = [arg for arg in step.args if isinstance(arg, Place)]
    if step.into is not _MATMUL or len(places) != 2:
        return None
    root = step.outputs[0]
    one, other = (place.layout for place in places)
    if 0 in one.shape or 0 in other.shape:
        return None
    dtype = root.spec.dtype
    numbers = matmul_numbers(one, other, root.layout, dtype.itemsize)
    found = inner_loop(_MATMUL, dtype)
    if numbers is None or found is None:
        return None
    offsets = one.offset * dtype.itemsize, other.offset * dtype.itemsize, 0
    divided = divided_product(step)
    words = () if divided is None else tuple(map(int, divided[1]))
    return Call(*found, *numbers, offsets, divided=words)


def divided_product(step: LibraryStep) -> tuple[Callable[..., None], Array] | None:
    """Return what multiplies matrices over the threads of kernels, and the numbers it is given.

    None for a step that is no product, or none that is worth dividing. That of a matrix and its own
    transpose is symmetric as NumPy computes it, and would not be if it were divided.
    """
    from hybrid.kernels.products import multiply, product_numbers

    places = [arg for arg in step.args if isinstance(arg, Place)]
    if step.into is not _MATMUL or len(places) != 2:
        return None
    (root,) = step.outputs
    one, other = (place.layout for place in places)
    if places[0].root is places[1].root and one == _turned(other):
        return None
    numbers = product_numbers(one, other, root.layout, root.spec.dtype)
    return None if numbers is None else (multiply(), numbers)


def product_kernel(step: LibraryStep) -> tuple[LoadedKernel, tuple[Place, ...]] | None:
    """Return the kernel that computes a product of matrices, and what it reads; None for BLAS."""
    found = _product(step)
    return None if found is None else (load_written(*found[0]), found[1])


def product_sources(steps: Iterable[Step]) -> list[Source]:
    """Return what is to be compiled for the products of matrices among some steps."""
    found = (_product(step) for step in steps if isinstance(step, LibraryStep))
    return [product[0][0] for product in found if product is not None]


def _product(step: LibraryStep) -> tuple[tuple[Source, Geometry], tuple[Place, ...]] | None:
    """Return what multiplies matrices, the numbers it is given, what it reads; None for BLAS."""
    places = tuple(arg for arg in step.args if isinstance(arg, Place))
    if step.into is not _MATMUL or len(places) != 2:
        return None
    from hybrid.kernels.gram import gram_kernel
    from hybrid.kernels.panels import panel_kernel
    from hybrid.kernels.tall import tall_kernel

    (root,) = step.outputs
    dtype = root.spec.dtype
    one, other = (place.layout for place in places)
    found = tall_kernel(one, other, root.layout, dtype)
    if found is None:
        own = places[0].root is places[1].root and len(one.shape) == 2 and one == _turned(other)
        if own:
            found, places = gram_kernel(one, root.layout, dtype), places[:1]
        else:
            found = panel_kernel(one, other, root.layout, dtype)
    return None if found is None else (found, places)


def _turned(layout: Layout) -> Layout:
    axes = tuple(range(len(layout.shape)))
    return layout.transpose((*axes[:-2], *axes[:-3:-1]))


def _equations(step: LibraryStep) -> Call | None:
    """Return how native code takes a step of linear algebra: one of float64, as NumPy computes."""
    from hybrid.kernels.gufunc import inner_loop, matrix_numbers

    places = [arg for arg in step.args if isinstance(arg, Place)]
    root, node = step.outputs[0], step.node
    layouts = [*(place.layout for place in places), root.layout]
    dtypes = {place.root.spec.dtype for place in places} | {root.spec.dtype}
    plain = len(places) == len(step.args) and dtypes == {np.dtype(np.float64)}
    if not plain or _flags() is None or any(0 in layout.shape for layout in layouts):
        return None
    if len(layouts[0].shape) != 2 or any(len(layout.shape) > 2 for layout in layouts):
        return None
    loops: Any = np.linalg._umath_linalg
    name = node.op.name
    if name == "cholesky":
        name = "cholesky_up" if node.attrs["upper"] else "cholesky_lo"
    elif name == "solve" and len(layouts[1].shape) == 1:
        name = "solve1"
    found = inner_loop(getattr(loops, name), root.spec.dtype)
    if found is None:
        return None
    offsets = *(place.layout.offset * root.spec.dtype.itemsize for place in places), 0
    return Call(*found, *matrix_numbers(layouts, root.spec.dtype.itemsize), offsets, checked=True)


@functools.cache
def _flags() -> Any:
    """Return the C library with the processor's flags; None where it is not found."""
    from ctypes.util import find_library  # it imports what starts processes

    name = find_library("m")
    try:
        library = ctypes.CDLL(name) if name else None
    except OSError:
        return None
    return library if hasattr(library, "fetestexcept") else None


def clear_flag() -> None:
    """Forget what failed before, in this thread."""
    _flags().feclearexcept(_INVALID)


def has_failed() -> bool:
    """Tell whether a checked call has failed since; maybe another operation gave NaN."""
    return bool(_flags().fetestexcept(_INVALID))
