"""A compiled kernel, and the store of all kernels of this process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.core.tracelog import timed
from hybrid.kernels import cache, cpu, native
from hybrid.kernels.entry import callable_of
from hybrid.kernels.loopnest import canonical
from hybrid.kernels.region import Region
from hybrid.kernels.spec import Geometry, KernelSpec
from hybrid.kernels.texts import Source
from hybrid.records import dataclass

Loaded = tuple[Callable[..., None], tuple[int, ...], bool]


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
_written: dict[str, Loaded] = {}
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
        _written.clear()
        _stats = Stats()


def kernel_of(region: Region) -> tuple[Kernel, Geometry]:
    """The kernel for a region, and the geometry to call it with."""
    ((kernel, geometry),) = kernels_of([region])
    return kernel, geometry


def kernels_of(
    regions: Sequence[Region], written: Sequence[Source] = ()
) -> list[tuple[Kernel, Geometry]]:
    """The kernel for each region, and the geometry to call it with.

    From this process, from disk, or compiled now: those that are not there yet all at once, and
    with them the sources that were `written` by hand, which :func:`load` then finds.
    """
    pairs = [canonical(region) for region in regions]
    kernels = kernels_for([spec for spec, _ in pairs], written)
    return [(kernel, geometry) for kernel, (_, geometry) in zip(kernels, pairs, strict=True)]


def kernels_for(specs: Sequence[KernelSpec], written: Sequence[Source] = ()) -> list[Kernel]:
    """The kernels for specifications; those that are not there yet are made all at once.

    With them the sources that were `written` by hand, which :func:`load` then finds.
    """
    global _stats
    by_hand = {source.name: source for source in written if source.name not in _written}
    if by_hand or not all(spec in _kernels for spec in specs):
        with _lock:
            sources = {spec: cpu.source(spec) for spec in specs if spec not in _kernels}
            loaded = _load_all([*sources.values(), *by_hand.values()])
            made = loaded[: len(sources)]
            for (spec, source), (call, runs, found) in zip(sources.items(), made, strict=True):
                _kernels[spec] = Kernel(spec, source.name, source.text, call, found, runs)
            for name, one in zip(by_hand, loaded[len(sources) :], strict=True):
                _written.setdefault(name, one)
            _stats = replace(_stats, hits=_stats.hits - len(sources))
    _stats = replace(_stats, hits=_stats.hits + len(specs))
    return [_kernels[spec] for spec in specs]


def load(source: Source) -> Loaded:
    """The entry point of source written by hand, its trampolines, whether its code was on disk."""
    found = _written.get(source.name)
    if found is None:
        # No lock, which a fork could leave held: two threads at worst load the same code twice.
        found = _written.setdefault(source.name, _load_all([source])[0])
    return found


def _load_all(sources: Sequence[Source]) -> list[Loaded]:
    keys = [cache.key(source.text) for source in sources]
    codes = [cache.read(key) for key in keys]
    missing = [source for source, code in zip(sources, codes, strict=True) if code is None]
    with _compiler(missing) as compiled:
        return [
            _load(source, key, code, compiled)
            for source, key, code in zip(sources, keys, codes, strict=True)
        ]


def _compiler(
    sources: Sequence[Source],
) -> AbstractContextManager[Callable[[Source], bytes]]:
    if not sources:
        return nullcontext(_not_missing)
    from hybrid.kernels import compiling

    return compiling.compiled(sources)


def _not_missing(source: Source) -> bytes:
    raise AssertionError(f"{source.name} is on disk")


def _load(
    source: Source, key: str, code: bytes | None, compiled: Callable[[Source], bytes]
) -> Loaded:
    global _stats
    found = code is not None
    with timed("kernel", source.name) as entry:
        started = time.perf_counter()
        if code is None:
            code = compiled(source)
            elapsed = time.perf_counter() - started
            _stats = replace(
                _stats,
                compiled=_stats.compiled + 1,
                compile_seconds=_stats.compile_seconds + elapsed,
            )
            cache.write(key, code)
            started = time.perf_counter()
        address = native.load_object(code)
        runs = tuple(address(f"{phase}_run") for phase in source.phases)
        call = callable_of(source.name, source.arrays, runs)
        elapsed = time.perf_counter() - started
        if found:
            _stats = replace(
                _stats, loaded=_stats.loaded + 1, load_seconds=_stats.load_seconds + elapsed
            )
        entry.text += ": was on disk" if found else ": compiled"
    return call, runs, found
