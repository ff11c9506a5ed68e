"""What is going on in this thread: the trace that records, the tapes that watch."""

from __future__ import annotations

import threading
from typing import Any


class _State(threading.local):
    """The trace and the tapes of this thread; `plain` says that there are none.

    `tape_ids` holds the numbers of the tapes. `always` holds the tapes that stay open for good,
    `depth` counts the scopes that we are in.
    """

    recorder: Any = None
    tapes: tuple[Any, ...] = ()
    tape_ids: frozenset[int] = frozenset()
    plain: bool = True
    always: tuple[Any, ...] = ()
    depth: int = 0

    def update(self, recorder: Any, tapes: tuple[Any, ...]) -> None:
        self.recorder = recorder
        self.tapes = tapes
        self.tape_ids = frozenset([tape._id for tape in tapes if tape._id >= 0])
        self.plain = recorder is None and not tapes


state = _State()
