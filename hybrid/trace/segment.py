"""Segments: the straight lines of code between guards, and the tree that they form.

A compiled function is a tree of segments. Running one fetches what it captures, runs its Plan, and
commits its writes; its guard's value then says which child comes next. All values that cross from
one segment to a later one live in one list, the environment of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core import formula
from hybrid.core.asking import Size, asked
from hybrid.core.conditions import Condition
from hybrid.core.formula import Input
from hybrid.core.graph import FuncGraph, acts
from hybrid.core.substitute import substitute, unknowns_in
from hybrid.core.tensor import Tensor
from hybrid.core.tracelog import counted
from hybrid.errors import OutOfMemoryError
from hybrid.records import dataclass
from hybrid.runtime.plan import Plan
from hybrid.trace.background import Planner
from hybrid.trace.following import MAX_WIDTH, Following
from hybrid.trace.meeting import At, Meeting, way_to
from hybrid.trace.results import Result
from hybrid.trace.same_graphs import SameGraphs
from hybrid.trace.sized import Sized
from hybrid.trace.sources import Environment, Fill, Write, commit, contents
from hybrid.trace.templates import Template, Templates

if TYPE_CHECKING:
    from hybrid.trace.cycles import Cycle
    from hybrid.trace.looping import Repeat

MAX_SIZES = 128  # for which a segment keeps its Plans
# Each size of a result is traced by itself, which takes milliseconds: a mask that selects another
# number at each call is not worth that, labels and the like have always the same.
MAX_RESULT_SIZES = 8

Runner = Callable[..., None]


class Failed(BaseException):  # no `except` of the user's may take it for the error itself
    """A Plan has raised an error, and nothing of its segment was committed.

    What the segment did is done again in Python then: there the error comes where and when eager
    code raises it, and the user's function may catch it.

    Attributes
    ----------
    error : Exception
    path : list of (Segment, value)
        What ran before, with the values met at the guards; the tracer fills it in.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
        self.path: list[tuple[Segment, Any]] = []


@dataclass(frozen=True, slots=True)
class Steps:
    """What decides what follows a loop: how many steps it took, and the answer after them."""

    answer: bool
    steps: int

    def __repr__(self) -> str:
        return f"{self.answer} after {counted(self.steps, 'more step')}"


