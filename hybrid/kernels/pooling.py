"""Pooling by kernels: where the largest elements are, picking them, putting gradients back."""

from __future__ import annotations

import functools
from math import prod

import numpy as np

from hybrid.core.spec import Shape
from hybrid.kernels.handwritten import Array, geometry, run, source_of
from hybrid.kernels.texts import Source

Padding = tuple[tuple[int, int], ...]

# Nanoseconds for an element that is compared, picked or added.
_COMPARING = 0.7

_ARGMAX_SLOTS = (
    *("height", "width", "rows", "columns", "window_rows", "window_columns"),
    *("step_row", "step_column", "before_row", "before_column"),
)

_EACH_ROW = """geometry_pointer = operand(0, "int64", "geometry")
image_pointer = operand(1, "{dtype}", "image")
index_pointer = operand(2, "int64", "index", clear_of=("image",))


def {name}_run(args, lo, hi):
    geometry, image, index = geometry_pointer(args), image_pointer(args), index_pointer(args)
{unpack}
    for item in range(lo, hi):
        source = item * height * width
        for i in range(rows):
"""

# Items are images. The first of elements that tie stays; a NaN is larger than all but a NaN. No
# branches: they would be guessed wrong.
_ARGMAX = (
    "# where the largest {dtype} of each window is\n"
    + _EACH_ROW
    + """            top = i * step_row - before_row
            first_row, last_row = max(top, 0), min(top + window_rows, height)
            for j in range(columns):
                left = j * step_column - before_column
                first, last = max(left, 0), min(left + window_columns, width)
                found = first_row * width + first
                best = load(image, source + found)
                for y in range(first_row, last_row):
                    for x in range(first, last):
                        value = load(image, source + y * width + x)
                        better = not_(value <= best) & (best == best)
                        best = select(better, value, best)
                        found = select(better, y * width + x, found)
                store(index, (item * rows + i) * columns + j, found)
"""
)

# The same where no window reaches over an edge, one of a size that is written out: a loop along the
# row without branches, which LLVM makes vectors of: 64 x 6 images of 28 x 28 by 2 x 2 take 0.22 ms
# on one thread instead of 0.65.
_ARGMAX_INSIDE = "# where the largest {dtype} of each window of {rows_} x {columns_} is\n" + (
    _EACH_ROW
    + """            top = i * step_row * width
            to = (item * rows + i) * columns
            for j in range(columns):
                first = top + j * {step}
                best = load(image, source + first)
                found = first
{compare}
                store(index, to + j, found)
"""
)

_COMPARE = """                place = first + {y} * width + {x}
                value = load(image, source + place)
                better = not_(value <= best) & (best == best)
                best = select(better, value, best)
                found = select(better, place, found)"""

# Elements of a window that are written out at most.
_WRITTEN = 9

_MOVE_SLOTS = ("size", "count")

_PICK = """# elements at given places of each row
geometry_pointer = operand(0, "int64", "geometry")
image_pointer = operand(1, "{dtype}", "image")
index_pointer = operand(2, "int64", "index")
out_pointer = operand(3, "{dtype}", "out", clear_of=("image", "index"))


def {name}_run(args, lo, hi):
    geometry, image = geometry_pointer(args), image_pointer(args)
    index, out = index_pointer(args), out_pointer(args)
{unpack}
    for item in range(lo, hi):
        for j in range(item * count, (item + 1) * count):
            store(out, j, load(image, item * size + load(index, j)))
"""

_PUT = """# elements added up at given places of each row
geometry_pointer = operand(0, "int64", "geometry")
slopes_pointer = operand(1, "{dtype}", "slopes")
index_pointer = operand(2, "int64", "index")
out_pointer = operand(3, "{dtype}", "out", clear_of=("slopes", "index"))
zero = {dtype}(0)


def {name}_run(args, lo, hi):
    geometry, slopes = geometry_pointer(args), slopes_pointer(args)
    index, out = index_pointer(args), out_pointer(args)
{unpack}
    for item in range(lo, hi):
        for j in range(item * size, (item + 1) * size):
            store(out, j, zero)
        for j in range(item * count, (item + 1) * count):
            to = item * size + load(index, j)
            store(out, to, load(out, to) + load(slopes, j))
"""

_SOURCES = {
    "argmax": (_ARGMAX, _ARGMAX_SLOTS, 2),
    "pick": (_PICK, _MOVE_SLOTS, 3),
    "put": (_PUT, _MOVE_SLOTS, 3),
}


@functools.cache
def _source(what: str, dtype: str) -> Source:
    text, slots, arrays = _SOURCES[what]
    return source_of(f"pool_{what}", text, ("run",), slots, arrays, dtype=dtype)


@functools.cache
def _inside_source(dtype: str, window: Shape, step: int) -> Source:
    places = [(y, x) for y in range(window[0]) for x in range(window[1])]
    compare = "\n".join(_COMPARE.format(y=y, x=x) for y, x in places[1:])
    values = {"rows_": window[0], "columns_": window[1], "step": step, "compare": compare}
    text = _ARGMAX_INSIDE
    return source_of("pool_argmax", text, ("run",), _ARGMAX_SLOTS, 2, dtype=dtype, **values)


def takes(x: Array) -> bool:
    """Whether there are kernels for the dtype of `x`."""
    return x.dtype in (np.float32, np.float64)


def argmax(x: Array, places: Shape, window: Shape, stride: Shape, padding: Padding) -> Array:
    """Return where in each image (of the last two axes) the largest element of each window is."""
    images = prod(x.shape[:-2])
    index = np.empty((*x.shape[:-2], *places), np.int64)
    before = [pair[0] for pair in padding]
    values = [*x.shape[-2:], *places, *window, *stride, *before]
    cost = int(index.size * prod(window) * _COMPARING)
    slots = dict(zip(_ARGMAX_SLOTS, values, strict=True))
    numbers = geometry(cost, 0, [images], _ARGMAX_SLOTS, slots)
    ends = (n * step - step + size for n, step, size in zip(places, stride, window, strict=True))
    inside = not any(before) and all(end <= n for end, n in zip(ends, x.shape[-2:], strict=True))
    source = _source("argmax", x.dtype.name)
    if inside and prod(window) <= _WRITTEN:
        source = _inside_source(x.dtype.name, window, stride[1])
    run(source, numbers, np.ascontiguousarray(x), index)
    return index


def pick(x: Array, index: Array) -> Array:
    """Return elements of each row of the matrix `x`; the places are not checked."""
    out = np.empty(index.shape, x.dtype)
    return _moved("pick", x, index, out, {"size": x.shape[1], "count": index.shape[1]})


def put(g: Array, index: Array, size: int) -> Array:
    """Return rows of `size` with elements added up at places, which are not checked."""
    out = np.empty((g.shape[0], size), g.dtype)
    return _moved("put", g, index, out, {"size": size, "count": index.shape[1]})


def _moved(what: str, source: Array, index: Array, out: Array, values: dict[str, int]) -> Array:
    cost = int((index.size + out.size) * _COMPARING)
    numbers = geometry(cost, 0, [out.shape[0]], _MOVE_SLOTS, values)
    arrays = np.ascontiguousarray(source), np.ascontiguousarray(index), out
    run(_source(what, out.dtype.name), numbers, *arrays)
    return out
