"""Convolution and its gradient by the input: images from images."""

from __future__ import annotations

import functools
from itertools import product

import numpy as np

from hybrid.core.spec import Shape
from hybrid.kernels.convolution.axes import (
    Axis,
    backward_axes,
    forward_axis,
    planes_of,
    table_of,
)
from hybrid.kernels.convolution.limits import ITEMS, PLANES, Padding
from hybrid.kernels.handwritten import Array, geometry, run, tiled_source
from hybrid.kernels.limits import RATE, lanes_of, registers, takes
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source
from hybrid.records import dataclass

# Results that are computed for each that is wanted: beyond it, products of copied windows win.
_WASTE = 2.0
# Channels of a tile: each number is a kernel to compile.
_ROWS = (1, 2, 4, 6, 8)

_SLOTS = (
    "channels",
    "height",
    "width",
    "bands",
    "band_rows",
    "shares",
    "plane_rows",
    "plane_columns",
    "planes",
    "first_row",
    "first_column",
    "step_row",
    "step_column",
    "groups",
    "group_planes",
    "blocks",
    "taps",
    "outputs",
    "weight_step",
    "group_step",
    "out_height",
    "out_width",
    "rows",
    "columns",
    "out_row",
    "out_column",
    "out_step_row",
    "out_step_column",
)

# First the weights are put in the order in which tiles read them. Then each item does some blocks
# of channels of a band of rows of an image. Results between two rows of an image are not kept.
_TEXT = """# convolution in tiles of {rows_} channels by {vectors} vectors of {lanes} {dtype}
geometry_pointer = operand(0, "int64", "geometry")
image_pointer = operand(1, "{dtype}", "image")
plane_pointer = operand(2, "int64", "plane")
taps_pointer = operand(3, "int64", "taps")
sources_pointer = operand(4, "int64", "sources")
weights_pointer = operand(5, "{dtype}", "weights")
out_pointer = operand(6, "{dtype}", "out", clear_of=("result",))
packed_pointer = operand(7, "{dtype}", "packed", clear_of=("weights", "sources"))
new_planes = scratch("{dtype}", "filled", clear_of=("image", "plane"))
new_result = scratch("{dtype}", "result")
tile = outer_tile("{dtype}", {rows_}, {vectors}, {lanes})
zero = {dtype}(0)


def {name}_pack(args, lo, hi):
    geometry = geometry_pointer(args)
    weights, sources, packed = weights_pointer(args), sources_pointer(args), packed_pointer(args)
{unpack}
    for item in range(lo, hi):
        group = item // blocks
        first = (item - group * blocks) * {rows_}
        begin = group * group_step + first * weight_step
        for k in range(taps):
            start = begin + load(sources, k)
            to = (item * taps + k) * {rows_}
            for r in range({rows_}):
                if first + r < outputs:
                    store(packed, to + r, load(weights, start + r * weight_step))
                else:
                    store(packed, to + r, zero)


def {name}_run(args, lo, hi):
    geometry = geometry_pointer(args)
    image, plane, taps_of = image_pointer(args), plane_pointer(args), taps_pointer(args)
    packed, out = packed_pointer(args), out_pointer(args)
{unpack}
    size = plane_rows * plane_columns
    steps = ((band_rows - 1) * plane_columns + columns + {block} - 1) // {block}
    length = steps * {block}
    filled = new_planes(channels * planes * size + length)
    result = new_result({rows_} * length)
    for item in range(lo, hi):
        band = item // shares
        share = item - band * shares
        number = band // bands
        top = (band - number * bands) * band_rows
        count = min(band_rows, rows - top)
        fill_planes(
            filled, image, number * channels * height * width, channels, height, width,
            plane, planes, top, first_row, first_column, step_row, step_column,
            plane_rows, plane_columns, zero,
        )
        all_blocks = groups * blocks
        for unit in range(share * all_blocks // shares, (share + 1) * all_blocks // shares):
            group = unit // blocks
            base = group * group_planes * size
            at = unit * taps * {rows_}
            for step in range(steps):
                start = step * {block}
                tile(filled, base + start, taps_of, taps, packed, at, result, start, length)
            first = (unit - group * blocks) * {rows_}
            for r in range(min({rows_}, outputs - first)):
                channel = (number * groups + group) * outputs + first + r
                for i in range(count):
                    row = out_row + (top + i) * out_step_row
                    to = (channel * out_height + row) * out_width + out_column
                    begin = r * length + i * plane_columns
                    if out_step_column == 1:
                        for j in range(columns):
                            store(out, to + j, load(result, begin + j))
                    else:
                        for j in range(columns):
                            store(out, to + j * out_step_column, load(result, begin + j))
    release(filled)
    release(result)
"""


