"""Where a sequence repeats itself: runs with a period, found by doubling windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]


def periods(
    codes: Sequence[int], times: int, free: Callable[[], int] | None = None
) -> Iterator[tuple[int, int, int]]:
    """Find the parts of a sequence that repeat with a period, shortest periods first.

    Each window of 1, 2, 4, ... elements is compared with the place where it was seen last. In a
    run whose period is at most the window's length that is one period ago, all along the run.

    Parameters
    ----------
    codes : sequence of int
    times : int
        How often the period comes at least; three or more.
    free : callable, optional
        How many elements are in none of the runs by now: longer runs than that are of no use.

    Yields
    ------
    (start, stop, period) : tuple of int
        ``codes[i] == codes[i + period]`` for each ``i`` from `start` up to ``stop - period``.
    """
    windows = np.asarray(codes, np.int64)
    size = 1
    while (size // 2 + 1) * times <= (len(codes) if free is None else free()):
        distance = _since_last(windows)
        if not distance.any():
            return  # and no longer window comes again
        edges = np.flatnonzero(np.diff(distance)) + 1
        starts = np.concatenate(([0], edges))
        stops = np.concatenate((edges, [len(distance)]))
        for i, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            period = int(distance[i])
            if size // 2 < period <= size:
                end = stop + size - 1
                if end - (i - period) >= times * period:
                    yield i - period, end, period
        windows = _paired(windows[:-size], windows[size:])
        size *= 2


def _since_last(codes: Ints) -> Ints:
    """Return how far back each element was seen last; 0 where it was not."""
    order = np.argsort(codes, kind="stable")
    found = np.zeros(len(codes), np.int64)
    again = codes[order[1:]] == codes[order[:-1]]
    found[order[1:][again]] = (order[1:] - order[:-1])[again]
    return found


def _paired(one: Ints, other: Ints) -> Ints:
    """Return codes for pairs: equal where both elements are."""
    both = one * (int(other.max(initial=0)) + 1) + other
    found: Ints = np.unique(both, return_inverse=True)[1].reshape(-1)
    return found
