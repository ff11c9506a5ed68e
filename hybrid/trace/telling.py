"""What a traced function tells by other means than ``print``: it is told at every run.

Log records, warnings and what is written to ``sys.stdout`` would come once, while the function is
traced. So the methods of loggers note, for as long as a trace takes, what the user's own code logs,
and the names `warnings`, `sys` and `pprint` in it have stand-ins. Level, handlers and filters are
those of each run; the line is that of the user, and other threads log as ever. What needs the
contents of a traced value ends the trace, as its text is made.
"""

from __future__ import annotations

import io
import logging
import pprint
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import wraps
from types import FrameType, FunctionType, ModuleType
from typing import Any, cast

import numpy as np

from hybrid.core.source import is_framework, is_installed
from hybrid.core.state import state
from hybrid.core.watched import holds_tensors
from hybrid.trace.control.effects import callback, print_text

_ADDRESS = re.compile(" at 0x[0-9a-fA-F]+>")
_CONSTANTS = (str, bytes, int, float, complex, type(None), np.generic, Enum, type, np.dtype)
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "exception": logging.ERROR,
}


def _tracing() -> Any:
    """Return the recorder at hand, if there is a trace that takes what happens."""
    recorder = state.recorder
    return recorder if recorder is not None and recorder.trace.open else None


def _is_constant(x: Any) -> bool:
    if type(x) is tuple:
        return all(map(_is_constant, x))
    return type(x) in _CONSTANTS or isinstance(x, np.generic | Enum)


def _checked(text: str) -> str:
    """Return a text that is the same at each call; an address is another one."""
    recorder = _tracing()
    if recorder is not None and _ADDRESS.search(text):
        recorder.give_up("it tells an address, which is another at each call")
    return text


# --- logging --------------------------------------------------------------------------------------


