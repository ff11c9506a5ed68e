"""Pooling: the largest element or the mean of what lies under a window, at each of its places."""

from __future__ import annotations

from hybrid.ops.pooling.functions import (
    avg_pool,
    avg_pool1d,
    avg_pool2d,
    max_pool,
    max_pool1d,
    max_pool2d,
)

__all__ = [
    "avg_pool",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool",
    "max_pool1d",
    "max_pool2d",
]
