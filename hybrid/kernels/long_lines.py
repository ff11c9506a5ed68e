"""Kernels that transform a long line in two steps, by the bits of NumPy and SciPy.

The passes over a line of so many rows by so many columns either combine the numbers of one row, or
those of one column, with roots of unity that differ from column to column. Rows are lines as
``lines.py`` has them, several at once; of columns a vector has several that lie side by side. So
each number is read twice, not once a pass, passes run in the second-level cache with all lanes of
vectors, and threads share rows and columns.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import numpy as np

from hybrid.kernels.handwritten import Array, geometry, run
from hybrid.kernels.limits import lanes_of
from hybrid.kernels.lines import (
    RATE,
    factors,
    known_radices,
    passes_over,
    roots_of_unity,
    source_of_lines,
)
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source
from hybrid.records import dataclass

# Numbers of a line that is worth two steps; and of one whose roots of unity are worth keeping.
_SHORTEST, _LONGEST = 1 << 12, 1 << 21
# Numbers of a row or a column that still lies in the second-level cache.
_MOST = 1 << 13
# Numbers of a row for each of a column.
_SHAPE = 1.0

WORDS = (
    *("blocks", "lines", "pitch", "begin", "first", "last", "passes", "roots"),
    *("ends", "middle", "apart", "swapped"),
)
"""What a transform of blocks is told, in this order, before its passes and places.

How many blocks there are, and the numbers of a lane; of the rows of what lies near how far they are
apart, and where the first begins; the first number of the first block, the most of blocks beyond
it; how many passes, and how many numbers the roots of a block are; of the real numbers how many a
row has, where the second is, and how far away they are apart; 1 where parts are swapped.
"""

_SLOTS = (
    *("lines", "length", "passes", "words", "block_roots", "pitch", "begin", "swapped"),
    *("x_at", "out_at"),
)

_HEAD = """# one long line of {dtype}, {form}, in passes by {radices}, in vectors of {lanes}
geometry_pointer = operand(0, "int64", "geometry")
passes_pointer = operand(1, "int64", "passes")
roots_pointer = operand(2, "{dtype}", "roots")
scale_pointer = operand(3, "{dtype}", "scale")
x_pointer = operand(4, "{dtype}", "x")
out_pointer = operand(5, "{dtype}", "out")
rows_pointer = operand(6, "{dtype}", "rows")
new_tiles = scratch("{dtype}", "tiles")
rows_transform = line_transform("{form}", "{dtype}", {lanes}, {radices}, bare=True)
columns_transform = block_transform("{form}", "{dtype}", {lanes}, {radices})
"""

_ROWS = """

