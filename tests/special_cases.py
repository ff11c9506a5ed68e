"""The special cases of the Array API standard (2024.12), function by function, as tables.

A case of a real function is ``argument: result``. A case of two arguments, or of the two parts of a
complex one, names a set of values for each; the result may depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

NAN, INF, PI = math.nan, math.inf, math.pi


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A result whose sign the standard leaves open."""

    value: float


# --- functions of one real number -----------------------------------------------------------------

_ODD = "nan:nan 0:0 -0:-0"
_LOGARITHM = "nan:nan -1:nan -inf:nan 0:-inf -0:-inf 1:0 inf:inf"
_ROUNDING = "nan:nan inf:inf -inf:-inf 0:0 -0:-0 3:3 -3:-3"

REAL: dict[str, str] = {
    "abs": "nan:nan -0:0 0:0 -inf:inf inf:inf -2:2",
    "acos": "nan:nan 1.5:nan inf:nan -1.5:nan -inf:nan 1:0",
    "acosh": "nan:nan 0.5:nan -0:nan -inf:nan 1:0 inf:inf",
    "asin": f"{_ODD} 1.5:nan inf:nan -1.5:nan -inf:nan",
    "asinh": f"{_ODD} inf:inf -inf:-inf",
    "atan": f"{_ODD} inf:pi/2 -inf:-pi/2",
    "atanh": f"{_ODD} -1.5:nan -inf:nan 1.5:nan inf:nan -1:-inf 1:inf",
    "ceil": f"{_ROUNDING} -0.5:-0 0.5:1",
    "cos": "nan:nan 0:1 -0:1 inf:nan -inf:nan",
    "cosh": "nan:nan 0:1 -0:1 inf:inf -inf:inf",
    "exp": "nan:nan 0:1 -0:1 inf:inf -inf:0",
    "expm1": f"{_ODD} inf:inf -inf:-1",
    "floor": f"{_ROUNDING} -0.5:-1 0.5:0",
    "isfinite": "nan:0 inf:0 -inf:0 0:1 -0:1 3:1 -3:1",
    "isinf": "nan:0 inf:1 -inf:1 0:0 -0:0 3:0 -3:0",
    "isnan": "nan:1 inf:0 -inf:0 0:0 -0:0 3:0 -3:0",
    "log": _LOGARITHM,
    "log10": _LOGARITHM,
    "log1p": f"{_ODD} -2:nan -inf:nan -1:-inf inf:inf",
    "log2": _LOGARITHM,
    "negative": "nan:nan 0:-0 -0:0 inf:-inf -inf:inf",
    "positive": "nan:nan 0:0 -0:-0 inf:inf -inf:-inf",
    "reciprocal": "nan:nan 0:inf -0:-inf inf:0 -inf:-0 4:0.25",
    "round": f"{_ROUNDING} 0.5:0 1.5:2 2.5:2 -0.5:-0 -1.5:-2",
    "sign": "nan:nan -3:-1 -inf:-1 0:±0 -0:±0 3:1 inf:1",
    "signbit": "0:0 -0:1 inf:0 -inf:1 3:0 -3:1",
    "sin": f"{_ODD} inf:nan -inf:nan",
    "sinh": f"{_ODD} inf:inf -inf:-inf",
    "sqrt": f"{_ODD} -1:nan -inf:nan inf:inf",
    "square": "nan:nan 0:0 -0:0 inf:inf -inf:inf",
    "tan": f"{_ODD} inf:nan -inf:nan",
    "tanh": f"{_ODD} inf:1 -inf:-1",
    "trunc": f"{_ROUNDING} -0.5:-0 0.5:0",
}


def real_cases(name: str) -> tuple[list[float], list[Any]]:
    """Return the arguments and the results of a function of one real number."""
    pairs = [case.split(":") for case in REAL[name].split()]
    return [float(x) for x, _ in pairs], [_number(y) for _, y in pairs]


def _number(text: str) -> Any:
    if text.startswith("±"):
        return Unsigned(float(text[1:]))
    return {"pi/2": PI / 2, "-pi/2": -PI / 2}[text] if "pi" in text else float(text)


# --- sets of values -------------------------------------------------------------------------------

Values = tuple[float, ...]
Result = Any  # a number, an Unsigned, or a function of the arguments that gives one
Row = tuple[Values, Values, Result]

P0, N0, PINF, NINF, NANS = (0.0,), (-0.0,), (INF,), (-INF,), (NAN,)
ZEROS, INFS = P0 + N0, PINF + NINF
P, N = (0.5, 1.0, 3.0), (-0.5, -1.0, -3.0)
NONZERO, FINITE = P + N, P + N + ZEROS
GREATER, LESS = P + PINF, N + NINF
NUMBERS = FINITE + INFS
ANY = NUMBERS + NANS


