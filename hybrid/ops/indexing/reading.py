"""Reading by index: ``x[index]`` with NumPy's rules, `take` and `take_along_axis`."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.aliases import seen
from hybrid.core.dispatch import busy, resolve, state
from hybrid.core.making import asarray
from hybrid.core.number import in_index
from hybrid.core.source import located
from hybrid.core.storage import Chain
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.core.unknown import Unknown
from hybrid.errors import DTypeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._axes import one_axis
from hybrid.ops._methods import as_numpy, attach
from hybrid.ops.indexing.gather import gather, index_array
from hybrid.ops.indexing.masks import by_mask
from hybrid.ops.indexing.selection import key_of, native, select, selection
from hybrid.ops.reshaping import ravel

_array = np.ndarray


def getitem(x: Tensor, index: Any) -> Tensor:
    """Return ``x[index]``: a view for a basic index, a copy otherwise, as NumPy does."""
    data = x._data
    if (not busy or state.plain) and type(data) is _array:
        try:
            if type(index) is Tensor:
                places = index._data
                if type(places) is _array and places.ndim:
                    return wrap(data[places])
            if type(index) in _ENTRIES or _is_basic(index):
                part = data[index]
                if _shortways.counting:
                    _shortways.tick()
                if type(part) is _array:
                    return seen(x, part, _steps, index, *data.shape)
                return wrap(np.asarray(part))
            if _certainly_copies(index):
                return wrap(np.asarray(data[native(index)]))
            if (basic := _of_numbers(index)) is not None and _is_basic(basic):
                return wrap(np.array(data[basic]))
        except (IndexError, ValueError):
            pass  # explained below
    index = in_index(index)
    # The key of an unknown size would be the size that it is in this call.
    key = key_of(index) if Unknown not in map(type, x.shape) else None
    if key is None and _makes_view(index, x):
        return _row(x, index)
    if key is None:
        picked = by_mask(x, index)
        if picked is not None:
            return picked
    found = select(index, x.shape) if key is None else selection(key, x.shape)
    view = found.view(x)
    if found.arrays:
        return found.pick(view)
    if found.single:
        return _apart(view)
    return view


_ENTRIES = frozenset((int, type(None), type(...)))


def _is_basic(index: Any) -> bool:
    """Tell whether an index is made of ints, slices of ints, None and ``...``, now and later."""
    if type(index) is slice:
        bounds = _ENTRIES
        return (
            type(index.start) in bounds
            and type(index.stop) in bounds
            and type(index.step) in bounds
        )
    return key_of(index) is not None


def _steps(index: Any, *shape: int) -> Chain:
    """Return the view ops of a basic index of an array."""
    key = key_of(index)
    assert key is not None
    return selection(key, shape).chain()


def _certainly_copies(index: Any) -> bool:
    entries = index if type(index) is tuple else (index,)
    return any(
        type(e) is list or (isinstance(e, Tensor | np.ndarray) and e.ndim > 0) for e in entries
    )


def _of_numbers(index: Any) -> Any:
    """Return an index with ints for its integer Tensors without axes; None where there are none."""
    entries = index if type(index) is tuple else (index,)
    found = tuple(
        int(e._data)
        if type(e) is Tensor and type(e._data) is _array and e._data.dtype.kind in "iu"
        else e
        for e in entries
    )
    if Tensor not in map(type, entries) or Tensor in map(type, found):
        return None
    return found if type(index) is tuple else found[0]


def _makes_view(index: Any, x: Tensor) -> bool:
    """Tell whether traced Python ints in an index make a view in eager code.

    With an int ``x[i]`` is a view; a single element is a copy anyway.
    """
    entries = index if isinstance(index, tuple) else (index,)
    if not any(map(_is_weak_integer, entries)):
        return False
    return len(entries) < x.ndim or not all(map(_is_integer, entries))


def _is_weak_integer(entry: Any) -> bool:
    return isinstance(entry, Tensor) and entry.dtype.kind in "iu" and entry.spec.weak


def _row(x: Tensor, index: Any) -> Tensor:
    """Return what traced Python ints show of `x`, tied to it as a view is.

    `gather` with a traced index gives a copy: the trace is asked to keep it and `x` in step, or for
    the values of the ints, if it cannot.
    """
    tie = getattr(state.recorder, "tie", None)
    if tie is None:
        entries = index if isinstance(index, tuple) else (index,)
        return getitem(x, tuple(int(e) if _is_weak_integer(e) else e for e in entries))
    x = resolve(x)
    found = select(index, x.shape)
    part = found.pick(found.view(x))
    tie(part, x, index)
    return part


def _is_integer(entry: Any) -> bool:
    if isinstance(entry, Tensor):
        return not entry.ndim and entry.dtype.kind in "iu"
    return isinstance(entry, int | np.integer) and not isinstance(entry, bool)


def _apart(view: Tensor) -> Tensor:
    """Return the contents of a view with no ties to the array that it is a view of.

    NumPy's ``x[0]`` of one axis is a number, which a later write to ``x`` leaves alone.
    """
    data = view._data
    alone = wrap(data if type(data) is Symbol else data.copy())
    alone._node = view._node
    if state.recorder is not None:
        state.recorder.track(alone)
    return alone


def take(
    x: ArrayLike,
    /,
    indices: ArrayLike,
    axis: int | None = None,
    out: Any = None,
    mode: str = "raise",
) -> Tensor:
    """Take elements of one axis by their indices.

    Parameters
    ----------
    x : array-like
    indices : array-like of int
        Negative ones count from the end.
    axis : int, optional
        Left out: `x` is raveled.
    out : Tensor or ndarray, optional
        Where to write the result.
    mode : {"raise", "wrap", "clip"}
        What an index outside the axis means: an error, one counted around, the nearest end.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexingError
        For an index outside the axis, if `mode` is ``"raise"``.

    Examples
    --------
    >>> take([10, 20, 30], [2, 0])
    Tensor([30, 10], dtype=int64)
    """
    if out is not None or mode != "raise":
        return as_numpy(np.take, x, indices, axis, out=out, mode=mode)
    if (not busy or state.plain) and type(x) is Tensor:
        data = x._data
        places: Any = indices._data if type(indices) is Tensor else indices
        if type(data) is type(places) is _array and places.dtype.kind in "iu":
            try:
                return wrap(np.asarray(data.take(places, axis)))
            except (IndexError, TypeError, ValueError):
                pass  # explained below
    x = asarray(x)
    if axis is None:
        x, axis = x if x.ndim == 1 else ravel(x), 0
    axis = one_axis("take", axis, x.shape)
    places = index_array(indices, x.device)
    if places.dtype.kind not in "iu":
        raise DTypeError(located(f"take: indices are integers, not {places.dtype.name}"))
    return gather(x, (places,), (axis,), axis)


attach(__getitem__=getitem, take=take)
_shortways.on_tensor(Way("__getitem__", "item", _steps, getitem))
