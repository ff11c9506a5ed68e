"""Kernels that transform lines of an array, several at once, by the bits of NumPy and SciPy.

Each of their inner loops transforms one line after the other, with instructions for one or two
numbers. Here a vector has a number of each of several lines, and does to them what those loops do.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np

from hybrid.kernels.butterflies import COMPLEX_RADICES, REAL_RADICES
from hybrid.kernels.handwritten import Array, geometry, run, source_of
from hybrid.kernels.limits import lanes_of
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source
from hybrid.records import dataclass

# Numbers of a line whose two tiles stay in the second-level cache, by far; and of one that is worth
# its passes.
_LONGEST, _SHORTEST = 1 << 13, 8
# Lines that are computed for each that is wanted, at most.
_WASTE = 2
# Operations on numbers that a core does in a nanosecond.
RATE = 8

_SLOTS = (
    *("count", "size", "passes", "swapped"),
    *("x_step", "x_inner", "out_step", "out_inner"),
)

# The tiles lie half a page more than whole pages apart: where a load has the lowest twelve bits of
# its address in common with a store shortly before, it waits for it.
_TEXT = """# {lanes} lines of {dtype} at once, {form}, in passes by {radices}
geometry_pointer = operand(0, "int64", "geometry")
passes_pointer = operand(1, "int64", "passes")
roots_pointer = operand(2, "{dtype}", "roots")
scale_pointer = operand(3, "{dtype}", "scale")
x_pointer = operand(4, "{dtype}", "x")
out_pointer = operand(5, "{dtype}", "out")
new_tiles = scratch("{dtype}", "tiles")
transform = line_transform("{form}", "{dtype}", {lanes}, {radices})


