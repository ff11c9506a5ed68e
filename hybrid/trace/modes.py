"""Whether compiled functions are compiled at all at present, or run as plain Python."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hybrid.core import defaults


class _Eagerly(threading.local):
    """Whether compiled functions run as plain Python in this thread."""

    here: bool = False


_eagerly = _Eagerly()
_everywhere = False
_lock = threading.Lock()


def run_functions_eagerly(eagerly: bool) -> None:
    """Let every compiled function run as the plain Python function, or as usual again.

    Parameters
    ----------
    eagerly : bool

    Examples
    --------
    >>> run_functions_eagerly(True)
    >>> functions_run_eagerly()
    True
    >>> run_functions_eagerly(False)
    """
    global _everywhere
    with _lock:
        defaults.request(int(eagerly) - int(_everywhere))
        _everywhere = eagerly


def functions_run_eagerly() -> bool:
    """Tell whether compiled functions run as plain Python at present, in this thread.

    Returns
    -------
    bool

    Examples
    --------
    >>> functions_run_eagerly()
    False
    """
    return _everywhere or _eagerly.here


@contextmanager
def eagerly() -> Iterator[None]:
    """Run compiled functions as plain Python within a ``with`` block, in this thread.

    Examples
    --------
    >>> with eagerly():
    ...     functions_run_eagerly()
    True
    """
    before = _eagerly.here
    defaults.request(1)
    _eagerly.here = True
    try:
        yield
    finally:
        _eagerly.here = before
        defaults.request(-1)
