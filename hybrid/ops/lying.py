"""How the memory of a Tensor lies, as in eager code: strides and flags."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.state import state
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import known
from hybrid.ops._methods import attach_properties


def strides(x: Tensor) -> tuple[int, ...]:
    """Bytes from an element to the next, along each axis, as in eager code."""
    if type(x._data) is Symbol and x._data.array is None:
        steps = x._data.recorder.layout_of(x).strides
        return tuple(s * x.dtype.itemsize for s in steps)
    return tuple(x._concrete("strides").strides)


class Flags:
    """How the memory of a Tensor lies in eager code: what ``x.flags`` is in a trace.

    No node says that writing ends: who sets a flag ends the trace, and NumPy keeps what was set.
    """

    __slots__ = ("_tensor",)
    _tensor: Tensor

    def __init__(self, tensor: Tensor) -> None:
        object.__setattr__(self, "_tensor", tensor)

    def __getattr__(self, name: str) -> bool:
        data = self._tensor._data
        if name not in _ORDERS or type(data) is not Symbol or data.array is not None:
            flags = self._tensor._concrete(f"flags.{name}").flags
            return bool(getattr(flags, name))
        layout = self._tensor._data.recorder.layout_of(self._tensor)
        sizes, steps = ([known(n) for n in given] for given in (layout.shape, layout.strides))
        like = np.lib.stride_tricks.as_strided(np.empty(1, np.int8), sizes, steps)
        return bool(getattr(like.flags, name))

    def __getitem__(self, name: str) -> bool:
        return bool(getattr(self, _LETTERS.get(name, name.lower())))

    def __setattr__(self, name: str, value: bool) -> None:
        if state.recorder is not None:
            state.recorder.give_up("it sets flags of an array")
        setattr(self._tensor._concrete(f"flags.{name}").flags, name, value)

    def __setitem__(self, name: str, value: bool) -> None:
        setattr(self, _LETTERS.get(name, name.lower()), value)


_ORDERS = frozenset(("c_contiguous", "f_contiguous", "contiguous", "fortran", "fnc", "forc"))
_LETTERS = {
    "C": "c_contiguous", "CONTIGUOUS": "c_contiguous", "F": "f_contiguous",
    "FORTRAN": "f_contiguous", "W": "writeable", "O": "owndata", "A": "aligned",
    "B": "behaved", "CA": "carray", "FA": "farray", "X": "writebackifcopy",
}  # fmt: skip


def flags(x: Tensor) -> Any:
    """How the memory lies, and whether it may be written: NumPy's flags."""
    if state.recorder is not None:
        return Flags(x)
    return x._concrete("flags").flags


def first_to_last(x: Tensor) -> tuple[int, ...]:
    """Return the axes of a Tensor as they follow one another in memory, the outermost first."""
    steps = [abs(known(s)) for s in strides(x)]
    return tuple(sorted(range(x.ndim), key=lambda axis: -steps[axis]))


def like_fortran(x: Tensor) -> bool:
    """Tell whether ``order="A"`` means Fortran's order for a Tensor."""
    return bool(flags(x).fnc)


attach_properties(strides=strides, flags=flags)
