"""Elementwise kernels: each result is computed from one place of the operands."""

from __future__ import annotations

import numpy as np

from hybrid.kernels.phase import Base, Phase
from hybrid.kernels.region import COMPLEX
from hybrid.kernels.spec import INTERLEAVED, is_heavy, longest_chain

# Bytes of a vector; on processors with shorter ones LLVM takes several.
VECTOR = 64
# Functions that wait for each other: from here on one vector leaves the processor idle, and four at
# once take a third less time. Fewer gain little, and more code takes longer to compile.
CHAIN = 2
MOST_HEAVY = 8
# Functions of which one vector at a time keeps the processor busy; of one alone LLVM has several
# under way, and one takes up to 20 % longer.
MASKED = 2


class MapPhase(Phase):
    """Elementwise kernels."""

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
        emit(f"lead = until_line({sent[0]}, {sent[0]}_at)")
        emit(f"whole = (width - lead) // {size}")
        emit(f"after = width - lead - whole * {size}")
        with emit.block("for step in range(select(lead + after == 0, 0, -2), whole):"):
            emit(f"edges = (step + 2) * (width - {size})")
            emit(f"part = select(step < 0, edges, lead + step * {size})")
            for name, operand in self.operands.items():
                to = {"1": " + part", "s": f" + part * {name}_j"}.get(operand.inner, "")
                emit(f"{name}_here = {name}_at{to}")
            self._fetch(size)
            self._steps(loop, lambda name: f"{name}_here")
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
        values = range(self.count + len(self.spec.body))
        dtypes = [*map(self.dtype, values), *(x.dtype for x in self.operands.values())]
        sizes = [np.dtype(dtype).itemsize for dtype in dtypes]
        width, least = VECTOR // max(sizes), VECTOR // min(sizes)
        vectors = 1 if self._maskable() and not self._several() else INTERLEAVED
        size = max(vectors * width, least)
        return size, f"for j in lanes(0, {size}, {width}, {vectors}):"

    def _fetch(self, size: int) -> None:
        """Ask for what is read some blocks later, one line after the other."""
        fetch = self.header.define(f"fetch_{size}", f"fetcher({size})")
        for number, operand in enumerate(self.spec.inputs):
            special = operand.picks or operand.windows or operand.is_position or operand.words
            if operand.inner == "1" and not special:
                self.emit(f"{fetch}(in{number}, in{number}_here)")

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
        steps = "interleaved" if self._several() else "masked" if self._maskable() else "range"
        self._steps(f"for j in {steps}({count}):", base)

    def _steps(self, loop: str, base: Base) -> None:
        roots = self.roots(0)
        names = self.hoisted(roots, base)
        with self.emit.block(loop):
            names = self.compute(roots, base, "", names)
            self.write_outputs(self.flow.inner_outputs, names, base)

    def _several(self) -> bool:
        """Whether functions wait for each other, so that several vectors are to be under way."""
        body = self.spec.body
        chained = longest_chain(self.count, body) >= CHAIN
        return chained and sum(map(is_heavy, body)) <= MOST_HEAVY

    def _maskable(self) -> bool:
        """Whether masks are cheap: beside functions, where operands lie one after the other."""
        real = all(instr.dtype not in COMPLEX for instr in self.spec.body)
        plain = all(op.inner in "01p" and not op.picks for op in self.operands.values())
        return real and plain and sum(map(is_heavy, self.spec.body)) >= MASKED

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
        if self._sent(name):
            return f"{name}_tile"
        return f"{name}_row" if self._periodic(name) or self._drawn(name) else name

    def place(self, name: str, base: Base) -> str:
        """Index of the operand's element, or of the row's, for inner index ``j``."""
        if self._drawn(name):
            size = 32 // np.dtype(self.operands[name].words).itemsize
            return f"{base(name)} - {name}_first * {size} + j"
        if self._periodic(name) or self._sent(name):
            return "j"
        return super().place(name, base)
