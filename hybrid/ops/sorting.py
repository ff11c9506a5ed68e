"""Sorting along an axis, and the largest or smallest elements of it."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import at_once, bind, busy
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, always, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.errors import ShapeError
from hybrid.ops._axes import lead_axis, one_axis
from hybrid.ops._methods import attach
from hybrid.ops.indexing import take_along_axis
from hybrid.ops.ordering import compared, ordered
from hybrid.ops.reshaping import ravel, reshape

# --- argsort --------------------------------------------------------------------------------------


def _eager_argsort(xp: Any, x: Any, *, axis: int, descending: bool, stable: bool) -> Any:
    x = compared(x) if stable else ordered(x)
    if not descending:
        return xp.argsort(x, axis=axis, stable=stable)
    # Sorted backwards from the back, so that equal elements keep their order.
    n = x.shape[axis]
    return n - 1 - xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, stable=stable), axis)


_EXAMPLES = (
    Example(((3, 4),), {"axis": 1, "descending": False, "stable": True}),
    Example(((3, 4),), {"axis": 0, "descending": True, "stable": True}),
    Example(((2, 0),), {"axis": 1, "descending": True, "stable": False}),
)

ARGSORT = register(
    Op(
        name="argsort",
        family="indexing",
        lead=lead_axis,
        infer=lambda x, *, axis, descending, stable: TensorSpec(x.shape, dtypes.int64, x.device),
        eager=_eager_argsort,
        examples=_EXAMPLES,
        doc="The indices that sort along an axis.",
    )
)


def _sorting(op: Op, x: ArrayLike, axis: int | None, descending: bool, stable: bool) -> Tensor:
    if type(axis) is int:
        made = at_once(op, x, {"axis": axis, "descending": descending, "stable": stable})
        if made is not None:
            return made
    x = asarray(x)
    if axis is None:
        x, axis = x if x.ndim == 1 else ravel(x), 0
    if op is ARGSORT and not x.ndim and axis in (0, -1):
        x, axis = reshape(x, 1), 0  # the index of a number is an array of one, as NumPy's
    attrs = {"axis": one_axis(op.name, axis, x.shape), "descending": descending, "stable": stable}
    return bind(op, (x,), attrs)


def argsort(
    x: ArrayLike,
    /,
    axis: int | None = -1,
    kind: str | None = None,
    order: Any = None,
    *,
    descending: bool = False,
    stable: bool = True,
) -> Tensor:
    """Return the indices that sort `x` along an axis.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        None sorts the raveled array.
    kind, order : optional
        Those of NumPy: any kind sorts alike, and ``"quicksort"`` or ``"heapsort"`` may put equal
        elements in another order; no Tensor has fields to order by.
    descending : bool
        From the largest to the smallest: the order of the ascending sort backwards, NaN first.
    stable : bool
        Whether equal elements keep their order, in both directions; where no kind says it.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> argsort([3, 1, 2])
    Tensor([1, 2, 0], dtype=int64)
    """
    if kind is not None or order is not None:
        stable = stability(kind, order, None)
    return _sorting(ARGSORT, x, axis, descending, stable)


# --- sort -----------------------------------------------------------------------------------------


_FEW = 1000  # elements, which a stable sort takes no longer for than looking at them


def _eager_sort(xp: Any, x: Any, *, axis: int, descending: bool, stable: bool) -> Any:
    array = ordered(x)
    apart = x.size < _FEW or _tells_equals_apart(xp, array)
    if stable or not apart:
        array = compared(array)
    stable = stable and apart
    if not descending:
        found = _sorted(xp, array, axis, stable)
        return found if array is x else found.astype(x.dtype)
    # Sorted backwards from the back, so that equal elements keep their order.
    found = _sorted(xp, xp.flip(array, axis), axis, stable)
    return xp.array(xp.flip(found, axis), dtype=x.dtype)


def _sorted(xp: Any, x: Any, axis: int, stable: bool) -> Any:
    if xp is not np:
        return xp.sort(x, axis=axis, stable=stable)
    found = x.copy("K")  # the methods take less than the function
    found.sort(axis, stable=stable)
    return found


def _tells_equals_apart(xp: Any, x: Any) -> bool:
    """Tell whether a stable sort can give another result than NumPy's faster one.

    Only where equal elements differ, that is where there are zeros of both signs. A stable sort of
    1e6 float64 takes 270 ms, the faster one 160, looking for negative zeros 0.1.
    """
    if x.dtype.kind != "f":
        return bool(x.dtype.kind == "c")
    bits = x.view(f"i{x.dtype.itemsize}")  # those of -0.0 are the sign alone
    return bool((bits == xp.iinfo(bits.dtype).min).any())


def _vjp_sort(
    g: Tensor, out: Tensor, x: Tensor, *, axis: int, descending: bool, stable: bool
) -> Tensor:
    order = argsort(x, axis=axis, descending=descending)
    return take_along_axis(g, argsort(order, axis=axis), axis)


SORT = register(
    Op(
        name="sort",
        family="indexing",
        lead=lead_axis,
        infer=lambda x, *, axis, descending, stable: TensorSpec(x.shape, x.dtype, x.device),
        eager=_eager_sort,
        vjp=(_vjp_sort,),
        examples=_EXAMPLES,
        doc="The elements sorted along an axis.",
    )
)


def sort(
    x: ArrayLike,
    /,
    axis: int | None = -1,
    kind: str | None = None,
    order: Any = None,
    *,
    descending: bool = False,
    stable: bool = True,
) -> Tensor:
    """Return a sorted copy along an axis; arguments as of :func:`argsort`.

    Examples
    --------
    >>> sort([3, 1, 2], descending=True)
    Tensor([3, 2, 1], dtype=int64)
    """
    if kind is not None or order is not None:
        stable = stability(kind, order, None)
    if not busy and type(x) is Tensor and not descending and type(axis) is int:
        data = x._data
        if type(data) is np.ndarray and data.size < _FEW and data.dtype.kind in "fiub":
            found = data.copy("K")
            try:  # at once, where nothing records it; NumPy has nothing to warn of
                found.sort(axis, stable=stable)
            except ValueError:
                pass  # explained below
            else:
                return wrap(found)
    return _sorting(SORT, x, axis, descending, stable)


# --- topk -----------------------------------------------------------------------------------------


def _infer_top(x: TensorSpec, *, k: int, axis: int, largest: bool) -> TensorSpec:
    n = x.shape[axis]
    if not 0 <= k <= n:
        raise ShapeError(f"topk: k is {k}, axis {axis} of shape {x.shape} has {n} elements")
    return TensorSpec((*x.shape[:axis], k, *x.shape[axis + 1 :]), dtypes.int64, x.device)


def _eager_top(xp: Any, x: Any, *, k: int, axis: int, largest: bool) -> Any:
    _infer_top(TensorSpec(x.shape, x.dtype), k=k, axis=axis, largest=largest)
    rows = xp.moveaxis(compared(x), axis, -1)
    chosen = _candidates(xp, rows, k, largest)
    if chosen is None:
        order = _eager_argsort(xp, rows, axis=-1, descending=largest, stable=True)[..., :k]
    else:
        values = xp.take_along_axis(rows, chosen, -1)
        places = _eager_argsort(xp, values, axis=-1, descending=largest, stable=True)
        order = xp.take_along_axis(chosen, places, -1)
    return xp.array(xp.moveaxis(order, -1, axis), order="C")


def _candidates(xp: Any, rows: Any, k: int, largest: bool) -> Any:
    """Return the indices of the `k` best of each row, ascending; None where sorting is as good.

    Of elements that equal the last one chosen, those that come first are taken.
    """
    n = rows.shape[-1]
    if n < 256 or k > n // 4 or not k or rows.dtype.kind == "c" or bool((rows != rows).any()):
        return None
    at = n - k if largest else k - 1
    bound = xp.partition(rows, at, axis=-1)[..., at : at + 1]
    better = rows > bound if largest else rows < bound
    equal = rows == bound
    missing = k - xp.count_nonzero(better, axis=-1, keepdims=True)
    better |= equal & (xp.cumsum(equal, axis=-1) <= missing)
    return xp.nonzero(better)[-1].reshape(*rows.shape[:-1], k)


TOP = register(
    Op(
        name="topk",
        family="indexing",
        lead=lead_axis,
        infer=_infer_top,
        in_order=always,
        eager=_eager_top,
        examples=(
            Example(((3, 4),), {"k": 2, "axis": 1, "largest": True}),
            Example(((300, 2),), {"k": 3, "axis": 0, "largest": False}),
        ),
        doc="Where the largest or smallest elements along an axis are, the best first.",
    )
)


class TopK(NamedTuple):
    """The result of :func:`topk`."""

    values: Tensor
    indices: Tensor


def topk(x: ArrayLike, k: int, /, *, axis: int = -1, largest: bool = True) -> TopK:
    """Return the `k` largest elements along an axis and where they are.

    They are the first `k` of ``sort(x, descending=True)``: the largest first, NaN before all, and
    of equal elements the one that comes first in `x`. The values have gradients.

    Parameters
    ----------
    x : array-like
    k : int
    axis : int
    largest : bool
        False gives the smallest ones, the smallest first.

    Returns
    -------
    TopK
        The named tuple (values, indices).

    Raises
    ------
    ShapeError
        Where the axis has less than `k` elements.

    Examples
    --------
    >>> topk([3, 1, 4, 1, 5], 2)
    TopK(values=Tensor([5, 4], dtype=int64), indices=Tensor([4, 2], dtype=int64))
    """
    x = asarray(x)
    axis = one_axis("topk", axis, x.shape)
    indices = bind(TOP, (x,), {"k": operator.index(k), "axis": axis, "largest": bool(largest)})
    return TopK(take_along_axis(x, indices, axis), indices)


def stability(kind: Any, order: Any, stable: bool | None) -> bool:
    """Return whether to sort stably where the arguments of NumPy's functions are these.

    Where they do not say so, equal elements come in the order of NumPy's fastest sort.
    """
    if kind is not None or order is not None:
        np.empty(0).sort(kind=kind, order=order, stable=stable)  # for NumPy to refuse what is wrong
    return bool(stable) or kind in ("stable", "mergesort")


def _argsort_method(
    self: Tensor,
    axis: int | None = -1,
    kind: str | None = None,
    order: Any = None,
    *,
    descending: bool = False,
    stable: bool | None = None,
) -> Tensor:
    """Return the indices that sort along an axis; arguments as of :func:`argsort`.

    `kind` and `order` are those of the method of ndarray, and so is the order of equal elements:
    that of their places only where `kind` or `stable` asks for it.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.asarray([3, 1, 2]).argsort()
    Tensor([1, 2, 0], dtype=int64)
    >>> hb.asarray([3, 1, 1]).argsort(kind="stable")
    Tensor([1, 2, 0], dtype=int64)
    """
    return argsort(self, axis=axis, descending=descending, stable=stability(kind, order, stable))


def _sort_method(
    self: Tensor,
    axis: int = -1,
    kind: str | None = None,
    order: Any = None,
    *,
    descending: bool = False,
    stable: bool | None = None,
) -> None:
    """Sort in place along an axis, as the method of ndarray does.

    Parameters
    ----------
    axis : int
    kind, order : optional
        Those of the method of ndarray.
    descending, stable : bool
        As of :func:`argsort`.

    Examples
    --------
    >>> import hybrid as hb
    >>> x = hb.asarray([3, 1, 2])
    >>> x.sort()
    >>> x
    Tensor([1, 2, 3], dtype=int64)
    """
    from hybrid.ops.inplace import write

    stably = stability(kind, order, stable)
    write(self, sort(self, axis=axis, descending=descending, stable=stably))


attach(argsort=_argsort_method, sort=_sort_method)
