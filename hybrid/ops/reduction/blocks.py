"""Blocks of a large array that stay in a cache: what is reduced twice is then read once.

A variance needs the mean first, a softmax the maximum. Where the elements that belong together are
more than a cache holds, they would come from memory twice. So each block is reduced on its own,
both times while it is at hand, and then the results of the blocks, which are few.
"""

from __future__ import annotations

from itertools import accumulate
from math import prod

from hybrid.core.spec import Shape
from hybrid.core.tensor import Tensor
from hybrid.ops._axes import Axes
from hybrid.ops.reshaping import reshape
from hybrid.records import dataclass

CACHE = 1 << 20  # bytes of a core's own cache, about
BLOCK = 1 << 18  # bytes of a block
WIDTH = 1024  # neighbouring results that a kernel has at once, at most
LEAST = 16  # steps of a loop over a block
FEW = 8  # blocks: with fewer, threads have nothing to share


@dataclass(frozen=True, slots=True)
class Blocked:
    """An array with one of its axes cut in two.

    Attributes
    ----------
    x : Tensor
    inner, outer : tuple of int
        The axes of a block, and those that count the blocks.
    size : int
        The elements of a block that belong together.
    kept : shape
        What the reduction of all leaves, with axes of size 1.
    """

    x: Tensor
    inner: Axes
    outer: Axes
    size: int
    kept: Shape


def blocked(x: Tensor, axis: Axes) -> Blocked | None:
    """Cut an array into blocks for a reduction along `axis`; None where that gains nothing."""
    axes = sorted(axis)
    if not axes or not x.size:
        return None
    shape, width = x.shape, x.dtype.itemsize
    run = min(prod(shape[axes[-1] + 1 :]), WIDTH)
    if prod(shape[a] for a in axes) * run * width <= CACHE:
        return None
    room = max(BLOCK // (width * run), 1)
    # From the last axis on, those that are whole in a block, and then the one that is cut.
    sizes = list(accumulate((shape[a] for a in reversed(axes)), lambda a, b: a * b))
    whole = sum(size <= room for size in sizes)
    if whole == len(axes):
        return None
    taken = sizes[whole - 1] if whole else 1
    cut = axes[len(axes) - whole - 1]
    part = _divisor(shape[cut], room // taken)
    blocks = prod(shape[a] for a in axes) // (part * taken)
    if part * taken < LEAST or blocks < FEW:
        return None
    apart = reshape(x, (*shape[:cut], shape[cut] // part, part, *shape[cut + 1 :]))
    inner = tuple(a + 1 for a in axes[len(axes) - whole - 1 :])
    outer = tuple(axes[: len(axes) - whole])
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    return Blocked(apart, inner, outer, part * taken, kept)


def _divisor(n: int, most: int) -> int:
    """Return the largest divisor of `n` that is at most `most`."""
    return next(d for d in range(min(n, most), 0, -1) if n % d == 0)
