"""Compiled kernels on disk, shared by all processes of a user.

An entry is one file, named by a hash of everything the code in it depends on. It is written under
another name and renamed, so that readers see a whole entry or none; it carries a checksum, so that
a damaged one counts as absent. A folder that cannot be written costs one warning, and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from hybrid.core.source import warn_user
from hybrid.errors import CacheWarning
from hybrid.kernels import processor
from hybrid.kernels.digest import SIZE, digest

_MAGIC = b"hybrid kernel 1\n"
_warned: set[str] = set()


def folder() -> Path | None:
    """Where entries lie: ``HYBRID_CACHE_DIR``, or the user's cache folder.

    None for a user who has no home, as in some containers.
    """
    chosen = os.environ.get("HYBRID_CACHE_DIR")
    if chosen:
        return Path(chosen)
    import platformdirs

    try:
        found = Path(platformdirs.user_cache_dir("hybrid", appauthor=False))
    except RuntimeError:
        return None
    # Older versions give the path with "~" as it is.
    return found / "kernels" if found.is_absolute() else None


@functools.cache
def fingerprint() -> bytes:
    """A hash of what compiled code depends on besides its source."""
    import numpy as np

    parts = [processor.identity()]
    parts += [_version(name) + b"\0" for name in ("numba", "llvmlite")]
    parts += [fact.encode() + b"\0" for fact in (sys.version, sys.platform, np.__version__)]
    here = os.path.dirname(__file__)
    for path in sorted(_sources(here)):
        with open(path, "rb", buffering=0) as source:  # by pathlib it takes twice the time
            parts += [path[len(here) :].encode() + b"\0", source.read()]
    return digest(*parts)


def _version(package: str) -> bytes:
    """What tells the version of a package, which is not imported for it."""
    from importlib.util import find_spec

    found = find_spec(package)
    try:
        return Path(found.origin or "").with_name("_version.py").read_bytes() if found else b""
    except OSError:
        from importlib import metadata  # it takes longer than all the rest: it parses mail headers

        return metadata.version(package).encode()


def _sources(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                yield entry.path
            elif entry.is_dir():
                yield from _sources(entry.path)


def key(text: str) -> str:
    """The name of the entry for a source text."""
    return digest(fingerprint(), text.encode()).hex()[:40]


def _path(name: str) -> Path:
    home = folder()
    if home is None:
        raise FileNotFoundError(errno.ENOENT, "this user has no home folder")
    return home / name[:2] / f"{name}.kernel"


def read(name: str) -> bytes | None:
    """The content of an entry; None if there is none, or if it is damaged."""
    try:
        data = _path(name).read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + SIZE
    payload = data[start:]
    if not data.startswith(_MAGIC) or not payload:
        return None
    if digest(payload) != data[len(_MAGIC) : start]:
        return None
    return payload


def write(name: str, payload: bytes) -> None:
    """Store an entry, in place of what may lie there."""
    import tempfile

    data = _MAGIC + digest(payload) + payload
    temporary = ""
    try:
        path = _path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        _warn(error)


def _warn(error: OSError) -> None:
    where = str(folder() or "the user's cache folder")
    if where in _warned:
        return
    _warned.add(where)
    warn_user(
        f"compiled kernels cannot be kept in {where} ({error.strerror}); every process "
        "will compile them again. Set HYBRID_CACHE_DIR to a folder that can be written.",
        CacheWarning,
    )
