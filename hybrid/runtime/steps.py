"""What a Plan does, step by step: made by the scheduling, read by the memory plan and driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core.formula import Input
from hybrid.core.fused import is_view
from hybrid.core.graph import Const, FuncGraph, Node
from hybrid.core.layout import Layout
from hybrid.core.op import Attrs
from hybrid.core.spec import TensorSpec
from hybrid.core.substitute import substitute
from hybrid.records import dataclass

if TYPE_CHECKING:
    from hybrid.kernels.region import Access, Region


@dataclass(frozen=True, eq=False, slots=True)
class Root:
    """An array that exists while a Plan runs; equal only to itself.

    Parameters
    ----------
    origin : str
        ``"parameter"``; ``"planned"``: the Plan provides its memory; ``"result"``: a library
        function does; ``"constant"``: computed when the Plan is made; ``"window"``: it is part of
        the memory of another one.
    number : int
        Counts the roots of one origin.
    spec : TensorSpec
    layout : Layout
        How a parameter or a window lies; all others are contiguous.
    start : int
        The step that writes it.
    base : Root, optional
        Of a window, whose memory it is.
    """

    origin: str
    number: int
    spec: TensorSpec
    layout: Layout
    start: int = 0
    base: Root | None = None

    @property
    def owner(self) -> Root:
        """The root whose memory it is: itself, but for windows."""
        return self if self.base is None else self.base

    @property
    def planned(self) -> bool:
        """Whether the Plan provides the memory."""
        return self.origin == "planned"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lies: in the array of `root`, reached by the view ops of `chain`."""

    root: Root
    layout: Layout
    chain: tuple[Node, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the value has each element of the root exactly once."""
        stretched = any(
            size > 1 and stride == 0
            for size, stride in zip(self.layout.shape, self.layout.strides, strict=True)
        )
        return prod(self.layout.shape) == self.root.spec.size and not stretched


@dataclass(frozen=True, slots=True)
class KernelStep:
    """A call of a fused kernel: one array for each input and output of the region."""

    node: Node
    region: Region
    inputs: tuple[Root, ...]
    outputs: tuple[Root, ...]

    @property
    def name(self) -> str:
        """What the kernel computes."""
        return describe(self.node)

    @property
    def reads(self) -> int:
        """Bytes that one run reads, each element counted once."""
        return sum(_touched(self.region, access) for access in self.region.inputs)

    @property
    def writes(self) -> int:
        """Bytes that one run writes."""
        return sum(_touched(self.region, access) for _, access in self.region.outputs)


@dataclass(frozen=True, slots=True)
class LibraryStep:
    """A call of a library function, or of an op's eager form.

    Parameters
    ----------
    node : Node
    args : tuple of Place or Const
    outputs : tuple of Root
    into : callable, optional
        What to call with ``out=`` the planned array; the eager form of the op where None.
    reason : str
        Why a fused node is not a kernel.
    """

    node: Node
    args: tuple[Place | Const, ...]
    outputs: tuple[Root, ...]
    into: Callable[..., Any] | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """What is called."""
        return describe(self.node)

    @property
    def reads(self) -> int:
        """Bytes of all arguments."""
        return sum(
            prod(arg.layout.shape) * arg.root.spec.dtype.itemsize
            for arg in self.args
            if isinstance(arg, Place)
        )

    @property
    def writes(self) -> int:
        """Bytes of all results."""
        return sum(root.spec.nbytes for root in self.outputs)


@dataclass(frozen=True, slots=True)
class WriteStep:
    """An assignment to an array, or to a part of it, that leaves the rest as it is."""

    node: Node
    source: Place | Const
    target: Place

    @property
    def name(self) -> str:
        """What is done."""
        return "write" if self.target.chain else "copy"

    @property
    def outputs(self) -> tuple[Root, ...]:
        """The array that is written."""
        return (self.target.root,)

    @property
    def reads(self) -> int:
        """Bytes of the source."""
        if isinstance(self.source, Const):
            return 0
        return prod(self.source.layout.shape) * self.source.root.spec.dtype.itemsize

    @property
    def writes(self) -> int:
        """Bytes that are written."""
        return prod(self.target.layout.shape) * self.target.root.spec.dtype.itemsize


@dataclass(frozen=True, slots=True)
class WindowStep:
    """A part of an array whose place depends on counters becomes an array of its own.

    Parameters
    ----------
    node : Node
        A `moving_view` or `moving_update`, whose attrs say which part.
    source : Place
    counters : tuple of Place or Const
    offset : int
        Where the part begins in the array of the source for counters of 0, in elements.
    units : tuple of int
        How many elements further each counter moves it by 1.
    output : Root
    """

    node: Node
    source: Place
    counters: tuple[Place | Const, ...]
    offset: int
    units: tuple[int, ...]
    output: Root
    reads = writes = 0

    @property
    def name(self) -> str:
        """What is done."""
        return "window"

    @property
    def outputs(self) -> tuple[Root, ...]:
        """The window."""
        return (self.output,)


Step = KernelStep | LibraryStep | WriteStep | WindowStep


@dataclass(frozen=True, slots=True)
class Later:
    """An array that a node without inputs makes once the sizes are known."""

    node: Node

    def for_sizes(self, sizes: Mapping[Input, int]) -> np.ndarray[Any, Any]:
        """Return the array."""
        return computed(self.node, substitute(self.node.attrs, sizes))[0]


def computed(node: Node, attrs: Attrs) -> list[np.ndarray[Any, Any]]:
    """Return the results of a node whose inputs are literals, read-only."""
    arrays = [np.array(x.value, x.spec.dtype) for x in node.inputs if isinstance(x, Const)]
    found = node.op.eager(np, *arrays, **attrs)
    results = []
    for value, array in zip(node.outputs, found if node.op.multi else (found,), strict=True):
        kept = np.array(array, value.spec.dtype, order="C")
        kept.setflags(write=False)
        results.append(kept)
    return results


@dataclass(frozen=True, slots=True)
class Return:
    """An output of the Plan; `owned` says that the root's memory itself is handed out."""

    source: Place | Const
    owned: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a Plan does, in order; views are in the places."""

    name: str
    parameters: tuple[Root, ...]
    inputs: int
    steps: tuple[Step, ...]
    planned: tuple[Root, ...]
    constants: tuple[tuple[Root, np.ndarray[Any, Any] | Later], ...]
    returns: tuple[Return, ...]


def describe(node: Node) -> str:
    """Name the ops of a node, those of the body for a fused one."""
    body = node.attrs.get("body")
    if node.op.name != "fused" or not isinstance(body, FuncGraph):
        return node.op.name
    names = [inner.op.name for inner in body.nodes if not is_view(inner)]
    return f"fused({', '.join(names)})"


def tells_scalars(node: Node) -> bool:
    """Tell whether an op may want Python scalars as such rather than as arrays."""
    op = node.op
    return not (op.elementwise or op.view is not None or op.name in ("astype", "fused"))


def _touched(region: Region, access: Access) -> int:
    if access.is_position or access.words:
        return 0
    count = prod(n for n, stride in zip(region.space, access.strides, strict=True) if stride)
    return count * np.dtype(access.dtype).itemsize
