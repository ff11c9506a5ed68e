"""Plan: the executable form of a FuncGraph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from hybrid.core.any_size import AnySize
from hybrid.core.devices import CPU
from hybrid.core.graph import FuncGraph
from hybrid.core.layout import Layout
from hybrid.core.substitute import substitute
from hybrid.core.tracelog import counted, is_read, timed
from hybrid.records import dataclass
from hybrid.runtime.bound import Driver, Run, Sizes
from hybrid.runtime.donation import Donation, find_donations
from hybrid.runtime.driver import make_driver
from hybrid.runtime.load import LoadedKernel, load_kernels
from hybrid.runtime.memory import MemoryPlan, plan_memory
from hybrid.runtime.native_calls import product_sources
from hybrid.runtime.order import free_early
from hybrid.runtime.picks import pick_sources
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import KernelStep, LibraryStep, Step

if TYPE_CHECKING:
    from hybrid.core.source import SourceLine
    from hybrid.kernels.region import Region


@dataclass(frozen=True, slots=True)
class KernelCall:
    """What is known of one kernel of a Plan.

    Parameters
    ----------
    name : str
        The ops in it.
    region : Region
    reads, writes : int
        Bytes that one run moves, each element of an operand counted once.
    parallel : bool
        Whether the work is divided among threads.
    source : str
        What was compiled.
    line : SourceLine, optional
        Of the user's code.
    """

    name: str
    region: Region
    reads: int
    writes: int
    parallel: bool
    source: str
    line: SourceLine | None


@dataclass(frozen=True, slots=True)
class LibraryCall:
    """What is known of one library call of a Plan; `reason` says why a fused node is not fused."""

    name: str
    reads: int
    writes: int
    reason: str
    line: SourceLine | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A FuncGraph, ready to run.

    Parameters
    ----------
    name : str
    run : callable
        Takes one ndarray for each parameter (a Python scalar where the spec is weak) and returns
        a tuple of fresh ndarrays. May be called by many threads at once.
    source : str
        The text of `run`.
    temp_bytes : int
        Memory for temporaries, per call that is under way; without what library calls make by
        themselves.
    naive_bytes : int
        What it would be if no two temporaries shared memory.
    describe : callable
        Gives `steps`.
    donations : tuple of Donation
        Results that may be written over parameters; what `run` takes as ``give`` says which.
    donated_bytes : int
        Of these results; they are written over what they replace where nobody else holds it.
    """

    name: str
    run: Run
    source: str
    temp_bytes: int
    naive_bytes: int
    describe: Callable[[], tuple[KernelCall | LibraryCall, ...]]
    donations: tuple[Donation, ...] = ()
    donated_bytes: int = 0

    @property
    def steps(self) -> tuple[KernelCall | LibraryCall, ...]:
        """Kernels and library calls, in order."""
        return self.describe()

    @property
    def kernels(self) -> tuple[KernelCall, ...]:
        """The fused kernels, in order."""
        return tuple(step for step in self.steps if isinstance(step, KernelCall))

    @property
    def library_calls(self) -> tuple[LibraryCall, ...]:
        """The library calls, in order."""
        return tuple(step for step in self.steps if isinstance(step, LibraryCall))

    def __str__(self) -> str:
        return format_plan(self)


def make_plan(
    graph: FuncGraph, layouts: tuple[Layout, ...], replaced: Mapping[int, int] | None = None
) -> Plan:
    """Turn an optimised FuncGraph into a Plan.

    Parameters
    ----------
    graph : FuncGraph
    layouts : tuple of Layout
        How each parameter (inputs, then captures) lies in the ndarray that it is called with;
        strides count elements. The Plan is right for arrays of these layouts only.
    replaced : mapping of int to int, optional
        The parameter whose contents an output is to replace.

    Returns
    -------
    Plan
    """
    with timed("plan") as entry:
        plan = (
            _plan_on_cards(graph, layouts)
            if on_cards(graph)
            else make_draft(graph, layouts, replaced or {}, AnySize()).plan({})
        )
        entry.text = summary(plan) if is_read() else ""
    return plan


