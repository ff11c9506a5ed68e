"""``x.flat``: the elements of a Tensor in order, read and written by one index."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import Tensor
from hybrid.core.variable import Variable
from hybrid.errors import IndexingError
from hybrid.ops._methods import attach
from hybrid.ops.assignment import setitem
from hybrid.ops.elementwise.operands import together
from hybrid.ops.indexing import getitem, take, unravel_index
from hybrid.ops.reshaping import ravel, reshape
from hybrid.ops.searching import nonzero


class Flat:
    """The elements of a Tensor in row-major order, whatever its shape and strides: ``x.flat``.

    Parameters
    ----------
    x : Tensor

    Notes
    -----
    What is read is a copy. What is written reaches the Tensor and all its views; too few values are
    written over and over again, as NumPy does.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.zeros((3, 3))
    >>> x.flat[::4] = 1.0
    >>> x.flat[8] = 5.0
    >>> x
    Tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 5.]], dtype=float32)
    >>> [float(v) for v in x.T.flat[6:]]
    [0.0, 0.0, 5.0]
    """

    __slots__ = ("base",)

    def __init__(self, x: Tensor) -> None:
        self.base = x

    def __len__(self) -> int:
        return self.base.size

    def __iter__(self) -> Iterator[Tensor]:
        return iter(ravel(self.base))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(ravel(self.base), dtype, copy=copy)

    def copy(self) -> Tensor:
        """Return the elements as a Tensor of one axis."""
        return ravel(self.base).copy()

    def __getitem__(self, key: Any) -> Tensor:
        x = self.base
        place = _one_place(key, x.size)
        if place is not None:
            return getitem(x, np.unravel_index(place, x.shape))
        key = _one_axis(key)
        found: Tensor = getitem(ravel(x), key)
        return found.copy() if isinstance(key, slice) else found

    def __setitem__(self, key: Any, value: Any) -> None:
        x = self.base
        place = _one_place(key, x.size)
        if place is not None:
            setitem(x, np.unravel_index(place, x.shape), value)
            return
        key, values = _one_axis(key), together(value, x)[0]
        if getattr(key, "dtype", None) == np.bool_:
            if key.size == x.size and values.size == 1:  # also where the mask is not known yet
                setitem(x, reshape(key, x.shape), reshape(values, ()))
                return
            key = nonzero(key)[0] if isinstance(key, Tensor) else np.flatnonzero(key)
        if isinstance(key, Tensor):
            places, count = unravel_index(key + (key < 0) * x.size, x.shape), key.size
        else:
            known = np.arange(x.size)[key]
            places, count = np.unravel_index(known, x.shape), known.size
        if count:
            setitem(x, places, cycled(values, count))


def _one_place(key: Any, size: int) -> int | None:
    """Return the place that an int asks for, None for other keys."""
    try:
        place = operator.index(key) if not isinstance(key, Tensor | np.ndarray) else None
    except TypeError:
        return None
    if place is None or isinstance(key, bool | np.bool_):
        return None
    if not -size <= place < size:
        raise IndexingError(located(f"flat: index {place} is out of bounds for {size} elements"))
    return place + size * (place < 0)


def _one_axis(key: Any) -> Any:
    """Return a key for one axis; the rest is refused."""
    if isinstance(key, tuple) and len(key) == 1:
        (key,) = key
    if key is Ellipsis:
        return slice(None)
    if isinstance(key, Variable):
        key = key.read()
    if isinstance(key, list):
        key = np.asarray(key)
    if isinstance(key, tuple) or key is None or getattr(key, "ndim", 1) != 1:
        raise IndexingError(located("flat: the elements lie along one axis; give one index for it"))
    return key


def cycled(values: Any, count: int) -> Tensor:
    """Return `count` values, those that are given over and over again."""
    flat = ravel(asarray(values))
    return flat if flat.size == count else take(flat, np.arange(count) % flat.size)


def _flat(x: Tensor) -> Flat:
    """The elements in order, by one index: see ``Flat``."""
    return Flat(x)


def _set_flat(x: Tensor, value: Any) -> None:
    Flat(x)[:] = value


attach(flat=property(_flat, _set_flat))
