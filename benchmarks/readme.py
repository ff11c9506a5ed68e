"""The figures of README.md, from the last full run: ``python -m benchmarks.readme``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import duration, times

ROOT = Path(__file__).parent.parent
LATEST = ROOT / "benchmarks" / "results" / "latest.json"
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"
COLUMNS = {
    "hybrid": "hybrid traced",
    "hybrid-eager": "hybrid eager",
    "numpy": "NumPy",
    "numexpr": "numexpr",
    "numba": "numba",
    "torch": "PyTorch",
    "torch-compile": "torch.compile",
    "jax": "JAX jit",
}
CASES = (
    "elementwise float32 1e6",
    "elementwise float64 1e6",
    "ten simple ops float32 1e7",
    "softmax 1000x1000",
    "layer norm 1000x1000",
    "n-body forces, 1000 bodies",
    "Jacobi 128x128, 1000 steps",
    "MLP step 64-128-10, 128 digits",
    "MLP step 784-512-512-10, 256 pictures",
    "LeNet step, 64 images",
    "attention forward and backward",
    "LSTM 32x64-128, 128 steps",
    "FFT blur 512x512",
    "Mandelbrot 256x256, by masks",
    "call, 4 arguments",
    "eager add",
    "compile MLP step",
    "first call after restart, MLP step",
    "new shape, MLP step",
)
"""Chosen for what they are, not for who wins them; the file has all."""


def figures(run: dict[str, Any]) -> str:
    """Return the section between the marks: where it comes from, the verdict, some cases."""
    machine, versions = run["machine"], run["versions"]
    names = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "numba": "numba"}
    libraries = ", ".join(f"{names[key]} {versions[key]}" for key in names if key in versions)
    slow = {name: speed for name, speed in _speeds(run).items() if name in run["slow"]}
    ordered = sorted(slow, key=lambda name: slow[name])
    below = ", ".join(f"{name} ({times(slow[name])})" for name in ordered) or "none"
    return "\n".join(
        (
            f"Medians on {machine['threads']} cores ({machine['processor']}), "
            f"Python {machine['python']}, {libraries}, all with {machine['threads']} threads. "
            f"Over all {len(_speeds(run))} cases hybrid is {run['geometric_mean']:.2f} times as "
            "fast as the best of the others in each (geometric mean). "
            f"Clearly slower than the best, less than 0.8 times as fast: {below}.",
            "",
            *_table(run),
            "",
            "![time relative to the best of the others, case by case]"
            "(benchmarks/results/latest.png)",
            "",
        )
    )


def _table(run: dict[str, Any]) -> list[str]:
    medians = {
        (entry["case"], entry["peer"]): entry["median"]
        for entry in run["results"]
        if "median" in entry
    }
    lines = ["| case | " + " | ".join(COLUMNS.values()) + " |"]
    lines.append("| --- |" + " ---: |" * len(COLUMNS))
    for case in CASES:
        found = {peer: medians[case, peer] for peer in COLUMNS if (case, peer) in medians}
        if found:
            least = min(found.values())
            cells = [_cell(found.get(peer), least) for peer in COLUMNS]
            lines.append(f"| {case} | {' | '.join(cells)} |")
    return lines


def _cell(seconds: float | None, least: float) -> str:
    if seconds is None:
        return ""
    return f"**{duration(seconds)}**" if seconds == least else duration(seconds)


def _speeds(run: dict[str, Any]) -> dict[str, float]:
    """How many times as fast as the best peer, traced where the case has it."""
    found: dict[str, float] = {}
    for peer in ("hybrid-eager", "hybrid"):
        for entry in run["results"]:
            if entry["peer"] == peer and entry.get("times_faster"):
                found[entry["case"]] = entry["times_faster"]
    return found


def written(readme: str, run: dict[str, Any]) -> str:
    """Return the README with the section written anew."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + figures(run) + END + after


def main() -> int:
    """Write the section from the last full run."""
    path = ROOT / "README.md"
    run = json.loads(LATEST.read_text(encoding="utf-8"))
    path.write_text(written(path.read_text(encoding="utf-8"), run), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
