"""What Python does besides computing while it is traced, which no replay would do again.

A replay runs no Python. So the surroundings of a function are looked at before and after it is
traced: what it has changed there, or used up, or drawn, ends tracing, with the line that did it.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import numpy as np

from hybrid.core.identity import NAMES, tells_identity
from hybrid.core.source import SourceLine
from hybrid.core.tensor import Array
from hybrid.errors import TraceError
from hybrid.trace.blame import is_only_filled, line_that_changes, line_that_names
from hybrid.trace.called_back import Look
from hybrid.trace.called_code import changed_by
from hybrid.trace.environment import MISSING, Binding, literal_changed
from hybrid.trace.growth import Changes, Growth, Sizes, changes_since
from hybrid.trace.holders import Slots
from hybrid.trace.measuring import NAMES as NAMES_OF_CALLS
from hybrid.trace.measuring import why_it_ends
from hybrid.trace.reach import numpys_generators, reach
from hybrid.trace.reached import Named, Reached
from hybrid.trace.sharing import may_share, memory_of
from hybrid.trace.states import States, checksum, global_states, small_copy, state_of
from hybrid.trace.taking_back import draw_again, put_back

Objects = list[tuple[str, Any]]


class Effect:
    """Something that a replay would not repeat.

    Attributes
    ----------
    why : str
    line : SourceLine, optional
    may_be_for_once : bool
        It may have filled a cache outside, if something there has changed.
    """

    def __init__(self, why: str, line: SourceLine | None, *, may_be_for_once: bool = False) -> None:
        self.why = why
        self.line = line
        self.may_be_for_once = may_be_for_once


class Watch:
    """Compares the surroundings of a function before and after it was traced.

    Parameters
    ----------
    function : callable
    objects : list of (name, object)
        Arguments that the trace knows as Python objects.
    carried : sequence of (holder, key)
        Numbers outside that it is given as arguments.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        objects: Objects,
        carried: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        self._function = function
        self._objects = objects
        self._carried = carried
        self._before = reach(function, objects, carried)
        self._held = States(self._before)
        self._contents = [small_copy(x) for _, x in self._before.arrays]
        self._measured: Effect | None = None
        self._called_back = False

    @property
    def bindings(self) -> Sequence[Binding]:
        """What the function read from outside before it was traced."""
        return self._before.bindings

    @property
    def builtins(self) -> Sequence[Named]:
        """Globals of the function and its helpers, and the built-in functions that they name."""
        return self._before.builtins

    @property
    def codes(self) -> Sequence[CodeType]:
        """The code of the function and its helpers."""
        return self._before.codes

    @property
    def dispatching(self) -> Sequence[Any]:
        """Functions of ``functools.singledispatch`` that the function reaches."""
        return self._before.dispatching

    @property
    def alone(self) -> bool:
        """Whether no installed package may look at them."""
        return self._before.alone

    def tells_identity(self) -> bool:
        """Tell whether the function and its helpers may ask for the identity of a bool."""
        reached = self._before
        return (
            reached.elsewhere
            or not NAMES.isdisjoint(reached.names)
            or any(map(tells_identity, reached.codes))
        )

    def unwatched(self, stood_in: frozenset[int]) -> list[Array]:
        """Return the ndarrays from outside whose contents may be read without notice.

        Parameters
        ----------
        stood_in : frozenset of int
            The arrays, by identity, that are watched.
        """
        everything = self._before.reads_memory
        arrays = [x for _, x in self._before.arrays if isinstance(x, np.ndarray)]
        return [x for x in arrays if everything or id(x) not in stood_in]

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Notice, within a ``with`` block, calls that read a clock, open a file and so on."""
        watched = bool(self._before.names & NAMES_OF_CALLS) and sys.getprofile() is None
        if watched:
            sys.setprofile(self._notice)
        try:
            yield
        finally:
            if watched:
                sys.setprofile(None)

    @contextmanager
    def called_back(self) -> Iterator[None]:
        """Take what a callback does within a ``with`` block for done before the trace."""
        if self._called_back:  # by a callback
            yield
            return
        self._called_back = True
        look, found = Look(self._before), States(self._before)
        try:
            yield
        finally:
            self._called_back = False
            look.take()
            for i in self._held.take(found, States(self._before)):
                self._contents[i] = small_copy(self._before.arrays[i][1])

    def meddling(self, function: Any) -> str | None:
        """Return the name of what a callback may change that the function reads itself, if any."""
        there = reach(function, [])
        for binding in there.bindings if self._carried else ():
            for holder, key in self._carried:
                if binding.holder is holder and binding.key in (None, key):
                    if key is None or key in there.names or not binding.name.endswith(".*"):
                        return binding.name.removesuffix("[...]").removesuffix(".*")
        return changed_by(function, there, self._before, _frames(self._before.codes))

    def _notice(self, frame: FrameType, event: str, function: Any) -> None:
        if event != "c_call" or self._measured is not None or self._called_back:
            return
        found = why_it_ends(frame, function)
        if found is not None and not self._is_remembered(found.caller):
            code = found.caller.f_code
            line = SourceLine(code.co_filename, found.caller.f_lineno, code.co_name)
            self._measured = Effect(found.text, line, may_be_for_once=found.acts)

    def _is_remembered(self, frame: FrameType | None) -> bool:
        """Tell whether ``functools.cache`` keeps what comes of a call, which is for once."""
        while frame is not None and self._before.cached:
            if frame.f_code in self._before.cached:
                return True
            frame = frame.f_back
        return False

    def remembers(self, now: Reached) -> bool:
        """Tell whether ``functools.cache`` keeps an array since that was not there before.

        The next call finds it there, and may write to it: it is to be traced with that array.
        """
        if not now.remembered:
            return False
        before = {id(x) for _, x in self._before.arrays}
        found = (*now.arrays, *now.traced)
        there = tuple(now.remembered)
        return any(name.startswith(there) and id(x) not in before for name, x in found)

    def remembered_tensor(self, now: Reached) -> Effect | None:
        """Return that ``functools.cache`` keeps a Tensor of this trace for other calls."""
        for name, _ in now.traced:
            if name.startswith(tuple(now.remembered)):
                line = line_that_names(now.codes, name.partition("(")[0])
                return Effect(f"{name} keeps a Tensor that it computes", line)
        return None

    def after(self) -> Reached:
        """Return what the function reaches now."""
        return reach(self._function, self._objects, self._carried)

    def untouched(self, written: Sequence[Any]) -> bool:
        """Tell whether the function has changed nothing outside so far.

        Parameters
        ----------
        written : sequence
            Arrays that the trace itself has written to already.
        """
        now, changes = self.after(), self.changes()
        return self.decisive(now, changes, written) is None and self.incidental(changes) is None

    def changes(self) -> Changes:
        """Return what means something else than before, outside arrays and generators."""
        return changes_since(self._before)

    def decisive(self, now: Reached, changes: Changes, written: Sequence[Any]) -> Effect | None:
        """Return an effect that changes the result, or what others see, at each call.

        Parameters
        ----------
        now : Reached
            As the function has left it.
        changes : Changes
            By now.
        written : sequence
            Arrays that the trace itself has written to already.
        """
        measured = self._measured
        if measured is not None and measured.may_be_for_once and any(changes.named):
            measured = None  # the next call, which is traced again, shows whether that stays
        found = self._kept(now) or measured or self._drawn() or self._used_up()
        return found or self._overwritten(written) or self._counted(changes)

    def _kept(self, now: Reached) -> Effect | None:
        for name, _ in now.traced:
            if name.startswith(tuple(now.remembered)):
                continue
            line = line_that_changes(now.codes, name)
            return Effect(f"{name.partition('[')[0]} keeps a Tensor that it computes", line)
        return None

    def _drawn(self) -> Effect | None:
        if global_states() == self._held.everyones:
            return None
        line = line_that_names(self._before.codes, "random")
        return Effect("it draws random numbers that are not hb.random's", line)

    def _used_up(self) -> Effect | None:
        for (name, obj), state in zip(self._before.stateful, self._held.states, strict=True):
            if state_of(obj) != state:
                line = line_that_names(self._before.codes, name)
                if isinstance(obj, (random.Random, *numpys_generators())):
                    return Effect(f"it draws random numbers from {name}", line)
                return Effect(f"it uses up the iterator {name}", line)
        return None

    def _overwritten(self, written: Sequence[Any]) -> Effect | None:
        for (name, array), before in zip(self._before.arrays, self._held.sums, strict=True):
            if checksum(array) != before and not any(may_share(array, x) for x in written):
                line = line_that_changes(self._before.codes, name)
                return Effect(f"NumPy itself writes to {name}, an array from outside", line)
        return None

    def take_back_arrays(self, written: Sequence[Any]) -> None:
        """Take back what NumPy itself has written, before the function runs once more.

        Parameters
        ----------
        written : sequence
            Arrays that the trace itself has written to already, which stay as they are.

        Raises
        ------
        TraceError
            Where nobody knows any more what an array held.
        """
        rows = zip(self._before.arrays, self._held.sums, self._contents, strict=True)
        for (name, array), before, contents in rows:
            if checksum(array) == before or any(may_share(array, x) for x in written):
                continue
            memory = memory_of(array)
            if not isinstance(memory, np.ndarray) or contents is None:
                line = line_that_changes(self._before.codes, name)
                did = f"NumPy itself has written to {name}, an array from outside"
                raise TraceError(_twice(did, "write it", line))
            memory[...] = contents

    def take_back_state(self) -> None:
        """Take back what Python has changed and drawn outside, before the function runs again.

        Raises
        ------
        TraceError
            Where it has used up an iterator: there is no way back in one.
        """
        if self._drawn() or self._used_up():
            for generator, drawn in self._held.drawn:
                draw_again(generator, drawn)
        for (name, obj), before in zip(self._before.stateful, self._held.states, strict=True):
            if type(before) is not object and state_of(obj) != before:
                line = line_that_names(self._before.codes, name)
                raise TraceError(_twice(f"the iterator {name} was used up", "use it up", line))
        changes = self.changes()
        for binding in (*changes.made, *changes.replaced):
            put_back(binding, self._before.classes)

    def _counted(self, changes: Changes) -> Effect | None:
        given = {id(obj) for _, obj in self._objects}
        for binding in changes.replaced:
            if id(binding.holder) in given:
                name, line = change_of(binding, self._before)
                return Effect(f"it changes its argument {name}", line)
            if _literals_changed(binding):
                name, line = change_of(binding, self._before)
                return Effect(f"it changes {name}, a Python value that it also reads", line)
            if is_sequence(binding) and not is_log(binding, self._before):
                name, line = change_of(binding, self._before)
                return Effect(f"it changes {name}, which it also reads", line)
        return None

    def restless(self, changes: Changes, growth: Growth, sizes: Sizes) -> Effect | None:
        """Return an effect that has another result at each call, as several in a row have shown."""
        binding = growth.restless(changes, sizes)
        if binding is None:
            return None
        name, line = change_of(binding, self._before)
        return Effect(f"it changes {name} at every call", line)

    def incidental(self, changes: Changes) -> Effect | None:
        """Return a change of a container outside that does not change the result."""
        for binding in changes.replaced:
            if binding.name.endswith("[...]"):
                name, line = change_of(binding, self._before)
                return Effect(f"it changes {name} while it is traced", line)
        return None


def _frames(codes: Sequence[CodeType]) -> Iterator[FrameType]:
    """Yield the frames of some functions that are under way."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in codes:
            yield frame
        frame = frame.f_back


