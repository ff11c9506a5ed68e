"""Indexing: ``x[index]`` with NumPy's rules, gathering and functional updates.

A basic index (ints, slices, None, ``...``) becomes at most three view ops: slice, squeeze,
expand_dims. Index arrays become one `gather` behind them. A boolean mask stands for the index
arrays that :func:`nonzero` gives.
"""

from __future__ import annotations

from hybrid.ops.indexing.at import At
from hybrid.ops.indexing.gather import gather, index_update
from hybrid.ops.indexing.reading import getitem, take, take_along_axis
from hybrid.ops.indexing.selection import Selection, key_of, native, select

__all__ = [
    "At",
    "Selection",
    "gather",
    "getitem",
    "index_update",
    "key_of",
    "native",
    "select",
    "take",
    "take_along_axis",
]
