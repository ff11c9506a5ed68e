"""CudaSpec -> Python source: what all forms of kernels have in common.

One function for each phase of the kernel; a phase is a launch. Its parameters are the pointers of
the operands, those of a split reduction's temporaries, then the numbers ``kept``, ``extent``,
``length`` and ``chunks``, the same for all phases.

The source is complete: what it does not define is imported by name from ``device.namespace``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from hybrid.kernels.cuda.spec import HALVES, WIDEST, CudaSpec, operand_dtypes, temporaries
from hybrid.kernels.expression import SUFFIX, Header, literal, render
from hybrid.kernels.phase import BOOLEAN_STEP, Text, pruned
from hybrid.kernels.region import Instr
from hybrid.kernels.spec import (
    arguments,
    dataflow,
    inner_closure,
    named_operands,
    pass_roots,
)
from hybrid.records import dataclass

PLACEHOLDER = "KERNEL"
NUMBERS = ("kept", "extent", "length", "chunks")

_STEP = {
    "sum": "add",
    "prod": "mul",
    "max": "maximum",
    "min": "minimum",
    "any": "or_",
    "all": "and_",
}
# What the hardware passes between the lanes of a warp.
_CARRIED = frozenset(("int32", "int64", "float32", "float64"))

# The value of each lane of a thread, by the number of the value.
Lanes = dict[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """Generated text of a GPU kernel.

    Attributes
    ----------
    name
        Words of the body and a hash of the text.
    text
        A Python module.
    phases
        Names of its functions, in the order in which they are launched.
    parameters
        Dtype of what each pointer points to; 16-bit floats are uint16. The numbers follow.
    threads
        Threads of a block.
    numbers
        How many int64 parameters follow the pointers.
    """

    name: str
    text: str
    phases: tuple[str, ...]
    parameters: tuple[str, ...]
    threads: int
    numbers: int = len(NUMBERS)


def finished(
    words: Iterable[str],
    lines: Sequence[str],
    phases: Sequence[str],
    parameters: tuple[str, ...],
    threads: int,
    numbers: int = len(NUMBERS),
) -> Source:
    """Name a kernel after its text, and put the name where the text says KERNEL."""
    text = "\n".join(lines) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    clean = [re.sub(r"\W", "", word) for word in words][:4]
    name = f"g_{'_'.join(clean)[:40]}_{digest}"
    functions = tuple(f"{name}_{phase}" for phase in phases)
    text = text.replace(PLACEHOLDER, name)
    return Source(name, text, functions, parameters, threads, numbers)


def stored_dtype(dtype: str) -> str:
    """The dtype as which a kernel sees memory."""
    return "uint16" if dtype in HALVES else dtype


def parameters(spec: CudaSpec) -> tuple[list[str], tuple[str, ...]]:
    """Names of a kernel's pointers, and the dtypes that they point to."""
    names = [name for name, _ in named_operands(spec.body)]
    dtypes = [stored_dtype(dtype) for dtype in operand_dtypes(spec)]
    pieces = temporaries(spec)
    return [*names, *(x.name for x in pieces)], (*dtypes, *(x.dtype for x in pieces))


