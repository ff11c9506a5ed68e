"""The body of a native loop as a program: what to run at each step, and on which memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.core.graph import Const, FuncGraph
from hybrid.core.layout import Layout, contiguous
from hybrid.core.spec import TensorSpec
from hybrid.records import dataclass
from hybrid.runtime.load import LoadedKernel, load_kernel, load_kernels
from hybrid.runtime.native_calls import EQUATIONS, Call, call_of, product_kernel, product_sources
from hybrid.runtime.native_carries import is_plain, still, without_overwritten
from hybrid.runtime.native_lookups import (
    PLACES,
    bounding_kernel,
    is_gather,
    lookup_sources,
    lowered_gather,
    place_kernel,
)
from hybrid.runtime.native_writes import literal_of, write_region
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import (
    KernelStep,
    Later,
    LibraryStep,
    Place,
    Root,
    Schedule,
    Step,
    WindowStep,
    WriteStep,
)

if TYPE_CHECKING:
    from hybrid.kernels.region import Region

Array = np.ndarray[Any, np.dtype[Any]]
Rewrite = Callable[[FuncGraph], FuncGraph]

STEP_NS = 50
# A call of native code cannot be interrupted: it returns about this often to let Python look.
LONGEST_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class At:
    """Where an operand of an entry is: a buffer of the loop, or something it is given.

    `kind` is ``in`` or ``out`` (a carry), ``row``, ``constant``, ``y``, ``flag`` (whether to go
    on), ``failed`` (how many indices were out of bounds), ``temporary`` or ``fixed``. The operand
    begins `offset` bytes further, and for each of `moves` so many bytes times the number there.
    """

    kind: str
    number: int
    offset: int = 0
    moves: tuple[tuple[At, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LoopShape:
    """The specs of the carries and of what is stacked, and the bytes from row to row."""

    carries: tuple[TensorSpec, ...]
    row_strides: tuple[int, ...]
    ys: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Nested:
    """A loop within a step: so many steps, maybe backwards.

    The operands of its entry are the first carries, rows, constants, then the last carries and what
    is stacked.
    """

    shape: LoopShape
    body: Program
    length: int
    reverse: bool

    @property
    def cost(self) -> int:
        """About how many nanoseconds it takes."""
        return self.length * self.body.cost

    @property
    def checked(self) -> bool:
        """Whether something in it raises the flag where it fails."""
        return self.body.checked


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to run at each step: a kernel, a call, a loop, or else a copy."""

    action: LoadedKernel | Call | Nested | None
    operands: tuple[At, ...]
    nbytes: int = 0

    @property
    def cost(self) -> int:
        """About how many nanoseconds it takes."""
        if isinstance(self.action, LoadedKernel):
            return int(self.action.geometry[0])
        return 0 if self.action is None else self.action.cost


@dataclass(slots=True)
class Program:
    """The entries of a body, and what memory they need; `still` carries have one buffer."""

    carries: int
    rows: int
    still: frozenset[int] = frozenset()
    entries: list[Entry] = field(default_factory=list)
    temporaries: list[TensorSpec] = field(default_factory=list)
    fixed: list[Array] = field(default_factory=list)
    places: dict[Root, At] = field(default_factory=dict)
    windows: dict[Root, WindowStep] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        """About how many nanoseconds a step takes."""
        return STEP_NS + sum(entry.cost for entry in self.entries)

    @property
    def checked(self) -> bool:
        """Whether a call raises the flag where it fails."""
        actions = [entry.action for entry in self.entries]
        return any(isinstance(x, Call | Nested) and x.checked for x in actions)

    def at(self, root: Root) -> At:
        """Return where a root lies; a planned one that is no result gets a buffer."""
        window = self.windows.get(root)
        if window is not None:
            return self._through(window)
        if root not in self.places:
            self.places[root] = self.temporary(root.spec)
        return self.places[root]

    def _through(self, window: WindowStep) -> At:
        """Return where a window lies: where its array does, and further."""
        whole, itemsize = self.at(window.source.root), window.output.spec.dtype.itemsize
        offset, moves = whole.offset + window.offset * itemsize, list(whole.moves)
        for counter, unit in zip(window.counters, window.units, strict=True):
            if isinstance(counter, Const):
                offset += int(counter.value.real) * unit * itemsize
            elif unit:
                moves.append((self.at(counter.root), unit * itemsize))
        return replace(whole, offset=offset, moves=tuple(moves))

    def parameters(self, order: Schedule) -> None:
        """Say where the parameters lie."""
        for i, root in enumerate(order.parameters):
            after = i - self.carries
            if after < 0:
                self.places[root] = At("in", i)
            elif after < self.rows:
                self.places[root] = At("row", after)
            else:
                self.places[root] = At("constant", after - self.rows)
        for root, array in order.constants:
            assert not isinstance(array, Later)  # all sizes are known here
            self.places[root] = self.keep(array)

    def keep(self, array: Array) -> At:
        """Return where an array lies that is the same at each step."""
        self.fixed.append(np.ascontiguousarray(array))
        return At("fixed", len(self.fixed) - 1)

    def deliver(self, order: Schedule, targets: Sequence[At]) -> list[Entry] | None:
        """Let kernels write results where they belong; return the copies that this leaves."""
        copies = []
        for output, target in zip(order.returns, targets, strict=True):
            place = output.source
            if isinstance(place, Place) and not is_plain(place):
                copy = self.gathered(place, target)
                if copy is None:
                    return None
                copies.append(copy)
                continue
            source, nbytes = self._source(place, target)
            if source != target:
                copies.append(Entry(None, (target, source), nbytes))
        return copies

    def gathered(self, place: Place, target: At) -> Entry | None:
        """Return what copies a part of an array, or its elements in another order."""
        spec = TensorSpec(place.layout.shape, place.root.spec.dtype)
        root = Root("planned", -1, spec, contiguous(spec.shape))
        region = write_region(place, Place(root, root.layout))
        return None if region is None else Entry(load_kernel(region), (self.at(place.root), target))

    def temporary(self, spec: TensorSpec) -> At:
        """Return where a new buffer lies."""
        self.temporaries.append(spec)
        return At("temporary", len(self.temporaries) - 1)

    def _source(self, place: Place | Const, target: At) -> tuple[At, int]:
        if isinstance(place, Const):
            array = np.array(place.value, place.dtype)
            return self.keep(array), array.nbytes
        root, nbytes = place.root, place.root.spec.nbytes
        if root.origin in ("planned", "result") and root not in self.places:
            self.places[root] = target
        return self.at(root), nbytes


