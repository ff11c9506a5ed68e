"""Rows added to rows of an array of a card at once, the same sums each time."""

from __future__ import annotations

from typing import Any

from hybrid.core.places import Place
from hybrid.kernels.cuda import handwritten
from hybrid.kernels.cuda.card import card_at
from hybrid.kernels.cuda.kernel import MOST_BLOCKS

DTYPES = frozenset(("float16", "float32", "float64"))

# Rows that a thread adds up, at least and at most, and how many threads fill a card.
_FEWEST, _MOST = 16, 256
_FILLED = 1 << 17


def stretch(rows: int, inner: int) -> int:
    """How many rows a thread adds up: few, unless there are more than enough threads."""
    return max(_FEWEST, min(_MOST, rows * inner // _FILLED))


def add_rows(place: Place, out: Any, places: Any, values: Any) -> None:
    """Add each row of `values` to the row of `out` that `places` says.

    Parameters
    ----------
    place : Place
    out : array of the card, shape (n, inner), contiguous, one of ``DTYPES``
        Written in place.
    places : array of int64, shape (rows,)
        From 0 up to, not including, n.
    values : array of the dtype of `out`, shape (rows, inner)
    """
    rows, inner = values.shape
    if not values.size:
        return
    card, xp, dtype = card_at(place), place.xp, out.dtype.name
    length = stretch(rows, inner)
    count = -(-rows // length) * inner
    with card.turn():
        order = xp.argsort(places, stable=True)
        there, given = places[order], xp.ascontiguousarray(values)
        pieces = [xp.empty(count, handwritten.computed(dtype)) for _ in range(2)]
        addresses = [card.address(x) for x in (out, there, order, given, *pieces)]
        blocks = min(-(-count // card.threads), MOST_BLOCKS)
        for make in (handwritten.add_stretches, handwritten.join_stretches):
            (function,) = card.load(make(dtype, inner, card.threads))
            card.launch(function, blocks, card.threads, (*addresses, count, rows, length))
