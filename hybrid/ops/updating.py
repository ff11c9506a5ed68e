"""``x.at[index]``: functional updates, which leave the array as it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.making import asarray
from hybrid.core.number import in_index
from hybrid.core.operands import spec_of
from hybrid.core.source import located
from hybrid.core.spec import casts
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.dtypes import is_inexact
from hybrid.errors import DTypeError
from hybrid.ops._methods import attach_properties
from hybrid.ops.assignment import assigned
from hybrid.ops.creation import ones
from hybrid.ops.elementwise.arithmetic import add, divide, multiply, negative, power
from hybrid.ops.elementwise.operands import together
from hybrid.ops.elementwise.selection import maximum, minimum
from hybrid.ops.indexing import getitem, index_update, select
from hybrid.ops.view_update import view_update

_ACCUMULATE = {"add": add, "multiply": multiply, "minimum": minimum, "maximum": maximum}


class At:
    """``x.at[index]``: copies of `x` with other contents at `index`; `x` stays as it is.

    The index is whatever ``x[index]`` takes. All but `set` work on repeated indices one after the
    other: ``x.at[[0, 0]].add(1)`` adds 2. What ties in `min` and `max` shares gradients equally.

    Examples
    --------
    >>> asarray([1, 2, 3]).at[1:].add(10)
    Tensor([ 1, 12, 13], dtype=int64)
    >>> asarray([1, 2, 3]).at[[0, 0]].multiply(2)
    Tensor([4, 2, 3], dtype=int64)
    """

    __slots__ = ("_index", "_x")

    def __init__(self, x: Tensor, index: Any = ...) -> None:
        self._x = x
        self._index = in_index(index)

    def __getitem__(self, index: Any) -> At:
        return At(self._x, index)

    def get(self) -> Tensor:
        """Return ``x[index]``."""
        return getitem(self._x, self._index)

    def set(self, value: ArrayLike) -> Tensor:
        """Return a copy with `value` at the index; of repeated indices the last one wins."""
        return self._updated(value, "set")

    def add(self, value: ArrayLike) -> Tensor:
        """Return a copy with `value` added at the index."""
        return self._updated(value, "add")

    def subtract(self, value: ArrayLike) -> Tensor:
        """Return a copy with `value` subtracted at the index."""
        if type(value) is int and self._x.dtype.kind == "u":
            value = asarray(value, self._x.dtype)  # whose negative is what makes the difference
        return self._updated(negative(value), "add")

    def multiply(self, value: ArrayLike) -> Tensor:
        """Return a copy multiplied by `value` at the index."""
        return self._updated(value, "multiply")

    def divide(self, value: ArrayLike) -> Tensor:
        """Return a copy divided by `value` at the index, by the product where indices repeat."""
        if not is_inexact(self._x.dtype):
            raise DTypeError(
                located(
                    f"at[...].divide: a Tensor of dtype {self._x.dtype.name} cannot hold "
                    "quotients; convert it with astype first"
                )
            )
        return divide(self._x, self._product(value))

    def power(self, value: ArrayLike) -> Tensor:
        """Return a copy raised to `value` at the index, to the product where indices repeat."""
        return power(self._x, self._product(value))

    def min(self, value: ArrayLike) -> Tensor:
        """Return a copy with the smaller of element and `value` at the index."""
        return self._updated(value, "minimum")

    def max(self, value: ArrayLike) -> Tensor:
        """Return a copy with the larger of element and `value` at the index."""
        return self._updated(value, "maximum")

    def _product(self, value: ArrayLike) -> Tensor:
        one = ones(self._x.shape, self._x.dtype, device=self._x.device)
        return At(one, self._index).multiply(value)

    def _updated(self, value: ArrayLike, mode: str) -> Tensor:
        x = self._x
        if not isinstance(value, int | float | complex) or isinstance(value, np.generic):
            value = together(value, x)[0]
        elif mode == "set":
            value = assigned(value, x)
        spec = spec_of(value)
        if mode != "set" and not casts(spec, x.dtype):  # an assignment casts whatever it is given
            raise DTypeError(
                located(
                    f"at[...]: a value of dtype {spec.dtype.name} does not fit into a Tensor of "
                    f"dtype {x.dtype.name} without loss; convert one of them with astype first"
                )
            )
        found = select(self._index, x.shape)
        part = found.view(x)
        if not found.arrays:
            new = value if mode == "set" else _ACCUMULATE[mode](part, value)
            return view_update(x, new, found.chain())
        arrays, axes = tuple(found.arrays), tuple(found.axes)
        new = index_update(part, value, arrays, axes, found.at, mode)
        return new if part is x else view_update(x, new, found.chain())


attach_properties(at=At)
