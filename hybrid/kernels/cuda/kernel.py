"""A GPU kernel as it is launched: how many blocks for each phase, what memory besides operands."""

from __future__ import annotations

from hybrid.kernels.cuda.generate import source
from hybrid.kernels.cuda.source import Source
from hybrid.kernels.cuda.spec import WIDEST, CudaSpec, Numbers, canonical, phases, temporaries
from hybrid.kernels.region import Region
from hybrid.records import dataclass

# Blocks that are launched at most; each takes several steps then. Enough for 132 multiprocessors
# of 8 resident blocks, several times over.
MOST_BLOCKS = 8192


@dataclass(frozen=True, slots=True)
class Launch:
    """One phase: the name of its entry point, and the number of its blocks."""

    entry: str
    blocks: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """What runs a region: source to compile, launches in order, what to pass.

    The arguments of each launch are the operands' pointers, moved on by ``offsets`` elements, then
    pointers to ``temporaries``, then ``numbers``.

    Attributes
    ----------
    source : Source
    launches : tuple of Launch
    offsets : tuple of int
    temporaries : tuple of (dtype, count)
    numbers : tuple of int
    alignment : int
        Bytes of which the operands' addresses must be multiples.
    """

    source: Source
    launches: tuple[Launch, ...]
    offsets: tuple[int, ...]
    temporaries: tuple[tuple[str, int], ...]
    numbers: tuple[int, ...]
    alignment: int


def prepare(region: Region, *, aligned: bool = True, threads: int | None = None) -> Prepared:
    """Say how a region is run.

    Parameters
    ----------
    region
        One that is not ``refused``.
    aligned
        Whether all operands begin at multiples of 16 bytes, as whole allocations do.
    threads
        Threads of a block, a power of two; 256 where left out.
    """
    spec, numbers = canonical(region, threads) if threads else canonical(region)
    if not aligned:
        spec = spec.unaligned()
    made = source(spec)
    return Prepared(
        made,
        tuple(
            Launch(entry, _blocks(spec, numbers, phase))
            for entry, phase in zip(made.phases, phases(spec), strict=True)
        ),
        numbers.offsets,
        tuple(
            (x.dtype, numbers.kept * (numbers.chunks if x.by_piece else 1))
            for x in temporaries(spec)
        ),
        (numbers.kept, numbers.extent, numbers.length, numbers.chunks),
        WIDEST if spec.vector > 1 else 1,
    )


def _blocks(spec: CudaSpec, numbers: Numbers, phase: str) -> int:
    if spec.along in ("map", "tiles"):
        # A block of tiles takes as many elements as it has threads, several times over.
        wanted = -(-numbers.kept // (spec.vector * spec.threads))
    elif spec.along.startswith("scanned"):
        stretches = numbers.chunks if phase.startswith(("partial", "store")) else 1
        wanted = -(-numbers.kept * stretches // spec.results)
    else:
        wanted = -(-numbers.kept // spec.results)
        if phase.startswith(("partial", "store")):
            wanted *= numbers.chunks
    return min(wanted, MOST_BLOCKS)
