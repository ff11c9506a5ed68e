"""A fused node becomes a Region: which loops, which operands, which scalar instructions.

The body of a fused node is in the canonical form that ``hybrid.core.fused`` describes. Lowering
turns its view ops into strides, so that a kernel reads a transposed or broadcast operand where it
lies. What no kernel can do is refused with a reason; the Plan then runs the body eagerly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid import dtypes
from hybrid.core.fused import axes_of, is_view, space_of
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.core.layout import Layout, contiguous
from hybrid.core.op import Block
from hybrid.core.spec import Shape, TensorSpec
from hybrid.dtypes import DType
from hybrid.records import dataclass

if TYPE_CHECKING:
    from hybrid.kernels.region import Access, Instr, Literal, Region


class Unsupported(Exception):
    """No kernel can be made of a body; the message says why. Never reaches the user."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """A Region and the arrays to call its kernel with.

    Parameters
    ----------
    region : Region
    operands : tuple of int
        For each input of the region, the input of the fused node whose array it reads.
    """

    region: Region
    operands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Pick:
    """An index into an axis of `size` elements that are `step` apart."""

    index: _Read
    size: int
    step: int


@dataclass(frozen=True, slots=True)
class _Read:
    """A value of the body that lies in an array: an input of the node, seen through views.

    With `picks`, its elements lie where the layout says and then as many steps further on as the
    indices say; the layout and those of the indices have one shape. Outside of `windows` (axis,
    first place, place behind the last) it has no elements. Where they are `words` of a random
    stream, the array is its state and the layout that of the stream.
    """

    operand: int
    layout: Layout
    stored: DType
    picks: tuple[_Pick, ...] = ()
    windows: tuple[tuple[int, int, int], ...] = ()
    words: str = ""

    @property
    def dtype(self) -> str:
        """The dtype of its elements as values of a region."""
        return self.words or _register(self.stored)


@dataclass(slots=True)
class _Lowering:
    """The state while one body is walked; inputs are numbered when they are first read."""

    space: Shape
    axes: tuple[int, ...]
    ranks: tuple[int, ...]
    reads: dict[tuple[int, Access], int] = field(default_factory=dict)
    body: list[Instr] = field(default_factory=list)
    env: dict[Value, _Read | Literal | _Result] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of an instruction of the region, by its position in the body."""

    position: int
    dtype: str


def lower(
    body: FuncGraph,
    layouts: tuple[Layout, ...],
    arrays: tuple[int, ...] | None = None,
    refused: Callable[[Region], str] | None = None,
) -> Lowered:
    """Describe the body of a fused node as a Region.

    Parameters
    ----------
    body : FuncGraph
        In the canonical form.
    layouts : tuple of Layout
        How each input lies, counted from the first element of the array that is passed for it.
    arrays : tuple of int, optional
        For each input, the first one that lies in the same array; no two do where left out.
    refused : callable, optional
        Says of a Region why no kernel can be made of it, or nothing; by default that of the CPU.

    Returns
    -------
    Lowered

    Raises
    ------
    Unsupported
        Where no kernel can compute it.
    """
    from hybrid.kernels.region import Region

    ranks = tuple(len(layout.shape) for layout in layouts)
    state = _Lowering(space_of(body), axes_of(body), ranks)
    numbers = arrays if arrays is not None else range(len(layouts))
    for number, value, layout in zip(numbers, body.inputs, layouts, strict=True):
        state.env[value] = _Read(number, layout, value.spec.dtype)
    for node in body.nodes:
        _lower_node(state, node)
    stored = [_stored(state, output) for output in body.outputs]
    body_instrs, outputs = _numbered(state, stored)
    inputs = tuple(access for _, access in state.reads)
    region = Region(state.space, state.axes, inputs, body_instrs, outputs)
    reason = (refused or refused_by_cpu)(region)
    if reason:
        raise Unsupported(reason)
    return Lowered(region, tuple(operand for operand, _ in state.reads))


