"""Products of a matrix with few columns and its own transpose: one half is computed, once.

NumPy has BLAS compute one half and copies the other from it, element by element, which for few
columns takes longer than the half; BLAS's own threads wait for each other for milliseconds where
another process has one of the processors. Here blocks of registers are added up over all columns,
band by band of rows, from the diagonal on, and then turned over to the other side of it while they
are in a core's cache. Each result is one chain of fused multiply-adds in the order of the columns:
it depends neither on blocks nor on threads, and the product is symmetric to the bit.
"""

from __future__ import annotations

import functools

import numpy as np

from hybrid.core.layout import Layout
from hybrid.kernels.handwritten import geometry, tiled_source
from hybrid.kernels.limits import RATE, lanes_of, registers, takes
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source

# Columns up to which a chain of additions is as exact as BLAS's, and panels stay in the cache.
_COLUMNS = 256
# Rows of a band: a multiple of what a block has of rows and of columns.
_BAND = 48
# Rows from which on what is computed twice, beside the diagonal, is little.
_LEAST = 4 * _BAND
# Bytes that are copied in a nanosecond.
_COPYING = 40

_SLOTS = ("bands", "panels", "size", "inner", "row_step", "column_step")

# The second operand is the matrix turned over, whose columns are the rows; it is packed in panels
# of as many as a block has columns. An item computes a band of rows, and the one that is as far
# from the last as this one from the first: together they are as long for each item. What is beyond
# the last row is computed from rows before it once more.
_TEXT = """# {dtype} by its own transpose, in blocks of {rows_} rows by {vectors} vectors of {lanes}
geometry_pointer = operand(0, "int64", "geometry")
x_pointer = operand(1, "{dtype}", "x")
out_pointer = operand(2, "{dtype}", "out", clear_of=("x", "packed"))
packed_pointer = operand(3, "{dtype}", "packed", clear_of=("x",))
tile = product_tile("{dtype}", {rows_}, {vectors}, {lanes})
turn = turned_tile("{dtype}", {lanes})


def {name}_pack(args, lo, hi):
    geometry, x, packed = geometry_pointer(args), x_pointer(args), packed_pointer(args)
{unpack}
    for panel in items(lo, hi):
        first = min(panel * {block}, size - {block}) * column_step
        to = panel * inner * {block}
{pack_x}


def {name}_run(args, lo, hi):
    geometry, x, out = geometry_pointer(args), x_pointer(args), out_pointer(args)
    packed = packed_pointer(args)
{unpack}
    for item in range(lo, hi):
        for end in range(2):
            band = item + end * (bands - 1 - 2 * item)
            if (end == 0) | (band != item):
                top = band * {band}
                bottom = select(band == bands - 1, size, top + {band})
                for panel in range(top // {block}, panels):
                    to = min(panel * {block}, size - {block})
                    for line in range(top, bottom, {rows_}):
                        at = min(line, bottom - {rows_})
                        tile(
                            x, at * column_step, column_step, row_step, inner,
                            packed, panel * inner * {block}, {block}, out, at * size + to, size,
                        )
                for beyond in range(bottom, size, {lanes}):
                    to = min(beyond, size - {lanes})
                    for line in range(top, bottom, {lanes}):
                        at = min(line, bottom - {lanes})
                        turn(out, at * size + to, size, out, to * size + at, size)
"""


def _block() -> tuple[int, int]:
    """Rows, and vectors in each, of a block that fills the registers."""
    return registers()[1] // 3, 3


@functools.cache
def _source(dtype: str) -> Source:
    return tiled_source("gram", _TEXT, _SLOTS, 2, dtype, _block(), band=_BAND)


def gram_kernel(
    one: Layout, out: Layout, dtype: np.dtype[np.generic]
) -> tuple[Source, Geometry] | None:
    """Return what multiplies a matrix by its own transpose, and the numbers it is given.

    None where BLAS is as fast: for other dtypes, many columns, few rows.

    Parameters
    ----------
    one, out : Layout
        How the matrix lies, from the address of its first element, and the product.
    dtype : dtype
        Of both.
    """
    rows, columns = one.shape
    if not takes(dtype) or columns > _COLUMNS or rows < _LEAST or not out.is_contiguous:
        return None
    block = _block()[1] * lanes_of(dtype)
    panels, bands = -(-rows // block), rows // _BAND
    values = {
        "bands": bands,
        "panels": panels,
        "size": rows,
        "inner": columns,
        "row_step": one.strides[1],
        "column_step": one.strides[0],
    }
    products = rows * rows * columns // 2
    cost = products * dtype.itemsize // (4 * RATE) + rows * rows * dtype.itemsize // _COPYING
    packed = panels * block * columns * dtype.itemsize
    items = panels, (bands + 1) // 2
    return _source(dtype.name), geometry(cost, packed, items, _SLOTS, values)
