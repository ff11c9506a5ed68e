"""What a body changes in Python, which a graph would not change again at each step.

A body is traced once, and so is each branch of a choice; Python runs a body once a step, and one
branch. So where the trace of a body has changed a variable of the function around it, a number
outside or a container, that is undone, and plain Python runs the body.
"""

from __future__ import annotations

import inspect
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CellType, FunctionType, MappingProxyType
from typing import Any

import numpy as np

from hybrid.core import dispatch
from hybrid.core.source import SourceLine
from hybrid.errors import TraceError
from hybrid.trace.blame import line_that_changes, line_that_names, may_write
from hybrid.trace.effects import change_of, global_generators, state_of
from hybrid.trace.environment import MISSING, Binding, literal_changed
from hybrid.trace.growth import made
from hybrid.trace.holders import InContext, PerThread, Slots
from hybrid.trace.reach import reach
from hybrid.trace.recorder import Untraceable
from hybrid.trace.taking_back import draw_again, drawn_from, put_back

_HOLDERS = (
    *(CellType, FunctionType, MappingProxyType, Slots, PerThread, InContext),
    *(list, dict, set, deque, bytearray, array),
)
_MOST = 1 << 26
"""Bytes of an array of which a copy is kept."""


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
    except BaseException:  # they are run again
        before.check_iterators(construct)
        before.restore()
        raise
    before.check_iterators(construct)
    done = before.done()
    if done:
        before.restore()
        what, line = done[0]
        why = f"it {what} outside of it; carry that along instead"
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
            if isinstance(binding.holder, _HOLDERS)
        ]
        stateful = [(name, x, where) for where in self._reached for name, x in where.stateful]
        self._iterators = [
            (name, x, state_of(x), where) for name, x, where in stateful if drawn_from(x) is None
        ]
        everyones = (("random", x, where) for x in global_generators() for where in self._reached)
        self._generators = [
            (name, x, state_of(x), drawn_from(x), where)
            for name, x, where in (*everyones, *stateful)
            if drawn_from(x) is not None
        ]
        self._arrays = [
            (name, x, x.copy(), where)
            for where in self._reached
            if any(map(may_write, where.codes))
            for name, x in where.arrays
            if isinstance(x, np.ndarray) and x.nbytes <= _MOST and x.flags.writeable
        ]

    def done(self) -> list[tuple[str, SourceLine | None]]:
        """Return what was changed, drawn and written, and the lines that did it.

        The trace around looks itself at containers that it reaches.
        """
        changes = [
            change_of(binding, where)
            for binding, where, _ in self._found
            if binding.changed and (not self._is_known(binding.holder) or _is_read(binding))
        ]
        draws = [
            (name, line_that_names(where.codes, name))
            for name, x, before, _, where in self._generators
            if state_of(x) != before
        ]
        writes = [
            (name, line_that_changes(where.codes, name))
            for name, x, held, where in self._arrays
            if x.tobytes() != held.tobytes()
        ]
        return [
            *((f"changes {name}", line) for name, line in changes),
            *((f"draws random numbers from {name}", line) for name, line in draws),
            *((f"writes to the ndarray {name}", line) for name, line in writes),
        ]

    def restore(self) -> None:
        """Undo all that has changed."""
        for _, x, before, drawn, _ in self._generators:
            if state_of(x) != before:
                draw_again(x, drawn)
        for _, x, held, _ in self._arrays:
            if x.tobytes() != held.tobytes():
                x[...] = held
        for where in self._reached:
            for binding in made(where):
                put_back(binding, where.classes)
        for binding, where, contents in self._found:
            if binding.changed:
                as_it_was = Binding(binding.name, binding.holder, binding.key, contents)
                put_back(as_it_was, where.classes)

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
    if isinstance(holder, FunctionType):
        return binding.value
    if type(holder) is CellType:
        try:
            return holder.cell_contents
        except ValueError:
            return MISSING
    if binding.key is not None:
        return holder.get(binding.key, MISSING)
    return (*holder, *holder.values()) if isinstance(holder, dict) else tuple(holder)
