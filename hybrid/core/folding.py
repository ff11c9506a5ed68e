"""Tracebacks that show the user's frames: those of the framework in between are left out."""

from __future__ import annotations

import os
from types import TracebackType

from hybrid.core.source import is_framework


def fold(error: BaseException) -> None:
    """Leave the framework's frames out of an error that leaves a compiled function.

    The first frame stays: the call itself, which an ``except`` of its own asks for this.

    Parameters
    ----------
    error : BaseException
        Changed in place, and so are those that it came of.
    """
    if int(os.environ.get("HYBRID_DEBUG") or 0) >= 1:
        return
    first = error.__traceback__
    if first is None:
        return
    first.tb_next = _users(first.tb_next)
    before = error.__cause__ or error.__context__
    seen = {id(error)}
    while before is not None and id(before) not in seen:
        seen.add(id(before))
        before.__traceback__ = _users(before.__traceback__)
        before = before.__cause__ or before.__context__


def _users(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the framework's frames."""
    kept = []
    while trace is not None:
        if not is_framework(trace.tb_frame.f_code):
            kept.append(trace)
        trace = trace.tb_next
    for one, following in zip(kept, [*kept[1:], None]):
        one.tb_next = following
    return kept[0] if kept else None