def make_program(
    graph: FuncGraph,
    layouts: tuple[Layout, ...],
    counts: tuple[int, int],
    targets: Sequence[At],
    within: Rewrite = lambda graph: graph,
) -> Program | None:
    """Return a body as entries; None where it is more than kernels and products of matrices.

    Parameters
    ----------
    graph : FuncGraph
        Optimised.
    layouts : tuple of Layout
        Of its parameters.
    counts : (int, int)
        How many of these are carries, and rows.
    targets : sequence of At
        Where its results go.
    within : callable
        What loops in the body are rewritten by.
    """
    if any(v.spec.size == 0 for v in graph.parameters) or not _simple(graph):
        return None
    carries = counts[0] if At("out", 0) in targets else 0  # a question has none to overwrite
    order = schedule(graph, layouts, carries)
    stay = still(order, carries)
    program = Program(*counts, frozenset(stay))
    program.parameters(order)
    program.windows |= {s.output: s for s in order.steps if isinstance(s, WindowStep)}
    if not all(map(_counted, program.windows.values())):
        return None
    aims = [At("in", i) if i in stay else target for i, target in enumerate(targets)]
    copies = program.deliver(order, aims)
    if copies is None:
        return None
    needed = tuple(step for step in order.steps if step not in stay.values())
    steps = without_overwritten(needed)
    # All at once, several in threads; each entry finds its own after that.
    regions = [region for region in map(_region, steps) if region is not None]
    load_kernels(regions, [*product_sources(steps), *lookup_sources(steps)])
    for step in steps:
        if isinstance(step, WindowStep):
            continue
        entry = _entry(program, step, within)
        if entry is None:
            return None
        program.entries.append(entry)
    program.entries += copies
    return program


def _counted(step: WindowStep) -> bool:
    """Tell whether native code can read the counters of a window."""
    places = (place for place in step.counters if isinstance(place, Place))
    return all(
        place.root.spec.dtype == np.int64 and place.root.spec.size == 1 and not place.root.spec.weak
        for place in places
    )


def _region(step: Step) -> Region | None:
    """Return what the kernel of a step computes; None for one that has none."""
    if isinstance(step, KernelStep):
        return step.region
    if is_gather(step):
        lowered = lowered_gather(step)
        return None if lowered is None else lowered.region
    if not isinstance(step, WriteStep) or _copies_bytes(step):
        return None
    return write_region(step.source, step.target)


def _copies_bytes(step: WriteStep) -> bool:
    """Tell whether a write is a copy of memory as it lies."""
    source, target = step.source, step.target
    if not isinstance(source, Place) or not is_plain(target) or not is_plain(source):
        return False
    return source.root.spec.dtype == target.root.spec.dtype


def _given(program: Program, arg: Place | Const, spec: TensorSpec) -> tuple[At, Layout]:
    """Return where an argument is, and how its elements lie from there."""
    if isinstance(arg, Const):
        return program.keep(np.array(arg.value, spec.dtype)), contiguous(spec.shape)
    at, itemsize = program.at(arg.root), arg.root.spec.dtype.itemsize
    offset = at.offset + arg.layout.offset * itemsize
    return replace(at, offset=offset), replace(arg.layout, offset=0)


