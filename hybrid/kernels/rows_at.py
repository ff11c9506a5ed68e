"""What kernels of rows at places share: their arrays and numbers, and a row as vectors."""

from __future__ import annotations

from typing import Any

from hybrid.kernels.handwritten import source_of
from hybrid.kernels.limits import lanes_of
from hybrid.kernels.texts import Source

WIDTH = 32
"""Elements of a row that are vectors without a loop."""
SLOTS = ("count", "columns", "size")
"""Places, elements of a row, rows of the array that has them."""

# `columns` are in the geometry, `width` is a number in the source.
_HEAD = """# rows of {dtype} at places
geometry_pointer = operand(0, "int64", "geometry")
value_pointer = operand(1, "{dtype}", "value")
index_pointer = operand(2, "int64", "index")
out_pointer = operand(3, "{dtype}", "out", clear_of=("value", "index"))


def {name}_run(args, lo, hi):
    geometry, value = geometry_pointer(args), value_pointer(args)
    index, out = index_pointer(args), out_pointer(args)
{unpack}
"""


def rows_source(kind: str, loops: str, dtype: str, width: int, **values: Any) -> Source:
    """Return a kernel of ``value``, ``index`` and ``out``, of which `loops` is what it does.

    ``{width}`` and ``{steps}`` in it become the elements that are vectors, and their places.
    """
    lanes = min(lanes_of(dtype), width)
    # LLVM would make single numbers of so short a loop, and takes five times as long then. Pairs
    # are these for good: told to make a vector of two it prints that it cannot.
    steps = f"lanes(0, {width}, {lanes})" if lanes > 2 and not width % lanes else f"range({width})"
    values |= {"dtype": dtype, "width": width, "steps": steps}
    return source_of(kind, _HEAD + loops, ("run",), SLOTS, 3, **values)
