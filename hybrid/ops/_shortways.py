"""Operators get their short ways in native code once there is some eager work to do.

They lie on disk once they were compiled on this machine, and are loaded then. To compile them takes
as long as the Python ways take for some ten thousand operators, so that this is done when as many
have run. A thread of its own does it, most of the time without Python's lock: no operator waits.
Until then, and where that is not possible, all is done in Python. Results are the same.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.core.aliases import own_alias
from hybrid.core.dispatch import busy
from hybrid.core.heard import ASKED, KNOWN
from hybrid.core.storage import Alias, Storage
from hybrid.core.tensor import Tensor, wrap
from hybrid.kernels.divided import LARGE
from hybrid.kernels.shortway import Way

WORTH_LOADING, WORTH_COMPILING = 2_000, 20_000
"""Operators, of which each takes 0.5 us less then. To load takes 8 ms, to compile 100."""

_array = np.ndarray
_left = WORTH_LOADING
offered: list[tuple[Way, Callable[[dict[str, Any]], None]]] = []
_working = threading.Lock()
counting = True


def offer(way: Way, put: Callable[[dict[str, Any]], None]) -> None:
    """Have `way` compiled with the others; `put` is given what stands in front of it then."""
    offered.append((way, put))


def made(data: Any) -> Tensor:
    """Return a Tensor alone with what a Python way got from NumPy, an ndarray or a scalar."""
    if counting:
        tick()
    return wrap(data if type(data) is _array else np.asarray(data))


def on_tensor(way: Way) -> None:
    """Have an operator of Tensor compiled; unless it is given another one meanwhile."""

    def put(methods: dict[str, Any]) -> None:
        now = getattr(Tensor, way.name)
        if (now.fget if isinstance(now, property) else now) is way.otherwise:
            for name, method in methods.items():
                setattr(Tensor, name, method)

    offer(way, put)


def in_module(way: Way, names: dict[str, Any], name: str) -> None:
    """Have a function of a module compiled, which finds it in its `names` then."""
    offer(way, lambda native: names.update({name: native[way.name]}))


def tick() -> None:
    """Count one operator that went the Python way."""
    global _left
    left = _left = _left - 1  # of threads that count at once none may miss its turn
    if left == 0:
        start(_install_kept)
    elif left == WORTH_LOADING - WORTH_COMPILING:
        start(install)


def start(work: Callable[[], None]) -> None:
    """Let a thread do some work, for which a program that ends does not wait."""
    try:
        threading.Thread(target=work, name="hybrid short ways", daemon=True).start()
    except RuntimeError:  # no more threads
        work()


def _install_kept() -> None:
    with _working:
        from hybrid.kernels.shortway.installing import kept
    try:
        found = kept([way for way, _ in offered], known_objects())
    except RuntimeError:
        return
    if found:
        install()


def install() -> None:
    """Load all short ways, or compile them, and put them in front; once."""
    global counting
    with _working:
        if not counting:
            return
        counting = False
        from hybrid.kernels.shortway.installing import short_ways

        try:
            compiled = short_ways([way for way, _ in offered], known_objects())
        except RuntimeError:  # an interpreter of another kind, or one that may not run code it made
            return
        for (_, put), found in zip(offered, compiled):
            put(found)


def _no_longer() -> None:
    global counting
    with _working:
        counting = False


# LLVM must not go away under the thread, nor may a child be left with its locks.
atexit.register(_no_longer)
if hasattr(os, "register_at_fork"):
    released = _working.release
    os.register_at_fork(before=_working.acquire, after_in_parent=released, after_in_child=released)


def known_objects() -> dict[str, Any]:
    """Return what native code is told of hybrid's objects, and one of each to look at."""
    probe: Any = wrap(np.zeros(1))
    probe._link, probe._node = object(), object()
    alias: Any = own_alias(wrap(np.zeros(1)))
    alias.version = object()
    for field in Storage.__slots__:  # objects that no other field has
        setattr(alias.storage, field, object())
    return {
        "Tensor": Tensor,
        "tensor": probe,
        "Alias": Alias,
        "Storage": Storage,
        "alias": alias,
        "busy": busy,
        "own_alias": own_alias,
        "asked": ASKED,
        "heard": KNOWN,
        "large": LARGE,
    }
