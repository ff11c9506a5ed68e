"""What the measurements look like: a Markdown table, JSON, a chart of ratios."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from benchmarks.case import Case
from benchmarks.harness import Result
from benchmarks.machine import Machine
from benchmarks.peers import OURS, PEERS, installed_versions
from benchmarks.worker import Problem

Rows = Sequence[tuple[Case, Sequence[Result]]]

_OTHERS = set(PEERS) - set(OURS)

SLOW = 0.8  # times as fast as the best peer, below which a case is listed
FARTHEST = 30  # times the best peer's time, where the chart ends

_COLOURS = {
    "hybrid": "#c2410c",
    "hybrid-eager": "#fdba74",
    "numpy": "#64748b",
    "numexpr": "#cbd5e1",
    "numba": "#84cc16",
    "torch": "#7c3aed",
    "torch-compile": "#c4b5fd",
    "jax": "#0f766e",
    "jax-eager": "#99f6e4",
    "autograd": "#be185d",
}


def duration(seconds: float) -> str:
    """Three figures and a unit.

    >>> duration(0.00186)
    '1.86 ms'
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{_figures(seconds / scale)} {unit}"
    return f"{_figures(seconds / 1e-9)} ns"


def times(factor: float) -> str:
    """Two places, and one figure at least.

    >>> times(1.234), times(0.00167)
    ('1.23', '0.002')
    """
    return f"{factor:.2f}" if factor >= 0.1 else f"{factor:.1g}"


def amount(value: float, case: Case) -> str:
    """What a case measures, with its unit."""
    return f"{_figures(value / 2**20)} MiB" if case.measure == "memory" else duration(value)


