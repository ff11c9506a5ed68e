"""KernelSpec -> Python source, with numba's types and intrinsics.

The source holds one function for each phase of the kernel, ``phase(args, lo, hi)``, which does the
work items from ``lo`` up to ``hi``. Items are cells of a grid; their position is unravelled once,
then counted up like an odometer. Inside an item every pass over the data is a nest of plain loops
around the scalar body.

Sums and products of floats are blocked: a vectorised loop adds at most 1024 elements, block results
go through a cascade of three accumulators. The rounding error then grows with about the root of the
number of blocks, as in pairwise summation, and the order of additions depends on sizes only.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from hybrid.kernels.expression import Header
from hybrid.kernels.phase import Text
from hybrid.kernels.phase_columns import ColumnsPhase
from hybrid.kernels.phase_map import MapPhase
from hybrid.kernels.phase_rows import RowsPhase
from hybrid.kernels.phase_tiled import TiledPhase
from hybrid.kernels.spec import (
    KernelSpec,
    dataflow,
    is_heavy,
    named_operands,
    outer_loops,
    phases,
)
from hybrid.kernels.texts import Source, named

_FORMS = {"map": MapPhase, "rows": RowsPhase, "columns": ColumnsPhase}
_PLACEHOLDER = "KERNEL"
_STRIDES = {"0": "constant", "1": "contiguous", "s": "strided", "p": "periodic"}


@functools.lru_cache(maxsize=4096)
def source(spec: KernelSpec) -> Source:
    """The source of the kernel for a specification."""
    header, emit = Header(), Text()
    names = phases(spec)
    for phase in names:
        emit()
        emit()
        with emit.block(f"def {_PLACEHOLDER}_{phase}(args, lo, hi):"):
            form = TiledPhase if spec.shared else _FORMS[spec.form]
            form(spec, phase, header, emit).write()
    lines = [*(f"# {line}" for line in _description(spec)), "", *_operands(spec)]
    lines += [*header.lines.values(), *emit.lines]
    text = "\n".join(lines) + "\n"
    name = named(_words(spec), text)
    functions = tuple(f"{name}_{phase}" for phase in names)
    arrays = len(spec.inputs) + len(spec.outputs)
    return Source(name, text.replace(_PLACEHOLDER, name), functions, arrays, _reduced(spec))


def _reduced(spec: KernelSpec) -> bool:
    """Whether reducing strengths pays.

    It does not in loops along rows that are added up, which count one number for all arrays. The
    code of the MLP training step took 460 ms without instead of 735; with gathers runs took 17 %
    longer, as did distances by tiles in other forms. Nor does it in elementwise loops: without it
    LLVM has the same inner loops, and 16 kernels took 0.80 to 1.01 of the time to run, 0.5 to 0.75
    to compile. Only where functions fill the loop, it is up to 6 % there.
    """
    if any(operand.picks or operand.windows for _, operand in named_operands(spec)):
        return True
    return spec.form == "rows" or bool(spec.shared) or _heavy_map(spec)


def _heavy_map(spec: KernelSpec) -> bool:
    return spec.form == "map" and any(map(is_heavy, spec.body))


def _words(spec: KernelSpec) -> str:
    words = [re.sub(r"\W", "", instr.op) for instr in spec.body if instr.kind != "cast"]
    return "_".join(words[:4] or ["copy"])[:40]


def _operands(spec: KernelSpec) -> Iterator[str]:
    """Definitions of the functions that give the operands' pointers."""
    inputs = tuple(f"in{i}" for i in range(len(spec.inputs)))
    outputs = tuple(f"out{i}" for i in range(len(spec.outputs)))
    yield f"arrays = {inputs + outputs}"
    yield 'geometry_pointer = operand(0, "int64", "geometry")'
    for slot, (name, operand) in enumerate(named_operands(spec), 1):
        clear: tuple[str, ...] = ()
        if name in outputs:
            clear = inputs + tuple(other for other in outputs if other != name)
        more = f", clear_of={clear}" if clear else ""
        yield f'{name}_pointer = operand({slot}, "{operand.dtype}", "{name}"{more})'


def _description(spec: KernelSpec) -> Iterator[str]:
    """The comment at the top of a kernel's source."""
    inner = f"r{spec.reduced - 1}" if spec.form == "rows" else "j"
    split = ", split into blocks" if spec.split else ", staged" if spec.staged else ""
    split += ", results stored past the caches" if spec.streamed else ""
    split += ", of short rows" if spec.short else ""
    yield f"{spec.form} kernel{split}: loops {', '.join([*outer_loops(spec), inner])}"
    for name, operand in named_operands(spec):
        at = "".join(f", at in{pick}" for pick in operand.picks)
        at += "".join(f", limited by in{source}" for source in operand.windows)
        what = "position" if operand.is_position else operand.dtype
        what = f"random {operand.words}" if operand.words else what
        yield f"  {name}: {what}, {_STRIDES[operand.inner]} along the inner loop{at}"
    count = len(spec.inputs)

    def label(value: int) -> str:
        return f"in{value}" if value < count else f"v{value}"

    for number, instr in enumerate(spec.body, count):
        args = [label(arg) if isinstance(arg, int) else repr(arg.value) for arg in instr.args]
        what = f"{instr.op} [{instr.expr}]" if instr.kind == "reduce" else instr.op
        yield f"  v{number} = {what}({', '.join(args)}) -> {instr.dtype}"
    for index, (value, _) in enumerate(spec.outputs):
        yield f"  out{index} = {label(value)}"
    passes = dataflow(spec).passes
    if passes > 1:
        yield f"  {passes} passes over the data"
