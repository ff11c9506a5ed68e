"""Define-and-run style, a thin layer over FuncGraph and Plan: ``hb.Graph`` and its ``run``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.autodiff.tape import GradientTape
from hybrid.core import containers, dispatch, formula
from hybrid.core.conditions import Unknowns
from hybrid.core.formula import Formula, Input, inputs_of
from hybrid.core.graph import FuncGraph, Value
from hybrid.core.layout import contiguous
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Op
from hybrid.core.source import located, user_line
from hybrid.core.spec import TensorSpec, casts
from hybrid.core.storage import layout_through
from hybrid.core.substitute import specialise, substitute, unknowns_in
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Array, Tensor, wrap
from hybrid.core.unknown import Unknown, entered
from hybrid.core.variable import Variable
from hybrid.dtypes import SUPPORTED, is_inexact
from hybrid.errors import DTypeError, GraphError, ShapeError, TraceError
from hybrid.trace.passes import dead_code
from hybrid.trace.recorder import GraphRecorder
from hybrid.trace.sized import Sized
from hybrid.trace.sources import Derived, contents

# What unknown sizes are while a graph is defined. All the same: sizes that have to agree then do.
_HINT = 11


class _Recorder(GraphRecorder):
    """Records ops for a Graph; Variables are read at each run."""

    _unknown_value = "a Tensor of an hb.Graph, which has no value before run() fetches it"
    home = "an hb.Graph: give it to run(), or use it inside as_default()"

    def __init__(self) -> None:
        super().__init__()
        self.unknowns = Unknowns()
        self.draws: dict[int, tuple[Variable, Tensor]] = {}
        self._derived: dict[Formula, Derived] = {}

    def is_view(self, op: Op, source: Tensor, attrs: Attrs, made: Tensor) -> bool:
        """Tell whether eager code would get a view here; by the hints, without a condition."""
        alias, hints = source._alias, self.unknowns.hints
        base = alias.storage.base if alias is not None else source._data
        chain = (*(alias.chain if alias is not None else ()), (op, attrs))
        sized = tuple((step, substitute(dict(its), hints)) for step, its in chain)
        return layout_through(sized, contiguous(substitute(base.shape, hints))) is not None

    def number(self, x: Unknown) -> Any:
        """Return the weak Tensor that stands for a number which follows from open sizes."""
        source = self._derived.get(x.formula)
        if source is None:
            source = self._derived[x.formula] = Derived(x.formula, formula.read(x.formula))
        kind = dtypes.int64 if isinstance(x.hint, int) else dtypes.float64
        return self.tensor(self.capture(source, TensorSpec((), kind, weak=True)), user_line())

    def read_variable(self, variable: Variable) -> Tensor:
        """Return what stands for the contents at the time of a run."""
        if id(variable) in self.draws:
            return self.draws[id(variable)][1]
        known = self.captures.get(id(variable))
        value = known[1] if known else self.capture(variable, variable.spec)
        return self.tensor(value, user_line())

    def assign_variable(self, variable: Variable, value: Any) -> None:
        """Note the next state of a generator of random numbers; refuse anything else."""
        tensor = dispatch.resolve(value)
        maker = next((n for n in reversed(self.nodes) if tensor._data.value in n.outputs), None)
        if maker is None or maker.op.family != "random":
            raise TraceError(
                located(
                    f"assign: {variable.name or 'a Variable'} cannot be assigned while a Graph is "
                    "defined; fetch the new value with run() and assign it then"
                )
            )
        self.draws[id(variable)] = variable, tensor


class Graph:
    """A computation that is defined first and run later, as often as wanted.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> import hybrid as hb
    >>> graph = hb.Graph()
    >>> with graph.as_default():
    ...     x = graph.placeholder(hb.float32, (None,))
    ...     z = hb.sum(2 * x)
    ...     (g,) = graph.gradients(z, [x])
    >>> graph.run([z, g], {x: [1.0, 2.0, 3.0]})
    [Tensor(12., dtype=float32), Tensor([2., 2., 2.], dtype=float32)]
    """

    def __init__(self, name: str = "graph") -> None:
        self.name = name
        self._recorder = _Recorder()
        self._tape = GradientTape(persistent=True)
        self._placeholders: list[tuple[str, Tensor, Value]] = []
        self._plans: dict[Any, _Fetch] = {}

    # --- defining ---------------------------------------------------------------------------------

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """Record the ops inside the block in this graph; nothing is computed."""
        if dispatch.state.recorder is not None:
            raise GraphError(
                located("Graph: another graph or a compiled function is being recorded")
            )
        with dispatch.scope(recorder=self._recorder, tapes=(self._tape,)):
            yield self

    def placeholder(self, dtype: Any, shape: Any = (), name: str | None = None) -> Tensor:
        """Return a Tensor whose contents each run is fed.

        Parameters
        ----------
        dtype : dtype
        shape : tuple of int or None
            None leaves a size open; it may differ from run to run.
        name : str, optional
        """
        number = len(self._placeholders)
        name = name or f"placeholder {number}"
        if np.dtype(dtype) not in SUPPORTED:
            raise DTypeError(located(f"placeholder: dtype {dtype} is not supported"))
        sizes = (shape,) if isinstance(shape, int) or shape is None else tuple(shape)
        known: Any = tuple(
            entered(self._recorder.unknowns, Input(f"n{number}_{axis}", number, axis), _HINT)
            if n is None
            else n
            for axis, n in enumerate(sizes)
        )
        tensor = self._recorder.parameter(TensorSpec(known, np.dtype(dtype)))
        self._placeholders.append((name, tensor, tensor._data.value))
        if is_inexact(tensor.dtype):
            with self._inside():
                self._tape.watch(tensor)
        return tensor

    def gradients(self, ys: Any, xs: Any, grad_ys: Any = None) -> Any:
        """Add to the graph the gradients of the sum of `ys`.

        Parameters
        ----------
        ys : Tensor or nested container
        xs : Tensor, Variable or nested container of them
            Of this graph.
        grad_ys : like `ys`, optional
            The gradient by each of `ys`; ones where left out.

        Returns
        -------
        like `xs`
            None where no y depends on an x.
        """
        with self._inside():
            return self._tape.gradient(ys, xs, grad_ys)

    def _inside(self) -> Any:
        return dispatch.scope(recorder=self._recorder, tapes=())

    # --- running ----------------------------------------------------------------------------------

    def run(self, fetches: Any, feed_dict: Mapping[Tensor, Any] | None = None) -> Any:
        """Compute some Tensors of the graph, and only what they need.

        Parameters
        ----------
        fetches : Tensor, Variable or nested container of them
        feed_dict : mapping from placeholder to array-like, optional

        Returns
        -------
        like `fetches`

        Raises
        ------
        GraphError
            If a placeholder that is needed is not fed, or a Tensor is not of this graph.
        ShapeError, DTypeError
            If what is fed does not fit its placeholder, or sizes do not fit together.
        """
        leaves, tree = containers.flatten(fetches)
        wanted = tuple(self._operand(x) for x in leaves)
        fed = self._fed(feed_dict or {})
        fetch = self._plans.get(wanted)
        if fetch is None:
            fetch = self._plans[wanted] = self._prune(wanted)
        found = fetch.run(fed)
        return containers.unflatten(tree, [wrap(x) for x in found])

    def _operand(self, x: Any) -> Value:
        with self._inside():
            if isinstance(x, Variable):
                return self._recorder.lift(x.read())
            if type(x) is not Tensor or type(x._data) is not Symbol:
                raise GraphError(located(f"run: {x!r} is not a Tensor of the graph {self.name}"))
            if x._data.recorder is not self._recorder:
                raise GraphError(located(f"run: {x!r} belongs to another graph"))
            return self._recorder.lift(x)

    def _fed(self, feed: Mapping[Tensor, Any]) -> list[Array | None]:
        """Return what each placeholder is fed, in the order of the placeholders."""
        places = {id(t): i for i, (_, t, _) in enumerate(self._placeholders)}
        fed: list[Array | None] = [None] * len(places)
        for key, given in feed.items():
            if id(key) not in places:
                raise GraphError(located(f"run: {key!r} in feed_dict is no placeholder"))
            name, tensor, _ = self._placeholders[places[id(key)]]
            fed[places[id(key)]] = _fitting(name, tensor.spec, given)
        return fed

    def _prune(self, wanted: tuple[Value, ...]) -> _Fetch:
        recorder = self._recorder
        whole = FuncGraph(self.name, (), (), tuple(recorder.nodes), wanted)
        used = {x for n in dead_code.run(whole).nodes for x in n.inputs}
        # A generator moves on where numbers of it are drawn.
        drawn = [d for d in recorder.draws.values() if recorder.captures[id(d[0])][1] in used]
        moved = [(variable, recorder.lift(tensor)) for variable, tensor in drawn]
        graph = replace(whole, outputs=(*wanted, *(value for _, value in moved)))
        nodes = dead_code.run(graph).nodes
        used = {x for n in nodes for x in n.inputs} | set(graph.outputs)
        inputs = [i for i, (_, _, value) in enumerate(self._placeholders) if value in used]
        captures = [(s, v) for s, v in recorder.captures.values() if v in used]
        pruned = replace(
            graph,
            inputs=tuple(self._placeholders[i][2] for i in inputs),
            captures=tuple(v for _, v in captures),
            nodes=nodes,
        )
        names = tuple(name for name, _, _ in self._placeholders)
        known = self._recorder.unknowns.conditions
        conditions = [c for c in known if {i.leaf for i in inputs_of(c.formula)} <= {*inputs}]
        sources = tuple(s for s, _ in captures)
        return _Fetch(pruned, names, tuple(inputs), sources, tuple(v for v, _ in moved), conditions)


class _Fetch:
    """What a choice of Tensors needs: a graph of its own, and its Plans for sizes."""

    def __init__(
        self,
        graph: FuncGraph,
        names: tuple[str, ...],
        inputs: tuple[int, ...],
        sources: tuple[Any, ...],
        moved: tuple[Variable, ...],
        conditions: list[Any],
    ) -> None:
        self.graph, self.names, self.inputs = graph, names, inputs
        self.sources, self.moved, self.conditions = sources, moved, conditions
        self.unknown = sorted(unknowns_in(graph), key=lambda i: (i.leaf, i.axis or 0))
        self.sized: dict[tuple[int, ...], Sized] = {}

    def run(self, fed: list[Array | None]) -> tuple[Array, ...]:
        """Return the contents of the fetched Tensors."""
        for i in self.inputs:
            if fed[i] is None:
                raise GraphError(located(f"run: {self.names[i]} is needed and is not fed"))
        for condition in self.conditions:
            if not condition.holds(fed):
                raise ShapeError(
                    located(f"run: the sizes that are fed do not fit: {self._told(condition)}")
                )
        arrays = [fed[i] for i in self.inputs]
        arrays += [contents(source, fed) for source in self.sources]
        found = self._for_sizes(fed).plan_for(arrays).run(*arrays)
        count = len(found) - len(self.moved)
        for variable, state in zip(self.moved, found[count:], strict=True):
            variable.assign(wrap(state))
        return found[:count]

    def _for_sizes(self, fed: list[Any]) -> Sized:
        sizes = tuple(fed[i.leaf].shape[i.axis] for i in self.unknown)
        if sizes not in self.sized:
            values = dict(zip(self.unknown, sizes, strict=True))
            self.sized[sizes] = Sized(
                specialise(self.graph, values) if values else self.graph, None
            )
        return self.sized[sizes]

    def _told(self, condition: Any) -> str:
        def spell(i: Input) -> str:
            return f"{self.names[i.leaf]}.shape[{i.axis}]"

        text: str = condition.text(spell)
        return f"the graph was defined for {text}"


def _fitting(name: str, spec: TensorSpec, given: Any) -> Array:
    array = np.asarray(asarray(given).numpy())
    wanted = tuple(None if isinstance(n, Unknown) else n for n in _sizes(spec))
    pairs = zip(wanted, array.shape)
    if array.ndim != spec.ndim or any(n is not None and n != m for n, m in pairs):
        raise ShapeError(
            located(f"run: {name} takes shape {wanted}, what is fed has {array.shape}")
        )
    scalar = isinstance(given, int | float | complex | list)
    if array.dtype != spec.dtype:
        own = TensorSpec(array.shape, array.dtype, weak=scalar)
        if not casts(own, spec.dtype) and not (scalar and array.dtype.kind in "biu"):
            raise DTypeError(
                located(f"run: {name} takes {spec.dtype.name}, what is fed is {array.dtype.name}")
            )
        array = array.astype(spec.dtype)
    return array


def _sizes(spec: TensorSpec) -> tuple[Any, ...]:
    return spec.shape
