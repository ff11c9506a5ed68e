"""``x[index] = value`` with NumPy's rules, eager and traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.aliases import is_current
from hybrid.core.dispatch import busy, resolve, state
from hybrid.core.heard import converts, heard
from hybrid.core.making import asarray
from hybrid.core.number import Number, in_index
from hybrid.core.operands import spec_of
from hybrid.core.picked import Picked
from hybrid.core.places import apart
from hybrid.core.refusals import leaked
from hybrid.core.source import located
from hybrid.core.spec import Shape, broadcast_shapes, fits
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.unknown import Unknown, is_unknown
from hybrid.errors import IndexingError, ShapeError
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._methods import attach
from hybrid.ops.elementwise.operands import SCALARS
from hybrid.ops.elementwise.operands import fits as holds
from hybrid.ops.elementwise.selection import where
from hybrid.ops.indexing import Selection, index_update, native, select
from hybrid.ops.indexing.masks import masked
from hybrid.ops.indexing.selection import key_of, selection
from hybrid.ops.inplace import announce, plain_value, settle, write, write_part
from hybrid.ops.reshaping import reshape
from hybrid.ops.view_update import READ_ONLY, misfit

_array = np.ndarray
_NUMBERS, _PLACES = frozenset((int, float)), frozenset((int, slice))


def setitem(x: Tensor, index: Any, value: ArrayLike) -> None:
    """Write `value` into ``x[index]``, casting as NumPy does.

    Of several values for one place (a repeated index) the last one stays.
    """
    data = x._data
    if (not busy or state.plain) and type(data) is _array:
        # Alone with its memory and unknown to any tape: nobody needs to hear of the write.
        alone = x._link is None and x._node is None
        if alone and type(value) in _NUMBERS and type(index) in _PLACES:
            try:
                if _fits_surely(value, data):
                    data[index] = value
                    return
            except (IndexError, OverflowError, ValueError):
                pass  # explained there
        _set_plain(x, index, value)
        return
    del data  # a trace counts who holds the memory of an array that NumPy has made
    key = key_of(index) if _is_ready(x, value) else None
    if key is not None:
        _set_part(x, selection(key, x.shape), value)
        return
    x, index = resolve(x), in_index(index)
    place = masked(x, index)
    if place is not None and type(value) is Tensor and type(value._link) is Picked:
        whole = place.whole_of(value._link)
        if whole is not None:
            write(place.part, where(place.over, assigned(whole, x), place.part))
            return
    value = assigned(value, x)
    if type(value) is Tensor and value.ndim and value.size == 1:
        value = reshape(value, ())
    if place is not None and fits(spec_of(value).shape, place.rest):
        write(place.part, where(place.over, value, place.part))
        return
    key = key_of(index) if Unknown not in map(type, x.shape) else None
    found = select(index, x.shape) if key is None else selection(key, x.shape)
    if found.arrays:
        part = found.view(x)
        value = _trimmed(value, _picked(part, found))
        arrays, axes = tuple(found.arrays), tuple(found.axes)
        write(part, index_update(part, value, arrays, axes, found.at, "set"))
        return
    _set_part(x, found, value)


def _is_ready(x: Tensor, value: Any) -> bool:
    """Tell whether a write is plain: to a Tensor of the trace, of one as it is or of a float.

    This is the statement of time stepping. The questions that all others are asked take 5 us.
    """
    data = x._data
    if type(data) is not Symbol or data.recorder is not state.recorder or data.array is not None:
        return False
    if (x._link is not None and not is_current(x._link)) or Unknown in map(type, data.shape):
        return False
    if type(value) is float:
        return data.dtype.kind in "fc"
    if type(value) is not Tensor or (value._link is not None and not is_current(value._link)):
        return False
    given = value._data
    return (
        type(given) is Symbol
        and given.recorder is data.recorder
        and given.array is None
        and given.dtype is data.dtype
        and not given.spec.weak
        and (not given.ndim or given.size != 1)
    )


def _set_part(x: Tensor, found: Selection, value: Any) -> None:
    """Write into the part of `x` that an index of ints and slices selects."""
    if state.recorder is not None:
        state.recorder.before_write(x)  # which may end the trace
    chain = found.chain()
    if state.recorder is None or not chain:
        part = found.view(x)
        write(part, _trimmed(value, part.shape))
    else:
        spec = found.spec_of_view(x._data.spec)
        write_part(x, chain, spec, _trimmed(value, spec.shape))


@converts
def _set_plain(x: Tensor, index: Any, value: Any) -> None:
    data = x._data
    source = value if type(value) in SCALARS else plain_value(value, x)
    if type(source) is Tensor:
        source = source._data
        if type(source) is Symbol:
            raise leaked(source)
    place = index if type(index) in (int, slice) else native(index)
    alias = None if x._link is None else announce(x)
    try:
        if type(source) is np.ndarray and source.ndim == 1 and source.base is not None:
            if source.base is data or source.base is data.base:
                source = apart(source, data[place])
        if _fits_surely(source, data):
            data[place] = source
        else:
            heard()(data.__setitem__, place, source)
    except OverflowError as error:
        raise OverflowError(located(f"setitem: {error}")) from None
    except (IndexError, ValueError) as error:
        if not data.flags.writeable:
            raise ValueError(located(READ_ONLY)) from None
        raise _clear_error(x, index, source, error) from None
    if alias is not None or x._node is not None:
        settle(x, alias, None)


def _fits_surely(source: Any, data: Any) -> bool:
    """Tell whether NumPy will convert elements without a word."""
    if type(source) is float:
        return -1e4 < source < 1e4
    return type(source) is int or getattr(source, "dtype", None) is data.dtype


def _clear_error(x: Tensor, index: Any, source: Any, error: Exception) -> Exception:
    """Return the error in hybrid's words: which index, which axis, which shapes."""
    try:
        found = select(index, x.shape)
        part = found.view(x)
        if found.arrays:
            found.pick(part)
        shape = _picked(part, found)
    except (IndexingError, ShapeError) as clear:
        return clear
    if not fits(np.shape(source), shape):
        return ShapeError(located(misfit(np.shape(source), shape)))
    return error


