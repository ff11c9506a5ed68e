"""What ops talk to while a mapped function runs: the Tensors of one example, and those behind.

An example is a Tensor of its shape; behind it stands a Tensor with the batch as leading axis, or
none where all examples share the value. Every op is applied to the whole batch by its batching
rule, outside.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hybrid.autodiff.batching import batched_op
from hybrid.core import dispatch
from hybrid.core.aliases import aliases
from hybrid.core.asking import asked
from hybrid.core.batch import Lane
from hybrid.core.graph import Value
from hybrid.core.heard import ASKED
from hybrid.core.layout import Layout, contiguous
from hybrid.core.op import Attrs, Op
from hybrid.core.picked import Picked
from hybrid.core.scalars import is_scalar
from hybrid.core.source import located, user_line, wants_array
from hybrid.core.storage import Chain, layout_through
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.unknown import Unknown
from hybrid.core.variable import Variable
from hybrid.errors import TraceError
from hybrid.ops.inplace import write

_PER_EXAMPLE = (
    "has a value of its own in each example of a vmap, and Python needs one. Choose with hb.where, "
    "or take this part out of the function that vmap maps"
)


class Example(Value):
    """A value inside a vmap: the Tensor behind it, and whether that has the batch axis."""

    __slots__ = ("lane",)

    def __init__(self, lane: Lane) -> None:
        spec = lane.tensor.spec
        super().__init__(replace(spec, shape=spec.shape[1:]) if lane.batched else spec)
        self.lane = lane


class Lanes:
    """What the dispatch talks to while the mapped function runs: ops are batched and passed on."""

    turned = False  # an example lies in C order

    def __init__(self, size: int) -> None:
        self.size = size
        self.open = True
        state = dispatch.state
        self.gave_up = None  # as a trace may, but not this
        self.acted = False
        self.asked = ASKED.get()
        self.silenced: set[Value] = set()
        self._around, self._silent = (state.recorder, state.tapes), state.silent
        self._shadows: dict[tuple[int, int], tuple[Tensor, Tensor, Any]] = {}
        self._arguments: list[tuple[Tensor, Tensor, Any]] = []
        self._own: dict[int, Any] = {}
        self.selected: dict[int, tuple[Any, Picked]] = {}  # by the nodes of tapes

    def outside(self) -> Any:
        """Return the scope in which the ops on whole batches run."""
        recorder, tapes = dispatch.still(*self._around)
        if recorder is not self._around[0]:  # what stood for values is arrays from here on
            self._around = recorder, tapes
            found = self._shadows.values()
            self._shadows = {(id(t._data), id(t._node)): (t, *rest) for t, *rest in found}
        return dispatch.scope(recorder=recorder, tapes=tapes, silent=self._silent)

    @property
    def trace(self) -> Any:
        """The trace that things are recorded in: the one around, if there is one."""
        recorder = dispatch.still(*self._around)[0]
        return None if recorder is None else recorder.trace

    # --- values -----------------------------------------------------------------------------------

    def inside(self, lane: Lane) -> Tensor:
        """Return the Tensor of one example that stands for a batch."""
        return wrap(Symbol(Example(lane), self, user_line()))

    def argument(self, tensor: Tensor) -> Tensor:
        """Return what the function gets for an argument with the batch in front."""
        example = self.inside(Lane(tensor, batched=True))
        self._arguments.append((tensor, example, example._data.value))
        return example

    def lane(self, x: Any) -> Lane:
        """Return what stands behind a Tensor or a Python number."""
        if type(x) is not Tensor:
            return Lane(x, batched=False)
        dispatch.refresh(x)
        data = x._data
        if type(data) is not Symbol or data.recorder is not self:
            data = self.shadow(x)._data
        lane: Lane = data.value.lane
        return lane

    def shadow(self, tensor: Tensor) -> Tensor:
        """Return the Tensor that stands here for one from outside, which all examples share."""
        with self.outside():
            tensor = dispatch.resolve(tensor)
        key = id(tensor._data), id(tensor._node)
        if key not in self._shadows:
            example = self.inside(Lane(tensor, batched=False))
            example._node = tensor._node  # a tape that is closed by now may be asked inside
            self._shadows[key] = tensor, example, example._data.value
        return self._shadows[key][1]

    def ask_around(self, opened_in: Any) -> None:
        """Let the trace around know that a tape is asked which was opened in `opened_in`."""
        recorder = self._around[0]
        if recorder is not None and recorder is not opened_in:
            with self.outside():
                recorder.ask_around(opened_in)

    # --- what the dispatch asks for ---------------------------------------------------------------

    def note_asked(self) -> None:
        """Leave it to the ops on whole batches, which are asked for in the same place."""
        self.asked = ASKED.get()

    def before_effects(self, op: Op, attrs: Attrs) -> None:
        """Nothing is written that is not there at once."""

    def record(self, op: Op, inputs: tuple[Any, ...], attrs: Attrs) -> tuple[Symbol, ...]:
        """Apply an op to all examples."""
        lanes = tuple(map(self.lane, inputs))
        with self.outside():
            found = batched_op(op, lanes, attrs, self.size)
        line = user_line()
        return tuple(Symbol(Example(lane), self, line) for lane in found)

    def record_one(self, op: Op, x: Tensor) -> None:
        """Leave all operators to `record`."""

    def record_two(self, op: Op, x: Any, y: Any) -> None:
        """Leave all operators to `record`."""

    def track(self, tensor: Tensor) -> None:
        """Nothing here depends on which Tensors are alive."""

    def note_picked(self, tensor: Tensor) -> None:
        """Nothing here depends on which Tensors are alive."""

    def are_alike(self, a: Tensor, b: Tensor) -> bool:
        """Tell whether two Tensors are the same value in each example."""
        if a._data.value is b._data.value:
            return True
        lanes = self.lane(a), self.lane(b)
        if lanes[0].batched is not lanes[1].batched:
            return False
        with self.outside():
            one, other = (dispatch.resolve(lane.tensor) for lane in lanes)
            recorder = dispatch.state.recorder
            if recorder is not None:
                return bool(recorder.are_alike(one, other))
        return type(one._data) is type(other._data) is np.ndarray and np.array_equal(
            one._data, other._data
        )

    def is_view(self, op: Op, source: Tensor, attrs: Attrs, made: Tensor) -> bool:
        """Tell whether eager code would get a view of `source` here."""
        return _layout_through(source, ((op, attrs),)) is not None

    def layout_of(self, tensor: Tensor) -> Layout:
        """Return how eager code would lay out a Tensor of one example."""
        found = _layout_through(tensor, ())
        return contiguous(tensor.shape) if found is None else found

    def lie_like(self, tensor: Tensor, like: Tensor, order: str) -> None:
        """Leave it in C order."""

    def note_order(self) -> None:
        """Let the trace around depend on how its arguments lie, if there is one."""
        recorder = self._around[0]
        if recorder is not None:
            recorder.note_order()

    def lay_out(self, op: Op, inputs: tuple[Any, ...], attrs: Attrs, outputs: Any) -> None:
        """Leave all results in C order."""

    def kind_of(self, tensor: Tensor) -> type | None:
        """Return the class that what is from outside has in eager code; an example is a Tensor."""
        recorder, data = self._around[0], tensor._data
        if recorder is None:
            return Tensor
        exact = True
        if type(data) is Symbol and data.recorder is self:
            shown = ((mine, x) for x, mine, _ in self._shadows.values() if aliases(mine, tensor))
            lane = self.lane(tensor)
            if not tensor.ndim or lane.batched or id(data) in self._own:
                return Tensor
            mine, outside = next(shown, (tensor, lane.tensor))  # a view of what is outside
            exact, tensor = mine is tensor, outside
        with self.outside():
            found: type | None = recorder.kind_of(tensor)
        return None if found is not Tensor and self._own and not exact else found

    def note_own(self, tensor: Tensor) -> None:
        """Note that `tensor` is a Tensor in eager code too, though its memory be an ndarray's."""
        self._own[id(tensor._data)] = tensor._data

    def after_write(self, target: Tensor) -> None:
        """All aliases follow by themselves."""

    def abandon(self, error: BaseException) -> None:
        """Let plain Python run the body of a loop that cannot be traced, on all examples."""

    def give_up(self, why: str) -> None:
        """Let the trace around go on eagerly, if there is one."""
        recorder = self._around[0]
        if recorder is not None:
            with self.outside():
                recorder.give_up(why)

    def concretize(self, symbol: Symbol, kind: type) -> Any:
        """Give Python the value that all examples share."""
        return kind(self._shared(symbol, asked(kind)))

    def materialize(self, tensor: Tensor, why: str) -> Any:
        """Give a Tensor the contents that all examples share."""
        shared = self._shared(tensor._data, why or wants_array())
        with self.outside():
            return np.asarray(shared)

    def note_read(self, array: Any) -> None:
        """Let the trace around depend on the contents of an array."""
        recorder = self._around[0]
        if recorder is not None:
            recorder.note_read(array)

    def note_made(self, tensor: Tensor) -> None:
        """Let the trace around know of an array that was made from nothing."""
        recorder = self._around[0]
        if recorder is not None:
            recorder.note_made(tensor)

    def note_bare(self, tensor: Tensor) -> None:
        """Let the trace around know of the memory of an ndarray."""
        recorder = self._around[0]
        if recorder is not None:
            recorder.note_bare(tensor)

    def note_converted(self, tensor: Tensor) -> None:
        """Let the trace around know of what ``hb.asarray`` gave as it was."""
        recorder = self._around[0]
        if recorder is not None:
            recorder.note_converted(tensor)

    # --- numbers that the trace around does not know yet ------------------------------------------

    def number(self, x: Unknown) -> Any:
        """Return what stands for one, the same in all examples."""
        recorder = dispatch.still(*self._around)[0]
        if recorder is None:
            return x.concrete()
        with self.outside():
            found = recorder.number(x)
        return self.shadow(found) if type(found) is Tensor else found

    @property
    def decides(self) -> bool:
        """Whether Python may ask for such a number."""
        recorder = self._around[0]
        return recorder is not None and recorder.decides

    @property
    def harmless(self) -> set[Any]:
        """What is known of arithmetic with such numbers."""
        known: set[Any] = self._around[0].harmless
        return known

    def number_of(self, value: Value) -> int:
        """Return what the trace around knows such a number by."""
        behind = value.lane.tensor._data.value if isinstance(value, Example) else value
        found: int = self._around[0].number_of(behind)
        return found

    # --- what is read and written -----------------------------------------------------------------

    def written_since(self, tensor: Tensor) -> Tensor | None:
        """Return what stands for a Tensor outside that was written here or in the trace around."""
        with self.outside():
            found = dispatch.resolve(tensor)
        mine = self._shadows.get((id(found._data), id(found._node)))
        if mine is not None and self._changed(mine):
            return mine[1]
        if any(self._changed(x) and _may_overlap(x[0], found) for x in self._shadows.values()):
            raise TraceError(
                located(
                    "vmap: Python reads memory that the function has written through another Tensor"
                )
            )
        recorder = self._around[0]
        if recorder is None:
            return None
        with self.outside():
            written: Tensor | None = recorder.written_since(tensor)
        return written

    def _changed(self, entry: tuple[Tensor, Tensor, Any]) -> bool:
        _, example, before = entry
        dispatch.refresh(example)
        return example._data.value is not before

    def _shared(self, symbol: Any, why: str) -> Tensor:
        lane: Lane = symbol.value.lane
        if lane.batched:
            made = f", made at {symbol.line.describe()}," if symbol.line else ""
            raise TraceError(located(f"{why}: this Tensor ({symbol.spec}){made} {_PER_EXAMPLE}"))
        tensor: Tensor = lane.tensor
        return tensor

    def is_scalar(self, tensor: Tensor) -> bool:
        """Tell whether ``+=`` rebinds what has no axes, as it does a number of each example."""
        return is_scalar(tensor)

    def before_write(self, target: Tensor) -> None:
        """Nothing has to happen: writes reach their arrays when the function has returned."""

    def read_variable(self, variable: Variable) -> Tensor:
        """Return the contents of a Variable, which all examples share."""
        with self.outside():
            return self.inside(Lane(variable.read(), batched=False))

    def assign_variable(self, variable: Variable, value: Any) -> None:
        """Assign what all examples agree on."""
        lane = self.lane(dispatch.resolve(value))
        if lane.batched:
            name = variable.name or "a Variable"
            raise TraceError(
                located(
                    f"assign: {name} would get another value from each example of a vmap; "
                    "return the value, reduce it over the batch and assign it outside"
                )
            )
        with self.outside():
            variable.assign(lane.tensor)

    def created(self, variable: Variable) -> None:
        """Refuse: one Variable cannot hold something else for each example."""
        raise TraceError(located("a Variable cannot be made inside a vmap"))

    def initial_value(self, tensor: Tensor) -> Tensor:
        """Refuse: see `created`."""
        raise TraceError(located("a Variable cannot be made inside a vmap"))

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """End it, and let go of what stands for the outside, which else forms reference cycles."""
        self.open = False
        self._shadows.clear()
        self._arguments.clear()

    def deliver_writes(self) -> None:
        """Write what the function wrote to its arguments, and to arrays from outside."""
        for tensor, example, before in [*self._arguments, *self._shadows.values()]:
            dispatch.refresh(example)
            if example._data.value is before:
                continue
            new = self.lane(example)
            if new.batched and not before.lane.batched:
                raise TraceError(
                    located(
                        f"vmap: the examples write different values into one array of shape "
                        f"{tensor.shape} from outside{_at(example._data)}; return them instead, or "
                        "make the array inside, by functions of hybrid"
                    )
                )
            with self.outside():
                write(tensor, new.tensor)


def _at(symbol: Any) -> str:
    return f", at {symbol.line.describe()}" if symbol.line else ""


def _may_overlap(a: Tensor, b: Tensor) -> bool:
    x, y = a._data, b._data
    arrays = isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
    return arrays and np.may_share_memory(x, y)


def _layout_through(source: Tensor, more: Chain) -> Layout | None:
    """Return how a view lies of what lies in C order; None where one of its ops must copy."""
    alias = source._alias
    base = alias.storage.base if alias is not None else source._data
    chain = alias.chain if alias is not None else ()
    return layout_through((*chain, *more), contiguous(base.shape))
