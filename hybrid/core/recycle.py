"""Memory of large results, kept for the next one.

Up to 32 MiB the C library keeps freed memory at hand, as far as it is asked to (`_keep_freed`). A
larger array is mapped anew each time and handed back to the operating system when it is freed, so
that every call pays for clearing its pages: ``x * 2 + 1`` over 10,000,000 float32 took 13.9 ms,
with its memory kept 3.3. So results of that size lie in blocks that come back here when the last
array in them is gone.
"""

from __future__ import annotations

import contextlib
from collections import deque
from math import prod
from typing import Any

import numpy as np

from hybrid.dtypes import DType

Array = np.ndarray[Any, np.dtype[Any]]

# The width of a cache line and of the widest vector registers.
ALIGNMENT = 64
# The largest that malloc of glibc keeps (DEFAULT_MMAP_THRESHOLD_MAX); below it nothing is gained.
LARGE = 32 << 20
# At most so much is kept that nobody uses.
KEPT = 256 << 20

# Blocks by size. They are given back whenever the garbage collector likes, in any thread: so there
# is no lock, and what is done to a deque is a single operation.
_free: dict[int, deque[Array]] = {}


def empty(shape: tuple[int, ...], dtype: DType) -> Array:
    """``np.empty`` for a large array, in memory used before if there is some of that size."""
    nbytes = prod(shape) * dtype.itemsize
    block = _take(nbytes + ALIGNMENT)
    # NumPy asks the kernel for huge pages.
    block = np.empty(nbytes + ALIGNMENT, np.uint8) if block is None else block
    start = -block.ctypes.data % ALIGNMENT
    return np.ndarray(shape, dtype, np.asarray(_Lease(block, start, nbytes)))


class _Lease:
    """Gives a block back when no array refers to it any more."""

    __slots__ = ("__array_interface__", "block")

    def __init__(self, block: Array, start: int, nbytes: int) -> None:
        self.block = block
        self.__array_interface__ = {
            "version": 3,
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (block.ctypes.data + start, False),
        }

    def __del__(self) -> None:
        _free.setdefault(self.block.nbytes, deque()).append(self.block)
        excess = kept() - KEPT
        for size, blocks in tuple(_free.items()):
            while excess > 0 and blocks:
                with contextlib.suppress(IndexError):  # another thread was faster
                    blocks.popleft()
                excess -= size


def _keep_freed() -> None:
    """Let the C library keep freed memory as it does once an array of 32 MiB was freed.

    That of GNU maps what is larger than the largest array that was freed so far, and hands free
    memory back when it is twice that. So statements with two results at a time had new pages each
    time: ``(x + y) * x`` over 100,000 float32 took 405 us, where it takes 71, over 1,000,000 6 ms
    instead of 1.2. What the user has set (``MALLOC_TRIM_THRESHOLD_``) holds; at most 64 MiB are
    kept. No page of the array is touched.
    """
    np.empty(LARGE - (1 << 16), np.uint8)


_keep_freed()


def kept() -> int:
    """How many bytes are kept that nobody uses."""
    return sum(size * len(blocks) for size, blocks in tuple(_free.items()))


def _take(nbytes: int) -> Array | None:
    try:
        return _free[nbytes].pop()
    except (KeyError, IndexError):
        return None
