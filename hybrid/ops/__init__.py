"""Every primitive, each defined once, by family; importing this package fills the registry."""

from __future__ import annotations

from hybrid.ops import (
    composite,
    conv,
    creation,
    diagonals,
    elementwise,
    indexing,
    inplace,
    layers,
    linalg,
    losses,
    movement,
    pooling,
    protocols,
    random,
    rearranging,
    reduction,
    searching,
    sets,
    sorting,
    updating,
)

__all__ = [
    "composite",
    "conv",
    "creation",
    "diagonals",
    "elementwise",
    "indexing",
    "inplace",
    "layers",
    "linalg",
    "losses",
    "movement",
    "pooling",
    "protocols",
    "random",
    "rearranging",
    "reduction",
    "searching",
    "sets",
    "sorting",
    "updating",
]
