"""Who else shows the memory of a Tensor: views, and whether one has been written past since."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.op import Attrs, Op
from hybrid.core.storage import Alias, Chain, Snapshot, Storage, alone, of_array
from hybrid.core.tensor import Tensor

_new = object.__new__


def one_step(op: Op, attrs: Attrs) -> Chain:
    """Return the way from an array to a view of it by one op."""
    return ((op, attrs),)


def seen(source: Tensor, data: Any, *later: Any) -> Tensor:
    """Wrap what NumPy shows of the memory of `source`: a short way to bind.

    For eager code outside tapes.

    Parameters
    ----------
    source : Tensor
    data : ndarray
        A view of the same memory.
    *later
        A function and its arguments, that give the view ops that lead from one to the other.
    """
    storage, parent = hung(source)
    view = _new(Tensor)
    view._data = data
    view._link = storage, storage.version, None, parent, *later
    view._node = None
    return view


def hung(source: Tensor) -> tuple[Storage, Alias | tuple[Any, ...]]:
    """Return the Storage of a Tensor and what its views hang on: its alias, or what to make it of.

    Native code does the same (``hybrid.kernels.shortway.views``).
    """
    link = source._link
    if link is None:
        link = source._link = alone(source._data, source._node)
    if type(link) is tuple:
        return link[0], link
    alias = link if type(link) is Alias else own_alias(source)
    return alias.storage, alias


def shares_memory(view: Any, array: Any) -> bool:
    """Tell whether what NumPy made of `array` is a view of it, and no copy."""
    base = view.base  # NumPy makes it the owner of the memory
    if base is None:
        return view is array
    return base is array or base is array.base or np.may_share_memory(view, array)


def aliases(a: Tensor, b: Tensor) -> bool:
    """Tell whether two Tensors are known to show the same memory."""
    mine, its = a._alias, b._alias
    return a is b or (mine is not None and its is not None and mine.storage is its.storage)


def own_alias(tensor: Tensor) -> Alias:
    """Return the alias of `tensor`, giving it a Storage if it was alone with its memory."""
    alias = tensor._alias
    if alias is None:
        alias = tensor._link = Alias(*alone(tensor._data, tensor._node))
    return alias


def as_array(tensor: Tensor) -> Tensor:
    """Let a Tensor without axes be an array, whose memory ``+=`` writes; return it."""
    if tensor._link is None:
        tensor._link = of_array(tensor._data, tensor._node)
    return tensor


def is_current(link: Alias | tuple[Any, ...] | Snapshot) -> bool:
    """Tell whether nothing was written through another alias since; see :class:`Alias`."""
    if isinstance(link, tuple):
        return bool(link[1] == link[0].version)
    return isinstance(link, Snapshot) or link.version == link.storage.version
