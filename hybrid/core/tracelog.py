"""What happens when functions are traced, as it happens: traces, segments, guards, Plans, kernels.

Nothing is noted, and nothing is paid for, while no :func:`trace_log` is open.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field

from hybrid.core.source import SourceLine
from hybrid.records import dataclass


@dataclass(eq=False, slots=True)
class Entry:
    """Something that happened, with what happened in the course of it.

    Attributes
    ----------
    kind : str
        ``"trace"``, ``"segment"``, ``"guard"``, ``"passes"``, ``"plan"``, ``"kernel"``,
        ``"derivative"`` or ``"eager"``.
    text : str
    line : SourceLine, optional
        The user's, where there is one.
    seconds : float, optional
        How long it took, what is in `entries` included.
    entries : list of Entry
    """

    kind: str
    text: str = ""
    line: SourceLine | None = None
    seconds: float | None = None
    entries: list[Entry] = field(default_factory=list)

    def __str__(self) -> str:
        took = "" if self.seconds is None else f" ({_spell(self.seconds)})"
        where = "" if self.line is None else f" at {self.line.describe()}"
        inner = ["  " + line for entry in self.entries for line in str(entry).splitlines()]
        return "\n".join([f"{self.kind} {self.text}{took}{where}", *inner])


class TraceLog:
    """What :func:`trace_log` gives: entries in the order in which they began; print it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def of(self, kind: str) -> list[Entry]:
        """Return all entries of a kind, inner ones too."""
        return [entry for entry in _walk(self.entries) if entry.kind == kind]

    def __str__(self) -> str:
        return "\n".join(map(str, self.entries)) or "nothing was traced or compiled"

    __repr__ = __str__


_logs: tuple[TraceLog, ...] = ()
_changing = threading.Lock()


class _Open(threading.local):
    """The entries of this thread that have begun and not ended, the innermost last."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []


_open = _Open()


@contextmanager
def trace_log() -> Iterator[TraceLog]:
    """Write down each trace, segment, guard, Plan and kernel that is made inside, with its time.

    All threads are heard, also the one that compiles in the background. Logs nest. A call that
    replays a trace leaves no entry.

    Returns
    -------
    TraceLog
        Print it, go through `entries`, or ask for those `of` a kind.

    Examples
    --------
    >>> import hybrid as hb
    >>> half = hb.compile(lambda x: x / 2 if x > 1 else x)
    >>> with hb.trace_log() as log:
    ...     _ = half(hb.asarray(4.0)), half(hb.asarray(8.0)), half(hb.asarray(1.0))
    >>> [entry.text for entry in log.of("guard")]
    ['bool() is True']
    >>> len(log.of("trace")), len(log.of("segment"))
    (2, 3)
    """
    global _logs
    log = TraceLog()
    with _changing:
        _logs = (*_logs, log)
    try:
        yield log
    finally:
        with _changing:
            _logs = tuple(other for other in _logs if other is not log)


def listened() -> bool:
    """Tell whether somebody reads what is noted."""
    return bool(_logs)


def note(kind: str, text: str, line: SourceLine | None = None) -> None:
    """Note that something happened."""
    if _logs:
        _add(Entry(kind, text, line))


@contextmanager
def timed(kind: str, text: str = "") -> Iterator[Entry]:
    """Note something that takes time; its text may still be written inside."""
    entry = Entry(kind, text)
    if not _logs:
        yield entry
        return
    _add(entry)
    _open.entries.append(entry)
    began = time.perf_counter()
    try:
        yield entry
    finally:
        entry.seconds = time.perf_counter() - began
        _open.entries.pop()


def is_read() -> bool:
    """Tell whether a log takes what is noted; a long text is not written for nobody."""
    return bool(_logs)


def counted(number: int, noun: str) -> str:
    """Return ``1 node``, ``2 nodes``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _add(entry: Entry) -> None:
    if _open.entries:
        _open.entries[-1].entries.append(entry)
        return
    for log in _logs:
        log.entries.append(entry)


def _walk(entries: list[Entry]) -> Iterator[Entry]:
    for entry in list(entries):
        yield entry
        yield from _walk(entry.entries)


def _spell(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"
