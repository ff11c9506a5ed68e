"""Lane: a value inside a vmap, as batching rules see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Lane:
    """A Tensor (or Python number) that the examples share, or that has one element for each.

    Attributes
    ----------
    tensor : Tensor or Python number
    batched : bool
        Whether the first axis of the Tensor counts the examples.
    """

    tensor: Any
    batched: bool


Lanes = Sequence[Lane]