def _logging(name: str, original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def method(self: logging.Logger, *args: Any, **options: Any) -> None:
        recorder = _tracing() if state.recorder is not None and _by_user() else None
        if recorder is not None and (name == "exception" or options.get("exc_info")):
            recorder.give_up("it logs an exception")
        elif recorder is not None and type(self)._log is not logging.Logger._log:
            recorder.give_up(f"it logs by a {type(self).__name__}, which has a way of its own")
        elif recorder is not None and _noted(self, *_said(name, args, dict(options))):
            return None
        return original(self, *args, **options)

    # Where a record comes from is the innermost frame of another file: other threads log as ever.
    function = cast(FunctionType, method)
    function.__code__ = function.__code__.replace(co_filename=logging.__file__)
    return method


def _said(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
    """Return the level, message and arguments of a call of a logger, and its other options."""
    level = _LEVELS.get(name)
    if level is None:
        level, args = (args[0], args[1:]) if args else (options.pop("level", None), ())
    return level, args or tuple(options.pop(key) for key in ("msg",) if key in options), options


def _noted(
    logger: logging.Logger, level: Any, parts: tuple[Any, ...], options: dict[str, Any]
) -> bool:
    """Let a trace log at each run; return False where it is to be logged now, the trace ended."""
    if not parts or type(level) is not int:
        return False
    if not all(map(_is_constant, parts)):
        if not logger.isEnabledFor(level):
            return True
        text = str(parts[0])
        parts = (_checked(text % _fields(parts[1:]) if parts[1:] else text),)
        if _tracing() is None:  # the text needed contents
            return False
    # This frame is one more than those of logging between the user's line and what looks for it.
    where, line, function, stack = logger.findCaller(
        options.get("stack_info", False), options.get("stacklevel", 1) + 1
    )
    extra = dict(options.get("extra") or {})

    def log() -> None:
        if logger.isEnabledFor(level):
            record = logger.makeRecord(
                logger.name, level, where, line, parts[0], parts[1:], None, function, extra, stack
            )
            logger.handle(record)

    callback(log, None)
    return True


def _fields(args: tuple[Any, ...]) -> Any:
    """Return what ``msg % args`` of a log record is given."""
    return args[0] if len(args) == 1 and isinstance(args[0], dict) and args[0] else args


def _by_user() -> bool:
    """Tell whether the user's own code logs, and no package that happens to be called."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == logging.__file__:
        frame = frame.f_back
    return frame is not None and not (is_installed(frame.f_code) or is_framework(frame.f_code))


_lock = threading.Lock()
_originals: dict[str, Any] = {}
_traces = 0


@contextmanager
def logs_told() -> Iterator[None]:
    """Let the methods of loggers note what is logged while a function is traced."""
    global _traces
    with _lock:
        _traces += 1
        if _traces == 1:
            for name in (*_LEVELS, "log"):
                _originals[name] = getattr(logging.Logger, name)
                setattr(logging.Logger, name, _logging(name, _originals[name]))
    try:
        yield
    finally:
        with _lock:
            _traces -= 1
            if not _traces:
                for name, original in _originals.items():
                    if getattr(getattr(logging.Logger, name), "__wrapped__", None) is original:
                        setattr(logging.Logger, name, original)
                _originals.clear()


# --- warnings -------------------------------------------------------------------------------------


@wraps(warnings.warn)
def _warn(
    message: Any,
    category: type[Warning] | None = None,
    stacklevel: int = 1,
    source: Any = None,
    **options: Any,
) -> None:
    recorder = _tracing()
    kind: Any = type(message) if isinstance(message, Warning) else category or UserWarning
    if recorder is not None and isinstance(kind, type) and not recorder.trace.warns_as_around(kind):
        recorder.give_up("it warns under filters of its own, or that raise")
        recorder = None
    if recorder is not None and not isinstance(message, Warning):
        message = _checked(str(message))
        recorder = _tracing()
    if recorder is None or options or not isinstance(kind, type):
        return warnings.warn(message, category, stacklevel + 1, source, **options)
    frame = sys._getframe(1)
    for _ in range(stacklevel - 1):
        frame = _outer(frame)
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    where, line = frame.f_code.co_filename, frame.f_lineno
    module = frame.f_globals.get("__name__") or "<unknown>"

    def warn() -> None:
        warnings.warn_explicit(message, kind, where, line, module, registry)

    callback(warn, None)
    return None


def _outer(frame: FrameType) -> FrameType:
    """Return the frame that called one, hybrid's own left out."""
    found = frame.f_back
    while found is not None and is_framework(found.f_code):
        found = found.f_back
    return frame if found is None else found


# --- streams --------------------------------------------------------------------------------------


class Stream:
    """``sys.stdout`` or ``sys.stderr``, to which a trace writes at each run."""

    def __init__(self, file: Any) -> None:
        self._file = file

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._file)

    def write(self, text: str) -> Any:
        """Write a text at each run; to a stream of the function's own at once."""
        recorder = _tracing()
        stream = None if recorder is None else recorder.trace.stream(self._file)
        if recorder is not None and stream is None and not isinstance(self._file, io.StringIO):
            recorder.give_up("it writes to a file")
        if stream is None or type(text) is not str:
            return self._file.write(text)
        _checked(text)
        if _tracing() is None:
            return self._file.write(text)
        print_text(text.replace("{", "{{").replace("}", "}}"), (), stream, flush=False)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush at each run."""
        recorder = _tracing()
        stream = None if recorder is None else recorder.trace.stream(self._file)
        if stream is None:
            self._file.flush()
        else:
            print_text("", (), stream, flush=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __eq__(self, other: object) -> bool:
        return other is self._file or (type(other) is Stream and other._file is self._file)

    def __hash__(self) -> int:
        return hash(self._file)


def plain_file(file: Any) -> Any:
    """Return the stream that something stands for; others as they are."""
    return file._file if type(file) is Stream else file


@wraps(pprint.pprint)
def _pprint(object: Any, stream: Any = None, *args: Any, **options: Any) -> None:
    recorder = _tracing()
    if recorder is not None and holds_tensors(object):
        recorder.give_up("pprint shows contents")
    file: Any = plain_file(sys.stdout if stream is None else stream)
    taking: Any = Stream(file) if _tracing() else file
    pprint.pprint(object, taking, *args, **options)


@wraps(pprint.pp)
def _pp(object: Any, *args: Any, sort_dicts: bool = False, **options: Any) -> None:
    _pprint(object, *args, sort_dicts=sort_dicts, **options)


class _Standing(ModuleType):
    """A module of Python's but for what tells something."""

    def __init__(self, module: ModuleType, **others: Any) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__.update(others, _module=module)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        streams = self._module is sys and name in ("stdout", "stderr") and _tracing() is not None
        return Stream(found) if streams else found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._module, name, plain_file(value))

    def __dir__(self) -> list[str]:
        return dir(self._module)

    def __eq__(self, other: object) -> bool:
        return other is self._module or other is self

    def __hash__(self) -> int:
        return hash(self._module)


TELLING: tuple[tuple[Any, Any], ...] = (
    (_Standing(warnings, warn=_warn), warnings),
    (_Standing(pprint, pprint=_pprint, pp=_pp), pprint),
    (_Standing(sys), sys),
    (_warn, warnings.warn),
    (_pprint, pprint.pprint),
    (_pp, pprint.pp),
)
"""What stands for what, while a function is traced."""
