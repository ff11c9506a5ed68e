"""Region -> CudaSpec + numbers: what a GPU kernel is, and what a launch of it is given.

Loops are put in the same canonical form as on the CPU. Sizes of all loops but the outermost kept
and the outermost reduced one, and all strides, are part of the spec: a division by a constant is a
multiplication, one by a number that only the launch knows takes forty instructions. So a map over
contiguous arrays is compiled once for all sizes, a sum over the last axis once for each length of a
row's parts, and so on.

A map's threads stride over the elements. In a reduction a block's threads are divided among
results: ``reduced`` lanes share one. They are neighbours where the reduced loop is the contiguous
one (``along="rows"``), else neighbours work on neighbouring results (``along="columns"``). Where
results are few, the reduction is split: blocks reduce stretches of fixed length, a second kernel
adds up what they found. A scan's lanes are a warp at most; that of few long rows is split, in three
launches. A map that reads
along another axis than it writes (``along="tiles"``) turns square tiles in shared memory. All of it
depends on sizes only, so that results repeat.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hybrid.kernels.loopnest import splittable
from hybrid.kernels.loops import Loop, loops_of, sorted_loops
from hybrid.kernels.region import DTYPES, Instr, Literal, Pick, Region, Window, unsupported
from hybrid.kernels.spec import KernelSpec, Operand, arguments, dataflow, split_values
from hybrid.kernels.spec import phases as phases_of_reductions
from hybrid.records import dataclass

# Threads of a block.
THREADS = 256
# Bytes that a thread loads at once.
WIDEST = 16
# Columns of a block: one warp reads 32 neighbours.
COLUMNS = 32
# With fewer blocks than this the card is not filled: a reduction is split.
FEW_BLOCKS = 512
# About as many pieces a split reduction has in all.
PIECES = 1024
# Steps of one thread before its block is worth a launch of its own.
LEAST_STEPS = 4
# The same of scans, which take two launches more, and how many stretches pay for those.
LEAST_SCANNED = 16
LEAST_STRETCHES = 4
# Stretches of a row for each lane of the launch that scans what they came to.
MOST_STRETCHES = 256
# The side of a tile in shared memory; of less than the second number nothing is turned.
TILE = 32
SMALL_TILE = 8
# From here on positions need 64-bit divisions.
NARROW = 1 << 31

HALVES = {"float16": "f16", "bfloat16": "bf16"}


@dataclass(frozen=True, slots=True)
class CudaSpec:
    """Everything that the source of a GPU kernel depends on.

    Attributes
    ----------
    body : KernelSpec
        Dtypes and instructions, in which order they are computed, whether the reduction is split.
    kept, reduced : tuple of int
        Sizes of the loops, without the outermost one of each.
    strides : tuple
        For each operand, inputs first: strides along the kept loops, and along the reduced ones.
    picks, windows : tuple
        For each input the indices that move its place, and the stretches that limit it.
    origins : tuple
        For each input that is a position, where that begins; None for the others.
    along : str
        ``"map"``, ``"tiles"``, ``"rows"`` or ``"columns"``; before the last two, ``"scanned "``.
    threads, lanes, vector : int
        Threads of a block; how many of them share one result; elements that a thread takes at once.
    narrow : bool
        Whether all positions fit into 32 bits.
    """

    body: KernelSpec
    kept: tuple[int, ...]
    reduced: tuple[int, ...]
    strides: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    picks: tuple[tuple[Pick, ...], ...]
    windows: tuple[tuple[Window, ...], ...]
    origins: tuple[int | None, ...]
    along: str
    threads: int
    lanes: int
    vector: int
    narrow: bool

    @property
    def results(self) -> int:
        """Results that a block computes side by side."""
        return self.threads // self.lanes

    def unaligned(self) -> CudaSpec:
        """The same kernel for operands that do not begin at a multiple of 16 bytes."""
        return replace(self, vector=1)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a launch is given besides pointers.

    Attributes
    ----------
    offsets : tuple of int
        First element of each operand.
    kept, extent : int
        Number of results (of a map: of elements), and of elements that each is reduced from.
    length, chunks : int
        Into how many stretches of which length a split reduction cuts the extent.
    """

    offsets: tuple[int, ...]
    kept: int
    extent: int
    length: int
    chunks: int


def refused(region: Region) -> str:
    """Why no GPU kernel can be made of a region; empty if one can."""
    if any(access.words for access in region.inputs):
        return "GPU kernels draw no random words"
    return unsupported(region, DTYPES | HALVES.keys())


def _compute_dtype(dtype: str) -> str:
    return "float32" if dtype in HALVES else dtype


def _widened_argument(arg: int | Literal) -> int | Literal:
    if isinstance(arg, Literal) and arg.dtype in HALVES:
        return Literal(arg.value, "float32")
    return arg


