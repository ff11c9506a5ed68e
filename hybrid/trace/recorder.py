"""The recorder: what turns the ops of a running Python function into nodes.

One recorder serves one straight line of code. What happens between such lines (guards, segments) is
the tracer's business, which derives from it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterable
from contextvars import copy_context
from typing import Any, cast

import numpy as np

from hybrid.core import dispatch
from hybrid.core.aliases import is_current
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.core.heard import ASKED
from hybrid.core.layout import Layout
from hybrid.core.making import asarray
from hybrid.core.op import OPS, Attrs, Op
from hybrid.core.picked import Picked
from hybrid.core.refusals import leaked
from hybrid.core.source import SourceLine, user_line
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.core.state import state
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.unknown import Unknown
from hybrid.dtypes import is_inexact, promote
from hybrid.errors import TraceError
from hybrid.trace import alike, lying, usual
from hybrid.trace.memory_order import Order
from hybrid.trace.rules import Rules, scalar_in
from hybrid.trace.straight import StraightLine

_ref = weakref.ref
_NONE: Attrs = {}
_PASSIVE = ("ignore", "warn")  # what `np.errstate` may ask for and change no result by it
_FRAMES = 3  # hybrid's own around each call of `record`: itself, `_record` and `bind`


class GraphRecorder(StraightLine):
    """Records nodes; Tensors and Variables from outside become captures.

    Attributes
    ----------
    nodes : list of Node
    captures : dict
        For each captured object (by identity) the object and the Value that stands for it.
    """

    layout_matters = False
    """Whether what is written depends on how arguments lie in memory."""
    turned = False
    """Whether there is anything that does not lie in C order, by the order of its axes."""

    def __init__(self, line: Callable[..., SourceLine | None] = user_line) -> None:
        self.nodes: list[Node] = []
        self.captures: dict[int, tuple[Any, Value]] = {}
        self.open = True
        # What `np.errstate` says: when it was looked at last, and around the trace.
        self.asked = self._asked_around = ASKED.get()
        self.silenced: set[Value] = set()  # what was computed where no tape looks
        self._line = line
        self.shadows: dict[int, tuple[Tensor, Tensor, Value]] = {}
        self.rules = Rules()
        # What is computed from Python scalars, numbered: the same again has the same number.
        self._numbers: dict[Value, int] = {}
        self._kinds: dict[Hashable, int] = {}
        self.gave_up: Any = None  # why eager code goes on in its place
        # Of all that the trace has made: what is dead is sorted out when someone asks.
        self._symbols: list[weakref.ref[Symbol]] = []
        self._tensors: list[weakref.ref[Tensor]] = []
        self._own: dict[int, weakref.ref[Tensor]] = {}
        self._picked: list[weakref.ref[Tensor]] = []
        self.selected: dict[int, tuple[Any, Picked]] = {}  # by the nodes of tapes

    @property
    def trace(self) -> GraphRecorder:
        """The trace that things are recorded in: here this one."""
        return self

    # --- making values ----------------------------------------------------------------------------

    def parameter(self, spec: TensorSpec) -> Tensor:
        """Return a Tensor that stands for a new input of the graph."""
        return self.tensor(Value(spec), None)

    def tensor(self, value: Value, line: SourceLine | None) -> Tensor:
        """Return a Tensor that stands for `value`."""
        tensor = wrap(self._symbol(value, line))
        self.track(tensor)
        return tensor

    def _symbol(self, value: Value, line: SourceLine | None) -> Symbol:
        symbol = Symbol(value, self, line)
        self._symbols.append(weakref.ref(symbol))
        return symbol

    def track(self, tensor: Tensor) -> None:
        """Remember a Tensor of this trace for as long as it lives."""
        self._tensors.append(weakref.ref(tensor))

    def note_picked(self, tensor: Tensor) -> None:
        """Remember a Tensor that a mask selects: see :mod:`hybrid.core.picked`."""
        self._picked = [ref for ref in self._picked if ref() is not None]
        self._picked.append(weakref.ref(tensor))

    def live_picked(self) -> list[Tensor]:
        """Return those of them that something still refers to."""
        return [tensor for ref in self._picked if (tensor := ref()) is not None]

    def are_alike(self, a: Tensor, b: Tensor) -> bool:
        """Tell whether two Tensors of the trace are the same value, or are computed alike."""
        return alike.are_alike(self.nodes, a._data.value, b._data.value)

    def live_symbols(self) -> list[Symbol]:
        """Return the Symbols that something still refers to, in order of their making."""
        found = [symbol for ref in self._symbols if (symbol := ref()) is not None]
        self._symbols = [weakref.ref(symbol) for symbol in found]
        return found

    def live_tensors(self) -> list[Tensor]:
        """Return the Tensors of the trace that something still refers to."""
        found = {id(t): t for ref in self._tensors if (t := ref()) is not None}
        self._tensors = [weakref.ref(tensor) for tensor in found.values()]
        return list(found.values())

    def live_values(self) -> list[Value]:
        """Return the values that something still refers to, in order of their making."""
        alive = {symbol.value for symbol in self.live_symbols()}
        made = [v for _, v in self.captures.values()]
        made += [v for node in self.nodes for v in node.outputs]
        return [v for v in made if v in alive]

    # --- recording --------------------------------------------------------------------------------

    def record(self, op: Op, inputs: tuple[Any, ...], attrs: Attrs) -> tuple[Symbol, ...]:
        """Append a node; elementwise ops get their promotion made explicit by casts."""
        if not self.open:
            raise TraceError("this trace has ended")
        line = self._line(_FRAMES)
        rules = self.rules
        attrs = rules.attrs(attrs) if attrs else _NONE
        # What the rules say is known once they were asked about such operands: written out in one
        # piece, since each call of a function here would be a twentieth of what a node takes.
        operands: list[Any] = []
        key: list[Any] = [op, id(attrs), state.device]
        literals = given = False
        for x in inputs:
            if type(x) is Tensor:
                data = x._data
                link = x._link
                if (
                    type(data) is Symbol
                    and data.recorder is self
                    and (link is None or is_current(link))
                ):
                    value = data.value
                    if data.given:
                        given = True
                else:
                    value = self.lift(x)
                    given = given or (type(x._data) is Symbol and x._data.given)
                operands.append(value)
                key.append(id(value.spec))
            else:
                literals = True
                operands.append(x)
                key.append(type(x))
        if literals and op.compute is None:
            literals, operands = False, self._as_given(op, operands)
            key += [x.dtype for x in operands if type(x) is Const]
        known = rules.answers.get(tuple(key))
        if known is None:
            known = rules.answer(op, tuple(operands), attrs, tuple(key))
        if known.casts:
            pairs = zip(operands, known.wanted, strict=True)
            operands = [
                self._to(x, dtype, line) if type(x) is Value else rules.const(x, dtype)
                for x, dtype in pairs
            ]
        elif literals:
            pairs = zip(operands, known.wanted, strict=True)
            operands = [x if type(x) is Value else rules.const(x, dtype) for x, dtype in pairs]
        results = known.results
        if len(results) == 1:
            value = Value(results[0])
            self.nodes.append(Node(op, tuple(operands), attrs, (value,), line))
            symbol = Symbol(value, self, line)
            if given:
                symbol.given = op.view is not None or rules.may_turn(op, value.spec)
            self._symbols.append(_ref(symbol))
            if known.weak and not attrs:
                self._numbers[value] = self._kind((op.name, *map(self._number_of, operands)))
            return (symbol,)
        values = tuple(map(Value, results))
        self.nodes.append(Node(op, tuple(operands), attrs, values, line))
        symbols = tuple([self._symbol(v, line) for v in values])
        for symbol in symbols if given else ():
            symbol.given = rules.may_turn(op, symbol.spec)
        return symbols

    record_one = usual.record_one
    record_two = usual.record_two

    def emit(
        self,
        op: Op,
        operands: tuple[Operand, ...],
        attrs: Attrs,
        line: SourceLine | None,
        *,
        weak: bool = False,
    ) -> tuple[Value, ...]:
        """Append a node as it is and return its results."""
        rules = self.rules
        attrs = rules.attrs(attrs)
        literal = rules.literal
        specs = tuple([literal(x.dtype) if isinstance(x, Const) else x.spec for x in operands])
        values = tuple([Value(spec) for spec in rules.results(op, specs, attrs, weak=weak)])
        self.nodes.append(Node(op, operands, attrs, values, line))
        return values

    def _number_of(self, x: Operand) -> Hashable:
        return x.key() if type(x) is Const else self.number_of(cast(Value, x))

    def number_of(self, value: Value) -> int:
        """Return a number that two values share that are computed alike from Python scalars."""
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = self._kind(value)
        return found

    def _kind(self, key: Hashable) -> int:
        return self._kinds.setdefault(key, len(self._kinds))

    def _as_given(self, op: Op, operands: list[Any]) -> list[Operand]:
        """Return the operands of an op that casts none: Python scalars take the dtype they meet."""
        const = self.rules.const
        if op.literal is not None:
            specs = tuple([x.spec if type(x) is Value else weak_scalar(x) for x in operands])
            pairs = zip(operands, op.literal(specs), strict=True)
            return [x if type(x) is Value else const(x, dtype) for x, dtype in pairs]
        present = [x.spec.dtype for x in operands if type(x) is Value]
        only = present[0] if len(present) == 1 and present[0].kind == "f" else None
        found: list[Operand] = []
        for x in operands:
            if type(x) is Value:
                found.append(x)
            elif only is not None and type(x) is float:
                found.append(const(x, only))
            else:
                found.append(_literal_beside(x, present))
        return found

    def operand(self, x: Any) -> Operand:
        """Return what stands for `x` in the graph."""
        if type(x) is Tensor:
            return self.lift(x)
        spec = weak_scalar(x)
        return Const(x, spec.dtype)

    def lift(self, tensor: Tensor) -> Value:
        """Return the value that stands for a Tensor, of the trace or from outside."""
        link = tensor._link
        if link is not None and not is_current(link):
            dispatch.refresh(tensor)
        data = tensor._data
        if type(data) is not Symbol or data.recorder is not self:
            data = self.shadow(tensor)._data
        value: Value = data.value
        return value

    def shadow(self, tensor: Tensor) -> Tensor:
        """Return the Tensor that stands in this trace for one from outside, captured by reference.

        What the trace writes to it stays in the trace until the commit.
        """
        if type(tensor._data) is Symbol:
            raise leaked(tensor._data)
        key = id(tensor._data)
        if key not in self.shadows:
            value = self.capture(tensor, tensor.spec)
            shadow = self.tensor(value, self._line())
            shadow._node = tensor._node
            self.shadows[key] = tensor, shadow, value
        shadow = self.shadows[key][1]
        if shadow._link is not None and not is_current(shadow._link):
            dispatch.refresh(shadow)
        return shadow

    def capture(self, source: Any, spec: TensorSpec) -> Value:
        """Return the Value that stands for an object from outside the trace."""
        key = id(source)
        if key not in self.captures:
            self.captures[key] = source, Value(spec)
        return self.captures[key][1]

    def _to(self, value: Value, dtype: np.dtype[Any], line: SourceLine | None) -> Value:
        own = value.spec.dtype
        if own is dtype or own == dtype:
            return value
        return self.emit(OPS["astype"], (value,), {"dtype": dtype}, line)[0]

    # --- how memory lies --------------------------------------------------------------------------

    def is_view(self, op: Op, source: Tensor, attrs: Attrs, made: Tensor) -> bool:
        """Tell whether eager code would get a view of `source` here, which is `made`."""
        found = lying.is_view(self.rules, op, source, attrs, made)
        self.turned = self.rules.turned
        return found

    def layout_of(self, tensor: Tensor) -> Layout:
        """Return how eager code would lay out a Tensor here."""
        self.note_order()
        return lying.layout_of(self.rules, tensor)

    def lie(self, tensor: Tensor, order: Order) -> None:
        """Let a new Tensor lie otherwise than in C order."""
        lying.lie(self.rules, tensor, order)
        self.turned = True

    def lie_like(self, tensor: Tensor, like: Tensor, order: str) -> None:
        """Let a new Tensor lie as NumPy lays out one like another."""
        lying.lie_like(self.rules, tensor, like, order)
        self.turned = self.turned or self.rules.turned

    def lay_out(self, op: Op, inputs: tuple[Any, ...], attrs: Attrs, outputs: Any) -> None:
        """Note how results of the trace lie of which some operands may not lie in C order."""
        lying.lay_out(self.rules, op, inputs, attrs, outputs)
        self.turned = self.rules.turned

    def number(self, x: Unknown) -> Any:
        """Return what stands for an unknown number beside Tensors: here the number of this call."""
        return x.concrete()

    # --- what is noted of Tensors ---

    def contents_for(self, variable: Any, value: Any) -> Tensor:
        """Return a new Tensor with what `variable` holds once `value` is assigned to it.

        As in eager code no tape knows it: what is read from it later counts for the Variable.
        """
        from hybrid.ops.broadcasting import broadcast_to
        from hybrid.ops.elementwise.copies import assigned, stop_gradient

        value = value if isinstance(value, Tensor) else asarray(value)
        variable._check(value.spec)
        if value.dtype != variable.dtype:
            value = value.astype(variable.dtype)
        if value.shape != variable.shape:
            value = broadcast_to(value, variable.shape)
        # An assignment under no_grad leaves the Variable what it is: not silent.
        with dispatch.scope(tapes=(), silent=False):
            if variable.trainable and is_inexact(variable.dtype):
                value = assigned(self.read_variable(variable), value)
            elif is_inexact(variable.dtype):
                value = stop_gradient(value)
        return self.tensor(self.lift(value), self._line())

    def before_write(self, target: Tensor) -> None:
        """Note where arguments that lie otherwise would make a difference."""
        # Only a write tells a view from a copy.
        if target._alias is not None and (order := target._alias.storage.order) is not None:
            if order.asked:
                self.note_order()

    def note_order(self) -> None:
        """Note that the trace is wrong for arguments that lie in another order."""
        self.layout_matters = True

    def note_own(self, tensor: Tensor) -> None:
        """Note that `tensor` is a Tensor in eager code too, though its memory be an ndarray's."""
        self._own[id(tensor)] = weakref.ref(tensor)

    def is_own(self, tensor: Tensor) -> bool:
        """Tell whether a Tensor is one that :meth:`note_own` was told of."""
        ref = self._own.get(id(tensor))
        return ref is not None and ref() is tensor

    def note_asked(self) -> None:
        """Go on eagerly where the function asks NumPy to raise: kernels do not look.

        What was asked for around the call holds for eager code alone.
        """
        self.asked = ASKED.get()
        around = copy_context()
        around.run(ASKED.set, self._asked_around)
        new = np.geterr().items() - around.run(np.geterr).items()
        acting = {what: does for what, does in sorted(new) if does not in _PASSIVE}
        if acting:
            alike = len(acting) == len(np.geterr()) and len(set(acting.values())) == 1
            how = {"all": acting["over"]} if alike else acting
            shown = ", ".join(f"{what}={does!r}" for what, does in how.items())
            self.give_up(f"np.errstate({shown}) looks at what each op has met")


