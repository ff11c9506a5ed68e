"""The rest of NumPy's ufuncs: angles, what ignores NaN, number theory, the parts of floats."""

from __future__ import annotations

import numpy as np

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.op import Example
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops.elementwise.arithmetic import copysign, pow, sign
from hybrid.ops.elementwise.comparison import isinf, isnan
from hybrid.ops.elementwise.declare import (
    INTEGER,
    PIECEWISE,
    REAL,
    UFUNCS,
    Unary,
    binary,
    elementwise,
    loops_of,
    unary,
)
from hybrid.ops.elementwise.exponential import exp2
from hybrid.ops.elementwise.operands import strong
from hybrid.ops.elementwise.operators import binary_call
from hybrid.ops.elementwise.rounding import trunc
from hybrid.ops.elementwise.selection import where

# --- angles ---------------------------------------------------------------------------------------

deg2rad: Unary = unary(
    "deg2rad",
    "{0} * 0.017453292519943295",
    lambda g, out, x: deg2rad(g),
    ufunc=np.deg2rad,
    doc="Degrees as radians.",
    example="""
>>> deg2rad([0.0, 180.0])
Tensor([0.       , 3.1415927], dtype=float32)
""",
)
radians = deg2rad
UFUNCS[np.radians] = radians

rad2deg: Unary = unary(
    "rad2deg",
    "{0} * 57.29577951308232",
    lambda g, out, x: rad2deg(g),
    ufunc=np.rad2deg,
    doc="Radians as degrees.",
    example="""
>>> rad2deg([0.0, 3.1415927])
Tensor([  0., 180.], dtype=float32)
""",
)
degrees = rad2deg
UFUNCS[np.degrees] = degrees

# --- real numbers ---------------------------------------------------------------------------------

fabs = unary(
    "fabs",
    "abs({0})",
    lambda g, out, x: g * sign(x),
    ufunc=np.fabs,
    doc="Absolute value of real numbers, always floating-point.",
    example="""
>>> fabs([-1.5, 2.0])
Tensor([1.5, 2. ], dtype=float32)
""",
)


def _winner(g: Tensor, wins: Tensor, ties: Tensor) -> Tensor:
    return where(wins, g, where(ties, g * 0.5, 0))


fmax = binary(
    "fmax",
    None,
    lambda g, out, x, y: _winner(g, (x > y) | isnan(y), x == y),
    lambda g, out, x, y: _winner(g, (y > x) | isnan(x), x == y),
    ufunc=np.fmax,
    doc="The larger of two elements; the other one where one of them is NaN.",
    example="""
>>> fmax([1.0, float("nan")], 2.0)
Tensor([2., 2.], dtype=float32)
""",
)

fmin = binary(
    "fmin",
    None,
    lambda g, out, x, y: _winner(g, (x < y) | isnan(y), x == y),
    lambda g, out, x, y: _winner(g, (y < x) | isnan(x), x == y),
    ufunc=np.fmin,
    doc="The smaller of two elements; the other one where one of them is NaN.",
    example="""
>>> fmin([1.0, float("nan")], 2.0)
Tensor([1., 2.], dtype=float32)
""",
)

fmod = binary(
    "fmod",
    None,
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g * trunc(x / y),
    ufunc=np.fmod,
    domain=(0.5, 2.0),
    doc="What a division rounded toward zero leaves over; it has the sign of the dividend.",
    example="""
>>> fmod([7.0, -7.0], 3.0)
Tensor([ 1., -1.], dtype=float32)
""",
)

heaviside = binary(
    "heaviside",
    None,
    None,
    lambda g, out, x, y: where(x == 0, g, 0),
    ufunc=np.heaviside,
    doc="0 where `x` is negative, 1 where it is positive, `y` where it is zero.",
    example="""
>>> heaviside([-1.0, 0.0, 1.0], 0.5)
Tensor([0. , 0.5, 1. ], dtype=float32)
""",
)

logaddexp2 = binary(
    "logaddexp2",
    None,
    lambda g, out, x, y: g * exp2(x - out),
    lambda g, out, x, y: g * exp2(y - out),
    ufunc=np.logaddexp2,
    doc="``log2(2**x + 2**y)`` without overflow.",
    example="""
>>> logaddexp2([0.0, 1000.0], 0.0)
Tensor([   1., 1000.], dtype=float32)
""",
)


