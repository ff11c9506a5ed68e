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
    example="""
>>> not_equal([1, 2, 3], 2)
Tensor([ True, False,  True], dtype=bool)
""",
)

less = binary(
    "less",
    "{0} < {1}",
    ufunc=np.less,
    operator="__lt__",
    doc="Tell where the first array is smaller.",
    example="""
>>> less([1, 2, 3], 2)
Tensor([ True, False, False], dtype=bool)
""",
)

less_equal = binary(
    "less_equal",
    "{0} <= {1}",
    ufunc=np.less_equal,
    operator="__le__",
    doc="Tell where the first array is smaller or equal.",
    example="""
>>> less_equal([1, 2, 3], 2)
Tensor([ True,  True, False], dtype=bool)
""",
)

greater = binary(
    "greater",
    "{0} > {1}",
    ufunc=np.greater,
    operator="__gt__",
    doc="Tell where the first array is larger.",
    example="""
>>> greater([1, 2, 3], 2)
Tensor([False, False,  True], dtype=bool)
""",
)

greater_equal = binary(
    "greater_equal",
    "{0} >= {1}",
    ufunc=np.greater_equal,
    operator="__ge__",
    doc="Tell where the first array is larger or equal.",
    example="""
>>> greater_equal([1, 2, 3], 2)
Tensor([False,  True,  True], dtype=bool)
""",
)

isnan = unary(
    "isnan",
    "isnan({0})",
    ufunc=np.isnan,
    doc="Tell where elements are NaN.",
    example="""
>>> isnan([1.0, float("inf"), float("nan")])
Tensor([False, False,  True], dtype=bool)
""",
)

isinf = unary(
    "isinf",
    "isinf({0})",
    ufunc=np.isinf,
    doc="Tell where elements are infinite.",
    example="""
>>> isinf([1.0, float("inf"), float("nan")])
Tensor([False,  True, False], dtype=bool)
""",
)

isfinite = unary(
    "isfinite",
    "isfinite({0})",
    ufunc=np.isfinite,
    doc="Tell where elements are neither infinite nor NaN.",
    example="""
>>> isfinite([1.0, float("inf"), float("nan")])
Tensor([ True, False, False], dtype=bool)
""",
)

signbit = unary(
    "signbit",
    "copysign(1, {0}) < 0",
    ufunc=np.signbit,
    doc="Tell where the sign bit is set; -0.0 has it.",
    example="""
>>> signbit([-0.0, 0.0, -1.0])
Tensor([ True, False,  True], dtype=bool)
""",
)
