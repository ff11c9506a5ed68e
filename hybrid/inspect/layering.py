"""Places for the boxes of a drawing: layers from top to bottom, few crossings, short arrows.

The method is that of Sugiyama, Tagawa and Toda (1981): boxes get layers, long arrows get a bend in
each layer that they pass, the order within layers follows the mean place of the neighbours, and
positions are the nearest to that mean which keep boxes apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hybrid.records import dataclass

Arrow = tuple[int, int]
Point = tuple[float, float]

_SWEEPS = 24
_BEND = 10.0  # the width that a bend of an arrow takes
_STIFF = 8.0  # how much more than a box a bend keeps to its place, which makes long arrows straight


@dataclass(frozen=True, slots=True)
class Layering:
    """Where everything is.

    Attributes
    ----------
    centers : tuple of Point
        One per box.
    paths : dict of Arrow to list of Point
        From the lower edge of a box through bends to the upper edge of another.
    width, height : float
    """

    centers: tuple[Point, ...]
    paths: dict[Arrow, list[Point]]
    width: float
    height: float


def place(sizes: Sequence[Point], arrows: Sequence[Arrow], gap: Point = (24.0, 34.0)) -> Layering:
    """Find places for boxes.

    Parameters
    ----------
    sizes : sequence of (width, height)
    arrows : sequence of (source, target)
        Without cycles, sources before targets.
    gap : (float, float)
        Between neighbours and between layers.
    """
    layer = _layers(len(sizes), arrows)
    widths = [w for w, _ in sizes]
    chains: dict[Arrow, list[int]] = {}
    for source, target in arrows:
        bends = []
        for level in range(layer[source] + 1, layer[target]):
            bends.append(len(widths))
            widths.append(_BEND)
            layer.append(level)
        chains[source, target] = [source, *bends, target]
    above: list[list[int]] = [[] for _ in widths]
    below: list[list[int]] = [[] for _ in widths]
    for chain in chains.values():
        for a, b in pairwise(chain):
            below[a].append(b)
            above[b].append(a)
    rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for item, level in enumerate(layer):
        rows[level].append(item)
    _order(rows, above, below)
    x = _positions(rows, above, below, widths, gap[0])
    y, heights, total = _levels(rows, sizes, gap[1])
    left = min((x[i] - widths[i] / 2 for i in range(len(widths))), default=0.0)
    right = max((x[i] + widths[i] / 2 for i in range(len(widths))), default=0.0)
    x = [value - left for value in x]
    centers = tuple((x[i], y[layer[i]]) for i in range(len(sizes)))
    paths = {arrow: _path(chain, x, y, layer, heights, sizes) for arrow, chain in chains.items()}
    return Layering(centers, paths, right - left, total)


def _layers(count: int, arrows: Sequence[Arrow]) -> list[int]:
    """Put each box below its sources; boxes without sources just above their first target."""
    layer = [0] * count
    for source, target in sorted(arrows, key=lambda arrow: arrow[1]):
        layer[target] = max(layer[target], layer[source] + 1)
    targets = {target for _, target in arrows}
    for box in range(count):
        following = [layer[t] for s, t in arrows if s == box]
        if box not in targets and following:
            layer[box] = min(following) - 1
    return layer


def _order(rows: list[list[int]], above: list[list[int]], below: list[list[int]]) -> None:
    """Sort each row by the mean rank of its neighbours, downwards and upwards in turns."""
    for sweep in range(_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            rank = {item: i for other in rows for i, item in enumerate(other)}
            means = {item: _mean([rank[n] for n in neighbours[item]], rank[item]) for item in row}
            row.sort(key=means.__getitem__)


def _positions(
    rows: list[list[int]],
    above: list[list[int]],
    below: list[list[int]],
    widths: list[float],
    gap: float,
) -> list[float]:
    x = [0.0] * len(widths)
    for row in rows:
        at = 0.0
        for item in row:
            x[item] = at + widths[item] / 2
            at += widths[item] + gap
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean([x[n] for n in (*above[i], *below[i])], x[i]) for i in row]
            weights = [_STIFF if widths[i] == _BEND else 1.0 for i in row]
            found = _apart(wanted, weights, [widths[i] for i in row], gap)
            for item, value in zip(row, found, strict=True):
                x[item] = value
    return x


def _apart(
    wanted: list[float], weights: list[float], widths: list[float], gap: float
) -> list[float]:
    """Return the positions nearest to `wanted` at which nothing overlaps.

    Without the distances that must be kept, what remains is an isotonic regression: neighbours in
    the wrong order are pooled at their mean.
    """
    offsets = [0.0]
    for a, b in pairwise(widths):
        offsets.append(offsets[-1] + (a + b) / 2 + gap)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, total, count = want - offset, weight, 1
        while pools and pools[-1][0] > mean:
            other, heavy, members = pools.pop()
            mean = (mean * total + other * heavy) / (total + heavy)
            total, count = total + heavy, count + members
        pools.append((mean, total, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _levels(
    rows: list[list[int]], sizes: Sequence[Point], gap: float
) -> tuple[list[float], list[float], float]:
    """Return the middle and the height of each row, and the height of all."""
    y, heights, at = [], [], 0.0
    for row in rows:
        height = max((sizes[i][1] for i in row if i < len(sizes)), default=0.0)
        y.append(at + height / 2)
        heights.append(height)
        at += height + gap
    return y, heights, max(at - gap, 0.0)


def _path(
    chain: list[int],
    x: list[float],
    y: list[float],
    layer: list[int],
    heights: list[float],
    sizes: Sequence[Point],
) -> list[Point]:
    source, target = chain[0], chain[-1]
    points = [(x[source], y[layer[source]] + sizes[source][1] / 2)]
    for bend in chain[1:-1]:
        middle, half = y[layer[bend]], heights[layer[bend]] / 2
        points += [(x[bend], middle - half), (x[bend], middle + half)]
    points.append((x[target], y[layer[target]] - sizes[target][1] / 2))
    return points


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
