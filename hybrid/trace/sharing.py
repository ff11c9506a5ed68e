"""Which arrays share memory: what a trace that writes in place must know of its surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.core.places import DeviceArray, share_memory
from hybrid.core.tensor import Array, Tensor
from hybrid.core.variable import Variable


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
