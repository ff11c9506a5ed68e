"""``x.at[index]``: functional updates, which leave the array as it is."""

from __future__ import annotations

from typing import Any

from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops.indexing.reading import getitem


class At:
    """``x.at[index]``: copies of `x` with other contents at `index`; `x` stays as it is.

    Examples
    --------
    >>> asarray([1, 2, 3]).at[1:].add(10)
    Tensor([ 1, 12, 13], dtype=int64)
    """

    __slots__ = ("_index", "_x")

    def __init__(self, x: Tensor, index: Any = ...) -> None:
        self._x = x
        self._index = index

    def __getitem__(self, index: Any) -> At:
        return At(self._x, index)

    def get(self) -> Tensor:
        """Return ``x[index]``."""
        return getitem(self._x, self._index)

    def set(self, value: ArrayLike) -> Tensor:
        """Return a copy with `value` at the index; of repeated indices the last one wins."""
        return self._updated(value, "set")

    def add(self, value: ArrayLike) -> Tensor:
        """Return a copy with `value` added at the index; repeated indices add up."""
        return self._updated(value, "add")

    def _updated(self, value: ArrayLike, mode: str) -> Tensor:
        from hybrid.ops.inplace import updated

        return updated(self._x, self._index, value, mode)
