"""Arguments of which no trace can be made: what a call uses up, and arrays with rules of their own.

A trace takes an ndarray for its numbers. Those of another dtype than hybrid has, and those of a
class that says itself what ``*``, ``[...]`` or a ufunc is (a matrix, a masked array, quantities
with units), are more than that: calls that are given one run eagerly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.own_rules import has_own_rules
from hybrid.trace.owners import is_iterator


def reason_against(names: Iterable[str], leaves: Iterable[Any]) -> tuple[str, str] | None:
    """Say which argument no trace can be made of, and why; None for a call like others.

    Parameters
    ----------
    names : iterable of str
        How the user would write each leaf.
    leaves : iterable
        What the arguments hold.

    Returns
    -------
    tuple of str, optional
        In which calls the function runs eagerly, and the reason.
    """
    for name, x in zip(names, leaves, strict=True):
        if isinstance(x, np.ndarray | np.void):
            why = _of_array(name, x)
            if why:
                return "where it is given such an array", f"the argument {name} {why}"
        elif is_iterator(x):
            why = f"the argument {name} is an iterator, which a call uses up; pass a list"
            return "where it is given an iterator", why
    return None


def _of_array(name: str, x: Any) -> str:
    kind = type(x).__name__
    if has_own_rules(type(x)):
        inside = f"{name}.filled()" if hasattr(x, "filled") else name
        return (
            f"is a {kind}, a class of arrays with rules of its own; pass np.asarray({inside}) "
            "where its numbers are meant"
        )
    if x.dtype.newbyteorder("=") not in dtypes.SUPPORTED:
        return f"has the dtype {x.dtype}, which hybrid does not have"
    return ""
