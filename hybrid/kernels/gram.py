"""Products of a matrix with few columns and its own transpose, on the threads of kernels.

NumPy has BLAS compute one half and copies the other from it, element by element, which for few
columns takes as long as the half. Here the whole is computed in blocks, like any product, and then
one half is copied from the other, tile by tile, so that the result is symmetric whatever the blocks
are. That takes as long, but BLAS's own threads wait for each other for milliseconds where another
process has one of the processors: a function of such a product of 1,000 x 32 float32 took 12 to 25
ms on a busy machine, 1.2 to 3.3 so; on an idle one 0.6 either way.
"""

from __future__ import annotations

import functools

import numpy as np

from hybrid.kernels.cpu import Source
from hybrid.kernels.handwritten import Array, geometry, run, source_of
from hybrid.kernels.parallel import get_num_threads
from hybrid.kernels.products import multiply

# Bytes of a row up to which twice the products take no more than copying by NumPy.
_ROW = 256
# Rows and columns of what is copied at a time: two such tiles lie in a first-level cache.
_TILE = 32
# Nanoseconds for an element that is copied.
_COPYING = 0.3

_SLOTS = ("size", "tiles", "tile")

# An item copies the tiles right of the diagonal in one row of tiles, and those in the row that is
# as far from the last as this one from the first: together they are as many for each item.
_TEXT = """# what is left of the diagonal of {dtype} from what is right of it
geometry_pointer = operand(0, "int64", "geometry")
out_pointer = operand(1, "{dtype}", "out")


def {name}_run(args, lo, hi):
    geometry, out = geometry_pointer(args), out_pointer(args)
{unpack}
    for item in range(lo, hi):
        for end in range(2):
            row = item + end * (tiles - 1 - 2 * item)
            if (end == 0) | (row != item):
                for column in range(row, tiles):
                    last_row = min(row * tile + tile, size)
                    last_column = min(column * tile + tile, size)
                    for j in range(column * tile, last_column):
                        for i in range(row * tile, min(last_row, j)):
                            store(out, j * size + i, load(out, i * size + j))
"""


@functools.cache
def _source(dtype: str) -> Source:
    return source_of("mirror", _TEXT, ("run",), _SLOTS, 1, dtype=dtype)


def mirror(out: Array) -> None:
    """Copy what is right of the diagonal of a contiguous square matrix to the left of it."""
    size = len(out)
    tiles = -(-size // _TILE)
    cost = int(out.size * _COPYING / 2)
    values = {"size": size, "tiles": tiles, "tile": _TILE}
    run(_source(out.dtype.name), geometry(cost, 0, [-(-tiles // 2)], _SLOTS, values), out)


def takes(columns: int, dtype: np.dtype[np.generic]) -> bool:
    """Whether products of so many columns are better computed here."""
    return columns * dtype.itemsize <= _ROW and dtype in (np.float32, np.float64)


def multiply_symmetric(numbers: Array, x: Array, turned: Array, out: Array) -> None:
    """Compute the product of a matrix and its transpose as `numbers` of a product say."""
    if get_num_threads() == 1:
        np.matmul(x, turned, out=out)
    else:
        multiply()(numbers, x, turned, out)
        mirror(out)
