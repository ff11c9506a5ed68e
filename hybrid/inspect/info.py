"""``hybrid info``: what a bug report wants to know."""

from __future__ import annotations

import platform
from pathlib import Path

from hybrid.core.op import OPS
from hybrid.kernels import cache, native, parallel
from hybrid.runtime.plan import format_bytes

_PACKAGES = ("numpy", "numba", "llvmlite", "optree", "ml_dtypes")


def info() -> str:
    """Return versions, processor, kernel cache and number of ops as lines of text.

    Examples
    --------
    >>> print(info())
    python    3...
    """
    _, cpu, features = native.cpu()
    widest = "AVX-512" if "+avx512f" in features else "AVX2" if "+avx2" in features else ""
    entries, size = cache_usage(cache.folder())
    fusable = sum(op.fusable for op in OPS.values())
    rows = {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: _version(name) for name in _PACKAGES},
        "cpu": " ".join(filter(None, (cpu, widest, f"{parallel.get_num_threads()} threads"))),
        "cache": f"{cache.folder()}: {entries} kernels, {format_bytes(size)}",
        "ops": f"{len(OPS)}, {fusable} of them fuse into kernels",
    }
    width = max(map(len, rows)) + 1
    return "\n".join(f"{name:<{width}} {text}" for name, text in rows.items())


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
