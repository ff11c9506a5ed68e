"""A drawing as SVG and as graphviz text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hybrid.inspect.layering import Layering, Point, place
from hybrid.inspect.picture import Box, Kind, Panel

_FILL: dict[Kind, tuple[str, str]] = {  # inside, border
    "input": ("#e8f1fb", "#2563a8"),
    "capture": ("#efeafa", "#6d4fb0"),
    "op": ("#ffffff", "#7a8494"),
    "view": ("#f4f5f7", "#b4bac4"),
    "fused": ("#fff3d6", "#c98a0a"),
    "library": ("#e4f5ea", "#2b8a4e"),
    "output": ("#24344d", "#24344d"),
}
_FONT = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_CHARACTER, _LINE = 6.9, 15.0  # of the 11.5 px font
_PADDING = (12.0, 7.0)
_MARGIN = 16.0
_HEADING = 28.0


def as_svg(panels: Sequence[Panel]) -> str:
    """Draw panels below each other.

    Parameters
    ----------
    panels : sequence of Panel

    Returns
    -------
    str
        A complete SVG document.
    """
    layouts = [place([_size(box) for box in p.boxes], p.arrows) for p in panels]
    heading = _HEADING if len(panels) > 1 else 0.0
    titles = [len(p.title) * _CHARACTER if heading else 0.0 for p in panels]
    inside = max((max(w, at.width) for w, at in zip(titles, layouts)), default=0.0)
    width = inside + 2 * _MARGIN
    parts: list[str] = []
    top = _MARGIN
    for one, layout in zip(panels, layouts, strict=True):
        if heading:
            parts.append(_text(_MARGIN, top + 12, one.title, weight="bold", anchor="start"))
            top += heading
        left = (width - layout.width) / 2
        parts.append(f'<g transform="translate({left:.1f},{top:.1f})">')
        parts += _panel(one, layout)
        parts.append("</g>")
        top += layout.height + _MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{top:.0f}" '
        f'viewBox="0 0 {width:.1f} {top:.1f}" font-family="{_FONT}" font-size="11.5">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0.5 L8,4 L0,7.5 z" fill="#5b6573"/></marker>'
        f'</defs><rect width="100%" height="100%" rx="6" fill="#ffffff"/>'
    )
    return "\n".join([head, *parts, "</svg>"])


def _panel(panel: Panel, layout: Layering) -> list[str]:
    parts = [_arrow(layout.paths[arrow]) for arrow in panel.arrows]
    for box, center in zip(panel.boxes, layout.centers, strict=True):
        parts += _drawn(box, center)
    return parts


def _size(box: Box) -> Point:
    longest = max(len(line) for line in (box.title, *box.lines))
    width = max(longest * _CHARACTER + 2 * _PADDING[0], 54.0)
    return width, (1 + len(box.lines)) * _LINE + 2 * _PADDING[1] - 2


def _drawn(box: Box, center: Point) -> list[str]:
    (x, y), (width, height) = center, _size(box)
    fill, border = _FILL[box.kind]
    ink = "#ffffff" if box.kind == "output" else "#1b2430"
    radius = 12 if box.kind in ("input", "capture", "output") else 4
    left, top = x - width / 2, y - height / 2
    parts = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{radius}" fill="{fill}" stroke="{border}" stroke-width="1.2"/>'
    ]
    at = top + _PADDING[1] + 10
    parts.append(_text(x, at, box.title, weight="bold", ink=ink))
    for line in box.lines:
        at += _LINE
        parts.append(_text(x, at, line, ink=ink))
    return parts


def _text(
    x: float, y: float, text: str, *, weight: str = "", anchor: str = "middle", ink: str = "#1b2430"
) -> str:
    from html import escape  # it imports the names of all characters

    bold = ' font-weight="bold"' if weight else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{ink}"{bold}>'
        f"{escape(text, quote=False)}</text>"
    )


def _arrow(points: list[Point]) -> str:
    """Draw a curve that leaves and arrives vertically, straight beside the boxes it passes."""
    path = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for i, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        if i % 2:
            path.append(f"L{x1:.1f},{y1:.1f}")
        else:
            middle = (y0 + y1) / 2
            path.append(f"C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}")
    return (
        f'<path d="{" ".join(path)}" fill="none" stroke="#5b6573" stroke-width="1.1" '
        'marker-end="url(#tip)"/>'
    )


def as_dot(panels: Sequence[Panel]) -> str:
    """Return the panels in the language of graphviz, one cluster each.

    Parameters
    ----------
    panels : sequence of Panel
    """
    lines = ["digraph {", '  node [shape=box style="rounded,filled" fontname=monospace];']
    for number, panel in enumerate(panels):
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f"    label={_quoted(panel.title)};")
        for i, box in enumerate(panel.boxes):
            fill, border = _FILL[box.kind]
            label = "\\n".join(_escaped(line) for line in (box.title, *box.lines))
            ink = " fontcolor=white" if box.kind == "output" else ""
            lines.append(
                f'    n{number}_{i} [label="{label}" fillcolor="{fill}" color="{border}"{ink}];'
            )
        lines += [f"    n{number}_{a} -> n{number}_{b};" for a, b in panel.arrows]
        lines.append("  }")
    return "\n".join([*lines, "}"])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'
