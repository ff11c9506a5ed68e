"""Reductions across the inner loop of elements that many results share.

The distances of all pairs of points reduce differences of broadcast operands: a few elements each,
and those of one operand are the same for all results of a row. They are copied to a tile once, in
which the results are neighbours, and the accumulators of some hundred bytes of results stay in
vector registers for a whole pass. Distances of 1,000 points of 32 float32: 8.4 ms of processor time
when each result was a loop, 1.5 so.
"""

from __future__ import annotations

import numpy as np

from hybrid.kernels.phase_columns import ROW_UNROLL, TAGS, ColumnsPhase
from hybrid.kernels.sharing import LANES

# Bytes of a vector; on processors with shorter ones LLVM takes several.
VECTOR = 64
# Rows whose sum stays in registers before it is added to the result.
ROW_GROUP = 64


class TiledPhase(ColumnsPhase):
    """Columns whose elements are the same for the innermost kept loops."""

    def begin(self) -> None:
        """No tile has been filled yet."""
        self.emit("filled = -1")

    def fill(self, names: list[str]) -> None:
        """Copy the inputs to their tiles, unless the item before has done so."""
        kept = self.spec.kept
        steps = (f"n_k{i}" for i in range(kept - self.spec.shared, kept))
        self.emit(f"tile = item // ({' * '.join(steps)})")
        with self.emit.block("if tile != filled:"):
            super().fill(names)
            self.emit("filled = tile")

    def staged(self, name: str) -> bool:
        """Whether an operand is copied to a tile: all that are reduced and vary among results."""
        operand = self.operands[name]
        return operand.inner in ("s", "1") and not operand.outer

    def stretch(self) -> None:
        """Stretches of nearly equal length, none shorter than what is in registers at a time."""
        self.emit("first = block * n_j // blocks")
        self.emit("width = (block + 1) * n_j // blocks - first")

    def add_up(
        self, number: int, reduces: tuple[int, ...], blocked: list[int], rows: tuple[str, str]
    ) -> None:
        """A pass with its accumulators in registers; the last ones repeat some of those before."""
        emit = self.emit
        lanes, loop = self._lanes(len(reduces))
        for value in reduces:
            for level in ("_total", "_lanes"):
                name, dtype = f"v{value}{level}", self.dtype(value)
                make = self.header.define(f"{name}_of", f'registers("{dtype}", {lanes}, "{name}")')
                emit(f"{name} = {make}(args)")
        with emit.block(f"for strip in range(0, width, {lanes}):"):
            emit(f"part = minimum(strip, width - {lanes})")
            with emit.block(loop):
                self._begin(reduces, "_total")
            with emit.block(f"for start in range({rows[0]}, {rows[1]}, {ROW_GROUP}):"):
                emit(f"stop = minimum(start + {ROW_GROUP}, {rows[1]})")
                emit(f"rest = stop - (stop - start) % {ROW_UNROLL}")
                with emit.block(loop):
                    self._begin(reduces, "_lanes")
                with emit.block(f"for row in range(start, rest, {ROW_UNROLL}):"):
                    self._rows_of(number, TAGS, loop)
                with emit.block("for row in range(rest, stop):"):
                    self._rows_of(number, "a", loop)
                with emit.block(loop):
                    for value in reduces:
                        part = f"load(v{value}_lanes, j - part)"
                        self.accumulate(value, f"v{value}_total", "j - part", part)
            with emit.block(loop):
                for value in reduces:
                    emit(f"store(v{value}, j, load(v{value}_total, j - part))")

    def _lanes(self, reduces: int) -> tuple[int, str]:
        """How many results are in registers at a time, and the loop over them."""
        values = range(self.count + len(self.spec.body))
        width = VECTOR // max(np.dtype(self.dtype(value)).itemsize for value in values)
        lanes = min(LANES, (4 if reduces < 3 else 2) * width)
        return lanes, f"for j in lanes(part, {lanes}, {width}):"

    def _begin(self, reduces: tuple[int, ...], level: str) -> None:
        for value in reduces:
            self.emit(f"store(v{value}{level}, j - part, {self.constant(self.instr(value))})")

    def _rows_of(self, number: int, tags: str, loop: str) -> None:
        self.locate_rows(tags)
        with self.emit.block(loop):
            for value, total in self.terms(number, tags).items():
                self.accumulate(value, f"v{value}_lanes", "j - part", total)
