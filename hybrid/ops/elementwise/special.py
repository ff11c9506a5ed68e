"""Eager forms of special functions, which NumPy itself does not have."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from hybrid import dtypes


def special(name: str) -> Callable[..., Any]:
    """Return the eager form of ``scipy.special.<name>``, a function of one real number.

    CuPy has the same functions in a module of its own. Types of less than 32 bits are computed in
    float32 and rounded.
    """

    def eager(xp: Any, x: Any) -> Any:
        function = getattr(special_module(xp), name)
        x = xp.asarray(x)
        dtype = dtypes.to_inexact(x.dtype)
        wide = dtypes.float32 if dtype.itemsize == 2 else dtype
        return xp.asarray(function(x.astype(wide, copy=False))).astype(dtype, copy=False)

    return eager


def special_module(xp: Any) -> Any:
    """Return the module of special functions that goes with NumPy or CuPy."""
    return import_module("scipy.special" if xp.__name__ == "numpy" else "cupyx.scipy.special")
