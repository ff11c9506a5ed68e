"""A compiled kernel, and the store of all kernels of this process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.core.tracelog import timed
from hybrid.kernels import cache, cpu
from hybrid.kernels.loopnest import canonical
from hybrid.kernels.region import Region
from hybrid.kernels.spec import Geometry, KernelSpec
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """Compiled code for a KernelSpec.

    Attributes
    ----------
    spec
        What it was made from.
    name
        Unique name.
    source
        The generated Python source.
    call
        The compiled entry point, ``call(par, geometry, *inputs, *outputs)``. ``par`` is 0 for a
        serial run, else ``parallel.driver_address()``. Arguments must be plain ndarrays of the
        dtypes in the spec, the geometry one that ``canonical`` gave with this spec: nothing but
        their number and type is checked.
    from_disk
        Whether it was loaded rather than compiled.
    runs
        The addresses of its trampolines ``void run(pack, lo, hi)``, one a phase.
    """

    spec: KernelSpec
    name: str
    source: str
    call: Callable[..., None]
    from_disk: bool
    runs: tuple[int, ...] = ()

    def __call__(self, par: int, geometry: Geometry, *arrays: np.ndarray[Any, Any]) -> None:
        self.call(par, geometry, *arrays)

    def worth_parallel(self, geometry: Geometry) -> bool:
        """Whether a run of this size should be divided among threads."""
        return self.spec.worth_parallel(geometry)

    def assembly(self) -> str:
        """The kernel's assembly (compiled anew for the purpose)."""
        from hybrid.kernels import build

        return build.assembly(cpu.source(self.spec))


@dataclass(frozen=True, slots=True)
class Stats:
    """What the kernel store has done in this process."""

    compiled: int = 0
    loaded: int = 0
    hits: int = 0
    compile_seconds: float = 0.0
    load_seconds: float = 0.0


_kernels: dict[KernelSpec, Kernel] = {}
_lock = threading.RLock()
_stats = Stats()


def _after_fork() -> None:
    # Another thread of the parent may have held the lock; it does not exist here.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def stats() -> Stats:
    """Counters of compiled kernels, of those loaded from disk and of repeated requests."""
    return _stats


def clear() -> None:
    """Forget all kernels of this process and reset the counters; the disk is left alone."""
    global _stats
    with _lock:
        _kernels.clear()
        _stats = Stats()


def kernel_for(spec: KernelSpec) -> Kernel:
    """The kernel for a specification: from this process, from disk, or compiled now."""
    global _stats
    kernel = _kernels.get(spec)
    if kernel is not None:
        _stats = replace(_stats, hits=_stats.hits + 1)
        return kernel
    with _lock:
        kernel = _kernels.get(spec)
        if kernel is None:
            kernel = _kernels[spec] = _obtain(spec)
        return kernel


def kernel_of(region: Region) -> tuple[Kernel, Geometry]:
    """The kernel for a region, and the geometry to call it with."""
    spec, geometry = canonical(region)
    return kernel_for(spec), geometry


def _obtain(spec: KernelSpec) -> Kernel:
    source = cpu.source(spec)
    call, runs, found = load(source)
    return Kernel(spec, source.name, source.text, call, found, runs)


def load(source: cpu.Source) -> tuple[Callable[..., None], tuple[int, ...], bool]:
    """The entry point of compiled source, its trampolines, and whether its code was on disk.

    Each call makes another one: keep it.
    """
    with timed("kernel", source.name) as entry:
        call, runs, found = _load(source)
        entry.text += ": was on disk" if found else ": compiled"
    return call, runs, found


def _load(source: cpu.Source) -> tuple[Callable[..., None], tuple[int, ...], bool]:
    global _stats
    key = cache.key(source.text)
    started = time.perf_counter()
    code = cache.read(key)
    found = code is not None
    if code is None:
        from hybrid.kernels import build

        code = build.build(source)
        elapsed = time.perf_counter() - started
        _stats = replace(
            _stats,
            compiled=_stats.compiled + 1,
            compile_seconds=_stats.compile_seconds + elapsed,
        )
        cache.write(key, code)
        started = time.perf_counter()
    from hybrid.kernels import native

    entry = f"{source.name}_call"
    address = native.load_object(code)
    call = native.python_callable(address(entry), source.name)
    runs = tuple(address(f"{phase}_run") for phase in source.phases)
    elapsed = time.perf_counter() - started
    if found:
        _stats = replace(
            _stats, loaded=_stats.loaded + 1, load_seconds=_stats.load_seconds + elapsed
        )
    return call, runs, found
