"""A Region: the description of what becomes one kernel.

It is a loop nest over ``space`` with a scalar body. Values are numbered: first the inputs, then
the results of the body's instructions, in order. No name, no size and no address of a tensor
appears in it; it says where each operand's elements lie, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

import numpy as np

from hybrid.records import dataclass

REDUCTIONS = ("sum", "prod", "max", "min", "any", "all")
HALVES = frozenset(("float16", "bfloat16"))
SCANS = ("sum", "prod", "max", "min")
COMPLEX = frozenset(("complex64", "complex128"))
# What all kernels compute in; those of the CPU in complex numbers too.
DTYPES = frozenset(
    (
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float32",
        "float64",
    )
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A scalar constant of the body."""

    value: complex
    dtype: str


@dataclass(frozen=True, slots=True)
class Pick:
    """An index that says where along an axis an operand is read.

    Attributes
    ----------
    index
        The input of the region that holds the index, from ``-size`` up to, not including, ``size``.
    size, step
        The size of the axis, and its stride in elements.
    """

    index: int
    size: int
    step: int


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of an axis outside of which an operand has no elements.

    Attributes
    ----------
    position
        The input of the region that is the position along the axis.
    low, high
        The first place inside, and the first behind it.
    """

    position: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Access:
    """One array operand as the kernel sees it.

    Attributes
    ----------
    dtype, ndim
        Dtype and rank of the ndarray that is passed at the call. Elements of 16-bit floats are
        float32 as values of the body; what is stored in 16 bits is rounded to them before.
    offset, strides
        In elements of that ndarray's memory, counted from its data pointer; one stride for each
        axis of the region's space, 0 where the operand is broadcast.
    picks
        Indices, of an input, that move the place of its elements further.
    windows
        Stretches that limit an input; it is not read outside, its value there is zero.
    is_position
        Whether nothing is read: the element of an input is its own place, offset and strides being
        those of a position. Some array is passed all the same.
    words
        Elements are words of a random stream, of this dtype; the array is its state, offset and
        strides are those of a position in the stream.
    """

    dtype: str
    ndim: int
    offset: int
    strides: tuple[int, ...]
    picks: tuple[Pick, ...] = ()
    windows: tuple[Window, ...] = ()
    is_position: bool = False
    words: str = ""

    @property
    def sources(self) -> tuple[int, ...]:
        """The inputs that say where this one is read."""
        return (*(p.index for p in self.picks), *(w.position for w in self.windows))


@dataclass(frozen=True, slots=True)
class Instr:
    """One instruction of the body.

    Attributes
    ----------
    kind
        ``"map"``, ``"reduce"``, ``"scan"``, ``"cast"``, or ``"inside"``: whether the place is
        inside of the windows of an input.
    op
        Name of the op, for reading; the target dtype of a cast.
    expr
        Scalar template of a map such as ``"{0} + exp({1})"``; which reduction (one of
        ``REDUCTIONS``) or scan (``SCANS``); empty for a cast.
    args
        Value numbers or literals.
    dtype
        Dtype of the result.
    """

    kind: str
    op: str
    expr: str
    args: tuple[int | Literal, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Region:
    """A loop nest over ``space``; every reduction in it reduces ``axes``.

    A region of scans has no reductions; its only axis among ``axes`` is the one that all scans
    run along, from the first element to the last.
    """

    space: tuple[int, ...]
    axes: tuple[int, ...]
    inputs: tuple[Access, ...]
    body: tuple[Instr, ...]
    outputs: tuple[tuple[int, Access], ...]

    def dtype_of(self, value: int) -> str:
        """Dtype of a value."""
        if value < len(self.inputs):
            return self.inputs[value].words or register_dtype(self.inputs[value].dtype)
        return self.body[value - len(self.inputs)].dtype


def register_dtype(dtype: str) -> str:
    """The dtype in which a body has the elements of an array."""
    return "float32" if dtype in HALVES else dtype


def outer_values(region: Region) -> frozenset[int]:
    """The values that have one element for each point of the kept axes.

    Those are the results of reductions and whatever is computed only from them; an input whose
    strides are 0 on all reduced axes is among them (it can be read inside the loops as well).
    """
    if not region.axes:
        return frozenset()
    still = [all(access.strides[a] == 0 for a in region.axes) for access in region.inputs]
    outer = {
        number
        for number, access in enumerate(region.inputs)
        if still[number] and all(still[source] for source in access.sources)
    }
    for number, instr in enumerate(region.body, len(region.inputs)):
        arguments = [arg for arg in instr.args if isinstance(arg, int)]
        inherited = instr.kind != "scan" and arguments and all(arg in outer for arg in arguments)
        if instr.kind == "reduce" or inherited:
            outer.add(number)
    return frozenset(outer)


def _problems(region: Region, known: Set[str]) -> Iterator[str]:
    dtypes = [register_dtype(access.dtype) for access in region.inputs]
    dtypes += [instr.dtype for instr in region.body]
    dtypes += [register_dtype(access.dtype) for _, access in region.outputs]
    for dtype in dict.fromkeys(dtypes):
        if dtype not in known:
            yield f"dtype {dtype} has no fused kernels"
    accesses = [*region.inputs, *(access for _, access in region.outputs)]
    if any(len(access.strides) != len(region.space) for access in accesses):
        yield "an operand has not one stride for each axis of the space"
    if not region.outputs:
        yield "nothing is written"
    reduces = [instr for instr in region.body if instr.kind == "reduce"]
    if reduces and not region.axes:
        yield "a reduction over no axes"
    for instr in reduces:
        if instr.expr not in REDUCTIONS:
            yield f"unknown reduction {instr.expr}"
    scans = [instr for instr in region.body if instr.kind == "scan"]
    if scans and (reduces or len(region.axes) != 1):
        yield "scans beside reductions, or along several axes"
    for instr in scans:
        if instr.expr not in SCANS:
            yield f"unknown scan {instr.expr}"
    if region.axes and not reduces and not scans:
        yield "reduced axes without a reduction"
    for instr in reduces:
        if not isinstance(instr.args[0], int):
            yield "a reduction of a literal"
    if any(instr.dtype in COMPLEX for instr in (*reduces, *scans)):
        yield "a reduction or a scan of complex numbers"
    outer = outer_values(region)
    long_axes = [axis for axis in region.axes if region.space[axis] > 1]
    for value, access in region.outputs:
        if value not in outer and long_axes and not any(access.strides[a] for a in long_axes):
            yield "a value of the whole space is stored on the kept axes"


def unsupported(region: Region, known: Set[str] = DTYPES | COMPLEX) -> str:
    """Why no kernel can be made of the region in the known dtypes; empty if one can."""
    return next(_problems(region, known), "")


def supported(region: Region) -> bool:
    """Whether a kernel can be made of the region."""
    return not unsupported(region)


def region_bytes(region: Region) -> int:
    """Bytes that one run moves if every operand element is touched once."""
    total = 0
    for access in (*region.inputs, *(access for _, access in region.outputs)):
        count = 0 if access.is_position or access.words else 1
        for size, stride in zip(region.space, access.strides, strict=True):
            count *= size if stride else 1
        total += count * np.dtype(access.dtype).itemsize
    return total


def _argument(arg: int | Literal) -> str:
    return f"%{arg}" if isinstance(arg, int) else repr(arg.value)


def format_region(region: Region) -> str:
    """The region as stable text, one line for each operand and instruction."""
    reduced = f" reduce {list(region.axes)}" if region.axes else ""
    lines = [f"region {list(region.space)}{reduced}"]
    for number, access in enumerate(region.inputs):
        what = "position" if access.is_position else f"load {access.dtype}"
        what = f"draw {access.words}" if access.words else what
        lines.append(
            f"  %{number} = {what} offset {access.offset} strides {list(access.strides)}"
            + "".join(f" at %{p.index} of {p.size} by {p.step}" for p in access.picks)
            + "".join(f" where {w.low} <= %{w.position} < {w.high}" for w in access.windows)
        )
    for number, instr in enumerate(region.body, len(region.inputs)):
        arguments = ", ".join(map(_argument, instr.args))
        detail = f'  # "{instr.expr}"' if instr.kind == "map" else ""
        lines.append(f"  %{number} = {instr.kind} {instr.op}({arguments}) -> {instr.dtype}{detail}")
    for value, access in region.outputs:
        lines.append(
            f"  store %{value} {access.dtype} offset {access.offset} strides {list(access.strides)}"
        )
    return "\n".join(lines)
