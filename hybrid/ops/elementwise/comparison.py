"""Comparisons, and tests of single values."""

from __future__ import annotations

import numpy as np

from hybrid.ops.elementwise.declare import binary, unary

equal = binary(
    "equal",
    "{0} == {1}",
    ufunc=np.equal,
    operator="__eq__",
    doc="Tell where two arrays are equal.",
    example="""
>>> equal([1, 2, 3], [1, 5, 3])
Tensor([ True, False,  True], dtype=bool)
""",
)

not_equal = binary(
    "not_equal",
    "{0} != {1}",
    ufunc=np.not_equal,
    operator="__ne__",
    doc="Tell where two arrays differ.",
)

less = binary(
    "less",
    "{0} < {1}",
    ufunc=np.less,
    operator="__lt__",
    doc="Tell where the first array is smaller.",
)

less_equal = binary(
    "less_equal",
    "{0} <= {1}",
    ufunc=np.less_equal,
    operator="__le__",
    doc="Tell where the first array is smaller or equal.",
)

greater = binary(
    "greater",
    "{0} > {1}",
    ufunc=np.greater,
    operator="__gt__",
    doc="Tell where the first array is larger.",
)

greater_equal = binary(
    "greater_equal",
    "{0} >= {1}",
    ufunc=np.greater_equal,
    operator="__ge__",
    doc="Tell where the first array is larger or equal.",
)

isnan = unary("isnan", "isnan({0})", ufunc=np.isnan, doc="Tell where elements are NaN.")

isinf = unary("isinf", "isinf({0})", ufunc=np.isinf, doc="Tell where elements are infinite.")

isfinite = unary(
    "isfinite",
    "isfinite({0})",
    ufunc=np.isfinite,
    doc="Tell where elements are neither infinite nor NaN.",
)

signbit = unary(
    "signbit",
    "copysign(1, {0}) < 0",
    ufunc=np.signbit,
    doc="Tell where the sign bit is set; -0.0 has it.",
)