def is_sequence(binding: Binding) -> bool:
    return binding.key is None and isinstance(binding.holder, list | deque | set | bytearray)


def is_log(binding: Binding, where: Reached) -> bool:
    """Tell whether code only adds to a list or set: it has one name, and no methods of its own."""
    if type(binding.holder) not in (list, deque, set, bytearray):
        return False
    names = {(id(b.holder), b.key) for b in where.bindings if _refers(b.value, binding.holder)}
    return len(names) <= 1 and is_only_filled(where.codes, binding.name)


def _refers(value: Any, holder: Any) -> bool:
    if value is holder:
        return True
    return type(value) in (tuple, frozenset) and any(_refers(x, holder) for x in value)


def _literals_changed(binding: Binding) -> bool:
    """Tell whether a number or text, or one of those that a container holds, is another one."""
    before, now = binding.value, binding.read()
    if not isinstance(binding.holder, dict) or binding.key is not None:
        return literal_changed(before, now)
    old, new = (_fields(binding.holder, x) for x in (before, now))
    return any(key in new and literal_changed(value, new[key]) for key, value in old.items())


def _twice(did: str, doing: str, line: SourceLine | None) -> str:
    return (
        f"{did}, and then an op has raised an error; to run the function once more would {doing} "
        "twice" + (f"\n  at {line.describe()}" if line else "")
    )


def change_of(binding: Binding, where: Reached) -> tuple[str, SourceLine | None]:
    """Return what has changed as a person would write it, ``model.count``, and the line."""
    name, now = binding.name.removesuffix("[...]"), binding.read()
    if name.endswith(".*"):
        before, after = (_fields(binding.holder, x) for x in (binding.value, now))
        names = [k for k in (*after, *before) if after.get(k, MISSING) is not before.get(k, now)]
        name = name[:-1] + names[0] if names else name[:-2]
    return name, line_that_changes(where.codes, name)


def _fields(holder: Any, found: tuple[Any, ...]) -> dict[str, Any]:
    """Return attributes by their names: `found` are those of an object, or only its values."""
    if isinstance(holder, Slots):
        return dict(zip(holder.names, found, strict=True))
    middle = len(found) // 2
    return dict(zip(found[:middle], found[middle:], strict=True))
