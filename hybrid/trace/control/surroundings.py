"""What a body changes in Python, which a graph would not change again at each step.

A body is traced once, and so is each branch of a choice; Python runs a body once a step, and one
branch. So where the trace of a body has changed a variable of the function around it, a number
outside or a container, that is undone, and plain Python runs the body.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CellType
from typing import Any

from hybrid.core import dispatch
from hybrid.core.source import SourceLine
from hybrid.errors import TraceError
from hybrid.trace.blame import line_that_names
from hybrid.trace.effects import change_of, state_of
from hybrid.trace.environment import MISSING, Binding, literal_changed
from hybrid.trace.reach import reach
from hybrid.trace.recorder import Untraceable
from hybrid.trace.taking_back import put_back

_CONTAINERS = (list, dict, set, deque)


@contextmanager
def run_once(construct: str, *functions: Callable[..., Any]) -> Iterator[None]:
    """Trace bodies within a ``with`` block; stop where that has changed what is outside of them.

    Raises
    ------
    Untraceable
        After all is as it was.
    TraceError
        Where it cannot be: an iterator was drawn from.
    """
    before = Surroundings(functions)
    try:
        yield
    except BaseException:
        before.restore()  # they are run again
        raise
    before.check_iterators(construct)
    for name, line in before.restore():
        why = f"it changes {name} outside of it; carry that along instead"
        raise Untraceable(f"the body of hb.{construct} cannot be traced: {why}", line)


@contextmanager
def undone(*functions: Callable[..., Any]) -> Iterator[None]:
    """Trace bodies within a ``with`` block that plain Python does not run at all."""
    before = Surroundings(functions)
    try:
        yield
    finally:
        before.restore()


class Surroundings:
    """What some functions can change, as it was.

    Parameters
    ----------
    functions : sequence of callable
    """

    def __init__(self, functions: tuple[Callable[..., Any], ...]) -> None:
        trace = dispatch.state.recorder.trace
        self._is_known: Callable[[Any], bool] = lambda x: trace is None or trace.reaches(x)
        wanted = {id(f): f for g in functions for f in (g, inspect.unwrap(g))}
        self._reached = [reach(f, []) for f in wanted.values()]
        self._found = [
            (binding, where, _contents(binding))
            for where in self._reached
            for binding in where.bindings
            if type(binding.holder) is CellType or isinstance(binding.holder, _CONTAINERS)
        ]
        self._iterators = [
            (name, x, state_of(x), where)
            for where in self._reached
            for name, x in where.stateful
            if not self._is_known(x)
        ]

    def restore(self) -> list[tuple[str, SourceLine | None]]:
        """Undo what has changed; return its names, and the lines that did it.

        The trace around looks itself at containers that it reaches.
        """
        changed = [
            (binding, where, contents)
            for binding, where, contents in self._found
            if binding.changed and (not self._is_known(binding.holder) or _is_read(binding))
        ]
        named = [change_of(binding, where) for binding, where, _ in changed]
        for binding, _, contents in changed:
            put_back(Binding(binding.name, binding.holder, binding.key, contents), ())
        return named

    def check_iterators(self, construct: str) -> None:
        """Raise where something was drawn that cannot be put back."""
        for name, x, before, where in self._iterators:
            if state_of(x) != before:
                message = (
                    f"{construct}: the body uses up the iterator {name}, and a compiled function "
                    "runs it once for all steps; draw from it outside, or go through it as rows"
                )
                line = line_that_names(where.codes, name)
                raise TraceError(f"{message}\n  at {line.describe()}" if line else message)


def _is_read(binding: Binding) -> bool:
    """Tell whether a number or text has changed, which Python computes with."""
    return literal_changed(binding.value, binding.read())


def _contents(binding: Binding) -> Any:
    """Return what is there itself, where others read what it stands for."""
    holder = binding.holder
    if type(holder) is CellType:
        try:
            return holder.cell_contents
        except ValueError:
            return MISSING
    if binding.key is not None:
        return holder.get(binding.key, MISSING)
    return (*holder, *holder.values()) if isinstance(holder, dict) else tuple(holder)
