"""vmap: a function of one example, applied to a whole batch at once.

Inside, Tensors have the shape of one example; behind each stands a Tensor with the batch as leading
axis, or none where all examples share the value. Every op is applied to the whole batch by its
batching rule, outside: so the ops run eagerly, are recorded in a trace or on a tape as any others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from hybrid.autodiff.batching import batched_op, filled
from hybrid.core import containers, dispatch
from hybrid.core.asking import asked
from hybrid.core.batch import Lane
from hybrid.core.graph import Value
from hybrid.core.heard import ASKED
from hybrid.core.layout import contiguous
from hybrid.core.making import asarray
from hybrid.core.op import Attrs, Op
from hybrid.core.operands import PYTHON_SCALARS
from hybrid.core.scalars import is_scalar
from hybrid.core.source import located, user_line, wants_array
from hybrid.core.storage import layout_through
from hybrid.core.symbol import Symbol
from hybrid.core.tensor import Tensor, wrap
from hybrid.core.unknown import same
from hybrid.core.variable import Variable
from hybrid.errors import ShapeError, TraceError
from hybrid.ops.inplace import write
from hybrid.ops.movement import moveaxis

_PER_EXAMPLE = (
    "has a value of its own in each example of a vmap, and Python needs one. Choose with hb.where, "
    "or take this part out of the function that vmap maps"
)


class _Example(Value):
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
        return wrap(Symbol(_Example(lane), self, user_line()))

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
        return tuple(Symbol(_Example(lane), self, line) for lane in found)

    def record_one(self, op: Op, x: Tensor) -> None:
        """Leave all operators to `record`."""

    def record_two(self, op: Op, x: Any, y: Any) -> None:
        """Leave all operators to `record`."""

    def track(self, tensor: Tensor) -> None:
        """Nothing here depends on which Tensors are alive."""

    def is_view(self, op: Op, source: Tensor, attrs: Attrs, made: Tensor) -> bool:
        """Tell whether eager code would get a view of `source` here."""
        alias = source._alias
        base = alias.storage.base if alias is not None else source._data
        chain = alias.chain if alias is not None else ()
        return layout_through((*chain, (op, attrs)), contiguous(base.shape)) is not None

    def note_order(self) -> None:
        """Let the trace around depend on how its arguments lie, if there is one."""
        recorder = self._around[0]
        if recorder is not None:
            recorder.note_order()

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
                        f"{tensor.shape} from outside; return them instead"
                    )
                )
            with self.outside():
                write(tensor, new.tensor)


def vmap(
    function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0, axis_size: int | None = None
) -> Callable[..., Any]:
    """Map a function of one example over batches.

    Parameters
    ----------
    function : callable
        Takes and returns Tensors, or nested containers of them, for one example.
    in_axes : int, None or nested container of them
        For each positional argument (or leaf of it) the axis that holds the examples; None hands
        the argument to every example. Keyword arguments are mapped over axis 0.
    out_axes : int, None or nested container of them
        Where the results get the axis; None for a result that all examples share.
    axis_size : int, optional
        How many examples there are, where no argument tells.

    Returns
    -------
    callable
        With the arguments of `function`. What it writes into its arguments is written; random
        numbers are drawn for each example.

    Raises
    ------
    ShapeError
        If arguments disagree about the number of examples.
    TraceError
        If Python needs a value that differs between examples (``if``, ``float``).

    Examples
    --------
    >>> import hybrid as hb
    >>> rows = hb.reshape(hb.arange(6.0), (2, 3))
    >>> hb.vmap(lambda row, scale: (row * scale).sum(), in_axes=(0, None))(rows, 10.0)
    Tensor([ 30., 120.], dtype=float32)
    """

    @wraps(function)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = containers.flatten((args, kwargs))
        named = containers.paths((args, kwargs))
        axes = _axes_of(in_axes, args, kwargs)
        batches = [_fronted(*each) for each in zip(leaves, axes, named, strict=True)]
        lanes = Lanes(_batch_size(batches, axes, axis_size, named))
        given = [
            x if axis is None else lanes.argument(x) for x, axis in zip(batches, axes, strict=True)
        ]
        with dispatch.scope(recorder=lanes, tapes=()):
            inner_args, inner_kwargs = containers.unflatten(tree, given)
            result = function(*inner_args, **inner_kwargs)
            answer = _collected(lanes, result, out_axes)
            lanes.deliver_writes()
        lanes.close()
        return answer

    return mapped


def _may_overlap(a: Tensor, b: Tensor) -> bool:
    x, y = a._data, b._data
    arrays = isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
    return arrays and np.may_share_memory(x, y)


def _axes_of(in_axes: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int | None]:
    """Return one axis for each leaf of the arguments."""
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    try:
        spread = containers.broadcast_prefix(in_axes, args)
    except ValueError as error:
        raise ValueError(f"vmap: in_axes={in_axes!r} does not nest as the arguments do") from error
    return containers.leaves_of((spread, containers.broadcast_prefix(0, kwargs)))


def _written(path: tuple[Any, ...]) -> str:
    """Write where a leaf of the arguments is: ``argument 0['w']``."""
    part, name, *rest = path
    root = f"argument {name}" if part == 0 else str(name)
    return root + "".join(f"[{key!r}]" for key in rest)


def _fronted(x: Any, axis: int | None, path: tuple[Any, ...]) -> Any:
    """Return an argument with its examples along the first axis."""
    if axis is None:
        return x
    if isinstance(x, PYTHON_SCALARS) or not hasattr(x, "shape"):
        raise TypeError(
            located(
                f"vmap: {_written(path)} is {x!r}, which has no axis to map over; "
                "give None for it in in_axes"
            )
        )
    tensor = x.read() if isinstance(x, Variable) else asarray(x)
    if not -tensor.ndim <= axis < tensor.ndim:
        raise ShapeError(
            located(f"vmap: {_written(path)} has shape {tensor.shape}, which has no axis {axis}")
        )
    return tensor if axis == 0 else moveaxis(tensor, axis, 0)


def _batch_size(
    batches: list[Any], axes: list[int | None], given: int | None, named: list[tuple[Any, ...]]
) -> int:
    sizes = {
        _written(path): x.shape[0]
        for x, axis, path in zip(batches, axes, named, strict=True)
        if axis is not None
    }
    if given is not None:
        sizes["axis_size"] = given
    if not sizes:
        raise ValueError(located("vmap: no argument has an axis to map over; say axis_size"))
    size, *others = sizes.values()
    if not all(same(size, other) or size == other for other in others):
        text = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ShapeError(located(f"vmap: the numbers of examples differ: {text}"))
    found: int = size
    return found


def _collected(lanes: Lanes, result: Any, out_axes: Any) -> Any:
    """Return what the mapped function gave, with the batch where the caller wants it."""
    leaves, tree = containers.flatten(result)
    if isinstance(out_axes, list):
        out_axes = tuple(out_axes)
    try:
        axes = containers.leaves_of(containers.broadcast_prefix(out_axes, result))
    except ValueError as error:
        raise ValueError(f"vmap: out_axes={out_axes!r} does not nest as the result does") from error
    return containers.unflatten(
        tree, [_returned(lanes, x, axis) for x, axis in zip(leaves, axes, strict=True)]
    )


def _returned(lanes: Lanes, x: Any, axis: int | None) -> Any:
    if x is None or isinstance(x, str):
        return x
    lane = lanes.lane(dispatch.resolve(x))
    with lanes.outside():
        if axis is None:
            if lane.batched:
                raise ValueError(
                    located("vmap: out_axes is None for a result that differs between examples")
                )
            return lane.tensor
        full = filled(lane, lanes.size)
        return full if axis == 0 else moveaxis(full, 0, axis)