def widened(region: Region) -> Region:
    """The region with float32 arithmetic in place of 16-bit; what is stored keeps its dtype.

    A cast to 16 bits still rounds.
    """

    def wide(instr: Instr) -> Instr:
        args = tuple(_widened_argument(arg) for arg in instr.args)
        if instr.dtype not in HALVES:
            return replace(instr, args=args)
        if instr.kind == "cast":
            source = args[0]
            dtype = source.dtype if isinstance(source, Literal) else region.dtype_of(source)
            if _compute_dtype(dtype).startswith("float"):
                expr = f"round_{HALVES[instr.dtype]}({{0}})"
                return Instr("map", instr.op, expr, args, "float32")
        return replace(instr, args=args, dtype="float32")

    return replace(region, body=tuple(map(wide, region.body)))


def canonical(region: Region, threads: int = THREADS) -> tuple[CudaSpec, Numbers]:
    """What kernel a region needs, and the numbers to launch it with.

    Parameters
    ----------
    region
        A region that is not ``refused``.
    threads
        Threads of a block, a power of two.
    """
    region = widened(region)
    accesses = [*region.inputs, *(access for _, access in region.outputs)]
    offsets = [access.offset for access in accesses]
    loops = loops_of(region, accesses, offsets)
    kept = sorted_loops([loop for loop in loops if loop.kept])
    reduced = sorted_loops([loop for loop in loops if not loop.kept])
    reduces = bool(region.axes)
    scans = any(instr.kind == "scan" for instr in region.body)
    far = any(access.sources for access in region.inputs)
    turned = [] if reduces or far else _turned(kept, len(region.inputs))
    if turned:
        kept = turned
    still = [all(loop.strides[i] == 0 for loop in reduced) for i in range(len(accesses))]
    operands = tuple(
        Operand(
            access.dtype,
            "s",
            reduces and still[i] and all(still[source] for source in access.sources),
        )
        for i, access in enumerate(accesses)
    )
    inputs = operands[: len(region.inputs)]
    outputs = tuple(
        (value, operand)
        for (value, _), operand in zip(region.outputs, operands[len(inputs) :], strict=True)
    )
    if reduces and not reduced:
        reduced = [Loop(1, [0] * len(accesses), False)]
    form = "rows" if reduces else "map"
    body = KernelSpec(form, False, False, 0, len(kept), len(reduced), inputs, region.body, outputs)
    count, extent = _product(kept), _product(reduced)
    spec = CudaSpec(
        body,
        tuple(loop.size for loop in kept[1:]),
        tuple(loop.size for loop in reduced[1:]),
        tuple(_strides(index, kept, reduced) for index in range(len(accesses))),
        tuple(access.picks for access in region.inputs),
        tuple(access.windows for access in region.inputs),
        tuple(offsets[i] if x.is_position else None for i, x in enumerate(region.inputs)),
        _direction(kept, reduced, scans) if reduces else "tiles" if turned else "map",
        threads,
        1,
        1,
        count * extent < NARROW,
    )
    spec = replace(spec, vector=_vector(spec, kept, reduced, offsets))
    if reduces:
        spec = replace(spec, lanes=_lanes(spec, extent))
    split, length = _cut(spec, count, extent)
    body = replace(body, split=split)
    places = tuple(0 if x.is_position else n for x, n in zip(accesses, offsets, strict=True))
    numbers = Numbers(places, count, extent, length, -(-extent // length))
    return replace(spec, body=body), numbers


def _product(loops: list[Loop]) -> int:
    return math.prod(loop.size for loop in loops)


def _strides(
    index: int, kept: list[Loop], reduced: list[Loop]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (
        tuple(loop.strides[index] for loop in kept),
        tuple(loop.strides[index] for loop in reduced),
    )


def _turned(kept: list[Loop], inputs: int) -> list[Loop]:
    """The loops with one next to the innermost along which inputs lie that are to be turned."""
    straight = [x for x in kept if all(stride == 1 for stride in x.strides[inputs:])]
    if not straight or straight[0].size < SMALL_TILE:
        return []
    (inner,) = straight
    for loop in kept:
        if loop.size >= SMALL_TILE and any(
            loop.strides[i] == 1 and inner.strides[i] > 1 for i in range(inputs)
        ):
            others = [other for other in kept if other is not loop and other is not inner]
            return [*others, loop, inner]
    return []


def _direction(kept: list[Loop], reduced: list[Loop], scans: bool) -> str:
    found = "rows" if scans and kept and kept[-1].weight >= reduced[-1].weight else ""
    if scans:
        return "scanned rows" if found or not kept else "scanned columns"
    if not kept or (kept[-1].weight >= reduced[-1].weight and reduced[-1].size > 1):
        return "rows"
    # Neighbouring results would leave most of a warp without work.
    return "columns" if kept[-1].size >= COLUMNS // 2 or reduced[-1].size < COLUMNS else "rows"


def _vector(spec: CudaSpec, kept: list[Loop], reduced: list[Loop], offsets: list[int]) -> int:
    """Elements that a thread takes at once; 1 where 16 bytes are not to be had."""
    neighbours = spec.along in ("rows", "scanned rows")
    loops = reduced if neighbours else kept if spec.along == "map" else []
    if not loops:
        return 1
    inner, others = loops[-1], [*kept, *reduced]
    others.remove(inner)
    operands = [*spec.body.inputs, *(operand for _, operand in spec.body.outputs)]
    used = [
        (i, operand)
        for i, operand in enumerate(operands)
        if inner.strides[i] == 1 and (i >= len(spec.picks) or _together(spec, i, inner))
    ]
    if not used:
        return 1
    width = WIDEST // max(np.dtype(_storage(operand.dtype)).itemsize for _, operand in used)
    if inner.size < width or (len(loops) > 1 and inner.size % width):
        return 1
    for i, _ in used:
        if offsets[i] % width or any(loop.strides[i] % width for loop in others):
            return 1
    for i in range(len(spec.body.inputs), len(operands)):
        # A result that is written with gaps gains nothing from what is read without.
        if spec.along == "map" and inner.strides[i] != 1:
            return 1
    return width


def _together(spec: CudaSpec, i: int, inner: Loop) -> bool:
    """Whether neighbours along a loop are neighbours of an input, at places that are aligned."""
    if spec.windows[i] or spec.origins[i] is not None:
        return False
    return all(pick.step % WIDEST == 0 and not inner.strides[pick.index] for pick in spec.picks[i])


def _storage(dtype: str) -> str:
    return "uint16" if dtype in HALVES else dtype


def _lanes(spec: CudaSpec, extent: int) -> int:
    """How many threads share a result: a power of two, from what there is to do for each."""
    if spec.along == "scanned columns":
        return 1
    most = min(spec.threads, COLUMNS) if spec.along == "scanned rows" else spec.threads
    if spec.along == "columns":
        most = max(1, spec.threads // COLUMNS)
    wanted = max(1, -(-extent // spec.vector))
    return min(most, 1 << (wanted - 1).bit_length())


def _cut(spec: CudaSpec, count: int, extent: int) -> tuple[bool, int]:
    """Whether to split the reduction or the scan, and the length of its stretches."""
    pieces = 0
    if spec.along in ("rows", "columns"):
        pieces = _pieces(spec, count, extent)
    elif spec.along.startswith("scanned"):
        pieces = _stretches(spec, count, extent)
    if not pieces:
        return False, max(extent, 1)
    step = spec.lanes * spec.vector
    length = -(-extent // pieces)
    return True, -(-length // step) * step


def _pieces(spec: CudaSpec, count: int, extent: int) -> int:
    """Into how many pieces to cut a reduction; 0 where that pays not."""
    tiles = max(1, -(-count // spec.results))
    pieces = min(-(-PIECES // tiles), extent // (spec.lanes * spec.vector * LEAST_STEPS))
    worth = tiles < FEW_BLOCKS and pieces > 1 and splittable(spec.body, dataflow(spec.body))
    return pieces if worth else 0


def _stretches(spec: CudaSpec, count: int, extent: int) -> int:
    """Into how many stretches to cut the rows of a scan; 0 where that pays not."""
    busy = max(1, count) * spec.lanes
    most = min(MOST_STRETCHES * spec.lanes, -(-PIECES * spec.threads // busy))
    pieces = min(most, extent // (spec.lanes * spec.vector * LEAST_SCANNED))
    few = busy < FEW_BLOCKS * spec.threads and pieces >= LEAST_STRETCHES
    return pieces if few and _alone(spec.body) else 0


def _alone(body: KernelSpec) -> bool:
    """Whether no scan needs the results of another, which each stretch knows only in the end."""
    scans, count = set(scan_values(body)), len(body.inputs)
    after: set[int] = set()
    for value, instr in enumerate(body.body, count):
        if instr.kind == "reduce" or (value in scans and after & set(arguments(instr))):
            return False
        if value in scans or after & set(arguments(instr)):
            after.add(value)
    return True


def scan_values(body: KernelSpec) -> list[int]:
    """The results of scans."""
    instrs = enumerate(body.body, len(body.inputs))
    return [value for value, instr in instrs if instr.kind == "scan"]


def phases(spec: CudaSpec) -> tuple[str, ...]:
    """The steps of a kernel, of which each is a launch."""
    if spec.body.split and spec.along.startswith("scanned"):
        return ("partial0", "total0", "store0")
    return phases_of_reductions(spec.body)


@dataclass(frozen=True, slots=True)
class Temporary:
    """An array of what pieces came to: one element for each result, or for each piece of it."""

    name: str
    dtype: str
    by_piece: bool


def temporaries(spec: CudaSpec) -> tuple[Temporary, ...]:
    """What a split kernel needs besides its operands, in the order of the parameters."""
    body = spec.body
    if not body.split:
        return ()
    found = []
    for value in (*split_values(body), *scan_values(body)):
        instr = body.body[value - len(body.inputs)]
        found.append(Temporary(f"partial_{value}", instr.dtype, by_piece=True))
        if instr.kind == "reduce":
            found.append(Temporary(f"total_{value}", instr.dtype, by_piece=False))
    return tuple(found)


def operand_dtypes(spec: CudaSpec) -> Iterator[str]:
    """Dtypes of the arrays that are passed, inputs first."""
    for operand in spec.body.inputs:
        yield operand.dtype
    for _, operand in spec.body.outputs:
        yield operand.dtype
