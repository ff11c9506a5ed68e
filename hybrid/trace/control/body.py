"""The body of a loop or a branch, traced into a FuncGraph of its own.

What a body uses from outside becomes further operands of the node: Tensors of the trace around it,
captured Tensors, Variables. What it writes to them becomes further results, which the code around
the node assigns or writes in turn, so that effects are by reference and in order.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from hybrid.autodiff.record import depends
from hybrid.core import dispatch
from hybrid.core.aliases import aliases, own_alias
from hybrid.core.asking import asked
from hybrid.core.graph import FuncGraph, Operand, Value
from hybrid.core.placed import run
from hybrid.core.refusals import leaked
from hybrid.core.source import user_line, wants_array
from hybrid.core.spec import TensorSpec
from hybrid.core.storage import Alias
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.unknown import Unknown
from hybrid.core.variable import Variable
from hybrid.ops.assignment import setitem
from hybrid.ops.elementwise.copies import stop_gradient
from hybrid.ops.inplace import join_watched, write, write_traced
from hybrid.records import dataclass
from hybrid.trace.recorder import GraphRecorder
from hybrid.trace.straight import Untraceable
from hybrid.trace.unread import with_unread

_MOST = 1 << 24
"""Elements of memory that are counted to see whether two views of it overlap."""


def _overlap(one: Alias, other: Alias) -> bool:
    """Tell whether two views of the same memory may have an element in common."""
    base = one.storage.base
    if any(type(n) is not int for n in base.shape) or prod(base.shape) > _MOST:
        return True
    return bool(np.isin(_elements(one), _elements(other)).any())


def _elements(alias: Alias) -> Any:
    """Return the numbers of the elements of the base that a view shows."""
    shape = alias.storage.base.shape
    numbers: Any = np.arange(prod(shape)).reshape(shape)
    for op, attrs in alias.chain:
        numbers = run(op, (numbers,), attrs)
    return numbers


@dataclass(eq=False, slots=True)
class Cell:
    """Something from outside that a body refers to.

    Attributes
    ----------
    outside : Tensor
        Of the trace around the body; of a Tensor that is a view, the base.
    variable : Variable, optional
        Whose contents it is.
    tensor : Tensor
        What stands for it in the body, at present.
    value : Value
        The parameter of the body.
    assigned : bool
        The body assigns the Variable.
    after : Operand, optional
        The contents at the end of the body.
    """

    outside: Tensor
    variable: Variable | None
    tensor: Tensor
    value: Value
    assigned: bool = False
    after: Operand | None = None

    @property
    def written(self) -> bool:
        """Whether the body changes it."""
        return self.assigned or self.after is not self.value

    def commit(self, result: Tensor) -> None:
        """Let the code around the node see what was written."""
        if self.variable is not None and self.assigned:
            self.variable.assign(result)
        else:
            write(self.outside, result)


class BodyRecorder(GraphRecorder):
    """Records a body inside another trace.

    Parameters
    ----------
    construct : str
        ``scan``, ``cond``, ...
    outer : GraphRecorder
    tapes : tuple
        The tapes of the code around the body; they see the node, not what happens in it.
    """

    def __init__(self, construct: str, outer: GraphRecorder, tapes: tuple[Any, ...]) -> None:
        super().__init__()
        self.construct = construct
        self.outer = outer
        self.tapes = tapes
        self.cells: dict[int, Cell] = {}
        self.inputs: list[Value] = []
        self.results: tuple[Operand, ...] = ()
        self._views: dict[int, tuple[Tensor, Tensor]] = {}
        self._ties: list[tuple[weakref.ref[Tensor], Tensor, Any]] = []
        self._handed: tuple[tuple[Tensor, Any], ...] = ()

    def parameters(self, specs: Sequence[TensorSpec]) -> list[Tensor]:
        """Return Tensors that stand for what the construct hands to the body."""
        tensors = [self.parameter(spec) for spec in specs]
        self.inputs += [t._data.value for t in tensors]
        return tensors

    def returns(self, results: Sequence[Tensor]) -> None:
        """Note what the body returns."""
        self.results = tuple(map(self.operand, results))

    # --- what is outside --------------------------------------------------------------------------

    def shadow(self, tensor: Tensor) -> Tensor:
        """Return what stands in the body for a Tensor from outside."""
        with dispatch.scope(recorder=self.outer, tapes=self.tapes):
            found = dispatch.resolve(tensor)
        self.check_open()
        known = self._views.get(id(found))
        if known is not None:
            dispatch.refresh(known[1])
            return known[1]
        alias = own_alias(found)
        if alias.storage.watched and self.tapes:
            self._check_watched(found, alias)
        view = self._cell(alias).tensor
        with dispatch.scope(silent=False):  # it is used again where gradients are recorded
            for op, attrs in alias.chain:
                view = dispatch.bind(op, (view,), attrs)
        view._node = found._node  # a tape that is closed by now may be asked inside, as vjp's is
        self._views[id(found)] = found, view
        return view

    def reaches(self, holder: Any) -> bool:
        """Tell whether something outside of the call holds a container."""
        around: GraphRecorder | None = self.outer.trace  # None in a vmap of eager code
        return around is None or around.reaches(holder)

    def note_read(self, array: Any) -> None:
        """Let the trace around depend on the contents of an array."""
        self.outer.note_read(array)

    def note_bare(self, tensor: Tensor) -> None:
        """Let the trace around know of the memory of an ndarray."""
        self.outer.note_bare(tensor)

    def written_since(self, tensor: Tensor) -> Tensor | None:
        """Stop where Python reads an array outside that the trace has written to."""
        written = [x for x in self.cells.values() if self.operand(x.tensor) is not x.value]
        here = self._cell_of(self.shadow(tensor)) if written else None
        if here in written or self.outer.written_since(tensor) is not None:
            raise self.untraceable("Python reads an array that was written before")
        return None

    def kind_of(self, tensor: Tensor) -> type | None:
        """Return the class that what is from outside has in eager code; the carry is a Tensor."""
        data = tensor._data
        mine, outside = tensor, tensor
        if type(data) is Symbol and data.recorder is self:
            shown = self._shown_by(tensor)
            cell = self._cell_of(tensor)
            if self.is_own(tensor) or (cell is not None and cell.variable is not None):
                return Tensor
            if shown is not None:
                mine, outside = shown
            elif not tensor.ndim or data.value in self.inputs:
                return Tensor
        if type(outside) is not Tensor:
            found: type | None = np.ndarray
        else:
            with dispatch.scope(recorder=self.outer, tapes=self.tapes):
                found = self.outer.kind_of(outside)
        return None if found is not Tensor and self._own and mine is not tensor else found

    def hand(self, parameters: Sequence[Tensor], given: Sequence[Any]) -> None:
        """Note what a body is given that runs once: its parameters are no carries."""
        self._handed = tuple(zip(parameters, given, strict=True))

    def _shown_by(self, tensor: Tensor) -> tuple[Tensor, Any] | None:
        """Return what stands for something outside and is `tensor`, or what this is a view of."""
        cell = self._cell_of(tensor)
        if cell is not None:
            return (cell.tensor, cell.outside) if tensor.ndim else None
        for parameter, given in self._handed:
            if parameter is tensor or (tensor.ndim and aliases(parameter, tensor)):
                return parameter, given
        return None

    def note_converted(self, tensor: Tensor) -> None:
        """Let the trace around know of what ``hb.asarray`` gave as it was."""
        outside = (self._shown_by(tensor) or (tensor, tensor))[1]
        if type(outside) is Tensor:
            self.outer.note_converted(outside)

    def number(self, x: Unknown) -> Any:
        """Return what stands for an unknown number, which the trace around knows."""
        found = self.outer.number(x)
        return self.shadow(found) if type(found) is Tensor else found

    def _cell(self, alias: Alias) -> Cell:
        storage = alias.storage
        if id(storage) not in self.cells:
            before = storage.node, storage.watched
            if storage.watched and self.tapes:  # the body is given the base, not the views
                with dispatch.scope(recorder=self.outer, tapes=self.tapes):
                    join_watched(storage)
            base = wrap(storage.base)
            base._node = storage.node
            storage.node, storage.watched = before  # who uses the base itself uses no view
            base._alias = Alias(storage, storage.version, ())
            self._enter(id(storage), base, None)
        return self.cells[id(storage)]

    def _check_watched(self, found: Tensor, alias: Alias) -> None:
        """Stop where memory has two histories: a watched view of it, and what is no part of that.

        A body is given memory once, so that gradients by the one would be those by both.
        """
        numbers = {n for tape in self.tapes for n in (tape._id, ~tape._id)}
        for view in (ref() for ref in alias.storage.watched):
            if view is None or view is found or view._node is None:
                continue
            if numbers.isdisjoint(view._node.tapes):  # of a tape that has ended
                continue
            if not depends(found._node, view._node) and _overlap(alias, own_alias(view)):
                raise self.untraceable(
                    "a tape watches an array that is also used under another name, without the "
                    "tape; use a copy of it there"
                )

    def _enter(self, key: int, outside: Tensor, variable: Variable | None) -> Cell:
        value = Value(outside.spec)
        cell = Cell(outside, variable, self.tensor(value, user_line()), value)
        cell.tensor._data.given = type(outside._data) is Symbol and outside._data.given
        alias = outside._alias
        if alias is not None and alias.storage.order is not None:
            self.lie(cell.tensor, alias.storage.order)
        self.cells[key] = cell
        return cell

    def _variable(self, variable: Variable) -> Cell:
        cell = self.cells.get(id(variable))
        if cell is None:
            with dispatch.scope(recorder=self.outer, tapes=self.tapes):
                outside = variable.read()
            cell = self._enter(id(variable), outside, variable)
        return cell

    def read_variable(self, variable: Variable) -> Tensor:
        """Return the contents of a Variable at this point of the body."""
        return self._variable(variable).tensor

    def assign_variable(self, variable: Variable, value: Any) -> None:
        """Replace the contents of a Variable for the rest of the body, and for the next run."""
        cell = self._variable(variable)
        cell.tensor = self.contents_for(variable, value)
        cell.assigned = True

    def before_write(self, target: Tensor) -> None:
        """Let the trace around look first at what is written."""
        super().before_write(target)
        cell = self._cell_of(target)
        if cell is not None:
            with dispatch.scope(recorder=self.outer, tapes=self.tapes):
                self.outer.before_write(cell.outside)
            self.check_open()

    def note_order(self) -> None:
        """Let the trace around depend on how its arguments lie."""
        self.outer.note_order()

    def tie(self, part: Tensor, base: Tensor, index: Any) -> None:
        """Let ``part = base[index]``, which traced ints make, follow `base`, and `base` it."""
        self._ties.append((weakref.ref(part), base, index))

    def after_write(self, target: Tensor) -> None:
        """Bring what is tied to `target` in step."""
        self._ties = [tie for tie in self._ties if tie[0]() is not None]
        for ref, base, index in self._ties:
            part = ref()
            if part is not None and aliases(part, target):
                with self._untied():
                    dispatch.refresh(part)
                    setitem(base, index, part)
                target = base
        for ref, base, index in self._ties:
            part = ref()
            if part is not None and part is not target and aliases(base, target):
                with self._untied():
                    write_traced(part, base[index])

    @contextmanager
    def _untied(self) -> Iterator[None]:
        ties, self._ties = self._ties, []
        try:
            yield
        finally:
            self._ties = ties

    def _cell_of(self, tensor: Tensor) -> Cell | None:
        storage = tensor._alias.storage if tensor._alias is not None else None
        for cell in self.cells.values():
            mine = cell.tensor._alias
            if cell.tensor is tensor or (mine is not None and mine.storage is storage):
                return cell
        return None

    def close(self) -> None:
        """End the trace, and let go of what stands in it for the outside.

        A Tensor of the body knows its recorder: through these the values from outside would live
        until the garbage collector comes by, and the segment around would hand them on for nothing.
        """
        self.open = False
        self._views.clear()
        self._ties.clear()
        self._handed = ()
        for cell in self.cells.values():
            cell.tensor = cell.outside

    # --- what only eager code can do --------------------------------------------------------------

    def check_open(self) -> None:
        """Stop where the trace around has ended meanwhile."""
        if not self.outer.open:
            raise self.untraceable("something in it ends the trace")
        if isinstance(self.outer, BodyRecorder):
            self.outer.check_open()

    def untraceable(self, why: str) -> Untraceable:
        """Return what stops the trace of the body."""
        return Untraceable(f"the body of hb.{self.construct} cannot be traced: {why}", user_line())

    def stream(self, file: Any) -> str:
        """Stop where a body prints to a file, which Python would do once."""
        trace: Any = self.outer.trace
        found: str | None = None if trace is None else trace.stream(file)
        if found is None:
            raise self.untraceable("it prints to a file")
        return found

    def before_callback(self, function: Any) -> None:
        """Stop where a callback may change what the function reads as Python."""
        trace: Any = self.outer.trace
        if trace is not None:
            trace.before_callback(function)

    def abandon(self, error: Untraceable) -> None:
        """Leave it to the outermost trace, which alone can go on eagerly."""
        raise error

    def concretize(self, symbol: Symbol, kind: type) -> Any:
        """Stop: a body has no values."""
        if not self.open:
            raise leaked(symbol)
        hint = "pass it in from outside" if kind is int else "use hb.cond or hb.where"
        raise self.untraceable(f"Python asks for {asked(kind)}; {hint}")

    def materialize(self, tensor: Tensor, why: str) -> Any:
        """Stop: a body has no values."""
        if not self.open:
            raise leaked(tensor._data)
        raise self.untraceable(f"{why or wants_array()} needs a concrete value")

    def created(self, variable: Any) -> None:
        """Stop: each run of the body would make another Variable."""
        raise self.untraceable("it makes a Variable")

    def initial_value(self, tensor: Tensor) -> Tensor:
        """Stop: each run of the body would make another Variable."""
        raise self.untraceable("it makes a Variable")


@contextmanager
def tracing(construct: str) -> Iterator[BodyRecorder]:
    """Trace a body within a ``with`` block, inside the trace that is under way.

    Where the body raises, eager code says how far it comes before: what it has written by then
    stays, and a branch that is not taken raises nothing.
    """
    state = dispatch.state
    recorder = BodyRecorder(construct, state.recorder, state.tapes)
    try:
        with dispatch.scope(recorder=recorder, tapes=(), silent=state.silent):
            yield recorder
            for cell in recorder.cells.values():
                cell.after = recorder.operand(cell.tensor)
        recorder.check_open()
    except Exception as error:
        raise recorder.untraceable(f"it raises {type(error).__name__}") from error
    finally:
        recorder.close()


# --- several bodies of one node -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outside:
    """What the bodies of one node use from outside.

    Attributes
    ----------
    written, read : tuple of int
        The keys of the cells that some body changes, and of the others.
    cells : dict
        One cell for each key.
    """

    written: tuple[int, ...]
    read: tuple[int, ...]
    cells: dict[int, Cell]

    def operands(self, keys: Sequence[int]) -> tuple[Tensor, ...]:
        """Return the Tensors that the node is given for some cells."""
        return tuple(self.cells[key].outside for key in keys)

    def commit(self, results: Sequence[Tensor]) -> None:
        """Make the written cells visible, given the node's results for them."""
        for key, result in zip(self.written, results, strict=True):
            self.cells[key].commit(result)


