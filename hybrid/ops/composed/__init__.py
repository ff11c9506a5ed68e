"""Functions of NumPy's namespace that are written with other functions, with NumPy's arguments."""

from __future__ import annotations

from hybrid.ops.composed.calculus import ediff1d, gradient, polyval, trapezoid, vander
from hybrid.ops.composed.choosing import choose, compress, extract, select
from hybrid.ops.composed.comparing import (
    allclose,
    array_equal,
    array_equiv,
    isclose,
    iscomplex,
    isneginf,
    isposinf,
    isreal,
)
from hybrid.ops.composed.joining import (
    append,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block,
    column_stack,
    delete,
    diag,
    diagflat,
    dstack,
)
from hybrid.ops.composed.splitting import (
    array_split,
    dsplit,
    fliplr,
    flipud,
    hsplit,
    rollaxis,
    rot90,
    vsplit,
)
from hybrid.ops.composed.waves import angle, sinc, unwrap

__all__ = [
    "allclose",
    "angle",
    "append",
    "array_equal",
    "array_equiv",
    "array_split",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block",
    "choose",
    "column_stack",
    "compress",
    "delete",
    "diag",
    "diagflat",
    "dsplit",
    "dstack",
    "ediff1d",
    "extract",
    "fliplr",
    "flipud",
    "gradient",
    "hsplit",
    "isclose",
    "iscomplex",
    "isneginf",
    "isposinf",
    "isreal",
    "polyval",
    "rollaxis",
    "rot90",
    "select",
    "sinc",
    "trapezoid",
    "unwrap",
    "vander",
    "vsplit",
]
