"""Picked: what ``x[mask]`` is in a trace until somebody needs to know how many elements that are.

How many a mask selects is for the data to say: a decision of Python's, and another trace for each
number. But code such as ``x[mask] *= 2`` and ``x[mask] = f(x[mask], y[mask])`` never asks. So a
Tensor that a mask selects first stands for the whole array and the mask; an elementwise op on such
Tensors of one mask is one on the whole arrays, and writing the result to where it came from is a
choice between both (`where`). Whatever else is done with it brings it up to date, as a view whose
memory was written: then the elements are selected.

Elements that the mask leaves out are computed too, and dropped: no op that looks at its elements to
raise an error is among those that are followed, kernels warn of nothing, and what a `where` does
not take gets no gradient.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from hybrid.core.graph import Value
from hybrid.core.heard import ASKED
from hybrid.core.op import Attrs, Op
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.state import state
from hybrid.core.storage import Alias, Storage
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.unknown import same_shape

Select = Callable[[Tensor, Tensor, int], Tensor]
_new = object.__new__
_WRITTEN_PAST = Storage(None, None)
_WRITTEN_PAST.version = 1
_SCALARS = frozenset((bool, int, float, complex))


class Picked(Alias):
    """How a Tensor hangs on the array that it is selected from by a mask.

    To all who ask it is an alias that was written past: they bring the Tensor up to date.

    Attributes
    ----------
    whole : Tensor
        The array, or what elementwise ops have made of it.
    mask : Tensor
        Of the axes of `whole` from `lead` on.
    lead : int
    select : callable
        ``select(whole, mask, lead)``: the elements, whose number is known then.
    """

    __slots__ = ("lead", "mask", "select", "whole")

    def __init__(self, whole: Tensor, mask: Tensor, lead: int, select: Select) -> None:
        super().__init__(_WRITTEN_PAST, 0, ())
        self.whole = whole
        self.mask = mask
        self.lead = lead
        self.select = select

    @property
    def rest(self) -> int:
        """How many axes of the array follow those of the mask."""
        return self.whole.ndim - self.lead - self.mask.ndim

    def tensor(self) -> Tensor:
        """Return a Tensor that hangs on the array so."""
        source = self.whole._data
        symbol = _new(Symbol)
        symbol.array = None
        symbol.recorder = source.recorder
        symbol.line = source.line
        symbol.given = False
        tensor = wrap(symbol)
        tensor._link = self
        symbol.picked = _Spec(self, tensor)
        source.recorder.note_picked(tensor)
        return tensor

    def settle(self, tensor: Tensor) -> None:
        """Let the Tensor hold the elements that are selected."""
        symbol = tensor._data
        found = self.select(self.whole, self.mask, self.lead)
        symbol.picked = None
        if type(found._data) is Symbol:
            symbol.value = found._data.value
            state.recorder.track(tensor)
            if found._node is not None:
                state.recorder.selected[id(found._node)] = found._node, self
        else:  # tracing has ended here, while somebody may be asking the symbol
            symbol.value = Value(TensorSpec(found.shape, found.dtype, found.device))
        tensor._data, tensor._link, tensor._node = found._data, found._link, found._node


class _Spec(TensorSpec):
    """What is known of a Tensor that a mask selects; to ask for its shape selects the elements."""

    __slots__ = ("_axes", "_tensor")

    _axes: int
    _tensor: weakref.ref[Tensor]

    def __init__(self, picked: Picked, tensor: Tensor) -> None:
        source = picked.whole._data
        put = object.__setattr__
        put(self, "dtype", source.dtype)
        put(self, "device", source.device)
        put(self, "weak", False)
        put(self, "_axes", picked.whole.ndim - picked.mask.ndim + 1)
        put(self, "_tensor", weakref.ref(tensor))

    @property
    def shape(self) -> Shape:
        return self.settled().shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self._axes

    def settled(self) -> Any:
        """Return what the Tensor holds once the elements are selected: a Symbol while traced."""
        from hybrid.core.dispatch import refresh

        tensor = self._tensor()
        if tensor is None:
            raise AttributeError("a Tensor that a mask selects is gone")
        refresh(tensor)
        return tensor._data


def lifted(
    op: Op,
    inputs: tuple[Any, ...],
    attrs: Attrs,
    bind: Callable[..., Any],
    resolve: Callable[..., Any],
) -> Tensor | None:
    """Apply an op to the arrays that its operands are selected from, all by one mask.

    Returns
    -------
    Tensor or None
        None where the op is to have the elements themselves.
    """
    hanging = (x._link for x in inputs if type(x) is Tensor)
    links = [link for link in hanging if type(link) is Picked]
    if not links or op.family != "elementwise" or op.scalar is None or op.raises or op.shows:
        return None
    first = links[0]
    recorder = state.recorder
    if first.whole._data.recorder is not recorder:
        return None
    if not all(is_same(first, link.mask, link.lead) for link in links[1:]):
        return None
    if ASKED.get() is not recorder.asked:
        recorder.note_asked()  # which may end the trace
    if state.recorder is not recorder or not _is_passive(recorder.trace):
        return None
    wholes = []
    for x in inputs:
        if type(x) is Tensor and type(x._link) is Picked:
            wholes.append(x._link.whole)
            continue
        if type(x) not in _SCALARS:
            x = resolve(x)
            if np.ndim(x) > first.rest or state.recorder is not recorder:
                return None
        wholes.append(x)
    with np.errstate(all="ignore") if recorder.trace is None else nullcontext():
        whole = bind(op, tuple(wholes), attrs)
    if state.recorder is not recorder:
        return None
    return Picked(whole, first.mask, first.lead, first.select).tensor()


def _is_passive(trace: Any) -> bool:
    """Tell whether nobody hears of elements that are computed and dropped.

    Kernels do not look at them; the eager code of a `vmap` calls NumPy.
    """
    if trace is None:
        return set(np.geterr().values()) <= {"ignore", "warn"}
    return trace.asked is ASKED.get()


def picked_as(node: Any) -> Picked | None:
    """Return what a Tensor was before its elements were selected, by the node that it has since.

    What was made of the whole array then depends on that, and not on the node.
    """
    recorder = state.recorder
    while recorder is not None:
        if id(node) in recorder.selected:
            return recorder.selected[id(node)][1]  # type: ignore[no-any-return]
        recorder = None if recorder is recorder.trace else recorder.trace
    return None


def is_same(a: Picked, mask: Tensor, lead: int) -> bool:
    """Tell whether a Tensor holds the elements that a mask selects, and the same for sure."""
    return (
        a.lead == lead
        and type(mask._data) is Symbol
        and mask._data.recorder is a.mask._data.recorder
        and same_shape(a.mask.shape, mask.shape)
        and state.recorder.are_alike(a.mask, mask)
    )
