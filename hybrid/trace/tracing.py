"""One run of a function under the tracer, and what becomes of its trace."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from hybrid.core import containers, dispatch
from hybrid.core.number import Number
from hybrid.core.operands import PYTHON_SCALARS
from hybrid.core.source import SourceLine, is_framework, is_installed
from hybrid.core.symbol import TAKEN_BY_MASKED, Symbol
from hybrid.core.tensor import Tensor
from hybrid.core.unknown import Unknown
from hybrid.core.variable import Variable
from hybrid.errors import TraceError
from hybrid.trace import report
from hybrid.trace.arguments import Call, traced_leaves
from hybrid.trace.array_type import warn_of_dispatch, warn_of_patterns
from hybrid.trace.background import Planner
from hybrid.trace.carried import Carrying, Place, only_numbers
from hybrid.trace.carried import settle as settle_numbers
from hybrid.trace.concrete import ConcreteFunction
from hybrid.trace.cutting import Unstable
from hybrid.trace.differentiate import run_under
from hybrid.trace.effects import Effect, Watch
from hybrid.trace.environment import Space
from hybrid.trace.garbage import garbage_kept
from hybrid.trace.growth import Changes, Growth, Sizes
from hybrid.trace.mutation import Copies, deliver, joined, warn_of_other_names
from hybrid.trace.objects import Sealed, settle, taken_apart
from hybrid.trace.plain import run_plainly
from hybrid.trace.reached import Reached
from hybrid.trace.repeats import Questions
from hybrid.trace.results import Kept, Result
from hybrid.trace.same_graphs import SameGraphs
from hybrid.trace.segment import Failed, Segment
from hybrid.trace.shortcuts import Shortcuts
from hybrid.trace.signature import Identity, Literal
from hybrid.trace.sized import Sized
from hybrid.trace.sources import Environment
from hybrid.trace.stand_in import (
    ints_left,
    numbers_left,
    stood_in,
    where_only_called,
    wherever_named,
)
from hybrid.trace.threads import threads_noticed
from hybrid.trace.tracer import EagerFrom, Tracer
from hybrid.trace.traces import Traces

_subjects: weakref.WeakSet[Subject] = weakref.WeakSet()


class NumberRefused(BaseException):  # no `except` of the user's may take it for the error itself
    """Something outside has refused a stand-in of a number, and nothing has happened yet.

    Code in C looks at the type itself: ``np.random.default_rng(n)`` takes an int, ``json.dumps`` a
    float, and an :class:`~hybrid.core.unknown.Unknown` or a Number is none there. With the ints of
    the call for constants the same trace goes through, or ends in the same error; floats change
    too often for that, so the function runs eagerly.

    Attributes
    ----------
    error : TypeError
    why : EagerFrom
        To say so, where the function runs eagerly for that.
    """

    def __init__(self, error: TypeError) -> None:
        super().__init__(str(error))
        self.error = error
        text = f"what it calls takes no number that is an input of the trace ({error})"
        self.why = EagerFrom(text, _line_of(error))


def _line_of(error: BaseException) -> SourceLine | None:
    """Return the innermost line of the user's that an error has come from."""
    found, at = None, error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if not is_framework(code) and not is_installed(code):
            found = SourceLine(code.co_filename, at.tb_lineno, code.co_name)
        at = at.tb_next
    return found


def _after_fork() -> None:
    """Forget locks that a thread of the parent may have held: it does not exist in the child."""
    for subject in list(_subjects):
        subject.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


_CHANCES = 8
"""How often other numbers may be found that a function sets outside."""