def _lower_node(state: _Lowering, node: Node) -> None:
    from hybrid.kernels.region import Instr
    from hybrid.kernels.spec import holds_for_complex

    op = node.op
    spec = node.output.spec
    if is_view(node):
        state.env[node.output] = _lower_view(state, node)
    elif op.picks:
        state.env[node.output] = _lower_picks(state, node)
    elif op.draws:
        state.env[node.output] = _lower_draws(state, node)
    elif op.blocks is not None:
        state.env[node.output] = _lower_blocks(state, node)
    elif op.name == "astype":
        state.env[node.output] = _cast_to(state, node.inputs[0], spec.dtype)
    elif op.reduce is not None:
        state.env[node.output] = _lower_reduction(state, node)
    elif op.scan is not None:
        state.env[node.output] = _lower_scan(state, node)
    elif op.scalar is not None:
        complexes = any(x.spec.dtype.kind == "c" for x in node.inputs)
        if complexes and not holds_for_complex(op.scalar):
            raise Unsupported(f"{op.name} of complex numbers")
        args = tuple(_argument(state, x) for x in node.inputs)
        instr = Instr("map", op.name, _template(op.scalar, node), args, _register(spec.dtype))
        state.env[node.output] = _rounded(state, _emit(state, instr), spec.dtype)
    else:
        raise Unsupported(f"{op.name} has no scalar expression")


def _lower_view(state: _Lowering, node: Node) -> _Read | Literal:
    from hybrid.kernels.region import Literal

    found = _lookup(state, node.inputs[0])
    if isinstance(found, Literal):
        return found
    if not isinstance(found, _Read):
        raise Unsupported(f"{node.op.name} of a value that the kernel computes")
    return _viewed(found, node)


def _viewed(read: _Read, node: Node) -> _Read:
    assert node.op.view is not None
    layout = node.op.view(read.layout, **node.attrs)
    if layout is None:
        raise Unsupported(f"{node.op.name} needs a copy")
    picks = tuple(replace(pick, index=_viewed(pick.index, node)) for pick in read.picks)
    return replace(read, layout=layout, picks=picks)


def _lower_picks(state: _Lowering, node: Node) -> _Read:
    """Read the first input where the others say; all get the shape of the result."""
    base, *index = (_lookup(state, x) for x in node.inputs)
    if not isinstance(base, _Read) or base.picks:
        raise Unsupported(f"{node.op.name} of a value that the kernel computes")
    axes, at = node.attrs["axes"], node.attrs["at"]
    shape, layout = node.output.spec.shape, base.layout
    rest = [stride for a, stride in enumerate(layout.strides) if a not in axes]
    block = len(shape) - len(rest)
    strides = (*rest[:at], *(0,) * block, *rest[at:])
    picks = []
    for axis, read in zip(axes, index, strict=True):
        if not isinstance(read, _Read) or read.picks:
            raise Unsupported(f"{node.op.name} at indices that the kernel computes")
        own = read.layout.expand(shape[at : at + block])
        wide = (*(0,) * at, *own.strides, *(0,) * (len(rest) - at))
        index_read = replace(read, layout=Layout(shape, wide, own.offset))
        picks.append(_Pick(index_read, layout.shape[axis], layout.strides[axis]))
    return _Read(base.operand, Layout(shape, strides, layout.offset), base.stored, tuple(picks))


def _lower_draws(state: _Lowering, node: Node) -> _Read:
    """Read words of a stream; each value of the body that draws has words of its own place."""
    source, spec = _lookup(state, node.inputs[0]), node.output.spec
    if not isinstance(source, _Read) or source.layout.offset or source.layout.strides != (1,):
        raise Unsupported(f"{node.op.name} of a state that lies elsewhere")
    layout = contiguous(spec.shape)
    return _Read(source.operand, layout, source.stored, words=spec.dtype.name)


