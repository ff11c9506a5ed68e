"""Products of matrices with short sums: blocks of the result in registers.

BLAS packs both operands, in blocks that suit matrices of thousands of rows; where sums are short,
or the result is narrow, that is a good part of its time. Here the second operand is packed once, in
panels as wide as a block; a band of rows of the first, as it lies, is multiplied by one after the
other. Each result is one chain of fused multiply-adds in the order of the sum, whatever the blocks
and threads are; so was OpenBLAS's in all shapes tried but one, which is left to it.
"""

from __future__ import annotations

import functools

import numpy as np

from hybrid.core.layout import Layout
from hybrid.kernels.handwritten import geometry, tiled_source
from hybrid.kernels.limits import RATE, lanes_of, registers, takes, vectors_across
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source

# Numbers that are added up and columns of the result, at most, and rows, at least: for others BLAS
# is as fast.
_INNER, _COLUMNS, _ROWS = 256, 1024, 96
# Multiplications from which on BLAS takes longer than it takes to be called.
_LEAST = 1 << 17
# Columns that are computed for each that is wanted, at most.
_WASTE = 1.125
# Vectors in a row of a block, and blocks of a band.
_VECTORS = (4, 3, 2)
_BLOCKS = 4

_SLOTS = (
    "bands",
    "blocks",
    "rows",
    "columns",
    "inner",
    "panels",
    "row_one",
    "inner_one",
    "row_step",
    "column_step",
)

# A last panel, and a last block, that would go beyond the end begin earlier: what they share with
# those before is computed twice, by the same thread or with nobody else who writes it.
_TEXT = """# product in blocks of {rows_} rows by {vectors} vectors of {lanes} {dtype}
geometry_pointer = operand(0, "int64", "geometry")
one_pointer = operand(1, "{dtype}", "one")
other_pointer = operand(2, "{dtype}", "other")
out_pointer = operand(3, "{dtype}", "out", clear_of=("one", "packed"))
packed_pointer = operand(4, "{dtype}", "packed", clear_of=("other",))
tile = product_tile("{dtype}", {rows_}, {vectors}, {lanes})
turn = turned_tile("{dtype}", {lanes})


def {name}_pack(args, lo, hi):
    geometry, other, packed = geometry_pointer(args), other_pointer(args), packed_pointer(args)
{unpack}
    for panel in items(lo, hi):
        first = min(panel * {block}, columns - {block}) * column_step
        to = panel * inner * {block}
{pack_other}


def {name}_run(args, lo, hi):
    geometry, one, out = geometry_pointer(args), one_pointer(args), out_pointer(args)
    packed = packed_pointer(args)
{unpack}
    for band in range(lo, hi):
        for panel in range(panels):
            column = min(panel * {block}, columns - {block})
            base = panel * inner * {block}
            for block in range(band * blocks // bands, (band + 1) * blocks // bands):
                row = min(block * {rows_}, rows - {rows_})
                tile(
                    one, row * row_one, row_one, inner_one, inner,
                    packed, base, {block}, out, row * columns + column, columns,
                )
"""


@functools.cache
def _source(dtype: str, vectors: int) -> Source:
    tile = registers()[1] // vectors, vectors
    return tiled_source("product", _TEXT, _SLOTS, 3, dtype, tile)


def panel_kernel(
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
    if inner > _INNER or columns > _COLUMNS or rows < _ROWS or rows * inner * columns < _LEAST:
        return None
    lanes = lanes_of(dtype)
    vectors = vectors_across(columns, lanes, _VECTORS)
    if not vectors:
        return None
    panels, blocks = -(-columns // (vectors * lanes)), -(-rows // (registers()[1] // vectors))
    if panels * vectors * lanes > _WASTE * columns:
        return None
    values = {
        "bands": blocks // _BLOCKS,
        "blocks": blocks,
        "rows": rows,
        "columns": columns,
        "inner": inner,
        "panels": panels,
        "row_one": one.strides[0],
        "inner_one": one.strides[1],
        "row_step": other.strides[0],
        "column_step": other.strides[1],
    }
    cost = rows * columns * inner * dtype.itemsize // (4 * RATE)
    packed = panels * vectors * lanes * inner * dtype.itemsize
    items = panels, blocks // _BLOCKS
    return _source(dtype.name, vectors), geometry(cost, packed, items, _SLOTS, values)
