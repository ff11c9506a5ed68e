"""Histograms of points in several dimensions."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.ops.creation import full
from hybrid.ops.elementwise import equal
from hybrid.ops.joining import concat, stack
from hybrid.ops.rearranging import diff
from hybrid.ops.reduction import sum as total
from hybrid.ops.reshaping import reshape
from hybrid.ops.statistics.counting import bincount, digitize, histogram_bin_edges

_range = range  # the name of a parameter


def histogramdd(
    sample: ArrayLike | Sequence[ArrayLike],
    bins: Any = 10,
    range: Sequence[Any] | None = None,
    density: bool | None = None,
    weights: ArrayLike | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Count the points that fall into each cell of a grid; ``numpy.histogramdd``.

    Parameters
    ----------
    sample : array-like or sequence of array-like
        Points, one for each row of an array; or a list of their coordinates, as many arrays as
        there are dimensions.
    bins : int or sequence
        How many bins of equal width: of every dimension, or for each one that number or the edges.
    range : sequence of pairs, optional
        From where to where; None, for a dimension too, from the smallest to the largest element.
    density : bool, optional
        Divide by the number of points and the volumes, so that the integral is 1.
    weights : array-like, optional
        What to add for each point instead of 1; they have gradients.

    Returns
    -------
    counts : Tensor of float64
    edges : list of Tensor

    Raises
    ------
    ShapeError
        Where `sample` has more than two axes, or `bins` or `range` are not one for each dimension.

    Examples
    --------
    >>> counts, edges = histogramdd([[0.0, 1.0, 1.0], [0.0, 2.0, 2.0]], bins=2)
    >>> counts
    Tensor([[1., 0.],
            [0., 2.]], dtype=float64)
    """
    points = _points(sample)
    _n, dimensions = points.shape
    each = [bins] * dimensions if _is_count(bins) else list(bins)
    limits = [None] * dimensions if range is None else list(range)
    for name, given in (("bins", each), ("range", limits)):
        if len(given) != dimensions:
            text = f"histogramdd: {len(given)} {name} for points of {dimensions} dimensions"
            raise ShapeError(located(text))
    edges = [histogram_bin_edges(points[:, i], each[i], limits[i]) for i in _range(dimensions)]
    place: Any = 0
    for i, edge in enumerate(edges):
        column = points[:, i]
        behind = digitize(column, _increasing(edge)) - 1
        behind = behind - equal(column, edge[-1])  # the last bin holds both its edges
        place = place * (edge.shape[0] + 1) + behind
    sizes = [edge.shape[0] + 1 for edge in edges]  # with what is outside, on both sides
    if weights is not None:
        weights = asarray(weights)
    counts = reshape(bincount(place, weights, length=prod(sizes)), sizes)
    counts = counts[(slice(1, -1),) * dimensions].astype(dtypes.float64)
    if density:
        whole = total(counts)
        for i, edge in enumerate(edges):
            widths = reshape(diff(edge), [-1 if j == i else 1 for j in _range(dimensions)])
            counts = counts / widths
        counts = counts / whole
    return counts, edges


def histogram2d(
    x: ArrayLike,
    y: ArrayLike,
    bins: Any = 10,
    range: Sequence[Any] | None = None,
    density: bool | None = None,
    weights: ArrayLike | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Count the points that fall into each cell of a plane; ``numpy.histogram2d``.

    Parameters
    ----------
    x, y : array-like
        Coordinates, of one axis and the same size.
    bins : int or sequence
        As of :func:`histogramdd`; or the edges of both axes.
    range, density, weights
        As of :func:`histogramdd`.

    Returns
    -------
    counts : Tensor of float64
    x_edges, y_edges : Tensor

    Raises
    ------
    ShapeError
        Where `x` and `y` are not of the same size.

    Examples
    --------
    >>> counts, _, _ = histogram2d([0.0, 1.0, 1.0], [0.0, 2.0, 2.0], bins=2)
    >>> counts
    Tensor([[1., 0.],
            [0., 2.]], dtype=float64)
    """
    x, y = asarray(x), asarray(y)
    if x.shape != y.shape:
        raise ShapeError(located(f"histogram2d: x of shape {x.shape} and y of {y.shape}"))
    if not _is_count(bins) and len(bins) not in (1, 2):
        bins = [asarray(bins)] * 2
    counts, (x_edges, y_edges) = histogramdd([x, y], bins, range, density, weights)
    return counts, x_edges, y_edges


def _increasing(edge: Tensor) -> Tensor:
    """Return edges behind the smallest number, so that decreasing ones have no order."""
    if edge.ndim != 1:
        raise ShapeError(located(f"histogramdd: edges have one axis, not shape {edge.shape}"))
    integers = edge.dtype.kind in "iu"
    least = np.iinfo(edge.dtype).min if integers else -np.inf
    return concat([full(1, least, dtype=edge.dtype, device=edge.device), edge])


def _points(sample: Any) -> Tensor:
    """Return points as the rows of a matrix."""
    if isinstance(sample, list | tuple) and len(sample) and np.ndim(sample[0]):
        return stack(list(map(asarray, sample)), axis=1)
    points = asarray(sample)
    if points.ndim < 2:
        return reshape(points, (-1, 1))
    if points.ndim > 2:
        raise ShapeError(located(f"histogramdd: the points are a matrix, not {points.shape}"))
    return points


def _is_count(bins: Any) -> bool:
    try:
        operator.index(bins)
    except TypeError:
        return False
    return True