class Subject:
    """A function that is traced, with its traces and what was said of them.

    Parameters
    ----------
    function : callable
    fullgraph, background : bool
        See :func:`hybrid.compile`.

    Attributes
    ----------
    lock : RLock
        Held while tracing.
    reasons : deque of str
        Why it was traced, the latest last.
    warned : set of str
        What it has warned of, which is not said twice.
    same : SameGraphs
        What its graphs are known by.
    carrying : Carrying, optional
        Where the function is one with numbers ahead of its arguments.
    wanted : dict of str to Place
        Numbers outside that it sets, and is not given as arguments.
    chances : int
        How often it may be given more of them.
    """

    def __init__(self, function: Callable[..., Any], *, fullgraph: bool, background: bool) -> None:
        self.function = function
        self.name: str = getattr(function, "__name__", type(function).__name__)
        self.fullgraph = fullgraph
        self.traces = Traces()
        self.shortcuts = Shortcuts(self.traces)
        self.planner = Planner(self.shortcuts.forget_all) if background else None
        self.lock = threading.RLock()
        self.reasons: deque[str] = deque(maxlen=100)
        self.warned: set[str] = set()
        self.same: SameGraphs[Sized] = SameGraphs()
        self.carrying: Carrying | None = None
        self.wanted: dict[str, Place] = {}
        self.chances = _CHANCES
        self._made_variables = False
        self._growth = Growth()
        _subjects.add(self)

    def trace(
        self,
        concrete: ConcreteFunction,
        call: Call,
        known: list[tuple[Segment, Any]],
        environment: Environment,
        resumes: str | None = None,
    ) -> tuple[Any, bool]:
        """Trace a call, running it by the way; return its result and whether to keep the trace.

        Parameters
        ----------
        concrete : ConcreteFunction
            What the trace is for, or a part of.
        call : Call
        known, environment, resumes
            See :class:`~hybrid.trace.tracer.Tracer`.
        """
        objects = [
            (name, leaf)
            for name, leaf, key in zip(
                concrete.signature.names, call.leaves, concrete.signature.leaves, strict=True
            )
            if not isinstance(leaf, Variable) and (isinstance(key, Identity) or _holds(leaf, key))
        ]
        carrying = self.carrying
        watch = Watch(self.function, objects, carrying.of_call(call.bound) if carrying else ())
        warn_of_patterns(watch.codes, call.leaves)
        warn_of_dispatch(watch.dispatching, call.leaves)
        held = dispatch.state.defaults
        tracer = self._tracer(watch, objects, call, known, environment, resumes)
        try:
            growth = self._growth
            result, now = _run(self, tracer, watch, growth, concrete, call, first=not known)
            tracer.write_back()
            made = result.deliver(environment, call.leaves, call.given)
        except (Failed, Unstable) as error:  # the function runs once more
            if carrying is not None:
                carrying.give_back(call.bound)
            watch.take_back_arrays(tracer.written)
            # Segments that ran know the Variables that it made, so these are not made once more.
            if not tracer.made_variables or not getattr(error, "path", ()):
                watch.take_back_state()
            raise
        finally:
            tracer.close()
        self._take(concrete, tracer, now, known)
        # As it was before, so that the next call is traced too, and shows what has stayed.
        changes = watch.changes()  # callbacks, too, have made some
        numbers_left((*changes.made, *changes.replaced))
        if not tracer.gave_up and (grown := self._growth.take(changes, _sizes(call))):
            concrete.bindings = (*grown, *concrete.bindings)
        # Once more with what `functools.cache` keeps from now on, unless nothing may be given up.
        again = not (known or self.fullgraph) and watch.remembers(now)
        if not again:
            self._tell(concrete, tracer, lambda: watch.incidental(changes), resumes)
        # What is of this one call is not kept: Variables made, memory that happens to be shared,
        # defaults that another thread has changed meanwhile.
        usual = not (tracer.made_variables or tracer.entangled or self.wanted or again)
        kept = usual and (dispatch.state.defaults is held or tracer.gave_up is not None)
        return made, kept and not concrete.entangled(call.leaves)

    def may_carry(
        self,
        watch: Watch,
        now: Reached,
        changed: Changes,
        tracer: Tracer,
        call: Call,
        *,
        first: bool,
    ) -> bool:
        """Tell whether a function has done nothing else that a replay would not repeat than to set
        numbers outside, which later calls are to hand to it.

        Parameters
        ----------
        watch : Watch
        now : Reached
            As the function has left it.
        changed : Changes
            By now.
        tracer : Tracer
        call : Call
        first : bool
            Nothing of the way that this call takes was traced before.
        """
        if self.chances <= 0:
            return False
        function = self.function if self.carrying is None else self.carrying.function
        places, others = only_numbers(function, changed, call.bound)
        if not places or watch.decisive(now, others, tracer.written) or watch.incidental(others):
            return False
        self.wanted |= {place.name: place for place in places}
        return first and not now.traced

    def _tracer(
        self,
        watch: Watch,
        objects: list[tuple[str, Any]],
        call: Call,
        known: list[tuple[Segment, Any]],
        environment: Environment,
        resumes: str | None,
    ) -> Tracer:
        tapes = dispatch.state.tapes

        # Loops are found among the guards, while nothing outside changes.
        given = [obj for _, obj in objects]
        if (owner := getattr(self.function, "__self__", None)) is not None:
            given.append(owner)
        questions = Questions(
            _run.__code__, given, lambda: watch.untouched(tracer.written), native=not tapes
        )
        tracer = Tracer(
            self.name,
            call.leaves,
            known,
            environment,
            fullgraph=self.fullgraph,
            first=not len(self.traces) and not self._made_variables and not known,
            run=functools.partial(run_under, tapes) if tapes else Segment.run,
            tapes=tapes,
            planner=self.planner,
            same=self.same,
            resumes=resumes,
            questions=questions,
            outside=frozenset(id(binding.holder) for binding in watch.bindings),
            tells=watch.tells_identity,
            called_back=watch.called_back,
            meddling=watch.meddling,
        )
        return tracer

    def _take(
        self,
        concrete: ConcreteFunction,
        tracer: Tracer,
        now: Reached,
        known: list[tuple[Segment, Any]],
    ) -> None:
        """Let a trace have what was traced."""
        concrete.depend(tracer.unknowns.conditions)
        if not known or known[0][0] is concrete.root:
            if tracer.graft():
                self.shortcuts.forget((concrete,))
        concrete.layout_matters |= tracer.layout_matters
        concrete.root = tracer.root
        # As the function left it: what it fills while it is traced is not a change from outside.
        concrete.read |= tracer.contents_read(now.arrays)
        concrete.bindings = (*now.bindings, *concrete.read.values())
        self._made_variables |= tracer.made_variables
        concrete.traces += 1  # at last: what was found in the tree before is looked for anew

    def _tell(
        self,
        concrete: ConcreteFunction,
        tracer: Tracer,
        incidental: Callable[[], Effect | None],
        resumes: str | None,
    ) -> None:
        """Warn of what is not as the user may expect it."""
        if tracer.entangled:
            report.warn_eager(self.name, "this time", tracer.gave_up)
        elif tracer.gave_up is not None and resumes is None:
            self.fall_back(concrete, tracer.gave_up, silent=bool(self.wanted))
        elif not (tracer.made_variables or self.wanted or "effect" in self.warned):
            if (effect := incidental()) is not None:
                self.warned.add("effect")
                report.warn_of_effect(self.name, effect)

    def allow_no_variables(self) -> None:
        """Take the first trace for one that has been: Variables are made by now."""
        self._made_variables = True

    def run_eagerly(self, call: Call, tree: Any) -> Any:
        """Call the function as plain Python."""
        return run_plainly(self.function, call.bound, call.leaves, tree)

    def fall_back(
        self, concrete: ConcreteFunction, why: EagerFrom, *, silent: bool = False
    ) -> None:
        """Run this signature eagerly from the next call on, and say so once."""
        concrete.fallback = why
        self.shortcuts.forget((concrete,))
        if not silent:
            report.warn_eager(self.name, "from now on", why)


