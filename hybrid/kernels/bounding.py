"""Indices that are inside of an axis, whatever they were: what is read there does no harm.

A loop in native code cannot stop to raise an error. It goes on with the first element in place of
what is not there, and says afterwards that it has failed.
"""

from __future__ import annotations

import functools
from math import prod

from hybrid.core.layout import Layout
from hybrid.kernels.handwritten import geometry, source_of
from hybrid.kernels.spec import Geometry
from hybrid.kernels.texts import Source

_SLOTS = ("number", "first", "step", "size")

_TEXT = """# indices, those outside of an axis replaced and counted
geometry_pointer = operand(0, "int64", "geometry")
given_pointer = operand(1, "int64", "given")
inside_pointer = operand(2, "int64", "inside", clear_of=("given",))
failed_pointer = operand(3, "int64", "failed")


def {name}_run(args, lo, hi):
    geometry = geometry_pointer(args)
    given = given_pointer(args)
    inside = inside_pointer(args)
    failed = failed_pointer(args)
{unpack}
    wrong = 0
    for i in range(number):
        index = load(given, first + i * step)
        outside = (index < -size) | (index >= size)
        wrong = wrong + select(outside, 1, 0)
        store(inside, i, select(outside, 0, index))
    store(failed, 0, load(failed, 0) + wrong)
"""


@functools.cache
def bounding() -> Source:
    """Return the kernel: takes int64 indices, memory for as many, and a count of those outside.

    To the count it adds; it is one int64.
    """
    return source_of("bounding", _TEXT, ("run",), _SLOTS, 3)


def numbers(layout: Layout, size: int) -> Geometry | None:
    """Return what it is called with for indices that lie so, into an axis; None for others."""
    number = prod(layout.shape)
    row = layout.reshape((number,))
    if row is None:
        return None
    values = {"number": number, "first": row.offset, "step": row.strides[0], "size": size}
    return geometry(number, 0, [1], _SLOTS, values)
