"""Hashes that name kernels and their entries on disk.

``hashlib`` loads OpenSSL, 6 ms of an import: it is asked for with the first kernel.
"""

from __future__ import annotations

SIZE = 32  # bytes


def digest(*parts: bytes) -> bytes:
    """The SHA-256 of some bytes, one after the other."""
    import hashlib

    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.digest()
