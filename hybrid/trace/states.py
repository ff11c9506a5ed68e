"""What tells that something outside was drawn from, used up or written.

Generators of random numbers, iterators, texts in memory, and the contents of arrays.
"""

from __future__ import annotations

import io
import random
import zlib
from types import GeneratorType
from typing import Any

import numpy as np

from hybrid.core.places import DeviceArray
from hybrid.core.tensor import Array
from hybrid.trace.reach import numpys_generators
from hybrid.trace.reached import Reached
from hybrid.trace.sharing import memory_of
from hybrid.trace.taking_back import drawn_from

# Above it, arrays are compared by samples (a checksum reads about 1 GB/s), and no copy is kept.
_WHOLE = 1 << 26


class States:
    """What arrays, iterators and generators of random numbers hold that a function reaches.

    Parameters
    ----------
    reached : Reached

    Attributes
    ----------
    sums : list of int
        Of the arrays; it looks at all elements.
    states : list
        Of iterators and generators.
    everyones : tuple
        The states of those generators that all share.
    drawn : list of (generator, state)
        For `draw_again`.
    """

    def __init__(self, reached: Reached) -> None:
        self._reached = reached
        self.sums = [checksum(x) for _, x in reached.arrays]
        self.states = [state_of(x) for _, x in reached.stateful]
        self.everyones = global_states()
        generators = (*global_generators(), *(x for _, x in reached.stateful))
        self.drawn = [(x, state) for x in generators if (state := drawn_from(x))]

    def take(self, found: States, left: States) -> list[int]:
        """Let what something else has done be so from the beginning, where nothing was done before.

        Parameters
        ----------
        found, left : States
            As it has found and left all that.

        Returns
        -------
        list of int
            The places of arrays that were written.
        """
        written = _moved(self.sums, found.sums, left.sums)
        drawn = [[state for _, state in x.drawn] for x in (self, found, left)]
        for i in _moved(*map(_spelled_all, drawn)):
            self.drawn[i] = left.drawn[i]
        for i in written:
            self.sums[i] = left.sums[i]
        for i in _moved(self.states, found.states, left.states):
            self.states[i] = left.states[i]
        if self.everyones == found.everyones:
            self.everyones = left.everyones
        return written


def _moved(first: list[Any], found: list[Any], left: list[Any]) -> list[int]:
    rows = enumerate(zip(first, found, left, strict=True))
    return [i for i, (a, b, c) in rows if a == b and b != c]


def _spelled_all(states: list[Any]) -> list[Any]:
    return [_spelled(state) for state in states]


def global_states() -> tuple[Any, ...]:
    return tuple(map(state_of, global_generators()))


def global_generators() -> tuple[Any, ...]:
    """Return Python's and NumPy's generators of random numbers that all share."""
    # Imported here, if nobody had it: of one that comes later nobody knows whether it was asked.
    of_python: Any = random.getstate
    return of_python.__self__, np.random.mtrand._rand


def state_of(obj: Any) -> Any:
    """Return something that differs once `obj` has been drawn from."""
    match obj:
        case random.SystemRandom():
            return None
        case random.Random():
            return obj.getstate()
        case GeneratorType():
            frame = obj.gi_frame
            if frame is None:
                return None
            # What it holds, too: a loop comes back to the same instruction.
            return frame.f_lasti, [(k, id(v)) for k, v in frame.f_locals.items()]
        case io.StringIO() | io.BytesIO():
            return None if obj.closed else (obj.tell(), obj.getvalue())
    if isinstance(obj, numpys_generators()):
        of_numpy: Any = obj
        legacy = hasattr(obj, "get_state")
        return _spelled(
            of_numpy.get_state(legacy=False) if legacy else of_numpy.bit_generator.state
        )
    try:
        return repr(obj.__reduce__())
    except Exception:
        return object()  # cannot be told: as if it was used


def _spelled(state: Any) -> Any:
    if isinstance(state, dict):
        return {k: _spelled(v) for k, v in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state


def checksum(x: Any) -> int:
    array = memory_of(x)
    if array is None or array.dtype.hasobject or not array.flags.writeable:
        return 0
    return zlib.crc32(_bytes(array.get() if isinstance(array, DeviceArray) else array))


def small_copy(x: Any) -> np.ndarray[Any, Any] | None:
    """Return the contents of an array that may be written, unless keeping them is too much."""
    array = memory_of(x)
    if not isinstance(array, np.ndarray) or array.dtype.hasobject or not array.flags.writeable:
        return None
    return array.copy() if array.nbytes <= _WHOLE else None


def _bytes(array: Array) -> Any:
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    if flat.size <= _WHOLE:
        return flat.data
    pages = flat[: flat.size // 4096 * 4096].reshape(-1, 4096)
    return np.ascontiguousarray(pages[:: -(-flat.size // _WHOLE)]).data