def _lower_blocks(state: _Lowering, node: Node) -> _Result:
    """Choose by the place between the blocks that lie side by side."""
    from hybrid.kernels.region import Instr, Literal

    assert node.op.blocks is not None
    spec = node.output.spec
    found = node.op.blocks(*(x.spec for x in node.inputs), **node.attrs)
    if found is None:
        raise Unsupported(f"{node.op.name} of this kind")
    dtype = _register(spec.dtype)
    chosen: int | Literal | None = None
    if found[0] is not None:
        chosen = Literal(np.asarray(found[0], spec.dtype).astype(dtype).item(), dtype)
    for block in found[1]:
        read = _lookup(state, node.inputs[block.source])
        if not isinstance(read, _Read) or read.picks or read.words or read.stored != spec.dtype:
            raise Unsupported(f"{node.op.name} of a value that the kernel computes")
        found_at = _block(read, block, spec.shape)
        number = _argument_of(state, found_at)
        if not found_at.windows:
            return _emit(state, Instr("map", "copy", "{0}", (number,), dtype))
        if chosen is None:
            chosen = number
            continue
        inside = _emit(state, Instr("inside", "inside", "", (number,), "bool"))
        args = (-1 - inside.position, number, chosen)
        result = _emit(state, Instr("map", "where", "select({0}, {1}, {2})", args, dtype))
        chosen = -1 - result.position
    return result


def _block(read: _Read, block: Block, shape: Shape) -> _Read:
    """Read a block of an array where it goes in an array of `shape`, and nothing elsewhere."""
    layout = read.layout
    moved = zip(block.first, block.at, layout.strides, strict=True)
    offset = layout.offset + sum((first - at) * stride for first, at, stride in moved)
    windows = tuple(
        (axis, at, at + size)
        for axis, (at, size, n) in enumerate(zip(block.at, block.sizes, shape, strict=True))
        if size != n
    )
    return replace(read, layout=Layout(shape, layout.strides, offset), windows=windows)


def _position(state: _Lowering, shape: Shape, axis: int) -> int:
    """Return the input that is the position along an axis of an array of `shape`."""
    from hybrid.kernels.region import Access

    unit = tuple(int(i == axis) for i in range(len(shape)))
    strides = Layout(shape, unit).expand(state.space).strides
    access = Access("int64", 0, 0, strides, is_position=True)
    return state.reads.setdefault((0, access), len(state.reads))


def _lower_reduction(state: _Lowering, node: Node) -> _Result:
    from hybrid.kernels.region import Instr

    assert node.op.reduce is not None
    operand, dtype = node.inputs[0], node.output.spec.dtype.name
    shape = operand.spec.shape
    if len(shape) != len(state.space) or any(shape[a] != state.space[a] for a in state.axes):
        raise Unsupported(f"{node.op.name} over less than the iteration space")
    if node.attrs["axis"] != state.axes:
        raise Unsupported("reductions over different axes")
    # Sums of small integers are wider than what is summed; the kernel adds in one dtype.
    argument = operand
    if operand.spec.dtype.name != dtype:
        widened = Value(TensorSpec(shape, node.output.spec.dtype))
        state.env[widened] = _cast(state, operand, dtype)
        argument = widened
    args = (_argument(state, argument),)
    return _emit(state, Instr("reduce", node.op.name, node.op.reduce, args, dtype))


def _lower_scan(state: _Lowering, node: Node) -> _Result:
    from hybrid.kernels.region import Instr

    assert node.op.scan is not None
    spec = node.output.spec
    if spec.shape != state.space or (node.attrs["axis"],) != state.axes:
        raise Unsupported(f"{node.op.name} of less than the iteration space")
    args = (_argument(state, node.inputs[0]),)
    return _emit(state, Instr("scan", node.op.name, node.op.scan, args, spec.dtype.name))


def _register(dtype: DType) -> str:
    """Return the dtype that a value has in a region: 16-bit floats are float32 there."""
    return "float32" if dtypes.is_half(dtype) else dtype.name


def refused_by_cpu(region: Region) -> str:
    """Say why the CPU has no kernel of a region; nothing where it has one."""
    from hybrid.kernels import native
    from hybrid.kernels.region import unsupported

    stored = {access.dtype for access in (*region.inputs, *(a for _, a in region.outputs))}
    rounds = any(instr.op == "round_f16" for instr in region.body)
    if (rounds or "float16" in stored) and not native.converts_half():
        return "this processor does not convert float16"
    return unsupported(region)


