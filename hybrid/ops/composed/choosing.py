"""Choosing among arrays, and some of their elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.core.dispatch import state
from hybrid.core.making import asarray
from hybrid.core.operands import spec_of
from hybrid.core.source import located
from hybrid.core.spec import promote_specs
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.variable import Variable
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops._axes import one_axis
from hybrid.ops._methods import attach
from hybrid.ops.broadcasting import broadcast_arrays
from hybrid.ops.copying import laid
from hybrid.ops.elementwise.operands import strong
from hybrid.ops.elementwise.selection import where
from hybrid.ops.indexing import take, take_along_axis
from hybrid.ops.joining import stack
from hybrid.ops.reshaping import ravel
from hybrid.ops.searching import nonzero


def select(
    condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike], default: ArrayLike = 0
) -> Tensor:
    """Choose each element from the first array whose condition is true there.

    Parameters
    ----------
    condlist : sequence of array-like
        Of booleans.
    choicelist : sequence of array-like
        As many.
    default : array-like
        Where no condition is true.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> x = asarray([1, 5, 9])
    >>> select([x < 3, x < 7], [x, -x])
    Tensor([ 1, -5,  0], dtype=int64)
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        lengths = f"{len(condlist)} conditions for {len(choicelist)} choices"
        raise ShapeError(located(f"select: {lengths}; there must be as many, and one at least"))
    for condition in condlist:
        if asarray(condition).dtype != np.bool_:
            raise DTypeError(
                located(f"select: conditions are booleans, not {asarray(condition).dtype}")
            )
    *choices, found = strong(*choicelist, default)
    dtype = promote_specs(tuple(spec_of(x) for x in (*choices, found)))
    for condition, choice in zip(reversed(condlist), reversed(choices), strict=True):
        found = where(condition, choice, found)
    chosen = asarray(found).astype(dtype, copy=False)
    return laid(chosen, chosen, "C")


def choose(a: ArrayLike, choices: Any, out: Any = None, mode: str = "raise") -> Tensor:
    """Take each element from the array among `choices` that has the number `a` says there.

    Parameters
    ----------
    a : array-like of int
    choices : sequence of array-like
        They and `a` broadcast.
    mode : str
        ``"raise"`` refuses other numbers, ``"wrap"`` and ``"clip"`` bring them into range.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        For a number that is none of the choices, unless `mode` brings it into range.

    Examples
    --------
    >>> choose([0, 1, 0], [[1, 2, 3], [10, 20, 30]])
    Tensor([ 1, 20,  3], dtype=int64)
    """
    from hybrid.ops.inplace import deliver

    if asarray(a).dtype.kind not in "biu":
        raise DTypeError(located(f"choose: expected integers, not {asarray(a).dtype}"))
    number, *arrays = broadcast_arrays(a, *choices)
    if mode == "wrap":
        number = number % len(arrays)
    elif mode == "clip":
        number = where(number < 0, 0, where(number >= len(arrays), len(arrays) - 1, number))
    elif (state.recorder is None or not isinstance(a, Tensor)) and number.size:
        known = a if isinstance(a, Tensor) else np.asarray(a)
        least, most = int(known.min()), int(known.max())
        if not 0 <= least <= most < len(arrays):
            text = f"choose: {least if least < 0 else most} is none of the {len(arrays)} choices"
            raise ValueError(located(f"{text}, counted from 0"))
    elif number.dtype.kind == "i":  # from the end is no choice
        number = where(number < 0, len(arrays), number)
    picked = take_along_axis(stack(arrays), number[None].astype(np.int64), axis=0)[0]
    return deliver(laid(picked, picked, "C"), out)


def compress(condition: ArrayLike, a: ArrayLike, axis: int | None = None) -> Tensor:
    """Keep the places of an axis where `condition` is true; raveled without an axis.

    How many there are is a value, so that this ends a trace unless the condition is known.

    Parameters
    ----------
    condition : array-like
        Of one axis.
    a : array-like
    axis : int, optional
        The raveled array if it is left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> compress([True, False, True], [[1, 2, 3], [4, 5, 6]], axis=1)
    Tensor([[1, 3],
            [4, 6]], dtype=int64)
    """
    x = asarray(a)
    if axis is None:
        x, axis = ravel(x), 0
    axis = one_axis("compress", axis, x.shape)
    known = not isinstance(condition, Tensor | Variable)
    places = np.flatnonzero(condition) if known else nonzero(ravel(asarray(condition)))[0]
    return take(x, places, axis=axis)


def extract(condition: ArrayLike, arr: ArrayLike) -> Tensor:
    """Return the raveled elements where `condition` is true; see :func:`compress`.

    Parameters
    ----------
    condition, arr : array-like
        Of the same size.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> extract([True, False], [1, 2])
    Tensor([1], dtype=int64)
    """
    return compress(condition, arr)


def _compress_method(self: Tensor, condition: ArrayLike, axis: int | None = None) -> Tensor:
    """Return the slices where a condition is true; arguments as of :func:`compress`.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.asarray([1, 2, 3]).compress([True, False, True])
    Tensor([1, 3], dtype=int64)
    """
    return compress(condition, self, axis)


attach(choose=choose, compress=_compress_method)
