"""Statistics beyond plain reductions: quantiles, NaN left out, weights, counts, interpolation."""

from __future__ import annotations

from hybrid.ops.statistics.counting import (
    bincount,
    digitize,
    histogram,
    histogram_bin_edges,
)
from hybrid.ops.statistics.grids import histogram2d, histogramdd
from hybrid.ops.statistics.interpolation import (
    interp,
)
from hybrid.ops.statistics.missing import (
    nan_to_num,
    nanargmax,
    nanargmin,
    nancumprod,
    nancumsum,
    nanmax,
    nanmean,
    nanmin,
    nanprod,
    nanstd,
    nansum,
    nanvar,
)
from hybrid.ops.statistics.quantiles import (
    median,
    nanmedian,
    nanpercentile,
    nanquantile,
    percentile,
    quantile,
)
from hybrid.ops.statistics.weighted import (
    average,
    corrcoef,
    cov,
    ptp,
)

__all__ = [
    "average",
    "bincount",
    "corrcoef",
    "cov",
    "digitize",
    "histogram",
    "histogram2d",
    "histogram_bin_edges",
    "histogramdd",
    "interp",
    "median",
    "nan_to_num",
    "nanargmax",
    "nanargmin",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanpercentile",
    "nanprod",
    "nanquantile",
    "nanstd",
    "nansum",
    "nanvar",
    "percentile",
    "ptp",
    "quantile",
]
