"""What comes from elsewhere: arrays of other libraries, buffers, nested lists and numbers."""

from __future__ import annotations

import sys
from itertools import chain
from typing import Any, cast

import numpy as np

from hybrid import dtypes
from hybrid.core import dlpack
from hybrid.core.heard import converts, heard
from hybrid.core.source import located, user_line
from hybrid.core.state import state
from hybrid.errors import DTypeError

Array = np.ndarray[Any, np.dtype[Any]]


@converts
def to_ndarray(obj: Any, dtype: Any = None, copy: bool | None = None) -> Array:
    """Turn an array-like that holds no Tensor into an ndarray of a supported dtype.

    Parameters
    ----------
    obj : ndarray, anything with DLPack or ``__array__``, buffer, scalar or nested sequence
        Memory is shared where there is some. Python floats and complex numbers get the default
        dtypes: they are 64 bits wide by accident of the language, not by intent.
    dtype : dtype, optional
    copy : bool, optional
        True always copies, False never, None where needed.

    Returns
    -------
    ndarray

    Raises
    ------
    DTypeError
        For dtypes that are not supported, and masked arrays.
    ValueError
        Where ``copy=False`` and a copy is needed.
    """
    # The name alone imports numpy.ma, without which there is no masked array.
    if "numpy.ma" in sys.modules and isinstance(obj, np.ma.MaskedArray):
        raise DTypeError("asarray: a masked array would lose its mask; fill it first (x.filled())")
    if hasattr(obj, "__dlpack__") and not isinstance(obj, np.ndarray):
        obj = dlpack.adopt(obj, copy=copy)
        copy = None if copy else copy
    try:
        array = heard()(np.array, obj, dtype=dtype, copy=copy)
    except ValueError as error:  # of lists of different lengths, say
        raise ValueError(located(str(error))) from None
    if dtype is None and array.dtype.kind in "fc" and not _has_dtype(obj):
        array = heard()(array.astype, state.defaults.dtypes[array.dtype.kind])
    return _checked(array, copy, obj)


def _has_dtype(obj: Any) -> bool:
    """Tell whether `obj` says itself what its elements are, as Python's numbers do not."""
    if isinstance(obj, list | tuple):
        return any(map(_has_dtype, obj))
    if isinstance(obj, np.ndarray | np.generic):
        return True
    if hasattr(obj, "__array__") or hasattr(obj, "__array_interface__"):
        return True
    try:
        memoryview(obj)
    except TypeError:
        return False
    return True


def needs_copy(why: str) -> ValueError:
    """Return the error for ``copy=False`` where `why` makes a copy necessary."""
    return ValueError(f"asarray: copy=False, but a copy is needed for {why}")


def _checked(array: Array, copy: bool | None, of: Any) -> Array:
    array = np.asarray(array)  # a matrix or a memory map becomes the plain array that it holds
    native = array.dtype.newbyteorder("=")
    if native not in dtypes.SUPPORTED:
        raise _unsupported(array.dtype, of)
    if array.dtype.isnative and array.flags.aligned:
        return array
    if copy is False:
        raise needs_copy("elements in the order of bytes, and at the places, of this machine")
    return array.astype(native)


def _unsupported(dtype: dtypes.DType, of: Any) -> DTypeError:
    given = type(of).__name__
    message = (
        f"asarray: dtype {dtype}, of what is given as {given}, is not supported; hybrid has "
        f"{dtypes.NAMES}"
    )
    line = user_line()
    return DTypeError(f"{message}\n  at {line.describe()}" if line else message)


@converts
def of_numbers(obj: Any) -> Array | None:
    """Return the array of a number, or of a list of Python's, perhaps of lists, of nothing else.

    For eager code outside tapes; None for all that needs more thought.
    """
    if isinstance(obj, np.generic):
        return np.asarray(obj) if obj.dtype in dtypes.SUPPORTED else None
    if type(obj) is list:
        kinds = set(map(type, obj))
        if kinds == {list}:
            kinds = set(map(type, chain.from_iterable(obj)))
    else:
        kinds = {type(obj)}
    if not kinds or not (kinds <= _NUMBERS or kinds == {bool}):
        return None
    try:
        if kinds == _FLOATS:
            return cast(Array, heard()(np.array, obj, state.defaults.floats))
        array = np.array(obj)
    except ValueError:  # lists of different lengths, which is explained elsewhere
        return None
    wanted = state.defaults.dtypes.get(array.dtype.kind)
    if wanted is None:
        return None
    if array.dtype == wanted:
        return array
    if array.dtype.kind != "f":  # ints of more bits
        return None
    narrow: Array = heard()(array.astype, wanted)
    return narrow


_NUMBERS, _FLOATS = frozenset((int, float)), frozenset((float,))
