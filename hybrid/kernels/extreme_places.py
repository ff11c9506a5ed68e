"""Where the largest or smallest element of each row is: the place that NumPy's ``argmax`` gives.

A NaN is more extreme than any number; of several the first counts. Rows of 2,000 x 2,000 float32 on
one thread: 0.25 ms, where their means take 0.21 and NumPy 0.31.
"""

from __future__ import annotations

import functools
from math import prod

import numpy as np

from hybrid.core.layout import Layout
from hybrid.kernels.handwritten import Array, geometry, run, source_of
from hybrid.kernels.limits import lanes_of
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source

# Elements of an item at most; longer rows are several.
_ITEM = 1 << 14
# Elements that are worth threads, and a row: a block of bytes at least.
_MANY, _LONG = 1 << 16, 256
# Bytes that are compared in a nanosecond.
_SPEED = 64
# Vectors of a block: of 8, rows of 2,000 take 0.30 ms instead of 0.26.
_VECTORS = 4

_SLOTS = ("size", "pieces")
_NUMBERS = ("int32", "int64", "uint8", "float32", "float64")

# Rows that are one item each do without divisions, and without reading their extremes again, which
# the caches have lost by then: 0.25 ms instead of 0.31 for 2,000 x 2,000 float32.
_TEXT = """# where the {what} {dtype} of each row is
geometry_pointer = operand(0, "int64", "geometry")
x_pointer = operand(1, "{dtype}", "x")
out_pointer = operand(2, "int64", "out", clear_of=("x",))
found_pointer = operand(3, "int64", "found", clear_of=("x",))
search = first_extreme("{dtype}", {largest}, {vectors}, {lanes})
to_int = cast_to("int32")
nowhere = int32(2147483647)
to_index = cast_to("int64")


def {name}_find(args, lo, hi):
    geometry, x, found = geometry_pointer(args), x_pointer(args), found_pointer(args)
{unpack}
    for item in range(lo, hi):
        row, start, stop = item * size, 0, size
        if pieces > 1:
            piece = item % pieces
            row = item // pieces * size
            start, stop = piece * size // pieces, (piece + 1) * size // pieces
        place = search(x, row + start, stop - start)
        if place < 0:
            first = nowhere
            for j in range(stop - start):
                value = load(x, row + start + j)
                first = min(first, select(value != value, to_int(j), nowhere))
            place = to_index(first)
        store(found, item, start + place)


def {name}_join(args, lo, hi):
    geometry, x, out = geometry_pointer(args), x_pointer(args), out_pointer(args)
    found = found_pointer(args)
{unpack}
    for row in range(lo, hi):
        place = load(found, row * pieces)
        if pieces > 1:
            best = load(x, row * size + place)
            for piece in range(1, pieces):
                other = load(found, row * pieces + piece)
                value = load(x, row * size + other)
                better = not_(value {order} best) & (best == best)
                best, place = select(better, value, best), select(better, other, place)
        store(out, row, place)
"""


@functools.cache
def _source(dtype: str, largest: bool) -> Source:
    words = {
        "what": "largest" if largest else "smallest",
        "largest": largest,
        "vectors": _VECTORS,
        "lanes": lanes_of(dtype),
        "order": "<=" if largest else ">=",
    }
    return source_of("place", _TEXT, ("find", "join"), _SLOTS, 2, dtype=dtype, **words)


def takes(size: int, row: int, dtype: np.dtype[np.generic]) -> bool:
    """Whether there is a kernel for a dtype, and enough to do in rows of a length."""
    return size >= _MANY and dtype.name in _NUMBERS and row >= _LONG


def places(x: Array, out: Array, largest: bool) -> None:
    """Write where the extreme of each row of `x` is.

    Parameters
    ----------
    x : ndarray
        Contiguous, with rows that `takes` takes; `out` has one element for each, however many axes
        these have.
    out : ndarray
        Contiguous, of int64.
    largest : bool
        Whether the largest is looked for, or the smallest.
    """
    run(*_of_rows(out.size, x.size // out.size, x.dtype, largest), x, out)


def _of_rows(
    rows: int, size: int, dtype: np.dtype[np.generic], largest: bool
) -> tuple[Source, Geometry]:
    pieces = -(-size // _ITEM)
    values = {"size": size, "pieces": pieces}
    cost = rows * size * dtype.itemsize // _SPEED
    numbers = geometry(cost, 8 * rows * pieces, [rows * pieces, rows], _SLOTS, values)
    return _source(dtype.name, largest), numbers


# --- in native loops ------------------------------------------------------------------------------

# Elements at most that are compared one by one where rows are long.
_FEW = 1 << 14
_FEW_SLOTS = ("first", "rows", "row_step", "size", "step")

_FEW_TEXT = """# where the {what} {dtype} of each short row is
geometry_pointer = operand(0, "int64", "geometry")
x_pointer = operand(1, "{dtype}", "x")
out_pointer = operand(2, "int64", "out", clear_of=("x",))


def {name}_run(args, lo, hi):
    geometry, x, out = geometry_pointer(args), x_pointer(args), out_pointer(args)
{unpack}
    for row in items(0, rows):
        at = first + row * row_step
        best, place = load(x, at), 0
        for j in range(1, size):
            value = load(x, at + j * step)
            better = (value {order} best) | ((value != value) & (best == best))
            best, place = select(better, value, best), select(better, j, place)
        store(out, row, place)
"""


@functools.cache
def _few_source(dtype: str, largest: bool) -> Source:
    what, order = ("largest", ">") if largest else ("smallest", "<")
    words = {"dtype": dtype, "what": what, "order": order}
    return source_of("few_places", _FEW_TEXT, ("run",), _FEW_SLOTS, 2, **words)


def place_kernel(
    x: Layout, dtype: np.dtype[np.generic], row: int, largest: bool
) -> tuple[Source, Geometry] | None:
    """Return the kernel of an array, in rows of so many elements, and what to call it with.

    It is given the array's memory from offset 0 on, and int64 places in order. None where there is
    no kernel, or NumPy's is much better.
    """
    size = prod(x.shape)
    if not size or dtype.name not in _NUMBERS:
        return None
    if row >= _LONG and x.is_contiguous and not x.offset:
        return _of_rows(size // row, row, dtype, largest)
    lying = x.reshape((size // row, row))
    if lying is None or (row >= _LONG and size > _FEW):
        return None
    (rows, _), (row_step, step) = lying.shape, lying.strides
    values = {"first": lying.offset, "rows": rows, "row_step": row_step, "size": row, "step": step}
    return _few_source(dtype.name, largest), geometry(size, 0, [1], _FEW_SLOTS, values)
