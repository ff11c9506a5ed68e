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


def is_harmless(function: Callable[..., Any], x: Any, y: Any) -> bool:
    """Tell whether Python cannot raise.

    Parameters
    ----------
    function : callable
        A division or ``pow``.
    x, y : tuple of int, or float
        Limits of ints; floats that are literals.
    """
    if function is not operator.pow:
        return type(y) is tuple and not y[0] <= 0 <= y[1]
    try:
        if type(x) is tuple and type(y) is float:
            return bool(x[0] >= (0 if y > 0 else 1) and float(x[1]) ** abs(y) < 1e300)
        if type(x) is float and type(y) is tuple:
            return x > 0 and all(0 < x**n < 1e300 for n in y) if x > 1 else x > 0 and y[0] >= 0
        if type(x) is tuple and type(y) is tuple:
            return bool(x[0] >= 0 and 0 <= y[0] == y[1] and float(x[1]) ** y[1] < 1e300)
    except OverflowError:
        pass
    return False
