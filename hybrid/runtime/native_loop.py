"""Loops whose bodies are kernels only: they run in native code, a step costs tens of nanoseconds.

The carry lies in two buffers that change places at each step. Rows of arrays and results that are
stacked are read and written where they lie. Each call that is under way has a frame of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hybrid.core.graph import Const, FuncGraph
from hybrid.core.layout import Layout
from hybrid.core.spec import TensorSpec
from hybrid.runtime.load import LoadedKernel, load_kernel
from hybrid.runtime.native_writes import literal_of, write_region
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import (
    KernelStep,
    LibraryStep,
    Place,
    Return,
    Root,
    Schedule,
    Step,
    WriteStep,
)

Array = np.ndarray[Any, np.dtype[Any]]

# A call of native code cannot be interrupted: it returns about this often to let Python look.
_CHUNK_NS = 50_000_000
_STEP_NS = 50


@dataclass(frozen=True, slots=True)
class At:
    """Where an operand of an entry is: a buffer of the loop, or something it is given.

    `kind` is ``in`` or ``out`` (a carry), ``row``, ``constant``, ``y``, ``flag`` (whether to go
    on), ``temporary`` or ``fixed``.
    """

    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to run at each step: a kernel, or a copy where there is none."""

    kernel: LoadedKernel | None
    operands: tuple[At, ...]
    nbytes: int = 0


@dataclass(slots=True)
class Program:
    """The entries of a body, and what memory they need."""

    carries: int
    rows: int
    entries: list[Entry] = field(default_factory=list)
    temporaries: list[TensorSpec] = field(default_factory=list)
    fixed: list[Array] = field(default_factory=list)
    places: dict[Root, At] = field(default_factory=dict)

    def at(self, root: Root) -> At:
        """Return where a root lies; a planned one that is no result gets a buffer."""
        if root not in self.places:
            self.places[root] = At("temporary", len(self.temporaries))
            self.temporaries.append(root.spec)
        return self.places[root]

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
        if not _plain(place):
            return None
        if root.planned and root not in self.places:
            self.places[root] = target
        return self.at(root), nbytes


def _plain(place: Place) -> bool:
    """Tell whether a value is the whole of its root, in the order of its elements."""
    return (
        place.whole
        and place.layout.offset == 0
        and place.layout.is_contiguous
        and place.root.layout.is_contiguous
    )


