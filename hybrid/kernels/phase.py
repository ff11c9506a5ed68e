"""What the generated functions of all kernel forms have in common.

A ``Phase`` writes one function ``phase(args, lo, hi)`` that does the work items from ``lo`` up to
``hi``. Items are the cells of a grid: kept loops, blocks of rows, blocks of the inner loop.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field, replace

import numpy as np

from hybrid.kernels.expression import SUFFIX, Header, literal, render
from hybrid.kernels.region import Instr, register_dtype
from hybrid.kernels.spec import (
    KernelSpec,
    arguments,
    dataflow,
    geometry_slots,
    inner_closure,
    is_heavy,
    named_operands,
    pass_roots,
)
from hybrid.records import dataclass

_STEP = {
    "sum": "add_reassoc",
    "prod": "mul_reassoc",
    "max": "max_step",
    "min": "min_step",
    "any": "or_",
    "all": "and_",
}
BOOLEAN_STEP = {"sum": "or_", "max": "or_", "prod": "and_", "min": "and_"}

# A scan is computed in this order, unlike a reduction.
_SCAN_STEP = {
    "sum": "{0} + {1}",
    "prod": "{0} * {1}",
    "max": "maximum({0}, {1})",
    "min": "minimum({0}, {1})",
}

# A position in the loops: gives the first element of an operand there.
Base = Callable[[str], str]


@dataclass(slots=True)
class Text:
    """Lines of source with their indentation."""

    lines: list[str] = field(default_factory=list)
    depth: int = 0

    def __call__(self, line: str = "") -> None:
        self.lines.append("    " * self.depth + line if line else "")

    @contextmanager
    def block(self, line: str) -> Iterator[None]:
        """Lines under a line that ends in a colon."""
        self(line)
        self.depth += 1
        yield
        self.depth -= 1

    def capture(self, write: Callable[[], None]) -> list[str]:
        """The lines that ``write`` adds, taken out again."""
        before, self.lines = self.lines, []
        write()
        written, self.lines = self.lines, before
        return written


def step(instr: Instr) -> str:
    """The function that accumulates for a reduction."""
    if instr.dtype == "bool":
        return BOOLEAN_STEP.get(instr.expr, _STEP[instr.expr])
    return _STEP[instr.expr]


def identity(instr: Instr) -> bool | int | float:
    """What a reduction over nothing gives."""
    kind, dtype = instr.expr, np.dtype(instr.dtype)
    if dtype.kind == "b":
        return kind in ("all", "prod", "min")
    if kind in ("sum", "prod"):
        return int(kind == "prod")
    lowest = kind == "max"
    if dtype.kind == "f":
        return float("-inf") if lowest else float("inf")
    info = np.iinfo(dtype)
    return int(info.min if lowest else info.max)


def start(instr: Instr) -> bool | int | float:
    """What a scan starts from: 0.0 would turn a first -0.0 into 0.0."""
    summed = instr.expr == "sum" and instr.dtype.startswith("float")
    return -0.0 if summed else identity(instr)


def cascades(instr: Instr) -> bool:
    """Whether rounding makes the order of accumulation matter."""
    return instr.expr in ("sum", "prod") and instr.dtype.startswith("float")


_POSITION = re.compile(r" *((?:in|out)\d+_(?:at|here|[abcd])) = ")


def pruned(lines: list[str]) -> list[str]:
    """The lines without positions that nothing reads; every line costs compile time."""
    while True:
        used = set(re.findall(r"\w+", "\n".join(_POSITION.sub("", line) for line in lines)))
        kept = [line for line in lines if not (m := _POSITION.match(line)) or m.group(1) in used]
        if len(kept) == len(lines):
            return kept
        lines = kept


class Phase:
    """Writes one function of a kernel.

    ``known`` maps values of the kept axes that are at hand to the text that reads them, with
    ``@`` for the inner index; ``saved`` are the inner values that an earlier pass has kept.
    """

    def __init__(self, spec: KernelSpec, phase: str, header: Header, emit: Text) -> None:
        self.spec = spec
        self.flow = dataflow(spec)
        self.header = header
        self.emit = emit
        self.kind = phase.rstrip("0123456789")
        number = phase[len(self.kind) :]
        self.passes = [int(number)] if number else list(range(self.flow.passes))
        self.count = len(spec.inputs)
        self.operands = dict(named_operands(spec))
        self.known: dict[int, str] = {}
        self.saved: set[int] = set()
        self.allocations: list[str] = []
        # Names that say throughout the inner loop whether windows of an operand are open.
        self.open: dict[str, str] = {}

    # --- the function ---------------------------------------------------------------------

    def write(self) -> None:
        """The body of the function."""
        emit = self.emit
        loop = pruned(emit.capture(self._items))
        for line in self.allocations:
            emit(line)
        allocated = emit.lines[len(emit.lines) - len(self.allocations) :]
        del emit.lines[len(emit.lines) - len(self.allocations) :]
        start = emit.capture(self._start)
        words = set(re.findall(r"\w+", "\n".join([*loop, *allocated, *start])))
        self._preamble(words)
        emit.lines += [*allocated, *start, *loop]
        for line in self.allocations:
            emit(f"release({line.split(' ')[0]})")

    def _preamble(self, words: set[str]) -> None:
        emit = self.emit
        emit("geometry = geometry_pointer(args)")
        for name in (*self.operands, *(f"temporary_{suffix}" for suffix in SUFFIX.values())):
            if name in words:
                emit(f"{name} = {name}_pointer(args)")
        for name, slot in geometry_slots(self.spec).items():
            if name in words:
                emit(f"{name} = load(geometry, {slot})")

    def _items(self) -> None:
        with self.emit.block(f"for item in {self.steps()}(lo, hi):"):
            self.item()
            self._count_up(self.grid())
        self.end()

    def steps(self) -> str:
        """What items are counted by."""
        return "range"

    def grid(self) -> list[tuple[str, str]]:
        """Counters of the grid of items, outermost first, with their limits."""
        counters = [(f"k{i}", f"n_k{i}") for i in range(self.spec.kept)]
        if self.kind in ("partial", "store"):
            counters.append(("row_block", "row_blocks"))
        if self.spec.form != "rows" or self.kind in ("partial", "store"):
            counters.insert(len(counters) - self.spec.shared, ("block", "blocks"))
        return counters

    def _unravel(self, position: str, counters: list[tuple[str, str]]) -> None:
        """Set the counters to a position; the first one takes what remains."""
        emit = self.emit
        if len(counters) == 1:
            emit(f"{counters[0][0]} = {position}")
        elif counters:
            emit(f"rest = {position}")
            for name, limit in reversed(counters[1:]):
                emit(f"{name} = rest % {limit}")
                emit(f"rest = rest // {limit}")
            emit(f"{counters[0][0]} = rest")

    def _count_up(self, counters: list[tuple[str, str]]) -> None:
        emit = self.emit
        depth = emit.depth
        for place, (name, limit) in enumerate(reversed(counters), 1):
            emit(f"{name} += 1")
            if place < len(counters):
                emit(f"if {name} == {limit}:")
                emit.depth += 1
                emit(f"{name} = 0")
        emit.depth = depth

    def _start(self) -> None:
        self.begin()
        self._unravel("lo", self.grid())

    def begin(self) -> None:
        """What is done once, before the items."""

    def end(self) -> None:
        """What is done once, after the items."""

    def item(self) -> None:
        """One work item."""
        raise NotImplementedError

    # --- places ---------------------------------------------------------------------------

    def kept_position(self) -> str:
        """Number of the cell of the kept loops that the item belongs to."""
        text = "0"
        for i in range(self.spec.kept):
            text = f"k{i}" if i == 0 else f"({text} * n_k{i} + k{i})"
        return text

    def locate(self, names: list[str]) -> None:
        """``in0_at``: where an item's elements of each operand begin."""
        for name in names:
            terms = [f"{name}_offset"]
            terms += [f"k{i} * {name}_k{i}" for i in range(self.spec.kept)]
            if self.spec.form != "rows":
                inner = self.operands[name].inner
                terms += {"1": ["first"], "s": [f"first * {name}_j"]}.get(inner, [])
            self.emit(f"{name}_at = {' + '.join(terms)}")

    def place(self, name: str, base: Base) -> str:
        """Index of the operand's element for inner index ``j``."""
        operand = self.operands[name]
        text = base(name) + {"0": "", "1": " + j", "s": f" + j * {name}_j"}[operand.inner]
        for number, pick in enumerate(operand.picks):
            index = f"{self.header.cast('int64')}({self.element(f'in{pick}', base)})"
            text += f" + from_end({index}, {name}_size{number}) * {name}_step{number}"
        return text

    def element(self, name: str, base: Base) -> str:
        """The text that reads the operand's element for inner index ``j``."""
        operand, place = self.operands[name], self.place(name, base)
        if operand.words and self.memory(name) == name:
            return f"word_{operand.words}({name}, {place})"
        if operand.is_position and self.memory(name) == name:
            return f"({place})"
        if operand.windows:
            return f"load_where({self.inside(name, base)}, {self.memory(name)}, {place})"
        return f"load({self.memory(name)}, {place})"

    def inside(self, name: str, base: Base) -> str:
        """The text that tells whether inner index ``j`` is inside of the operand's windows."""
        if name in self.open:
            return self.open[name]
        bounds = []
        for number, source in enumerate(self.operands[name].windows):
            position = self.element(f"in{source}", base)
            bounds += [f"({position} >= {name}_low{number})", f"({position} < {name}_high{number})"]
        return functools.reduce("and_({}, {})".format, bounds)

    def memory(self, name: str) -> str:
        """The pointer under which an operand's elements are accessed."""
        return name

    def at(self, name: str) -> str:
        """The base of an operand at the start of the item."""
        return f"{name}_at"

    def temporary(self, value: int) -> str:
        """The kernel's temporary memory as elements of a value's dtype."""
        dtype = self.dtype(value)
        slot = len(self.operands) + 1
        name = f"temporary_{SUFFIX[dtype]}"
        definition = f'operand({slot}, "{dtype}", "temporary", clear_of=arrays)'
        self.header.define(f"{name}_pointer", definition)
        return name

    def allocate(self, name: str, dtype: str, size: str) -> str:
        """Scratch memory that lives as long as the function runs."""
        others = [x for x in ("temporary",) if x != name]
        definition = f'scratch("{dtype}", "{name}", clear_of=arrays + {tuple(others)})'
        make = self.header.define(f"{name}_scratch", definition)
        line = f"{name} = {make}({size})"
        if line not in self.allocations:
            self.allocations.append(line)
        return name

    # --- values ---------------------------------------------------------------------------

    def instr(self, value: int) -> Instr:
        """The instruction that computes a value."""
        return self.spec.body[value - self.count]

    def dtype(self, value: int) -> str:
        """Dtype of a value."""
        if value < self.count:
            operand = self.spec.inputs[value]
            return operand.words or register_dtype(operand.dtype)
        return self.instr(value).dtype

    def constant(self, instr: Instr) -> str:
        """The name of a reduction's identity."""
        return self.header.constant(identity(instr), instr.dtype)

    def expression(self, value: int, names: dict[int, str], base: Base) -> str:
        """The text that computes a value of one place from named values."""
        instr = self.instr(value)
        if instr.kind == "inside":
            return self.inside(f"in{instr.args[0]}", base)
        texts, dtypes = [], []
        for arg in instr.args:
            known = isinstance(arg, int)
            texts.append(names[arg] if isinstance(arg, int) else literal(arg, self.header))
            dtypes.append(self.dtype(arg) if isinstance(arg, int) else arg.dtype)
            assert known or texts
        if instr.kind == "cast":
            return f"{self.header.cast(instr.dtype)}({texts[0]})"
        if instr.kind == "scan":
            step_ = replace(instr, kind="map", expr=_SCAN_STEP[instr.expr])
            running = self.running(value)
            return render(step_, [running, *texts], [instr.dtype, instr.dtype], self.header)
        return render(instr, texts, dtypes, self.header)

    def running(self, value: int) -> str:
        """The text that reads what a scan has come to."""
        raise NotImplementedError

    def scans(self, number: int) -> list[int]:
        """The scans that a pass computes."""
        computed = inner_closure(self.spec, self._stops(), self.roots(number))
        return [v for v in computed if v >= self.count and self.instr(v).kind == "scan"]

    def converted(self, text: str, source: str, dtype: str) -> str:
        """``text`` with a cast if it has another dtype; 16-bit floats are narrowed by stores."""
        dtype = register_dtype(dtype)
        return text if source == dtype else f"{self.header.cast(dtype)}({text})"

    def roots(self, number: int) -> set[int]:
        """The values that a pass exists for."""
        flow = self.flow
        return pass_roots(self.spec, flow.reduces, flow.inner_outputs, flow.store_pass, number)

    def _stops(self) -> frozenset[int]:
        return self.flow.outer | (self.flow.saved & self.saved)

    def references(self, roots: set[int]) -> set[int]:
        """``roots`` and all arguments of the inner values behind them."""
        found = set(roots)
        for value in inner_closure(self.spec, self._stops(), roots):
            if value >= self.count:
                found |= set(arguments(self.instr(value)))
        return found

    def outer_closure(self, roots: set[int]) -> list[int]:
        """The outer values needed for ``roots`` that are not known yet, in order."""
        needed: set[int] = set()
        pending = list(roots & self.flow.outer)
        while pending:
            value = pending.pop()
            if value in needed or value in self.known:
                continue
            needed.add(value)
            if value >= self.count and self.instr(value).kind != "reduce":
                pending += arguments(self.instr(value))
        return sorted(needed)

    def hoisted(self, roots: set[int], base: Base) -> dict[int, str]:
        """Read the inputs that do not vary along the inner loop."""
        names = {}
        for value in inner_closure(self.spec, self._stops(), roots):
            if value < self.count and self._stays(f"in{value}"):
                self.emit(f"v{value} = {self.element(f'in{value}', base)}")
                names[value] = f"v{value}"
        return names

    def _stays(self, name: str) -> bool:
        """Whether an operand does not vary along the inner loop."""
        operand = self.operands[name]
        names = [name, *(f"in{source}" for source in (*operand.picks, *operand.windows))]
        return all(self.operands[x].inner == "0" for x in names)

    def compute(
        self,
        roots: set[int],
        base: Base,
        saved_at: str,
        names: dict[int, str],
        tag: str = "",
    ) -> dict[int, str]:
        """Write the scalar body for inner index ``j``; gives the names of its values."""
        emit = self.emit
        names = {**{v: text.replace("@", "j") for v, text in self.known.items()}, **names}
        for value in sorted(self.references(roots) & self.flow.saved & self.saved):
            names[value] = f"v{value}{tag}"
            emit(f"{names[value]} = load({self.kept_at(value, saved_at, base)})")
        for value in inner_closure(self.spec, self._stops(), roots):
            if value in names:
                continue
            if value < self.count:
                text = self.element(f"in{value}", base)
            else:
                text = self.expression(value, names, base)
            names[value] = f"v{value}{tag}"
            emit(f"{names[value]} = {text}")
            self.ran(value, names[value])
            if value in self.flow.saved:
                text = self.kept_text(value, names[value])
                emit(f"store({self.kept_at(value, saved_at, base)}, {text})")
        return names

    def kept_text(self, value: int, name: str) -> str:
        """The text of what is saved of a value."""
        return name

    def ran(self, value: int, name: str) -> None:
        """Called when a value is computed, so that scans can keep it for the next element."""

    def keep(self, number: int, size: str) -> None:
        """Allocate what this pass saves for later ones."""
        for value in sorted(self.kept_by(number)):
            self.allocate(f"v{value}_row", self.dtype(value), size)

    def kept_at(self, value: int, saved_at: str, base: Base) -> str:
        """Pointer and index of what is saved of a value for inner index ``j``."""
        return f"v{value}_row, {saved_at}"

    def kept_by(self, number: int) -> set[int]:
        """The values that a pass saves."""
        computed = inner_closure(self.spec, self._stops(), self.roots(number))
        return {value for value in computed if value in self.flow.saved}

    def write_outputs(self, indices: tuple[int, ...], names: dict[int, str], base: Base) -> None:
        """Store values to the outputs with the given indices, at inner index ``j``."""
        for index in indices:
            value, operand = self.spec.outputs[index]
            text = self.converted(names[value], self.dtype(value), operand.dtype)
            name = f"out{index}"
            self.emit(f"store({self.memory(name)}, {self.place(name, base)}, {text})")

    def is_last_total(self) -> bool:
        """Whether all reductions are done after this phase."""
        later = self.flow.reduces[self.passes[-1] + 1 :]
        return not any(later)

    def heavy(self) -> bool:
        """Whether the body calls transcendental functions."""
        return any(is_heavy(instr) for instr in self.spec.body)