def {name}_rows(args, lo, hi):
    geometry, passes_of, roots = geometry_pointer(args), passes_pointer(args), roots_pointer(args)
    scale, rows = scale_pointer(args), rows_pointer(args)
{unpack}
    {memory}
    tile_size = (({parts} * length + 2) // {page} * {page} + {page} + {page} // 2) * {lanes}
    tiles = new_tiles(2 * tile_size)
    other = advance(tiles, tile_size)
    for item in range(lo, hi):
        first = item * {lanes}
        rows_transform(
            passes_of, passes, roots, {scale},
            {places},
            min({lanes}, lines - first), length, swapped, tiles, other,
        )
    release(tiles)
"""

_COLUMNS = """

def {name}_columns(args, lo, hi):
    geometry, passes_of, roots = geometry_pointer(args), passes_pointer(args), roots_pointer(args)
    scale, rows = scale_pointer(args), rows_pointer(args)
{unpack}
    {memory}
    words_of = advance(passes_of, words)
    roots_of = advance(roots, block_roots)
    tile_size = ((2 * lines + 2) // {page} * {page} + {page} + {page} // 2) * {lanes}
    tiles = new_tiles(2 * tile_size)
    other = advance(tiles, tile_size)
    for item in range(lo, hi):
        columns_transform(item, words_of, roots_of, scale, rows, {far}, tiles, other)
    release(tiles)
"""

# Of each kind: what the rows are read from and written to, what lies far away from columns, the
# factor that rows are multiplied by, and which of them come first.
_FORMS = {
    "forward": (
        "x, x_at + first, 1, lines, rows, first * pitch + begin, pitch, 1",
        "x = x_pointer(args)",
        "advance(out, out_at)",
        "out = out_pointer(args)",
        "advance(scale, 1)",
        ("rows", "columns"),
    ),
    "backward": (
        "rows, first * pitch + begin, pitch, 1, out, out_at + first, 1, lines",
        "out = out_pointer(args)",
        "advance(x, x_at)",
        "x = x_pointer(args)",
        "scale",
        ("columns", "rows"),
    ),
    "complex": (
        "rows, first * pitch, pitch, 2, out, out_at + 2 * first, 2, 2 * lines",
        "out = out_pointer(args)",
        "advance(x, x_at)",
        "x = x_pointer(args)",
        "scale",
        ("columns", "rows"),
    ),
}


def _in_two(radices: Sequence[int], kind: str, lanes: int) -> int | None:
    """How many of the radices are those of columns: such that rows and columns are about as long.

    None where a vector of columns would be longer than a row.
    """
    size = math.prod(radices)
    least = lanes if kind == "complex" else 2 * lanes + 2
    found = [
        (abs(math.log(_SHAPE * lines * lines / size)), count)
        for count, lines in enumerate(accumulate(radices, mul), 1)
        if least <= size // lines <= _MOST and lines <= _MOST
    ]
    return min(found)[1] if found else None


def _places(radices: Sequence[int], length: int) -> list[Array]:
    """Where the numbers of a lane are before each forward pass over columns, and after the last.

    A place is a frequency as far as lanes have it in common: those of the lane are added to it,
    and where it is negative, that is a frequency whose sign is turned.
    """
    found = [np.zeros(1, np.int64)]
    for radix in reversed(radices):
        whole = length * len(found[-1])
        number = np.arange(radix)
        at = np.abs(found[-1])[:, None]
        sign = np.where(found[-1] < 0, -1, 1)[:, None]
        odd = (number + 1) // 2 * whole - at
        found.append((sign * np.where(number % 2, -odd, number // 2 * whole + at)).ravel())
    return found


def _roots_of_blocks(
    kind: str, radices: Sequence[int], length: int, lanes: Array, unity: tuple[Array, Array]
) -> tuple[list[tuple[int, ...]], Array, Array]:
    """The numbers of passes over columns, the roots of each block in a row, places at the end.

    `lanes` are the numbers of the lanes of each block.
    """
    lines = math.prod(radices)
    real = _places(radices, length) if kind != "complex" else []
    numbers: list[tuple[int, ...]] = []
    roots, size = [], 0
    for radix, groups in zip(radices, accumulate((1, *radices), mul), strict=False):
        count = lines // (groups * radix)
        numbers.append((radix, count, groups, size))
        places = np.arange(count) * length
        if real:
            places = next(found for found in real if len(found) == count)
        frequency = np.abs(places[:, None] + lanes[:, None, :])  # block, place, lane
        turns = frequency[:, :, None, :] * (np.arange(1, radix)[:, None] * groups)
        found = np.stack([part[turns] for part in unity], axis=3)
        roots.append(found.reshape(len(lanes), -1))
        size += roots[-1].shape[1]
    if kind == "forward":
        numbers.reverse()
    last = real[-1] if real else np.arange(lines) * length
    return numbers, np.concatenate(roots, axis=1), last


@dataclass(frozen=True, slots=True)
class _Parts:
    """A long line as rows and columns: all numbers and roots of unity of its passes."""

    radices: tuple[int, ...]
    lines: int
    length: int
    blocks: int
    row_passes: int
    pitch: int
    begin: int
    block_roots: int
    numbers: Array
    roots: Array


@functools.lru_cache(maxsize=8)
def _parts(size: int, kind: str, dtype: str, swapped: int) -> _Parts | None:
    """What is known of lines of a size; None where they are not cut."""
    lanes, real = lanes_of(dtype), kind != "complex"
    radices = factors(size, real)
    count = _in_two(radices, kind, lanes) if radices else None
    if radices is None or count is None:
        return None
    unity = roots_of_unity(size)
    lines, length = math.prod(radices[:count]), math.prod(radices[count:])
    rows, row_roots = passes_over(kind, radices[count:], length, lines, unity)
    ends = 2 - length % 2
    # Lanes take part with whole blocks: the last begins earlier, and does again what it shares.
    wide = (length - 1) // 2 if real else length
    blocks = -(-wide // lanes)
    starts = int(real) + np.minimum(np.arange(blocks) * lanes, wide - lanes)
    columns, block_roots, places = _roots_of_blocks(
        kind, radices[:count], length, starts[:, None] + np.arange(lanes), unity
    )
    # The first pair of a row begins where a vector does, and rows in different sets of a cache.
    begin = lanes - 1 if real else 0
    pitch = -(-(begin + length * (1 if real else 2)) // lanes) * lanes
    pitch += lanes * (1 - pitch // lanes % 2)
    words = {
        "blocks": blocks,
        "lines": lines,
        "pitch": pitch,
        "begin": begin,
        "first": int(real),
        "last": wide - lanes,
        "passes": count,
        "roots": block_roots.shape[1],
        "ends": ends,
        "middle": length - 1,
        "apart": length // ends,
        "swapped": swapped,
    }
    numbers = [rows, [words[word] for word in WORDS], np.ravel(columns)]
    roots = [row_roots, np.zeros(-row_roots.size % lanes), block_roots.ravel()]
    if real:
        at_ends = passes_over(kind, radices[:count], lines * ends, length // ends, unity)
        numbers.append(at_ends[0])
        roots.append(at_ends[1])
    every = _aligned(np.concatenate(roots).astype(dtype))
    return _Parts(
        known_radices(kind, radices),
        *(lines, length, blocks, len(radices) - count, pitch, begin, sum(map(len, roots[:2]))),
        np.concatenate([*numbers, places]).astype(np.int64),
        every,
    )


def _aligned(x: Array) -> Array:
    """A copy that begins where a cache line does: no vector of it lies in two."""
    memory = np.empty(x.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + x.nbytes].view(x.dtype)
    copy[:] = x
    return copy


@functools.cache
def _source(kind: str, dtype: str, lanes: int, radices: tuple[int, ...]) -> Source:
    places, rows, far, columns, scale, phases = _FORMS[kind]
    text = {
        "rows": _ROWS.replace("{memory}", rows).replace("{places}", places),
        "columns": _COLUMNS.replace("{memory}", columns).replace("{far}", far),
    }
    whole = _HEAD + "".join(text[phase] for phase in phases)
    return source_of_lines(
        "long_line", whole, phases, _SLOTS, kind, dtype, lanes, radices, scale=scale
    )


@dataclass(frozen=True, slots=True)
class LongKernel:
    """A kernel, and what it is given but for arrays and a scale; lines so far apart."""

    source: Source
    numbers: Geometry
    passes: Array
    roots: Array
    count: int
    step: int
    out_step: int

    def __call__(self, x: Array, out: Array, scale: float) -> None:
        """Transform the lines of `x`."""
        factors = np.array([scale, 1.0], self.roots.dtype)
        for line in range(self.count):
            numbers = self.numbers.copy()  # other threads may transform lines at the same time
            numbers[-2:] = line * self.step, line * self.out_step
            run(self.source, numbers, self.passes, self.roots, factors, x, out)


def long_kernel(
    kind: str,
    dtype: str,
    size: int,
    count: int,
    steps: Sequence[int],
    inverse: bool = False,
) -> LongKernel | None:
    """Return what transforms long lines; None where NumPy's inner loop is better, or the only one.

    Parameters
    ----------
    kind, dtype, size, count, steps, inverse
        As of ``lines.line_kernel``.
    """
    step, inner, out_step, out_inner = steps
    apart = (2, 2) if kind == "complex" else (1, 2) if kind == "forward" else (2, 1)
    if not _SHORTEST <= size <= _LONGEST or (inner, out_inner) != apart:
        return None
    parts = _parts(size, kind, dtype, int(inverse))
    if parts is None:
        return None
    real = kind != "complex"
    lanes = lanes_of(dtype)
    items = {"rows": -(-parts.lines // lanes), "columns": parts.blocks + int(real)}
    values = {
        "lines": parts.lines,
        "length": parts.length,
        "passes": parts.row_passes,
        "words": 4 * parts.row_passes,
        "block_roots": parts.block_roots,
        "pitch": parts.pitch,
        "begin": parts.begin,
        "swapped": int(inverse),
        "x_at": 0,
        "out_at": 0,
    }
    cost = int((2.5 if real else 5) * size * math.log2(size)) // RATE
    memory = parts.lines * parts.pitch * np.dtype(dtype).itemsize
    phases = [items[phase] for phase in _FORMS[kind][-1]]
    numbers = geometry(cost, memory, phases, _SLOTS, values)
    source = _source(kind, dtype, lanes, parts.radices)
    return LongKernel(source, numbers, parts.numbers, parts.roots, count, step, out_step)
