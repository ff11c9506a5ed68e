"""FuncGraph -> steps: which kernels and library calls run, on which arrays.

Every value of the graph gets a place: an array that exists when the Plan runs (its root), and the
layout of the value in it. View ops only make a new place, so they cost nothing in kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core.fused import is_view
from hybrid.core.graph import Const, FuncGraph, Node, Operand, Value
from hybrid.core.layout import Layout, contiguous
from hybrid.core.spec import TensorSpec
from hybrid.runtime.lower import Unsupported, lower

if TYPE_CHECKING:
    from hybrid.kernels.region import Access, Region

CONSTANT_BYTES = 1 << 18  # the largest array that a Plan computes once and keeps

# Library functions that write into an array they are given, by the name of the op.
INTO: dict[str, Callable[..., Any]] = {"matmul": np.matmul}


@dataclass(frozen=True, eq=False, slots=True)
class Root:
    """An array that exists while a Plan runs; equal only to itself.

    Parameters
    ----------
    origin : str
        ``"parameter"``; ``"planned"``: the Plan provides its memory; ``"result"``: a library
        function does; ``"constant"``: computed when the Plan is made.
    number : int
        Counts the roots of one origin.
    spec : TensorSpec
    layout : Layout
        How a parameter lies; all others are contiguous.
    start : int
        The step that writes it.
    """

    origin: str
    number: int
    spec: TensorSpec
    layout: Layout
    start: int = 0

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


Step = KernelStep | LibraryStep


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
    constants: tuple[tuple[Root, np.ndarray[Any, Any]], ...]
    returns: tuple[Return, ...]


@dataclass(slots=True)
class _Building:
    places: dict[Value, Place] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    planned: list[Root] = field(default_factory=list)
    constants: list[tuple[Root, np.ndarray[Any, Any]]] = field(default_factory=list)
    results: int = 0

    def place(self, operand: Operand) -> Place | Const:
        return operand if isinstance(operand, Const) else self.places[operand]

    def plan(self, spec: TensorSpec) -> Root:
        root = Root("planned", len(self.planned), spec, contiguous(spec.shape), len(self.steps))
        self.planned.append(root)
        return root

    def result(self, spec: TensorSpec) -> Root:
        self.results += 1
        layout = contiguous(spec.shape)
        return Root("result", self.results - 1, spec, layout, len(self.steps))

    def define(self, values: tuple[Value, ...], roots: tuple[Root, ...]) -> None:
        for value, root in zip(values, roots, strict=True):
            self.places[value] = Place(root, root.layout)


def schedule(graph: FuncGraph, layouts: tuple[Layout, ...]) -> Schedule:
    """Order the work of a graph and say where each value lies.

    Parameters
    ----------
    graph : FuncGraph
        Optimised.
    layouts : tuple of Layout
        How each parameter lies in the ndarray that is passed for it.

    Returns
    -------
    Schedule
    """
    building = _Building()
    parameters = []
    for number, (value, layout) in enumerate(zip(graph.parameters, layouts, strict=True)):
        root = Root("parameter", number, value.spec, replace(layout, offset=0))
        parameters.append(root)
        building.define((value,), (root,))
    for node in graph.nodes:
        _schedule_node(building, node)
    returns = tuple(_returns(building, graph.outputs))
    return Schedule(
        graph.name,
        tuple(parameters),
        len(graph.inputs),
        tuple(building.steps),
        tuple(building.planned),
        tuple(building.constants),
        returns,
    )


def _schedule_node(building: _Building, node: Node) -> None:
    if is_view(node) and _schedule_view(building, node):
        return
    if node.op.name != "fused":
        if not _schedule_constant(building, node):
            _schedule_library(building, node)
    elif all(value.spec.size == 0 for value in node.outputs):
        building.define(node.outputs, tuple(building.plan(v.spec) for v in node.outputs))
    else:
        _schedule_fused(building, node)


def _schedule_constant(building: _Building, node: Node) -> bool:
    """Compute a node now that depends on nothing: ``arange(128)``, a block of zeros."""
    literals = all(isinstance(operand, Const) for operand in node.inputs)
    if node.op.impure or not literals or node.output.spec.nbytes > CONSTANT_BYTES:
        return False
    arrays = [np.array(operand.value, operand.spec.dtype) for operand in _constants(node)]
    try:
        found = node.op.eager(np, *arrays, **node.attrs)
    except Exception:  # the same error is due when the Plan runs, with the user's line
        return False
    for value, array in zip(node.outputs, found if node.op.multi else (found,), strict=True):
        root = Root("constant", len(building.constants), value.spec, contiguous(value.spec.shape))
        kept = np.array(array, value.spec.dtype, order="C")
        kept.setflags(write=False)
        building.constants.append((root, kept))
        building.define((value,), (root,))
    return True


def _constants(node: Node) -> Iterator[Const]:
    for operand in node.inputs:
        if isinstance(operand, Const):
            yield operand


def _schedule_view(building: _Building, node: Node) -> bool:
    source = building.place(node.inputs[0])
    if isinstance(source, Const):
        return False
    assert node.op.view is not None
    layout = node.op.view(source.layout, **node.attrs)
    if layout is None:
        return False
    building.places[node.output] = Place(source.root, layout, (*source.chain, node))
    return True


def _schedule_fused(building: _Building, node: Node) -> None:
    places = []
    for operand in node.inputs:
        place = building.place(operand)
        if isinstance(place, Const):
            return _schedule_library(building, node, "a literal among its inputs")
        places.append(place)
    if any(0 in place.layout.shape for place in places):
        # The reduction of nothing: rare, and an error for some reductions.
        return _schedule_library(building, node, "an input without elements")
    roots = [place.root for place in places]
    layouts = tuple(place.layout for place in places)
    try:
        lowered = lower(node.attrs["body"], layouts, tuple(map(roots.index, roots)))
    except Unsupported as reason:
        return _schedule_library(building, node, str(reason))
    inputs = tuple(roots[i] for i in lowered.operands)
    outputs = tuple(building.plan(value.spec) for value in node.outputs)
    building.steps.append(KernelStep(node, lowered.region, inputs, outputs))
    building.define(node.outputs, outputs)


def _schedule_library(building: _Building, node: Node, reason: str = "") -> None:
    args = tuple(building.place(operand) for operand in node.inputs)
    into = _into(node)
    create = building.result if into is None else building.plan
    outputs = tuple(create(value.spec) for value in node.outputs)
    building.steps.append(LibraryStep(node, args, outputs, into, reason))
    building.define(node.outputs, outputs)


def _into(node: Node) -> Callable[..., Any] | None:
    """Return the function that computes a node into a given array, if there is one."""
    into = INTO.get(node.op.name)
    if into is None or node.attrs:
        return None
    # NumPy casts and converts where dtypes differ; the op's own eager form knows how it wants it.
    kinds = {operand.spec.dtype for operand in (*node.inputs, *node.outputs)}
    return into if len(kinds) == 1 and kinds.pop().kind in "biufc" else None


def _returns(building: _Building, outputs: tuple[Operand, ...]) -> Iterator[Return]:
    owned: set[Root] = set()
    for operand in outputs:
        source = building.place(operand)
        if isinstance(source, Const):
            yield Return(source, False)
            continue
        root = source.root
        fresh = root.origin not in ("parameter", "constant")
        own = fresh and root not in owned and source.whole
        if own:
            owned.add(root)
        yield Return(source, own)


def describe(node: Node) -> str:
    """Name the ops of a node, those of the body for a fused one."""
    body = node.attrs.get("body")
    if node.op.name != "fused" or not isinstance(body, FuncGraph):
        return node.op.name
    names = [inner.op.name for inner in body.nodes if not is_view(inner)]
    return f"fused({', '.join(names)})"


def _touched(region: Region, access: Access) -> int:
    count = prod(n for n, stride in zip(region.space, access.strides, strict=True) if stride)
    return count * np.dtype(access.dtype).itemsize
