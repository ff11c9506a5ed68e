"""Arithmetic: the operators of numbers, powers and products, signs."""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np

from hybrid.core.op import OPS
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops.elementwise.complex_parts import conj, real
from hybrid.ops.elementwise.declare import (
    PIECEWISE,
    UFUNCS,
    Binary,
    DTypeRule,
    Key,
    Loop,
    Unary,
    binary,
    elementwise,
    loops_of,
    unary,
)
from hybrid.ops.elementwise.operands import SCALARS
from hybrid.ops.elementwise.operators import attach_divmod, reroute_power, variant
from hybrid.ops.elementwise.selection import where

_SMOOTH = (0.5, 2.0)

# --- sums and products ----------------------------------------------------------------------------

add = binary(
    "add",
    "{0} + {1}",
    lambda g, out, x, y: g,
    lambda g, out, x, y: g,
    ufunc=np.add,
    operator="__add__",
    doc="Add two arrays element by element.",
    example="""
>>> add([1.0, 2.0], [[10.0], [20.0]])
Tensor([[11., 12.],
        [21., 22.]], dtype=float32)
""",
)

subtract = binary(
    "subtract",
    "{0} - {1}",
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g,
    ufunc=np.subtract,
    operator="__sub__",
    hint="use x ^ y or logical_xor for booleans",
    doc="Subtract the second array from the first.",
    example="""
>>> subtract([5.0, 7.0], [1.0, 2.0])
Tensor([4., 5.], dtype=float32)
""",
)

multiply = binary(
    "multiply",
    "{0} * {1}",
    lambda g, out, x, y: g * y,
    lambda g, out, x, y: g * x,
    ufunc=np.multiply,
    operator="__mul__",
    doc="Multiply two arrays element by element.",
    example="""
>>> multiply([1.0, 2.0], [3.0, 4.0])
Tensor([3., 8.], dtype=float32)
""",
)

divide = binary(
    "divide",
    "{0} / {1}",
    lambda g, out, x, y: g / y,
    lambda g, out, x, y: -(g / y) * out,
    ufunc=np.divide,
    operator="__truediv__",
    domain=_SMOOTH,
    doc="Divide the first array by the second; integers give floating-point results.",
    example="""
>>> divide([1, 2], 4)
Tensor([0.25, 0.5 ], dtype=float64)
""",
)
true_divide = divide

floor_divide = binary(
    "floor_divide",
    "floor_divide({0}, {1})",
    ufunc=np.floor_divide,
    operator="__floordiv__",
    no_gradient=PIECEWISE,
    domain=_SMOOTH,
    doc="Divide and round towards minus infinity; an integer divided by zero gives 0.",
    example="""
>>> floor_divide([7, -7], 2)
Tensor([ 3, -4], dtype=int64)
""",
)

