"""The picture of the tour: loss curves, times, the photograph and the drawing made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from hybrid.demo.table import Findings
from hybrid.inspect.report import EAGER, TRACED
from hybrid.inspect.timing import format_seconds

_INK = "#1b2430"
_STYLE = {
    "eager": dict(color=EAGER, linewidth=5.0, alpha=0.55, solid_capstyle="round"),
    "traced": dict(color=TRACED, linewidth=1.4),
}


def save_picture(found: Findings, path: Path) -> None:
    """Draw the findings and write them to an image file."""
    engine = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.12, hspace=0.04, wspace=0.03)
    figure = Figure(figsize=(11, 8.2), dpi=130, layout=engine, facecolor="white")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    top, bottom = parts
    left, right = top.subplots(1, 2, width_ratios=(1.35, 1))
    _losses(left, found)
    _times(right, found)
    _images(bottom.subplots(1, 2), found)
    figure.savefig(path)


def _losses(axes: Any, found: Findings) -> None:
    for training in found.trainings:
        label = f"{training.mode}: {training.accuracy:.1%} of held-out digits"
        steps = np.arange(1, len(training.losses) + 1)
        axes.semilogy(steps, training.losses, label=label, **_STYLE[training.mode])
    axes.set_xlabel("training step")
    axes.set_ylabel("cross entropy")
    axes.set_xlim(0, len(found.trainings[0].losses))
    axes.grid(True, which="major", color="#e4e7ec", linewidth=0.8)
    axes.legend(frameon=False, loc="upper right", labelcolor=_INK)
    _finish(axes, "Digits: both modes take the same path")


def _times(axes: Any, found: Findings) -> None:
    """Draw the times relative to eager, so that both tasks fit one axis."""
    tasks = (("training step", found.step), ("photograph filter", found.filter))
    for place, (_, report) in enumerate(tasks):
        eager, traced = report.eager.median, report.traced.median
        at = len(tasks) - 1 - place
        axes.barh(at + 0.19, 1.0, height=0.34, color=EAGER)
        axes.barh(at - 0.19, traced / eager, height=0.34, color=TRACED)
        _label(axes, 1.0, at + 0.19, f"eager {format_seconds(eager)}")
        text = f"traced {format_seconds(traced)}, {report.speedup:.1f}x faster"
        _label(axes, traced / eager, at - 0.19, text)
    axes.set_yticks(range(len(tasks))[::-1], [name for name, _ in tasks])
    axes.set_xlim(0, 1.5)
    axes.set_ylim(-0.6, len(tasks) - 0.4)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.set_xlabel("time, relative to eager")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _finish(axes, "Time of a call (median)")


def _label(axes: Any, x: float, y: float, text: str) -> None:
    axes.text(x + 0.02, y, text, va="center", ha="left", fontsize=9.5, color=_INK)


def _images(axes: Any, found: Findings) -> None:
    drawing = np.clip(found.filterings[1].image, 0, 1)
    titles = ("Photograph", "Filtered: colours, 5x5 blur, edges")
    for place, image, title in zip(axes, (found.photograph, drawing), titles, strict=True):
        place.imshow(image)
        place.set_xticks([])
        place.set_yticks([])
        place.spines[:].set_visible(False)
        place.set_title(title, loc="left", fontsize=12, fontweight="bold", color=_INK)


def _finish(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=_INK, pad=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9aa3b0")
    axes.tick_params(colors="#4a5462")
