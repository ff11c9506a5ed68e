"""What results and gradients of ops are held against: the other mode, and differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import hybrid as hb


def in_both_modes(function: Callable[..., Any], *arrays: Any) -> Any:
    """Return the result of eager code, after checking that compiled code gives the same."""
    eager = function(*map(hb.asarray, arrays)).numpy()
    traced = hb.compile(function)(*map(hb.asarray, arrays)).numpy()
    np.testing.assert_allclose(traced, eager, rtol=1e-6, atol=1e-6)
    assert traced.dtype == eager.dtype
    return eager


def slopes(f: Callable[..., Any], point: np.ndarray) -> np.ndarray:
    """The derivative by real parts less i times that by imaginary parts, by differences."""
    found = np.zeros(point.shape, complex)
    for place in np.ndindex(point.shape):
        for direction in (1, 1j):
            step = np.zeros(point.shape, complex)
            step[place] = 1e-6 * direction
            change = (f(point + step) - f(point - step)).item() / 2e-6
            found[place] += change if direction == 1 else -1j * change
    return found
