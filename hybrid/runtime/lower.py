"""A fused node becomes a Region: which loops, which operands, which scalar instructions.

The body of a fused node is in the canonical form that ``hybrid.core.fused`` describes. Lowering
turns its view ops into strides, so that a kernel reads a transposed or broadcast operand where it
lies. What no kernel can do is refused with a reason; the Plan then runs the body eagerly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hybrid.core.fused import axes_of, is_view, space_of
from hybrid.core.graph import FuncGraph, Node, Operand, Value
from hybrid.core.layout import Layout, contiguous
from hybrid.core.op import Block
from hybrid.core.spec import Shape, TensorSpec
from hybrid.records import dataclass
from hybrid.runtime.instructions import (
    Index,
    Lowering,
    Read,
    Result,
    Unsupported,
    argument,
    argument_of,
    cast,
    cast_to,
    emit,
    lookup,
    numbered,
    register,
    rounded,
)
from hybrid.runtime.storing import output_access

if TYPE_CHECKING:
    from hybrid.kernels.region import Access, Literal, Region


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
    state = Lowering(space_of(body), axes_of(body), ranks)
    numbers = arrays if arrays is not None else range(len(layouts))
    for number, value, layout in zip(numbers, body.inputs, layouts, strict=True):
        state.env[value] = Read(number, layout, value.spec.dtype)
    for node in body.nodes:
        _lower_node(state, node)
    stored = [_stored(state, output) for output in body.outputs]
    body_instrs, outputs = numbered(state, stored)
    inputs = tuple(access for _, access in state.reads)
    region = Region(state.space, state.axes, inputs, body_instrs, outputs)
    reason = (refused or refused_by_cpu)(region)
    if reason:
        raise Unsupported(reason)
    return Lowered(region, tuple(operand for operand, _ in state.reads))


def _lower_node(state: Lowering, node: Node) -> None:
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
        state.env[node.output] = cast_to(state, node.inputs[0], spec.dtype)
    elif op.reduce is not None:
        state.env[node.output] = _lower_reduction(state, node)
    elif op.scan is not None:
        state.env[node.output] = _lower_scan(state, node)
    elif op.scalar is not None:
        complexes = any(x.spec.dtype.kind == "c" for x in node.inputs)
        if complexes and not holds_for_complex(op.scalar):
            raise Unsupported(f"{op.name} of complex numbers")
        args = tuple(argument(state, x) for x in node.inputs)
        instr = Instr("map", op.name, _template(op.scalar, node), args, register(spec.dtype))
        state.env[node.output] = rounded(state, emit(state, instr), spec.dtype)
    else:
        raise Unsupported(f"{op.name} has no scalar expression")


def _lower_view(state: Lowering, node: Node) -> Read | Literal:
    from hybrid.kernels.region import Literal

    found = lookup(state, node.inputs[0])
    if isinstance(found, Literal):
        return found
    if not isinstance(found, Read):
        raise Unsupported(f"{node.op.name} of a value that the kernel computes")
    return _viewed(found, node)


def _viewed(read: Read, node: Node) -> Read:
    assert node.op.view is not None
    layout = node.op.view(read.layout, **node.attrs)
    if layout is None:
        raise Unsupported(f"{node.op.name} needs a copy")
    picks = tuple(replace(pick, index=_viewed(pick.index, node)) for pick in read.picks)
    return replace(read, layout=layout, picks=picks)


def _lower_picks(state: Lowering, node: Node) -> Read:
    """Read the first input where the others say; all get the shape of the result."""
    base, *index = (lookup(state, x) for x in node.inputs)
    if not isinstance(base, Read) or base.picks:
        raise Unsupported(f"{node.op.name} of a value that the kernel computes")
    axes, at = node.attrs["axes"], node.attrs["at"]
    shape, layout = node.output.spec.shape, base.layout
    rest = [stride for a, stride in enumerate(layout.strides) if a not in axes]
    block = len(shape) - len(rest)
    strides = (*rest[:at], *(0,) * block, *rest[at:])
    picks = []
    for axis, read in zip(axes, index, strict=True):
        if not isinstance(read, Read) or read.picks:
            raise Unsupported(f"{node.op.name} at indices that the kernel computes")
        own = read.layout.expand(shape[at : at + block])
        wide = (*(0,) * at, *own.strides, *(0,) * (len(rest) - at))
        index_read = replace(read, layout=Layout(shape, wide, own.offset))
        picks.append(Index(index_read, layout.shape[axis], layout.strides[axis]))
    return Read(base.operand, Layout(shape, strides, layout.offset), base.stored, tuple(picks))


def _lower_draws(state: Lowering, node: Node) -> Read:
    """Read words of a stream; each value of the body that draws has words of its own place."""
    source, spec = lookup(state, node.inputs[0]), node.output.spec
    if not isinstance(source, Read) or source.layout.offset or source.layout.strides != (1,):
        raise Unsupported(f"{node.op.name} of a state that lies elsewhere")
    layout = contiguous(spec.shape)
    return Read(source.operand, layout, source.stored, words=spec.dtype.name)


def _lower_blocks(state: Lowering, node: Node) -> Result:
    """Choose by the place between the blocks that lie side by side."""
    from hybrid.kernels.region import Instr, Literal

    assert node.op.blocks is not None
    spec = node.output.spec
    found = node.op.blocks(*(x.spec for x in node.inputs), **node.attrs)
    if found is None:
        raise Unsupported(f"{node.op.name} of this kind")
    dtype = register(spec.dtype)
    chosen: int | Literal | None = None
    if found[0] is not None:
        chosen = Literal(np.asarray(found[0], spec.dtype).astype(dtype).item(), dtype)
    for block in found[1]:
        read = lookup(state, node.inputs[block.source])
        if not isinstance(read, Read) or read.picks or read.words or read.stored != spec.dtype:
            raise Unsupported(f"{node.op.name} of a value that the kernel computes")
        found_at = _block(read, block, spec.shape)
        number = argument_of(state, found_at)
        if not found_at.windows:
            return emit(state, Instr("map", "copy", "{0}", (number,), dtype))
        if chosen is None:
            chosen = number
            continue
        inside = emit(state, Instr("inside", "inside", "", (number,), "bool"))
        args = (-1 - inside.position, number, chosen)
        result = emit(state, Instr("map", "where", "select({0}, {1}, {2})", args, dtype))
        chosen = -1 - result.position
    return result


def _block(read: Read, block: Block, shape: Shape) -> Read:
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


def _lower_reduction(state: Lowering, node: Node) -> Result:
    from hybrid.kernels.region import Instr

    assert node.op.reduce is not None
    operand, dtype = node.inputs[0], node.output.spec.dtype.name
    shape = operand.spec.shape
    if len(shape) != len(state.space) or any(shape[a] != state.space[a] for a in state.axes):
        raise Unsupported(f"{node.op.name} over less than the iteration space")
    if node.attrs["axis"] != state.axes:
        raise Unsupported("reductions over different axes")
    # Sums of small integers are wider than what is summed; the kernel adds in one dtype.
    summed = operand
    if operand.spec.dtype.name != dtype:
        widened = Value(TensorSpec(shape, node.output.spec.dtype))
        state.env[widened] = cast(state, operand, dtype)
        summed = widened
    args = (argument(state, summed),)
    return emit(state, Instr("reduce", node.op.name, node.op.reduce, args, dtype))


def _lower_scan(state: Lowering, node: Node) -> Result:
    from hybrid.kernels.region import Instr

    assert node.op.scan is not None
    spec = node.output.spec
    if spec.shape != state.space or (node.attrs["axis"],) != state.axes:
        raise Unsupported(f"{node.op.name} of less than the iteration space")
    args = (argument(state, node.inputs[0]),)
    return emit(state, Instr("scan", node.op.name, node.op.scan, args, spec.dtype.name))


def refused_by_cpu(region: Region) -> str:
    """Say why the CPU has no kernel of a region; nothing where it has one."""
    from hybrid.kernels import native
    from hybrid.kernels.region import unsupported

    stored = {access.dtype for access in (*region.inputs, *(a for _, a in region.outputs))}
    rounds = any(instr.op == "round_f16" for instr in region.body)
    if (rounds or "float16" in stored) and not native.converts_half():
        return "this processor does not convert float16"
    return unsupported(region)


def _stored(state: Lowering, output: Operand) -> tuple[int, Access]:
    value = argument(state, output)
    if not isinstance(value, int):
        raise Unsupported("a literal is stored")
    return value, output_access(output.spec, state.space)


def _template(scalar: str, node: Node) -> str:
    """Put the attrs of a node into its scalar expression."""
    for name, value in node.attrs.items():
        scalar = scalar.replace(f"{{{name}}}", repr(value))
    return scalar
