"""Variables whose memory is lent to a compiled function that is writing their new contents there.

While that goes on (some microseconds up to milliseconds) the cell is empty, so that nobody sees
contents half written: whoever reads it waits. Looking costs nothing where there is something, as
Python only asks :meth:`Variable.__getattr__` for what is missing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from functools import cache
from sys import getrefcount
from typing import Any

import numpy as np

from hybrid.core.tensor import Tensor, wrap

_lock = threading.RLock()
# By the identity of the Variable: the thread, what it was lent for, and the contents.
_lent: dict[int, tuple[int, object, Tensor]] = {}
_WAIT = 2e-5
_MISSES = 100


def borrow(variable: Any, purpose: object) -> bool:
    """Empty the cell of a Variable, if its contents are nobody else's.

    For functions that hold one reference to the ndarray themselves, and none to the Tensor.

    Parameters
    ----------
    variable : Variable
    purpose : object
        What :func:`settle` is called with in the end, whatever comes in between.

    Returns
    -------
    bool
        Whether the memory may be written to until then.
    """
    with _lock:
        if id(variable) in _lent:
            return False
        tensor = variable._tensor
        data = tensor._data
        _lent[id(variable)] = threading.get_ident(), purpose, tensor
        del variable._tensor
        # From here on nobody can get hold of it; whoever had it before is counted.
        found = _references(tensor, data)
        if type(data) is np.ndarray and _alone(tensor, found):
            return True
        variable._tensor = tensor
        del _lent[id(variable)]
        return False


def _alone(tensor: Tensor, found: tuple[int, int, int]) -> bool:
    """Tell whether nobody holds a Tensor, its ndarray or views of it but those who ask."""
    expected, data = _unshared(), tensor._data
    watched = tensor._link is not None or weakref.getweakrefcount(data) > 0
    if found[:2] != expected[:2] or watched or not data.flags.writeable:
        return False
    # Views of memory that comes back (`recycle`) refer to its bytes, not to `data`.
    return data.base is None or (type(data.base) is np.ndarray and found[2] == expected[2])


def _references(tensor: Tensor, data: Any) -> tuple[int, int, int]:
    base = getattr(data, "base", None)  # nothing on a card
    return getrefcount(tensor), getrefcount(data), getrefcount(base)


@cache
def _unshared() -> tuple[int, int, int]:
    """Count what is found of a Tensor that nobody else holds: versions of Python differ."""
    tensor = wrap(np.ndarray((1,), np.uint8, np.empty(1, np.uint8)))
    data = tensor._data
    others = [tensor, data]  # `_lent`, and the function that asks
    found = _references(tensor, data)
    del others
    return found


def settle(variable: Any, purpose: object) -> None:
    """Let readers go on; a cell that has got no new contents gets its memory back."""
    loan = _lent.get(id(variable))
    if loan is None or loan[1] is not purpose:
        return
    try:
        type(variable)._tensor.__get__(variable)
    except AttributeError:
        variable._tensor = wrap(loan[2]._data)
    del _lent[id(variable)]


def awaited(variable: Any) -> Tensor:
    """Return the contents of a Variable whose cell was found empty, once they are back."""
    slot = type(variable)._tensor
    for _ in range(_MISSES):
        try:
            found: Tensor = slot.__get__(variable)
            return found
        except AttributeError:
            loan = _lent.get(id(variable))
        while loan is not None:
            if loan[0] == threading.get_ident():
                # A signal handler, a finaliser: no kernel of this thread is at work.
                return wrap(loan[2]._data.copy())
            time.sleep(_WAIT)
            loan = _lent.get(id(variable))
    raise AttributeError(f"a {type(variable).__name__} without contents")


def _before_fork() -> None:
    """Let no child inherit a cell that is never filled again."""
    _lock.acquire()
    mine = threading.get_ident()
    while any(thread != mine for thread, _, _ in list(_lent.values())):
        time.sleep(_WAIT)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_lock.release, after_in_child=_lock.release
    )
