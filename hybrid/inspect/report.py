"""A Comparison as text, as HTML and as a bar chart."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from hybrid.inspect.timing import format_seconds
from hybrid.runtime.plan import format_bytes

if TYPE_CHECKING:
    from hybrid.inspect.compare import Comparison

EAGER, TRACED = "#8a93a3", "#2563a8"  # the colours of the two modes, in all pictures
_ROW = tuple[str, str, str]


def rows(comparison: Comparison) -> list[_ROW]:
    """Return the lines of the table: what, eager, traced."""
    c = comparison
    first = "trace and compilation" if c.compiled else "the trace"
    kernels = f"{c.kernels} ({c.compiled} compiled, {c.loaded} loaded from disk)"
    found = [
        ("time of a call", format_seconds(c.eager.median), format_seconds(c.traced.median)),
        ("spread (IQR)", format_seconds(c.eager.spread), format_seconds(c.traced.spread)),
        ("speed-up", "1x", f"{c.speedup:.3g}x"),
        ("first call", "", f"{format_seconds(c.first_call)} with {first}"),
        ("kernels", "", kernels),
        ("library calls", "", str(c.library_calls)),
        ("temporary memory", "", format_bytes(c.temp_bytes)),
        ("written over what it replaces", "", format_bytes(c.donated_bytes)),
        ("largest difference", "", difference(c)),
    ]
    if c.fallback:
        found.append(("runs eagerly", "", c.fallback))
    return found


def difference(comparison: Comparison) -> str:
    """Say how far the results are apart, and where that begins."""
    origin = f"; first in {comparison.origin}" if comparison.origin else ""
    if comparison.ulp == float("inf"):
        return f"not the same kind of result{origin}"
    return f"{comparison.ulp:g} ULP{origin}"


def as_text(comparison: Comparison) -> str:
    """Print the table in plain characters."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("eager", justify="right")
    table.add_column("traced", justify="left")
    for row in rows(comparison):
        table.add_row(*row)
    out = io.StringIO()
    # Wide enough for any row: the text is read in logs and doctests too, which know no terminal.
    console = Console(
        file=out, width=160, color_system=None, emoji=False, markup=False, force_jupyter=False
    )
    console.print(table)
    lines = [comparison.name, *out.getvalue().rstrip().split("\n")]
    return "\n".join(line.rstrip() for line in lines)


def as_html(comparison: Comparison) -> str:
    """Return the table and the chart for a notebook."""
    from html import escape  # it imports the names of all characters

    cells = "".join(
        "<tr>"
        f'<th style="text-align:left">{escape(what)}</th>'
        f'<td style="text-align:right">{escape(eager)}</td>'
        f'<td style="text-align:left">{escape(traced)}</td>'
        "</tr>"
        for what, eager, traced in rows(comparison)
    )
    picture = base64.b64encode(chart(comparison)).decode()
    return (
        f"<p><code>{escape(comparison.name)}</code></p>"
        '<table><thead><tr><th></th><th style="text-align:right">eager</th>'
        f'<th style="text-align:left">traced</th></tr></thead><tbody>{cells}</tbody></table>'
        f'<img alt="time of a call, eager and traced" src="data:image/png;base64,{picture}">'
    )


def chart(comparison: Comparison) -> bytes:
    """Draw the two times with their spread, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 1.5), dpi=110, layout="constrained")
    bars(figure.subplots(), comparison)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def bars(axes: Any, comparison: Comparison) -> None:
    """Draw the two bars into `axes`."""
    timings = (comparison.eager, comparison.traced)
    scale, unit = _scale(max(t.median for t in timings))
    medians = [t.median / scale for t in timings]
    spreads = [t.spread / scale / 2 for t in timings]
    places = axes.barh(["eager", "traced"], medians, xerr=spreads, color=(EAGER, TRACED))
    labels = [f" {format_seconds(t.median)}" for t in timings]
    axes.bar_label(places, labels, padding=3, fontsize=9)
    axes.set_xlim(0, max(m + s for m, s in zip(medians, spreads, strict=True)) * 1.25)
    axes.invert_yaxis()
    axes.set_xlabel(f"time of a call ({unit})", fontsize=9)
    axes.tick_params(labelsize=9, left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _scale(seconds: float) -> tuple[float, str]:
    return next(
        ((s, unit) for s, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")) if seconds >= s),
        (1e-6, "µs"),
    )
