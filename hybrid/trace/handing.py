"""Memory for what a trace hands to eager code: each array has its own, lying as NumPy lays it out.

In a trace what is copied, as by ``b[...] = a``, is the same value in two places, and so it is one
array once it is computed: that of the caller even, where it came in so. Eager code writes into
arrays, which must reach nobody else then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hybrid.core.places import DeviceArray
from hybrid.core.storage import Storage
from hybrid.core.tensor import Tensor
from hybrid.trace.memory_order import laid_out
from hybrid.trace.sharing import memory_of


class Handing:
    """Hands out arrays, none of them twice.

    Parameters
    ----------
    outside : iterable of (Tensor, Tensor)
        What stands in the trace for something outside, and that; it is written to itself.
    captured : iterable of object
        What else the trace reads from outside.
    """

    def __init__(self, outside: Iterable[tuple[Tensor, Tensor]], captured: Iterable[Any]) -> None:
        pairs = list(outside)
        self._outside = {id(_holder(tensor)) for tensor, _ in pairs}
        memories = map(memory_of, (*(original for _, original in pairs), *captured))
        self._taken = {_root(array) for array in memories if array is not None}
        self._kept: list[Any] = []  # so that no id comes to mean something else

    def memory(self, holder: Tensor | Storage, array: Any) -> Any:
        """Return the array that a Storage, or a Tensor alone with its memory, is to have."""
        if id(holder) in self._outside:
            return array
        if _root(array) in self._taken:
            array = array.copy()
        if isinstance(array, np.ndarray):
            order = holder.order if type(holder) is Storage else None
            array = laid_out(array, None if order is None else order.found())
        self._taken.add(_root(array))
        self._kept.append(array)
        return array


def _holder(tensor: Tensor) -> Tensor | Storage:
    return tensor if tensor._alias is None else tensor._alias.storage


def _root(array: np.ndarray[Any, Any] | DeviceArray) -> int:
    """Return the identity of what owns the memory of an array."""
    found: Any = array
    base = _base_of(found)
    while base is not None:
        found, base = base, _base_of(base)
    return id(found)


def _base_of(array: Any) -> np.ndarray[Any, Any] | None:
    """Return the array of which one is a view; a watched one is asked itself, not a view of it."""
    base = np.ndarray.__getattribute__(array, "base") if isinstance(array, np.ndarray) else None
    return base if isinstance(base, np.ndarray) else None