def _rounded(state: _Lowering, found: _Result, dtype: DType) -> _Result:
    """Round a float32 to a 16-bit dtype, as each op does in eager code."""
    from hybrid.kernels.region import Instr

    if not dtypes.is_half(dtype):
        return found
    name = "round_f16" if dtype == dtypes.float16 else "round_bf16"
    return _emit(state, Instr("map", name, f"{name}({{0}})", (-1 - found.position,), "float32"))


def _cast_to(state: _Lowering, operand: Operand, dtype: DType) -> _Read | Literal | _Result:
    from hybrid.kernels.region import Instr, Literal

    if not dtypes.is_half(dtype) or operand.spec.dtype == dtype:
        return _cast(state, operand, _register(dtype))
    found = _cast(state, operand, "float32")
    if isinstance(found, Literal):
        return Literal(float(np.asarray(found.value, dtype)), "float32")
    if isinstance(found, _Read):
        argument = _argument_of(state, found)
        found = _emit(state, Instr("map", "copy", "{0}", (argument,), "float32"))
    return _rounded(state, found, dtype)


def _cast(state: _Lowering, operand: Operand, dtype: str) -> _Read | Literal | _Result:
    from hybrid.kernels.region import Instr, Literal

    found = _lookup(state, operand)
    if found.dtype == dtype:
        return found
    if isinstance(found, Literal):
        value = np.asarray(found.value, found.dtype).astype(dtype).item()
        return Literal(value, dtype)
    return _emit(state, Instr("cast", dtype, "", (_argument(state, operand),), dtype))


def _emit(state: _Lowering, instr: Instr) -> _Result:
    state.body.append(instr)
    return _Result(len(state.body) - 1, instr.dtype)


def _lookup(state: _Lowering, operand: Operand) -> _Read | Literal | _Result:
    from hybrid.kernels.region import Literal

    if not isinstance(operand, Const):
        return state.env[operand]
    if dtypes.is_half(operand.dtype):
        return Literal(float(np.asarray(operand.value, operand.dtype)), "float32")
    return Literal(operand.value, operand.dtype.name)


# Until all inputs are numbered, results of instructions are numbered from -1 downwards.
def _argument(state: _Lowering, operand: Operand) -> int | Literal:
    return _argument_of(state, _lookup(state, operand))


def _argument_of(state: _Lowering, found: _Read | Literal | _Result) -> int | Literal:
    if isinstance(found, _Read):
        access = _input_access(state, found)
        return state.reads.setdefault((found.operand, access), len(state.reads))
    if isinstance(found, _Result):
        return -1 - found.position
    return found


def _numbered(
    state: _Lowering, stored: list[tuple[int, Access]]
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


def _input_access(state: _Lowering, read: _Read) -> Access:
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
        number = _argument_of(state, pick.index)
        assert isinstance(number, int)
        picks.append(Pick(number, pick.size, pick.step))
    windows = tuple(
        Window(_position(state, read.layout.shape, axis), low, high)
        for axis, low, high in read.windows
    )
    more = tuple(picks), windows, False, read.words
    return Access(read.stored.name, state.ranks[read.operand], layout.offset, strides, *more)


def _stored(state: _Lowering, output: Operand) -> tuple[int, Access]:
    value = _argument(state, output)
    if not isinstance(value, int):
        raise Unsupported("a literal is stored")
    return value, output_access(output.spec, state.space)


def output_access(spec: TensorSpec, space: Shape) -> Access:
    """Return how a kernel over `space` stores a result into an array of its own."""
    return store_access(contiguous(spec.shape), spec, space)


def store_access(layout: Layout, spec: TensorSpec, space: Shape) -> Access:
    """Return how a kernel over `space` stores a result into a part of an array of `spec`."""
    from hybrid.kernels.region import Access

    layout = layout.expand(space)
    strides = tuple(
        stride if size != 1 else 0 for size, stride in zip(space, layout.strides, strict=True)
    )
    return Access(spec.dtype.name, spec.ndim, layout.offset, strides)


def _template(scalar: str, node: Node) -> str:
    """Put the attrs of a node into its scalar expression."""
    for name, value in node.attrs.items():
        scalar = scalar.replace(f"{{{name}}}", repr(value))
    return scalar