def _picked(part: Tensor, found: Selection) -> Shape:
    if not found.arrays:
        return part.shape
    block = broadcast_shapes(*(i.shape for i in found.arrays))
    rest = tuple(n for i, n in enumerate(part.shape) if i not in found.axes)
    return (*rest[: found.at], *block, *rest[found.at :])


def assigned(value: Any, x: Tensor) -> Any:
    """Return the value in the dtype of `x`: an assignment casts whatever it is given."""
    if type(value) is Number and x.dtype.kind in "iu":
        return asarray(value, x.dtype)  # which looks whether it fits
    value = plain_value(value, x)
    if type(value) is Tensor:
        return value if value.dtype == x.dtype else value.astype(x.dtype)
    if type(value) is float and x.dtype.kind in "fc":
        return value  # which nothing refuses
    if is_unknown(value) and (x.dtype.kind not in "iu" or holds(value, x.dtype)):
        return value
    try:
        cast = np.array(value, dtype=x.dtype)  # refuses what NumPy refuses: 300 for uint8
    except OverflowError as error:
        raise OverflowError(located(f"setitem: {error}")) from None
    return cast.item() if x.dtype.kind in "biu" else value


def _trimmed(value: Any, shape: Shape) -> Any:
    """Drop leading axes of size 1 beyond those of `shape`, as NumPy's assignment does."""
    if type(value) is not Tensor or value.ndim <= len(shape):
        return value
    extra = value.ndim - len(shape)
    if any(n != 1 for n in value.shape[:extra]):
        raise ShapeError(located(misfit(value.shape, shape)))
    return reshape(value, value.shape[extra:])


def _fill(x: Tensor, value: ArrayLike) -> None:
    """Write one value into all elements.

    Parameters
    ----------
    value : array-like
        With one element.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.zeros(3)
    >>> x.fill(2.0)
    >>> x
    Tensor([2., 2., 2.], dtype=float32)
    """
    setitem(x, ..., value)


def _delitem(x: Tensor, index: Any) -> None:
    """Refuse ``del x[index]``, as NumPy does."""
    text = (
        "del: elements of a Tensor cannot be deleted; hb.delete(x, index, axis) makes another one"
    )
    raise ValueError(located(text))


attach(__setitem__=setitem, __delitem__=_delitem, fill=_fill)
_shortways.on_tensor(Way("__setitem__", "set item", _delitem, setitem))