def make_program(
    graph: FuncGraph,
    layouts: tuple[Layout, ...],
    counts: tuple[int, int],
    targets: Sequence[At],
) -> Program | None:
    """Return a body as entries; None where it is more than kernels.

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
    order = schedule(graph, layouts)
    if any(isinstance(step, LibraryStep) for step in order.steps):
        return None
    program = Program(*counts)
    program.parameters(order)
    copies = program.deliver(order, targets)
    if copies is None:
        return None
    for step in order.steps:
        entry = _entry(program, step)
        if entry is None:
            return None
        program.entries.append(entry)
    program.entries += [Entry(None, (to, source), nbytes) for to, source, nbytes in copies]
    return program


def _entry(program: Program, step: Step) -> Entry | None:
    if isinstance(step, KernelStep):
        operands = tuple(program.at(root) for root in (*step.inputs, *step.outputs))
        return Entry(load_kernel(step.region), operands)
    assert isinstance(step, WriteStep)
    root, source = step.target.root, step.source
    if isinstance(source, Place) and not step.target.chain and _plain(source):
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
    """Tell soon whether a graph may be kernels only."""
    native = ("fused", "view_update")
    return all(
        node.op.name in native
        or node.op.view is not None
        or all(isinstance(x, Const) for x in node.inputs)  # computed when the program is made
        for node in graph.nodes
    )


@dataclass(frozen=True, slots=True)
class LoopShape:
    """The specs of the carries and of what is stacked, and the bytes from row to row."""

    carries: tuple[TensorSpec, ...]
    row_strides: tuple[int, ...]
    ys: tuple[TensorSpec, ...]


class NativeLoop:
    """A loop in native code.

    Parameters
    ----------
    shape : LoopShape
    body : Program
    ask : Program, optional
        Whether to do another step.
    """

    def __init__(self, shape: LoopShape, body: Program, ask: Program | None = None) -> None:
        self.shape = shape
        self.body = body
        self.ask = ask
        programs = [p for p in (ask, body) if p is not None]
        kernels = [e.kernel for p in programs for e in p.entries if e.kernel is not None]
        cost = _STEP_NS + sum(int(kernel.geometry[0]) for kernel in kernels)
        self._chunk = max(1, _CHUNK_NS // cost)
        self._pool: list[_Frame] = []

    def run(
        self,
        carry: Sequence[Array],
        rows: Sequence[Array],
        constants: Sequence[Array],
        ys: Sequence[Array],
        course: tuple[int | None, bool],
    ) -> tuple[Array, ...]:
        """Run all steps and return the last carry; `course` is their number and the direction."""
        try:
            frame = self._pool.pop()
        except IndexError:
            frame = _Frame(self)
        try:
            return frame.run(carry, rows, constants, ys, course, self._chunk)
        finally:
            self._pool.append(frame)


class _Frame:
    """Buffers and packed arguments of one call under way."""

    def __init__(self, loop: NativeLoop) -> None:
        from hybrid.kernels.loop import looper

        self._loop = looper()
        shape = loop.shape
        self._pairs = [(_empty(s), _empty(s)) for s in shape.carries]
        self._rows = shape.row_strides
        self._ys = [s.nbytes for s in shape.ys]
        self._answer = np.zeros((), np.bool_)
        self._kept: list[Any] = []
        self._slots: list[tuple[int, At]] = []
        self._words: list[int] = []
        programs = [p for p in (loop.ask, loop.body) if p is not None]
        entries = [self._entries(program) for program in programs]
        self._starts = []
        for block in entries:
            self._starts.append((len(self._words), len(block)))
            self._words += [word for entry in block for word in entry]
        self._given = [(i, at) for i, at in self._slots if at.kind in ("row", "constant", "y")]
        self._moves_at = len(self._words)
        moving = [(i, at) for i, at in self._slots if at.kind in ("in", "out", "row", "y")]
        for index, at in moving:
            self._words += [index, *self._motion(at)]
        self._moves = len(moving)
        self._finish(loop, moving)

    def _finish(self, loop: NativeLoop, moving: list[tuple[int, At]]) -> None:
        """Turn positions into addresses, now that it is known where the words lie."""
        self.words = np.array(self._words, np.int64)
        base = _address(self.words)
        for start, count in self._starts:
            for entry in range(count):
                self.words[start + 4 * entry + 1] = base + 8 * self.words[start + 4 * entry + 1]
        for number in range(len(moving)):
            at = self._moves_at + 3 * number
            self.words[at] = base + 8 * self.words[at]
        self._template = self.words.copy()
        self._backward = self._template.copy()
        for number, (_, place) in enumerate(moving):
            if place.kind in ("row", "y"):
                self._backward[self._moves_at + 3 * number + 1] *= -1
        asked = loop.ask is not None
        spans = [(base + 8 * start, count) for start, count in self._starts]
        self._ask = spans[0] if asked else (0, 0)
        self._do = spans[-1]
        self._flag = _address(self._answer) if asked else 0
        self._moves_address = base + 8 * self._moves_at

    def _entries(self, program: Program) -> list[tuple[int, int, int, int]]:
        from hybrid.kernels.loop import copy_address

        temporaries = [_empty(spec) for spec in program.temporaries]
        fixed = [array.copy() for array in program.fixed]
        self._kept += [*temporaries, *fixed]
        found = []
        for entry in program.entries:
            pack = len(self._words)
            if entry.kernel is None:
                for at in entry.operands:
                    self._slot(at, temporaries, fixed)
                self._words.append(entry.nbytes)
                found.append((copy_address(), pack, 0, 0))
                continue
            geometry = entry.kernel.geometry
            self._kept.append(geometry)
            self._words.append(_address(geometry))
            for at in entry.operands:
                self._slot(at, temporaries, fixed)
            scratch = np.empty(max(int(geometry[1]), 1), np.uint8)
            self._kept.append(scratch)
            self._words.append(_address(scratch))
            for phase, run in enumerate(entry.kernel.runs):
                found.append((run, pack, int(geometry[2 + phase]), entry.kernel.parallel))
        return found

    def _slot(self, at: At, temporaries: list[Array], fixed: list[Array]) -> None:
        self._slots.append((len(self._words), at))
        known = {"temporary": temporaries, "fixed": fixed, "flag": [self._answer]}.get(at.kind)
        if known is not None:
            self._words.append(_address(known[at.number]))
        elif at.kind in ("in", "out"):
            self._words.append(_address(self._pairs[at.number][at.kind == "out"]))
        else:
            self._words.append(0)

    def _motion(self, at: At) -> tuple[int, int]:
        if at.kind == "row":
            return self._rows[at.number], 1
        if at.kind == "y":
            return self._ys[at.number], 1
        one, other = (_address(buffer) for buffer in self._pairs[at.number])
        return (other - one, -1) if at.kind == "in" else (one - other, -1)

    def run(
        self,
        carry: Sequence[Array],
        rows: Sequence[Array],
        constants: Sequence[Array],
        ys: Sequence[Array],
        course: tuple[int | None, bool],
        chunk: int,
    ) -> tuple[Array, ...]:
        """Run the loop; see `NativeLoop.run`."""
        length, reverse = course
        np.copyto(self.words, self._backward if reverse else self._template)
        for (buffer, _), value in zip(self._pairs, carry, strict=True):
            buffer[...] = value
        last = (length or 0) - 1
        starts = {
            "row": [_address(x) + (last * x.strides[0] if reverse else 0) for x in rows],
            "y": [_address(y) + (last * y.strides[0] if reverse else 0) for y in ys],
            "constant": [_address(x) for x in constants],
        }
        for index, at in self._given:
            self.words[index] = starts[at.kind][at.number]
        done = 0
        while length is None or done < length:
            limit = chunk if length is None else min(chunk, length - done)
            count = self._loop(
                *self._ask, self._flag, *self._do, self._moves_address, self._moves, limit
            )
            done += count
            if count < limit:
                break
        return tuple(pair[done % 2].copy() for pair in self._pairs)


def _empty(spec: TensorSpec) -> Array:
    return np.empty(spec.shape, spec.dtype)


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
