"""Elementwise kernels: each result is computed from one place of the operands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from hybrid.kernels.phase import Base, Phase
from hybrid.kernels.region import COMPLEX, register_dtype
from hybrid.kernels.spec import (
    INTERLEAVED,
    KernelSpec,
    Operand,
    geometry_slots,
    is_heavy,
    longest_chain,
)
from hybrid.kernels.stretches import choices

# Bytes of a vector; on processors with shorter ones LLVM takes several.
VECTOR = 64
# Bytes by which what is read is asked for ahead.
AHEAD = 1024
# Functions that wait for each other: from here on one vector leaves the processor idle, and four at
# once take a third less time. Fewer gain little, and more code takes longer to compile.
CHAIN = 2
MOST_HEAVY = 8
# Functions of which few numbers at a time keep the processor busy; of one alone LLVM has several
# vectors under way, and one takes up to 20 % longer.
FUNCTIONS = 2
AT_ONCE = 16


def has_short_rows(spec: KernelSpec, columns: int) -> bool:
    """Whether rows fill but a vector of the blocks that they are computed in."""
    if spec.form != "map" or not spec.kept or not _in_blocks(spec):
        return False
    least, _, _ = _block(replace(spec, short=True))
    return least < _block(spec)[0] and columns <= least


def _block(spec: KernelSpec) -> tuple[int, int, int]:
    """How many elements are computed at a time, those of a vector, and how many of these."""
    kinds = [register_dtype(x.dtype) if not x.words else x.words for x in spec.inputs]
    kinds += [instr.dtype for instr in spec.body] + [x.dtype for x in _operands(spec)]
    sizes = [np.dtype(dtype).itemsize for dtype in kinds]
    width, least = VECTOR // max(sizes), VECTOR // min(sizes)
    several = _several(spec) or not _in_blocks(spec)
    vectors = INTERLEAVED if several else max(1, AT_ONCE // width)
    if spec.short:
        vectors = 1
    return max(vectors * width, least), width, vectors


def _operands(spec: KernelSpec) -> list[Operand]:
    return [*spec.inputs, *(operand for _, operand in spec.outputs)]


def _several(spec: KernelSpec) -> bool:
    """Whether functions wait for each other, so that several vectors are to be under way."""
    chained = longest_chain(len(spec.inputs), spec.body) >= CHAIN
    return chained and sum(map(is_heavy, spec.body)) <= MOST_HEAVY


def _in_blocks(spec: KernelSpec) -> bool:
    """Whether blocks pay: for functions, where operands lie one after the other."""
    operands = _operands(spec)
    kinds = {instr.dtype for instr in spec.body} | {x.dtype for x in operands}
    plain = all(x.inner in "01p" and not x.picks and not x.windows for x in operands)
    return plain and not kinds & COMPLEX and sum(map(is_heavy, spec.body)) >= FUNCTIONS


class MapPhase(Phase):
    """Elementwise kernels."""

    # Whether what is written now reads and stores a block of elements, wherever that is.
    blocks = False
    # The texts that read the elements of values of which it is known where they lie.
    chosen: Mapping[int, str] = MappingProxyType({})

    def item(self) -> None:
        """A stretch of the inner loop."""
        emit = self.emit
        emit("first = block * length")
        if self.spec.streamed:
            emit("width = select(block + 1 == blocks, n_j - first, length)")
        else:
            emit("width = minimum(length, n_j - first)")
        self.locate(list(self.operands))
        for name in self.operands:
            if self._drawn(name):
                self._draw(name)
        periodic = [name for name in self.operands if self._periodic(name)]
        if self.spec.streamed:
            self._stream()
            return
        if self.spec.stretches:
            self._in_stretches()
            return
        if not periodic:
            self._loop("width", self.at)
            return
        for name in periodic:
            self.allocate(f"{name}_row", self.operands[name].dtype, "repeated")
            if self.spec.kept:
                self._repeat(name, f"{name}_at")
        with emit.block("for part in range(0, width, repeated):"):
            emit("count = minimum(repeated, width - part)")
            for name in self.operands:
                if name not in periodic:
                    emit(f"{name}_here = {name}_at + part")
            self._loop("count", lambda name: f"{name}_here")

    def _in_stretches(self) -> None:
        """Divide the item where windows begin or end, and ask once in each stretch."""
        emit = self.emit
        limited = [name for name, operand in self.operands.items() if operand.windows]
        edge = geometry_slots(self.spec)["edge_0"]
        with emit.block(f"for part in items(0, {self.spec.stretches}):"):
            emit(f"low = load(geometry, part + {edge}) - first")
            emit("begin = select(low < 0, 0, low)")
            emit(f"finish = minimum(load(geometry, part + {edge + 1}) - first, width)")
            for name in limited:
                inside = re.sub(r"\bj\b", "begin", self.inside(name, self.at))
                emit(f"{name}_open = {inside}")
            self.open = {name: f"{name}_open" for name in limited}
            self.chosen = self._choices()
            names = self.hoisted(self.roots(0), self.at)
            self._steps("for j in range(begin, finish):", self.at, names)

    def _choices(self) -> dict[int, str]:
        """Find out which of several operands is read in a stretch, and where."""
        emit, found = self.emit, {}
        for value, inputs in choices(self.spec).items():
            *others, last = (f"in{number}" for number in inputs)
            memory, place = last, f"{last}_at"
            step = f"{last}_j"
            for number, name in enumerate(reversed(others)):
                open_, tag = self.open[name], f"v{value}_{number}"
                emit(f"{tag}_memory = either({open_}, {name}, {memory})")
                emit(f"{tag}_place = select({open_}, {name}_at, {place})")
                memory, place = f"{tag}_memory", f"{tag}_place"
                if self.operands[last].inner == "s":
                    emit(f"{tag}_step = select({open_}, {name}_j, {step})")
                    step = f"{tag}_step"
            along = f"j * {step}" if self.operands[last].inner == "s" else "j"
            found[value] = f"load({memory}, {place} + {along})"
        return found

    def _stops(self) -> frozenset[int]:
        return super()._stops() | self.chosen.keys()

    def _stream(self) -> None:
        """Compute blocks of whole lines in registers, and send each past the caches.

        A first block and a last one are computed twice where the lines do not begin and end with
        the item. What they have in common with others is not stored by them: so results may be
        stored over what they are computed from.
        """
        emit, (size, loop) = self.emit, self._registers()
        sent = [name for name in self.operands if self._sent(name)]
        send, copy = (
            self.header.define(f"{word}_{size}", f"{what}({size})")
            for word, what in (("send", "sender"), ("copy", "edge"))
        )
        for name in sent:
            dtype = self.operands[name].dtype
            make = self.header.define(f"{name}_of", f'registers("{dtype}", {size}, "{name}_tile")')
            emit(f"{name}_tile = {make}(args)")
        names = self.hoisted(self.roots(0), self.at)
        emit(f"lead = until_line({sent[0]}, {sent[0]}_at)")
        emit(f"whole = (width - lead) // {size}")
        emit(f"after = width - lead - whole * {size}")
        with emit.block("for step in range(select(lead + after == 0, 0, -2), whole):"):
            emit(f"edges = (step + 2) * (width - {size})")
            emit(f"part = select(step < 0, edges, lead + step * {size})")
            for name, operand in self.operands.items():
                to = {"1": " + part", "s": f" + part * {name}_j"}.get(operand.inner, "")
                emit(f"{name}_here = {name}_at{to}")
            self._fetch(size, lambda name: f"{name}_at", "part", "width")
            self._steps(loop, lambda name: f"{name}_here", names)
            with emit.block("if step < 0:"):
                emit(f"low = (step + 2) * ({size} - after)")
                emit(f"high = select(step < -1, lead, {size})")
                for name in sent:
                    emit(f"{copy}({name}, {name}_here, {name}_tile, low, high)")
            with emit.block("else:"):
                for name in sent:
                    emit(f"{send}({name}, {name}_here, {name}_tile)")

    def _registers(self) -> tuple[int, str]:
        """How many elements are computed at a time, and the loop over them."""
        size, width, vectors = _block(self.spec)
        return size, f"for j in lanes(0, {size}, {width}, {vectors}):"

    def _fetch(self, size: int, base: Base, start: str, count: str) -> None:
        """Ask for what is read some blocks later, but for nothing beyond the end."""
        asked = []
        for number, operand in enumerate(self.spec.inputs):
            special = operand.picks or operand.windows or operand.is_position or operand.words
            if operand.inner == "1" and not special:
                asked.append((f"in{number}", np.dtype(operand.dtype).itemsize))
        if asked:
            fetch = self.header.define(f"fetch_{size}", f"fetcher({size})")
            ahead = max(1, AHEAD // max(width for _, width in asked))
            self.emit(f"later = minimum({start} + {ahead}, {count} - 1)")
            for name, _ in asked:
                self.emit(f"{fetch}({name}, {base(name)} + later)")

    def steps(self) -> str:
        """Copies, and what is computed of single numbers, are short; a stencil took 2 % longer."""
        single = all(operand.inner == "0" for operand in self.operands.values())
        copied = all(instr.expr == "{0}" for instr in self.spec.body)
        return "items" if single or copied else "range"

    def end(self) -> None:
        """Results are there for all threads when the function ends."""
        if self.spec.streamed:
            self.emit("streamed(args)")

    def _sent(self, name: str) -> bool:
        streamed = self.spec.streamed and name.startswith("out")
        return streamed and self.operands[name].inner == "1"

    def begin(self) -> None:
        """Rows that are the same for all items are repeated once."""
        if not self.spec.kept:
            for name in self.operands:
                if self._periodic(name):
                    self._repeat(name, f"{name}_offset")

    def _loop(self, count: str, base: Base) -> None:
        if _in_blocks(self.spec):
            self._blocks(count, base)
            return
        names = self.hoisted(self.roots(0), base)
        steps = "interleaved" if _several(self.spec) else "range"
        self._steps(f"for j in {steps}({count}):", base, names)

    def _blocks(self, count: str, base: Base) -> None:
        """Compute blocks of some vectors. What is left is copied to a whole one, and back.

        So there is one body, which takes two thirds of the time to compile; LLVM by itself has
        another one of shorter vectors, and one of numbers.
        """
        emit, (size, loop) = self.emit, self._registers()
        names = self.hoisted(self.roots(0), base)
        moving = [name for name in self.operands if self._moving(name)]
        function = {
            word: self.header.define(f"{word}_{size}", f"{word}({size})")
            for word in ("padded", "elsewhere", "put_back")
        }
        for name in moving:
            dtype = self.operands[name].words or self.operands[name].dtype
            make = self.header.define(f"{name}_of", f'registers("{dtype}", {size}, "{name}_rest")')
            emit(f"{name}_rest = {make}(args)")
        with emit.block(f"for start in range(0, {count}, {size}):"):
            emit(f"some = minimum({count} - start, {size})")
            self._fetch(size, base, "start", count)
            for name in moving:
                place = re.sub(r"\bj\b", "start", self.place(name, base))
                emit(f"{name}_whole = advance({self.memory(name)}, {place})")
                choose = function["padded" if name.startswith("in") else "elsewhere"]
                emit(f"{name}_block = {choose}({name}_whole, {name}_rest, some)")
            self.blocks = True
            self._steps(loop, lambda name: f"{base(name)} + start", names)
            self.blocks = False
            for name in moving:
                if name.startswith("out"):
                    emit(f"{function['put_back']}({name}_whole, {name}_rest, some)")

    def _moving(self, name: str) -> bool:
        """Whether an operand is read or written at another place for each element."""
        operand = self.operands[name]
        position = operand.is_position and self.memory(name) == name
        return operand.inner != "0" and not position

    def _steps(self, loop: str, base: Base, names: dict[int, str]) -> None:
        with self.emit.block(loop):
            for value, text in self.chosen.items():
                self.emit(f"v{value} = {text}")
                names[value] = f"v{value}"
            names = self.compute(self.roots(0), base, "", names)
            self.write_outputs(self.flow.inner_outputs, names, base)

    def _periodic(self, name: str) -> bool:
        return self.operands[name].inner == "p"

    def _drawn(self, name: str) -> bool:
        operand = self.operands[name]
        return bool(operand.words) and operand.inner == "1"

    def _draw(self, name: str) -> None:
        """Draw the words of an item, in whole blocks."""
        emit, words = self.emit, self.operands[name].words
        size = 32 // np.dtype(words).itemsize  # words in a block of 32 bytes
        most = "2 * length" if self.spec.streamed else "length"
        self.allocate(f"{name}_row", words, f"{most} + {2 * size}")
        emit(f"{name}_first = {name}_at // {size}")
        emit(f"{name}_last = ({name}_at + width - 1) // {size}")
        with emit.block(f"for drawn in range({name}_last - {name}_first + 1):"):
            emit(f"draw_block({name}_row, drawn, {name}, {name}_first + drawn)")

    def _repeat(self, name: str, base: str) -> None:
        """Write several periods of an operand, so that the inner loop can be long."""
        emit = self.emit
        outer, inner = "for start in range(0, repeated, period):", "for j in range(period):"
        with emit.block(outer), emit.block(inner):
            place = f"{base} + j * {name}_j"
            text = place if self.operands[name].is_position else f"load({name}, {place})"
            emit(f"store({name}_row, start + j, {text})")

    def memory(self, name: str) -> str:
        """The operand itself, or its row: repeated, or drawn; or the tile that is sent to it."""
        if self.blocks and self._moving(name):
            return f"{name}_block"
        if self._sent(name):
            return f"{name}_tile"
        return f"{name}_row" if self._periodic(name) or self._drawn(name) else name

    def place(self, name: str, base: Base) -> str:
        """Index of the operand's element, or of the row's, for inner index ``j``."""
        if self.blocks and self._moving(name):
            return "j"
        if self._drawn(name):
            size = 32 // np.dtype(self.operands[name].words).itemsize
            return f"{base(name)} - {name}_first * {size} + j"
        if self._periodic(name) or self._sent(name):
            return "j"
        return super().place(name, base)
