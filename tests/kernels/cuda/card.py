"""Runs regions on a real card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.core import devices
from hybrid.kernels.cuda.card import Card, card_at
from hybrid.kernels.cuda.kernel import Prepared, prepare
from hybrid.kernels.region import Region

Array = np.ndarray[Any, Any]


def first_card() -> Card:
    """The card that ``"cuda"`` means."""
    place = devices.place("cuda:0")
    assert place is not None
    return card_at(place)


def run(card: Card, region: Region, arrays: Sequence[Array]) -> Prepared:
    """Run a region on copies of its operands; outputs are last, and are copied back."""
    prepared = prepare(region, threads=card.threads)
    with card.turn():
        there = {id(array): card.place.put(array) for array in arrays}
        temporaries = [
            card.empty(count * np.dtype(dtype).itemsize) for dtype, count in prepared.temporaries
        ]
        pairs = zip(arrays, prepared.offsets, strict=True)
        pointers = [card.address(there[id(x)]) + offset * x.itemsize for x, offset in pairs]
        pointers += [card.address(memory) for memory in temporaries]
        functions = card.load(prepared.source)
        for function, phase in zip(functions, prepared.launches, strict=True):
            if phase.blocks:
                arguments = (*pointers, *prepared.numbers)
                card.launch(function, phase.blocks, prepared.source.threads, arguments)
        for array in arrays[len(region.inputs) :]:
            array[...] = card.place.get(there[id(array)])
    return prepared
