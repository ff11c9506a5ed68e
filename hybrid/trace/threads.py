"""Threads that a function starts while it is traced.

A trace belongs to one thread: another one knows nothing of it, and finds traced Tensors without
values. So the function goes on eagerly from where it starts a thread, which is then given values,
and which starts at every call.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any

from hybrid.core.source import is_framework, is_installed
from hybrid.core.state import state

# What `threading.Thread.start` calls; Python 3.13 has given it another name.
_NAME = next(x for x in ("_start_joinable_thread", "_start_new_thread") if hasattr(threading, x))

# Where a trace begins, and what runs the Plans of its segments, callbacks of the user's included.
_TRACING, _PLANS = "hybrid.trace.tracing", "hybrid.runtime."

_lock = threading.Lock()
_under_way: list[Callable[..., Any]] = []  # what starts threads otherwise, for each trace


@contextmanager
def threads_noticed() -> Iterator[None]:
    """Let a trace end where the function starts a thread, in a ``with`` block."""
    with _lock:
        if not _under_way:
            setattr(threading, _NAME, _noticing(getattr(threading, _NAME)))
        _under_way.append(getattr(threading, _NAME))
    try:
        yield
    finally:
        with _lock:
            ours = _under_way.pop()
            if not _under_way and getattr(threading, _NAME) is ours:
                setattr(threading, _NAME, ours.__wrapped__)


def _noticing(start: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(start)
    def noticing(*args: Any, **kwargs: Any) -> Any:
        recorder = state.recorder
        if recorder is not None and recorder.trace.open and not _is_ours():
            recorder.give_up("it starts a thread, which knows nothing of the trace")
        return start(*args, **kwargs)

    return noticing


def _is_ours() -> bool:
    """Tell whether it is hybrid that starts a thread, or what a Plan runs during a trace."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and is_installed(frame.f_code):
        frame = frame.f_back
    if frame is None or is_framework(frame.f_code):
        return True
    while frame is not None and frame.f_globals.get("__name__") != _TRACING:
        if frame.f_globals.get("__name__", "").startswith(_PLANS):
            return True
        frame = frame.f_back
    return False
