"""Random numbers drawn on a card at once, by one launch, for eager code and CuPy's functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid.core.places import Place
from hybrid.kernels.cuda import random
from hybrid.kernels.cuda.card import card_at
from hybrid.kernels.cuda.kernel import MOST_BLOCKS


def drawn(
    place: Place, op: str, attrs: Mapping[str, Any], state: Any, size: int, dtype: Any
) -> Any:
    """Return an array of the card with what an op of ``hybrid.ops.drawing`` draws, in order."""
    card = card_at(place)
    made = random.draw(op, attrs, card.threads)
    count = made.count(size)
    with card.turn():
        words = place.xp.ascontiguousarray(state)
        out = place.xp.empty(size, dtype)
        if count:
            (function,) = card.load(made.source)
            blocks = min(-(-count // card.threads), MOST_BLOCKS)
            addresses = card.address(words), card.address(out)
            card.launch(function, blocks, card.threads, (*addresses, count, size))
    return out
