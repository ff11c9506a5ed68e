"""NumPy's inner loops: the functions behind a ufunc that take addresses, strides and a count.

They need no interpreter. What a loop finds wrong (a division by zero) it leaves in the
floating-point flags of its thread.
"""

from __future__ import annotations

import ctypes
import platform
from typing import NamedTuple

import numpy as np

_POINTER = ctypes.sizeof(ctypes.c_void_p)
_HEADER = object.__basicsize__

# The bits of the floating-point flags, by the names of numpy.errstate; by the processor.
_FLAGS = {
    "x86_64": {"invalid": 1, "divide": 4, "over": 8, "under": 16},
    "aarch64": {"invalid": 1, "divide": 2, "over": 4, "under": 8},
}
_ALSO = {"AMD64": "x86_64", "arm64": "aarch64"}
FLAGS = _FLAGS.get(_ALSO.get(platform.machine(), platform.machine()))
"""None where they are not known: then NumPy is left to call its loops."""


class InnerLoop(NamedTuple):
    """A loop of NumPy: ``function(addresses, counts, strides, data)``; `types` as NumPy has it."""

    types: str
    function: int
    data: int


def inner_loops(ufunc: np.ufunc) -> tuple[InnerLoop, ...]:
    """Return the loops of a ufunc; none where it lies in memory otherwise than expected."""
    at = id(ufunc) + _HEADER
    counts = (ctypes.c_int * 3).from_address(at)
    if FLAGS is None or tuple(counts) != (ufunc.nin, ufunc.nout, ufunc.nargs):
        return ()
    functions, data = (ctypes.c_void_p * 2).from_address(at + 4 * ctypes.sizeof(ctypes.c_int))
    table = ctypes.c_void_p * len(ufunc.types)
    places = table.from_address(functions) if functions else table()
    extra = table.from_address(data) if data else table()
    return tuple(
        InnerLoop(types, function, more or 0)
        for types, function, more in zip(ufunc.types, places, extra, strict=True)
        if function
    )


def inner_loop(ufunc: np.ufunc, types: str) -> InnerLoop | None:
    """Return the loop of a ufunc that ``ufunc.types`` names so (``"ff->f"``), if there is one."""
    return next((loop for loop in inner_loops(ufunc) if loop.types == types), None)


def plain_result(ufunc: np.ufunc, dtype: np.dtype[np.generic]) -> np.dtype[np.generic] | None:
    """Return the dtype of the result for operands of one dtype.

    None where the ufunc converts them first, or has more than one result.
    """
    if ufunc.nout != 1:
        return None
    try:
        *given, result = ufunc.resolve_dtypes((*[dtype] * ufunc.nin, None))
    except TypeError:
        return None
    return result if all(x is dtype for x in given) else None
