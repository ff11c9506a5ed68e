"""Which reductions read elements that many results share, and how many are in a tile at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import numpy as np

from hybrid.kernels.loops import Loop
from hybrid.kernels.spec import Operand

# Results in registers at a time, at most; stretches of results are no shorter.
LANES = 64
# Reductions of more elements fill vectors, and the cache, by themselves.
_ELEMENTS = 512
# A tile is worth filling if it serves this many results of a place.
_SHARES = 8
# Bytes of the tiles of an item: half of a first-level cache.
_BYTES = 1 << 14


def shared_loops(kept: list[Loop], reduced: list[Loop], outputs: int) -> int:
    """In how many loops around neighbouring results the elements that they reduce are the same.

    The last of the kept loops is that over the neighbours. 0 if there is too little to share.
    """
    if len(kept) < 2 or len(reduced) != 1:
        return 0
    far = reduced[0].strides
    if kept[-1].size < LANES or reduced[0].size > _ELEMENTS or any(far[len(far) - outputs :]):
        return 0
    tiled = [number for number, near in enumerate(kept[-1].strides) if near and far[number]]
    around = itertools.takewhile(
        lambda loop: not any(loop.strides[number] for number in tiled), reversed(kept[:-1])
    )
    sizes = [loop.size for loop in around]
    return len(sizes) if tiled and math.prod(sizes) >= _SHARES else 0


def tile_length(inputs: Iterable[Operand], rows: int) -> int:
    """How many results a tile serves that has `rows` elements for each of them."""
    tiled = (x for x in inputs if x.inner != "0" and not x.outer)
    width = rows * sum(np.dtype(x.dtype).itemsize for x in tiled)
    return max(2 * LANES, _BYTES // width // LANES * LANES)