def expanded(rows: list[Row]) -> Iterator[tuple[float, float, Result]]:
    """Yield the single cases of rows of sets."""
    for first, second, result in rows:
        for a, b in product(first, second):
            yield a, b, result(a, b) if callable(result) else result


def _first(a: float, b: float) -> float:
    return a


def _second(a: float, b: float) -> float:
    return b


def _same_sign(a: float, b: float) -> bool:
    return math.copysign(1, a) == math.copysign(1, b)


def _signed(value: float) -> Callable[[float, float], float]:
    """Return `value` with the sign of the product of the arguments."""
    return lambda a, b: value if _same_sign(a, b) else -value


# --- functions of two real numbers ----------------------------------------------------------------

_NAN_IN: list[Row] = [(NANS, ANY, NAN), (ANY, NANS, NAN)]

_QUOTIENT: list[Row] = [
    *_NAN_IN,
    (INFS, INFS, NAN),
    (ZEROS, ZEROS, NAN),
    (ZEROS, GREATER + LESS, _signed(0.0)),
    (GREATER + LESS, ZEROS, _signed(INF)),
]

BINARY: dict[str, list[Row]] = {
    "add": [
        *_NAN_IN,
        (PINF, NINF, NAN),
        (NINF, PINF, NAN),
        (PINF, PINF + FINITE, INF),
        (NINF, NINF + FINITE, -INF),
        (FINITE, PINF, INF),
        (FINITE, NINF, -INF),
        (N0, N0, -0.0),
        (N0, P0, 0.0),
        (P0, ZEROS, 0.0),
        (ZEROS, NONZERO, _second),
        (NONZERO, ZEROS, _first),
        ((3.0,), (-3.0,), 0.0),
    ],
    "subtract": [
        *_NAN_IN,
        (PINF, PINF, NAN),
        (NINF, NINF, NAN),
        (PINF, NINF + FINITE, INF),
        (NINF, PINF + FINITE, -INF),
        (N0, P0, -0.0),
        (N0, N0, 0.0),
        (P0, ZEROS, 0.0),
        ((3.0,), (3.0,), 0.0),
    ],
    "multiply": [
        *_NAN_IN,
        (INFS, ZEROS, NAN),
        (ZEROS, INFS, NAN),
        (INFS, INFS + NONZERO, _signed(INF)),
        (NONZERO, INFS, _signed(INF)),
        (ZEROS, FINITE, _signed(0.0)),
        (NONZERO, NONZERO, lambda a, b: a * b),
    ],
    "divide": [
        *_QUOTIENT,
        (INFS, NONZERO, _signed(INF)),
        (NONZERO, INFS, _signed(0.0)),
        (NONZERO, NONZERO, lambda a, b: a / b),
    ],
    # Where an operand is infinite the standard allows what Python does, and so does NumPy.
    "floor_divide": [
        *_QUOTIENT,
        (INFS, NONZERO, NAN),
        (P, PINF, 0.0),
        (N, NINF, 0.0),
        (P, NINF, -1.0),
        (N, PINF, -1.0),
        (NONZERO, NONZERO, lambda a, b: a // b),
    ],
    "remainder": [
        *_NAN_IN,
        (INFS, INFS + NONZERO, NAN),
        (NUMBERS, ZEROS, NAN),
        (ZEROS, GREATER, 0.0),
        (ZEROS, LESS, -0.0),
        (P, PINF, _first),
        (P, NINF, _second),
        (N, PINF, _second),
        (N, NINF, _first),
        (NONZERO, NONZERO, lambda a, b: a % b),
    ],
    "pow": [
        ((0.5, -1.0, 3.0, *INFS, *ZEROS), NANS, NAN),
        (ANY, ZEROS, 1.0),
        (NANS, GREATER + LESS, NAN),
        ((3.0, -3.0, *INFS), PINF, INF),
        ((3.0, -3.0, *INFS), NINF, 0.0),
        ((1.0, -1.0), INFS, 1.0),
        ((1.0,), NUMBERS, 1.0),
        ((0.5, -0.5, *ZEROS), PINF, 0.0),
        ((0.5, -0.5, *ZEROS), NINF, INF),
        (PINF, GREATER, INF),
        (PINF, LESS, 0.0),
        (NINF, (3.0, 1.0), -INF),
        (NINF, (2.0, 0.5, INF), INF),
        (NINF, (-3.0, -1.0), -0.0),
        (NINF, (-2.0, -0.5, -INF), 0.0),
        (P0, GREATER, 0.0),
        (P0, LESS, INF),
        (N0, (3.0, 1.0), -0.0),
        (N0, (2.0, 0.5, INF), 0.0),
        (N0, (-3.0, -1.0), -INF),
        (N0, (-2.0, -0.5, -INF), INF),
        (N, (0.5, -0.5, 1.5), NAN),
    ],
    "atan2": [
        *_NAN_IN,
        (GREATER, ZEROS, PI / 2),
        (LESS, ZEROS, -PI / 2),
        (P0, P0 + GREATER, 0.0),
        (P0, N0 + LESS, PI),
        (N0, P0 + GREATER, -0.0),
        (N0, N0 + LESS, -PI),
        (P, PINF, 0.0),
        (P, NINF, PI),
        (N, PINF, -0.0),
        (N, NINF, -PI),
        (PINF, FINITE, PI / 2),
        (NINF, FINITE, -PI / 2),
        (PINF, PINF, PI / 4),
        (PINF, NINF, 3 * PI / 4),
        (NINF, PINF, -PI / 4),
        (NINF, NINF, -3 * PI / 4),
    ],
    "hypot": [
        (INFS, ANY, INF),
        (ANY, INFS, INF),
        (ZEROS, FINITE, lambda a, b: abs(b)),
        (FINITE, ZEROS, lambda a, b: abs(a)),
        (FINITE + NANS, NANS, NAN),
        (NANS, FINITE, NAN),
    ],
    "logaddexp": [*_NAN_IN, (PINF, NUMBERS, INF), (NUMBERS, PINF, INF)],
    "maximum": [*_NAN_IN, (NONZERO + INFS, NUMBERS, max), (NUMBERS, NONZERO + INFS, max)],
    "minimum": [*_NAN_IN, (NONZERO + INFS, NUMBERS, min), (NUMBERS, NONZERO + INFS, min)],
    "nextafter": [*_NAN_IN, (N0, P0, 0.0), (P0, N0, -0.0)],
    "copysign": [
        (NUMBERS, N0 + LESS, lambda a, b: -abs(a)),
        (NUMBERS, P0 + GREATER, lambda a, b: abs(a)),
    ],
    "equal": [
        *((a, b, False) for a, b, _ in _NAN_IN),
        (NUMBERS, NUMBERS, lambda a, b: a == b),
        (ZEROS, ZEROS, True),
    ],
    "not_equal": [
        *((a, b, True) for a, b, _ in _NAN_IN),
        (NUMBERS, NUMBERS, lambda a, b: a != b),
        (ZEROS, ZEROS, False),
    ],
}

# --- functions of one complex number --------------------------------------------------------------

_LATE = (0.5, 2.0)  # positive and finite, with a cosine and a sine that are not 0
_NAN_ALL = (NAN, NAN)


def _cis(scale: float) -> Callable[[float, float], tuple[float, float]]:
    """Return ``scale * (cos b + j sin b)``."""
    return lambda a, b: (scale * math.cos(b), scale * math.sin(b))


_LOGARITHMS: list[Row] = [
    (FINITE, PINF, (INF, PI / 2)),
    (FINITE, NANS, _NAN_ALL),
    (NINF, P, (INF, PI)),
    (PINF, P, (INF, 0.0)),
    (NINF, PINF, (INF, 3 * PI / 4)),
    (PINF, PINF, (INF, PI / 4)),
    (INFS, NANS, (INF, NAN)),
    (NANS, FINITE, _NAN_ALL),
    (NANS, PINF, (INF, NAN)),
    (NANS, NANS, _NAN_ALL),
]

COMPLEX: dict[str, list[Row]] = {
    "acos": [
        (ZEROS, P0, (PI / 2, -0.0)),
        (ZEROS, NANS, (PI / 2, NAN)),
        (FINITE, PINF, (PI / 2, -INF)),
        (NONZERO, NANS, _NAN_ALL),
        (NINF, P, (PI, -INF)),
        (PINF, P, (0.0, -INF)),
        (NINF, PINF, (3 * PI / 4, -INF)),
        (PINF, PINF, (PI / 4, -INF)),
        (INFS, NANS, (NAN, Unsigned(INF))),
        (NANS, FINITE, _NAN_ALL),
        (NANS, PINF, (NAN, -INF)),
        (NANS, NANS, _NAN_ALL),
    ],
    "acosh": [
        (ZEROS, P0, (0.0, PI / 2)),
        (FINITE, PINF, (INF, PI / 2)),
        (NONZERO, NANS, _NAN_ALL),
        (P0, NANS, (NAN, Unsigned(PI / 2))),
        (NINF, P, (INF, PI)),
        (PINF, P, (INF, 0.0)),
        (NINF, PINF, (INF, 3 * PI / 4)),
        (PINF, PINF, (INF, PI / 4)),
        (INFS, NANS, (INF, NAN)),
        (NANS, FINITE, _NAN_ALL),
        (NANS, PINF, (INF, NAN)),
        (NANS, NANS, _NAN_ALL),
    ],
    "asinh": [
        (P0, P0, (0.0, 0.0)),
        (P, PINF, (INF, PI / 2)),
        (FINITE, NANS, _NAN_ALL),
        (PINF, P, (INF, 0.0)),
        (PINF, PINF, (INF, PI / 4)),
        (NANS, P0, (NAN, 0.0)),
        (NANS, NONZERO, _NAN_ALL),
        (NANS, PINF, (Unsigned(INF), NAN)),
        (NANS, NANS, _NAN_ALL),
    ],
    "atanh": [
        (P0, P0, (0.0, 0.0)),
        (P0, NANS, (0.0, NAN)),
        ((1.0,), P0, (INF, 0.0)),
        (P, PINF, (0.0, PI / 2)),
        (NONZERO, NANS, _NAN_ALL),
        (PINF, P + PINF, (0.0, PI / 2)),
        (PINF, NANS, (0.0, NAN)),
        (NANS, FINITE, _NAN_ALL),
        (NANS, PINF, (Unsigned(0.0), PI / 2)),
        (NANS, NANS, _NAN_ALL),
    ],
    "cosh": [
        (P0, P0, (1.0, 0.0)),
        (P0, PINF, (NAN, Unsigned(0.0))),
        (P0, NANS, (NAN, Unsigned(0.0))),
        (NONZERO, PINF + NANS, _NAN_ALL),
        (PINF, P0, (INF, 0.0)),
        (PINF, _LATE, _cis(INF)),
        (PINF, PINF, (Unsigned(INF), NAN)),
        (PINF, NANS, (INF, NAN)),
        (NANS, ZEROS, (NAN, Unsigned(0.0))),
        (NANS, NONZERO + NANS, _NAN_ALL),
    ],
    "exp": [
        (ZEROS, P0, (1.0, 0.0)),
        (FINITE, PINF + NANS, _NAN_ALL),
        (PINF, P0, (INF, 0.0)),
        (NINF, _LATE, _cis(0.0)),
        (PINF, _LATE, _cis(INF)),
        (NINF, PINF + NANS, (Unsigned(0.0), Unsigned(0.0))),
        (PINF, PINF + NANS, (Unsigned(INF), NAN)),
        (NANS, P0, (NAN, 0.0)),
        (NANS, NONZERO + INFS + NANS, _NAN_ALL),
    ],
    "expm1": [
        (ZEROS, P0, (Unsigned(0.0), 0.0)),
        (FINITE, PINF + NANS, _NAN_ALL),
        (PINF, P0, (INF, 0.0)),
        (NINF, _LATE, (-1.0, 0.0)),
        (PINF, _LATE, _cis(INF)),
        (NINF, PINF + NANS, (-1.0, Unsigned(0.0))),
        (PINF, PINF + NANS, (Unsigned(INF), NAN)),
        (NANS, P0, (NAN, 0.0)),
        (NANS, NONZERO + INFS + NANS, _NAN_ALL),
    ],
    "log": [(N0, P0, (-INF, PI)), (P0, P0, (-INF, 0.0)), *_LOGARITHMS],
    "log1p": [((-1.0,), P0, (-INF, 0.0)), *_LOGARITHMS],
    "sinh": [
        (P0, P0, (0.0, 0.0)),
        (P0, PINF + NANS, (Unsigned(0.0), NAN)),
        (P, PINF + NANS, _NAN_ALL),
        (PINF, P0, (INF, 0.0)),
        (PINF, _LATE, _cis(INF)),
        (PINF, PINF + NANS, (Unsigned(INF), NAN)),
        (NANS, P0, (NAN, 0.0)),
        (NANS, NONZERO + NANS, _NAN_ALL),
    ],
    # The rows of an infinite real part are C99's: the text of 2024.12 garbles them.
    "sqrt": [
        (ZEROS, P0, (0.0, 0.0)),
        (ANY, PINF, (INF, INF)),
        (FINITE, NANS, _NAN_ALL),
        (NINF, P, (0.0, INF)),
        (PINF, P, (INF, 0.0)),
        (NINF, NANS, (NAN, Unsigned(INF))),
        (PINF, NANS, (INF, NAN)),
        (NANS, FINITE + NANS, _NAN_ALL),
    ],
    # Older C libraries give NaN + NaN j for 0 + inf j and 0 + NaN j, which the standard allows.
    "tanh": [
        (P0, P0, (0.0, 0.0)),
        (NONZERO, PINF + NANS, _NAN_ALL),
        (PINF, P, (1.0, Unsigned(0.0))),
        (PINF, PINF + NANS, (1.0, Unsigned(0.0))),
        (NANS, P0, (NAN, 0.0)),
        (NANS, NONZERO + NANS, _NAN_ALL),
    ],
}

ROTATED: dict[str, str] = {"asin": "asinh", "atan": "atanh", "sin": "sinh", "tan": "tanh"}
"""Complex functions f with ``f(x) = -1j * g(1j * x)``, and g; ``cos(x) = cosh(1j * x)``."""
