"""Tables of reciprocals and their logarithms, by which logarithms are reduced.

A number of [1, 2) is (1 + f) / r with the r of the 16th or 32nd part it is in: f is small and
exact, since r has few bits. r is 1 in the first part and 1/2 in the last, so nothing cancels near
1. After P.-T. P. Tang, "Table-driven implementation of the logarithm function" (ACM TOMS 16,
1990).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from hybrid.kernels.formulas import table

# 128 r, by the number of parts. Of 16, f is at most 1/16, and a float32 for each m that is one.
_RECIPROCALS = {
    16: (128, 116, 112, 104, 100, 96, 92, 88, 84, 80, 78, 74, 72, 70, 68, 64),
    32: (
        *(128, 122, 118, 116, 112, 109, 106, 104, 101, 99, 96, 94, 92, 90, 88, 86),
        *(84, 83, 81, 80, 78, 77, 75, 74, 72, 71, 70, 69, 68, 67, 66, 64),
    ),
}

# Near the cube roots of the middles of 32nd parts of [1, 2), but such that the reciprocals of their
# cubes are float32 but for one part in 2**33. After S. Gal, "Computing elementary functions: a new
# approach for achieving high accuracy and good performance" (1986).
_CUBE_ROOTS = (
    *(1.0050453, 1.0155596, 1.025286, 1.0351048, 1.0447767, 1.0543255, 1.0636988, 1.0727732),
    *(1.0816855, 1.0905375, 1.0992273, 1.10781, 1.1162134, 1.1245131, 1.1326416, 1.1407974),
    *(1.1488025, 1.1565771, 1.1641108, 1.1718508, 1.1794896, 1.1869015, 1.1942877, 1.2015487),
    *(1.2085376, 1.2158644, 1.2227371, 1.2296016, 1.236476, 1.2432427, 1.2499361, 1.2567633),
)

# The same for 16th parts, c in 26 bits and c**-3 a float64 but for one part in 2**63: (c**-3, c).
_CUBES_F64 = (
    (0.9696679111788529, 1.010320097208023),
    (0.9144387611484458, 1.0302638411521912),
    (0.8649179670869995, 1.0495626330375671),
    (0.8206453697618425, 1.068107157945633),
    (0.780592290897469, 1.0860719084739685),
    (0.7441808816794507, 1.103503793478012),
    (0.7111860078761048, 1.1203118562698364),
    (0.6807578050419928, 1.1367608904838562),
    (0.6530392276521695, 1.152622014284134),
    (0.6273562895245547, 1.168140947818756),
    (0.6038457366106256, 1.1831087470054626),
    (0.5818216101037116, 1.197852611541748),
    (0.5614812822482254, 1.2121459245681763),
    (0.5423815438712017, 1.226210504770279),
    (0.5245614526830108, 1.2399415373802185),
    (0.5079808669647822, 1.2532880008220673),
)


# Of six million random ones that with the smallest largest error of a power.
_NEARNESS = -33773.0957 * 2.0**-52


def reciprocals(name: str, parts: int, dtype: Any = np.float32) -> Any:
    """The table of r."""
    return table(name, np.array(_RECIPROCALS[parts], dtype) / dtype(128))


def logarithms(
    name: str, parts: int, base: int | None, unit: int, dtype: Any = np.float32
) -> tuple[Any, Any, tuple[Any, Any]]:
    """-log(r) and log(2) to a base (None: e) in two parts: (high(i), low(i), (high, low)).

    The high parts are multiples of 2**-unit, so that sums of them and multiples are exact. Those
    of 1/2 are those of log(2), whose low part is not negative: infinity times it is infinity.
    """
    with localcontext() as context:
        context.prec = 50
        scale = Decimal(1) if base is None else Decimal(base).ln()
        log2 = Decimal(2).ln() / scale
        steps = [int((log2 * 2**unit).to_integral_value("ROUND_FLOOR"))]
        exact = [log2]
        for r in _RECIPROCALS[parts][:-1]:
            exact.append((Decimal(128) / r).ln() / scale)
            steps.append(int((exact[-1] * 2**unit).to_integral_value()))
        low = [float(x - Decimal(n) / 2**unit) for x, n in zip(exact, steps, strict=True)]
    highs = np.array([*steps[1:], steps[0]], dtype) / dtype(2**unit)
    lows = np.array([*low[1:], low[0]], dtype)
    high, low_of = table(f"{name}_high", highs), table(f"{name}_low", lows)
    return high, low_of, (highs[-1], lows[-1])


def cubes() -> tuple[Any, Any]:
    """Tables of c for the 32nd parts of [1, 2), and of c**-3: (c**-3(i), c(i)), float32."""
    roots = np.array(_CUBE_ROOTS, np.float32)
    inverse = (1 / roots.astype(np.float64) ** 3).astype(np.float32)
    return table("cubes_f32", inverse), table("cube_roots_f32", roots)


def cubes_f64() -> tuple[Any, Any]:
    """The same for the 16th parts, float64."""
    inverse, roots = zip(*_CUBES_F64, strict=True)
    return table("cubes_f64", np.array(inverse)), table("cube_roots_f64", np.array(roots))


def thirds() -> tuple[Any, Any]:
    """Tables of 2**(j/3) for j = -1, 0, 1, and what is left of it relative to that, float32."""
    whole, rest = _powers_of_2(3, (-1, 0, 1), 23)
    return table("thirds_f32", whole.astype(np.float32)), table(
        "thirds_rest_f32", rest.astype(np.float32)
    )


def thirds_f64() -> tuple[Any, Any]:
    """The same in float64, the powers in 26 bits."""
    whole, rest = _powers_of_2(3, (-1, 0, 1), 25, 8)
    return table("thirds_f64", whole), table("thirds_rest_f64", rest)


def bare_roots_of_2(dtype: Any) -> tuple[Any, Any]:
    """Tables of 2**(j/16) in a few bits for j = 0 to 15, and the logarithm of the rest.

    Of the bits of the first j 16ths of the exponent's least are taken, for a sum to bring back.
    """
    kept, shift, integer = {
        np.float32: (7, 19, np.int32),
        np.float64: (11, 48, np.int64),
    }[dtype]
    whole, rest = _powers_of_2(16, range(16), kept)
    bits = whole.astype(dtype).view(integer) - (np.arange(16, dtype=integer) << shift)
    name = f"bare_roots_f{8 * bits.itemsize}"
    return table(name, bits.view(dtype)), table(f"{name}_rest", np.log1p(rest).astype(dtype))


def powers_of_2() -> tuple[Any, Any]:
    """Tables of 2**(j/16) for j = 0 to 15, and what is left of it relative to that, float32."""
    whole, rest = _powers_of_2(16, range(16), 23)
    return table("powers_f32", whole.astype(np.float32)), table(
        "powers_rest_f32", rest.astype(np.float32)
    )


def roots_of_2_f64() -> tuple[Any, Any]:
    """Tables of 2**(j/16) for j = 0 to 15, and what is left of it relative to that, float64."""
    whole, rest = _powers_of_2(16, range(16), 52)
    return table("roots_f64", whole), table("roots_rest_f64", rest)


def near_powers_of_2_f64() -> Any:
    """A table of (1 + d) 2**(j/16) for j = 0 to 15, float64.

    d is such that none loses more than a fifth of a unit when it is rounded, of which the powers
    themselves lose up to a half; a polynomial takes it back for nothing. After Gal, as above.
    """
    with localcontext() as context:
        context.prec = 50
        factor = 1 + Decimal(_NEARNESS)
        powers = [float(factor * (Decimal(2).ln() * j / 16).exp()) for j in range(16)]
    return table("near_powers_f64", np.array(powers))


def _powers_of_2(parts: int, numbers: Iterable[int], bits: int, size: int = 16) -> tuple[Any, Any]:
    whole, rest = np.ones(size), np.zeros(size)
    with localcontext() as context:
        context.prec = 50
        for j in numbers:
            exact = (Decimal(2).ln() * j / parts).exp()
            unit = 2 ** (bits + (exact < 1))
            whole[j] = float((exact * unit).to_integral_value() / unit)
            rest[j] = float(exact / Decimal(float(whole[j])) - 1)
    return whole, rest
