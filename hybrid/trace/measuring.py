"""Calls of Python's functions that give something else each time, or do more than compute.

Clocks, random bytes, files, folders, processes, sockets, data bases, the thread that runs. What a
trace has been given by one of them is not what the next call would be given.
"""

from __future__ import annotations

import datetime
import gc
import io
import os
import threading
import time
from types import FrameType
from typing import Any

import numpy as np

from hybrid.core.source import is_framework, is_installed
from hybrid.ops.protocols import making
from hybrid.records import dataclass
from hybrid.trace import stand_in

_CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
_DATES = frozenset({"now", "utcnow", "today"})
_OF_OS = """
    open stat lstat listdir scandir access readlink statvfs getxattr mkdir rmdir remove unlink
    rename replace link symlink truncate utime chmod chown chdir system kill fork posix_spawn
    execv execve getloadavg waitpid times
"""

_MEASURES: frozenset[Any] = frozenset(
    {os.urandom, input}
    | {getattr(time, name) for name in _CLOCKS}
    | {getattr(time, f"{name}_ns") for name in _CLOCKS}
)
"""They give another value at each call."""

_ACTS: frozenset[Any] = frozenset(
    {io.open, np.fromfile, time.sleep, threading.get_ident, threading.get_native_id}
    | {getattr(os, name) for name in _OF_OS.split() if hasattr(os, name)}
)
"""They look at what may be another at the next call, or change what others see."""

_CLASSES = {
    "_socket": {"socket"},
    "sqlite3": {"Connection", "Cursor"},
    "_queue": {"SimpleQueue"},  # whose contents nobody sees
}
_STARTS = "_posixsubprocess"
_OF_NUMPY = (stand_in.__file__, making.__file__)  # they call its functions

_NAMES = """
    uuid1 uuid4 token_bytes token_hex token_urlsafe SystemRandom choice randbelow
    open os pathlib Path shutil tempfile subprocess socket glob sqlite3 current_thread
    exists isfile isdir getsize getmtime iterdir rglob iglob is_file is_dir
    read_text read_bytes write_text write_bytes touch cwd mkstemp mkdtemp
    SimpleQueue
    load loadtxt genfromtxt fromfile memmap save savez savez_compressed savetxt
    read_csv imread imsave urlopen urlretrieve check_output check_call Popen execute
    get_ident get_native_id sleep listdir scandir system
"""
NAMES = frozenset({f.__name__ for f in _MEASURES} | _DATES | {*_NAMES.split()})
"""What code that reads one of these names: only then is every call of it watched, which costs."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A call that ends tracing.

    Attributes
    ----------
    text : str
        Why it does.
    caller : frame
        That of the user's which makes it, or calls what does.
    acts : bool
        Whether it looks at what may be another, or does something, in place of measuring.
    """

    text: str
    caller: FrameType
    acts: bool


def why_it_ends(frame: FrameType, function: Any) -> Ending | None:
    """Return why a call of a function in C ends tracing; None where it does not.

    Parameters
    ----------
    frame : frame
        Which calls.
    function : object
    """
    acts = _acts(function)
    if not acts and not _measures(function):
        return None
    caller: FrameType | None = frame
    while caller is not None and _passes(caller):
        caller = caller.f_back
    if caller is None or is_framework(caller.f_code) or _loads_code(caller) or _of_gc(frame):
        return None
    done = "looks at or changes what is outside" if acts else "gives another value at each call"
    return Ending(f"it calls {function.__name__}(), which {done}", caller, acts)


def _measures(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, datetime.date):
        return function.__name__ in _DATES
    return _is_one_of(function, _MEASURES)


def _acts(function: Any) -> bool:
    started = getattr(function, "__module__", None) == _STARTS
    kinds = type(getattr(function, "__self__", None)).__mro__
    of_a_class = any(kind.__name__ in _CLASSES.get(kind.__module__, ()) for kind in kinds)
    return started or of_a_class or _is_one_of(function, _ACTS)


def _is_one_of(function: Any, functions: frozenset[Any]) -> bool:
    try:
        return function in functions
    except TypeError:  # a method of something that has no hash
        return False


def _passes(frame: FrameType) -> bool:
    """Tell whether a frame only does what the user's own code has asked for."""
    name = frame.f_code.co_filename  # os.path is frozen
    passes = is_installed(frame.f_code) or name in _OF_NUMPY or name.startswith("<frozen")
    return passes and not _loads_code(frame)


def _loads_code(frame: FrameType) -> bool:
    """Tell whether a frame imports a module, or looks for the text of a line."""
    name = frame.f_code.co_filename
    return name.startswith("<frozen importlib") or name.endswith(("linecache.py", "inspect.py"))


def _of_gc(frame: FrameType | None) -> bool:
    """Tell whether a frame is run by the garbage collector, in the middle of whatever happens."""
    codes = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        if frame.f_code in codes or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