def _holds(leaf: Any, key: Any) -> bool:
    """Tell whether an argument that is known by its value may hold what changes: a class does."""
    return isinstance(key, Literal) and not isinstance(leaf, PYTHON_SCALARS)


def _sizes(call: Call) -> Sizes:
    return tuple([getattr(leaf, "shape", None) for leaf in call.leaves])


def _after_trace(contents: Any) -> Any:
    """Return what a container holds with the numbers for which something stood in the trace."""
    if Number not in map(type, containers.leaves_of(contents)):
        return contents
    return containers.map_leaves(dispatch.after_trace, contents)


def _kept_outside(returned: Any, now: Reached) -> dict[int, Kept]:
    """Return what stands for containers that something outside holds too, by their identity."""
    holders = [binding.holder for binding in now.bindings]
    # Of one whose numbers are carried there is but a Space.
    outside = {id(x.fields if type(x) is Space else x) for x in holders}
    found: dict[int, Kept] = {}

    def note(x: Any) -> None:
        if containers.held_by(x) is None or any(map(_is_of_trace, containers.leaves_of(x))):
            return
        if id(x) in outside or (hasattr(x, "__dict__") and id(vars(x)) in outside):
            found[id(x)] = Kept(x)

    containers.visit(note, [returned])
    return found


