"""Sets: the distinct elements of an array.

How many there are depends on the data: in a trace that number is a guard.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hybrid import dtypes
from hybrid.core.asking import has_contents, size_by_data
from hybrid.core.devices import CPU
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.ops._axes import batch_elements, one_axis
from hybrid.ops.indexing import take
from hybrid.ops.ordering import beside, compared, ordered
from hybrid.ops.reshaping import ravel


class UniqueAllResult(NamedTuple):
    """The result of :func:`unique_all`."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCountsResult(NamedTuple):
    """The result of :func:`unique_counts`."""

    values: Tensor
    counts: Tensor


class UniqueInverseResult(NamedTuple):
    """The result of :func:`unique_inverse`."""

    values: Tensor
    inverse_indices: Tensor


def _places(x: Any, axis: int | None, **options: Any) -> tuple[Any, ...]:
    """Return where each distinct element is first, which each one is, and how many there are."""
    found = np.unique(
        compared(x), True, return_inverse=True, return_counts=True, axis=axis, **options
    )
    return tuple(found[1:])


def _infer_unique(x: TensorSpec, *, axis: int | None, equal_nan: bool) -> tuple[TensorSpec, ...]:
    count = x.size if axis is None else x.shape[axis]
    most = TensorSpec((count,), dtypes.int64, x.device)
    inverse = most if axis is not None else TensorSpec(x.shape, dtypes.int64, x.device)
    return most, inverse, most, TensorSpec((), dtypes.int64, x.device)


def _eager_unique(xp: Any, x: Any, *, axis: int | None, equal_nan: bool) -> tuple[Any, ...]:
    if xp is not np:
        return _on_card(xp, x, axis, equal_nan)
    first, inverse, times = _places(x, axis, equal_nan=equal_nan)
    count = np.size(x) if axis is None else np.shape(x)[axis]
    index, counts = np.zeros((2, count), np.int64)
    index[: len(first)], counts[: len(times)] = first, times
    return index, inverse, counts, np.asarray(len(first))


def _on_card(xp: Any, x: Any, axis: int | None, equal_nan: bool) -> tuple[Any, ...]:
    """Return the same by sorting; a card's NaN are sorted behind all numbers too."""
    if axis is not None:
        raise NotImplementedError("the parts along an axis are not sorted there")
    flat = x.reshape(-1)
    order = xp.argsort(flat, stable=True)
    there = flat[order]
    new = xp.ones(there.shape, dtype=bool)
    new[1:] = there[1:] != there[:-1]
    if equal_nan and there.dtype.kind in "fc":
        new[1:] &= ~(xp.isnan(there[1:]) & xp.isnan(there[:-1]))
    group = xp.cumsum(new) - 1
    inverse = xp.empty(flat.shape, dtype=np.int64)
    inverse[order] = group
    index, counts = xp.zeros(flat.shape, dtype=np.int64), xp.zeros(flat.shape, dtype=np.int64)
    index[group[new]] = order[new]
    xp.add.at(counts, group, 1)
    return index, inverse.reshape(x.shape), counts, new.sum()


UNIQUE = register(
    Op(
        name="unique",
        family="indexing",
        infer=_infer_unique,
        eager=_eager_unique,
        multi=True,
        examples=(
            Example(((2, 3),), {"axis": None, "equal_nan": True}, ("int32",)),
            Example(((4, 2),), {"axis": 0, "equal_nan": False}, ("int32",)),
        ),
        doc="Places, inverse and counts of the distinct elements, 0 behind the last; their number.",
    )
)


def _unique(x: Tensor, axis: int | None, **options: Any) -> tuple[Tensor, ...]:
    """Return values, first indices, inverse and counts; the values by index where a tape looks."""
    if not has_contents(x) or x.device != CPU:
        index, inverse, counts, number = bind(UNIQUE, (x,), {"axis": axis, **options})
        size = int(number) if has_contents(number) else size_by_data(number)
        index, counts = index[:size], counts[:size]
    else:
        data = x._concrete("unique")
        index, inverse, counts = map(wrap, _places(data, axis, **options))
    values = take(ravel(x) if axis is None else x, index, axis or 0)
    return values, index, inverse, counts