@functools.cache
def _source(dtype: str, rows: int, vectors: int) -> Source:
    return tiled_source("convolution", _TEXT, _SLOTS, 6, dtype, (rows, vectors))


# --- plans ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layer:
    """What all parts of one call have in common.

    ``steps`` says how far apart in the weights are the channels of the source, those of the result,
    and the groups.
    """

    images: int
    groups: int
    inputs: int
    outputs: int
    source: Shape
    result: Shape
    kernel: Shape
    steps: tuple[int, int, int]
    dtype: str


@dataclass(frozen=True, slots=True)
class _Part:
    """One run of a kernel; how many results it computes, and how many of them are kept."""

    source: Source
    geometry: Geometry
    plane: Array
    taps: Array
    sources: Array
    computed: int
    kept: int


def _rows_of_tile(outputs: int) -> int:
    """Return how many channels a tile has: few beyond the last, few loads for each product."""
    most = 8 if registers()[1] > 12 else 6
    return min(
        (rows for rows in _ROWS if rows <= most),
        key=lambda rows: -(-outputs // rows) * (rows + 1),
    )


def _vectors_of_tile(rows: int, length: int, lanes: int) -> int:
    """Return how many vectors wide a tile is, so that few results are computed in vain."""
    most = min(8, registers()[1] // rows)
    fewest = max(
        1, min(most, 16 // rows)
    )  # with fewer sums under way, additions wait for each other
    return min(range(most, fewest - 1, -1), key=lambda v: -(-length // (v * lanes)) * v)


def _band(layer: _Layer, rows: Axis, columns: Axis, planes: int) -> int:
    """Return how many rows of results are done together: their planes stay in the cache."""
    row_bytes = (columns.count + columns.span) * planes * layer.groups * layer.inputs
    row_bytes *= np.dtype(layer.dtype).itemsize
    band = rows.count
    while band > 2 * rows.span + 1 and (band + rows.span) * row_bytes > PLANES:
        band = -(-band // 2)
    few = layer.images * -(-rows.count // band) < ITEMS // 2
    return -(-band // 2) if few and band > 4 * rows.span + 8 else band


def _part(layer: _Layer, rows: Axis, columns: Axis) -> _Part:
    itemsize = np.dtype(layer.dtype).itemsize
    lanes = lanes_of(layer.dtype)
    planes = planes_of(rows, columns)
    band = _band(layer, rows, columns, len(planes))
    bands = -(-rows.count // band)
    plane_rows, plane_columns = band + rows.span, columns.count + columns.span
    tile_rows = _rows_of_tile(layer.outputs)
    blocks = -(-layer.outputs // tile_rows)
    length = (band - 1) * plane_columns + columns.count
    vectors = _vectors_of_tile(tile_rows, length, lanes)
    shares = min(layer.groups * blocks, -(-ITEMS // (layer.images * bands)))
    across, along, group = layer.steps
    sources = [
        c * across + y * layer.kernel[1] + x
        for c in range(layer.inputs)
        for y in rows.taken
        for x in columns.taken
    ]
    channels = layer.inputs * layer.groups
    values = {
        "channels": channels,
        "height": layer.source[0],
        "width": layer.source[1],
        "bands": bands,
        "band_rows": band,
        "shares": shares,
        "plane_rows": plane_rows,
        "plane_columns": plane_columns,
        "planes": len(planes),
        "first_row": rows.first,
        "first_column": columns.first,
        "step_row": rows.step,
        "step_column": columns.step,
        "groups": layer.groups,
        "group_planes": layer.inputs * len(planes),
        "blocks": blocks,
        "taps": len(sources),
        "outputs": layer.outputs,
        "weight_step": along,
        "group_step": group,
        "out_height": layer.result[0],
        "out_width": layer.result[1],
        "rows": rows.count,
        "columns": columns.count,
        "out_row": rows.to,
        "out_column": columns.to,
        "out_step_row": rows.out_step,
        "out_step_column": columns.out_step,
    }
    kept = layer.images * layer.outputs * layer.groups * rows.count * columns.count
    cost = kept * len(sources) * itemsize // (4 * RATE) + kept
    packed = layer.groups * blocks * tile_rows * max(len(sources), 1) * itemsize
    items = layer.groups * blocks, layer.images * bands * shares
    return _Part(
        _source(layer.dtype, tile_rows, vectors),
        geometry(cost, packed, items, _SLOTS, values),
        np.array(planes, np.int64).reshape(-1),
        np.array(table_of(rows, columns, layer.inputs, plane_rows, plane_columns), np.int64),
        np.array(sources, np.int64),
        layer.images * layer.outputs * layer.groups * bands * -(-length // lanes) * lanes,
        kept,
    )


@functools.lru_cache(maxsize=1024)
def _forward_parts(
    x: Shape,
    w: Shape,
    places: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
    dtype: str,
) -> tuple[_Part, ...]:
    before = [pair[0] for pair in padding]
    area, outputs = w[2] * w[3], w[0] // groups
    steps = area, w[1] * area, outputs * w[1] * area
    layer = _Layer(x[0], groups, w[1], outputs, x[2:], places, w[2:], steps, dtype)
    rows, columns = map(forward_axis, places, w[2:], stride, before, dilation)
    return (_part(layer, rows, columns),)


@functools.lru_cache(maxsize=1024)
def _backward_parts(
    g: Shape,
    w: Shape,
    size: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
    dtype: str,
) -> tuple[_Part, ...]:
    before = [pair[0] for pair in padding]
    area, inputs = w[2] * w[3], w[0] // groups
    steps = w[1] * area, area, inputs * w[1] * area
    layer = _Layer(g[0], groups, inputs, w[1], g[2:], size, w[2:], steps, dtype)
    axes = product(*map(backward_axes, size, w[2:], stride, before, dilation))
    return tuple(_part(layer, rows, columns) for rows, columns in axes)


# --- calls ----------------------------------------------------------------------------------------


def forward(
    x: Array,
    w: Array,
    places: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Array | None:
    """Convolve images (N, C, H, W) with weights of the same dtype; None where this does not pay.

    `places` is the spatial shape of the result.
    """
    if not takes(x.dtype, x, w):
        return None
    parts = _forward_parts(
        x.shape, w.shape, places, stride, padding, dilation, groups, x.dtype.name
    )
    return _run(parts, x, w, (x.shape[0], w.shape[0], *places))


def backward(
    g: Array,
    w: Array,
    size: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Array | None:
    """Return the gradient by the input of :func:`forward`; None where this does not pay.

    `size` is the spatial shape of the input.
    """
    if not takes(g.dtype, g, w):
        return None
    parts = _backward_parts(g.shape, w.shape, size, stride, padding, dilation, groups, g.dtype.name)
    return _run(parts, g, w, (g.shape[0], w.shape[1] * groups, *size))


def _run(parts: tuple[_Part, ...], source: Array, weights: Array, shape: Shape) -> Array | None:
    if sum(part.computed for part in parts) > _WASTE * sum(part.kept for part in parts):
        return None
    out = np.empty(shape, source.dtype)
    image, weights = np.ascontiguousarray(source), np.ascontiguousarray(weights)
    for part in parts:
        run(part.source, part.geometry, image, part.plane, part.taps, part.sources, weights, out)
    return out
