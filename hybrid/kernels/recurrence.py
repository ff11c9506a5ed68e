"""Loops over a few numbers: their steps follow each other in one function, in registers.

A step of such a loop takes as long as its operations wait for each other. Calls of kernels, which
find their operands in memory and leave their results there, would take longer than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hybrid.kernels.expression import Header, literal, render
from hybrid.kernels.handwritten import source_of
from hybrid.kernels.phase import Text
from hybrid.kernels.region import Instr, Literal
from hybrid.kernels.texts import Source
from hybrid.records import dataclass

# Numbers of the geometry before the distances of rows: nanoseconds, bytes, steps.
FIRST_DISTANCE = 3


@dataclass(frozen=True, slots=True)
class Read:
    """An element that a step reads: of a ``carry``, a ``row`` or a ``constant``."""

    kind: str
    number: int
    offset: int
    dtype: str


@dataclass(frozen=True, slots=True)
class Line:
    """Elements read and instructions, each numbered by its place; some are results.

    The arguments of instructions are such numbers. There are no reductions and no scans left.
    """

    values: tuple[Read | Instr, ...]
    results: tuple[tuple[int | Literal, ...], ...]


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A loop over elements.

    Parameters
    ----------
    carries, ys : tuple of (str, int)
        Dtype and number of elements of each carry, and of a row of what is stacked.
    rows, constants : tuple of str
        Dtypes.
    step : Line
        Its results are the next carries, and then rows of what is stacked.
    ask : Line, optional
        Of the carries and constants; its result says whether to do a step.
    """

    carries: tuple[tuple[str, int], ...]
    ys: tuple[tuple[str, int], ...]
    rows: tuple[str, ...]
    constants: tuple[str, ...]
    step: Line
    ask: Line | None = None


def source(loop: Recurrence) -> Source:
    """The kernel of a loop: ``call(0, geometry, *carries, *rows, *constants, *ys[, count])``.

    The carries are what they are before the first step, and after the last. The geometry has the
    number of steps, and then the distances of rows and of what is stacked, in elements. Where the
    loop asks, the steps done are counted in an int64.
    """
    header, emit = Header(), Text()
    operands = tuple(_operands(loop))
    reads = tuple(name for name, _ in operands if name.startswith(("row", "constant")))
    lines = ['geometry_pointer = operand(0, "int64", "geometry")']
    for slot, (name, dtype) in enumerate(operands, 1):
        clear = f", clear_of={reads}" if name.startswith("y") and reads else ""
        lines.append(f'{name}_pointer = operand({slot}, "{dtype}", "{name}"{clear})')
    emit()
    emit()
    with emit.block("def {name}_run(args, lo, hi):"):
        _Writer(loop, header, emit).write([name for name, _ in operands])
    text = "\n".join([*lines, *header.lines.values(), *emit.lines]) + "\n"
    return source_of("loop", text, ("run",), (), len(operands))


def _operands(loop: Recurrence) -> Iterator[tuple[str, str]]:
    yield from ((f"carry{i}", dtype) for i, (dtype, _) in enumerate(loop.carries))
    yield from ((f"row{i}", dtype) for i, dtype in enumerate(loop.rows))
    yield from ((f"constant{i}", dtype) for i, dtype in enumerate(loop.constants))
    yield from ((f"y{i}", dtype) for i, (dtype, _) in enumerate(loop.ys))
    if loop.ask is not None:
        yield "count", "int64"


@dataclass(frozen=True, slots=True)
class _Writer:
    loop: Recurrence
    header: Header
    emit: Text

    def write(self, operands: Sequence[str]) -> None:
        """Write the body of the function."""
        loop, emit = self.loop, self.emit
        emit("geometry = geometry_pointer(args)")
        for name in operands:
            emit(f"{name} = {name}_pointer(args)")
        for i, (_, size) in enumerate(loop.carries):
            for j in range(size):
                emit(f"carry{i}_{j} = load(carry{i}, {j})")
        lines = [loop.step] if loop.ask is None else [loop.step, loop.ask]
        reads = [x for line in lines for x in line.values if isinstance(x, Read)]
        for x in dict.fromkeys(x for x in reads if x.kind == "constant"):
            emit(f"{_name(x)} = load(constant{x.number}, {x.offset})")
        walks = [f"row{i}" for i in range(len(loop.rows))] + [f"y{i}" for i in range(len(loop.ys))]
        for slot, name in enumerate(walks, FIRST_DISTANCE):
            emit(f"{name}_by = load(geometry, {slot})")
            emit(f"{name}_at = lo * {name}_by")
        if loop.ask is None:
            with emit.block("for step in items(lo, hi):"):
                self.step(walks)
        else:
            emit("step = lo")
            self.ask(loop.ask)
            with emit.block("while going:"):
                self.step(walks)
                emit("step += 1")
                self.ask(loop.ask)
            emit("store(count, 0, step)")
        for i, (_, size) in enumerate(loop.carries):
            for j in range(size):
                emit(f"store(carry{i}, {j}, carry{i}_{j})")

    def step(self, walks: Sequence[str]) -> None:
        """Write a step."""
        emit, n = self.emit, len(self.loop.carries)
        results = self.line(self.loop.step, "v")
        for i, row in enumerate(results[n:]):
            for j, text in enumerate(row):
                emit(f"store(y{i}, y{i}_at + {j}, {text})")
        for name in walks:
            emit(f"{name}_at += {name}_by")
        # All are read before one is written.
        names, texts = [], []
        for i, row in enumerate(results[:n]):
            for j, text in enumerate(row):
                if text != f"carry{i}_{j}":
                    names.append(f"carry{i}_{j}")
                    texts.append(text)
        if len(names) == 1:
            emit(f"{names[0]} = {texts[0]}")
        elif names:
            emit(f"{', '.join(names)} = {', '.join(texts)}")
        elif not walks:
            emit('"""Nothing changes."""')

    def ask(self, line: Line) -> None:
        """Write whether to go on."""
        (((flag,),)) = self.line(line, "a")
        self.emit(f"going = and_(step < hi, {flag})")

    def line(self, line: Line, letter: str) -> list[list[str]]:
        """Write values, and return the text of the results."""
        names: list[str] = []
        for number, value in enumerate(line.values):
            if isinstance(value, Read):
                name = _name(value)
                if value.kind == "row":
                    self.emit(
                        f"{name} = load(row{value.number}, row{value.number}_at + {value.offset})"
                    )
            else:
                name = f"{letter}{number}"
                self.emit(f"{name} = {self.text(value, line, names)}")
            names.append(name)
        return [
            [names[x] if isinstance(x, int) else literal(x, self.header) for x in row]
            for row in line.results
        ]

    def text(self, instr: Instr, line: Line, names: list[str]) -> str:
        """Return the expression of an instruction."""
        texts, dtypes = [], []
        for arg in instr.args:
            texts.append(names[arg] if isinstance(arg, int) else literal(arg, self.header))
            dtypes.append(line.values[arg].dtype if isinstance(arg, int) else arg.dtype)
        if instr.kind == "cast":
            return f"{self.header.cast(instr.dtype)}({texts[0]})"
        return render(instr, texts, dtypes, self.header)


def _name(read: Read) -> str:
    at = f"m{-read.offset}" if read.offset < 0 else str(read.offset)
    return f"{read.kind}{read.number}_{at}"
