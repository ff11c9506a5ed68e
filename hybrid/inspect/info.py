"""``hybrid info``: what a bug report wants to know."""

from __future__ import annotations

import platform
from pathlib import Path

from hybrid.core import cards
from hybrid.inspect.ops_page import registered
from hybrid.kernels import cache, parallel
from hybrid.kernels.cuda import toolchain
from hybrid.runtime.plan import format_bytes

_PACKAGES = ("numpy", "numba", "llvmlite", "optree", "ml_dtypes")


def info() -> str:
    """Return versions, processor, GPUs, kernel cache and number of ops as lines of text.

    Examples
    --------
    >>> print(info())
    python    3...
    """
    from hybrid.kernels import engine

    _, cpu, features = engine.cpu()
    widest = "AVX-512" if "+avx512f" in features else "AVX2" if "+avx2" in features else ""
    ops = registered()
    rows = {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: _version(name) for name in _PACKAGES},
        "cpu": " ".join(filter(None, (cpu, widest, f"{parallel.get_num_threads()} threads"))),
        "gpu": _gpus(),
        "gpu arrays": f"CuPy {_cupy()}",
        "gpu tools": _gpu_tools(),
        "cache": _cache(),
        "ops": f"{len(ops)}, {sum(op.fusable for op in ops)} of them fuse into kernels",
    }
    width = max(map(len, rows)) + 1
    return "\n".join(f"{name:<{width}} {text}" for name, text in rows.items())


def _gpus() -> str:
    """The NVIDIA driver and its cards, or why there are none."""
    found = cards.found()
    if found.problem:
        return found.problem
    listed = (
        f"{card.name} (sm_{card.capability[0]}{card.capability[1]}, {format_bytes(card.memory)})"
        for card in found.cards
    )
    return f"{', '.join(listed)}; the driver serves CUDA {found.driver}"


def _gpu_tools() -> str:
    """What GPU kernels are compiled with, or what is missing."""
    missing = toolchain.missing()
    if missing:
        return f"not installed: {', '.join(missing)}"
    return ", ".join(f"{name} {version}" for name, version in toolchain.versions())


def _cupy() -> str:
    """The version of CuPy, whatever CUDA its package is for."""
    versions = [_version(f"cupy{suffix}") for suffix in ("-cuda13x", "-cuda12x", "")]
    return next((v for v in versions if v != "not installed"), "not installed")


def _cache() -> str:
    """Where kernels are kept, and how many there are."""
    folder = cache.folder()
    if folder is None:
        return "none: this user has no home folder, and HYBRID_CACHE_DIR is not set"
    entries, size = cache_usage(folder)
    return f"{folder}: {entries} kernels, {format_bytes(size)}"


def cache_usage(folder: Path) -> tuple[int, int]:
    """Return how many kernels a cache folder holds, and their bytes."""
    sizes = [path.stat().st_size for path in folder.glob("*/*.kernel")]
    return len(sizes), sum(sizes)


def _version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
