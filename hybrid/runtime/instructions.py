"""A Region in the making: its operands, its instructions, and what values of the body became."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid import dtypes
from hybrid.core.graph import Const, Operand, Value
from hybrid.core.layout import Layout
from hybrid.core.spec import Shape
from hybrid.dtypes import DType
from hybrid.records import dataclass

if TYPE_CHECKING:
    from hybrid.kernels.region import Access, Instr, Literal


class Unsupported(Exception):
    """No kernel can be made of a body; the message says why. Never reaches the user."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index into an axis of `size` elements that are `step` apart."""

    index: Read
    size: int
    step: int


@dataclass(frozen=True, slots=True)
class Read:
    """A value of the body that lies in an array: an input of the node, seen through views.

    With `picks`, its elements lie where the layout says and then as many steps further on as the
    indices say; the layout and those of the indices have one shape. Outside of `windows` (axis,
    first place, place behind the last) it has no elements. Where they are `words` of a random
    stream, the array is its state and the layout that of the stream.
    """

    operand: int
    layout: Layout
    stored: DType
    picks: tuple[Index, ...] = ()
    windows: tuple[tuple[int, int, int], ...] = ()
    words: str = ""

    @property
    def dtype(self) -> str:
        """The dtype of its elements as values of a region."""
        return self.words or register(self.stored)


@dataclass(slots=True)
class Lowering:
    """The state while one body is walked; inputs are numbered when they are first read."""

    space: Shape
    axes: tuple[int, ...]
    ranks: tuple[int, ...]
    reads: dict[tuple[int, Access], int] = field(default_factory=dict)
    body: list[Instr] = field(default_factory=list)
    env: dict[Value, Read | Literal | Result] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an instruction of the region, by its position in the body."""

    position: int
    dtype: str


def _position(state: Lowering, shape: Shape, axis: int) -> int:
    """Return the input that is the position along an axis of an array of `shape`."""
    from hybrid.kernels.region import Access

    unit = tuple(int(i == axis) for i in range(len(shape)))
    strides = Layout(shape, unit).expand(state.space).strides
    access = Access("int64", 0, 0, strides, is_position=True)
    return state.reads.setdefault((0, access), len(state.reads))


def register(dtype: DType) -> str:
    """Return the dtype that a value has in a region: 16-bit floats are float32 there."""
    return "float32" if dtypes.is_half(dtype) else dtype.name


def rounded(state: Lowering, found: Result, dtype: DType) -> Result:
    """Round a float32 to a 16-bit dtype, as each op does in eager code."""
    from hybrid.kernels.region import Instr

    if not dtypes.is_half(dtype):
        return found
    name = "round_f16" if dtype == dtypes.float16 else "round_bf16"
    return emit(state, Instr("map", name, f"{name}({{0}})", (-1 - found.position,), "float32"))


def cast_to(state: Lowering, operand: Operand, dtype: DType) -> Read | Literal | Result:
    from hybrid.kernels.region import Instr, Literal

    if not dtypes.is_half(dtype) or operand.spec.dtype == dtype:
        return cast(state, operand, register(dtype))
    found = cast(state, operand, "float32")
    if isinstance(found, Literal):
        return Literal(float(np.asarray(found.value, dtype)), "float32")
    if isinstance(found, Read):
        copied = (argument_of(state, found),)
        found = emit(state, Instr("map", "copy", "{0}", copied, "float32"))
    return rounded(state, found, dtype)


def cast(state: Lowering, operand: Operand, dtype: str) -> Read | Literal | Result:
    from hybrid.kernels.region import Instr, Literal

    found = lookup(state, operand)
    if found.dtype == dtype:
        return found
    if isinstance(found, Literal):
        value = np.asarray(found.value, found.dtype).astype(dtype).item()
        return Literal(value, dtype)
    return emit(state, Instr("cast", dtype, "", (argument(state, operand),), dtype))


def emit(state: Lowering, instr: Instr) -> Result:
    state.body.append(instr)
    return Result(len(state.body) - 1, instr.dtype)


def lookup(state: Lowering, operand: Operand) -> Read | Literal | Result:
    from hybrid.kernels.region import Literal

    if not isinstance(operand, Const):
        return state.env[operand]
    if dtypes.is_half(operand.dtype):
        return Literal(float(np.asarray(operand.value, operand.dtype)), "float32")
    return Literal(operand.value, operand.dtype.name)


# Until all inputs are numbered, results of instructions are numbered from -1 downwards.
def argument(state: Lowering, operand: Operand) -> int | Literal:
    return argument_of(state, lookup(state, operand))


def argument_of(state: Lowering, found: Read | Literal | Result) -> int | Literal:
    if isinstance(found, Read):
        access = _input_access(state, found)
        return state.reads.setdefault((found.operand, access), len(state.reads))
    if isinstance(found, Result):
        return -1 - found.position
    return found


def numbered(
    state: Lowering, stored: list[tuple[int, Access]]
) -> tuple[tuple[Instr, ...], tuple[tuple[int, Access], ...]]:
    """Number inputs first, then results, as Regions want it."""
    from hybrid.kernels.region import Instr

    count = len(state.reads)

    def final(arg: Any) -> Any:
        return count - 1 - arg if isinstance(arg, int) and arg < 0 else arg

    body = tuple(
        Instr(i.kind, i.op, i.expr, tuple([final(a) for a in i.args]), i.dtype) for i in state.body
    )
    return body, tuple((final(value), access) for value, access in stored)


def _input_access(state: Lowering, read: Read) -> Access:
    from hybrid.kernels.region import Access, Pick, Window

    layout = read.layout.expand(state.space)
    # Where all reduced axes have size 1, an operand is as much the whole of them as a broadcast
    # along them. Counted as the whole: whatever is computed from it can then be reduced.
    whole = state.axes if all(state.space[axis] == 1 for axis in state.axes) else ()
    strides = tuple(
        stride if size != 1 else int(axis in whole)
        for axis, (size, stride) in enumerate(zip(state.space, layout.strides, strict=True))
    )
    picks = []
    for pick in read.picks:
        number = argument_of(state, pick.index)
        assert isinstance(number, int)
        picks.append(Pick(number, pick.size, pick.step))
    windows = tuple(
        Window(_position(state, read.layout.shape, axis), low, high)
        for axis, low, high in read.windows
    )
    more = tuple(picks), windows, False, read.words
    return Access(read.stored.name, state.ranks[read.operand], layout.offset, strides, *more)
