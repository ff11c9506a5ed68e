"""Library nodes that have a kernel written by hand: random numbers."""

from __future__ import annotations

from collections.abc import Callable

from hybrid.core.graph import Node
from hybrid.kernels.cuda import random
from hybrid.kernels.cuda.kernel import MOST_BLOCKS
from hybrid.kernels.cuda.source import Source
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Written:
    """A kernel of one launch, which takes the node's inputs and then its results without gaps."""

    source: Source
    blocks: int
    numbers: tuple[int, ...]


def find(node: Node, threads: int) -> Written | None:
    """The kernel of a node; None where there is none."""
    make = _KERNELS.get(node.op.name)
    return None if make is None else make(node, threads)


def _drawn(node: Node, threads: int) -> Written | None:
    """Kernels whose threads each draw a block of numbers."""
    size = node.output.spec.size
    draw = random.draw(node.op.name, dict(node.attrs), threads)
    count = draw.count(size)
    blocks = min(-(-count // threads), MOST_BLOCKS)
    return Written(draw.source, blocks, (count, size))


def _advanced(node: Node, threads: int) -> Written | None:
    return Written(random.advance(threads), 1, (node.attrs["blocks"],))


_KERNELS: dict[str, Callable[[Node, int], Written | None]] = {
    "random_bits": _drawn,
    "random_words": _drawn,
    "random_uniform": _drawn,
    "random_normal": _drawn,
    "random_integers": _drawn,
    "random_advance": _advanced,
}
