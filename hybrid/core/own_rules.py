"""Classes of arrays that say themselves what an operation on them is.

For matrices, masked arrays and quantities with units an ndarray is more than its numbers: ``*``
of a matrix is a product of matrices.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np


def has_own_rules(kind: Any) -> bool:
    """Tell whether a class says itself what some of the names of an ndarray do.

    Parameters
    ----------
    kind : type
        Of an array. ndarray itself has no rules but NumPy's, and neither has a memory map.
    """
    return kind is not np.ndarray and bool(_own_names(kind))


def answers_ufuncs(kind: Any) -> bool:
    """Tell whether a class of arrays has a ``__array_ufunc__`` of its own."""
    return kind is not np.ndarray and "__array_ufunc__" in _own_names(kind)


@lru_cache(maxsize=1024)
def _own_names(kind: type) -> frozenset[str]:
    if not issubclass(kind, np.ndarray):
        return frozenset()
    before = kind.__mro__[: kind.__mro__.index(np.ndarray)]
    own = [x for x in before if x is not np.memmap and not x.__module__.startswith("hybrid.")]
    return frozenset().union(*map(vars, own)) & _NUMPYS_NAMES


# What says how an array is made, kept and shown is no rule of what is computed from it.
_HARMLESS = """
    __new__ __init__ __init_subclass__ __class__ __class_getitem__ __dict__ __weakref__ __slots__
    __module__ __doc__ __dir__ __del__ __sizeof__ __hash__ __getstate__
    __array_finalize__ __array_wrap__ __array_priority__ __array_prepare__
    __reduce__ __reduce_ex__ __setstate__ __copy__ __deepcopy__
    __repr__ __str__ __format__ tofile tobytes tolist dump dumps
"""
_NUMPYS_NAMES = frozenset(dir(np.ndarray)) | {"__array_function__", "__getattr__"}
_NUMPYS_NAMES -= frozenset(_HARMLESS.split())
