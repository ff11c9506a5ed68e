"""Memory for the temporaries of Plans, kept between calls: of large ones only so much in all.

A Plan keeps the workspace of each thread that was in it, so that no call allocates. A function may
have hundreds of Plans, though, one for each signature, size and layout.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np

Workspace = tuple[Any, ...]

# Smaller ones are kept whatever they are in all: what a function has of traces is bounded.
LARGE = 1 << 20
# At most so much is kept that nobody uses; but always the workspace that was used last.
KEPT = 1 << 30

SMALLEST = 1 << 12

_lock = threading.RLock()  # the garbage collector may come by while it is held
# By the identity of a workspace, oldest first.
_idle: OrderedDict[int, weakref.ref[LargePool]] = OrderedDict()
_bytes = 0


def new_pool(nbytes: int) -> list[Workspace] | LargePool:
    """Return where a Plan puts its workspaces, of `nbytes` each, and takes them from.

    Both kinds have ``append``, and a ``pop`` that raises IndexError.
    """
    return LargePool(nbytes) if nbytes >= LARGE else []


def kept() -> int:
    """How many bytes of large workspaces are kept that nobody uses."""
    return _bytes


class SharedPools:
    """Memory for the temporaries of calls that come with ever new sizes, kept for the next ones.

    A fresh arena would cost its page faults at each call: of 300 KB, some 0.1 milliseconds.
    """

    __slots__ = ("_pools",)

    def __init__(self) -> None:
        self._pools: dict[int, list[Workspace] | LargePool] = {}

    def take(self, nbytes: int) -> tuple[Any, list[Workspace] | LargePool]:
        """Return an array of at least so many bytes, and the pool to give it back to, in a tuple.

        Its size is the next power of two, so that there are few pools; what no size reaches is
        never touched.
        """
        size = 1 << max(nbytes - 1, SMALLEST - 1).bit_length()
        pool = self._pools.get(size)
        if pool is None:
            pool = self._pools.setdefault(size, new_pool(size))
        try:
            (raw,) = pool.pop()
        except IndexError:
            raw = np.empty(size, np.uint8)
        return raw, pool


class LargePool:
    """The idle workspaces of one Plan, which may be taken away from it.

    Parameters
    ----------
    nbytes : int
        Of each workspace.
    """

    __slots__ = ("__weakref__", "_mine", "_nbytes")

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._mine: dict[int, Workspace] = {}

    def append(self, workspace: Workspace) -> None:
        """Give a workspace back; those used least recently go where it is too much."""
        global _bytes
        with _lock:
            self._mine[id(workspace)] = workspace
            _idle[id(workspace)] = weakref.ref(self)
            _bytes += self._nbytes
            while _bytes > KEPT and len(_idle) > 1:
                oldest, pool = next(iter(_idle.items()))
                alive = pool()
                if alive is None:  # it is about to be gone, and will say what that frees
                    _idle.pop(oldest)
                else:
                    alive._forget(oldest)

    def pop(self) -> Workspace:
        """Take the workspace that was used last.

        Raises
        ------
        IndexError
            Where there is none.
        """
        with _lock:
            if not self._mine:
                raise IndexError
            return self._forget(next(reversed(self._mine)))

    def __del__(self) -> None:
        with _lock:
            for key in list(self._mine):
                self._forget(key)

    def _forget(self, key: int) -> Workspace:
        global _bytes
        workspace = self._mine.pop(key)
        _idle.pop(key, None)
        _bytes -= self._nbytes
        return workspace
