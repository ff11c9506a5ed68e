"""The machine: its threads, its name, and its ceilings of bandwidth and arithmetic."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

_THREAD_VARIABLES = (
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


# Bytes that copies move, from the caches to memory.
MOVED = (2**23, 2**24, 2**25, 2**26, 2**27, 2**29)


def limit_threads(threads: int) -> int:
    """Give every library the same number of threads; returns that number.

    To be called before NumPy is imported: OpenBLAS reads its variable once, and XLA counts the
    processors that the process may run on.
    """
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))[:threads]
        os.sched_setaffinity(0, processors)
        threads = len(processors)
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    return threads


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the numbers were taken, and what that machine could do at best.

    ``copies`` are pairs of bytes that a copy moves, read and written ones counted, and of how many
    it moves a second, from the least on: by NumPy's copy or by hybrid's, whichever is faster.
    ``gemm32`` and ``gemm64`` are operations a second.
    """

    processor: str
    system: str
    python: str
    threads: int
    copies: tuple[tuple[int, float], ...]
    gemm32: float
    gemm64: float


def measure_machine(threads: int, quick: bool = False) -> Machine:
    """Name the machine and measure its ceilings."""
    rounds = 3 if quick else 15
    return Machine(
        processor=_processor(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        threads=threads,
        copies=tuple((size, copy_rate(size // 2, threads, rounds)) for size in MOVED),
        gemm32=_gemm_rate("float32", rounds),
        gemm64=_gemm_rate("float64", rounds),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _seconds(call: Callable[[], object], rounds: int) -> float:
    call()
    samples = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return median(samples)


def copy_rate(size: int, threads: int, rounds: int) -> float:
    return max(_copy_rate(size, threads, rounds), _stream_rate(size, threads, rounds))


def _copy_rate(size: int, threads: int, rounds: int) -> float:
    import numpy as np

    sources = [np.ones(size // threads, dtype=np.uint8) for _ in range(threads)]
    targets = [np.zeros_like(source) for source in sources]
    repeats = max(1, 2**27 // size)  # long enough that handing out the work does not count

    def copy(source: Any, target: Any) -> None:
        for _ in range(repeats):
            np.copyto(target, source)

    with ThreadPoolExecutor(threads) as pool:
        seconds = _seconds(lambda: list(pool.map(copy, sources, targets)), rounds)
    return 2 * size * repeats / seconds


def _stream_rate(size: int, threads: int, rounds: int) -> float:
    """The rate of hybrid's own copy, which stores past the caches what is larger than these."""
    import numpy as np

    import hybrid as hb
    from hybrid.kernels import parallel
    from hybrid.kernels.kernel import kernel_of
    from hybrid.kernels.region import Access, Region

    hb.set_num_threads(threads)
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    access = Access("uint8", 1, 0, (1,))
    kernel, geometry = kernel_of(Region((size,), (), (access,), (), ((0, access),)))
    driver = parallel.driver_address() if threads > 1 else 0
    return 2 * size / _seconds(lambda: kernel.call(driver, geometry, source, target), rounds)


def _gemm_rate(dtype: str, rounds: int, size: int = 1024) -> float:
    import numpy as np

    left, right, out = (np.ones((size, size), dtype=dtype) for _ in range(3))
    return 2 * size**3 / _seconds(lambda: np.matmul(left, right, out=out), rounds)


def resident() -> int:
    """Bytes of memory that this process has now. Linux alone says so."""
    return _status("VmRSS")


def peak() -> int:
    """Bytes of memory that this process has had at most since :func:`forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let :func:`peak` start from now."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith(name))
    return int(found.split()[1]) * 1024
