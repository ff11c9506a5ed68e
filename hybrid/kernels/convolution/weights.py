"""The gradient of a convolution by its weights."""

from __future__ import annotations

import functools
from math import prod

import numpy as np

from hybrid.core.spec import Shape
from hybrid.kernels.convolution.axes import forward_axis, planes_of, table_of
from hybrid.kernels.convolution.limits import ITEMS, PLANES, Padding
from hybrid.kernels.handwritten import Array, geometry, run, source_of
from hybrid.kernels.limits import RATE, lanes_of, registers, takes
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source
from hybrid.records import dataclass

# Sets of images that are added up apart, and bytes that their sums may take.
_SETS = 16
_SUMS = 1 << 23
# Channels of a tile: each number is a kernel to compile.
_ROWS = (1, 3, 4, 6)
# Work, in multiply-adds of a vector, that it takes to add up the sums of a tile's lanes; and what
# a copied window costs products of windows, in multiply-adds of a scalar. (Measured.)
_ADDING_UP = 10
_COPYING = 125

_SLOTS = (
    "images",
    "sets",
    "batch",
    "shares",
    "channels",
    "height",
    "width",
    "bands",
    "band_rows",
    "plane_rows",
    "plane_columns",
    "planes",
    "first_row",
    "first_column",
    "step_row",
    "step_column",
    "groups",
    "inputs",
    "outputs",
    "blocks",
    "taps",
    "rows",
    "columns",
)

# Each item adds up, for a set of images, the gradient by the weights of some blocks of channels.
# Then the sums of the sets are added.
_TEXT = """# gradients by weights in tiles of {rows_} channels by {taps_} weights of {lanes} {dtype}
geometry_pointer = operand(0, "int64", "geometry")
image_pointer = operand(1, "{dtype}", "image")
plane_pointer = operand(2, "int64", "plane")
taps_pointer = operand(3, "int64", "taps")
slopes_pointer = operand(4, "{dtype}", "slopes")
out_pointer = operand(5, "{dtype}", "out", clear_of=("totals",))
totals_pointer = operand(6, "{dtype}", "totals", clear_of=("sums",))
new_planes = scratch("{dtype}", "filled", clear_of=("image", "plane"))
new_sums = scratch("{dtype}", "sums")
tile = dot_tile("{dtype}", {rows_}, {taps_}, {lanes})
zero = {dtype}(0)


def {name}_run(args, lo, hi):
    geometry = geometry_pointer(args)
    image, plane, taps_of = image_pointer(args), plane_pointer(args), taps_pointer(args)
    slopes, totals = slopes_pointer(args), totals_pointer(args)
{unpack}
    size = plane_rows * plane_columns
    area = rows * columns
    image_size = channels * planes * size
    filled = new_planes(batch * image_size)
    count = {rows_} * {taps_}
    sums = new_sums(count)
    for item in range(lo, hi):
        part = item // shares
        share = item - part * shares
        low = share * groups * blocks // shares
        high = (share + 1) * groups * blocks // shares
        begin = part * groups * outputs * taps
        for unit in range(low, high):
            group = unit // blocks
            first = (unit - group * blocks) * {rows_}
            for r in range(min({rows_}, outputs - first)):
                for k in range(taps):
                    store(totals, begin + (group * outputs + first + r) * taps + k, zero)
        from_group = low // blocks
        some = ((high - 1) // blocks + 1 - from_group) * inputs
        last = (part + 1) * images // sets
        for number in range(part * images // sets, last, batch):
            together = min(batch, last - number)
            for band in range(bands):
                top = band * band_rows
                count = min(band_rows, rows - top)
                for n in range(together):
                    source = ((number + n) * channels + from_group * inputs) * height * width
                    fill_planes(
                        advance(filled, n * image_size), image, source, some, height, width,
                        plane, planes, top, first_row, first_column, step_row, step_column,
                        plane_rows, plane_columns, zero,
                    )
                for unit in range(low, high):
                    group = unit // blocks
                    first = (unit - group * blocks) * {rows_}
                    base = (group - from_group) * inputs * planes * size
                    at = (number * groups + group) * outputs * area + top * columns
                    for k in range(0, taps, {taps_}):
                        tile(
                            filled, base, taps_of, k, taps, slopes, at, area, first, outputs,
                            count, columns, plane_columns, together, image_size,
                            groups * outputs * area, sums,
                        )
                        for r in range(min({rows_}, outputs - first)):
                            to = begin + (group * outputs + first + r) * taps + k
                            for t in range(min({taps_}, taps - k)):
                                old = load(totals, to + t)
                                store(totals, to + t, old + load(sums, r * {taps_} + t))
    release(filled)
    release(sums)


def {name}_combine(args, lo, hi):
    geometry = geometry_pointer(args)
    totals, out = totals_pointer(args), out_pointer(args)
{unpack}
    whole = groups * outputs * taps
    for item in range(lo, hi):
        for i in range(item * taps, (item + 1) * taps):
            store(out, i, load(totals, i))
        for part in range(1, sets):
            for i in range(item * taps, (item + 1) * taps):
                store(out, i, load(out, i) + load(totals, part * whole + i))
"""


