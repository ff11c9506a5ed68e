"""What NumPy finds wrong among numbers in eager code is told at the user's line.

NumPy warns in the frame that called it (``divide by zero encountered in log``), which would be one
of hybrid's: all such warnings of an op would name the same line, and Python, which shows a warning
once per line, would show one of a whole program. NumPy is asked instead to call a function where it
would warn, which warns in the frame of the user. What `numpy.errstate` says otherwise (to raise,
to ignore, to print) is left to NumPy.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import Context, ContextVar
from importlib import import_module
from types import CodeType, FrameType
from typing import Any, TypeVar

import numpy as np

from hybrid.core.op import Op
from hybrid.core.source import is_framework, warn_user

# What NumPy's errstate sets. To enter a context in which it is set takes 0.1 us, to set it 0.3.
ASKED: ContextVar[Any] = getattr(
    import_module("numpy._core.umath"), "_extobj_contextvar", ContextVar("none", default=None)
)
_known: tuple[Any, Context | None] = object(), None
"""What was asked of NumPy last, and a context in which it calls :func:`_tell` instead of warning;
None where it warns of nothing, or calls a function of the user's."""
KNOWN = np.zeros(2, np.int64)
"""The addresses of both, for native code; 0 for None."""
_lock = threading.Lock()
_CONVERTING: set[CodeType] = set()
_F = TypeVar("_F", bound=Callable[..., Any])

_QUIET = frozenset(("control", "movement", "indexing", "sizes", "placement", "random"))
"""Families of ops of which NumPy has nothing to warn, but for those that say so, or that call what
users wrote."""


def heard_of(op: Op) -> Callable[..., Any] | None:
    """Return what calls the eager form of an op, as :func:`heard`; None where it is called as is.

    Another function around it would take 0.3 us more.
    """
    if op.family in _QUIET and not op.warns:
        return None
    wanted, context = _known
    now = ASKED.get()
    if now is not wanted:
        context = _context_for(now)
    return None if context is None else context.copy().run


def heard() -> Callable[..., Any]:
    """Return what calls a function of NumPy's, or one that calls such: ``heard()(np.log, x)``.

    Warnings name the user's line. The function must not call what users wrote, whose context
    variables are not seen in it.
    """
    wanted, context = _known
    now = ASKED.get()
    if now is not wanted:
        context = _context_for(now)
    return _call if context is None else context.copy().run


def converts(function: _F) -> _F:
    """Say of a function that what NumPy warns of in it is a cast, whatever asks for it."""
    _CONVERTING.add(function.__code__)
    return function


def _call(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    return function(*args, **options)


def _context_for(asked: Any) -> Context | None:
    global _known
    modes: dict[str, Any] = dict(np.geterr())
    warned: dict[str, Any] = {kind: "call" for kind, mode in modes.items() if mode == "warn"}
    context = None
    if asked is not None and warned and not {"call", "log"} & set(modes.values()):
        context = Context()
        with np.errstate(call=_tell, **warned):
            context.run(ASKED.set, ASKED.get())
    with _lock:
        KNOWN[:] = 0  # before what it refers to is gone
        _known = asked, context
        KNOWN[0], KNOWN[1] = id(asked), 0 if context is None else id(context)
    return context


def _tell(kind: str, _: int) -> None:
    """Warn as NumPy words it; `kind` is ``"divide by zero"`` or the like."""
    warn_user(f"{kind} encountered in {_name()}", RuntimeWarning)


def _name() -> str:
    """Return what is being computed, as far as the frames around tell, in NumPy's words."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not is_framework(frame.f_code):
        frame = frame.f_back  # of NumPy
    name = "cast"
    while frame is not None and is_framework(frame.f_code):
        if frame.f_code in _CONVERTING:
            return "cast"
        ufunc, method, op = map(frame.f_locals.get, ("ufunc", "method", "op"))
        if method is not None and method != "__call__":
            return str(getattr(method, "__name__", method))
        if isinstance(ufunc, np.ufunc | str):
            return ufunc if isinstance(ufunc, str) else ufunc.__name__
        if op is not None:
            return "cast" if op.scalar == "cast" or op.family == "creation" else str(op.name)
        name = frame.f_code.co_name.strip("_")
        frame = frame.f_back
    return name
