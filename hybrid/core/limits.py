"""Between which numbers an int of a trace lies: where int64 counts as Python does.

Python's ints are of any size, those of the graph have 64 bits. So what is made of an int stays in
the graph where it is known to fit; elsewhere Python is given the int itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

Limits = tuple[int, int]

COUNTED: Limits = (-(2**52), 2**52)
"""Of what small numbers are added to: 2**36 times takes hours. Floats hold them exactly."""
_STEP = 2**16
_LARGEST = 2**62
_COMPARISONS = frozenset(
    getattr(operator, name) for name in ("lt", "le", "gt", "ge", "eq", "ne", "truediv")
)


class TooLarge(Exception):
    """The result may not fit, or is none of the graph's."""


def result(function: Callable[..., Any], *given: Limits) -> Limits | None:
    """Return the limits of a result; None where that is no int.

    Parameters
    ----------
    function : callable
        An operator.
    given : tuple of int
        The limits of each operand; those of a literal are twice itself.

    Raises
    ------
    TooLarge
    """
    if any(max(map(abs, limits)) > COUNTED[1] for limits in given):
        raise TooLarge
    if function in _COMPARISONS:
        return None
    found = _counted(function, *given) or _result(function, *given)
    if not -_LARGEST <= found[0] <= found[1] <= _LARGEST:
        raise TooLarge
    return found


def _counted(function: Callable[..., Any], *given: Limits) -> Limits | None:
    """Return the limits of a counter that is one further."""
    if function in (operator.add, operator.sub) and COUNTED in given:
        if any(-_STEP <= low == high <= _STEP for low, high in given):
            return COUNTED
    return None


def _result(function: Callable[..., Any], x: Limits, *rest: Limits) -> Limits:
    if function is operator.neg:
        return -x[1], -x[0]
    if function is operator.pos:
        return x
    if function is operator.abs:
        return (0 if x[0] < 0 < x[1] else min(map(abs, x))), max(map(abs, x))
    (y,) = rest
    if function in (operator.add, operator.sub, operator.mul):
        corners = [function(a, b) for a in x for b in y]
        return min(corners), max(corners)
    if function is operator.floordiv and y[0] > 0:
        corners = [a // b for a in x for b in y]
        return min(corners), max(corners)
    if function is operator.mod and y[0] > 0:
        return 0, y[1] - 1
    if function is operator.pow and x[0] >= 0 and 0 <= y[0] == y[1] < 64:
        return x[0] ** y[0], x[1] ** y[0]
    raise TooLarge


def of_floats(function: Callable[..., Any], *given: Any) -> tuple[float, float] | None:
    """Return between which floats a result lies, but for rounding; None where that is not known.

    Parameters
    ----------
    function : callable
    given : tuple of two numbers, or None
        The limits of each operand.
    """
    if None in given or len(given) != 2 or function not in _STEADY:
        return None
    x, y = given
    if function is operator.truediv and y[0] <= 0 <= y[1]:
        return None
    if function is operator.pow and x[0] <= _NEAR_NOUGHT:
        return None
    try:
        corners = [float(function(a, b)) for a in x for b in y]
    except OverflowError:
        return None
    return min(corners), max(corners)


_STEADY = frozenset((operator.add, operator.sub, operator.mul, operator.truediv, operator.pow))
_NEAR_NOUGHT = 1e-9
_FAR = 1e300


def is_harmless(function: Callable[..., Any], x: Any, y: Any) -> bool:
    """Tell whether Python cannot raise, nor make a complex number.

    Parameters
    ----------
    function : callable
        A division or ``pow``.
    x, y : tuple of two numbers, or None
        Limits.
    """
    if y is None:
        return False
    if function is not operator.pow:
        if type(y[0]) is int:
            return not y[0] <= 0 <= y[1]
        return bool(y[0] > _NEAR_NOUGHT or y[1] < -_NEAR_NOUGHT)
    if x is None or x[0] < 0 or (x[0] <= _NEAR_NOUGHT and y[0] < 0):
        return False
    try:
        return all(abs(float(a) ** b) < _FAR for a in x for b in y)
    except (OverflowError, ZeroDivisionError):
        return False
