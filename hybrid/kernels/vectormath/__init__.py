"""Vector math: a function of float32 and one of float64 for every name in ``NAMES``.

Each is within 4 units in the last place of the correctly rounded result over its whole range,
special values included, and has no branch: inlined into a loop, LLVM turns it into vector code
by itself. (The usual wheels of numba have no vector math library, so that ``math.exp`` and its
kin are scalar calls there.) They are written with intrinsics and operators on ``Scalar``, and
with the functions of ``wide`` where the processor has AVX-512; their bits are the same without.
"""

from __future__ import annotations

import functools
from typing import Any

from hybrid.kernels.scalar import straight_line
from hybrid.kernels.vectormath import (
    exponentials_f32,
    exponentials_f64,
    f32,
    f64,
    logarithms_f32,
    logarithms_f64,
    powers_f32,
    powers_f64,
)

NAMES = (
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "hypot",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "pow",
    "rsqrt",
    "sigmoid",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
)

_MODULES = {
    "float32": (f32, exponentials_f32, logarithms_f32, powers_f32),
    "float64": (f64, exponentials_f64, logarithms_f64, powers_f64),
}


@functools.cache
def function(name: str, dtype: str) -> Any:
    """The function of that name for kernels, an intrinsic; dtype is float32 or float64."""
    symbol = f"{name}_f{dtype[-2:]}"
    written = next(getattr(m, symbol) for m in _MODULES[dtype] if hasattr(m, symbol))
    return straight_line(written, name, dtype)
