"""Elementwise ops: each is one declaration in the module of its family."""

from __future__ import annotations

from hybrid.ops._methods import attach, attach_properties
from hybrid.ops.elementwise.activation import gelu, leaky_relu, relu, sigmoid, silu, softplus
from hybrid.ops.elementwise.arithmetic import (
    abs,
    absolute,
    add,
    cbrt,
    copysign,
    divide,
    divmod,
    floor_divide,
    hypot,
    mod,
    multiply,
    negative,
    positive,
    pow,
    power,
    reciprocal,
    remainder,
    rsqrt,
    sign,
    sqrt,
    square,
    subtract,
    true_divide,
)
from hybrid.ops.elementwise.casting import astype, conj, conjugate, imag, real, stop_gradient
from hybrid.ops.elementwise.comparison import (
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    not_equal,
    signbit,
)
from hybrid.ops.elementwise.exponential import (
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
)
from hybrid.ops.elementwise.logical import (
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    invert,
    left_shift,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    right_shift,
)
from hybrid.ops.elementwise.rounding import around, ceil, fix, floor, rint, round, trunc
from hybrid.ops.elementwise.selection import clip, maximum, minimum, where
from hybrid.ops.elementwise.trigonometric import (
    acos,
    acosh,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    sin,
    sinh,
    tan,
    tanh,
)

attach(astype=astype, clip=clip, round=round, conj=conj, conjugate=conj)
attach_properties(real=real, imag=imag)
