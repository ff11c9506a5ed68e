"""What the processor has for sums of products that stay in registers."""

from __future__ import annotations

import functools
import platform
from typing import Any

import numpy as np

from hybrid.kernels import processor

Array = np.ndarray[Any, np.dtype[Any]]

# Multiply-adds of float32 that one core does in a nanosecond.
RATE = 40


@functools.cache
def registers() -> tuple[int, int]:
    """Bytes of a vector register, and how many of them accumulators may take; 0 without FMA."""
    have = processor.features()
    if {"avx512f", "avx512vl"} <= have:
        return 64, 24
    if {"fma", "avx2"} <= have:
        return 32, 12
    return (16, 24) if platform.machine().lower() in ("aarch64", "arm64") else (16, 0)


def lanes_of(dtype: str | np.dtype[Any]) -> int:
    """Elements of a vector register."""
    return registers()[0] // np.dtype(dtype).itemsize


def vectors_across(columns: int, lanes: int, choices: tuple[int, ...]) -> int:
    """Return the vectors in a row of a block, 0 where the columns fill none of the choices.

    Of those that compute the fewest columns the first, which is to be the widest: it loads least.
    """
    fitting = (n for n in choices if n * lanes <= columns)
    return min(fitting, key=lambda n: -(-columns // (n * lanes)) * n, default=0)


def takes(dtype: np.dtype[Any], *arrays: Array) -> bool:
    """Whether there are kernels for arrays of `dtype`."""
    known = dtype in (np.float32, np.float64) and registers()[1] > 0
    return known and all(array.size for array in arrays)