def unique_all(x: ArrayLike, /) -> UniqueAllResult:
    """Return the distinct elements, where each is first, which each element is, and how many.

    Parameters
    ----------
    x : array-like
        Each NaN is distinct from all others.

    Returns
    -------
    UniqueAllResult
        The named tuple (values, indices, inverse_indices, counts), the values sorted.
        ``values[inverse_indices]`` is `x`, ``ravel(x)[indices]`` are the values, whose gradients
        go there.

    Examples
    --------
    >>> found = unique_all([5, 3, 5])
    >>> found.values, found.indices
    (Tensor([3, 5], dtype=int64), Tensor([1, 0], dtype=int64))
    >>> found.inverse_indices, found.counts
    (Tensor([1, 0, 1], dtype=int64), Tensor([1, 2], dtype=int64))
    """
    return UniqueAllResult(*_unique(asarray(x), None, equal_nan=False))


def unique_counts(x: ArrayLike, /) -> UniqueCountsResult:
    """Return the distinct elements and how many there are of each; as :func:`unique_all`.

    Examples
    --------
    >>> unique_counts([2, 1, 2])
    UniqueCountsResult(values=Tensor([1, 2], dtype=int64), counts=Tensor([1, 2], dtype=int64))
    """
    values, _, _, counts = _unique(asarray(x), None, equal_nan=False)
    return UniqueCountsResult(values, counts)


def unique_inverse(x: ArrayLike, /) -> UniqueInverseResult:
    """Return the distinct elements and which of them each element is; as :func:`unique_all`.

    Examples
    --------
    >>> values, indices = unique_inverse([2, 1, 2])
    >>> indices
    Tensor([1, 0, 1], dtype=int64)
    """
    values, _, inverse, _ = _unique(asarray(x), None, equal_nan=False)
    return UniqueInverseResult(values, inverse)


def unique_values(x: ArrayLike, /) -> Tensor:
    """Return the distinct elements, sorted; each NaN is distinct from all others.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor
        Of one axis.

    Examples
    --------
    >>> unique_values([2, 1, 2])
    Tensor([1, 2], dtype=int64)
    """
    return _values(asarray(x), None, equal_nan=False)


def _values(x: Tensor, axis: int | None, **options: Any) -> Tensor:
    # The gradient goes to the element that is first.
    if x._node is not None or not has_contents(x) or x.device != CPU:
        return _unique(x, axis, **options)[0]
    found = np.unique(ordered(x._concrete("unique")), axis=axis, **options)
    return wrap(found.astype(x.dtype, copy=False))


def unique(
    x: ArrayLike,
    /,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
) -> Tensor | tuple[Tensor, ...]:
    """Return the distinct elements, sorted, as NumPy's function of that name does.

    Parameters
    ----------
    x : array-like
    return_index : bool
        Also return where each is first.
    return_inverse : bool
        Also return which of them each element is.
    return_counts : bool
        Also return how many there are of each.
    axis : int, optional
        Compare the parts along this axis instead of elements.
    equal_nan : bool
        Whether all NaN are one.

    Returns
    -------
    Tensor, or tuple of Tensor if more is asked for

    Examples
    --------
    >>> unique([5, 3, 5])
    Tensor([3, 5], dtype=int64)
    >>> unique([[1, 0], [1, 0]], axis=0, return_counts=True)
    (Tensor([[1, 0]], dtype=int64), Tensor([2], dtype=int64))
    """
    x = asarray(x)
    axis = None if axis is None else one_axis("unique", axis, x.shape)
    if not (return_index or return_inverse or return_counts):
        return _values(x, axis, equal_nan=equal_nan)
    values, *others = _unique(x, axis, equal_nan=equal_nan)
    asked = (return_index, return_inverse, return_counts)
    return values, *(other for other, is_asked in zip(others, asked, strict=True) if is_asked)


ISIN = register(
    Op(
        name="isin",
        family="indexing",
        batch=batch_elements(0),
        infer=lambda x, y, *, invert: TensorSpec(x.shape, dtypes.bool_, x.device),
        eager=lambda xp, x, y, *, invert: xp.isin(compared(x), compared(y), invert=invert),
        examples=(
            Example(((2, 3), (4,)), {"invert": False}, ("int32", "int32")),
            Example(((3,), ()), {"invert": True}, ("float32", "float32")),
        ),
        doc="Whether each element is among those of another array.",
    )
)


def isin(x1: ArrayLike, x2: ArrayLike, /, *, invert: bool = False) -> Tensor:
    """Tell for each element of `x1` whether it is among the elements of `x2`.

    Parameters
    ----------
    x1, x2 : array-like
        NaN is among nothing.
    invert : bool
        Tell whether it is not.

    Returns
    -------
    Tensor
        Booleans of the shape of `x1`.

    Examples
    --------
    >>> isin([1, 2, 3], [3, 1])
    Tensor([ True, False,  True], dtype=bool)
    """
    return bind(ISIN, (beside(x1, x2), beside(x2, x1)), {"invert": bool(invert)})
