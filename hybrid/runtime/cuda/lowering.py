"""Schedule + memory -> calls: what a card is asked for, in order, and in which memories.

The memories of a run are numbered: the parameters, then the constants of the Plan, its Python
numbers, its arena, and the results. Where arrays lie in the arena is decided as on the CPU; behind
them is room for what a single step needs, which all steps share.
"""

from __future__ import annotations

from dataclasses import field
from math import prod
from typing import Any

import numpy as np

from hybrid.core.graph import Const, Node
from hybrid.core.layout import contiguous
from hybrid.core.spec import Shape
from hybrid.dtypes import DType
from hybrid.kernels.cuda import products
from hybrid.kernels.cuda.card import Card
from hybrid.kernels.cuda.kernel import Prepared, prepare
from hybrid.kernels.cuda.source import Source
from hybrid.kernels.cuda.spec import refused
from hybrid.kernels.region import Region
from hybrid.records import dataclass
from hybrid.runtime.building import Target
from hybrid.runtime.cuda import written
from hybrid.runtime.cuda.calls import (
    Address,
    Call,
    Copy,
    Launch,
    Library,
    Multiply,
    Scalar,
    View,
)
from hybrid.runtime.cuda.copies import copying, meet
from hybrid.runtime.memory import MemoryPlan
from hybrid.runtime.steps import (
    KernelStep,
    Later,
    LibraryStep,
    Place,
    Return,
    Root,
    Schedule,
    Step,
    WindowStep,
    WriteStep,
    tells_scalars,
)

# What CuPy's pool gives, and a multiple of all that kernels want.
ALIGNMENT = 256

GPU = Target(refused, lambda node: None, plans_results=True, windows=False)


@dataclass(frozen=True, slots=True)
class Result:
    """An output: the bytes to allocate for it, and the array to return."""

    nbytes: int
    view: View


@dataclass(frozen=True, slots=True)
class OnHost:
    """A parameter on the host: its number, dtype, and bytes in the memory of such parameters."""

    parameter: int
    dtype: DType
    nbytes: int


@dataclass(frozen=True, slots=True)
class Program:
    """What one run does.

    Parameters
    ----------
    calls : tuple of Call
    results : tuple of Result
    arena : int
        Bytes of temporaries and scratch.
    constants : bytes
        What the memory of constants holds.
    host : tuple of OnHost
        The parameters that are on the host, and are sent to the card before each run.
    fixed : tuple of int
        Those whose values calls take on the host, so that a captured graph holds them.
    uncapturable : str
        Why no graph may hold the calls; empty where one may.
    """

    calls: tuple[Call, ...]
    results: tuple[Result, ...]
    arena: int
    constants: bytes
    host: tuple[OnHost, ...]
    fixed: tuple[int, ...]
    uncapturable: str


def lower_schedule(
    schedule: Schedule,
    memory: MemoryPlan,
    card: Card,
    host: frozenset[int],
    unaligned: frozenset[int],
) -> Program:
    """Turn the steps of a schedule into calls.

    Parameters
    ----------
    schedule : Schedule
        Made for the target ``GPU``.
    memory : MemoryPlan
    card : Card
    host : set of int
        The parameters that are on the host: Python numbers, and arrays without gaps.
    unaligned : set of int
        The parameters that do not begin at a multiple of 16 bytes.

    Returns
    -------
    Program
    """
    lowering = _Lowering(schedule, memory, card, host, unaligned)
    for step in schedule.steps:
        lowering.step(step)
    results = tuple(lowering.result(number) for number in range(len(schedule.returns)))
    return Program(
        tuple(lowering.calls),
        results,
        memory.arena + lowering.scratch_most,
        bytes(lowering.constants),
        tuple(lowering.sent),
        tuple(sorted(lowering.fixed)),
        next((_acts(s.node) for s in schedule.steps if _acts(s.node)), ""),
    )


def _acts(node: Node) -> str:
    if node.op.impure:
        return f"{node.op.name} must run at each call"
    return f"{node.op.name} decides on the host what runs" if node.op.bodies else ""


