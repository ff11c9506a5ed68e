"""The tracer: runs the user's function once and cuts its trace into segments.

While Python runs, each op becomes a node. Where Python asks for a concrete value, the nodes so
far become a segment that is compiled and run at once; Python goes on with the value it gets. So the
first call of a path is computed by the very segments that later calls replay. Where a path leaves a
known tree at a guard, the known segments are not run again: the function is re-run on traced values
to get Python to the same place, and the segments it passes are checked against the known ones.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.core import containers, dispatch
from hybrid.core.graph import FuncGraph, Value, format_graph
from hybrid.core.layout import Layout, contiguous
from hybrid.core.op import Attrs, Op
from hybrid.core.source import SourceLine, user_line
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.storage import Chain
from hybrid.core.tensor import Array, Symbol, Tensor, asarray, wrap
from hybrid.core.variable import Variable
from hybrid.dtypes import SUPPORTED
from hybrid.errors import TraceError
from hybrid.trace.recorder import GraphRecorder
from hybrid.trace.segment import (
    Environment,
    Fixed,
    FromArgument,
    FromEnvironment,
    Leaf,
    Local,
    Result,
    Runner,
    Same,
    Segment,
    SharedView,
    Write,
    contents,
    layout_of,
)
from hybrid.trace.sharing import memory_of, overlap, same_array

MAX_DEPTH = 128
MAX_WIDTH = 16


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


def _shared_storages(leaves: list[Any]) -> set[int]:
    """Return the Storages (by identity) of which several results are aliases."""
    tensors = {id(x): x for x in leaves if type(x) is Tensor and type(x._data) is Symbol}
    storages = [id(x._alias.storage) for x in tensors.values() if x._alias is not None]
    return {s for s in storages if storages.count(s) > 1}


def _bytes(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _turned(shape: Shape) -> Layout:
    """Return a layout in which the first axis is the contiguous one."""
    axes = tuple(reversed(range(len(shape))))
    return contiguous(shape[::-1]).transpose(axes)


def _aliases(a: Tensor, b: Tensor) -> bool:
    mine, its = a._alias, b._alias
    return a is b or (mine is not None and its is not None and mine.storage is its.storage)


class Tracer(GraphRecorder):
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
    ) -> None:
        super().__init__()
        self._run = run
        self._tapes = tapes
        self.name = name
        self.arguments = arguments
        self.environment = environment
        self.fullgraph = fullgraph
        self.first = first
        self.root: Segment | None = known[0][0] if known else None
        self.gave_up: EagerFrom | None = None
        self._known = list(known)
        self._depth = 0
        self._parent: tuple[Segment, Any] | None = None
        self._index: dict[Value, int] = {}
        self._seen_captures = 0
        self._size = 0
        self._inputs: list[tuple[int, Tensor, Value]] = []
        self._variables: dict[int, tuple[Variable, Tensor, Value, bool]] = {}
        self._made: list[Variable] = []
        self._overlaps: list[tuple[Tensor, Tensor]] = []
        self._first_contents: dict[int, Array] = {}
        self._expected: dict[int, Array] = {}
        self._layout_asked = False
        self.layout_matters = False
        self._path: list[Segment] = []
        self.entangled = False

    # --- arguments --------------------------------------------------------------------------------

    def argument(self, leaf: int, spec: TensorSpec) -> Tensor:
        """Return the Tensor that stands for an argument, the next in the environment."""
        tensor = self.parameter(spec)
        value = tensor._data.value
        self._note_overlaps(self.arguments[leaf], tensor, argument=True)
        self._inputs.append((leaf, tensor, value))
        self._enter(value)
        return tensor

    def _enter(self, value: Value) -> None:
        self._index[value] = self._size
        self._size += 1

    # --- memory that several arrays share ---------------------------------------------------------

    def _note_overlaps(self, source: Any, tensor: Tensor, *, argument: bool) -> None:
        """Remember which Tensors from outside share memory: the graph takes them for apart.

        The same array as two arguments is one Tensor in the trace.
        """
        for i, other, _ in self._inputs:
            known = self.arguments[i]
            if overlap(known, source) and not (argument and same_array(known, source)):
                self._overlaps.append((tensor, other))
        for known, other, _ in self._shadows.values():
            if other is not tensor and overlap(known, source):
                self._overlaps.append((tensor, other))

    def shadow(self, tensor: Tensor) -> Tensor:
        """Return what stands for a Tensor from outside; eager, if what it shares was written."""
        known = len(self._shadows)
        shadow = super().shadow(tensor)
        if len(self._shadows) > known:
            first = self._first_contents[id(tensor)] = np.array(tensor._data)
            self._expected[id(tensor)] = first
            self._note_overlaps(tensor, shadow, argument=False)
            written = [t for _, t, value in self._inputs if self._symbol_value(t) is not value]
            written += [
                t for _, t, value in self._shadows.values() if self._symbol_value(t) is not value
            ]
            if any(a is shadow and any(b is t for t in written) for a, b in self._overlaps):
                self._disentangle()
                return tensor
        elif self._changed_by_numpy(tensor, shadow):
            self._give_up("NumPy itself has changed an array that the function has used before")
            return tensor
        return shadow

    def _changed_by_numpy(self, tensor: Tensor, shadow: Tensor) -> bool:
        source = self._shadows[id(tensor._data)][0]
        expected = self._expected[id(source)]
        return not np.array_equal(_bytes(expected), _bytes(source._data))

    def base_layout(self, source: Tensor) -> Layout:
        """Return how the memory lies; that of an argument as it is in this call."""
        for leaf, tensor, _ in self._inputs:
            array = memory_of(self.arguments[leaf])
            if array is not None and _aliases(source, tensor):
                return layout_of(array)
        return super().base_layout(source)

    def is_view(self, op: Op, source: Tensor, attrs: Attrs) -> bool:
        """Tell whether eager code would get a view; note where the layout of an argument says."""
        mine = any(_aliases(source, tensor) for _, tensor, _ in self._inputs)
        if mine and op.view is not None and op.view(_turned(source.shape), **attrs) is None:
            self._layout_asked = True
        return super().is_view(op, source, attrs)

    def before_write(self, target: Tensor) -> None:
        """Go on eagerly before memory is written that another array shares."""
        # Only a write tells a view from a copy.
        self.layout_matters |= self._layout_asked
        if any(_aliases(target, t) for pair in self._overlaps for t in pair):
            self._disentangle()

    def _disentangle(self) -> None:
        self.entangled = True
        self._give_up("an array is written that shares memory with another one")

    # --- Variables --------------------------------------------------------------------------------

    def read_variable(self, variable: Variable) -> Tensor:
        """Return the traced contents of a Variable."""
        known = self._variables.get(id(variable))
        if known is not None:
            return known[1]
        value = self.capture(variable, variable.spec)
        tensor = self.tensor(value, user_line())
        self._variables[id(variable)] = variable, tensor, value, False
        return tensor

    def assign_variable(self, variable: Variable, value: Any) -> None:
        """Replace the traced contents of a Variable; the cell itself changes at the commit."""
        from hybrid.ops.movement import broadcast_to

        value = value if isinstance(value, Tensor) else asarray(value)
        variable.check(value.spec)
        if value.dtype != variable.dtype:
            value = value.astype(variable.dtype)
        if value.shape != variable.shape:
            value = broadcast_to(value, variable.shape)
        tensor = self.tensor(self._lift(value), user_line())
        tensor._node = value._node
        self._variables[id(variable)] = variable, tensor, tensor._data.value, True

    def created(self, variable: Variable) -> None:
        """Note a Variable that the function made."""
        if not self.first:
            raise TraceError(
                dispatch.located(
                    f"{self.name}: a Variable is made in a later trace; make it outside, or only "
                    "when it does not exist yet"
                )
            )
        self._made.append(variable)

    def initial_value(self, tensor: Tensor) -> Tensor:
        """Return concrete contents for a Variable that is made in the trace."""
        if type(tensor._data) is not Symbol:
            return tensor
        value = self._symbol_value(tensor)
        self._cut([value])
        return wrap(self.environment[self._index[value]])

    # --- guards -----------------------------------------------------------------------------------

    def concretize(self, symbol: Symbol, kind: type) -> Any:
        """Return the value that Python asked for; the nodes so far become a segment."""
        if not self.open or symbol.recorder is not self:
            raise dispatch.leaked(symbol)
        if self.fullgraph:
            raise TraceError(
                dispatch.located(
                    f"{self.name}: fullgraph=True, but Python asks for {kind.__name__}() of a "
                    "traced value; use hb.where, or drop fullgraph"
                )
            )
        if self._depth >= MAX_DEPTH:
            why = f"more than {MAX_DEPTH} decisions of Python on traced values in one call"
            self._give_up(why)
            assert symbol.array is not None
            return kind(symbol.array)
        return self._cut([symbol.value], guard=kind)

    def materialize(self, tensor: Tensor, why: str) -> None:
        """End tracing: run what was recorded and go on eagerly in the same place."""
        symbol = tensor._data
        if symbol.array is not None:
            tensor._data = symbol.array
            return
        if not self.open or symbol.recorder is not self:
            raise dispatch.leaked(symbol)
        self._symbol_value(tensor)
        self._give_up(f"{why} needs a concrete value")

    def _symbol_value(self, tensor: Tensor) -> Value:
        dispatch.refresh(tensor)
        value: Value = tensor._data.value
        return value

    # --- segments ---------------------------------------------------------------------------------

    def _cut(self, extra: list[Value], guard: type | None = None) -> Any:
        """End a segment that others follow: run it, and return its guard's value."""
        segment = self._segment(extra, guard)
        if self._known:
            segment, value = self._check_known(segment)
        else:
            self._attach(segment)
            self._execute(segment)
            value = segment.guard_value(self.environment) if guard else None
            self._path.append(segment)
        self._parent = segment, value
        self._depth += 1
        self.nodes = []
        return value

    def _segment(self, extra: list[Value], guard: type | None, result: Any = ...) -> Segment:
        new_captures = list(self.captures.values())[self._seen_captures :]
        self._seen_captures = len(self.captures)
        for _, value in new_captures:
            self._enter(value)
        writes = self._pending_writes()
        outputs = [v for v in (*extra, *self._live(result)) if v not in self._index]
        outputs = list(dict.fromkeys(outputs))
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
        graph = FuncGraph(
            self.name if self._depth == 0 else f"{self.name}.{self._depth}",
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
        )

    def _live(self, result: Any) -> list[Value]:
        return self.live_values() if result is ... else result

    def _parameters(self, results: list[Value]) -> list[Value]:
        """Return the values from before this segment that it uses; the first takes all inputs."""
        used = {x for node in self.nodes for x in node.inputs if isinstance(x, Value)}
        used.update(results)
        first = {value for _, _, value in self._inputs} if self._depth == 0 else set()
        return [v for v in self._index if v in used or v in first]

    def _pending_writes(self) -> list[tuple[Any, Value, bool]]:
        """Return what was written since the last segment: target, new value, whether to rebind."""
        writes: list[tuple[Any, Value, bool]] = []
        for i, (leaf, tensor, committed) in enumerate(self._inputs):
            value = self._symbol_value(tensor)
            if value is not committed:
                writes.append((leaf, value, False))
                self._inputs[i] = leaf, tensor, value
        for key, (variable, tensor, committed, assigned) in self._variables.items():
            value = self._symbol_value(tensor)
            if assigned or value is not committed:
                writes.append((variable, value, assigned))
                self._variables[key] = variable, tensor, value, False
        for key, (source, tensor, committed) in self._shadows.items():
            value = self._symbol_value(tensor)
            if value is not committed:
                writes.append((source, value, False))
                self._shadows[key] = source, tensor, value
        return writes

    def _attach(self, segment: Segment) -> None:
        if self._parent is None:
            self.root = segment
        else:
            parent, value = self._parent
            parent.children[value] = segment

    def _check_known(self, segment: Segment) -> tuple[Segment, Any]:
        known, value = self._known.pop(0)
        same = format_graph(known.graph, lines=False) == format_graph(segment.graph, lines=False)
        if not same or known.guard != segment.guard:
            raise Unstable
        self.root = self.root or known
        return known, value

    def _execute(self, segment: Segment) -> None:
        """Run a segment on what was captured as it was when the function first used it."""
        self._run(segment, self.environment, self.arguments, self._fetch)
        for write in segment.writes:
            if id(write.target) in self._expected:
                self._expected[id(write.target)] = np.array(write.target._data)

    def _fetch(self, source: Any) -> Any:
        first = self._first_contents.get(id(source))
        return contents(source) if first is None else first

    # --- the end ----------------------------------------------------------------------------------

    def finish(self, returned: Any) -> Result:
        """End the trace: the last segment computes what the function returned.

        Returns
        -------
        Result
            To be built outside the trace.
        """
        leaves, tree = containers.flatten(returned)
        if not self.open:
            return Result(tree, tuple(Fixed(self._concrete_leaf(x)) for x in leaves))
        if self._known:
            raise Unstable
        self._capture_results(leaves)
        local = self._local_arrays(returned, leaves)
        wanted: list[Value] = []
        shared = _shared_storages(leaves)
        plain = [
            self._result_leaf(x, leaves[:i], shared, wanted, local) for i, x in enumerate(leaves)
        ]
        segment = self._segment([], None, wanted)
        made = [self._placed(x) for x in plain]
        segment.result = Result(tree, tuple(made))
        self._attach(segment)
        self._execute(segment)
        self._path.append(segment)
        self._make_local(local, set(wanted))
        self.open = False
        return segment.result

    def _capture_results(self, leaves: list[Any]) -> None:
        """Capture what is returned as it is: it is from outside, or was made by the function."""
        for x in leaves:
            if type(x) is np.ndarray and x.dtype in SUPPORTED and x.dtype.isnative:
                self.shadow(asarray(x))
            elif type(x) is Tensor and type(x._data) is not Symbol:
                self.shadow(x)

    def _local_arrays(self, returned: Any, leaves: list[Any]) -> dict[int, Value]:
        """Return the captures that only this trace still knows: the function made them itself.

        What they are worth was taken when they were first used; the memory dies with this call.
        """
        found: dict[int, Value] = {}
        for source, tensor, _ in self._shadows.values():
            array = source._data
            # Captures, shadows and this frame (twice) know the Tensor, and the segments; so do the
            # leaves, and what they come from: containers, or the three frames that pass it on.
            known = 4 + sum(s is source for seg in self._path for s in seg.captured)
            known += sum(w.target is source for seg in self._path for w in seg.writes)
            known += 4 if returned is source else 2 * sum(x is source for x in leaves)
            # The Tensor and this frame know the array, and the environment.
            held = 3 + sum(x is array for x in self.environment)
            held += 4 if returned is array else 2 * sum(x is array for x in leaves)
            alone = sys.getrefcount(source) <= known and sys.getrefcount(array) <= held
            if alone and array.base is None and source._alias is None:
                found[id(source)] = self.captures[id(source)][1]
            del tensor
        return found

    def _make_local(self, local: dict[int, Value], wanted: set[Value]) -> None:
        """Let later calls begin with the first contents of the function's own arrays."""
        if not local:
            return
        bases = {self._index[value] for value in wanted}
        for segment in self._path:
            segment.captured = tuple(
                Local(self._first_contents[id(s)].copy(), self._index[local[id(s)]] in bases)
                if id(s) in local
                else s
                for s in segment.captured
            )
            segment.writes = tuple(w for w in segment.writes if id(w.target) not in local)

    def _placed(self, x: Value | tuple[Value, Chain] | Leaf) -> Leaf:
        if isinstance(x, tuple):
            return SharedView(self._index[x[0]], x[1])
        return FromEnvironment(self._index[x], x.spec.weak) if isinstance(x, Value) else x

    def _result_leaf(
        self,
        x: Any,
        earlier: list[Any],
        shared: set[int],
        wanted: list[Value],
        local: dict[int, Value],
    ) -> Value | tuple[Value, Chain] | Leaf:
        for j, other in enumerate(earlier):
            if other is x and isinstance(x, Tensor | np.ndarray):
                return Same(j)
        data = x._data if type(x) is Tensor else x
        known = self._shadows.get(id(data)) if type(data) is np.ndarray else None
        if known is not None and id(known[0]) in local:
            x = known[1]
        if type(x) is not Tensor or type(x._data) is not Symbol:
            return Fixed(x)
        for leaf, tensor, _ in self._inputs:
            if x is tensor:
                return FromArgument(leaf)
            mine, its = x._alias, tensor._alias
            if mine and its and mine.storage is its.storage and not its.chain:
                return FromArgument(leaf, mine.chain)
        for source, tensor, _ in self._shadows.values():
            if id(source) not in local:
                mine, its = x._alias, tensor._alias
                if x is tensor:
                    return Fixed(source)
                if mine and its and mine.storage is its.storage and not its.chain:
                    return Fixed(source, mine.chain)
        if x._alias is not None and id(x._alias.storage) in shared:
            value = x._alias.storage.base.value
            wanted.append(value)
            return value, x._alias.chain
        value = self._lift(x)
        wanted.append(value)
        return value

    def _concrete_leaf(self, x: Any) -> Any:
        if type(x) is Tensor and type(x._data) is Symbol:
            if x._data.array is None:
                raise dispatch.leaked(x._data)
            x._data = x._data.array
        return x

    def _give_up(self, why: str) -> None:
        """Run what was recorded and give every live Tensor its contents: eager from here on."""
        if self.fullgraph:
            raise TraceError(dispatch.located(f"{self.name}: fullgraph=True, but {why}"))
        self.gave_up = EagerFrom(why, user_line())
        for tensor in self._live_tensors():
            dispatch.refresh(tensor)
        self._cut([])
        for symbol in list(self._symbols):
            place = self._index.get(symbol.value)
            if place is not None:
                found = self.environment[place]
                symbol.array = found._data if type(found) is Tensor else np.asarray(found)
        for tensor in self._live_tensors():
            data = tensor._data
            if type(data) is Symbol and data.array is not None:
                self._make_eager(tensor, data)
        self._reattach()
        self.open = False
        state = dispatch.state
        state.update(None, (*self._tapes, *state.tapes))

    def _live_tensors(self) -> list[Tensor]:
        found = (ref() for ref in list(self._tensors.values()))
        return [t for t in found if t is not None]

    def _make_eager(self, tensor: Tensor, symbol: Symbol) -> None:
        array = symbol.array
        assert array is not None
        found = self.environment[self._index[symbol.value]]
        if tensor._node is None and type(found) is Tensor:
            tensor._node = found._node  # what the tapes around the call know of it
        alias = tensor._alias
        if alias is None:
            tensor._data = array
            return
        storage = alias.storage
        if type(storage.base) is Symbol:
            assert storage.base.array is not None
            storage.base = storage.base.array
        data = storage.base
        for op, attrs in alias.chain:
            data = op.eager(np, data, **attrs)
        tensor._data = data

    def _reattach(self) -> None:
        """Let arguments and Variables be themselves again, so that later writes reach them."""
        for leaf, tensor, _ in self._inputs:
            original = self.arguments[leaf]
            if isinstance(original, Tensor | np.ndarray):
                self._adopt(tensor, asarray(original)._data)
        for variable, tensor, _, _ in self._variables.values():
            self._adopt(tensor, contents(variable))
        for source, tensor, _ in self._shadows.values():
            self._adopt(tensor, source._data)

    def _adopt(self, tensor: Tensor, array: Any) -> None:
        tensor._data = array
        if tensor._alias is not None and not tensor._alias.chain:
            tensor._alias.storage.base = array
            for other in self._live_tensors():
                alias = other._alias
                if alias is not None and alias.storage is tensor._alias.storage and alias.chain:
                    data = array
                    for op, attrs in alias.chain:
                        data = op.eager(np, data, **attrs)
                    other._data = data

    def close(self) -> None:
        """Let go of everything: what outlives the trace must not keep the arguments alive."""
        self.open = False
        self.arguments = ()
        self.environment = []
        self._known = []
        self._inputs = []
        self._variables = {}
        self._shadows = {}
        self._tensors = {}

    @property
    def made_variables(self) -> bool:
        """Whether the function made Variables: its next call is another one then."""
        return bool(self._made)

    def flush(self) -> None:
        """Commit the writes made before an exception, as eager code would have."""
        if not self.open:
            return
        try:
            if self._dirty() and not self._known:
                segment = self._segment([], None, [])
                self._execute(segment)
        finally:
            self.open = False

    def _dirty(self) -> list[Any]:
        inputs = [t for _, t, value in self._inputs if self._symbol_value(t) is not value]
        variables = [
            v
            for v, t, value, assigned in self._variables.values()
            if assigned or self._symbol_value(t) is not value
        ]
        outside = [
            t for _, t, value in self._shadows.values() if self._symbol_value(t) is not value
        ]
        return [*inputs, *variables, *outside]
