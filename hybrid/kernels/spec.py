"""What the source of a kernel depends on, and in which passes its body is computed.

A ``KernelSpec`` is hashable and without sizes, so that one compiled kernel serves all shapes of a
pattern; sizes, offsets and strides are read from the ``geometry`` array at the call.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from hybrid.core.unknown import is_unknown
from hybrid.kernels.moments import Moment
from hybrid.kernels.region import Instr
from hybrid.records import dataclass

Geometry: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

# Nanoseconds of estimated serial time from which on two threads are faster than one. Waking the
# threads costs 2 to 10 microseconds.
PARALLEL_NS = 25_000

# Vectors that are under way at once where functions wait for each other.
INTERLEAVED = 4

# Functions of the templates that cost about one instruction; all others count as transcendental.
CHEAP_FUNCTIONS = frozenset(
    (
        "abs",
        "absolute",
        "and_",
        "ceil",
        "conj",
        "copysign",
        "fabs",
        "floor",
        "fma",
        "imag",
        "isfinite",
        "isinf",
        "isnan",
        "left_shift",
        "maximum",
        "minimum",
        "not_",
        "or_",
        "real",
        "reciprocal",
        "right_shift",
        "rint",
        "round_bf16",
        "round_f16",
        "rsqrt",
        "select",
        "sign",
        "sqrt",
        "square",
        "trunc",
        "with_imag",
        "with_real",
        "xor",
    )
)


# Functions that kernels have for complex numbers.
_COMPLEX_FUNCTIONS = frozenset(
    (
        "abs",
        "conj",
        "imag",
        "isfinite",
        "isinf",
        "isnan",
        "real",
        "reciprocal",
        "select",
        "with_imag",
        "with_real",
    )
)


@functools.cache
def holds_for_complex(expr: str) -> bool:
    """Whether kernels can compute a scalar template of complex numbers: they have no order."""
    tree = ast.parse(expr.replace("{", "_").replace("}", "_"), mode="eval")
    ordered = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    if any(isinstance(node, ordered) for node in ast.walk(tree)):
        return False
    return all(name in _COMPLEX_FUNCTIONS for name in called_functions(expr))


@dataclass(frozen=True, slots=True)
class Operand:
    """An array operand, as far as the generated code depends on it.

    Attributes
    ----------
    dtype
        Element type.
    inner
        Stride along the inner loop: ``"0"``, ``"1"``, ``"s"`` (read from the geometry), or
        ``"p"``: the elements repeat after a short period.
    outer
        Whether it does not vary along the reduced axes.
    picks
        The inputs whose elements are indices into it.
    windows
        The inputs whose positions are limited where it is read.
    is_position
        Whether its elements are their own places.
    words
        The dtype of its elements where these are random words, and it is the state.
    """

    dtype: str
    inner: str
    outer: bool
    picks: tuple[int, ...] = ()
    windows: tuple[int, ...] = ()
    is_position: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """Everything that the source of a kernel depends on.

    ``shared`` is the number of innermost kept loops in which the tiles of a staged kernel stay.
    ``moments`` are reductions that need no sweep of their own, where that was found to pay.
    ``streamed``: its results are larger than the caches and stored past them.
    ``short``: its rows are computed a vector at a time.
    ``stretches``: of the inner loop, in each of which windows are open or shut; 0 where they are
    asked at each element.
    """

    form: str
    split: bool
    staged: bool
    shared: int
    kept: int
    reduced: int
    inputs: tuple[Operand, ...]
    body: tuple[Instr, ...]
    outputs: tuple[tuple[int, Operand], ...]
    streamed: bool = False
    moments: tuple[Moment, ...] = ()
    short: bool = False
    stretches: int = 0

    def worth_parallel(self, geometry: Geometry) -> bool:
        """Whether a run is long enough to be divided among threads."""
        return bool(geometry[0] >= PARALLEL_NS)


@functools.cache
def called_functions(expr: str) -> tuple[str, ...]:
    """Names of the functions that a scalar template calls."""
    tree = ast.parse(expr.replace("{", "_").replace("}", "_"), mode="eval")
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return tuple(name.id for name in calls if isinstance(name, ast.Name))


def is_heavy(instr: Instr) -> bool:
    """Whether an instruction is worth keeping rather than computing again."""
    if instr.kind != "map":
        return False
    return any(name not in CHEAP_FUNCTIONS for name in called_functions(instr.expr))


def longest_chain(count: int, body: Sequence[Instr]) -> int:
    """Return how many heavy instructions wait for each other, one after the other.

    Parameters
    ----------
    count : int
        The number of operands, which the first values are.
    body : sequence of Instr
    """
    lengths = [0] * count
    for instr in body:
        before = max((lengths[x] for x in instr.args if isinstance(x, int)), default=0)
        lengths.append(before + is_heavy(instr))
    return max(lengths, default=0)


@dataclass(frozen=True, slots=True)
class Dataflow:
    """Which pass computes what. Values are numbered as in the region.

    A pass is one sweep over the reduced axes. ``level`` of a value is the first pass in which it
    can be computed (an outer value: before which it is known). ``saved`` are inner values that
    are expensive and wanted by a later pass.
    """

    outer: frozenset[int]
    level: tuple[int, ...]
    reduces: tuple[tuple[int, ...], ...]
    inner_outputs: tuple[int, ...]
    outer_outputs: tuple[int, ...]
    store_pass: int
    passes: int
    saved: frozenset[int]


def arguments(instr: Instr) -> list[int]:
    """The value numbers among the arguments."""
    return [arg for arg in instr.args if isinstance(arg, int)]


def inner_closure(spec: KernelSpec, outer: frozenset[int], roots: set[int]) -> list[int]:
    """Inner values needed for ``roots``, in the order of computation."""
    count = len(spec.inputs)
    needed: set[int] = set()
    pending = [value for value in roots if value not in outer]
    while pending:
        value = pending.pop()
        if value in needed:
            continue
        needed.add(value)
        if value >= count:
            pending += [arg for arg in arguments(spec.body[value - count]) if arg not in outer]
    return sorted(needed)


@functools.lru_cache(maxsize=4096)
def dataflow(spec: KernelSpec) -> Dataflow:
    """Order the body of a kernel into passes."""
    count = len(spec.inputs)
    outer = {number for number, operand in enumerate(spec.inputs) if operand.outer}
    level = [0] * count
    reduces: dict[int, list[int]] = {}
    moments = {value: moment.x for moment in spec.moments for value in moment.values}
    for number, instr in enumerate(spec.body, count):
        args = [moments[number]] if number in moments else arguments(instr)
        here = max((level[arg] for arg in args), default=0)
        if instr.kind == "reduce":
            reduces.setdefault(here, []).append(number)
            outer.add(number)
            level.append(here + 1)
            continue
        if spec.reduced and instr.kind != "scan" and all(arg in outer for arg in args):
            outer.add(number)
        level.append(here)
    inner_outputs = tuple(
        index
        for index, (value, operand) in enumerate(spec.outputs)
        if value not in outer or not operand.outer
    )
    outer_outputs = tuple(i for i in range(len(spec.outputs)) if i not in inner_outputs)
    last_reduce = max(reduces, default=-1)
    store_pass = -1
    if inner_outputs:
        store_pass = max(last_reduce, *(level[spec.outputs[i][0]] for i in inner_outputs))
    passes = max(last_reduce, store_pass) + 1
    by_pass = tuple(tuple(reduces.get(number, ())) for number in range(passes))
    frozen = frozenset(outer)
    return Dataflow(
        frozen,
        tuple(level),
        by_pass,
        inner_outputs,
        outer_outputs,
        store_pass,
        passes,
        _saved(spec, frozen, by_pass, inner_outputs, store_pass),
    )


@functools.lru_cache(maxsize=4096)
def quotients_by_root(spec: KernelSpec) -> dict[int, int]:
    """The inner values that are divided by a square root of the kept axes, with that root.

    Of a root the inverse can be had once for a whole row: whatever number it is of, it is neither
    so small nor so large that its inverse overflows or is subnormal. Zero, infinity and NaN give
    the same by their inverse. So a quotient is a product, which errs by a unit more at most.
    """
    count, outer = len(spec.inputs), dataflow(spec).outer
    found = {}
    for number, instr in enumerate(spec.body, count):
        if instr.kind != "map" or instr.expr != "{0} / {1}" or number in outer:
            continue
        divisor = instr.args[1]
        if not isinstance(divisor, int) or divisor < count or divisor not in outer:
            continue
        root = spec.body[divisor - count]
        alike = root.dtype == instr.dtype and root.dtype in ("float32", "float64")
        if root.kind == "map" and root.expr == "sqrt({0})" and alike:
            found[number] = divisor
    return found


def pass_roots(
    spec: KernelSpec,
    reduces: tuple[tuple[int, ...], ...],
    inner_outputs: tuple[int, ...],
    store_pass: int,
    number: int,
) -> set[int]:
    """Values that a pass exists for: what it reduces and what it stores."""
    count = len(spec.inputs)
    moments = {value: moment.x for moment in spec.moments for value in moment.values}
    roots = {moments[value] for value in reduces[number] if value in moments}
    for value in reduces[number]:
        if value not in moments:
            roots.update(arguments(spec.body[value - count]))
    if number == store_pass:
        roots |= {spec.outputs[index][0] for index in inner_outputs}
    return roots


def _saved(
    spec: KernelSpec,
    outer: frozenset[int],
    reduces: tuple[tuple[int, ...], ...],
    inner_outputs: tuple[int, ...],
    store_pass: int,
) -> frozenset[int]:
    if spec.split:
        # A split reduction would have to keep whole arrays; it computes again instead.
        return frozenset()
    count = len(spec.inputs)
    roots = [
        pass_roots(spec, reduces, inner_outputs, store_pass, number)
        for number in range(len(reduces))
    ]
    closures = [set(inner_closure(spec, outer, wanted)) for wanted in roots]
    heavy = {
        value
        for value in set().union(*closures)
        if value >= count
        and is_heavy(spec.body[value - count])
        and sum(value in closure for closure in closures) > 1
    }
    saved: set[int] = set()
    computed: set[int] = set()
    for wanted in roots:
        ready = heavy & computed
        closure = inner_closure(spec, outer | ready, wanted)
        used = {arg for v in closure if v >= count for arg in arguments(spec.body[v - count])}
        saved |= (used | wanted) & ready
        computed |= set(closure)
    return frozenset(saved)


# --- names of the loops and numbers ---------------------------------------------------------


def geometry_slots(spec: KernelSpec) -> dict[str, int]:
    """Position of every named number in the geometry of a kernel."""
    names = ["cost", "temporary_bytes"]
    names += [f"work_{number}" for number in range(len(phases(spec)))]
    loops = [f"k{i}" for i in range(spec.kept)] + [f"r{i}" for i in range(spec.reduced)]
    names += [f"n_{loop}" for loop in loops]
    if spec.form != "rows":
        names.append("n_j")
    names += ["rows", "length", "blocks", "row_length", "row_blocks"]
    for name, operand in named_operands(spec):
        names.append(f"{name}_offset")
        names += [f"{name}_{loop}" for loop in outer_loops(spec)]
        if operand.inner in ("s", "p"):
            names.append(f"{name}_j")
        for i in range(len(operand.picks)):
            names += [f"{name}_size{i}", f"{name}_step{i}"]
        for i in range(len(operand.windows)):
            names += [f"{name}_low{i}", f"{name}_high{i}"]
    if any(operand.inner == "p" for operand in spec.inputs):
        names += ["period", "repeated"]
    if spec.stretches:
        names += [f"edge_{number}" for number in range(spec.stretches + 1)]
    if spec.split:
        for value in split_values(spec):
            names += [f"partial_{value}", f"total_{value}"]
    return {name: slot for slot, name in enumerate(names)}


def named_operands(spec: KernelSpec) -> list[tuple[str, Operand]]:
    """Inputs and outputs under the names they have in the source."""
    named = [(f"in{i}", operand) for i, operand in enumerate(spec.inputs)]
    return named + [(f"out{i}", operand) for i, (_, operand) in enumerate(spec.outputs)]


def outer_loops(spec: KernelSpec) -> list[str]:
    """Names of all loops but the inner one, outermost first."""
    loops = [f"k{i}" for i in range(spec.kept)] + [f"r{i}" for i in range(spec.reduced)]
    return loops[:-1] if spec.form == "rows" else loops


def split_values(spec: KernelSpec) -> list[int]:
    """The reduction results of a kernel."""
    count = len(spec.inputs)
    return [n for n, instr in enumerate(spec.body, count) if instr.kind == "reduce"]


def phases(spec: KernelSpec) -> tuple[str, ...]:
    """The steps that a run makes one after another: "item", or "partial", "total", "store"."""
    if not spec.split:
        return ("item",)
    flow = dataflow(spec)
    steps: list[str] = []
    for number in range(flow.passes):
        if flow.reduces[number]:
            steps += [f"partial{number}", f"total{number}"]
        elif number == flow.store_pass:
            steps.append(f"store{number}")
    return tuple(steps)


def as_geometry(numbers: Sequence[int]) -> Geometry:
    """Return numbers as kernels take them; what follows from unknown sizes stays as it is."""
    return cast(Any, numbers) if any(map(is_unknown, numbers)) else np.array(numbers, np.int64)