@dataclass(slots=True)
class _Lowering:
    schedule: Schedule
    memory: MemoryPlan
    card: Card
    host: frozenset[int]
    unaligned: frozenset[int]
    calls: list[Call] = field(default_factory=list)
    constants: bytearray = field(default_factory=bytearray)
    sent: list[OnHost] = field(default_factory=list)
    fixed: set[int] = field(default_factory=set)
    roots: dict[Root, Address] = field(default_factory=dict)
    loaded: dict[Source, tuple[Any, ...]] = field(default_factory=dict)
    scratch: int = 0
    scratch_most: int = 0

    def __post_init__(self) -> None:
        count = len(self.schedule.parameters)
        for root in self.schedule.parameters:
            if root.number in self.host:
                self.roots[root] = Address(count + 1, sum(x.nbytes for x in self.sent))
                nbytes = _aligned(root.spec.nbytes)
                self.sent.append(OnHost(root.number, root.spec.dtype, nbytes))
            else:
                self.roots[root] = Address(root.number)
        for root, array in self.schedule.constants:
            assert not isinstance(array, Later)  # all sizes are known here
            self.roots[root] = Address(count, len(self.constants))
            self.constants += array.tobytes().ljust(_aligned(array.nbytes), b"\0")
        for root, offset in self.memory.offsets.items():
            self.roots[root] = Address(self.arena, offset)
        numbers = {id(output): n for n, output in enumerate(self.schedule.returns)}
        for root, output in self.memory.fresh.items():
            self.roots[root] = Address(self.arena + 1 + numbers[id(output)])

    @property
    def arena(self) -> int:
        """The number of the memory of temporaries."""
        return len(self.schedule.parameters) + 2

    # --- steps ------------------------------------------------------------------------------------

    def step(self, step: Step) -> None:
        """Add the calls of a step."""
        assert not isinstance(step, WindowStep)
        self.scratch = 0
        if isinstance(step, KernelStep):
            self.kernel(step.name, step.region, (*step.inputs, *step.outputs))
        elif isinstance(step, WriteStep):
            self.copy(step.source, step.target)
        elif not ((step.node.op.name == "matmul" and self.matmul(step)) or self.written(step)):
            self.library(step)

    def kernel(self, name: str, region: Region, roots: tuple[Root, ...]) -> None:
        """Launch the kernel of a region."""
        places = [self.roots[root] for root in roots]
        self.launch(name, region, places)

    def launch(self, name: str, region: Region, places: list[Address]) -> None:
        """Launch the kernel of a region on arrays that begin at some places."""
        aligned = not any(place.memory in self.unaligned for place in places)
        prepared = prepare(region, aligned=aligned, threads=self.card.threads)
        accesses = (*region.inputs, *(access for _, access in region.outputs))
        triples = zip(places, accesses, prepared.offsets, strict=True)
        moved = [moved_on(place, offset * _itemsize(a.dtype)) for place, a, offset in triples]
        moved += [self.room(count * _itemsize(dtype)) for dtype, count in prepared.temporaries]
        self.phases(name, prepared, tuple(moved))

    def phases(self, name: str, prepared: Prepared, places: tuple[Address, ...]) -> None:
        """Launch the phases of a kernel."""
        functions = self.functions(prepared.source)
        for function, phase in zip(functions, prepared.launches, strict=True):
            if phase.blocks:
                threads = prepared.source.threads
                self.calls.append(
                    Launch(name, function, phase.blocks, threads, places, prepared.numbers)
                )

    def functions(self, source: Source) -> tuple[Any, ...]:
        """The entry points of a kernel, loaded once."""
        if source not in self.loaded:
            self.loaded[source] = self.card.load(source)
        return self.loaded[source]

    def copy(self, source: Place | Const, target: Place) -> None:
        """Copy an array, or put a number everywhere."""
        want = self.view(target)
        if isinstance(source, Const):
            self.calls.append(Copy(source, want))
        else:
            self.copy_view(self.view(source), want)

    def copy_view(self, source: View, target: View) -> None:
        """Copy what a view shows, cast to the dtype of the other."""
        region = copying(source, target)
        if not prod(region.space):
            return
        if meet(source, target):
            # Threads would read what others have written: NumPy's copies see to that themselves.
            shape, dtype = target.layout.shape, source.dtype
            apart = View(self.room(prod(shape) * dtype.itemsize), contiguous(shape), dtype)
            self.copy_view(source, apart)
            return self.copy_view(apart, target)
        if refused(region):
            self.calls.append(Copy(source, target))
        else:
            self.launch("copy", region, [source.address, target.address])

    def matmul(self, step: LibraryStep) -> bool:
        """Multiply by cuBLAS; False where it cannot, in dtypes or sizes."""
        root = step.outputs[0]
        dtype = root.spec.dtype
        sizes = [prod(operand.spec.shape) for operand in (*step.node.inputs, *step.node.outputs)]
        if dtype.name not in products.DTYPES or not all(sizes):
            return False
        places = [arg for arg in step.args if isinstance(arg, Place)]
        if len(places) < 2:
            return False
        views = [self.view(place) for place in places]
        layouts = products.as_matrices(views[0].layout, views[1].layout, root.layout)
        a, b = (View(view.address, layout, view.dtype) for view, layout in zip(views, layouts[:2]))
        out = layouts[2]
        found = None
        for widen in (lambda v: v.layout.shape, lambda v: (*out.shape[:-2], *v.layout.shape[-2:])):
            a, b = (self.multipliable(view, dtype, widen(view)) for view in (a, b))
            found = products.plan(a.layout, b.layout, out, dtype.name)
            if found is not None:
                break
        if found is None:
            return False
        first, second, target = b.address, a.address, self.roots[root]
        size = dtype.itemsize
        for product in found:
            x, y, z = (offset * size for offset in product.offsets)
            self.calls.append(
                Multiply(product.gemm, moved_on(first, x), moved_on(second, y), moved_on(target, z))
            )
        return True

    def multipliable(self, view: View, dtype: DType, shape: Shape) -> View:
        """The view itself, or a copy of that shape whose matrices cuBLAS can read."""
        ready = view.dtype == dtype and products.factor(view.layout) is not None
        if ready and view.layout.shape == shape:
            return view
        wide = View(view.address, view.layout.expand(shape), view.dtype)
        target = View(self.room(prod(shape) * dtype.itemsize), contiguous(shape), dtype)
        self.copy_view(wide, target)
        return target

    def written(self, step: LibraryStep) -> bool:
        """Launch a kernel written by hand; False where there is none."""
        found = written.find(step.node, self.card.threads)
        if found is None or not all(isinstance(arg, Place) for arg in step.args):
            return False
        places = []
        for arg in step.args:
            assert isinstance(arg, Place)
            view = self.view(arg)
            if view.layout != contiguous(view.layout.shape):
                shape = view.layout.shape
                room = self.room(prod(shape) * view.dtype.itemsize)
                target = View(room, contiguous(shape), view.dtype)
                self.copy_view(view, target)
                view = target
            places.append(view.address)
        places += [self.roots[root] for root in step.outputs]
        (function,) = self.functions(found.source)
        threads = found.source.threads
        if found.blocks:
            self.calls.append(
                Launch(step.name, function, found.blocks, threads, tuple(places), found.numbers)
            )
        return True

    def library(self, step: LibraryStep) -> None:
        """Call the eager form of an op."""
        args = tuple(self.argument(arg, step.node) for arg in step.args)
        self.fixed |= {arg.parameter for arg in args if isinstance(arg, Scalar)}
        outputs = tuple(self.view(Place(root, root.layout)) for root in step.outputs)
        specs = tuple(x.spec for x in step.node.inputs)
        prepare = step.node.op.prepare
        prepared = None if prepare is None else prepare(specs, **step.node.attrs)
        self.calls.append(Library(step.node, args, outputs, prepared))

    def argument(self, arg: Place | Const, node: Node) -> View | Scalar | Const:
        """What an op is given: Python numbers as such, where it tells them from arrays."""
        if isinstance(arg, Const):
            return arg
        if arg.root.spec.weak and not arg.chain and tells_scalars(node):
            return Scalar(arg.root.number)
        return self.view(arg)

    # --- places -----------------------------------------------------------------------------------

    def view(self, place: Place) -> View:
        """The array of a value."""
        return View(self.roots[place.root], place.layout, place.root.spec.dtype)

    def room(self, nbytes: int) -> Address:
        """Memory that only the present step uses."""
        found = Address(self.arena, self.memory.arena + self.scratch)
        self.scratch += _aligned(nbytes)
        self.scratch_most = max(self.scratch_most, self.scratch)
        return found

    def result(self, number: int) -> Result:
        """An output of the Plan; what lies in other memory is copied."""
        output: Return = self.schedule.returns[number]
        memory, source = Address(self.arena + 1 + number), output.source
        if isinstance(source, Const):
            view = View(memory, contiguous(()), source.dtype)
            self.calls.append(Copy(source, view))
            return Result(source.dtype.itemsize, view)
        dtype = source.root.spec.dtype
        if output.owned:
            # A library result or planned array that is returned whole: its memory is the result's.
            return Result(source.root.spec.nbytes, View(memory, source.layout, dtype))
        shape = source.layout.shape
        view = View(memory, contiguous(shape), dtype)
        self.scratch = 0
        self.copy_view(self.view(source), view)
        return Result(prod(shape) * dtype.itemsize, view)


def moved_on(place: Address, nbytes: int) -> Address:
    """A place some bytes further on."""
    return Address(place.memory, place.offset + nbytes)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _itemsize(dtype: str) -> int:
    return np.dtype(dtype).itemsize
