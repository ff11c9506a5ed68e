"""Phases by rows that ask for lines of memory before they come to them.

The processor asks by itself for what is read, but not for what is stored, nor enough of what much
is computed of.
"""

from __future__ import annotations

import numpy as np

from hybrid.kernels.ahead import ahead_of
from hybrid.kernels.expression import Header
from hybrid.kernels.lent import lent_rows
from hybrid.kernels.moments import Moment
from hybrid.kernels.phase import Base, Phase, Text
from hybrid.kernels.spec import KernelSpec, Operand, arguments, inner_closure, is_heavy

# Bytes of a line of the cache, and how many lines of a result are asked for: half of what the first
# level has.
LINE = 64
MOST = 256
# Bytes of a row up to which the next one is asked for while functions of this one are computed.
AHEAD = 65536
# How many bytes ahead lines of the same row are asked for while squares of long ones are added up.
FURTHER = 2048


class AskingPhase(Phase):
    """What asks for rows, beside what is computed of other ones."""

    def __init__(self, spec: KernelSpec, kind: str, header: Header, emit: Text) -> None:
        super().__init__(spec, kind, header, emit)
        self._asked = dict[str, str]()
        self._beside = dict[str, str]()

    @property
    def inner_size(self) -> str:
        """The name of the size of the inner loop."""
        return f"n_r{self.spec.reduced - 1}"

    @property
    def ahead(self) -> int | None:
        """The extreme that is looked for a row ahead."""
        return ahead_of(self.spec) if self.kind == "item" else None

    @property
    def lent(self) -> dict[int, int]:
        return lent_rows(self.spec) if self.kind == "item" else {}

    @property
    def squares(self) -> dict[int, Moment]:
        """The reductions of squares that are had one pass before their centre is known."""
        return {moment.squares: moment for moment in self.spec.moments}

    def forget_asked(self) -> None:
        """Ask for nothing in the next pass, unless that says so."""
        self._asked.clear()
        self._beside.clear()

    def ask(self) -> None:
        """Ask for the row that a later pass writes: it comes while functions are computed."""
        written = set(self.flow.inner_outputs) - set(self.lent.values())
        for index in sorted(written) if self.spec.reduced == 1 else ():
            name, operand = f"out{index}", self.operands[f"out{index}"]
            line = LINE // np.dtype(operand.dtype).itemsize
            if operand.inner == "1":
                with self.emit.block(
                    f"for j in items(0, minimum({self.inner_size} // {line}, {MOST})):"
                ):
                    self.emit(f"fetch_to_write({name}, {name}_at + j * {line})")

    @property
    def _computing(self) -> int:
        """The first pass that computes functions of a row that another one has read."""
        for number in range(1, self.flow.passes):
            values = inner_closure(self.spec, self.flow.outer, self.roots(number))
            if any(x >= self.count and is_heavy(self.instr(x)) for x in values):
                return number
        return 0

    def ask_next(self, number: int) -> None:
        """Say where the next rows begin, if they are asked for in this pass.

        They are while functions of these are computed, or results of sums of squares are stored.
        That is a line for each vector. All lines at once delay what they run beside.
        """
        if not self.spec.kept or self.spec.reduced > 1:
            return
        if 0 < number == self._computing:
            names = [f"in{i}" for i, x in enumerate(self.spec.inputs) if not _is_elsewhere(x)]
            lent = self.kept_by(number) & self.lent.keys()
            names += [f"out{self.lent[value]}" for value in sorted(lent)]
        elif number == self.flow.store_pass and number not in self._squared:
            names = [name for before in self._squared for name in self._read(before)]
        else:
            return
        ahead = "" if self.ahead is None else f"in{arguments(self.instr(self.ahead))[0]}"
        loop = f"k{self.spec.kept - 1}"
        for name in dict.fromkeys(names):
            operand = self.operands[name]
            if operand.inner == "1" and operand.dtype in ("float32", "float64"):
                most = AHEAD // np.dtype(operand.dtype).itemsize
                there = f"(item + 1 < hi) & ({self.inner_size} <= {most})"
                if name == ahead:
                    there = f"(item + 2 < hi) & ({self.inner_size} <= {most})"
                    step = f"select(item + 1 < hi, {name}_{loop}, 0)"
                    self.emit(f"{name}_next = {name}_at + {step}")
                    self.emit(f"{name}_after = {name}_next + select({there}, {name}_{loop}, 0)")
                    continue
                self.emit(f"{name}_next = {name}_at + select({there}, {name}_{loop}, 0)")
                self._asked[name] = name
        self._pair([ahead] if ahead else [x for x in self._read(number) if x in self._asked])

    def _pair(self, read: list[str]) -> None:
        """Let inputs be asked for together with results: two places that move on cost more."""
        written = [name for name in self._asked if name.startswith("out")]
        for name, out in zip(read, written, strict=False):
            if self.operands[name].dtype == self.operands[out].dtype:
                self._beside[name] = out
                del self._asked[out]

    @property
    def _squared(self) -> list[int]:
        """The passes that add squares up."""
        reduces = enumerate(self.flow.reduces)
        return [number for number, values in reduces if self.squares.keys() & set(values)]

    def _read(self, number: int) -> list[str]:
        """The inputs that a pass reads element by element."""
        values = inner_closure(self.spec, self.flow.outer, self.roots(number))
        return [
            f"in{value}"
            for value in sorted(values)
            if value < self.count and not _is_elsewhere(self.spec.inputs[value])
        ]

    def ask_further(self, number: int, base: Base) -> None:
        """Say what is asked for while squares are added up: the row of a result, or what is ahead.

        The processor asks for what is read by itself, though not enough for three operations on
        each number. For what a later pass stores to it asks when it is too late. Where rows are too
        long to be there still in that pass, lines of the row are asked for that lie further on.
        """
        later = [f"out{i}" for i in self.flow.inner_outputs if number < self.flow.store_pass]
        for name in self._read(number):
            operand, width = self.operands[name], np.dtype(self.operands[name].dtype).itemsize
            if operand.inner != "1" or operand.dtype not in ("float32", "float64"):
                continue
            if name in self._asked:
                continue
            self._asked[name] = name
            further = f"{base(name)} + {FURTHER // width}"
            results = [
                out
                for out in later
                if (self.operands[out].inner, self.operands[out].dtype) == ("1", operand.dtype)
            ]
            if self.kind == "item" and self.spec.reduced == 1 and results:
                later.remove(results[0])
                self._asked[name] = f"{name}_asked"
                self.emit(f"is_short = {self.inner_size} <= {AHEAD // width}")
                self.emit(f"{name}_asked = either(is_short, {results[0]}, {name})")
                further = f"select(is_short, {base(results[0])}, {further})"
            self.emit(f"{name}_next = {further}")

    def element(self, name: str, base: Base) -> str:
        text = super().element(name, base)
        if name not in self._asked:
            return text
        return self.with_asking(text, name, self._asked[name], f"{name}_next")

    def with_asking(self, text: str, name: str, memory: str, start: str) -> str:
        """A number, and what it asks for."""
        out = self._beside.get(name)
        if out is None:
            return f"asking({text}, {memory}, {start} + j)"
        return f"asking_both({text}, {memory}, {start}, {out}, {out}_next, j)"

    def kept_text(self, value: int, name: str) -> str:
        out = f"out{self.lent.get(value)}"
        return f"asking_to_write({name}, {out}, {out}_next + j)" if out in self._asked else name


def _is_elsewhere(operand: Operand) -> bool:
    """Whether an operand's elements are not those of a row, one after the other."""
    special = operand.picks or operand.windows or operand.is_position or operand.words
    return operand.outer or bool(special)
