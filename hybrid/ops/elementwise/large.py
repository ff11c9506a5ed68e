"""Elementwise functions of large arrays: by all threads, and in memory that was used before.

A ufunc of NumPy runs in one thread, and what it returns of more than 32 MiB is mapped anew, page by
page. Where operands lie plainly, its loop is divided among the threads of kernels and the result
lies in memory that comes back; the bits are the same. Anything else is left to the ufunc itself, so
are operands for which the loop reports an error that NumPy would tell of.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from hybrid.core import recycle
from hybrid.core.heard import heard
from hybrid.dtypes import DType
from hybrid.kernels.divided import LARGE as LARGE
from hybrid.kernels.divided import divided
from hybrid.kernels.innerloops import FLAGS, plain_result
from hybrid.kernels.parallel import several

_CHARS = frozenset("fdFD")
_array = np.ndarray


def large(ufunc: Callable[..., Any], *operands: Any) -> Any:
    """Return ``ufunc(*operands)`` for operands of which one may be large.

    Parameters
    ----------
    ufunc : callable
        A ufunc, or what calls one.
    *operands : ndarray, int or float
    """
    if type(ufunc) is not np.ufunc:
        return heard()(ufunc, *operands)
    arrays = [x for x in operands if type(x) is _array]
    numbers = len(operands) - len(arrays)
    first = arrays[0] if arrays else None
    if first is None or numbers > 1 or not all(_plain(x, first) for x in arrays):
        return heard()(ufunc, *operands)
    result = _result(ufunc, first.dtype, len(operands))
    if result is None:
        return heard()(ufunc, *operands)
    types, dtype = result
    given = [x if type(x) is _array else _number(x, first.dtype) for x in operands]
    if any(x is None for x in given):
        return heard()(ufunc, *operands)
    fresh = recycle.empty if first.size * dtype.itemsize >= recycle.LARGE else np.empty
    out = fresh(first.shape, dtype)
    loop = divided(ufunc, types) if several() else None
    if loop is None:
        return heard()(ufunc, *operands, out=out)
    flags = loop(out, *given)
    return out if not flags or _unheard(flags) else heard()(ufunc, *operands, out=out)


def _plain(x: Any, first: Any) -> bool:
    flags = x.flags
    alike = x.dtype is first.dtype and x.shape == first.shape
    return alike and flags.c_contiguous and flags.aligned


@functools.cache
def _result(ufunc: np.ufunc, dtype: DType, count: int) -> tuple[str, DType] | None:
    """Return the loop of NumPy for operands of one dtype, and the dtype of its result."""
    if ufunc.signature is not None:  # matmul takes matrices, not elements
        return None
    if dtype.char not in _CHARS or (ufunc.nin, ufunc.nout) != (count, 1):
        return None
    result = plain_result(ufunc, dtype)
    if result is None or result.char not in "fdFD?":  # an exponent of ldexp is an integer
        return None
    return f"{dtype.char * count}->{result.char}", result


def _number(x: Any, dtype: DType) -> Any:
    """Return what NumPy makes of a number beside an array; None where it would have to tell."""
    if type(x) not in (int, float) or not -1e30 < x < 1e30:
        return None
    return np.array(x, dtype)


def _unheard(flags: int) -> bool:
    """Tell whether NumPy is to ignore all that went wrong."""
    wanted = cast(dict[str, str], np.geterr())
    return all(wanted[name] == "ignore" for name, bit in (FLAGS or {}).items() if flags & bit)