def _figures(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def best_peer(results: Sequence[Result]) -> Result | None:
    """The fastest result that is not hybrid's."""
    others = [found for found in results if found.samples and found.peer in _OTHERS]
    return min(others, key=lambda found: found.median, default=None)


def speed(result: Result, results: Sequence[Result]) -> float | None:
    """How many times faster than the best peer."""
    best = best_peer(results)
    return best.median / result.median if best and result.samples else None


def our_result(results: Sequence[Result]) -> Result | None:
    """Hybrid's result: the traced one, where the case has it."""
    for name in reversed(OURS):
        for found in results:
            if found.peer == name and found.samples:
                return found
    return None


def bound(results: Sequence[Result], name: str) -> float:
    """The seconds of one of `benchmarks.ceilings`; 0.0 where it was not measured."""
    return next((found.median for found in results if found.peer == name and found.samples), 0.0)


def ceiling(case: Case, results: Sequence[Result], machine: Machine) -> float:
    """Seconds below which a case cannot go, 0.0 where it has no such bound."""
    return max(bound(results, "copy"), case.flops / machine.gemm32)


def our_speeds(rows: Rows) -> dict[str, float]:
    """How many times faster than the best peer hybrid is, for the cases that can tell."""
    speeds = {}
    for case, results in rows:
        ours = our_result(results)
        found = speed(ours, results) if ours else None
        if found:
            speeds[case.name] = found
    return speeds


def markdown(
    rows: Rows,
    machine: Machine,
    promises: str = "",
    note: str = "",
) -> str:
    """What was left out, the verdict, what was promised, the table, what went wrong."""
    peers = _peers_in(rows)
    lines = [
        "| case | " + " | ".join(peers) + " | times faster | of ceiling | of functions |",
        "| --- |" + " ---: |" * (len(peers) + 3),
    ]
    for case, results in rows:
        cells = [_cell(name, case, results) for name in peers]
        cells += _summary(case, results, machine)
        lines.append(f"| {case.name} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    parts = [note, summary(rows), promises, table, _legend(machine), "\n".join(_notes(rows))]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(rows: Rows) -> str:
    """The geometric mean over the cases, and those in which hybrid is clearly slower."""
    speeds = our_speeds(rows)
    if not speeds:
        return ""
    mean = geometric_mean(speeds.values())
    slow = sorted((value, name) for name, value in speeds.items() if value < SLOW)
    below = ", ".join(f"{name} ({times(value)})" for value, name in slow) or "none"
    return (
        f"Over {len(speeds)} cases hybrid is {mean:.2f} times as fast as the best peer of each "
        f"(geometric mean). Below {SLOW}: {below}."
    )


def _notes(rows: Rows) -> list[str]:
    """One line for each reason, with the cases that it kept from being measured."""
    cases: dict[tuple[str, Problem], list[str]] = {}
    for case, results in rows:
        for found in results:
            if found.problem:
                cases.setdefault((found.peer, found.problem), []).append(case.name)
    return [
        f"- {peer} {'WRONG' if problem.wrong else 'skipped'} ({', '.join(names)}): {problem.text}"
        for (peer, problem), names in cases.items()
    ]


def _legend(machine: Machine) -> str:
    moved = ", ".join(f"{size >> 20}" for size, _ in machine.copies)
    speeds = ", ".join(f"{rate / 1e9:.0f}" for _, rate in machine.copies)
    versions = ", ".join(f"{name} {number}" for name, number in installed_versions().items())
    return (
        "Medians, with the distance between the quartiles in percent; the best peer in bold. "
        "Times faster: the best peer's time over hybrid's. "
        "Of ceiling: a copy that moves as many bytes as the case has to, in the case's turns, or "
        "the matrix products alone, in percent of hybrid's time. "
        "Of functions: where copying is the ceiling, exp, division and their kin alone, in the "
        "case's turns, each by the faster of NumPy's loop and hybrid's, in percent of hybrid's "
        "time.\n"
        f"{machine.processor}, {machine.threads} threads, {machine.system}, "
        f"Python {machine.python}; {versions}. "
        f"Copying {moved} MB moves {speeds} GB/s; "
        f"matrix product {machine.gemm32 / 1e9:.0f} GFLOP/s in float32, "
        f"{machine.gemm64 / 1e9:.0f} in float64."
    )


def _peers_in(rows: Rows) -> list[str]:
    present = {found.peer for _, results in rows for found in results}
    return [name for name in PEERS if name in present]


def _cell(name: str, case: Case, results: Sequence[Result]) -> str:
    found = next((found for found in results if found.peer == name), None)
    if found is None:
        return ""
    if not found.samples:
        return "wrong" if found.problem and found.problem.wrong else "skipped"
    text = amount(found.median, case)
    if found is best_peer(results):
        text = f"**{text}**"
    return f"{text} ±{100 * found.spread / 2:.0f}%"


def _summary(case: Case, results: Sequence[Result], machine: Machine) -> list[str]:
    ours = our_result(results)
    factor = speed(ours, results) if ours else None
    cells = [times(factor) if factor else ""]
    # A division for each row says nothing.
    floors = ceiling(case, results, machine), bound(results, "functions")
    for floor, least in zip(floors, (0.0, 0.005), strict=True):
        share = floor / ours.median if ours else 0.0
        cells.append(f"{100 * share:.0f}%" if share > least else "")
    return cells


def as_json(
    rows: Rows,
    machine: Machine,
    more: dict[str, Any] | None = None,
) -> str:
    """Everything that was measured; `more` is what the cases do not show."""
    cases: list[dict[str, Any]] = []
    for case, results in rows:
        for found in results:
            entry: dict[str, Any] = {"case": case.name, "measure": case.measure, "peer": found.peer}
            if found.samples:
                low, high = found.quartiles
                entry |= {
                    "unit": "bytes" if case.measure == "memory" else "seconds",
                    "median": found.median,
                    "quartiles": [low, high],
                    "samples": len(found.samples),
                }
                if found.peer in PEERS:
                    entry |= _shares(case, found, results, machine)
            elif found.problem:
                entry |= {"problem": found.problem.text, "wrong": found.problem.wrong}
            cases.append(entry)
    speeds = our_speeds(rows)
    content = {
        "machine": asdict(machine),
        "versions": installed_versions(),
        "geometric_mean": geometric_mean(speeds.values()) if speeds else None,
        "slow": sorted(name for name, value in speeds.items() if value < SLOW),
        **(more or {}),
        "results": cases,
    }
    return json.dumps(content, indent=1) + "\n"


def _shares(
    case: Case, found: Result, results: Sequence[Result], machine: Machine
) -> dict[str, float | None]:
    entry = {"times_faster": speed(found, results)}
    if floor := ceiling(case, results, machine):
        entry["of_ceiling"] = floor / found.median
    if functions := bound(results, "functions"):
        entry["of_functions"] = functions / found.median
    return entry


def draw(rows: Rows, path: Path) -> None:
    """Write the chart as a picture."""
    chart(rows).savefig(path, dpi=110)


def _title(speeds: dict[str, float]) -> str:
    if not speeds:
        return ""
    slow = sum(value < SLOW for value in speeds.values())
    return (
        f"{geometric_mean(speeds.values()):.2f} times as fast as the best of the others "
        f"(geometric mean of {len(speeds)} cases); clearly slower in {slow}"
    )


def chart(rows: Rows) -> Any:
    """Draw the time of each peer relative to the best one's, a line for each case.

    The cases in which hybrid gains most come first, those in which it loses most last.
    """
    from matplotlib.figure import Figure

    speeds = our_speeds(rows)
    shown = [(case, results) for case, results in rows if best_peer(results)]
    shown.sort(key=lambda row: -speeds.get(row[0].name, 0.0))
    height = 0.21 * len(shown) + 1.8
    figure = Figure(figsize=(10, height))
    axes = figure.add_subplot()
    for name in _peers_in(rows):
        points = [
            (1 / factor, line)
            for line, (_, results) in enumerate(shown)
            for found in results
            if found.peer == name and (factor := speed(found, results))
        ]
        ours = name == "hybrid"
        axes.plot(
            [min(time, FARTHEST) for time, _ in points],
            [line for _, line in points],
            "D" if ours else "o",
            color=_COLOURS[name],
            markersize=7 if ours else 5,
            label=name,
            zorder=4 if ours else 3,
        )
    for line, (case, _) in enumerate(shown):
        if case.name in speeds:
            slow = speeds[case.name] < SLOW
            axes.annotate(
                times(speeds[case.name]),
                (1, line),
                (6, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color="#b91c1c" if slow else "black",
                fontweight="bold" if slow else "normal",
            )
    axes.set_xscale("log")
    axes.set_xlim(right=1.25 * FARTHEST)
    axes.axvline(1, color="black", linewidth=0.8, zorder=2)
    axes.axvspan(1 / SLOW, 1.25 * FARTHEST, color="#fef2f2", zorder=0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(shown)), [case.name for case, _ in shown], fontsize=8)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", color="#e2e8f0", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(
        f"time relative to the best of the others: left of 1 is faster, {FARTHEST} stands for "
        "more; shaded: clearly slower\nat the right: how many times faster hybrid is",
        fontsize=8,
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(_title(speeds), fontsize=10, y=1 - 0.1 / height)
    figure.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.32 / height),
        ncols=10,
        frameon=False,
        fontsize=8,
        handletextpad=0.1,
        columnspacing=1.2,
    )
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.6 / height))
    return figure