def _literal_beside(x: Any, present: list[np.dtype[Any]]) -> Const:
    own = weak_scalar(x).dtype
    alike = [d for d in present if d.kind == own.kind or (own.kind == "i" and d.kind == "u")]
    if alike and own.kind in "if":
        dtype = promote(alike)
        whole = dtype.kind in "iu"  # uint64 and int64 meet in float64
        if own.kind == "f" or (whole and np.iinfo(dtype).min <= x <= np.iinfo(dtype).max):
            return Const(scalar_in(x, dtype), dtype)
    return Const(x, own)


class _PureRecorder(GraphRecorder):
    """Records what is made of ops only: the numbers that their rules make are nodes too."""

    def shadow(self, tensor: Tensor) -> Tensor:
        data = tensor._data
        if type(data) is np.ndarray and not data.ndim:
            made: Tensor = dispatch.bind(
                OPS["full"], (data.item(),), {"shape": (), "dtype": data.dtype}
            )
            return made
        return super().shadow(tensor)


def trace_pure(
    name: str, function: Callable[..., Any], specs: Iterable[TensorSpec]
) -> tuple[FuncGraph, list[Tensor]]:
    """Trace a function that is made of ops only (an op's expansion, a gradient).

    Parameters
    ----------
    name : str
        The name of the graph.
    function : callable
        Takes one Tensor per spec and returns a Tensor or a tuple of them.
    specs : iterable of TensorSpec

    Returns
    -------
    FuncGraph
    list of Tensor
        The Tensors that stood for the parameters.
    """
    recorder = _PureRecorder(line=lambda depth=0: None)
    parameters = [recorder.parameter(spec) for spec in specs]
    inputs = tuple(p._data.value for p in parameters)
    with dispatch.scope(recorder=recorder, tapes=()):
        results = function(*parameters)
        results = results if isinstance(results, tuple) else (results,)
        outputs = tuple(recorder.operand(x) for x in results)
    recorder.open = False
    assert not recorder.captures, "what a graph of ops alone reads from outside would be lost"
    return FuncGraph(name, inputs, (), tuple(recorder.nodes), outputs), parameters
