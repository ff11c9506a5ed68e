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
)

logical_or = binary(
    "logical_or",
    "{0} | {1}",
    ufunc=np.logical_or,
    rule=_truth,
    dtype="bool",
    doc="Tell where one or both elements are true.",
)

logical_xor = binary(
    "logical_xor",
    "{0} ^ {1}",
    ufunc=np.logical_xor,
    rule=_truth,
    dtype="bool",
    doc="Tell where exactly one of two elements is true.",
)

logical_not = unary(
    "logical_not",
    "not_({0})",
    ufunc=np.logical_not,
    rule=_truth,
    dtype="bool",
    doc="Tell where elements are false.",
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
)

bitwise_or = binary(
    "bitwise_or",
    "{0} | {1}",
    ufunc=np.bitwise_or,
    operator="__or__",
    dtype="int32",
    hint=_INTEGERS,
    doc="Bitwise or.",
)

bitwise_xor = binary(
    "bitwise_xor",
    "{0} ^ {1}",
    ufunc=np.bitwise_xor,
    operator="__xor__",
    dtype="int32",
    hint=_INTEGERS,
    doc="Bitwise exclusive or.",
)

bitwise_invert = unary(
    "bitwise_invert",
    "not_({0})",
    ufunc=np.invert,
    operator="__invert__",
    dtype="int32",
    hint=_INTEGERS,
    doc="Flip every bit; for booleans, logical not.",
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
)
right_shift = bitwise_right_shift
