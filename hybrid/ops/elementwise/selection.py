"""Choice between elements: where, maximum, minimum, clip."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, overload

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import busy, state
from hybrid.core.making import asarray
from hybrid.core.number import Number
from hybrid.core.op import Example
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.core.unknown import Unknown
from hybrid.dtypes import DType
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._methods import as_numpy
from hybrid.ops.elementwise.declare import Key, Loop, binary, call, elementwise, key_of, meeting
from hybrid.ops.elementwise.operands import SCALARS

# --- where ----------------------------------------------------------------------------------------


def _where_rule(condition: Key, x: Key, y: Key) -> Loop:
    common = meeting(x, y)
    return dtypes.bool_, common, common, common


def _where_eager(xp: Any, condition: Any, x: Any, y: Any) -> Any:
    if type(x) in SCALARS or type(y) in SCALARS or x.dtype != y.dtype:
        common = meeting(key_of(x), key_of(y))
        x, y = xp.asarray(x, dtype=common), xp.asarray(y, dtype=common)
    return xp.where(condition, x, y)


_NUMBERS = SCALARS | {Number, Unknown}

_WHERE = elementwise(
    "where",
    _where_eager,
    _where_rule,
    scalar="select({0}, {1}, {2})",
    vjp=(
        None,
        lambda g, out, condition, x, y: where(condition, g, 0),
        lambda g, out, condition, x, y: where(condition, 0, g),
    ),
    chosen=lambda i, condition, x, y: condition != 0 if i == 1 else condition == 0,
    doc="Choose from two arrays by a condition.",
    examples=(
        Example(((2, 3), (2, 3), (2, 3)), dtypes=("bool", "float32", "float32")),
        Example(((3,), (2, 1), ()), dtypes=("bool", "float32", "float32")),
    ),
)


@overload
def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike, /) -> Tensor: ...


@overload
def where(condition: ArrayLike, /) -> tuple[Tensor, ...]: ...


def where(condition: ArrayLike, x: Any = None, y: Any = None, /) -> Tensor | tuple[Tensor, ...]:
    """Choose from two arrays by a condition.

    Parameters
    ----------
    condition : array-like
        Anything but bool counts as true where it is not 0.
    x, y : array-like
        What is taken where the condition is true, and where it is false. All three broadcast.
        Without both of them the result is that of ``nonzero(condition)``.

    Returns
    -------
    Tensor

    Notes
    -----
    The branch that is not taken gets a gradient of 0, whatever its values are.

    Examples
    --------
    >>> where([True, False], [1.0, 2.0], -1.0)
    Tensor([ 1., -1.], dtype=float32)
    """
    if _short_where is not None and (done := _short_where(condition, x, y)) is not None:
        return done
    if (not busy or state.plain) and type(condition) is Tensor:
        mask, left, right = condition._data, _beside(x, y), _beside(y, x)
        eager = type(mask) is type(left) is type(right) is np.ndarray
        if eager and mask.dtype.kind == "b" and left.dtype == right.dtype:
            try:
                return wrap(np.where(mask, left, right))
            except ValueError:
                pass  # explained below
    if type(condition) is bool:
        condition = asarray(condition)
    if x is None or y is None:
        return _where_true(condition, x, y)
    if type(x) in _NUMBERS and type(y) in _NUMBERS:
        x = asarray(x, meeting_default(x, y))
    return call(_WHERE, condition, x, y)


_short_where: Callable[[Any, Any, Any], Tensor | None] | None = None
_shortways.in_module(Way("where", "function of a choice"), globals(), "_short_where")


def _beside(x: Any, other: Any) -> Any:
    """Return the contents of a Tensor, or of a float those it has beside one that holds it."""
    if type(x) is Tensor:
        return x._data
    if type(x) is float and type(other) is Tensor and -1e4 < x < 1e4:
        data = other._data
        if type(data) is np.ndarray and data.dtype.kind == "f":
            return np.array(x, data.dtype)
    return None


def _where_true(condition: ArrayLike, x: Any, y: Any) -> tuple[Tensor, ...]:
    from hybrid.ops.searching import nonzero

    if x is not y:
        raise ValueError(located("where: give both of what to choose from, or neither"))
    return nonzero(condition)


def meeting_default(*scalars: Any) -> DType:
    """Return the dtype that Python scalars have when they become a Tensor together."""
    return asarray(list(scalars)).dtype


# --- maximum, minimum -----------------------------------------------------------------------------


def _winner(g: Tensor, wins: Any, ties: Any) -> Tensor:
    """Give the gradient to the winner; on a tie both get half of it."""
    return where(wins, g, where(ties, g * 0.5, 0))


maximum = binary(
    "maximum",
    "maximum({0}, {1})",
    lambda g, out, x, y: _winner(g, x > y, x == y),
    lambda g, out, x, y: _winner(g, y > x, x == y),
    ufunc=np.maximum,
    doc="The larger of two elements; NaN if one of them is NaN.",
    notes="Where both are equal, each gets half of the gradient.",
    example="""
