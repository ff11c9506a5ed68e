"""Which arrays share memory: what a trace that writes in place must know of its surroundings."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from itertools import repeat
from operator import is_
from typing import Any

import numpy as np

from hybrid.core.places import DeviceArray, share_memory
from hybrid.core.tensor import Array, Tensor
from hybrid.core.variable import Variable
from hybrid.kernels.overlap import MOST, SHARED, UNKNOWN, overlap

WORTH_COMPARING = 32
"""Calls before arrays are compared in native code, which takes milliseconds to be made."""


def memory_of(x: Any) -> Array | DeviceArray | None:
    """Return what a Tensor, Variable or ndarray lies in; None for anything else."""
    if isinstance(x, Variable):
        x = x._tensor
    data = x._data if type(x) is Tensor else x
    return data if isinstance(data, np.ndarray | DeviceArray) else None


def may_share(a: Any, b: Any) -> bool:
    """Tell whether two arrays may share memory; judged by their bounds, so never wrongly no."""
    x, y = memory_of(a), memory_of(b)
    return x is not None and y is not None and share_memory(x, y)


def same_array(a: Any, b: Any) -> bool:
    """Tell whether two arrays are one object.

    Of ``x`` and ``x[:]`` Python says that they are two, so that they share memory like others.
    """
    return a is b and memory_of(a) is not None


def identical(leaves: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    """Group the leaves that are the same array."""
    groups: list[list[int]] = []
    for i, leaf in enumerate(leaves):
        if memory_of(leaf) is None:
            continue
        home = next((g for g in groups if same_array(leaves[g[0]], leaf)), None)
        if home is None:
            groups.append([i])
        else:
            home.append(i)
    return tuple(tuple(group) for group in groups if len(group) > 1)


class Outside:
    """What a trace writes in place and reads outside, asked at each call whether memory is shared.

    Among arrays that are where they were it is asked once: of hundreds of parameters each pair
    would take longer than the call.

    Parameters
    ----------
    targets : sequence
        What is written: numbers of arguments, or captured objects.
    captured : sequence
    """

    def __init__(self, targets: Sequence[int | Any], captured: Sequence[Any]) -> None:
        self._targets, self._captured = targets, captured
        sources = {id(x): x for x in (*captured, *targets) if memory_of(x) is not None}
        self._sources = list(sources.values())
        written = [*dict.fromkeys(map(id, targets))]
        self._written = [i for i, key in enumerate(sources) if key in written]
        self._given = [*dict.fromkeys(x for x in targets if type(x) is int)]
        self._last: list[weakref.ref[Any]] = []
        self._times = 0
        self._overlap: Callable[..., int] | None = None

    def entangled(self, arguments: Sequence[Any], read: Sequence[Any] = ()) -> bool:
        """Tell whether memory that is written in place is also that of another array.

        Parameters
        ----------
        arguments : sequence
            Of a call.
        read : sequence
            Further arrays from outside, which nothing here keeps alive.
        """
        if read:
            return entangled(self._targets, arguments, [*self._captured, *read])
        # Tensors and Variables alone, most often: what `memory_of` asks of anything, in one go.
        memories = [_data_of(x) for x in self._sources]
        if not self._last or not all(map(is_, [ref() for ref in self._last], memories)):
            if not all(isinstance(x, np.ndarray) for x in memories):
                return entangled(self._targets, arguments, self._captured)
            if any(_share(memories, i) for i in self._written):
                self._last = []
                return True
            self._last = [weakref.ref(x) for x in memories]
        given = [x._data if type(x) is Tensor else memory_of(x) for x in arguments]
        self._times += 1
        if self._times == WORTH_COMPARING:
            self._overlap = self._in_native_code(len(given))
        if self._overlap is not None:
            found = self._overlap(*memories, *given)
            if found != UNKNOWN:
                return found == SHARED
        share = np.may_share_memory
        for i, x in enumerate(given):
            if x is None:
                continue
            if not isinstance(x, np.ndarray):
                return entangled(self._targets, arguments, self._captured)
            if any(map(share, [memories[k] for k in self._written], repeat(x))):
                return True
            if i in self._given:
                others = (y for k, y in enumerate(given) if k != i and y is not None)
                if any(map(share, memories, repeat(x))):
                    return True
                if any(share_memory(x, y) and not same_array(x, y) for y in others):
                    return True
        return False

    def _in_native_code(self, given: int) -> Callable[..., int] | None:
        """Return what compares the arrays outside, and so many arguments behind them."""
        first = len(self._sources)
        if first + given > MOST:
            return None
        return overlap({*self._written, *(first + i for i in self._given)}, first + given, first)


def _data_of(x: Any) -> Any:
    kind = type(x)
    if kind is Tensor:
        return x._data
    return x._tensor._data if kind is Variable else memory_of(x)


def _share(memories: Sequence[Any], i: int) -> bool:
    """Tell whether one array may share memory with another one of them."""
    mine = memories[i]
    return any(np.may_share_memory(mine, x) for k, x in enumerate(memories) if k != i)


def entangled(
    targets: Sequence[int | Any], arguments: Sequence[Any], captured: Sequence[Any]
) -> bool:
    """Tell whether memory that is written in place is also that of another array.

    Parameters
    ----------
    targets : sequence
        What is written: numbers of arguments, or captured objects.
    arguments : sequence
        The same array passed twice is one array, which traces know.
    captured : sequence
    """
    for target in targets:
        if isinstance(target, int):
            array = arguments[target]
            others = [x for x in arguments if not same_array(x, array)] + list(captured)
        else:
            array = target
            others = [*arguments, *(x for x in captured if x is not target)]
        if any(may_share(array, other) for other in others):
            return True
    return False
