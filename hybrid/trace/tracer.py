"""The tracer: runs the user's function once and cuts its trace into segments.

While Python runs, each op becomes a node. Where Python asks for a concrete value, the nodes so
far become a segment that is compiled and run at once; Python goes on with the value it gets. So the
first call of a path is computed by the very segments that later calls replay. Where a path leaves a
known tree at a guard, the known segments are not run again: the function is re-run on traced values
to get Python to the same place, and the segments it passes are checked against the known ones.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any, cast

import numpy as np

from hybrid.autodiff.joining import hand_over, joined
from hybrid.core import containers, dispatch
from hybrid.core.asking import asked, name_of
from hybrid.core.graph import FuncGraph, Value, acts, format_graph, has_effects
from hybrid.core.op import Attrs, Op
from hybrid.core.places import DeviceArray
from hybrid.core.source import SourceLine, user_line
from hybrid.core.spec import TensorSpec
from hybrid.core.storage import Chain
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Array, Tensor, wrap
from hybrid.core.tracelog import counted, listened, note, timed
from hybrid.core.unknown import settled
from hybrid.core.watched import plain
from hybrid.errors import TraceError
from hybrid.trace.background import Planner
from hybrid.trace.known import known_value
from hybrid.trace.outside import OutsideRecorder
from hybrid.trace.recorder import Untraceable
from hybrid.trace.repeats import Questions
from hybrid.trace.returned import capture_results, local_arrays, result_leaf, shared_storages
from hybrid.trace.segment import (
    Environment,
    Failed,
    Fixed,
    FromEnvironment,
    Leaf,
    Local,
    Result,
    Runner,
    Segment,
    SharedView,
    Write,
    contents,
)

MAX_DEPTH = 128


class Unstable(BaseException):  # no `except Exception` of the user's may catch it
    """A path that was traced again and did not repeat itself."""


class EagerFrom:
    """Why and where a trace gave up and went on eagerly."""

    def __init__(self, why: str, line: SourceLine | None) -> None:
        self.why = why
        self.line = line

    def __str__(self) -> str:
        where = f" at {self.line.describe()}" if self.line else ""
        return f"{self.why}{where}"


class Tracer(OutsideRecorder):
    """Traces one call.

    Parameters
    ----------
    name : str
        The name of the function.
    arguments : sequence
        The flattened arguments as the caller gave them.
    known : list of (Segment, value)
        Segments that this call has run already, with the values met at their guards.
    environment : list
        What those segments computed; the array leaves of the arguments to begin with.
    fullgraph : bool
        Raise instead of making a second segment or going on eagerly.
    first : bool
        No trace of the function exists: it may make Variables.
    run : callable
        ``run(segment, environment, arguments)``: plainly, or under the tapes around the call.
    tapes : tuple
        The tapes around the call.
    resumes : str, optional
        Why to go on eagerly where the segments end that have run already.
    questions : Questions, optional
        Finds loops among the guards.

    Attributes
    ----------
    passed : list of (Segment, value)
        The segments that have run by now, with the values met at their guards.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[Any],
        known: list[tuple[Segment, Any]],
        environment: Environment,
        *,
        fullgraph: bool,
        first: bool,
        run: Runner,
        tapes: tuple[Any, ...],
        planner: Planner | None = None,
        resumes: str | None = None,
        questions: Questions | None = None,
    ) -> None:
        super().__init__(name, arguments, first=first)
        self._planner = planner
        self._run = run
        self.around = tapes
        self.environment = environment
        self.fullgraph = fullgraph
        self.decides = not fullgraph
        self.harmless: set[Any] = set()  # arithmetic of numbers that did not raise
        self.root: Segment | None = known[0][0] if known else None
        self._known = list(known)
        self._resumes = resumes
        self._failed: Failed | None = None
        self._decisions = 0
        self._questions = questions
        self.acted = False
        self._index: dict[Value, int] = {}
        self._seen_captures = 0
        self._size = 0
        self.passed: list[tuple[Segment, Any]] = []
        self._grafts: list[tuple[Segment, Any, Segment]] = []
        self.garbage = ExitStack()  # kept until tracing ends

    def argument(self, leaf: int, spec: TensorSpec) -> Tensor:
        """Return the Tensor that stands for an argument, the next in the environment."""
        tensor = super().argument(leaf, spec)
        self._enter(tensor._data.value)
        return tensor

    # --- what acts, and what is written -----------------------------------------------------------

    def before_effects(self, op: Op, attrs: Attrs) -> None:
        """Let an op that acts share its segment with nothing that is written or may fail.

        So what has failed can be done again: nobody outside has noticed it.
        """
        if acts(op, attrs):
            if self.dirty() or any(n.op.may_fail and not acts(n.op, n.attrs) for n in self.nodes):
                self._commit()
            self.acted = True
        elif self.acted and op.may_fail:
            self._commit()

    def assign_variable(self, variable: Any, value: Any) -> None:
        """Replace the contents of a Variable."""
        if self.acted:
            self._commit()
        if self.open:
            super().assign_variable(variable, value)
        else:
            variable.assign(value)

    def before_write(self, target: Tensor) -> None:
        """Look at what is written."""
        if self.acted:
            self._commit()
        super().before_write(target)

    def _commit(self) -> None:
        """End a segment: one that writes does not act, so that an error can be traced back."""
        if self.open:
            self._cut([])

    def _enter(self, value: Value) -> None:
        self._index[value] = self._size
        self._size += 1

    def initial_value(self, tensor: Tensor) -> Tensor:
        """Return concrete contents for a Variable that is made in the trace."""
        if type(tensor._data) is not Symbol:
            return tensor
        value = self.value_of(tensor)
        self._cut([value])
        return wrap(self.environment[self._index[value]])

    # --- guards -----------------------------------------------------------------------------------

    def concretize(self, symbol: Symbol, kind: type) -> Any:
        """Return the value that Python asked for; the nodes so far become a segment."""
        if symbol.array is not None:
            return kind(symbol.array)
        if not self.open or symbol.recorder is not self:
            raise dispatch.leaked(symbol)
        known = known_value(self.nodes, symbol.value, self.made_arrays())
        if known is not None:
            return kind(known)
        if self.fullgraph:
            raise TraceError(
                dispatch.located(
                    f"{self.name}: fullgraph=True, but Python asks for {asked(kind)}; use "
                    "hb.where, or drop fullgraph"
                )
            )
        self._decisions += 1
        if self._decisions > MAX_DEPTH:
            why = f"more than {MAX_DEPTH} decisions of Python on traced values in one call"
            self.give_up(why)
            return kind(self.environment[self._index[symbol.value]])
        return self._cut([symbol.value], guard=kind)

    def materialize(self, tensor: Tensor, why: str) -> Array:
        """Return the contents of `tensor`: end tracing, and go on eagerly in the same place.

        What depends on nothing is known; then tracing goes on.
        """
        symbol = tensor._data
        if symbol.array is not None:
            if not symbol.spec.weak:
                tensor._data = symbol.array
            return cast(Array, symbol.array)
        if not self.open or symbol.recorder is not self:
            raise dispatch.leaked(symbol)
        known = known_value(self.nodes, self.value_of(tensor), self.made_arrays())
        if known is not None:
            return known
        self.give_up(f"{why} needs a concrete value")
        data = tensor._data
        return cast(Array, data.array if type(data) is Symbol else data)

    # --- segments ---------------------------------------------------------------------------------

    def _cut(self, extra: list[Value], guard: type | None = None) -> Any:
        """End a segment that others follow: run it, and return its guard's value."""
        self._refuse_to_go_on()
        segment = self._segment(extra, guard)
        if self._known:
            segment, value = self._check_known(segment)
        else:
            self._attach(segment)
            with self._noting_failure():
                self._execute(segment)
                value = self._answered(segment, extra) if guard else None
            if guard and listened():
                note("guard", f"{name_of(guard)} is {value!r}", user_line())
        self.passed.append((segment, value))
        self.nodes = []
        self.acted = False
        if self._resumes is not None and not self._known:
            why, self._resumes = self._resumes, None
            self.give_up(why)
        return value

    def _answered(self, segment: Segment, extra: list[Value]) -> Any:
        """Return the value of a guard; where the loop of it is known, once that has run."""
        value = segment.guard_value(self.environment)
        if self._questions is not None and type(value) is bool:
            segment.repeat = self._questions.repeat(self, segment, extra[0], value, self._index)
            if segment.repeat is not None and listened():
                note("guard", f"a loop while bool is {value!r}", user_line())
        return segment.decide(self.environment, self.arguments)

    def _segment(self, extra: list[Value], guard: type | None, result: Any = ...) -> Segment:
        new_captures = list(self.captures.values())[self._seen_captures :]
        self._seen_captures = len(self.captures)
        for _, value in new_captures:
            self._enter(value)
        writes = self.pending_writes()
        outputs = self._outputs(extra, result, len(writes))
        written = [value for _, value, _ in writes]
        parameters = self._parameters([*written, *outputs])
        before = dict(self._index)
        for value in outputs:
            self._enter(value)
        places: list[Write] = []
        for target, _, rebind in writes:
            # A fresh buffer for each write: the world outside must not share it with a result.
            places.append(Write(target, self._size, rebind))
            self._size += 1
        new = {value for _, value in new_captures}
        depth = len(self.passed)
        graph = FuncGraph(
            f"{self.name}.{depth}" if depth else self.name,
            tuple(v for v in parameters if v not in new),
            tuple(v for v in parameters if v in new),
            tuple(self.nodes),
            (*outputs, *written),
        )
        return Segment(
            graph,
            tuple(before[v] for v in graph.parameters),
            tuple(source for source, _ in new_captures),
            tuple(places),
            (guard, self._index[extra[0]]) if guard else None,
            planner=self._planner,
        )

    def _outputs(self, extra: list[Value], result: Any, written: int) -> list[Value]:
        """Return what a segment hands on: `result`, or all that something still refers to.

        Reference cycles keep more alive in one trace than in another, until the garbage collector
        comes by. So a segment that is known already hands on what it did when it was traced first.
        """
        if result is not ...:
            return self._new(extra, result)
        alive = self._new(extra, self.live_values())
        if not self._known:
            return alive
        before = self._outputs_of_known(written)
        if not before.keys() >= set(alive):
            gc.collect()
            alive = self._new(extra, self.live_values())
        return list(before) if before.keys() >= set(alive) else alive

    def _new(self, *values: list[Value]) -> list[Value]:
        return list(dict.fromkeys(v for v in chain(*values) if v not in self._index))

    def _outputs_of_known(self, written: int) -> dict[Value, None]:
        """Return what the known segment of these nodes hands on, but for what it writes."""
        graph = self._known[0][0].graph
        pairs = zip(graph.nodes, self.nodes, strict=False)
        now = {a: b for old, new in pairs for a, b in zip(old.outputs, new.outputs, strict=False)}
        handed_on = graph.outputs[: len(graph.outputs) - written]
        return {now[x]: None for x in handed_on if isinstance(x, Value) and x in now}

    def _parameters(self, results: list[Value]) -> list[Value]:
        """Return the values from before this segment that it uses; the first takes all inputs."""
        used = {x for node in self.nodes for x in node.inputs if isinstance(x, Value)}
        used.update(results)
        first = {value for _, _, value in self.inputs} if not self.passed else set()
        return [v for v in self._index if v in used or v in first]

    def _attach(self, segment: Segment) -> None:
        if self.passed:
            self._grafts.append((*self.passed[-1], segment))
        else:
            self.root = segment

    def graft(self) -> bool:
        """Let replays find what was traced; the conditions for it must be in force by now.

        Returns
        -------
        bool
            Whether others had to go: see :meth:`Following.add`.
        """
        ended = False
        for parent, value, segment in reversed(self._grafts):
            ended |= parent.children.add(value, segment)
        return ended

    def _check_known(self, segment: Segment) -> tuple[Segment, Any]:
        known, value = self._known.pop(0)
        same = format_graph(known.graph, lines=False) == format_graph(segment.graph, lines=False)
        if not same or known.guard != segment.guard:
            raise Unstable
        self.root = self.root or known
        return known, value

    @property
    def written(self) -> list[Any]:
        """What the segments of this call have written to in place."""
        targets = [w.target for segment, _ in self.passed for w in segment.writes]
        return [self.arguments[x] if isinstance(x, int) else x for x in targets]

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """Let an error of a Plan know what ran before, and the trace that it is over."""
        try:
            yield
        except Failed as failed:
            failed.path = list(self.passed)
            self._failed = failed
            raise

    def _refuse_to_go_on(self) -> None:
        """Raise once more what only an ``except:`` of the user's can have caught."""
        if self._failed is not None:
            raise self._failed

    def _execute(self, segment: Segment) -> None:
        """Run a segment on what was captured as it was when the function first used it."""
        graph = segment.graph
        with timed("segment", f"{graph.name}: {counted(len(graph.nodes), 'node')}"):
            self._run(segment, self.environment, self.arguments, self._fetch)
        for write in segment.writes:
            if id(write.target) in self.expected:
                self.expected[id(write.target)] = np.array(write.target._data)

    def _fetch(self, source: Any, arguments: Sequence[Any]) -> Any:
        first = self.first_contents.get(id(source))
        return contents(source, arguments) if first is None else first

    # --- the end ----------------------------------------------------------------------------------

    def finish(self, returned: Any, changed: tuple[int, ...] = ()) -> Result:
        """End the trace: the last segment computes what the function returned.

        Parameters
        ----------
        returned : object
        changed : tuple of int
            Where containers were changed: see :class:`Result`.

        Returns
        -------
        Result
            To be built outside the trace.
        """
        self._refuse_to_go_on()
        leaves, tree = containers.flatten(returned)
        leaves = [plain(x) for x in leaves]
        if not self.open:
            given = {id(tensor): self.arguments[leaf] for leaf, tensor, _ in self.inputs}
            given |= {id(shadow): source for source, shadow, _ in self.shadows.values()}
            found = [given[id(x)] if id(x) in given else self._concrete_leaf(x) for x in leaves]
            return Result(tree, tuple(map(Fixed, found)), changed)
        if self._known:
            raise Unstable
        if self._questions is not None:
            self._questions.forget()
        capture_results(self, leaves)
        path = [segment for segment, _ in self.passed]
        local = local_arrays(self, path, self.environment, returned, leaves)
        wanted: list[Value] = []
        shared = shared_storages(leaves)
        placed = [
            result_leaf(self, x, leaves[:i], shared, wanted, local) for i, x in enumerate(leaves)
        ]
        segment = self._segment([], None, wanted)
        made = [self._placed(x) for x in placed]
        segment.result = Result(tree, tuple(made), changed)
        self._attach(segment)
        with self._noting_failure():
            self._execute(segment)
        self.passed.append((segment, None))
        self._make_local(local, set(wanted))
        self.open = False
        result: Result = segment.sized(self.arguments).result
        return result

    def _make_local(self, local: dict[int, Value], wanted: set[Value]) -> None:
        """Let later calls begin with the first contents of the function's own arrays."""
        if not local:
            return
        bases = {self._index[value] for value in wanted}
        for segment, _ in self.passed:
            segment.captured = tuple(
                Local(self.first_contents[id(s)].copy(), self._index[local[id(s)]] in bases)
                if id(s) in local
                else s
                for s in segment.captured
            )
            segment.writes = tuple(w for w in segment.writes if id(w.target) not in local)

    def _placed(self, x: Value | tuple[Value, Chain, bool] | Leaf) -> Leaf:
        if isinstance(x, tuple):
            return SharedView(self._index[x[0]], x[1], x[2])
        return FromEnvironment(self._index[x], x.spec.weak) if isinstance(x, Value) else x

    def _concrete_leaf(self, x: Any) -> Any:
        if type(x) is Tensor and type(x._data) is Symbol and x._data.array is None:
            raise dispatch.leaked(x._data)
        return settled(dispatch.after_trace(x))

    def abandon(self, error: Untraceable) -> None:
        """Go on eagerly where the body of a loop or a branch cannot be traced."""
        if self.fullgraph and error.__cause__ is not None:
            raise error.__cause__
        if self.open:
            self.give_up(error.why, error.line or user_line())
        else:  # it has given up already, inside of the body
            self._leave()

    def give_up(self, why: str, line: Any = ...) -> None:
        """Run what was recorded and give every live Tensor its contents: eager from here on."""
        line = user_line() if line is ... else line
        recorder = dispatch.state.recorder
        if recorder is not None and recorder.trace is not self:
            raise Untraceable(why, line)  # inside a body, which the code around it runs eagerly
        if self.fullgraph:
            where = f"\n  at {line.describe()}" if line else ""
            raise TraceError(f"{self.name}: fullgraph=True, but {why}{where}")
        with dispatch.scope(recorder=self, tapes=()):  # not that of a vmap
            self._settle()
        self.gave_up = EagerFrom(why, line)
        note("eager", why, line)
        self._leave()

    def _settle(self) -> None:
        """Run what was recorded, and give every live Tensor its contents."""
        for tensor in self.live_tensors():
            dispatch.refresh(tensor)
        self._cut([])
        for symbol in self.live_symbols():
            place = self._index.get(symbol.value)
            if place is not None:
                found = self.environment[place]
                data = found._data if type(found) is Tensor else found
                contents: Any = data if isinstance(data, DeviceArray) else np.asarray(data)
                symbol.array = contents
        hand_over(self.live_tensors(), self._became)
        inside = {id(tensor): tensor._node for tensor in self.live_tensors()}
        for tensor in self.live_tensors():
            data = tensor._data
            if type(data) is Symbol and data.array is not None:
                self._make_eager(tensor, data)
        with dispatch.scope(recorder=None, tapes=self.around):
            self.reattach(inside)
        self.open = self.unknowns.open = False

    def _became(self, symbol: Symbol) -> Tensor | None:
        """Return the Tensor of a value that was computed when the trace gave up."""
        place = self._index.get(symbol.value) if symbol.recorder is self else None
        found = None if place is None else self.environment[place]
        return found if type(found) is Tensor else None

    def _leave(self) -> None:
        """Let the tapes around the call see what happens from here on."""
        self.garbage.close()
        state = dispatch.state
        if state.recorder is self:  # a vmap finds out by itself
            state.update(None, () if state.silent else (*self.around, *state.tapes))

    def _make_eager(self, tensor: Tensor, symbol: Symbol) -> None:
        array = symbol.array
        assert array is not None
        if symbol.spec.weak:
            return  # a Python scalar must not become an array, which promotes otherwise
        found = self.environment[self._index[symbol.value]]
        if type(found) is Tensor:  # with what the tapes around the call know of it
            tensor._node = joined(tensor._node, found._node)
        alias = tensor._alias
        if alias is None:
            tensor._data = array
            return
        storage = alias.storage
        if type(storage.base) is Symbol:
            assert storage.base.array is not None
            became = self._became(storage.base)
            if became is not None:
                storage.node = joined(storage.node, became._node)
            storage.base = storage.base.array
        data = storage.base
        for op, attrs in alias.chain:
            data = op.eager(np, data, **attrs)
        tensor._data = data

    def close(self) -> None:
        """Let go of everything: what outlives the trace must not keep the arguments alive."""
        self.open = self.unknowns.open = False
        self.arguments = ()
        self.environment = []
        self._questions = None
        self._known = []
        self.inputs = []
        self.variables = {}
        self.shadows = {}
        self._tensors = []

    def flush(self, *, kept: bool) -> None:
        """Commit the writes made before an exception, as eager code would have.

        Parameters
        ----------
        kept : bool
            Whether something may keep Tensors of the trace, which then need their contents.
        """
        if not self.open:
            return
        try:
            if kept and not self._known:
                self._settle()
                return
            acts = self.dirty() or any(map(has_effects, self.nodes))
            if acts and not self._known:
                segment = self._segment([], None, [])
                with self._noting_failure():
                    self._execute(segment)
        finally:
            self.open = False
