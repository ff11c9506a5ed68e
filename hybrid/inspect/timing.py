"""Timing two ways of doing one thing side by side."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import numpy as np

from hybrid.core.devices import stopwatches
from hybrid.records import dataclass

_BUDGET = 0.5  # seconds that one way may take altogether, where the caller names no number of runs
_LEAST, _MOST = 5, 200
_SHORT = 50e-6  # calls shorter than this are timed several at a time: a clock read costs 50 ns


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that a call took, several times over.

    Parameters
    ----------
    samples : tuple of float
    """

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return float(np.median(self.samples))

    @property
    def spread(self) -> float:
        """The interquartile range: how far apart the middle half of the samples is."""
        low, high = np.percentile(self.samples, (25, 75))
        return float(high - low)

    def __str__(self) -> str:
        return f"{format_seconds(self.median)} ± {format_seconds(self.spread / 2)}"


def interleaved(
    ways: tuple[Callable[[], object], ...],
    between: Callable[[], None],
    repeat: int | None = None,
) -> tuple[Timing, ...]:
    """Time several ways in turns, so that a disturbance of the machine hits all of them.

    Parameters
    ----------
    ways : tuple of callable
        Warmed up already.
    between : callable
        Run before each sample, outside the time that is taken.
    repeat : int, optional
        The number of samples; by default as many as half a second per way allows, 5 to 200.

    Returns
    -------
    tuple of Timing
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        between()
        calls = [_calls(_sample(way, 1)) for way in ways]
        between()
        first = [_sample(way, n) for way, n in zip(ways, calls, strict=True)]
        longest = max(t * n for t, n in zip(first, calls, strict=True))
        count = repeat or int(np.clip(_BUDGET / longest, _LEAST, _MOST))
        samples: list[list[float]] = [[] for _ in ways]
        for _ in range(count):
            for way, n, found in zip(ways, calls, samples, strict=True):
                between()
                found.append(_sample(way, n))
    finally:
        if collecting:
            gc.enable()
    return tuple(Timing(tuple(found)) for found in samples)


def _calls(seconds: float) -> int:
    return 1 if seconds >= _SHORT else int(np.ceil(_SHORT / max(seconds, 1e-7)))


def _sample(way: Callable[[], object], calls: int) -> float:
    # A card is asked for its work, and takes its time: the longer of both is what a call takes.
    cards = stopwatches()
    started = time.perf_counter()
    for _ in range(calls):
        way()
    taken = time.perf_counter() - started
    return max(taken, *(elapsed() for elapsed in cards)) / calls if cards else taken / calls


def format_seconds(seconds: float) -> str:
    """Write a duration with three digits and a unit.

    Examples
    --------
    >>> format_seconds(0.00123456)
    '1.23 ms'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size * 0.9995:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds / 1e-9)} ns"


def _digits(x: float) -> str:
    return f"{x:.3g}" if x < 999.5 else f"{x:.0f}"
