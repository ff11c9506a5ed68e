"""What a body changes in Python, which a graph would not change again at each step.

A body is traced once, and so is each branch of a choice; Python runs a body once a step, and one
branch. So where the trace of a body has changed a variable of the function around it, a number
outside or a container, that is undone, and plain Python runs the body.

What a body makes outside, or puts in the place of nothing, may be a cache, which stays as it is, or
a counter, which does not, or the sign that its first step is done. A second trace shows it.
"""

from __future__ import annotations

import inspect
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CellType, FunctionType, MappingProxyType
from typing import Any, TypeVar

import numpy as np

from hybrid.core import dispatch
from hybrid.core.graph import FuncGraph, format_graph
from hybrid.core.number import Number
from hybrid.core.source import SourceLine
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor
from hybrid.errors import TraceError
from hybrid.trace.blame import line_that_changes, line_that_names, may_write
from hybrid.trace.control.body import BodyRecorder
from hybrid.trace.effects import change_of, is_log, is_sequence
from hybrid.trace.environment import MISSING, Binding, literal_changed
from hybrid.trace.growth import is_named, made
from hybrid.trace.holders import InContext, PerThread, Slots
from hybrid.trace.reach import reach
from hybrid.trace.reached import Reached
from hybrid.trace.states import global_generators, state_of
from hybrid.trace.straight import Untraceable
from hybrid.trace.taking_back import draw_again, drawn_from, put_back

_HOLDERS = (
    *(CellType, FunctionType, MappingProxyType, Slots, PerThread, InContext),
    *(list, dict, set, deque, bytearray, array),
)
_LITERALS = (int, float, complex, str, bytes, type(None))
_MOST = 1 << 26
"""Bytes of an array of which a copy is kept."""

Found = TypeVar("Found")
Change = tuple[Binding, Reached]
Said = tuple[str, SourceLine | None]


def traced_once(
    construct: str,
    functions: Sequence[Callable[..., Any]],
    trace: Callable[[], tuple[Sequence[BodyRecorder], Found]],
    *,
    certain: bool = True,
) -> tuple[Sequence[BodyRecorder], Found]:
    """Trace bodies; stop where that has changed what is outside of them.

    Parameters
    ----------
    construct : str
        ``scan``, ``cond``, ...
    functions : sequence of callable
        The bodies.
    trace : callable
        Traces them; returns their recorders, and what the caller likes. It may run twice.
    certain : bool
        Plain Python runs each of them at least once.

    Raises
    ------
    Untraceable
        After all is as it was.
    TraceError
        Where it cannot be: an iterator was drawn from.
    """
    before = Surroundings(functions)
    found = _undone_if_untraceable(before, construct, trace)
    come = before.come()
    if not come:
        return found
    if not certain and any(map(_is_literal, come)):
        raise before.refused(construct, come)
    again = Surroundings(functions)
    try:
        repeated = _undone_if_untraceable(again, construct, trace)
        stays = not again.come() and _recorded(repeated[0]) == _recorded(found[0])
    except BaseException:
        before.restore()
        raise
    again.restore()  # a list that is filled
    if not stays:
        raise before.refused(construct, come)
    return found


def _undone_if_untraceable(
    before: Surroundings,
    construct: str,
    trace: Callable[[], tuple[Sequence[BodyRecorder], Found]],
) -> tuple[Sequence[BodyRecorder], Found]:
    try:
        found = trace()
    except BaseException:  # they are run again
        before.check_iterators(construct)
        before.restore()
        raise
    before.check_iterators(construct)
    done = before.done(found[0])
    if done:
        raise before.stopped(construct, done)
    return found


def _recorded(bodies: Sequence[BodyRecorder]) -> list[tuple[Any, str]]:
    """Return what tells one trace of bodies from another."""
    return [
        (
            [*body.cells],
            format_graph(
                FuncGraph(
                    body.construct,
                    (*body.inputs, *(cell.value for cell in body.cells.values())),
                    (),
                    tuple(body.nodes),
                    body.results,
                )
            ),
        )
        for body in bodies
    ]


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

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
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

    def done(self, bodies: Sequence[BodyRecorder]) -> list[Said]:
        """Return what was changed, drawn and written, and the lines that did it.

        The trace around looks itself at containers that it reaches.

        Parameters
        ----------
        bodies : sequence of BodyRecorder
            Whose Tensors mean nothing outside of them.
        """
        changes = [
            change_of(binding, where)
            for binding, where, _ in self._found
            if binding.changed
            and (
                not self._is_known(binding.holder)
                or _is_read(binding, where)
                or _holds_any_of(binding, bodies)
            )
        ]
        changes += [
            change_of(binding, where)
            for where in self._reached
            for binding in made(where)
            if _holds_any_of(binding, bodies)
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

    def come(self) -> list[Change]:
        """Return names, attributes and keys that were made, or mean something else."""
        found = [(b, where) for b, where, _ in self._found if b.changed and is_named(b)]
        return found + [(b, where) for where in self._reached for b in made(where)]

    def refused(self, construct: str, changes: Sequence[Change]) -> Untraceable:
        """Undo all that has changed; return what stops the trace."""
        said = [change_of(binding, where) for binding, where in changes]
        return self.stopped(construct, [(f"changes {name}", line) for name, line in said])

    def stopped(self, construct: str, done: Sequence[Said]) -> Untraceable:
        """Undo all that has changed; return what stops the trace."""
        self.restore()
        what, line = done[0]
        why = f"it {what} outside of it; carry that along instead"
        return Untraceable(f"the body of hb.{construct} cannot be traced: {why}", line)

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


def _is_read(binding: Binding, where: Reached) -> bool:
    """Tell whether a number, a text or a list has changed with which Python computes."""
    if literal_changed(binding.value, binding.read()):
        return True
    return is_sequence(binding) and not is_log(binding, where)


def _is_literal(change: Change) -> bool:
    """Tell whether what has come is a number or a text: a sign, rather than a cache."""
    return any(isinstance(x, _LITERALS) for x in _new_values(change[0]))


def _new_values(binding: Binding) -> list[Any]:
    """Return what names, attributes and keys mean that meant something else."""
    now, holder = binding.read(), binding.holder
    if binding.key is not None or type(holder) is CellType:
        return [now]
    known = set(map(id, binding.value))
    values = now[len(now) // 2 :] if isinstance(holder, dict | PerThread) else now
    return [x for x in values if id(x) not in known]


def _holds_any_of(binding: Binding, bodies: Sequence[BodyRecorder]) -> bool:
    """Tell whether a Tensor of a body is kept outside of it."""
    now = binding.read()
    held = now if isinstance(now, tuple) else (now,)
    tensors = (x.tensor if type(x) is Number else x for x in held)
    symbols = (x._data for x in tensors if type(x) is Tensor and type(x._data) is Symbol)
    return any(x.recorder in bodies for x in symbols)


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