def _is_of_trace(x: Any) -> bool:
    return type(x) in (Number, Unknown) or (type(x) is Tensor and type(x._data) is Symbol)


def _apart(tracer: Tracer, returned: Any, call: Call, handed: dict[int, Any]) -> Any:
    """Return what was returned with the objects in it taken apart; eager where they cannot be."""
    given = set(map(id, call.leaves))
    try:
        if tracer.open:
            marked = tracer.filled.marked(returned, handed)
            return taken_apart(marked, lambda x: id(x) in given or tracer.reaches(x))
    except Sealed as sealed:
        tracer.give_up(str(sealed), None)
    settle((*containers.leaves_of(returned), *call.leaves))
    if not handed:
        return returned
    return containers.map_items(lambda x: handed.get(id(x), x), returned, handed)


def _run(
    subject: Subject,
    tracer: Tracer,
    watch: Watch,
    growth: Growth,
    concrete: ConcreteFunction,
    call: Call,
    *,
    first: bool,
) -> tuple[Result, Reached]:
    """Run the function on traced values; return its result, and what it saw of the world."""
    function, carrying = subject.function, subject.carrying
    signature = concrete.signature
    values = containers.unflatten(signature.tree, traced_leaves(tracer, call.leaves, signature))
    if signature.same:
        values = joined(values, signature.same)
    traced = inspect.BoundArguments(
        call.bound.signature, OrderedDict(zip(call.bound.arguments, values, strict=True))
    )
    copies = Copies(values)
    # `tapes=()`: tapes around the call see the segments, not what happens inside them.
    with tracer.garbage, dispatch.scope(recorder=tracer, tapes=()):
        tracer.garbage.enter_context(garbage_kept())
        try:
            inserts = (where_only_called if watch.alone else wherever_named)(watch.builtins)
            stand_ins = stood_in(watch.bindings, inserts)
            with watch.calls(), threads_noticed(), stand_ins as stands:
                for array in watch.unwatched(stands):
                    tracer.note_read(array)
                try:
                    returned = function(*traced.args, **traced.kwargs)
                finally:
                    tracer.counters.unlock()
            if Symbol in map(type, containers.leaves_of(returned)):
                raise TraceError(
                    f"{tracer.name} returns what np.ma.getdata gave: {TAKEN_BY_MASKED}"
                )
            changed = watch.changes()
            ints_left((*changed.made, *changed.replaced))
            now = watch.after()
            if tracer.open:
                effect = watch.decisive(now, changed, tracer.written)
                effect = effect or watch.restless(changed, growth, _sizes(call))
                if not subject.fullgraph:
                    effect = effect or watch.remembered_tensor(now)
                if effect is None and carrying is not None:
                    effect = watch.incidental(changed)
                if effect is not None:
                    carried = subject.may_carry(watch, now, changed, tracer, call, first=first)
                    if not carried:
                        tracer.give_up(effect.why, effect.line)
            handed = copies.handed_on(returned) | tracer.ranges.told(returned)
            changes = copies.changes(handed)
            warn_of_other_names(watch.bindings, changes, call.given)
            handed = _kept_outside(returned, now) | handed
            if changes:
                returned = (returned, *(contents for _, contents in changes))
            returned = _apart(tracer, returned, call, handed)
        except (Unstable, Failed):
            raise  # what this trace holds was committed by the segments run before
        except BaseException as error:
            now = watch.after()
            changes = copies.changes()
            told = any(type(x) in (Tensor, Number) for x in error.args)
            if isinstance(error, TypeError) and tracer.has_numbers and not changes:
                if tracer.nothing_done() and watch.untouched(tracer.written):
                    if carrying is not None:
                        carrying.give_back(call.bound)
                    raise NumberRefused(error) from error
            kept = bool(changes or now.traced or told or carrying)
            tracer.flush(kept=kept and isinstance(error, Exception))
            error.args = tuple(map(dispatch.after_trace, error.args))
            left = watch.changes()
            ints_left((*left.made, *left.replaced))
            numbers_left((*left.made, *left.replaced))
            if carrying is not None:
                settle_numbers(carrying.of_call(call.bound))
            deliver([(i, _after_trace(contents)) for i, contents in changes], call.given)
            raise
        return tracer.finish(returned, tuple(number for number, _ in changes)), now
