"""Indexing: ``x[index]`` with NumPy's rules, gathering and index updates.

A basic index (ints, slices, None, ``...``) becomes at most three view ops: slice, squeeze,
expand_dims. Index arrays become one `gather` behind them. A boolean mask stands for the index
arrays that :func:`nonzero` gives.
"""

from __future__ import annotations

from hybrid.ops.indexing.along import put_along_axis, scatter, scatter_add, take_along_axis
from hybrid.ops.indexing.gather import gather
from hybrid.ops.indexing.positions import ravel_multi_index, unravel_index
from hybrid.ops.indexing.reading import getitem, take
from hybrid.ops.indexing.selection import Selection, key_of, native, select
from hybrid.ops.indexing.update import index_update

__all__ = [
    "Selection",
    "gather",
    "getitem",
    "index_update",
    "key_of",
    "native",
    "put_along_axis",
    "ravel_multi_index",
    "unravel_index",
    "scatter",
    "scatter_add",
    "select",
    "take",
    "take_along_axis",
]