remainder = binary(
    "remainder",
    "remainder({0}, {1})",
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g * (x // y),
    ufunc=np.remainder,
    operator="__mod__",
    domain=_SMOOTH,
    doc="What floor_divide leaves over; it has the sign of the divisor.",
    example="""
>>> remainder([5, -5], 3)
Tensor([2, 1], dtype=int64)
""",
)
mod = remainder

# --- signs ----------------------------------------------------------------------------------------

negative = unary(
    "negative",
    "-{0}",
    lambda g, out, x: -g,
    ufunc=np.negative,
    operator="__neg__",
    hint="use ~x or logical_not for booleans",
    doc="Change the sign.",
    example="""
>>> negative([1.0, -2.0])
Tensor([-1.,  2.], dtype=float32)
""",
)

positive = unary(
    "positive",
    "{0}",
    lambda g, out, x: g,
    ufunc=np.positive,
    operator="__pos__",
    doc="Return a copy.",
    example="""
>>> positive([1.0, -2.0])
Tensor([ 1., -2.], dtype=float32)
""",
)


def _conj(x: Tensor) -> Tensor:
    return conj(x) if x.dtype.kind == "c" else x


abs = unary(
    "abs",
    "abs({0})",
    lambda g, out, x: g * _conj(sign(x)),
    ufunc=np.absolute,
    operator="__abs__",
    doc="Absolute value.",
    notes="The gradient at 0 is 0.",
    example="""
>>> abs([-1.5, 2.0])
Tensor([1.5, 2. ], dtype=float32)
""",
)
absolute = abs


def _vjp_sign(g: Tensor, out: Tensor, x: Tensor) -> Tensor | None:
    if x.dtype.kind != "c":
        return None  # it does not change where it has a derivative
    size = abs(x)
    return (g - real(g * out) * conj(out)) / where(size == 0, math.inf, size)


sign: Unary = unary(
    "sign",
    "sign({0})",
    _vjp_sign,
    ufunc=np.sign,
    doc="-1, 0 or 1 by the sign, NaN for NaN; for complex numbers ``x / abs(x)``.",
    notes="The gradient of real numbers is 0, and that at 0.",
    example="""
>>> sign([-2.0, 0.0, 3.0])
Tensor([-1.,  0.,  1.], dtype=float32)
""",
)

copysign: Binary = binary(
    "copysign",
    "copysign({0}, {1})",
    lambda g, out, x, y: g * (copysign(1.0, x) * copysign(1.0, y)),
    None,
    ufunc=np.copysign,
    doc="The size of the first array with the sign of the second.",
    example="""
>>> copysign([1.0, 2.0], [-0.0, 3.0])
Tensor([-1.,  2.], dtype=float32)
""",
)

nextafter = binary(
    "nextafter",
    None,
    lambda g, out, x, y: g,
    None,
    ufunc=np.nextafter,
    # NumPy's float16 stays at the zero it is at, whatever the sign of the other.
    mend=("e", lambda xp, out, x, y: xp.where(x == y, xp.asarray(y, dtype=out.dtype), out)),
    doc="The next number that can be represented after the first one, towards the second.",
    notes="The gradient by the first array is 1, as of a step that is infinitely small.",
    example="""
>>> nextafter([1.0], 2.0) - 1
Tensor([1.1920929e-07], dtype=float32)
""",
)

# --- powers ---------------------------------------------------------------------------------------

square = unary(
    "square",
    "{0} * {0}",
    lambda g, out, x: g * (2 * x),
    ufunc=np.square,
    doc="The product of each element with itself.",
    example="""
>>> square([-2.0, 3.0])
Tensor([4., 9.], dtype=float32)
""",
)


def _only(kinds: str, ufunc: np.ufunc) -> DTypeRule:
    """Return the dtype rule of `ufunc`, restricted to dtypes of some kinds."""
    general = loops_of(ufunc)

    def rule(*keys: Key) -> Loop:
        if any(np.dtype(key).kind not in kinds for key in keys):
            raise TypeError
        return general(*keys)

    return rule


reciprocal = unary(
    "reciprocal",
    "reciprocal({0})",
    lambda g, out, x: -g * square(out),
    ufunc=np.reciprocal,
    rule=_only("fcV", np.reciprocal),  # no kernel divides integers: they have an op of their own
    domain=_SMOOTH,
    doc="1 divided by each element; integers are rounded towards zero.",
    example="""
>>> reciprocal([2.0, 4.0])
Tensor([0.5 , 0.25], dtype=float32)
""",
)

sqrt = unary(
    "sqrt",
    "sqrt({0})",
    lambda g, out, x: g * 0.5 / out,
    ufunc=np.sqrt,
    domain=_SMOOTH,
    doc="Square root; NaN for negative numbers.",
    example="""
>>> sqrt([4.0, 6.25])
Tensor([2. , 2.5], dtype=float32)
""",
)

rsqrt = unary(
    "rsqrt",
    "rsqrt({0})",
    lambda g, out, x: g * -0.5 * out / x,
    eager=lambda xp, x: xp.reciprocal(xp.sqrt(x)),
    rule=loops_of(np.sqrt),
    domain=_SMOOTH,
    doc="1 divided by the square root.",
    example="""
>>> rsqrt([1.0, 4.0])
Tensor([1. , 0.5], dtype=float32)
""",
)

cbrt = unary(
    "cbrt",
    "cbrt({0})",
    lambda g, out, x: g / (3 * square(out)),
    ufunc=np.cbrt,
    domain=_SMOOTH,
    doc="Cube root, negative for negative numbers.",
    example="""
>>> cbrt([0.0, 8.0])
Tensor([0., 2.], dtype=float32)
""",
)

hypot = binary(
    "hypot",
    "hypot({0}, {1})",
    lambda g, out, x, y: g * (x / where(out == 0, math.inf, out)),
    lambda g, out, x, y: g * (y / where(out == 0, math.inf, out)),
    ufunc=np.hypot,
    doc="``sqrt(x * x + y * y)`` without overflow in between.",
    notes="The gradients at the origin are 0, of any order.",
    example="""
>>> hypot(3.0, 4.0)
Tensor(5., dtype=float32)
""",
)


def _power_by_base(g: Tensor, out: Tensor, x: Any, y: Any) -> Tensor | None:
    """``y x^(y-1)``, and 0 for y = 0, also where x is 0."""
    if type(y) in SCALARS:
        if y == 0:
            return None
        slope: Tensor = 2 * x if y == 2 else y * x ** (y - 1)
        return g * slope
    return g * where(y == 0, 0, y * x ** where(y == 0, 1, y - 1))


def _power_by_exponent(g: Tensor, out: Tensor, x: Any, y: Any) -> Tensor | None:
    """``x^y log x``; 0 where a real x is not positive: there out is 0, or y is an integer."""
    from hybrid.ops.elementwise.exponential import log

    if out.dtype.kind == "c":  # where only 0 has no logarithm
        if type(x) in SCALARS:
            return g * out * cmath.log(x) if x != 0 else None
        wide = x.astype(out.dtype, copy=False)
        return g * out * log(where(wide != 0, wide, 1))
    if type(x) in SCALARS:
        return g * out * math.log(x) if x > 0 else None
    return g * out * log(where(x > 0, x, 1))


pow = binary(
    "pow",
    "pow({0}, {1})",
    _power_by_base,
    _power_by_exponent,
    ufunc=np.power,
    operator="__pow__",
    domain=_SMOOTH,
    doc="Raise the first array to the power of the second.",
    notes="""
Integers to negative integer powers raise ValueError. The gradient by the exponent is 0 where a
real base is not positive, and a complex one 0. ``x ** 2``, ``x ** 0.5`` and ``x ** -1`` are
computed by square, sqrt and reciprocal, as in NumPy.
""",
    example="""
>>> pow([1, 2, 3], 2)
Tensor([1, 4, 9], dtype=int64)
""",
)
power = pow


def divmod(x: ArrayLike, y: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """Return ``floor_divide(x, y)`` and ``remainder(x, y)``.

    Parameters
    ----------
    x, y : array-like
        Of shapes that broadcast.

    Returns
    -------
    tuple of Tensor

    Examples
    --------
    >>> divmod([5, -5], 3)
    (Tensor([ 1, -2], dtype=int64), Tensor([2, 1], dtype=int64))
    """
    return floor_divide(x, y), remainder(x, y)


# --- integers and booleans ------------------------------------------------------------------------


# The sum of booleans is `or`, not the sum of two bits; their product is `and` as it stands.
_any = elementwise(
    "add_boolean",
    lambda xp, x, y: xp.add(x, y),
    _only("b", np.add),
    scalar="{0} | {1}",
    vjp=(None, None),
    doc="The sum of booleans: whether one of them is true.",
    examples=(),
    no_gradient="its inputs are booleans",
)
variant(OPS["add"], "b", _any)

# These raise or divide by the rules of integers, which the scalar expressions do not know.
_integer_power = elementwise(
    "integer_pow",
    lambda xp, x, y: xp.power(x, y),
    _only("biu", np.power),
    scalar=None,
    vjp=(None, None),
    raises=True,
    doc="Integers to integer powers; negative exponents raise ValueError.",
    examples=(),
    no_gradient="its inputs are integers",
)
variant(OPS["pow"], "i", _integer_power)

_integer_reciprocal = elementwise(
    "integer_reciprocal",
    lambda xp, x: xp.reciprocal(x),
    _only("biu", np.reciprocal),
    scalar=None,
    vjp=(None,),
    doc="1 divided by integers, rounded towards zero.",
    examples=(),
    no_gradient="its inputs are integers",
)
variant(OPS["reciprocal"], "i", _integer_reciprocal)

attach_divmod(divmod)
reroute_power(OPS["pow"], {2: square, 0.5: sqrt, -1: reciprocal})
UFUNCS[np.divmod] = divmod
