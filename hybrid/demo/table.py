"""The table of the tour: both modes side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table

from hybrid.core.tensor import Array
from hybrid.demo.training import Filtering, Training
from hybrid.inspect.compare import Comparison
from hybrid.inspect.timing import format_seconds
from hybrid.inspect.ulp import max_ulp
from hybrid.kernels.kernel import Stats
from hybrid.runtime.plan import format_bytes


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the tour found out, each pair eager first."""

    trainings: tuple[Training, Training]
    filterings: tuple[Filtering, Filtering]
    step: Comparison
    filter: Comparison
    stats: Stats
    photograph: Array

    @property
    def first_loss_ulp(self) -> float:
        """How far apart the losses of the first step are."""
        eager, traced = (np.float32(t.losses[0]) for t in self.trainings)
        return max_ulp(eager, traced)


def make_table(found: Findings) -> Table:
    """Lay out the findings; 80 columns are enough."""
    table = Table(title="The same code, eager and traced", title_justify="left", box=box.ROUNDED)
    table.add_column("", no_wrap=True)
    for name in ("eager", "traced", ""):
        table.add_column(name, justify="right", no_wrap=True)
    _digits(table, found)
    _photograph(table, found)
    _compilation(table, found)
    return table


def _digits(table: Table, found: Findings) -> None:
    steps = len(found.trainings[0].losses)
    # The modes taking turns, by hb.compare: what else the machine does then meets both.
    seconds = [format_seconds(t.median) for t in (found.step.eager, found.step.traced)]
    totals = [format_seconds(t.total_seconds) for t in found.trainings]
    accuracies = [f"{t.accuracy:.2%}" for t in found.trainings]
    table.add_row("[bold]digits[/]: held-out accuracy", *accuracies)
    table.add_row("  training step (median)", *seconds, _faster(found.step.speedup))
    table.add_row(f"  training, {steps} steps", *totals)
    table.add_row("  difference of the first loss", "", _ulp(found.first_loss_ulp))
    _calls(table, found.step)
    table.add_section()


def _photograph(table: Table, found: Findings) -> None:
    eager, traced = found.filterings
    seconds = [format_seconds(t.median) for t in (found.filter.eager, found.filter.traced)]
    table.add_row("[bold]photograph[/]: filter (median)", *seconds, _faster(found.filter.speedup))
    table.add_row("  largest difference of a pixel", "", _ulp(max_ulp(eager.image, traced.image)))
    _calls(table, found.filter)
    table.add_section()


def _calls(table: Table, report: Comparison) -> None:
    table.add_row("  trace, compile, first call", "", format_seconds(report.first_call))
    table.add_row("  kernels + library calls", "", f"{report.kernels} + {report.library_calls}")
    table.add_row("  temporary memory", "", format_bytes(report.temp_bytes))


def _compilation(table: Table, found: Findings) -> None:
    stats = found.stats
    table.add_row("[bold]kernels[/] compiled in this run", "", str(stats.compiled))
    table.add_row("  loaded from disk", "", str(stats.loaded))


def _faster(ratio: float) -> str:
    return f"[bold green]{ratio:.1f}x faster[/]" if ratio >= 1 else f"{ratio:.2f}x"


def _ulp(distance: float) -> str:
    return f"{distance:g} ULP"