def {name}_run(args, lo, hi):
    geometry, passes_of, roots = geometry_pointer(args), passes_pointer(args), roots_pointer(args)
    scale, x, out = scale_pointer(args), x_pointer(args), out_pointer(args)
{unpack}
    tile_size = (({parts} * size + 2) // {page} * {page} + {page} + {page} // 2) * {lanes}
    tiles = new_tiles(2 * tile_size)
    other = advance(tiles, tile_size)
    for item in range(lo, hi):
        first = item * {lanes}
        transform(
            passes_of, passes, roots, scale,
            x, first * x_step, x_step, x_inner, out, first * out_step, out_step, out_inner,
            min({lanes}, count - first), size, swapped, tiles, other,
        )
    release(tiles)
"""


def factors(size: int, real: bool) -> tuple[int, ...] | None:
    """The radices of the passes that a transform takes; None where there is no such pass."""
    found = []
    for radix in (4,) if real else (8, 4):
        while size % radix == 0:
            found.append(radix)
            size //= radix
    if size % 2 == 0:
        size //= 2
        found.append(2)
        found[0], found[-1] = found[-1], found[0]
    for radix in (3, 5):
        while size % radix == 0:
            found.append(radix)
            size //= radix
    assert set(found) <= {*COMPLEX_RADICES, *REAL_RADICES}
    return tuple(found) if size == 1 else None


def roots_of_unity(size: int) -> tuple[Array, Array]:
    """Cosine and sine of all multiples of a full turn by `size`, each of the bits of pocketfft's.

    Every one is the product of two, one of which is that of a multiple of some 2**k.
    """
    angle = float(np.longdouble("0.785398163397448309615660845819875721") / size)
    count = (size + 2) // 2
    shift = 1
    while 1 << (2 * shift) < count:
        shift += 1
    small = np.array([_root(i, size, angle) for i in range(1 << shift)])
    large = np.array([_root(i, size, angle) for i in range(0, count, 1 << shift)])
    index = np.arange(size)
    beyond = 2 * index > size
    index = np.where(beyond, size - index, index)
    a, b = small[index & ((1 << shift) - 1)].T, large[index >> shift].T
    sine = a[0] * b[1] + a[1] * b[0]
    return a[0] * b[0] - a[1] * b[1], np.where(beyond, -sine, sine)


def _root(index: int, size: int, angle: float) -> tuple[float, float]:
    """The root of an angle that is at most half a turn, from one of an eighth of a turn."""
    eighths = 8 * index
    if eighths < 2 * size:
        if eighths < size:
            return math.cos(eighths * angle), math.sin(eighths * angle)
        rest = 2 * size - eighths
        return math.sin(rest * angle), math.cos(rest * angle)
    eighths -= 2 * size
    if eighths < size:
        return -math.sin(eighths * angle), math.cos(eighths * angle)
    rest = 2 * size - eighths
    return -math.cos(rest * angle), math.sin(rest * angle)


def passes_over(
    kind: str, radices: Sequence[int], size: int, step: int, unity: tuple[Array, Array]
) -> tuple[Array, Array]:
    """The numbers of passes over a line, four each, and their roots of unity one behind the other.

    Those are every `step`-th of `unity`.
    """
    cosines, sines = unity
    numbers, roots, size_of_roots = [], [], 0
    for radix, groups in zip(radices, accumulate((1, *radices), mul), strict=False):
        length = size // (groups * radix)
        numbers.append((radix, length, groups, size_of_roots))
        number = np.arange(1, length if kind == "complex" else (length - 1) // 2 + 1)
        places = number[:, None] * np.arange(1, radix) * (groups * step)
        roots.append(np.stack([cosines[places], sines[places]], axis=-1).ravel())
        size_of_roots += roots[-1].size
    if kind == "forward":
        numbers.reverse()
    # Never empty: an array without elements may lie anywhere.
    every = np.concatenate([*roots, np.zeros(1)])
    return np.array(numbers, np.int64).ravel(), every


def known_radices(kind: str, radices: Sequence[int]) -> tuple[int, ...]:
    """Those of some radices for which there are passes, in one order: part of a kernel's text."""
    known = COMPLEX_RADICES if kind == "complex" else REAL_RADICES
    return tuple(radix for radix in known if radix in radices)


@dataclass(frozen=True, slots=True)
class _Passes:
    """The numbers of the passes over a line, and their roots of unity."""

    numbers: Array
    roots: Array
    radices: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def _passes(size: int, kind: str, dtype: str) -> _Passes | None:
    radices = factors(size, kind != "complex")
    if radices is None:
        return None
    numbers, roots = passes_over(kind, radices, size, 1, roots_of_unity(size))
    return _Passes(numbers, roots.astype(dtype), known_radices(kind, radices))


@functools.cache
def _source(kind: str, dtype: str, lanes: int, radices: tuple[int, ...]) -> Source:
    return source_of_lines("lines", _TEXT, ("run",), _SLOTS, kind, dtype, lanes, radices)


def source_of_lines(
    name: str,
    text: str,
    phases: tuple[str, ...],
    slots: tuple[str, ...],
    kind: str,
    dtype: str,
    lanes: int,
    radices: tuple[int, ...],
    **values: Any,
) -> Source:
    """Return a kernel that writes what `radices` are passes over, `lanes` lines at once."""
    return source_of(
        name,
        text,
        phases,
        slots,
        5,
        form=kind,
        dtype=dtype,
        lanes=lanes,
        radices=radices,
        page=4096 // (lanes * np.dtype(dtype).itemsize),
        parts=2 if kind == "complex" else 1,
        **values,
    )


@dataclass(frozen=True, slots=True)
class LineKernel:
    """A kernel, and what it is given but for arrays and a scale."""

    source: Source
    numbers: Geometry
    passes: Array
    roots: Array

    def __call__(self, x: Array, out: Array, scale: float) -> None:
        """Transform the lines of `x`."""
        factor = np.array([scale], self.roots.dtype)
        run(self.source, self.numbers, self.passes, self.roots, factor, x, out)


def line_kernel(
    kind: str,
    dtype: str,
    size: int,
    count: int,
    steps: Sequence[int],
    inverse: bool = False,
) -> LineKernel | None:
    """Return what transforms lines; None where NumPy's inner loop is better, or the only one.

    Parameters
    ----------
    kind : {"complex", "forward", "backward"}
        Of complex lines, of real ones to half of a spectrum, or the way back.
    dtype : str
        Of the real numbers.
    size : int
        Of the line, for "forward" and "backward" of the real one.
    count : int
        How many there are.
    steps : sequence of int
        From one line to the next, and from one element to the next, of what is read and of what
        is made, in numbers of `dtype`.
    inverse : bool
        Of complex lines.
    """
    lanes = lanes_of(dtype)
    if not _SHORTEST <= size <= _LONGEST or count * _WASTE < lanes:
        return None
    passes = _passes(size, kind, dtype)
    if passes is None:
        return None
    values = {
        "count": count,
        "size": size,
        "passes": passes.numbers.size // 4,
        "swapped": int(inverse),
        **dict(zip(("x_step", "x_inner", "out_step", "out_inner"), steps, strict=True)),
    }
    cost = int(5 * size * math.log2(size) * count) // RATE
    numbers = geometry(cost, 0, (-(-count // lanes),), _SLOTS, values)
    source = _source(kind, dtype, lanes, passes.radices)
    return LineKernel(source, numbers, passes.numbers, passes.roots)