@functools.cache
def _source(dtype: str, rows: int, taps: int, lanes: int) -> Source:
    values = {"dtype": dtype, "rows_": rows, "taps_": taps, "lanes": lanes}
    return source_of("weights", _TEXT, ("run", "combine"), _SLOTS, 5, **values)


def _tile(outputs: int, taps: int) -> tuple[int, int]:
    """Return the channels and weights of a tile: few beyond the last, few loads for a product."""
    shapes = [(rows, min(8, registers()[1] // rows)) for rows in _ROWS]

    def effort(shape: tuple[int, int]) -> float:
        tiles = -(-outputs // shape[0]) * -(-taps // shape[1])
        return tiles * max(prod(shape), 1.5 * sum(shape))

    return min(shapes, key=effort)


def _lanes(width: int, dtype: str) -> int:
    """Return how many lanes to use: half registers where whole ones would be filled badly."""
    whole = lanes_of(dtype)
    if whole <= 4:
        return whole
    half = whole // 2
    return half if -(-width // whole) * whole >= 1.25 * -(-width // half) * half else whole


@dataclass(frozen=True, slots=True)
class _Plan:
    source: Source
    geometry: Geometry
    plane: Array
    taps: Array
    wasteful: bool


@functools.lru_cache(maxsize=1024)
def _plan(
    x: Shape,
    g: Shape,
    size: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
    dtype: str,
) -> _Plan:
    itemsize = np.dtype(dtype).itemsize
    before = [pair[0] for pair in padding]
    rows, columns = map(forward_axis, g[2:], size, stride, before, dilation)
    planes = planes_of(rows, columns)
    inputs, outputs = x[1] // groups, g[1] // groups
    taps = inputs * prod(size)
    tile = _tile(outputs, taps)
    blocks = -(-outputs // tile[0])
    width = columns.count + columns.span
    row_bytes = width * len(planes) * x[1] * itemsize
    band = rows.count
    while band > 2 * rows.span + 1 and (band + rows.span) * row_bytes > PLANES:
        band = -(-band // 2)
    bands = -(-rows.count // band)
    sums = groups * outputs * taps * itemsize
    sets = max(1, min(x[0], _SETS, _SUMS // sums))
    fitting = PLANES // ((band + rows.span) * row_bytes)
    batch = 1 if bands > 1 else max(1, min(-(-x[0] // sets), fitting))
    lanes = _lanes(columns.count, dtype)
    vectors = batch * band * -(-columns.count // lanes)
    filled = batch * band * columns.count / (vectors + _ADDING_UP) / lanes
    values = {
        "images": x[0],
        "sets": sets,
        "batch": batch,
        "shares": min(groups * blocks, -(-ITEMS // sets)),
        "channels": x[1],
        "height": x[2],
        "width": x[3],
        "bands": bands,
        "band_rows": band,
        "plane_rows": band + rows.span,
        "plane_columns": width,
        "planes": len(planes),
        "first_row": rows.first,
        "first_column": columns.first,
        "step_row": rows.step,
        "step_column": columns.step,
        "groups": groups,
        "inputs": inputs,
        "outputs": outputs,
        "blocks": blocks,
        "taps": taps,
        "rows": rows.count,
        "columns": columns.count,
    }
    cost = prod(g) * taps * itemsize // (4 * RATE)
    return _Plan(
        _source(dtype, *tile, lanes),
        geometry(cost, sets * sums, (sets * values["shares"], g[1]), _SLOTS, values),
        np.array(planes, np.int64).reshape(-1),
        np.array(table_of(rows, columns, inputs, band + rows.span, width), np.int64),
        filled * (1 + _COPYING / outputs) < 0.8,
    )


def by_weight(
    x: Array,
    g: Array,
    size: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Array | None:
    """Return the gradient by the weights of ``forward``; None where this does not pay.

    `x` are the images, `g` the gradient of the result; `size` is the spatial shape of the weights.
    """
    if not takes(x.dtype, x, g):
        return None
    plan = _plan(x.shape, g.shape, size, stride, padding, dilation, groups, x.dtype.name)
    if plan.wasteful:
        return None
    out = np.empty((g.shape[1], x.shape[1] // groups, *size), x.dtype)
    images, slopes = np.ascontiguousarray(x), np.ascontiguousarray(g)
    run(plan.source, plan.geometry, images, plan.plane, plan.taps, slopes, out)
    return out
