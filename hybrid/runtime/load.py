"""Region -> a kernel that can be called: compiled now, or found in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hybrid.records import dataclass

if TYPE_CHECKING:
    from hybrid.kernels.region import Region
    from hybrid.kernels.spec import Geometry
    from hybrid.kernels.texts import Source


@dataclass(frozen=True, slots=True)
class LoadedKernel:
    """A kernel as a driver calls it: ``entry(parallel, geometry, *arrays)``.

    Parameters
    ----------
    entry : callable
        Takes one array for each input of the region, then one for each output.
    geometry : ndarray
        Sizes, offsets and strides.
    parallel : int
        Address of the function that divides the work among threads; 0 where one thread is faster.
    source : str
        What was compiled.
    runs : tuple of int
        The addresses of its phases, for loops in native code.
    """

    entry: Callable[..., None]
    geometry: Any
    parallel: int = 0
    source: str = ""
    runs: tuple[int, ...] = ()


def load_kernel(region: Region) -> LoadedKernel:
    """Compile the kernel of a region, or find it in the cache."""
    (kernel,) = load_kernels([region])
    return kernel


def load_kernels(
    regions: Sequence[Region], written: Sequence[Source] = ()
) -> tuple[LoadedKernel, ...]:
    """Compile the kernels of regions, several at once, or find them in the cache.

    With them those that were `written` by hand, which `load_written` finds then.
    """
    # Not at the top: kernels bring numba along, which `import hybrid` does without.
    from hybrid.kernels.kernel import kernels_of

    return tuple(
        LoadedKernel(
            kernel.call,
            geometry,
            _driver() if kernel.worth_parallel(geometry) else 0,
            kernel.source,
            kernel.runs,
        )
        for kernel, geometry in kernels_of(regions, written)
    )


def load_written(source: Source, geometry: Geometry) -> LoadedKernel:
    """Load a kernel that was written by hand."""
    from hybrid.kernels.handwritten import loaded
    from hybrid.kernels.spec import PARALLEL_NS

    call, runs = loaded(source)
    parallel = _driver() if geometry[0] >= PARALLEL_NS else 0
    return LoadedKernel(call, geometry, parallel, source.text, runs)


def _driver() -> int:
    from hybrid.kernels.parallel import driver_address

    return driver_address()
