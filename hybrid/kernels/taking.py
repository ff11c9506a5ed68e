"""Rows at places, copied side by side: look-ups in tables, messages along the edges of a graph.

``ndarray.take`` uses one thread and fresh memory, whose pages take most of its time; to memory that
it is given it copies from a buffer of its own.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from hybrid.core.spec import TensorSpec
from hybrid.kernels.handwritten import Array, geometry, run
from hybrid.kernels.rows_at import SLOTS, WIDTH, rows_source
from hybrid.kernels.texts import Source

# Rows of an item, and nanoseconds for `WIDTH` elements.
_ROWS, _PART = 64, 4
# Elements from which on it pays to look for a kernel.
_LEAST = 4096
# Bits stay what they are: numbers of any kind are copied as floats of their size.
_WORDS: dict[int, np.dtype[Any]] = {4: np.dtype(np.float32), 8: np.dtype(np.float64)}

_TAKE = """    for i in range(lo * {rows}, min(hi * {rows}, count)):
        source = from_end(load(index, i), size) * columns
        to = i * columns
        for part in items(0, columns // {width}):
            first = part * {width}
            for j in {steps}:
                store(out, to + first + j, load(value, source + first + j))
        for j in items(columns // {width} * {width}, columns):
            store(out, to + j, load(value, source + j))
"""


@functools.cache
def _source(dtype: str, width: int) -> Source:
    return rows_source("take_rows", _TAKE, dtype, width, rows=_ROWS)


def takes(base: TensorSpec) -> bool:
    """Whether there is a kernel for the dtype and the rows of `base`."""
    return base.dtype.isbuiltin == 1 and base.dtype.itemsize in _WORDS and base.ndim > 1


def pays(out: Array) -> bool:
    """Whether rows are best copied to `out` by the kernel."""
    return out.size >= _LEAST and out.flags.c_contiguous


def take_rows(base: Array, index: Array, out: Array) -> None:
    """Copy the rows of `base` at `index`, which is not checked, to `out`.

    Parameters
    ----------
    base : ndarray
        Of numbers of 4 or 8 bytes; what is behind its first axis is one row.
    index : ndarray
        Of integers; negative ones count from the end.
    out : ndarray
        Contiguous, of the dtype of `base`, its shape that of `index` and then of a row.
    """
    words = _WORDS[base.dtype.itemsize]
    columns = base.size // len(base)
    values = {"count": index.size, "columns": columns, "size": len(base)}
    cost = out.size * _PART // WIDTH
    numbers = geometry(cost, 0, [-(-index.size // _ROWS)], SLOTS, values)
    base, places = np.ascontiguousarray(base), np.ascontiguousarray(index, np.int64)
    source = _source(words.name, min(columns, WIDTH))
    run(source, numbers, base.view(words), places, out.view(words))