def _gather(program: Program, step: LibraryStep) -> Entry | None:
    """Return what reads an array at indices, once these are known to be inside of it."""
    lowered = lowered_gather(step)
    if lowered is None:
        return None
    places = []
    for arg, value in zip(step.args, step.node.inputs, strict=True):
        places.append(_given(program, arg, value.spec))
    base, *index = places
    read = [base[0]]
    for (at, layout), axis in zip(index, step.node.attrs["axes"], strict=True):
        kernel = bounding_kernel(layout, base[1].shape[axis])
        if kernel is None:
            return None
        inside = program.temporary(TensorSpec(layout.shape, np.dtype(np.int64)))
        program.entries.append(Entry(kernel, (at, inside, At("failed", 0))))
        read.append(inside)
    operands = (*(read[i] for i in lowered.operands), program.at(step.outputs[0]))
    return Entry(load_kernel(lowered.region), operands)


def _nested(program: Program, step: LibraryStep, within: Rewrite) -> Entry | None:
    """Return a loop over so many rows that is a step of a body."""
    attrs, specs = step.node.attrs, [v.spec for v in step.node.attrs["body"].inputs]
    n, length = attrs["carries"], attrs["length"]
    last = n + attrs["xs"]
    places = []
    for number, arg in enumerate(step.args):
        spec = specs[number]
        if number < n and isinstance(arg, Place) and not arg.layout.is_contiguous:
            # Into the buffers of the loop contiguous memory is copied.
            target = program.temporary(spec)
            copy = program.gathered(arg, target)
            if copy is None:
                return None
            program.entries.append(copy)
            places.append((target, contiguous(spec.shape)))
        else:
            places.append(_given(program, arg, spec))
    layouts = [layout for _, layout in places]
    rows = layouts[n:last]
    given = [*layouts[:n], *(Layout(x.shape[1:], x.strides[1:]) for x in rows), *layouts[last:]]
    ys = tuple(x.spec for x in attrs["body"].outputs[n:])
    aims = [*(At("out", i) for i in range(n)), *(At("y", i) for i in range(len(ys)))]
    body = make_program(within(attrs["body"]), tuple(given), (n, attrs["xs"]), aims, within)
    if body is None or not length or length * body.cost > LONGEST_NS:
        return None
    steps = tuple(
        x.strides[0] * spec.dtype.itemsize for x, spec in zip(rows, specs[n:last], strict=True)
    )
    loop = Nested(LoopShape(tuple(specs[:n]), steps, ys), body, length, attrs["reverse"])
    results = (program.at(root) for root in step.outputs)
    return Entry(loop, (*(at for at, _ in places), *results))


def _entry(
    program: Program, step: KernelStep | LibraryStep | WriteStep, within: Rewrite
) -> Entry | None:
    if isinstance(step, KernelStep):
        operands = tuple(program.at(root) for root in (*step.inputs, *step.outputs))
        return Entry(load_kernel(step.region), operands)
    if isinstance(step, LibraryStep):
        if step.node.op.name == "scan":
            return _nested(program, step, within)
        if is_gather(step):
            return _gather(program, step)
        finds = place_kernel(step)
        if finds is not None:
            at, _ = _given(program, step.args[0], step.node.inputs[0].spec)
            return Entry(finds, (at, program.at(step.outputs[0])))
        found = product_kernel(step)
        if found is not None:
            kernel, read = found
            matrices = (_given(program, place, place.root.spec)[0] for place in read)
            return Entry(kernel, (*matrices, program.at(step.outputs[0])))
        call = call_of(step)
        places = [arg.root for arg in step.args if isinstance(arg, Place)]
        operands = tuple(program.at(root) for root in (*places, *step.outputs))
        return None if call is None else Entry(call, operands)
    root, source = step.target.root, step.source
    if isinstance(source, Place) and _copies_bytes(step):
        return Entry(None, (program.at(root), program.at(source.root)), root.spec.nbytes)
    region = _region(step)
    if region is None:
        return None
    if isinstance(source, Place):
        given = program.at(source.root)
    else:
        given = program.keep(literal_of(source, root))
    return Entry(load_kernel(region), (given, program.at(root)))


def _simple(graph: FuncGraph) -> bool:
    """Tell soon whether a graph may be kernels and products only."""
    native = {"fused", "view_update", "matmul", "moving_view", "moving_update", "scan"}
    native |= {*EQUATIONS, *PLACES}
    return all(
        node.op.name in native
        or node.op.picks
        or node.op.view is not None
        or all(isinstance(x, Const) for x in node.inputs)  # computed when the program is made
        for node in graph.nodes
    )
