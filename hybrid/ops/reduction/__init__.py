"""Reductions along axes, and the scans that run along one."""

from __future__ import annotations

from hybrid.ops.reduction.declare import Axis, accumulator, restore, spread
from hybrid.ops.reduction.extremes import all, amax, amin, any, max, min
from hybrid.ops.reduction.moments import mean, std, var
from hybrid.ops.reduction.scans import (
    cummax,
    cummin,
    cumprod,
    cumsum,
    cumulative_prod,
    cumulative_sum,
)
from hybrid.ops.reduction.sums import prod, sum

__all__ = [
    "Axis",
    "accumulator",
    "all",
    "amax",
    "amin",
    "any",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "cumulative_prod",
    "cumulative_sum",
    "max",
    "mean",
    "min",
    "prod",
    "restore",
    "spread",
    "std",
    "sum",
    "var",
]
