"""Tracebacks that show the user's frames: those of the framework in between are left out."""

from __future__ import annotations

import os
from types import TracebackType

from hybrid.core.source import is_framework, is_installed
from hybrid.errors import HybridError


def fold(error: BaseException) -> None:
    """Leave the framework's frames out of an error that leaves a compiled function.

    The first frame stays: the call itself, which an ``except`` of its own asks for this.

    Parameters
    ----------
    error : BaseException
        Changed in place, and so are those that it came of.
    """
    first = error.__traceback__
    if first is None or _all_wanted():
        return
    first.tb_next = _users(first.tb_next)
    _fold_earlier(error)


def fold_all(error: BaseException) -> None:
    """Leave all of the framework's frames out of an error that nobody has caught.

    Parameters
    ----------
    error : BaseException
        Changed in place, and so are those that it came of.
    """
    if not _all_wanted():
        error.__traceback__ = _users(error.__traceback__)
        _fold_earlier(error)


def is_told(error: BaseException) -> bool:
    """Tell whether an error is one of the user's code: raised there, or on purpose for it."""
    if isinstance(error, HybridError) or "\n  at " in str(error):
        return True
    if any(note.startswith("in hb.") for note in getattr(error, "__notes__", ())):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = None if trace is None else trace.tb_frame.f_code
    return code is not None and not is_framework(code) and not is_installed(code)


def _all_wanted() -> bool:
    return int(os.environ.get("HYBRID_DEBUG") or 0) >= 1


def _fold_earlier(error: BaseException) -> None:
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
