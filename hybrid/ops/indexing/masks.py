"""``x[mask]``: where an index is one boolean mask, with slices and ints beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.dispatch import bind, resolve, state
from hybrid.core.op import OPS
from hybrid.core.picked import Picked, is_same
from hybrid.core.spec import Shape
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.unknown import same_shape
from hybrid.core.variable import Variable
from hybrid.dtypes import is_inexact
from hybrid.ops.indexing.selection import select
from hybrid.ops.reshaping import reshape
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Masked:
    """A view of an array, and the mask that selects from it.

    Attributes
    ----------
    part : Tensor
        What the slices and ints of the index show.
    mask : Tensor
        Of the axes of `part` from `lead` on.
    lead : int
    """

    part: Tensor
    mask: Tensor
    lead: int

    @property
    def over(self) -> Tensor:
        """The mask, broadcastable to `part`."""
        rest = len(self.rest)
        return reshape(self.mask, self.mask.shape + (1,) * rest) if rest else self.mask

    @property
    def rest(self) -> Shape:
        """The sizes of the axes that follow those of the mask."""
        return self.part.shape[self.lead + self.mask.ndim :]

    def picked(self) -> Picked:
        """Return how what the mask selects hangs on the array, which may be written later."""
        whole = _as_it_is(self.part)
        # What a tape then knows of it counts for these elements alone.
        if whole._node is not None and is_inexact(whole.dtype):
            whole = bind(OPS["positive"], (whole,), {})
        return Picked(whole, _as_it_is(self.mask), self.lead, _select)

    def whole_of(self, picked: Picked) -> Tensor | None:
        """Return the array that a Tensor is selected from, if it is by this mask from one alike."""
        whole = picked.whole
        if whole._data.recorder is not state.recorder:
            return None
        if not same_shape(whole.shape, self.part.shape):
            return None
        return whole if is_same(picked, self.mask, self.lead) else None


def masked(x: Tensor, index: Any) -> Masked | None:
    """Return what an index of one mask, beside slices and ints next to it, selects from.

    That is the form that a trace can hold: how many elements the mask selects plays no role.

    Parameters
    ----------
    x : Tensor
        Of a trace, up to date.
    index : object
    """
    entries = index if type(index) is tuple else (index,)
    places = [i for i, entry in enumerate(entries) if _is_mask(entry)]
    if len(places) != 1:
        return None
    (place,) = places
    kinds = [type(entry) for entry in entries]
    beside = [i for i, kind in enumerate(kinds) if kind is int]
    if any(kind is not int and kind is not slice for kind in kinds[:place] + kinds[place + 1 :]):
        return None
    if beside and len(beside) != max(*beside, place) - min(*beside, place):
        return None  # NumPy puts the axis of the mask in front then
    mask = entries[place]
    if isinstance(mask, np.ndarray):
        return None  # whose elements, and so their number, are known
    mask = resolve(mask.read() if isinstance(mask, Variable) else mask)
    axis = place
    if tuple(mask.shape) != tuple(x.shape[axis : axis + mask.ndim]):
        return None  # which is an error
    if len(entries) > 1:
        whole = (slice(None),) * mask.ndim
        found = select((*entries[:place], *whole, *entries[place + 1 :]), x.shape)
        x = found.view(x)
    return Masked(x, mask, place - sum(i < place for i in beside))


def by_mask(x: Tensor, index: Any) -> Tensor | None:
    """Return what a mask selects from a Tensor of a trace, not selected yet; else None."""
    recorder = state.recorder
    if recorder is None:
        return None
    x = resolve(x)
    if type(x._data) is not Symbol or x._data.spec.weak:
        return None
    found = masked(x, index)
    if found is None or state.recorder is not recorder:
        return None
    return found.picked().tensor()


def _is_mask(entry: Any) -> bool:
    if isinstance(entry, Tensor | np.ndarray | Variable):
        return entry.dtype.kind == "b" and entry.ndim > 0
    return False


def _as_it_is(x: Tensor) -> Tensor:
    """Return what a Tensor holds now, whatever is written to it later."""
    now = wrap(x._data)
    now._node = x._node
    state.recorder.track(now)
    return now


def _select(whole: Tensor, mask: Tensor, lead: int) -> Tensor:
    found = select((*(slice(None),) * lead, mask), whole.shape)
    return found.pick(found.view(whole))
