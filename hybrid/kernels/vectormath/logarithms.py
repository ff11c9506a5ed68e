"""What logarithms of float32 and of float64 have in common: the formulas, given the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid.kernels import wide
from hybrid.kernels.intrinsics import float_bits, fma, like, select, shr
from hybrid.records import dataclass

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Reduced:
    """log(1 + f) and what the table adds to it, for m * 2**k with m = (1 + f) / r.

    `shift` leaves the bits of m that choose r; the logarithm of r is ``high(i) + low(i)``, and that
    of 2 the sum of `unit`; `tail` is the polynomial of (log(1 + f) - f) / f**2.
    """

    shift: int
    reciprocals: Function
    high: Function
    low: Function
    unit: tuple[Any, Any]
    tail: Function

    def near_one(self, m: Any) -> tuple[Any, Any]:
        """(f, i) with m = (1 + f) / r, r the i-th of the table; f is exact."""
        i = shr(float_bits(m), self.shift)
        return fma(m, self.reciprocals(i), like(m, -1.0)), i

    def natural(self, m: Any, k: Any, lost: Any) -> Any:
        """log((m + lost) * 2**k), `lost` a rounding error of m or None."""
        f, i = self.near_one(m)
        near, rest = f, fma(k, self.unit[1], self.low(i))
        if lost is not None:
            near, rest = (fma(lost, self.reciprocals(i), part) for part in (near, rest))
        rest = fma(near * near, self.tail(near), rest)
        return fma(k, self.unit[0], self.high(i)) + (f + rest)


def binary(f: Any, i: Any, k: Any, tail: Function, high: Function, low: Function) -> Any:
    """log2 of what `near_one` took apart: k - log2(r) exactly, the small log(1 + f) * log2(e)."""
    rest = fma(f, like(f, 1.4426950408889634), fma(f, tail(f), low(i)))
    return (k + high(i)) + rest


def edges(x: Any, y: Any) -> Any:
    """y = log(x) for ordinary x; here zero, negative numbers, infinity and NaN."""
    if wide.available(x):
        return y  # These come out by themselves.
    zero, infinity = like(x, 0.0), like(x, np.inf)
    y = select(x < infinity, y, x)
    return select(x <= zero, select(x == zero, -infinity, like(x, np.nan)), y)