def outside_of(bodies: Sequence[BodyRecorder]) -> Outside:
    """Put together what several bodies use from outside."""
    cells: dict[int, Cell] = {}
    written: set[int] = set()
    for body in bodies:
        for key, cell in body.cells.items():
            if cell.written:
                written.add(key)
                cells[key] = cell
            cells.setdefault(key, cell)
    return Outside(
        tuple(k for k in cells if k in written),
        tuple(k for k in cells if k not in written),
        cells,
    )


def graph_of(
    body: BodyRecorder, name: str, outside: Outside, *, state_at: int, extra: Sequence[Operand] = ()
) -> FuncGraph:
    """Return a body as a graph.

    Parameters
    ----------
    body : BodyRecorder
    name : str
    outside : Outside
    state_at : int
        Before which of the inputs, and of the results, the written cells go; the other cells come
        last.
    extra : sequence
        Results after all others.
    """
    specs = {key: cell.outside.spec for key, cell in outside.cells.items()}
    values = {k: body.cells[k].value if k in body.cells else Value(specs[k]) for k in specs}
    state = tuple(values[key] for key in outside.written)
    own = {key: cell.after for key, cell in body.cells.items()}
    after = tuple(own.get(key) or values[key] for key in outside.written)
    inputs, results = tuple(body.inputs), body.results
    outputs = (*results[:state_at], *after, *results[state_at:], *extra)
    return FuncGraph(
        name,
        (*inputs[:state_at], *state, *inputs[state_at:], *(values[k] for k in outside.read)),
        (),
        with_unread(body.nodes, outputs),
        outputs,
    )


def audible() -> Any:
    """Return the scope in which a node with bodies is recorded, and what it wrote committed.

    Under no_grad the bodies are silent themselves; what they leave as it is keeps its gradient.
    """
    return dispatch.scope(silent=False)


def given_back(results: Sequence[Tensor]) -> list[Tensor]:
    """Return the results of a node with bodies; without gradients where no tape looks."""
    if not dispatch.state.silent:
        return list(results)
    return [stop_gradient(x) for x in results]
