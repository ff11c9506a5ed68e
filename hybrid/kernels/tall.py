"""Products with long sums and small results, such as a Hessian from thousands of samples.

BLAS packs both operands, each number for but a few multiply-adds, and there are too few rows and
columns to divide among threads; its own threads spin for a tenth of a second afterwards, on the
processors of the kernels that come next. Here the sums are cut into parts of one length, whatever
the number of threads is; each part is added up in registers, from operands as they lie, and then
the parts in their order.
"""

from __future__ import annotations

import functools
import operator

import numpy as np

from hybrid.core.layout import Layout
from hybrid.kernels.handwritten import geometry, tiled_source
from hybrid.kernels.limits import RATE, lanes_of, registers, takes, vectors_across
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source

# Numbers that are added up one by one; of both operands so many rows lie in the second-level cache.
_PART = 256
# Parts from which on there are enough for all threads.
_PARTS = 8
# Rows and columns of the result, at most: for more BLAS is as fast.
_MOST = 64
# Vectors in a row of a block.
_VECTORS = (4, 3, 2, 1)
# Results that are computed for each that is wanted, at most.
_WASTE = 1.25

_SLOTS = (
    "parts",
    "lines",
    "rows",
    "panels",
    "columns",
    "inner",
    "row_one",
    "inner_one",
    "inner_other",
)

# A last block that would go beyond the end begins earlier: what it shares with the one before is
# computed twice, by the same thread.
_TEXT = """# product by parts, in blocks of {rows_} rows by {vectors} vectors of {lanes} {dtype}
geometry_pointer = operand(0, "int64", "geometry")
one_pointer = operand(1, "{dtype}", "one")
other_pointer = operand(2, "{dtype}", "other")
out_pointer = operand(3, "{dtype}", "out", clear_of=("one", "other", "added"))
added_pointer = operand(4, "{dtype}", "added", clear_of=("one", "other"))
tile = product_tile("{dtype}", {rows_}, {vectors}, {lanes})


def {name}_run(args, lo, hi):
    geometry, one, other = geometry_pointer(args), one_pointer(args), other_pointer(args)
    added = added_pointer(args)
{unpack}
    for part in range(lo, hi):
        begin = part * inner // parts
        count = (part + 1) * inner // parts - begin
        for panel in range(panels):
            column = min(panel * {block}, columns - {block})
            for line in range(lines):
                row = min(line * {rows_}, rows - {rows_})
                tile(
                    one, begin * inner_one + row * row_one, row_one, inner_one, count,
                    other, begin * inner_other + column, inner_other,
                    added, (part * rows + row) * columns + column, columns,
                )


def {name}_add(args, lo, hi):
    geometry, out, added = geometry_pointer(args), out_pointer(args), added_pointer(args)
{unpack}
    for row in range(lo, hi):
        for j in range(row * columns, (row + 1) * columns):
            store(out, j, load(added, j))
        for part in range(1, parts):
            for j in range(row * columns, (row + 1) * columns):
                store(out, j, load(out, j) + load(added, part * rows * columns + j))
"""


@functools.cache
def _source(dtype: str, rows: int, vectors: int) -> Source:
    return tiled_source("tall", _TEXT, _SLOTS, 3, dtype, (rows, vectors), phases=("run", "add"))


def _block(rows: int, vectors: int) -> tuple[int, int]:
    """Rows of a block, and how many there are: of those that fill the registers the fewest."""
    most = min(registers()[1] // vectors, rows)
    lines = -(-rows // most)
    return -(-rows // lines), lines


def tall_kernel(
    one: Layout, other: Layout, out: Layout, dtype: np.dtype[np.generic]
) -> tuple[Source, Geometry] | None:
    """Return what multiplies two matrices, and the numbers it is given; None where BLAS is faster.

    Parameters
    ----------
    one, other, out : Layout
        How the operands lie, from the address of the first element of each, and the result.
    dtype : dtype
        Of all three.
    """
    if not takes(dtype) or len(one.shape) != 2 or len(other.shape) != 2 or not out.is_contiguous:
        return None
    (rows, inner), columns = one.shape, other.shape[1]
    if inner < _PART * _PARTS or rows > _MOST or columns > _MOST or other.strides[1] != 1:
        return None
    lanes = lanes_of(dtype)
    vectors = vectors_across(columns, lanes, _VECTORS)
    if not vectors:
        return None
    panels = -(-columns // (vectors * lanes))
    high, lines = _block(operator.index(rows), vectors)
    if panels * vectors * lanes * high * lines > _WASTE * rows * columns:
        return None
    parts = inner // _PART
    values = {
        "parts": parts,
        "lines": lines,
        "rows": rows,
        "panels": panels,
        "columns": columns,
        "inner": inner,
        "row_one": one.strides[0],
        "inner_one": one.strides[1],
        "inner_other": other.strides[0],
    }
    cost = rows * columns * inner * dtype.itemsize // (4 * RATE)
    added = parts * rows * columns * dtype.itemsize
    return _source(dtype.name, high, vectors), geometry(cost, added, (parts, rows), _SLOTS, values)
