"""Region -> KernelSpec + geometry: what a kernel is, apart from how large its arrays are.

The loops are put in canonical form: axes of size 1 go, axes are ordered so that the innermost loop
is contiguous for most operands, neighbouring axes that every operand walks alike become one.
What remains is a ``KernelSpec``: hashable, without sizes, so that one compiled kernel serves all
shapes of a pattern. Sizes, offsets and strides go into ``geometry``, an int64 array that the
kernel reads when it is called.

A kernel has one of three forms. ``kept`` counts loops over kept axes, ``reduced`` over reduced.

map
    kept loops, then an inner loop ``j``.
rows
    kept loops, reduced loops; the innermost of these is the inner loop.
columns
    kept loops, reduced loops, then an inner loop over a kept axis.

Work is divided into items, which threads share. An item of a map is a stretch of the inner loop;
of rows, one result; of columns, a stretch of results. Where that leaves too few items, the
reduction is ``split``: each item reduces a block of fixed extent into a partial result, and a
second phase combines the partials. Blocks depend on sizes only, never on the number of threads,
so results do not either.

Where each result needs only a few elements and those are neighbours (the rows of a matrix with ten
columns), a columns kernel is ``staged``: a tile is copied so that neighbouring results are
neighbours in memory, and results are copied back, since strided accesses would keep LLVM from
vectorising the loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from dataclasses import replace

import numpy as np

from hybrid.kernels.loops import Loop, loops_of, sorted_loops
from hybrid.kernels.moments import LEAST, Moment, find_moments
from hybrid.kernels.phase_map import has_short_rows
from hybrid.kernels.region import COMPLEX, Access, Region, region_bytes
from hybrid.kernels.sharing import shared_loops, tile_length
from hybrid.kernels.spec import CHEAP_FUNCTIONS as CHEAP_FUNCTIONS
from hybrid.kernels.spec import (
    Dataflow,
    Geometry,
    KernelSpec,
    Operand,
    as_geometry,
    dataflow,
    geometry_slots,
    is_heavy,
    named_operands,
    phases,
    split_values,
)
from hybrid.kernels.spec import called_functions as called_functions
from hybrid.kernels.stretches import edges_of, flattened
from hybrid.records import dataclass

# Elements of the inner loop in one item of a map: small enough to balance threads, large enough
# that the few nanoseconds an item costs do not show.
MAP_BLOCK = 8192
# Columns reduced together: long enough that rows come from memory in long stretches. Maxima of the
# columns of 2,000 x 2,000 float64 take 1.88 ms so, 2.27 by 1024, NumPy 2.06, a copy 2.9.
COLUMN_BLOCK = 2048
# Bytes of a result from which on it is stored past the caches, as large as many last-level caches.
# `x * 2 + 1` over 1e7 float32 on one thread: 2.35 ms so, 3.25 by usual stores; `x + y` 3.9 and 4.5.
STREAMED = 32 << 20
# Elements in one item of a split reduction.
SPLIT_BLOCK = 32768
# A reduction with fewer items than this is split, if there is enough to do.
FEW_ITEMS = 32
# Where several passes read the same elements, and so many are still in the second-level cache
# then, eight items do.
FEW_SWEPT = 8
KEPT_AT_HAND = 1 << 17
# Bytes of intermediate results that a columns kernel may keep for its later passes.
SAVED_BYTES = 1 << 18
# An inner loop of fewer steps than this fills no vector. Bodies with transcendental functions gain
# from another form of the loops up to the second number (softmax over rows of 10: 3.9 ms as rows,
# 1.4 ms as staged columns).
SHORT = 20
SHORT_HEAVY = 48
# Elements of an operand that are staged at a time.
STAGED = 8192
# A row shorter than this, broadcast over an array, is repeated into one of at least the second
# length (x + bias over rows of 10: 500 microseconds for 1e6 elements as rows, 100 so).
SHORT_PERIOD = 64
REPEATED = 1024

# Estimated nanoseconds per element, measured on one core with 512-bit vectors.
_NS_CHEAP = 0.015
_NS_HEAVY = 0.25
_NS_BYTE = 0.012
_NS_SCAN = 1.0
_NS_WORD = 1.0


def _stride_class(stride: int) -> str:
    return "0" if stride == 0 else "1" if stride == 1 else "s"


def _cost(region: Region) -> float:
    """Estimated nanoseconds of a serial run."""
    elements = math.prod(region.space)
    total = 0.0
    for instr in region.body:
        names = called_functions(instr.expr) if instr.kind == "map" else ()
        heavy = sum(name not in CHEAP_FUNCTIONS for name in names)
        width = 2 if instr.dtype in ("float64", "int64", "uint64") else 1
        total += width * (heavy * _NS_HEAVY + _NS_CHEAP) + _NS_SCAN * (instr.kind == "scan")
    total += _NS_WORD * sum(bool(access.words) for access in region.inputs)
    return 20 + elements * total + region_bytes(region) * _NS_BYTE


@dataclass(frozen=True, slots=True)
class _Nest:
    """The loops of a kernel, sorted by their part in it."""

    form: str
    kept: list[Loop]
    reduced: list[Loop]
    inner: Loop | None
    period: int = 0
    periodic: frozenset[int] = frozenset()


def _with_period(nest: _Nest, outputs: int, moved: Set[int]) -> _Nest:
    """Merge a short inner loop with the next, if operands are contiguous or repeat along it.

    Those in `moved`, which other operands say where to read, must not repeat.
    """
    inner = nest.inner
    if inner is None or not nest.kept or not 1 < inner.size < SHORT_PERIOD:
        return nest
    next_loop = nest.kept[-1]
    if next_loop.size < 8:
        return nest
    pairs = list(zip(next_loop.strides, inner.strides, strict=True))
    repeats = frozenset(index for index, (far, _) in enumerate(pairs) if far == 0)
    runs = all(
        index in repeats or (near == 1 and far == inner.size)
        for index, (far, near) in enumerate(pairs)
    )
    if not runs or any(index >= len(pairs) - outputs for index in repeats) or repeats & moved:
        return nest
    merged = Loop(next_loop.size * inner.size, inner.strides, True)
    return _Nest("map", nest.kept[:-1], [], merged, inner.size, repeats)


def _nest(
    loops: list[Loop],
    operands: int,
    outputs: int,
    reduces: bool,
    short: int,
    moved: Set[int],
    may_share: bool,
) -> _Nest:
    kept = sorted_loops([loop for loop in loops if loop.kept])
    reduced = sorted_loops([loop for loop in loops if not loop.kept])
    if not reduces:
        inner = kept.pop() if kept else Loop(1, [0] * operands, True)
        return _with_period(_Nest("map", kept, [], inner), outputs, moved)
    columns = bool(kept) and (not reduced or kept[-1].weight < reduced[-1].weight)
    if not reduced:
        reduced = [Loop(1, [0] * operands, False)]
    # An inner loop of a few steps fills no vector: walk along the longer one, with strides.
    if columns and kept[-1].size < 8 and reduced[-1].size >= 64:
        columns = False
    elif not columns and kept and reduced[-1].size < short and kept[-1].size >= 64:
        columns = True
    columns = columns or (may_share and shared_loops(kept, reduced, outputs) > 0)
    if columns:
        return _Nest("columns", kept[:-1], reduced, kept[-1])
    return _Nest("rows", kept, reduced, None)


@dataclass(frozen=True, slots=True)
class Blocks:
    """How work is cut into items. ``rows`` are the flattened reduced loops but the inner one."""

    inner_length: int
    inner_blocks: int
    row_length: int
    row_blocks: int


def _repeated(period: int) -> int:
    """Length of a row of several periods."""
    return _ceil_div(REPEATED, period) * period


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _cut(inner: int, length: int, rows: int, row_length: int) -> Blocks:
    length, row_length = max(1, min(inner, length)), max(1, min(rows, row_length))
    return Blocks(length, _ceil_div(inner, length), row_length, _ceil_div(rows, row_length))


def _plan_blocks(
    nest: _Nest, saved_width: int, may_split: bool, passes: int
) -> tuple[bool, Blocks]:
    """Whether to split the reduction, and the extent of the blocks."""
    items = math.prod(loop.size for loop in nest.kept)
    extent = math.prod(loop.size for loop in nest.reduced)
    if nest.form == "map":
        assert nest.inner is not None
        length = MAP_BLOCK
        if nest.period:
            # Each item begins where the repeated rows do. With further loops around, every item
            # repeats its rows anew, so it should be long.
            repeated = _repeated(nest.period)
            length = (8 if nest.kept else 1) * MAP_BLOCK // repeated * repeated
        return False, _cut(nest.inner.size, length, 1, 1)
    if nest.form == "rows":
        inner = nest.reduced[-1].size
        rows = math.prod(loop.size for loop in nest.reduced[:-1])
        few = FEW_ITEMS if passes == 1 or extent > KEPT_AT_HAND else FEW_SWEPT
        split = may_split and items < few and items * extent >= 2 * SPLIT_BLOCK
        if not split:
            return False, _cut(inner, inner, rows, rows)
        return True, _cut(inner, SPLIT_BLOCK, rows, SPLIT_BLOCK // max(inner, 1))
    assert nest.inner is not None
    columns = nest.inner.size
    blocks = _ceil_div(columns, COLUMN_BLOCK)
    total = items * columns * extent
    if may_split and items * blocks < FEW_ITEMS and total >= 2 * SPLIT_BLOCK and extent >= 256:
        width = min(columns, COLUMN_BLOCK)
        # At most about a thousand partial results are added one after another.
        row_length = max(SPLIT_BLOCK // max(width, 1), _ceil_div(extent, 1024), 64)
        return True, _cut(columns, COLUMN_BLOCK, extent, row_length)
    width = COLUMN_BLOCK
    if saved_width:
        width = min(width, max(64, SAVED_BYTES // max(1, saved_width * extent)))
    if items * _ceil_div(columns, width) < FEW_ITEMS:
        width = min(width, max(128, _ceil_div(columns, FEW_ITEMS)))
    return False, _cut(columns, width, extent, extent)


def canonical(region: Region) -> tuple[KernelSpec, Geometry]:
    """What kernel a region needs, and the numbers to call it with.

    Parameters
    ----------
    region
        A region for which ``supported`` holds.

    Returns
    -------
    tuple
        The kernel's specification, and the int64 array that is its second argument.
    """
    region = flattened(region)
    accesses = [*region.inputs, *(access for _, access in region.outputs)]
    offsets = [access.offset for access in accesses]
    loops = loops_of(region, accesses, offsets)
    reduces = any(instr.kind in ("reduce", "scan") for instr in region.body)
    scans = any(instr.kind == "scan" for instr in region.body)
    short = SHORT_HEAVY if any(is_heavy(instr) for instr in region.body) else SHORT
    moved = {number for number, access in enumerate(region.inputs) if access.sources}
    may_share = not scans and _plain(region)
    nest = _nest(loops, len(accesses), len(region.outputs), reduces, short, moved, may_share)
    operands = _operands(nest, accesses)
    inputs = tuple(operands[: len(region.inputs)])
    outputs = tuple(
        (value, operand)
        for (value, _), operand in zip(region.outputs, operands[len(inputs) :], strict=True)
    )
    counts = len(nest.kept), len(nest.reduced)
    fused = KernelSpec(nest.form, False, False, 0, *counts, inputs, region.body, outputs)
    flow = dataflow(fused)
    may_split = reduces and not scans and splittable(fused, flow)
    moments = _moments(nest, fused, flow)
    flow = dataflow(replace(fused, moments=moments))
    width = sum(_itemsize(fused, value) for value in flow.saved)
    split, blocks = _plan_blocks(nest, width, may_split, flow.passes)
    shared = 0
    if nest.inner is not None and may_share and not split:
        shared = shared_loops([*nest.kept, nest.inner], nest.reduced, len(region.outputs))
    staged = shared > 0 or (not split and short == SHORT_HEAVY and _wants_staging(nest, operands))
    if staged:
        assert nest.inner is not None
        rows = nest.reduced[0].size
        length = tile_length(inputs, rows) if shared else max(64, STAGED // rows // 64 * 64)
        blocks = _cut(nest.inner.size, length, rows, rows)
    edges = None
    if nest.form == "map" and not nest.period and nest.inner is not None:
        edges = edges_of(region.inputs, nest.inner, nest.kept)
    # Lines that are stored past the caches are computed under masks: 7.5 ms in stretches, 11.6 so.
    streamed = edges is None and _wants_streaming(nest, outputs)
    if streamed:
        assert nest.inner is not None
        # The last one has what is left too: each is long enough for blocks of whole lines.
        blocks = Blocks(MAP_BLOCK, nest.inner.size // MAP_BLOCK, 1, 1)
    spec = KernelSpec(
        nest.form, split, staged, shared, *counts, inputs, region.body, outputs, streamed
    )
    if not split:
        spec = replace(spec, moments=moments)
    if nest.inner is not None and not nest.period and has_short_rows(spec, nest.inner.size):
        spec = replace(spec, short=True)
    if edges is not None:
        spec = replace(spec, stretches=len(edges) - 1)
    geometry = _geometry(spec, nest, blocks, offsets, _cost(region))
    slots = geometry_slots(spec)
    for number, edge in enumerate(edges or ()):
        geometry[slots[f"edge_{number}"]] = edge
    for number, access in enumerate(region.inputs):
        for i, pick in enumerate(access.picks):
            geometry[slots[f"in{number}_size{i}"]] = pick.size
            geometry[slots[f"in{number}_step{i}"]] = pick.step
        for i, window in enumerate(access.windows):
            geometry[slots[f"in{number}_low{i}"]] = window.low
            geometry[slots[f"in{number}_high{i}"]] = window.high
    return spec, as_geometry(geometry)


def _plain(region: Region) -> bool:
    """Whether inputs are read where they lie, and nothing is complex."""
    special = (x for x in region.inputs if x.sources or x.is_position or x.words)
    kinds = {x.dtype for x in region.inputs} | {instr.dtype for instr in region.body}
    return not any(special) and not kinds & COMPLEX


def _wants_staging(nest: _Nest, operands: list[Operand]) -> bool:
    if nest.form != "columns" or len(nest.reduced) != 1:
        return False
    if not 0 < nest.reduced[0].size < SHORT_HEAVY:
        return False
    return any(operand.inner == "s" and not operand.outer for operand in operands)


def _moments(nest: _Nest, spec: KernelSpec, flow: Dataflow) -> tuple[Moment, ...]:
    extent = math.prod(loop.size for loop in nest.reduced)
    if nest.form != "rows" or extent < LEAST:
        return ()
    outputs = {value for value, _ in spec.outputs}
    return find_moments(len(spec.inputs), spec.body, outputs, flow.outer, flow.level)


def _wants_streaming(nest: _Nest, outputs: tuple[tuple[int, Operand], ...]) -> bool:
    if nest.form != "map" or nest.period or nest.inner is None:
        return False
    elements = math.prod(loop.size for loop in (*nest.kept, nest.inner))
    contiguous = all(operand.inner == "1" for _, operand in outputs)
    width = max(np.dtype(operand.dtype).itemsize for _, operand in outputs)
    return contiguous and nest.inner.size >= MAP_BLOCK and elements * width >= STREAMED


def _itemsize(spec: KernelSpec, value: int) -> int:
    return np.dtype(spec.body[value - len(spec.inputs)].dtype).itemsize


def splittable(spec: KernelSpec, flow: Dataflow) -> bool:
    """Whether totals may be written before the last sweep.

    A total may be written over an input that lives on the kept axes. A split kernel writes
    totals first, which is wrong if a later sweep wants that input.
    """
    stores_last = flow.store_pass >= 0 and not flow.reduces[flow.store_pass]
    return not (stores_last and flow.outer_outputs and any(x.outer for x in spec.inputs))


def _operands(nest: _Nest, accesses: list[Access]) -> list[Operand]:
    inner = nest.inner if nest.inner is not None else nest.reduced[-1]
    still = [all(loop.strides[i] == 0 for loop in nest.reduced) for i in range(len(accesses))]
    operands = []
    for index, access in enumerate(accesses):
        outer = bool(nest.reduced) and all(still[i] for i in (index, *access.sources))
        stride = "p" if index in nest.periodic else _stride_class(inner.strides[index])
        picks = tuple(pick.index for pick in access.picks)
        windows = tuple(window.position for window in access.windows)
        kind = access.is_position, access.words
        operands.append(Operand(access.dtype, stride, outer, picks, windows, *kind))
    return operands


def _geometry(
    spec: KernelSpec, nest: _Nest, blocks: Blocks, offsets: list[int], cost: float
) -> list[int]:
    slots = geometry_slots(spec)
    geometry = [0] * len(slots)

    def put(name: str, value: int) -> None:
        if name in slots:
            geometry[slots[name]] = value

    put("cost", min(math.trunc(cost), 1 << 62))
    loops = [(f"k{i}", loop) for i, loop in enumerate(nest.kept)]
    loops += [(f"r{i}", loop) for i, loop in enumerate(nest.reduced)]
    for name, loop in loops:
        put(f"n_{name}", loop.size)
    inner = nest.inner
    if inner is None:
        inner, rows = nest.reduced[-1], math.prod(loop.size for loop in nest.reduced[:-1])
    else:
        put("n_j", inner.size)
        rows = math.prod(loop.size for loop in nest.reduced)
    if nest.period:
        put("period", nest.period)
        put("repeated", _repeated(nest.period))
    put("rows", rows)
    put("length", blocks.inner_length)
    put("blocks", blocks.inner_blocks)
    put("row_length", blocks.row_length)
    put("row_blocks", blocks.row_blocks)
    for index, (name, _) in enumerate(named_operands(spec)):
        put(f"{name}_offset", offsets[index])
        for loop_name, loop in loops:
            put(f"{name}_{loop_name}", loop.strides[index])
        put(f"{name}_j", inner.strides[index])
    kept = math.prod(loop.size for loop in nest.kept)
    _put_work(spec, put, kept, blocks, inner.size)
    return geometry


def _put_work(
    spec: KernelSpec,
    put: Callable[[str, int], None],
    kept: int,
    blocks: Blocks,
    inner: int,
) -> None:
    pieces = kept * blocks.row_blocks * blocks.inner_blocks
    whole = kept * (blocks.inner_blocks if spec.form == "columns" else 1)
    for number, phase in enumerate(phases(spec)):
        if spec.form == "map":
            put(f"work_{number}", kept * blocks.inner_blocks)
        elif phase == "item" or phase.startswith("total"):
            put(f"work_{number}", whole)
        else:
            put(f"work_{number}", pieces)
    if not spec.split:
        return
    # Partial and total results, each in a stretch of the temporary memory, 64-byte aligned.
    columns = inner if spec.form == "columns" else 1
    partials = kept * blocks.row_blocks * columns if spec.form == "columns" else pieces
    used = 0
    for value in split_values(spec):
        width = _itemsize(spec, value)
        for name, count in ((f"partial_{value}", partials), (f"total_{value}", kept * columns)):
            put(name, used // width)
            used += _ceil_div(count * width, 64) * 64
    put("temporary_bytes", used)
