"""The body of a native loop as a program: what to run at each step, and on which memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hybrid.core.graph import Const, FuncGraph
from hybrid.core.layout import Layout
from hybrid.core.spec import TensorSpec
from hybrid.runtime.load import LoadedKernel, load_kernel
from hybrid.runtime.native_calls import EQUATIONS, Call, call_of
from hybrid.runtime.native_carries import is_plain, still, without_overwritten
from hybrid.runtime.native_writes import literal_of, write_region
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import (
    KernelStep,
    LibraryStep,
    Place,
    Return,
    Root,
    Schedule,
    WindowStep,
    WriteStep,
)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class At:
    """Where an operand of an entry is: a buffer of the loop, or something it is given.

    `kind` is ``in`` or ``out`` (a carry), ``row``, ``constant``, ``y``, ``flag`` (whether to go
    on), ``temporary`` or ``fixed``. The operand begins `offset` bytes further, and for each of
    `moves` so many bytes times the number that lies there.
    """

    kind: str
    number: int
    offset: int = 0
    moves: tuple[tuple[At, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to run at each step: a kernel, a call, or else a copy."""

    action: LoadedKernel | Call | None
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

    def at(self, root: Root) -> At:
        """Return where a root lies; a planned one that is no result gets a buffer."""
        window = self.windows.get(root)
        if window is not None:
            return self._through(window)
        if root not in self.places:
            self.places[root] = At("temporary", len(self.temporaries))
            self.temporaries.append(root.spec)
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
            self.places[root] = self.keep(array)

    def keep(self, array: Array) -> At:
        """Return where an array lies that is the same at each step."""
        self.fixed.append(np.ascontiguousarray(array))
        return At("fixed", len(self.fixed) - 1)

    def deliver(self, order: Schedule, targets: Sequence[At]) -> list[tuple[At, At, int]] | None:
        """Let kernels write results where they belong; return the copies that this leaves."""
        copies = []
        for output, target in zip(order.returns, targets, strict=True):
            source = self._source(output, target)
            if source is None:
                return None
            if source[0] != target:
                copies.append((target, *source))
        return copies

    def _source(self, output: Return, target: At) -> tuple[At, int] | None:
        place = output.source
        if isinstance(place, Const):
            array = np.array(place.value, place.dtype)
            return self.keep(array), array.nbytes
        root = place.root
        nbytes = root.spec.nbytes
        if not is_plain(place):
            return None
        if root.planned and root not in self.places:
            self.places[root] = target
        return self.at(root), nbytes


def make_program(
    graph: FuncGraph,
    layouts: tuple[Layout, ...],
    counts: tuple[int, int],
    targets: Sequence[At],
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
    for step in without_overwritten(needed):
        if isinstance(step, WindowStep):
            continue
        entry = _entry(program, step)
        if entry is None:
            return None
        program.entries.append(entry)
    program.entries += [Entry(None, (to, source), nbytes) for to, source, nbytes in copies]
    return program


def _counted(step: WindowStep) -> bool:
    """Tell whether native code can read the counters of a window."""
    places = (place for place in step.counters if isinstance(place, Place))
    return all(
        place.root.spec.dtype == np.int64 and place.root.spec.size == 1 and not place.root.spec.weak
        for place in places
    )


def _entry(program: Program, step: KernelStep | LibraryStep | WriteStep) -> Entry | None:
    if isinstance(step, KernelStep):
        operands = tuple(program.at(root) for root in (*step.inputs, *step.outputs))
        return Entry(load_kernel(step.region), operands)
    if isinstance(step, LibraryStep):
        call = call_of(step)
        places = [arg.root for arg in step.args if isinstance(arg, Place)]
        operands = tuple(program.at(root) for root in (*places, *step.outputs))
        return None if call is None else Entry(call, operands)
    root, source = step.target.root, step.source
    if isinstance(source, Place) and is_plain(step.target) and is_plain(source):
        if source.root.spec.dtype == root.spec.dtype:
            return Entry(None, (program.at(root), program.at(source.root)), root.spec.nbytes)
    region = write_region(step)
    if region is None:
        return None
    if isinstance(source, Place):
        given = program.at(source.root)
    else:
        given = program.keep(literal_of(source, root))
    return Entry(load_kernel(region), (given, program.at(root)))


def _simple(graph: FuncGraph) -> bool:
    """Tell soon whether a graph may be kernels and products only."""
    native = ("fused", "view_update", "matmul", "moving_view", "moving_update", *EQUATIONS)
    return all(
        node.op.name in native
        or node.op.view is not None
        or all(isinstance(x, Const) for x in node.inputs)  # computed when the program is made
        for node in graph.nodes
    )
