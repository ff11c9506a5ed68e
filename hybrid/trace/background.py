"""Plans made in another thread, for functions compiled with ``background=True``.

Calls do not wait: until the Plan is there, its graph is run op by op. One thread makes the Plans of
all functions, in the order in which they are first wanted.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.core.graph import FuncGraph
from hybrid.core.interpret import interpret
from hybrid.core.places import share_memory
from hybrid.records import dataclass
from hybrid.runtime.plan import Plan

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class PendingPlan(Plan):
    """What stands for a Plan while it is made; `run` is the Plan's own from then on."""

    def __str__(self) -> str:
        return f"plan {self.name}: being compiled in the background; its ops run one by one"


class Planner:
    """Makes the Plans of one function in the background.

    Parameters
    ----------
    ready : callable
        Called, in the other thread, when a Plan has taken the place of what stood for it.
    """

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._jobs: list[_Job] = []

    def plan(
        self, graph: FuncGraph, make: Callable[[], Plan], plans: dict[Any, Plan], key: Any
    ) -> Plan:
        """Return what runs `graph` for now; the Plan that `make` gives becomes ``plans[key]``."""

        def done(plan: Plan) -> None:
            plans[key] = plan
            self._ready()
            self._jobs.remove(job)  # at last: who waits need not wait for what is not in the list

        job = _Job(graph, make, done)
        self._jobs.append(job)
        _submit(job)
        return PendingPlan(graph.name, job, "", 0, 0, tuple)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all Plans wanted so far are made, and tell whether they are."""
        end = None if timeout is None else time.monotonic() + timeout
        for job in list(self._jobs):
            if not job.finished.wait(None if end is None else max(0.0, end - time.monotonic())):
                return False
            if job.error is not None:
                raise job.error
        return True


_NOTE = "This happened when the function was compiled in the background."


def is_of_compiler(error: Exception) -> bool:
    """Tell whether an error of a call is that of a Plan which could not be made."""
    return _NOTE in getattr(error, "__notes__", ())


class _Job:
    """A Plan to be made; called with the arrays of a call, it runs the Plan or the ops."""

    def __init__(
        self, graph: FuncGraph, make: Callable[[], Plan], done: Callable[[Plan], None]
    ) -> None:
        self.graph = graph
        self.make = make
        self.done = done
        self.finished = threading.Event()
        self.plan: Plan | None = None
        self.error: Exception | None = None

    def work(self) -> None:
        """Make the Plan; an error is kept for the next call."""
        try:
            self.plan = self.make()
            self.done(self.plan)
        except Exception as error:
            error.add_note(_NOTE)
            self.error = error
        finally:
            self.finished.set()

    def __call__(self, *arrays: Any) -> tuple[Array, ...]:
        if self.error is not None:
            raise self.error
        if self.plan is not None:
            return self.plan.run(*arrays)
        results: list[Array] = []
        for result in interpret(self.graph, arrays):
            shared = any(share_memory(result, x) for x in (*arrays, *results))
            results.append(result.copy() if shared or not result.flags.writeable else result)
        return tuple(results)


# --- the thread -----------------------------------------------------------------------------------

_queue: deque[_Job] = deque()
_wanted = threading.Condition()
_thread: threading.Thread | None = None
_working = threading.Lock()
_unfinished: weakref.WeakSet[_Job] = weakref.WeakSet()


def _submit(job: _Job) -> None:
    global _thread
    with _wanted:
        _unfinished.add(job)
        _queue.append(job)
        if _thread is None:
            # A daemon: a program that ends does not wait for what is still queued.
            _thread = threading.Thread(target=_work, name="hybrid compiler", daemon=True)
            _thread.start()
        _wanted.notify()


def _work() -> None:
    while True:
        with _wanted:
            while not _queue:
                _wanted.wait()
            job = _queue.popleft()
        with _working:
            job.work()
        _unfinished.discard(job)
        del job


def _at_exit() -> None:
    """Let the compiler finish what it is at: its library must not go away under it."""
    _queue.clear()
    _working.acquire()


def _after_fork() -> None:
    """In a child, which has no such thread, start anew what is not finished."""
    global _thread, _wanted, _working
    _thread, _wanted, _working = None, threading.Condition(), threading.Lock()
    jobs = [*_unfinished]
    _queue.clear()
    for job in jobs:
        job.finished = threading.Event()
        _submit(job)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