def float_power(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Return ``x ** y`` in double precision, whatever the dtypes of `x` and `y`.

    Parameters
    ----------
    x, y : array-like
        Of shapes that broadcast.

    Returns
    -------
    Tensor
        Of dtype float64, or complex128.

    Examples
    --------
    >>> float_power([2, 4], -1)
    Tensor([0.5 , 0.25], dtype=float64)
    """
    return pow(_double(x), _double(y))


def _double(x: ArrayLike) -> Tensor:
    (tensor,) = strong(x)
    wide = dtypes.complex128 if tensor.dtype.kind == "c" else dtypes.float64
    return asarray(tensor).astype(wide, copy=False)


UFUNCS[np.float_power] = float_power

# --- integers -------------------------------------------------------------------------------------

gcd = binary(
    "gcd",
    None,
    ufunc=np.gcd,
    dtype="int32",
    no_gradient=INTEGER,
    doc="The greatest common divisor.",
    example="""
>>> gcd([12, 18], 8)
Tensor([4, 2], dtype=int64)
""",
)

lcm = binary(
    "lcm",
    None,
    ufunc=np.lcm,
    dtype="int32",
    no_gradient=INTEGER,
    doc="The least common multiple.",
    example="""
>>> lcm([4, 6], 6)
Tensor([12,  6], dtype=int64)
""",
)

bitwise_count = unary(
    "bitwise_count",
    None,
    ufunc=np.bitwise_count,
    dtype="int32",
    no_gradient=INTEGER,
    doc="How many bits of the absolute value are 1.",
    example="""
>>> bitwise_count([0, 7, -8])
Tensor([0, 3, 1], dtype=uint8)
""",
)

# --- the parts of floats --------------------------------------------------------------------------

spacing = unary(
    "spacing",
    None,
    ufunc=np.spacing,
    no_gradient=PIECEWISE,
    doc="The distance to the next number away from zero.",
    example="""
>>> spacing([1.0, 1000.0])
Tensor([1.1920929e-07, 6.1035156e-05], dtype=float32)
""",
)

_LDEXP = elementwise(
    "ldexp",
    np.ldexp,
    loops_of(np.ldexp),
    scalar=None,
    vjp=(lambda g, out, x, n: ldexp(g, n), None),
    doc="``x * 2**n`` for integers `n`.",
    examples=(
        Example(((2, 3), (2, 3)), dtypes=("float32", "int32")),
        Example(((2, 1), (3,)), dtypes=("float64", "int64")),
    ),
)
_ldexp = binary_call(_LDEXP, np.ldexp)


def ldexp(x: ArrayLike, n: ArrayLike, /) -> Tensor:
    """Return ``x * 2**n``.

    Parameters
    ----------
    x : array-like
    n : array-like of int

    Returns
    -------
    Tensor
        Of the dtype of `x`, or the floating-point one that NumPy chooses for integers.

    Examples
    --------
    >>> ldexp([1.0, 3.0], [2, -1])
    Tensor([4. , 1.5], dtype=float32)
    """
    return _ldexp(x, n)


UFUNCS[np.ldexp] = ldexp


def modf(x: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """Return the fractional and the whole part of real numbers, both with their sign.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    tuple of Tensor

    Examples
    --------
    >>> modf([1.5, -2.25])
    (Tensor([ 0.5 , -0.25], dtype=float32), Tensor([ 1., -2.], dtype=float32))
    """
    (x,) = strong(x)
    x = asarray(x)
    x = x.astype(REAL(x.dtype)[0], copy=False)
    whole = trunc(x)
    return copysign(where(isinf(x), 0, x - whole), x), whole


UFUNCS[np.modf] = modf


_exponent = unary(
    "exponent",
    None,
    eager=lambda xp, x: xp.frexp(x)[1],
    rule=lambda key: (REAL(key)[0], dtypes.int32),
    no_gradient=PIECEWISE,
    doc="The exponent that `frexp` returns.",
)


def frexp(x: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """Return mantissa and exponent: ``x == m * 2**e`` with ``0.5 <= abs(m) < 1``.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    tuple of Tensor
        The mantissas, and the exponents in int32.

    Examples
    --------
    >>> frexp([8.0, 0.75])
    (Tensor([0.5 , 0.75], dtype=float32), Tensor([4, 0], dtype=int32))
    """
    exponent = _exponent(x)
    return ldexp(x, -exponent), exponent


UFUNCS[np.frexp] = frexp