@dataclass(eq=False, slots=True, weakref_slot=True)
class Segment:
    """A straight line of a compiled function.

    Attributes
    ----------
    graph : FuncGraph
        As traced; its parameters are found at `parameters` in the environment.
    captured : tuple
        Tensors and Variables whose contents join the environment before the run.
    writes : tuple of Write
    fills : tuple of Fill
    guard : (type, int), optional
        The kind of value that Python asked for, and where in the environment it is.
    children : Following
        The next segment for each value met at the guard.
    launchers : dict
        What was generated to call it, for each kind of arguments.
    raised : set
        Values at the guard after which the function raised an error of its own.
    result : Result, optional
        Of a last segment.
    planner : Planner, optional
        Makes its Plans in the background.
    replaced : mapping of int to int
        The parameter whose contents outside an output of the graph replaces.
    same : SameGraphs, optional
        Those of the function.
    fixed : frozenset of Condition
        Those that leave one size of an axis only.
    repeat : Repeat, optional
        A loop that goes on with its results, for one answer to the guard.
    called : (tuple of int, Template), optional
        Sizes that were called last by what needs no Plan of their own.
    result_is_sized : bool
        Whether the result depends on sizes beside those of arrays; known once `inputs` is.
    parent : (Segment, value), optional
        The one that it was traced after, with what its guard gave.
    meeting : Meeting, optional
        Where its guard was asked before.
    at : At, optional
        Its place in a loop.
    cycle : Cycle, optional
        Steps that go one way from its question back to it.
    counters : frozenset of str
        The variables that Python counts with no more after its guard.
    twin : Segment, optional
        The one whose Plans it shares, which does the same.
    turn : callable, optional
        What it does to the environment, written out, and whose question it asks.
    turns : dict
        All of those that do the same.
    next : dict
        What has followed by now, by the answer.
    """

    graph: FuncGraph
    parameters: tuple[int, ...]
    captured: tuple[Any, ...]
    writes: tuple[Write, ...] = ()
    fills: tuple[Fill, ...] = ()
    guard: tuple[type, int] | None = None
    result: Result | None = None
    planner: Planner | None = None
    replaced: Mapping[int, int] = field(default_factory=dict)
    same: SameGraphs[Sized] | None = None
    fixed: frozenset[Condition] = frozenset()
    repeat: Repeat | None = None
    parent: tuple[Segment, Any] | None = None
    meeting: Meeting | None = None
    at: At | None = None
    cycle: Cycle | None = None
    counters: frozenset[str] = frozenset()
    twin: Segment | None = None
    turn: tuple[Callable[[Environment], Any], Segment] | None = None
    turns: dict[Any, Callable[[Environment], Any]] = field(default_factory=dict)
    next: dict[bool, Segment] = field(default_factory=dict)
    raised: set[Any] = field(default_factory=set)
    children: Following[Segment] = field(default_factory=Following)
    launchers: dict[Any, FunctionType] = field(default_factory=dict)
    _sizes: dict[tuple[int, ...], Sized] = field(default_factory=dict)
    templates: Templates | None = None
    _inputs: tuple[Input, ...] | None = None
    called: tuple[tuple[int, ...], Template] | None = None
    result_is_sized: bool = False
    _redoable: bool | None = None
    _read: Callable[[Sequence[Any]], tuple[int, ...]] | None = None

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The unknown sizes that the Plan depends on."""
        if self._inputs is None:
            found = unknowns_in(self.graph)
            if self.result is not None:
                of_result = unknowns_in(self.result.leaves)
                found |= of_result
                self.result_is_sized = bool(of_result)
            inputs = tuple(sorted(found, key=lambda x: (x.leaf, x.axis or 0)))
            if found:
                fixed = {c for c in self.fixed if c.fixes in found}
                self.templates = Templates(self.graph, inputs, self.replaced, fixed)
            places = "".join(f"{x.place}, " for x in inputs)
            self._read = formula.reader([f"({places})"], "")
            self._inputs = inputs  # at last: another thread asks for it first
        return self._inputs

    def sized(self, arguments: Sequence[Any]) -> Sized:
        """Return the graph for the sizes of these arguments; those used last are kept."""
        self.called = None
        inputs = self.inputs
        assert self._read is not None
        return self._sized_for(self._read(arguments) if inputs else ())

    def _sized_for(self, key: tuple[int, ...]) -> Sized:
        found = self._sizes.pop(key, None) if self.inputs else self._sizes.get(key)
        if found is None:
            result = self.result_for(key)
            found = Sized(
                self.graph, result, self.planner, self.replaced, self.templates, key, self.same
            )
            while len(self._sizes) >= MAX_SIZES:
                self._sizes.pop(next(iter(self._sizes)), None)
        self._sizes[key] = found
        return found

    def result_for(self, key: tuple[int, ...]) -> Result | None:
        """Return how the return value is put together for these sizes, which `inputs` names."""
        if self.result is None or not self.result_is_sized:
            return self.result
        values = dict(zip(self.inputs, key, strict=True))
        leaves = tuple(substitute(leaf, values) for leaf in self.result.leaves)
        return replace(self.result, leaves=leaves)

    def share(self, twin: Segment) -> None:
        """Use the Plans of a segment that does the same."""
        self._inputs, self._read = twin.inputs, twin._read
        self.graph, self.templates, self._sizes = twin.graph, twin.templates, twin._sizes
        self.result_is_sized, self._redoable, self.twin = twin.result_is_sized, twin._redoable, twin
        self.turns = twin.turns

    def arrive(self, environment: Environment) -> Segment:
        """Return the segment at whose question a call is, once this one has run."""
        if self.meeting is not None:
            self.meeting.move(environment)
        return self.asks

    @property
    def asks(self) -> Segment:
        """The segment whose question it asks: the one that has asked it first, or itself."""
        return self if self.meeting is None else self.meeting.target or self

    @property
    def latest(self) -> Sized:
        """The graph for the sizes that were called last."""
        if self.called is not None:
            key, template = self.called
            self.called = None
            self._sized_for(key).plan_by(template)
        return next(reversed(self._sizes.values()))

    @property
    def optimized(self) -> FuncGraph:
        """The graph after all passes, for the sizes that were called last."""
        return self.latest.optimized

    @property
    def acts(self) -> bool:
        """Whether running it a second time would be noticed outside."""
        return bool(self.writes) or not self.redoable

    @property
    def redoable(self) -> bool:
        """Whether nobody outside notices a run that has come to an error."""
        if self._redoable is None:
            self._redoable = not any(acts(node.op, node.attrs) for node in self.graph.nodes)
        return self._redoable

    @property
    def plans(self) -> dict[Any, Plan]:
        """The Plans for the sizes that were called last, one for each layout of the arguments."""
        return self.latest.plans if self._sizes else {}

    def run(
        self,
        environment: Environment,
        arguments: Sequence[Any],
        fetch: Callable[[Any, Sequence[Any]], Any] | None = None,
    ) -> None:
        """Compute, and commit the writes; `fetch` gives contents other than the present ones."""
        environment.extend([(fetch or contents)(source, arguments) for source in self.captured])
        arrays = [environment[i] for i in self.parameters]
        run = self.sized(arguments).plan_for(arrays).run
        try:
            found = run(*arrays)
        except Exception as error:
            raise self.failure(error, environment) from error.__cause__
        environment.extend(found)
        self.commit(environment, arguments)

    def failure(self, error: Exception, environment: Environment) -> BaseException:
        """Return what to raise where the Plan has raised `error`.

        Parameters
        ----------
        error : Exception
        environment : list
            With what is captured, which is taken out again.
        """
        if not self.redoable or isinstance(error, OutOfMemoryError):
            return error  # what a Plan needs would not be less without it
        del environment[len(environment) - len(self.captured) :]
        return Failed(error)

    def commit(self, environment: Environment, arguments: Sequence[Any]) -> None:
        """Let the world outside see what was written, in program order; fill lists."""
        for write in self.writes:
            commit(write, environment, arguments)
        for fill in self.fills:
            fill.run(environment)

    def reason_for(self, value: Any) -> str:
        """Return why the function is traced on from the guard when it has a new value."""
        if self.guard is not None and self.guard[0] is Size:
            return f"the data select another number of elements, {value}"
        return f"a new value {value!r} at a decision of Python on a traced value"

    @property
    def unsettled(self) -> str:
        """Why not to go on tracing what follows the guard; empty where it is worth it."""
        if self.guard is None:
            return ""
        if self.guard[0] is Size:
            if len(self.children) + self.children.forgotten < MAX_RESULT_SIZES:
                return ""
            return (
                f"{asked(Size)} had {MAX_RESULT_SIZES} different numbers of them; hb.where keeps "
                "the choice in the graph"
            )
        if self.children.forgotten <= 2 * MAX_WIDTH:
            return ""
        return (
            f"Python asked for a traced value that took more than {3 * MAX_WIDTH} values; "
            "hb.cond, hb.switch and hb.while_loop keep it in the graph"
        )

    def guard_value(self, environment: Environment) -> Any:
        """Return the value that decides what comes next; None where nothing is to be decided."""
        if self.guard is None:
            return None
        kind, index = self.guard
        value = environment[index]
        return kind(value.numpy() if type(value) is Tensor else value)

    def decide(self, environment: Environment, arguments: Sequence[Any]) -> Any:
        """Return what decides what comes next, once the loop has run if there is one.

        Under tapes the loop is taken step by step.
        """
        repeat = self.repeat
        plain = self.guard is not None and type(environment[self.guard[1]]) is not Tensor
        if repeat is None:
            value = self.guard_value(environment)
            if self.cycle is not None and plain and value is self.cycle.answer:
                self.cycle.run(environment, arguments)
            return value
        steps = 0
        if plain and self.guard_value(environment) is repeat.answer:
            try:
                steps = repeat.run(environment, arguments)
            except OutOfMemoryError:
                raise
            except Exception as error:
                if repeat.bound is not None:
                    environment.append(0)
                failed = Failed(error)
                failed.path = [*way_to(self), (self, repeat.answer)]
                raise failed from error.__cause__
        if repeat.bound is not None:
            environment.append(np.asarray(steps))  # ops take it, too
        return self.way(environment)

    def way(self, environment: Environment) -> Any:
        """Return what decides what comes next, where the segment and its loop have run."""
        value = self.guard_value(environment)
        repeat = self.repeat
        if repeat is None or repeat.bound is None:
            return value
        steps = int(environment[repeat.results.stop])
        told = repeat.bound.visible or value is repeat.answer
        return Steps(value, steps) if steps and told else value
