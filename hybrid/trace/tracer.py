"""The tracer of one call: where Python's questions cut it, where it gives up, and how it ends."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property
from typing import Any, cast

import numpy as np

from hybrid import dtypes
from hybrid.autodiff.joining import hand_over, joined
from hybrid.core import containers, dispatch, placed
from hybrid.core.asking import Exact, asked
from hybrid.core.graph import Value, acts, has_effects, may_fail
from hybrid.core.number import Number, in_graph
from hybrid.core.op import Attrs, Op
from hybrid.core.places import DeviceArray
from hybrid.core.refusals import leaked
from hybrid.core.source import SourceLine, located, user_line, wants_array
from hybrid.core.storage import Chain
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Array, Tensor, wrap
from hybrid.core.tracelog import note
from hybrid.core.unknown import settled
from hybrid.core.watched import plain
from hybrid.errors import TraceError
from hybrid.trace.background import Planner
from hybrid.trace.cutting import Cutter, Unstable
from hybrid.trace.handing import Handing
from hybrid.trace.known import known_value
from hybrid.trace.repeats import Questions
from hybrid.trace.results import Fixed, FromEnvironment, Kept, Leaf, Result, SharedView
from hybrid.trace.returned import (
    capture_results,
    keep_apart,
    local_arrays,
    result_leaf,
    shared_storages,
)
from hybrid.trace.same_graphs import SameGraphs
from hybrid.trace.segment import Runner, Segment
from hybrid.trace.sized import Sized
from hybrid.trace.sources import Environment, Local
from hybrid.trace.straight import Untraceable

MAX_DEPTH = 128


class EagerFrom:
    """Why and where a trace gave up and went on eagerly."""

    def __init__(self, why: str, line: SourceLine | None) -> None:
        self.why = why
        self.line = line

    def __str__(self) -> str:
        where = f" at {self.line.describe()}" if self.line else ""
        return f"{self.why}{where}"


class Tracer(Cutter):
    """Traces one call.

    Parameters
    ----------
    name, arguments, known, environment, first, run, planner, same, questions
        See :class:`~hybrid.trace.cutting.Cutter`.
    fullgraph : bool
        Raise instead of making a second segment or going on eagerly.
    tapes : tuple
        The tapes around the call.
    resumes : str, optional
        Why to go on eagerly where the segments end that have run already.
    outside : frozenset of int
        Containers that the function reaches, by identity: what changes in them is noticed after
        the trace.
    tells : callable
        Whether code that the function reaches may tell ``True`` from what stands for it.
    called_back : callable
        Gives what is around each callback.
    meddling : callable
        Names what a callback may change that the function reads itself, if there is something.
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
        same: SameGraphs[Sized] | None = None,
        resumes: str | None = None,
        questions: Questions,
        outside: frozenset[int] = frozenset(),
        tells: Callable[[], bool] = bool,
        called_back: Callable[[], AbstractContextManager[None]] = nullcontext,
        meddling: Callable[[Any], str | None] = lambda function: None,
    ) -> None:
        super().__init__(
            name,
            arguments,
            known,
            environment,
            first=first,
            run=run,
            planner=planner,
            same=same,
            questions=questions,
        )
        self.around = tapes
        self._outside = outside
        self._tells = tells
        self._called_back = called_back
        self._meddling = meddling
        self._streams = (sys.stdout, sys.stderr)
        self._filters, self._shows = warnings.filters, warnings.showwarning
        self.fullgraph = fullgraph
        self.decides = not fullgraph
        self.harmless: set[Any] = set()  # arithmetic of numbers that did not raise
        self._resumes = resumes
        self._decisions = 0
        self.garbage = ExitStack()  # kept until tracing ends

    @cached_property
    def tells_identity(self) -> bool:  # type: ignore[override]
        """Whether code may tell a bool from what stands for it: asked where there is one."""
        return self._tells()

    # --- what acts, and what is written -----------------------------------------------------------

    def before_effects(self, op: Op, attrs: Attrs) -> None:
        """Let an op that acts share its segment with nothing that is written or may fail.

        So what has failed can be done again: nobody outside has noticed it.
        """
        if acts(op, attrs):
            if self.dirty() or any(
                may_fail(n.op, n.attrs) and not acts(n.op, n.attrs) for n in self.nodes
            ):
                self._commit()
            self.acted = True
        elif self.acted and may_fail(op, attrs):
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
        base = target._data if target._alias is None else target._alias.storage.base
        if type(base) is Symbol and self.filled.holds(base.value):
            self.give_up("an array is written that was put into a list or dict before")
            return
        super().before_write(target)

    def _commit(self) -> None:
        """End a segment: one that writes does not act, so that an error can be traced back."""
        if self.open:
            self._cut([])

    def initial_value(self, tensor: Tensor) -> Tensor:
        """Return concrete contents for a Variable that is made in the trace."""
        if type(tensor._data) is not Symbol:
            return tensor
        value = self.value_of(tensor)
        self._cut([value])
        return wrap(self.environment[self._index[value]])

    def _cut(self, extra: list[Value], guard: type | None = None) -> Any:
        """End a segment; go on eagerly from where one has failed that had run already."""
        value = super()._cut(extra, guard)
        if self.again and guard is not None:
            self._decisions -= 1  # a step of a loop
        if self._resumes is not None and not self._known and not self._replays:
            why, self._resumes = self._resumes, None
            self.give_up(why)
        return value

    # --- guards -----------------------------------------------------------------------------------

    def concretize(self, symbol: Symbol, kind: type) -> Any:
        """Return the value that Python asked for; the nodes so far become a segment."""
        if symbol.array is not None:
            return kind(symbol.array)
        if not self.open or symbol.recorder is not self:
            raise leaked(symbol)
        known = known_value(self.nodes, symbol.value, self.made_arrays())
        if known is not None:
            return kind(known)
        if self.fullgraph:
            raise TraceError(
                located(
                    f"{self.name}: fullgraph=True, but Python asks for {asked(kind)}; use "
                    "hb.where, or drop fullgraph"
                )
            )
        self._decisions += 1
        self.ranges.note_question(kind)
        if self._decisions > MAX_DEPTH:
            why = f"more than {MAX_DEPTH} decisions of Python on traced values in one call"
            self.give_up(why)
            return kind(self.environment[self._index[symbol.value]])
        value = self._cut([symbol.value], guard=kind)
        if kind is int and symbol.spec.weak:
            self.counters.settle()
        return value

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
            raise leaked(symbol)
        known = known_value(self.nodes, self.value_of(tensor), self.made_arrays())
        if known is not None:
            return known
        if symbol.spec.weak and symbol.spec.dtype == dtypes.float64 and self.counters.floats:
            return np.asarray(float(self.concretize(symbol, Exact)))
        self.give_up(f"{why or wants_array()} needs a concrete value")
        data = tensor._data
        return cast(Array, data.array if type(data) is Symbol else data)

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
        leaves = [in_graph(plain(x)) for x in leaves]
        for tensor in self.live_picked():  # which may end the trace
            if any(tensor is x for x in leaves):
                dispatch.refresh(tensor)
        if not self.open:
            given = {id(tensor): self.arguments[leaf] for leaf, tensor, _ in self.inputs}
            given |= {id(shadow): source for source, shadow, _ in self.shadows.values()}
            found = [given[id(x)] if id(x) in given else self._concrete_leaf(x) for x in leaves]
            return Result(tree, tuple(map(Fixed, found)), changed)
        if self._known or self._replays:
            raise Unstable
        self._questions.forget()
        self._visits.close()
        capture_results(self, leaves)
        path = [segment for segment, _ in self.passed]
        local = local_arrays(self, path, self.environment, returned, leaves)
        keep_apart(self, leaves)
        wanted: list[Value] = []
        shared = shared_storages(leaves) | self.filled.shown_by(leaves)
        placed = [
            result_leaf(self, x, leaves[:i], shared, wanted, local) for i, x in enumerate(leaves)
        ]
        wanted += self.filled.values()
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
            raise leaked(x._data)
        if type(x) is Kept:
            return x.container
        return settled(dispatch.after_trace(x))

    def reaches(self, holder: Any) -> bool:
        """Tell whether something outside of the call holds a container."""
        return id(holder) in self._outside

    def called_back(self) -> AbstractContextManager[None]:
        """Return what lets a callback's changes be none of the function's."""
        return self._called_back()

    def before_callback(self, function: Any) -> None:
        """Go on eagerly where a callback may change what the function reads as Python."""
        if self.open and (name := self._meddling(function)) is not None:
            self.give_up(f"a callback changes {name}, which the function reads itself")

    def stream(self, file: Any) -> str | None:
        """Return which stream a file was when the trace began: the function may have made it."""
        file = sys.stdout if file is None else file
        if file is self._streams[0]:
            return "stdout"
        return "stderr" if file is self._streams[1] else None

    def keyed(self, number: Number, value: int) -> None:
        """Note that what stands for an int may have become a key."""
        self.counters.keyed(number, value)

    def warns_as_around(self, kind: type) -> bool:
        """Tell whether warnings are filtered as when the trace began, and one is no error."""
        same = warnings.filters is self._filters and warnings.showwarning is self._shows
        raising = [of for action, _, of, *_ in warnings.filters if action == "error"]
        return same and not issubclass(kind, tuple(raising))

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
        self.counters.release()
        self.gave_up = EagerFrom(why, line)
        note("eager", why, line)
        self._leave()
        for tensor in self.live_picked():
            dispatch.refresh(tensor)

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
        handing = Handing(self._originals(), [source for source, _ in self.captures.values()])
        for tensor in self.live_tensors():
            data = tensor._data
            if type(data) is Symbol and data.array is not None:
                self._make_eager(tensor, data, handing)
        with dispatch.scope(recorder=None, tapes=self.around):
            self.reattach(inside)
            self.filled.restore(self.environment, self._index)
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

    def _make_eager(self, tensor: Tensor, symbol: Symbol, handing: Handing) -> None:
        array = symbol.array
        assert array is not None
        if symbol.spec.weak:
            return  # a Python scalar must not become an array, which promotes otherwise
        found = self.environment[self._index[symbol.value]]
        if type(found) is Tensor:  # with what the tapes around the call know of it
            tensor._node = joined(tensor._node, found._node)
        alias = tensor._alias
        if alias is None:
            tensor._data = handing.memory(tensor, array)
            return
        storage = alias.storage
        if type(storage.base) is Symbol:
            assert storage.base.array is not None
            became = self._became(storage.base)
            if became is not None:
                storage.node = joined(storage.node, became._node)
            storage.base = handing.memory(storage, storage.base.array)
        data = storage.base
        for op, attrs in alias.chain:
            data = placed.run(op, (data,), attrs)
        tensor._data = data

    @property
    def has_numbers(self) -> bool:
        """Whether stand-ins of Python numbers are about, which code in C may refuse."""
        return bool(self.unknowns.hints) or any(s.spec.weak for s in self.live_symbols())

    def nothing_done(self) -> bool:
        """Tell whether nobody outside can have noticed anything of this trace so far."""
        if not self.open or self._resumes or self.made_variables:
            return False
        if any(segment.acts for segment, _ in (*self._known, *self.passed)):
            return False
        return not (self.dirty() or any(map(has_effects, self.nodes)))

    def close(self) -> None:
        """Let go of everything: what outlives the trace must not keep the arguments alive."""
        self.open = self.unknowns.open = False
        self.arguments = ()
        self.environment = []
        self._walk = self.skips = None
        self.ranges.close()
        self._questions.close()
        self._visits.close()
        self.filled.close()
        self.counters.close()
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
            if self.broken:
                return
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
