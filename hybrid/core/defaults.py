"""The default dtype: what Python floats become, and arrays for which no dtype is given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np

from hybrid import dtypes
from hybrid.core.source import located
from hybrid.core.state import USUAL, Defaults, state
from hybrid.dtypes import DType
from hybrid.errors import DTypeError

# How many requests for something out of the ordinary are in force, in whatever thread: where there
# are none, a call of a compiled function need not ask what holds in its own thread.
requests = 0
asked: set[str] = set()
"""Empty where there are none: native code can ask a set for its size, and no name of a module."""
_lock = threading.Lock()
_setting = threading.Lock()
_everywhere: Any = type(state)


def request(change: int) -> None:
    """Note that `change` more requests are in force."""
    global requests
    with _lock:
        requests += change
        (asked.add if requests else asked.discard)("something")


def get_default_dtype() -> DType:
    """Return the dtype of floats for which none is given, in this thread.

    Returns
    -------
    dtype

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.get_default_dtype()
    dtype('float32')
    """
    return state.defaults.floats


def set_default_dtype(dtype: Any) -> None:
    """Choose the dtype of floats for which none is given.

    It is that of Python floats, of lists of them, and of the creation functions and random numbers
    without a `dtype`; Python's complex numbers become complex128 with float64, complex64 otherwise.
    Arrays that have a dtype keep it, and Python scalars beside them stay weak. A compiled function
    has traces of its own for each default.

    It holds for all threads but those in a block of :func:`default_dtype`. In such a block it is
    changed for the rest of the block. A function that calls it runs eagerly.

    Parameters
    ----------
    dtype : dtype
        float16, bfloat16, float32 (as it is at first) or float64.

    Raises
    ------
    DTypeError
        For other dtypes.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.set_default_dtype(hb.float64)
    >>> hb.asarray([1.5])
    Tensor([1.5], dtype=float64)
    >>> hb.set_default_dtype(hb.float32)
    """
    wanted = _floating("set_default_dtype", dtype)
    if state.recorder is not None:
        state.recorder.give_up("set_default_dtype changes what is outside of the function")
    if "defaults" in vars(state):
        state.defaults = replace(state.defaults, floats=wanted)
        return
    request(1)  # before anybody can see it
    with _setting:
        before = _everywhere.defaults
        _everywhere.defaults = replace(before, floats=wanted)
        change = int(_everywhere.defaults != USUAL) - int(before != USUAL)
    request(change - 1)


@contextmanager
def default_dtype(dtype: Any) -> Iterator[None]:
    """Choose the dtype of floats for which none is given, in a ``with`` block of this thread.

    Parameters
    ----------
    dtype : dtype
        As for :func:`set_default_dtype`.

    Raises
    ------
    DTypeError
        For other dtypes.

    Examples
    --------
    >>> import hybrid as hb
    >>> with hb.default_dtype("float64"):
    ...     hb.zeros(2)
    Tensor([0., 0.], dtype=float64)
    """
    with in_force(with_floats(_floating("default_dtype", dtype))):
        yield


@cache
def with_floats(dtype: DType) -> Defaults:
    """Return the defaults with another dtype of floats, which are nothing else yet."""
    return Defaults(dtype)


class in_force:
    """Let `defaults` hold in a ``with`` block of this thread."""

    __slots__ = ("_defaults", "_outer")

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults

    def __enter__(self) -> None:
        self._outer = vars(state).get("defaults")
        request(1)
        state.defaults = self._defaults

    def __exit__(self, *_: object) -> None:
        if self._outer is None:
            del state.defaults
        else:
            state.defaults = self._outer
        request(-1)


def _floating(name: str, dtype: Any) -> DType:
    try:
        wanted = None if dtype is None else np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in dtypes.KINDS["real floating"]:
        choice = "float16, bfloat16, float32, float64"
        raise DTypeError(located(f"{name}: {dtype!r} is not one of {choice}"))
    return cast(DType, wanted)
