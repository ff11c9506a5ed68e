"""How the arguments of a Plan lie in memory: ndarrays, arrays on a card, Python numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.core.layout import Layout, contiguous
from hybrid.core.places import DeviceArray
from hybrid.core.tensor import Tensor

_ARRAYS = frozenset((np.ndarray, DeviceArray))


def layout_of(array: Any) -> Layout:
    """Return how a parameter lies in memory, strides in elements."""
    if type(array) not in _ARRAYS:
        assert type(array) is not Tensor, "a Plan takes what Tensors hold"
        return contiguous(())
    size = array.dtype.itemsize
    return Layout(array.shape, tuple(s // size for s in array.strides))


def strides_of(arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Return what tells apart how arrays of known shapes lie; None for Python numbers."""
    return tuple([a.strides if type(a) in _ARRAYS else None for a in arrays])
