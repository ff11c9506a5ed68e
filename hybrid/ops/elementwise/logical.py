"""Logical ops, which ask whether elements are 0, and bitwise ops."""

from __future__ import annotations

import numpy as np

from hybrid import dtypes
from hybrid.ops.elementwise.declare import Key, Loop, binary, unary


def _truth(*keys: Key) -> Loop:
    """Cast to bool first: the scalar expressions work on single bits."""
    return (dtypes.bool_,) * (len(keys) + 1)


logical_and = binary(
    "logical_and",
    "{0} & {1}",
    ufunc=np.logical_and,
    rule=_truth,
    dtype="bool",
    doc="Tell where both elements are true.",
    example="""
>>> logical_and([True, True, False], [True, False, False])
Tensor([ True, False, False], dtype=bool)
""",
)

logical_or = binary(
    "logical_or",
    "{0} | {1}",
    ufunc=np.logical_or,
    rule=_truth,
    dtype="bool",
    doc="Tell where one or both elements are true.",
    example="""
>>> logical_or([True, True, False], [True, False, False])
Tensor([ True,  True, False], dtype=bool)
""",
)

logical_xor = binary(
    "logical_xor",
    "{0} ^ {1}",
    ufunc=np.logical_xor,
    rule=_truth,
    dtype="bool",
    doc="Tell where exactly one of two elements is true.",
    example="""
>>> logical_xor([True, True, False], [True, False, False])
Tensor([False,  True, False], dtype=bool)
""",
)

logical_not = unary(
    "logical_not",
    "not_({0})",
    ufunc=np.logical_not,
    rule=_truth,
    dtype="bool",
    doc="Tell where elements are false.",
    example="""
>>> logical_not([True, False])
Tensor([False,  True], dtype=bool)
""",
)

_INTEGERS = "bitwise operations need integers or booleans: convert with astype first"

bitwise_and = binary(
    "bitwise_and",
    "{0} & {1}",
    ufunc=np.bitwise_and,
    operator="__and__",
    dtype="int32",
    hint=_INTEGERS,
    doc="Bitwise and.",
    example="""
>>> bitwise_and(6, 3)
Tensor(2, dtype=int64)
""",
)

bitwise_or = binary(
    "bitwise_or",
    "{0} | {1}",
    ufunc=np.bitwise_or,
    operator="__or__",
    dtype="int32",
    hint=_INTEGERS,
    doc="Bitwise or.",
    example="""
>>> bitwise_or(6, 3)
Tensor(7, dtype=int64)
""",
)

bitwise_xor = binary(
    "bitwise_xor",
    "{0} ^ {1}",
    ufunc=np.bitwise_xor,
    operator="__xor__",
    dtype="int32",
    hint=_INTEGERS,
    doc="Bitwise exclusive or.",
    example="""
>>> bitwise_xor(6, 3)
Tensor(5, dtype=int64)
""",
)

bitwise_invert = unary(
    "bitwise_invert",
    "not_({0})",
    ufunc=np.invert,
    operator="__invert__",
    dtype="int32",
    hint=_INTEGERS,
    doc="Flip every bit; for booleans, logical not.",
    example="""
>>> bitwise_invert([0, 1])
Tensor([-1, -2], dtype=int64)
""",
)
invert = bitwise_not = bitwise_invert

bitwise_left_shift = binary(
    "bitwise_left_shift",
    "left_shift({0}, {1})",
    ufunc=np.left_shift,
    operator="__lshift__",
    dtype="uint8",
    hint=_INTEGERS,
    doc="Shift bits to the left; a shift by the width or more gives 0.",
    example="""
>>> bitwise_left_shift([1, 2], 3)
Tensor([ 8, 16], dtype=int64)
""",
)
left_shift = bitwise_left_shift

bitwise_right_shift = binary(
    "bitwise_right_shift",
    "right_shift({0}, {1})",
    ufunc=np.right_shift,
    operator="__rshift__",
    dtype="uint8",
    hint=_INTEGERS,
    doc="Shift bits to the right, keeping the sign.",
    example="""
>>> bitwise_right_shift([8, 17], 3)
Tensor([1, 2], dtype=int64)
""",
)
right_shift = bitwise_right_shift
