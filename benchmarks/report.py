"""What the measurements look like: a Markdown table, JSON, a bar chart of ratios."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.case import Case
from benchmarks.harness import Result
from benchmarks.machine import Machine
from benchmarks.peers import OURS, PEERS, installed_versions
from benchmarks.worker import Problem

Rows = Sequence[tuple[Case, Sequence[Result]]]

_COLOURS = {
    "hybrid": "#c2410c",
    "hybrid-eager": "#fdba74",
    "numpy": "#64748b",
    "numexpr": "#cbd5e1",
    "numba": "#15803d",
    "torch": "#7c3aed",
    "torch-compile": "#c4b5fd",
    "jax": "#0f766e",
    "jax-eager": "#99f6e4",
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


def _figures(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def best_peer(results: Sequence[Result]) -> Result | None:
    """The fastest result that is not hybrid's."""
    others = [found for found in results if found.samples and found.peer not in OURS]
    return min(others, key=lambda found: found.median, default=None)


def ratio(result: Result, results: Sequence[Result]) -> float | None:
    """Time relative to the best peer's; below 1 is faster."""
    best = best_peer(results)
    return result.median / best.median if best and result.samples else None


def markdown(rows: Rows, machine: Machine) -> str:
    """The table, what is under it, and the machine."""
    peers = _peers_in(rows)
    lines = [
        "| case | " + " | ".join(peers) + " | hybrid / best peer | floor |",
        "| --- |" + " ---: |" * (len(peers) + 2),
    ]
    for case, results in rows:
        cells = [_cell(name, results) for name in peers]
        lines.append(f"| {case.name} | " + " | ".join([*cells, *_summary(case, results, machine)]))
        lines[-1] += " |"
    notes = _notes(rows)
    return "\n".join([*lines, "", _legend(machine), *(["", *notes] if notes else []), ""])


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
    versions = ", ".join(f"{name} {number}" for name, number in installed_versions().items())
    return (
        "Medians, with the distance between the quartiles in percent; the best peer in bold. "
        "Floor: what copying the data, or the matrix products alone, would take.\n"
        f"{machine.processor}, {machine.threads} threads, {machine.system}, "
        f"Python {machine.python}; {versions}. "
        f"Copy {machine.copy_cached / 1e9:.0f} GB/s in cache, "
        f"{machine.copy_memory / 1e9:.0f} GB/s in memory; "
        f"matrix product {machine.gemm32 / 1e9:.0f} GFLOP/s in float32, "
        f"{machine.gemm64 / 1e9:.0f} in float64."
    )


def _peers_in(rows: Rows) -> list[str]:
    present = {found.peer for _, results in rows for found in results}
    return [name for name in PEERS if name in present]


def _cell(name: str, results: Sequence[Result]) -> str:
    found = next((found for found in results if found.peer == name), None)
    if found is None:
        return ""
    if not found.samples:
        return "wrong" if found.problem and found.problem.wrong else "skipped"
    text = duration(found.median)
    if found is best_peer(results):
        text = f"**{text}**"
    return f"{text} ±{100 * found.spread / 2:.0f}%"


def _summary(case: Case, results: Sequence[Result], machine: Machine) -> list[str]:
    ours = next((found for name in OURS[::-1] for found in results if found.peer == name), None)
    factor = ratio(ours, results) if ours else None
    floor = machine.floor(case.traffic, case.flops)
    return [f"{factor:.2f}" if factor else "", duration(floor) if floor else ""]


def as_json(rows: Rows, machine: Machine) -> str:
    """Everything that was measured."""
    cases: list[dict[str, Any]] = []
    for case, results in rows:
        for found in results:
            entry: dict[str, Any] = {"case": case.name, "measure": case.measure, "peer": found.peer}
            if found.samples:
                low, high = found.quartiles
                entry |= {
                    "median": found.median,
                    "quartiles": [low, high],
                    "samples": len(found.samples),
                    "ratio": ratio(found, results),
                }
            elif found.problem:
                entry |= {"problem": found.problem.text, "wrong": found.problem.wrong}
            cases.append(entry)
    content = {"machine": asdict(machine), "versions": installed_versions(), "results": cases}
    return json.dumps(content, indent=1) + "\n"


def draw(rows: Rows, path: Path) -> None:
    """Draw the ratio to the best peer, one group of bars a case."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    shown = [(case, results) for case, results in rows if best_peer(results)]
    bars = sum(len([found for found in results if found.samples]) for _, results in shown)
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.15 * bars + 0.15 * len(shown)))
    position, ticks, labels, drawn = 0.0, [], [], set()
    for case, results in shown:
        begin = position
        for found in results:
            factor = ratio(found, results)
            if factor is None:
                continue
            label = None if found.peer in drawn else found.peer
            drawn.add(found.peer)
            axes.barh(position, factor - 1, left=1, color=_COLOURS[found.peer], label=label)
            text = f" {duration(found.median)} "
            side = "left" if factor >= 1 else "right"
            axes.plot(
                factor, position, "o", color=_COLOURS[found.peer], markersize=4, clip_on=False
            )
            axes.text(factor, position, f" {text}", va="center", ha=side, fontsize=7)
            position += 1
        ticks.append((begin + position - 1) / 2)
        labels.append(case.name)
        position += 1
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(ticks, labels)
    axes.invert_yaxis()
    axes.margins(x=0.15, y=0.01)
    axes.set_xlabel("time relative to the best peer (left of 1 is faster)")
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda index: list(PEERS).index(names[index]))
    figure.legend(
        [handles[index] for index in order],
        [names[index] for index in order],
        loc="upper center",
        ncols=len(names),
        frameon=False,
        fontsize=8,
    )
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / figure.get_figheight()))
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
