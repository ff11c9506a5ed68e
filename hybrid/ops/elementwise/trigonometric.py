"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

import numpy as np

from hybrid.ops.elementwise.arithmetic import hypot, sqrt, square
from hybrid.ops.elementwise.declare import Unary, binary, unary

sin = unary(
    "sin",
    "sin({0})",
    lambda g, out, x: g * cos(x),
    ufunc=np.sin,
    doc="Sine.",
    example="""
>>> sin([0.0, 1.0])
Tensor([0.      , 0.841471], dtype=float32)
""",
)

cos: Unary = unary(
    "cos",
    "cos({0})",
    lambda g, out, x: -g * sin(x),
    ufunc=np.cos,
    doc="Cosine.",
    example="""
>>> cos([0.0, 3.1415927])
Tensor([ 1., -1.], dtype=float32)
""",
)

tan = unary(
    "tan",
    "tan({0})",
    lambda g, out, x: g * (1 + square(out)),
    ufunc=np.tan,
    domain=(-1.2, 1.2),
    doc="Tangent.",
    example="""
>>> tan([0.0, 1.0])
Tensor([0.       , 1.5574077], dtype=float32)
""",
)

asin = unary(
    "asin",
    "asin({0})",
    lambda g, out, x: g / sqrt((1 - x) * (1 + x)),
    ufunc=np.arcsin,
    domain=(-0.9, 0.9),
    doc="Inverse of sine; NaN outside [-1, 1].",
    example="""
>>> asin([0.0, 1.0])
Tensor([0.       , 1.5707964], dtype=float32)
""",
)
arcsin = asin

acos = unary(
    "acos",
    "acos({0})",
    lambda g, out, x: -g / sqrt((1 - x) * (1 + x)),
    ufunc=np.arccos,
    domain=(-0.9, 0.9),
    doc="Inverse of cosine; NaN outside [-1, 1].",
    example="""
>>> acos([1.0, 0.0])
Tensor([0.       , 1.5707964], dtype=float32)
""",
)
arccos = acos

atan = unary(
    "atan",
    "atan({0})",
    lambda g, out, x: g / (1 + square(x)),
    ufunc=np.arctan,
    doc="Inverse of tangent.",
    example="""
>>> atan([0.0, 1.0])
Tensor([0.       , 0.7853982], dtype=float32)
""",
)
arctan = atan

atan2 = binary(
    "atan2",
    "atan2({0}, {1})",
    lambda g, out, y, x: g * (x / hypot(x, y) / hypot(x, y)),
    lambda g, out, y, x: -g * (y / hypot(x, y) / hypot(x, y)),
    ufunc=np.arctan2,
    doc="The angle of a point: its ordinate is the first argument, its abscissa the second.",
    example="""
>>> atan2([1.0, -1.0], [1.0, 1.0])
Tensor([ 0.7853981, -0.7853981], dtype=float32)
""",
)
arctan2 = atan2

sinh = unary(
    "sinh",
    "sinh({0})",
    lambda g, out, x: g * cosh(x),
    ufunc=np.sinh,
    doc="Hyperbolic sine.",
    example="""
>>> sinh([0.0, 1.0])
Tensor([0.       , 1.1752012], dtype=float32)
""",
)

cosh: Unary = unary(
    "cosh",
    "cosh({0})",
    lambda g, out, x: g * sinh(x),
    ufunc=np.cosh,
    doc="Hyperbolic cosine.",
    example="""
>>> cosh([0.0, 1.0])
Tensor([1.       , 1.5430807], dtype=float32)
""",
)

tanh = unary(
    "tanh",
    "tanh({0})",
    lambda g, out, x: g * (1 - square(out)),
    ufunc=np.tanh,
    doc="Hyperbolic tangent.",
    example="""
>>> tanh([0.0, 1.0])
Tensor([0.       , 0.7615942], dtype=float32)
""",
)

asinh = unary(
    "asinh",
    "asinh({0})",
    lambda g, out, x: g / sqrt(1 + square(x)),
    ufunc=np.arcsinh,
    doc="Inverse of hyperbolic sine.",
    example="""
>>> asinh([0.0, 1.0])
Tensor([0.       , 0.8813736], dtype=float32)
""",
)
arcsinh = asinh

acosh = unary(
    "acosh",
    "acosh({0})",
    lambda g, out, x: g / (sqrt(x - 1) * sqrt(x + 1)),
    ufunc=np.arccosh,
    domain=(1.1, 3.0),
    doc="Inverse of hyperbolic cosine; NaN below 1.",
    example="""
>>> acosh([1.0, 2.0])
Tensor([0.      , 1.316958], dtype=float32)
""",
)
arccosh = acosh

atanh = unary(
    "atanh",
    "atanh({0})",
    lambda g, out, x: g / ((1 - x) * (1 + x)),
    ufunc=np.arctanh,
    domain=(-0.9, 0.9),
    doc="Inverse of hyperbolic tangent; NaN outside [-1, 1].",
    example="""
>>> atanh([0.0, 0.5])
Tensor([0.        , 0.54930615], dtype=float32)
""",
)
arctanh = atanh