>>> maximum([1.0, 5.0], 3.0)
Tensor([3., 5.], dtype=float32)
""",
)

minimum = binary(
    "minimum",
    "minimum({0}, {1})",
    lambda g, out, x, y: _winner(g, x < y, x == y),
    lambda g, out, x, y: _winner(g, y < x, x == y),
    ufunc=np.minimum,
    doc="The smaller of two elements; NaN if one of them is NaN.",
    notes="Where both are equal, each gets half of the gradient.",
    example="""
>>> minimum([1.0, 4.0], [3.0, 2.0])
Tensor([1., 2.], dtype=float32)
""",
)

# --- clip -----------------------------------------------------------------------------------------


_REAL = frozenset((int, float))
_CLIPPED = import_module("numpy._core.umath").clip
"""The ufunc that the method of an ndarray calls; without the method it takes 0.5 us less."""


def _clip_rule(*keys: Key) -> Loop:
    return (meeting(*keys),) * 4


def _clip_eager(xp: Any, x: Any, low: Any, high: Any) -> Any:
    if type(low) in _REAL and type(high) in _REAL and x.dtype.kind == "f":
        return x.clip(low, high)  # one pass; with arrays its dtypes and signs are others
    keys = key_of(x), key_of(low), key_of(high)
    if dtypes.bfloat16 in keys:  # which NumPy widens where it meets a Python scalar
        x, low, high = (xp.asarray(v, dtype=meeting(*keys)) for v in (x, low, high))
    return xp.minimum(xp.maximum(x, low), high)


_CLIP = elementwise(
    "clip",
    _clip_eager,
    _clip_rule,
    scalar="minimum(maximum({0}, {1}), {2})",
    vjp=(
        lambda g, out, x, low, high: where((x >= low) & (x <= high), g, 0),
        lambda g, out, x, low, high: where((x < low) & (out == low), g, 0),
        lambda g, out, x, low, high: where(maximum(x, low) > high, g, 0),
    ),
    doc="Limit the elements to an interval.",
    examples=(
        Example(((2, 3), (2, 3), (2, 3))),
        Example(((2, 3), (3,), ())),
    ),
)


def clip(
    x: ArrayLike,
    /,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
    *,
    out: Any = None,
) -> Tensor:
    """Limit the elements to an interval: ``minimum(maximum(x, min), max)``.

    Parameters
    ----------
    x : array-like
    min, max : array-like, optional
        The ends of the interval, which broadcast with `x`; None is no limit.

    Returns
    -------
    Tensor

    Notes
    -----
    The gradient passes where ``min <= x <= max``, the ends included.

    Examples
    --------
    >>> clip([1.0, 5.0, 9.0], 2.0, 8.0)
    Tensor([2., 5., 8.], dtype=float32)
    """
    if out is not None:
        return as_numpy(np.clip, x, min, max, out=out)
    if (
        (not busy or state.plain)
        and type(x) is Tensor
        and type(min) in _REAL
        and type(max) in _REAL
    ):
        data = x._data
        if type(data) is np.ndarray and data.dtype.kind == "f":
            return wrap(np.asarray(_CLIPPED(data, min, max)))
    min, max = _reached(x, min, lowest=True), _reached(x, max, lowest=False)
    if min is None:
        return call_positive(x) if max is None else minimum(x, max)
    if max is None:
        return maximum(x, min)
    return call(_CLIP, x, min, max)


def _reached(x: ArrayLike, bound: Any, *, lowest: bool) -> Any:
    """Return a bound, or None for a Python int that no element of the dtype of `x` can pass."""
    if type(bound) is not int or not isinstance(x, Tensor | np.ndarray) or x.dtype.kind not in "iu":
        return bound
    info = np.iinfo(x.dtype)
    never = bound < info.min if lowest else bound > info.max
    return None if never else bound


def call_positive(x: ArrayLike) -> Tensor:
    """Return a copy of `x`."""
    from hybrid.ops.elementwise.casting import astype

    x = asarray(x)
    return astype(x, x.dtype)
