"""Cyclic garbage of a trace stays alive until the trace ends.

A segment hands on what is alive at its end. Where cycles hold Tensors, that would depend on when
Python's collector happens to run: a function traced again for a new branch would not repeat itself.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_traces = 0
_was_on = False


@contextmanager
def garbage_kept() -> Iterator[None]:
    """Pause the collector within a ``with`` block, in all threads."""
    global _traces, _was_on
    with _lock:
        if not _traces:
            _was_on = gc.isenabled()
            gc.disable()
        _traces += 1
    try:
        yield
    finally:
        with _lock:
            _traces -= 1
            if not _traces and _was_on:
                gc.enable()


def _after_fork() -> None:
    """Forget the traces of other threads, which do not exist in the child."""
    global _lock, _traces
    _lock = threading.Lock()
    if _traces and _was_on:
        gc.enable()
    _traces = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
