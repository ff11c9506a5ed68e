"""What is going on in this thread: the trace that records, the tapes that watch."""

from __future__ import annotations

import threading
from typing import Any


class _SeenBy(dict[frozenset[int], frozenset[int]]):
    """Which open tapes recorded or watch a node that bears some numbers: ``~i`` watches, for i."""

    __slots__ = ("open",)

    def __init__(self, numbers: frozenset[int]) -> None:
        self.open = numbers

    def __missing__(self, numbers: frozenset[int]) -> frozenset[int]:
        found = frozenset([i if i >= 0 else ~i for i in numbers]) & self.open
        self[numbers] = found = self.open if found == self.open else found
        return found


class _State(threading.local):
    """The trace and the tapes of this thread; `plain` says that there are none.

    `tape_ids` holds the numbers of the tapes, `seen_by` which of them record what is made from a
    Tensor, by the numbers on its node: asked for each op, found once. `always` holds the tapes
    that stay open for good, `depth` counts the scopes that we are in.
    """

    recorder: Any = None
    tapes: tuple[Any, ...] = ()
    tape_ids: frozenset[int] = frozenset()
    seen_by: _SeenBy = _SeenBy(frozenset())
    plain: bool = True
    always: tuple[Any, ...] = ()
    depth: int = 0

    def update(self, recorder: Any, tapes: tuple[Any, ...]) -> None:
        self.recorder = recorder
        self.tapes = tapes
        self.tape_ids = frozenset([tape._id for tape in tapes if tape._id >= 0])
        self.seen_by = _SeenBy(self.tape_ids)
        self.plain = recorder is None and not tapes


state = _State()
