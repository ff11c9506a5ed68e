"""What is going on in this thread: the trace that records, the tapes that watch, the defaults."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

from hybrid import dtypes
from hybrid.dtypes import DType
from hybrid.records import dataclass


@dataclass(frozen=True)
class Defaults:
    """What is taken where nothing is said: part of the Signature of a call.

    Attributes
    ----------
    floats : dtype
        Of what is made of Python floats, and of arrays that are made of nothing.
    """

    floats: DType = dtypes.float32

    @cached_property
    def dtypes(self) -> dict[str, DType]:
        """What Python's bool, int, float and complex become, by the kind of the dtype."""
        wide = self.floats == dtypes.float64
        complexes = dtypes.complex128 if wide else dtypes.complex64
        return {"b": dtypes.bool_, "i": dtypes.int64, "f": self.floats, "c": complexes}


USUAL = Defaults()


class _SeenBy(dict[frozenset[int], frozenset[int]]):
    """Which open tapes recorded or watch a node that bears some numbers: ``~i`` watches, for i.

    `open` holds the numbers of all that are open, `tape` is the last of them.
    """

    __slots__ = ("open", "tape")

    def __init__(self, numbers: frozenset[int], tape: Any = None) -> None:
        self.open = numbers
        self.tape = tape

    def __missing__(self, numbers: frozenset[int]) -> frozenset[int]:
        found = frozenset([i if i >= 0 else ~i for i in numbers]) & self.open
        self[numbers] = found = self.open if found == self.open else found
        return found


busy: set[int] = set()
"""The threads that trace or watch. Where there are none, which is told in 0.01 us, `plain` need not
be asked for, which takes 0.04: so short ways test ``not busy or state.plain``. A thread that ends
while it traces stays here; that costs the others the question, and nothing else."""


class _State(threading.local):
    """The trace, the tapes and the device of this thread.

    `plain` says that there is no trace and no tape, and that Tensors are made on the CPU.
    `device` is where they are made, `fallback` where ops run that the device does not know.
    `tape_ids` holds the numbers of the tapes, `seen_by` which of them record what is made from a
    Tensor, by the numbers on its node: asked for each op, found once. `taping` is the same where
    tapes watch eager code, None where all is `plain`, False otherwise: one question tells it.
    `always` holds the tapes that stay open for good, `depth` counts the scopes that we are in.
    `defaults` is that of the class, for all threads, unless this one is in a block with its own.
    `silent` says that what is recorded now has no gradient, even for tapes around the trace.
    """

    recorder: Any = None
    tapes: tuple[Any, ...] = ()
    tape_ids: frozenset[int] = frozenset()
    seen_by: _SeenBy = _SeenBy(frozenset())
    taping: Any = None
    plain: bool = True
    device: str = "cpu"
    fallback: str = ""
    always: tuple[Any, ...] = ()
    depth: int = 0
    silent: bool = False
    defaults: Defaults = USUAL

    def update(self, recorder: Any, tapes: tuple[Any, ...]) -> None:
        self.recorder = recorder
        self.tapes = tapes
        self.tape_ids = frozenset([tape._id for tape in tapes if tape._id >= 0])
        self.seen_by = _SeenBy(self.tape_ids, tapes[-1] if tapes else None)
        self.plain = recorder is None and not tapes and self.device == "cpu"
        watched = recorder is None and tapes
        self.taping = None if self.plain else self.seen_by if watched else False
        if self.plain:
            busy.discard(threading.get_ident())
        else:
            busy.add(threading.get_ident())

    @property
    def unseen(self) -> bool:
        """Whether no trace and no tape sees what is done, wherever Tensors are made."""
        return self.recorder is None and not self.tapes

    def move(self, device: str, fallback: str) -> None:
        """Make Tensors elsewhere from now on."""
        self.device = device
        self.fallback = fallback
        self.update(self.recorder, self.tapes)


state = _State()