@dataclass(frozen=True, slots=True)
class Draft:
    """A Plan but for the sizes that it leaves open."""

    name: str
    driver: Driver
    memory: MemoryPlan
    steps: tuple[KernelCall | LibraryCall, ...]
    donations: tuple[Donation, ...]

    def plan(self, sizes: Sizes) -> Plan:
        """Return the Plan for these sizes."""
        donated = [substitute(x.result.spec, sizes).nbytes for x in self.donations]
        arena, naive = substitute((self.memory.arena, self.memory.naive), sizes)
        return Plan(
            self.name,
            self.driver.run_for(*[sizes[x] for x in self.driver.inputs]),
            self.driver.source,
            arena,
            naive,
            functools.partial(self._steps, sizes),
            self.donations,
            sum(donated),
        )

    def _steps(self, sizes: Sizes) -> tuple[KernelCall | LibraryCall, ...]:
        return tuple(substitute(step, sizes) for step in self.steps)


def make_draft(
    graph: FuncGraph,
    layouts: tuple[Layout, ...],
    replaced: Mapping[int, int],
    space: AnySize,
) -> Draft:
    """Turn an optimised graph on the CPU into a Plan but for its unknown sizes, those of `space`.

    The other parameters are those of :func:`make_plan`.
    """
    order = schedule(free_early(graph), layouts)
    donations = find_donations(order, replaced)
    memory = plan_memory(order, [donation.result for donation in donations])
    regions = [step.region for step in order.steps if isinstance(step, KernelStep)]
    kernels = load_kernels(regions, product_sources(order.steps) + pick_sources(order.steps))
    driver = make_driver(order, memory, kernels, donations, space)
    loaded = iter(kernels)
    steps = tuple(_described(step, loaded) for step in order.steps)
    return Draft(graph.name, driver, memory, steps, donations)


def on_cards(graph: FuncGraph) -> bool:
    """Tell whether some of a graph is computed on a GPU."""
    values = (*graph.parameters, *(v for node in graph.nodes for v in node.outputs))
    return any(value.spec.device != CPU for value in values)


def _plan_on_cards(graph: FuncGraph, layouts: tuple[Layout, ...]) -> Plan:
    # Not at the top: it brings the generator of kernels for GPUs along.
    from hybrid.runtime.cuda.plan import make_plan

    return make_plan(graph, layouts)


def _described(step: Step, loaded: Iterator[LoadedKernel]) -> KernelCall | LibraryCall:
    line = step.node.line
    if isinstance(step, KernelStep):
        kernel = next(loaded)
        parallel = kernel.parallel != 0
        return KernelCall(
            step.name, step.region, step.reads, step.writes, parallel, kernel.source, line
        )
    reason = step.reason if isinstance(step, LibraryStep) else ""
    return LibraryCall(step.name, step.reads, step.writes, reason, line)


def summary(plan: Plan) -> str:
    """Say in a line what a Plan does."""
    kernels, calls = len(plan.kernels), len(plan.library_calls)
    text = (
        f"{plan.name}: {counted(kernels, 'kernel')}, {counted(calls, 'library call')}, "
        f"temporaries {format_bytes(plan.temp_bytes)}"
    )
    if plan.naive_bytes != plan.temp_bytes:
        text += f" (without reuse {format_bytes(plan.naive_bytes)})"
    if plan.donations:
        text += f", donated {format_bytes(plan.donated_bytes)}"
    return text


def format_plan(plan: Plan) -> str:
    """Print the steps of a Plan as a table, with the bytes that each moves."""
    head = f"plan {summary(plan)}"
    rows = [("step", "reads", "writes", "line")]
    for step in plan.steps:
        kind = "kernel" if isinstance(step, KernelCall) else "call"
        reason = step.reason if isinstance(step, LibraryCall) else ""
        rows.append(
            (
                f"{kind:<6} {_shortened(step.name)}" + (f" [{reason}]" if reason else ""),
                format_bytes(step.reads),
                format_bytes(step.writes),
                str(step.line or ""),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    table = [
        f"  {a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip()
        for a, b, c, d in rows
    ]
    return "\n".join([head, *table] if plan.steps else [head])


def format_bytes(count: int) -> str:
    """Write a number of bytes with a unit of 1024s."""
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, 4)
    size, unit = count / 1024**power, ("KiB", "MiB", "GiB", "TiB")[power - 1]
    return f"{size:.3g} {unit}" if size < 1000 else f"{size:.0f} {unit}"


def _shortened(name: str) -> str:
    """Show the first and the last ops of a long kernel."""
    if len(name) <= 60:
        return name
    parts = name.removeprefix("fused(").removesuffix(")").split(", ")
    return f"fused({', '.join(parts[:3])}, ... {len(parts) - 4} more, {parts[-1]})"
