"""What the name ``numpy`` means while a function is traced: its arrays can hold traced values.

``out = np.zeros(n)`` is an ndarray, into which no traced value can be written. So the names that a
function and its helpers have for NumPy, or for one of the functions that make arrays, mean a
stand-in for as long as the trace takes. In threads that trace nothing it does what NumPy does, and
guards take it for NumPy (:func:`original`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import CellType, ModuleType
from typing import Any

import numpy as np

from hybrid.ops.protocols.making import MAKERS
from hybrid.trace.environment import STAND_INS, Binding


class _NumPy(ModuleType):
    """NumPy, but for the functions that make arrays."""

    def __init__(self) -> None:
        super().__init__("numpy", np.__doc__)
        self.__dict__.update({func.__name__: maker for func, maker in MAKERS.items()})

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


_STANDING: dict[int, Any] = {id(np): _NumPy()} | {id(f): maker for f, maker in MAKERS.items()}
STAND_INS.update({id(stand_in): np for stand_in in (_STANDING[id(np)],)})
STAND_INS.update({id(maker): func for func, maker in MAKERS.items()})

_lock = threading.Lock()
_users: dict[tuple[int, str | None], int] = {}  # how many traces want a name to mean the stand-in


@contextmanager
def numpy_stood_in(bindings: Sequence[Binding]) -> Iterator[None]:
    """Let names mean the stand-ins within a ``with`` block.

    Parameters
    ----------
    bindings : sequence of Binding
        What the function and its helpers read; those of NumPy are found among them.
    """
    names = [b for b in bindings if id(b.value) in _STANDING and _can_rebind(b)]
    names = list({(id(b.holder), b.key): b for b in names}.values())
    with _lock:
        for name in names:
            key = id(name.holder), name.key
            _users[key] = _users.get(key, 0) + 1
            _rebind(name, _STANDING[id(name.value)])
    try:
        yield
    finally:
        with _lock:
            for name in names:
                key = id(name.holder), name.key
                _users[key] -= 1
                if not _users[key]:
                    del _users[key]
                    if name.read() is name.value:  # nobody gave it another meaning meanwhile
                        _rebind(name, name.value)


def _can_rebind(name: Binding) -> bool:
    return type(name.holder) is CellType or (name.key is not None and type(name.holder) is dict)


def _rebind(name: Binding, value: Any) -> None:
    if name.key is None:
        name.holder.cell_contents = value
    else:
        name.holder[name.key] = value
