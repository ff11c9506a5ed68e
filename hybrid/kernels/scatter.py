"""Adding rows up at places: gradients of embeddings, sums of segments.

``numpy.add.at`` takes 2 ns an element and wants the place of each; a row of neighbours is a few
vector additions here. Rows are added in their order, so that results are NumPy's bit for bit.
"""

from __future__ import annotations

import functools

import numpy as np

from hybrid.kernels.handwritten import Array, geometry, run
from hybrid.kernels.rows_at import SLOTS, WIDTH, rows_source
from hybrid.kernels.texts import Source

# Nanoseconds for `WIDTH` elements of a row.
_ROW = 6

# An item is so many columns: a thread has columns of its own, whatever the places.
_ADD = """    for item in range(lo, hi):
        first = item * {width}
        if first + {width} <= columns:
            for i in range(count):
                source = i * columns + first
                to = from_end(load(index, i), size) * columns + first
                for j in {steps}:
                    store(out, to + j, add(load(out, to + j), load(value, source + j)))
        else:
            for i in range(count):
                source = i * columns + first
                to = from_end(load(index, i), size) * columns + first
                for j in range(columns - first):
                    store(out, to + j, add(load(out, to + j), load(value, source + j)))
"""


@functools.cache
def _source(dtype: str, width: int) -> Source:
    return rows_source("scatter_add", _ADD, dtype, width)


def takes(out: Array) -> bool:
    """Whether there is a kernel for the dtype and the rows of `out`."""
    return out.dtype in (np.float32, np.float64, np.int64) and out.ndim > 1 and out.size > 0


def add_rows(out: Array, value: Array, index: Array) -> None:
    """Add the rows of `value` to those of `out` at `index`, which is not checked.

    Parameters
    ----------
    out : ndarray
        Contiguous; what is behind its first axis is one row.
    value : ndarray
        Of the dtype of `out`, its shape that of `index` and then of a row.
    index : ndarray
        Of integers; negative ones count from the end.
    """
    columns = out.size // len(out)
    width = min(columns, WIDTH)
    items = -(-columns // width)
    values = {"count": index.size, "columns": columns, "size": len(out)}
    numbers = geometry(index.size * items * _ROW, 0, [items], SLOTS, values)
    places = np.ascontiguousarray(index, np.int64)
    run(_source(out.dtype.name, width), numbers, np.ascontiguousarray(value), places, out)