class Writer:
    """Writes the function of one phase.

    ``known`` maps the values that are the same for all elements of a result to their names.
    """

    def __init__(self, spec: CudaSpec, phase: str, header: Header, emit: Text) -> None:
        self.spec = spec
        self.flow = dataflow(spec.body)
        self.phase = phase
        self.header = header
        self.emit = emit
        self.count = len(spec.body.inputs)
        self.operands = dict(named_operands(spec.body))
        self.strides = dict(zip(self.operands, spec.strides, strict=True))
        self.known: dict[int, str] = {}

    def write(self) -> None:
        """The whole function."""
        names, _ = parameters(self.spec)
        listed = ", ".join([*names, *NUMBERS])
        with self.emit.block(f"def {PLACEHOLDER}_{self.phase}({listed}):"):
            self.emit.lines += pruned(self.emit.capture(self.function))

    def function(self) -> None:
        """The body of the function."""
        raise NotImplementedError

    # --- positions ------------------------------------------------------------------------

    def unravel(self, index: str, sizes: tuple[int, ...], counter: str) -> None:
        """Set ``counter0, counter1, ...`` to the position ``index`` in loops of inner sizes."""
        divide = "quotient32" if self.spec.narrow else "quotient64"
        for place in range(len(sizes), 0, -1):
            size, whole = sizes[place - 1], f"{counter}_whole{place}"
            self.emit(f"{whole} = {divide}({index}, {size})")
            self.emit(f"{counter}{place} = {index} - {whole} * {size}")
            index = whole
        self.emit(f"{counter}0 = {index}")

    def locate(self, names: Iterable[str], suffix: str, base: str, which: int) -> None:
        """Where in each operand the counters of the kept (0) or reduced (1) loops point."""
        counter = "kr"[which]
        for name in names:
            terms = [base.replace("@", name)] if base else []
            for place, stride in enumerate(self.strides[name][which]):
                if stride:
                    terms.append(f"{counter}{place}" + (f" * {stride}" if stride != 1 else ""))
            self.emit(f"{name}_{suffix} = {' + '.join(terms) or '0'}")

    # --- values ---------------------------------------------------------------------------

    def instr(self, value: int) -> Instr:
        """The instruction that computes a value."""
        return self.spec.body.body[value - self.count]

    def dtype(self, value: int) -> str:
        """Dtype of a value in registers."""
        if value < self.count:
            found = self.spec.body.inputs[value].dtype
            return "float32" if found in HALVES else found
        return self.instr(value).dtype

    def converted(self, text: str, dtype: str, target: str) -> str:
        """A value as another dtype, or as it is stored."""
        if target in HALVES:
            if not dtype.startswith("float"):
                text = f"{self.header.cast('float32')}({text})"
            return f"narrow_{HALVES[target]}({text})"
        return text if dtype == target else f"{self.header.cast(target)}({text})"

    def loaded(self, name: str, text: str) -> str:
        """What is read from memory as the value it stands for."""
        half = HALVES.get(self.operands[name].dtype)
        return f"widen_{half}({text})" if half else text

    def expression(self, value: int, names: dict[int, str]) -> str:
        """The text that computes a value from others."""
        instr = self.instr(value)
        texts = [
            names[arg] if isinstance(arg, int) else literal(arg, self.header) for arg in instr.args
        ]
        dtypes = [self.dtype(arg) if isinstance(arg, int) else arg.dtype for arg in instr.args]
        if instr.kind == "cast":
            return self.converted(texts[0], dtypes[0], instr.dtype)
        return render(instr, texts, dtypes, self.header)

    def computed(self, value: int, names: dict[int, str], where: str, lane: int = 0) -> str:
        """The text that computes a value from others, or from the place."""
        if self.instr(value).kind == "inside":
            (limited,) = arguments(self.instr(value))
            return self.inside(limited, where, lane)
        return self.expression(value, names)

    def roots(self, number: int) -> set[int]:
        """What a pass over the elements is for."""
        flow = self.flow
        return pass_roots(self.spec.body, flow.reduces, flow.inner_outputs, flow.store_pass, number)

    def closure(self, roots: set[int]) -> list[int]:
        """What is computed for each element in order to know ``roots``."""
        return inner_closure(self.spec.body, self.flow.outer, roots)

    def references(self, roots: set[int]) -> set[int]:
        """The outer values that the elements' computations use."""
        used = set(roots)
        for value in self.closure(roots):
            if value >= self.count:
                used |= set(arguments(self.instr(value)))
        return {value for value in used if value in self.flow.outer}

    def joined(self, instr: Instr, a: str, b: str) -> str:
        """Two values of a reduction or a scan as one."""
        name = _STEP[instr.expr]
        if instr.dtype == "bool":
            name = BOOLEAN_STEP.get(instr.expr, name)
        return f"{self.header.function(name, instr.dtype)}({a}, {b})"

    def from_lane(self, how: str, text: str, dtype: str, which: str) -> str:
        """A value of another lane of the warp: ``exchange``, ``before`` or ``of_lane``."""
        if dtype in _CARRIED:
            return f"{how}({text}, {which})"
        carrier = "int64" if np.dtype(dtype).itemsize == 8 else "int32"
        inner = f"{how}({self.header.cast(carrier)}({text}), {which})"
        return f"{self.header.cast(dtype)}({inner})"

    # --- elements -------------------------------------------------------------------------

    def element(self, value: int, where: str, lane: int = 0) -> str:
        """The text that reads an input at ``NAME_where``, or ``lane`` neighbours further on."""
        name, place = f"in{value}", self.place(value, where, lane)
        if self.spec.origins[value] is not None:
            return f"{place} + {self.spec.origins[value]}"
        return self.loaded(name, f"load({name}, {place})")

    def place(self, value: int, where: str, lane: int = 0) -> str:
        """The place of such an element of an input."""
        name = f"in{value}"
        inner = where if self.has_place(name, where) else "at"
        steps = lane * self.inner_stride(name) if inner == where else 0
        place = f"{name}_{inner}" + (f" + {steps}" if steps else "")
        for pick in self.spec.picks[value]:
            index = f"{self.header.cast('int64')}({self.element(pick.index, where, lane)})"
            place += f" + from_end({index}, {pick.size}) * {pick.step}"
        return place

    def inside(self, value: int, where: str, lane: int = 0) -> str:
        """The text that tells whether such a place lies in the stretches that limit an input."""
        texts = []
        for window in self.spec.windows[value]:
            position = self.element(window.position, where, lane)
            texts.append(f"({window.low} <= {position}) & ({position} < {window.high})")
        return " & ".join(texts)

    def emit_read(self, target: str, value: int, where: str, lane: int = 0) -> None:
        """Read an element; it is zero, and not read, outside of what limits the input."""
        text = self.element(value, where, lane)
        if not self.spec.windows[value]:
            self.emit(f"{target} = {text}")
            return
        dtype = self.dtype(value)
        nothing = False if dtype == "bool" else 0.0 if dtype.startswith("float") else 0
        self.emit(f"{target} = {self.header.constant(nothing, dtype)}")
        with self.emit.block(f"if {self.inside(value, where, lane)}:"):
            self.emit(f"{target} = {text}")

    def has_place(self, name: str, where: str) -> bool:
        """Whether an operand has a place of its own for each element, not for each result only."""
        return where == "at" or name in self.inner_operands()

    def elements(self, roots: set[int], width: int, where: str) -> Lanes:
        """Load and compute what ``roots`` need for ``width`` neighbours at ``NAME_where``."""
        lanes: Lanes = {value: (name,) * width for value, name in self.known.items()}
        for value in self.closure(roots):
            if value < self.count:
                lanes[value] = self._read(value, width, where)
                continue
            lanes[value] = self.neighbours(value, lanes, width, where)
        return lanes

    def neighbours(self, value: int, lanes: Lanes, width: int, where: str) -> tuple[str, ...]:
        """Compute a value for each of ``width`` neighbours; gives their names."""
        names = tuple(f"v{value}" + (f"_{i}" if width > 1 else "") for i in range(width))
        for lane, name in enumerate(names):
            of_lane = {v: texts[lane] for v, texts in lanes.items()}
            self.emit(f"{name} = {self.computed(value, of_lane, where, lane)}")
        return names

    def inner_stride(self, name: str) -> int:
        """Stride of an operand along the loop whose neighbours a thread takes at once."""
        strides = self.strides[name][1 if self.spec.body.reduced else 0]
        return strides[-1] if strides else 0

    def _read(self, value: int, width: int, where: str) -> tuple[str, ...]:
        name, emit, spec = f"in{value}", self.emit, self.spec
        stride, picks, windows = self.inner_stride(name), spec.picks[value], spec.windows[value]
        sources = [*(pick.index for pick in picks), *(window.position for window in windows)]
        moving = any(self.inner_stride(f"in{source}") for source in sources)
        if width == 1 or not (stride or moving):
            self.emit_read(f"v{value}", value, where)
            return (f"v{value}",) * width
        names = tuple(f"v{value}_{i}" for i in range(width))
        limited = moving or windows or spec.origins[value] is not None
        if stride == 1 and not limited and all(pick.step % WIDEST == 0 for pick in picks):
            raw = tuple(f"{x}_raw" for x in names) if self._is_half(name) else names
            place = self.place(value, where)
            emit(f"{', '.join(raw)} = {self._wide('load', name, width)}({name}, {place})")
            if raw != names:
                for lane, text in zip(names, raw, strict=True):
                    emit(f"{lane} = {self.loaded(name, text)}")
            return names
        for i, lane in enumerate(names):
            self.emit_read(lane, value, where, i)
        return names

    def inner_operands(self) -> list[str]:
        """The operands of which each element of a result has its own.

        Where only one element is reduced or scanned, that may show in no stride.
        """
        stored = {f"out{index}" for index in self.flow.inner_outputs}
        return [name for name, x in self.operands.items() if not x.outer or name in stored]

    def write_inner(self, lanes: Lanes, width: int, where: str) -> None:
        """Store the results that have an element for each step of the loops."""
        for index in self.flow.inner_outputs:
            value, operand = self.spec.body.outputs[index]
            name = f"out{index}"
            stride = self.inner_stride(name)
            texts = [
                self.converted(text, self.dtype(value), operand.dtype) for text in lanes[value]
            ]
            if width > 1 and stride == 1:
                function = self._wide("store", name, width)
                self.emit(f"{function}({name}, {name}_{where}, ({', '.join(texts)}))")
                continue
            for i, text in enumerate(texts):
                place = f"{name}_{where}" + (f" + {i * stride}" if i and stride else "")
                self.emit(f"store({name}, {place}, {text})")

    def _is_half(self, name: str) -> bool:
        return self.operands[name].dtype in HALVES

    def _wide(self, what: str, name: str, width: int) -> str:
        """The function that moves ``width`` neighbours of an operand at once."""
        dtype = stored_dtype(self.operands[name].dtype)
        function = f"{what}_{SUFFIX[dtype]}x{width}"
        return self.header.define(function, f'vector_{what}("{dtype}", {width})')


def description(spec: CudaSpec) -> Iterator[str]:
    """The comment at the top of a kernel's source."""
    split = ", split" if spec.body.split else ""
    shared = f", {spec.lanes} lanes a result" if spec.body.reduced else ""
    yield f"{spec.along} kernel{split}: {spec.threads} threads{shared}, {spec.vector} at once"
    for (name, operand), (kept, reduced) in zip(
        named_operands(spec.body), spec.strides, strict=True
    ):
        along = f" and {list(reduced)} along reduced" if spec.body.reduced else ""
        yield f"  {name}: {operand.dtype}, strides {list(kept)}{along}"
    count = len(spec.body.inputs)

    def label(value: int) -> str:
        return f"in{value}" if value < count else f"v{value}"

    for number, instr in enumerate(spec.body.body, count):
        args = [label(arg) if isinstance(arg, int) else repr(arg.value) for arg in instr.args]
        what = f"{instr.op} [{instr.expr}]" if instr.kind in ("reduce", "scan") else instr.op
        yield f"  v{number} = {what}({', '.join(args)}) -> {instr.dtype}"
    for index, (value, _) in enumerate(spec.body.outputs):
        yield f"  out{index} = {label(value)}"
