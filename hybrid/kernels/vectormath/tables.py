"""Tables of reciprocals and their logarithms, by which logarithms are reduced.

A number of [1, 2) is (1 + f) / r with the r of the 32nd part it is in: f is small and exact, since
r has 7 bits or less. r is 1 in the first part and 1/2 in the last, so nothing cancels near 1. After
P.-T. P. Tang, "Table-driven implementation of the logarithm function" (ACM TOMS 16, 1990).
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from hybrid.kernels.formulas import table

# 128 r
_RECIPROCALS = (
    *(128, 122, 118, 116, 112, 109, 106, 104, 101, 99, 96, 94, 92, 90, 88, 86),
    *(84, 83, 81, 80, 78, 77, 75, 74, 72, 71, 70, 69, 68, 67, 66, 64),
)


def reciprocals(name: str) -> Any:
    """The table of r, in float32."""
    return table(name, np.array(_RECIPROCALS, np.float32) / np.float32(128))


def logarithms(name: str, base: int | None, unit: int) -> tuple[Any, Any, np.float32, np.float32]:
    """-log(r) and log(2) to a base (None: e) in two parts: (high(i), low(i), high, low), float32.

    The high parts are multiples of 2**-unit, so that sums of them and multiples are exact. Those
    of 1/2 are those of log(2), whose low part is not negative: infinity times it is infinity.
    """
    with localcontext() as context:
        context.prec = 50
        scale = Decimal(1) if base is None else Decimal(base).ln()
        log2 = Decimal(2).ln() / scale
        steps = [int((log2 * 2**unit).to_integral_value("ROUND_FLOOR"))]
        exact = [log2]
        for r in _RECIPROCALS[:-1]:
            exact.append((Decimal(128) / r).ln() / scale)
            steps.append(int((exact[-1] * 2**unit).to_integral_value()))
        low = [float(x - Decimal(n) / 2**unit) for x, n in zip(exact, steps, strict=True)]
    highs = np.array([*steps[1:], steps[0]], np.float32) / np.float32(2**unit)
    lows = np.array([*low[1:], low[0]], np.float32)
    high, low_of = table(f"{name}_high", highs), table(f"{name}_low", lows)
    return high, low_of, highs[-1], lows[-1]
