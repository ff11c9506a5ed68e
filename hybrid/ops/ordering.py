"""Sorted arrays: what goes before what, and where elements go among others."""

from __future__ import annotations

from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.number import in_graph
from hybrid.core.op import Example, Op, register
from hybrid.core.operands import spec_of
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec, promote_specs
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.ops._axes import batch_elements
from hybrid.ops._methods import attach
from hybrid.ops.elementwise.operands import is_weak, together


def ordered(array: Any) -> Any:
    """Return an array that NumPy orders as it should: it sorts NaN among numbers in bfloat16."""
    narrow = getattr(array, "dtype", None) == dtypes.bfloat16  # a literal is a Python scalar
    return array.astype(dtypes.float32) if narrow else array


def compared(array: Any) -> Any:
    """Return an array whose elements compare as those of `array`, and are compared quickly.

    NumPy converts two numbers of float16 each time it compares them: a stable sort of 512 x 512
    takes 19 ms, 2 in float32, casts included. Its faster sort leaves equal elements in another
    order in each dtype, so that this is for results which do not show that.
    """
    narrow = dtypes.is_half(getattr(array, "dtype", dtypes.int64))  # a literal is a Python scalar
    return array.astype(dtypes.float32) if narrow else array


def beside(x: ArrayLike, other: ArrayLike) -> Tensor:
    """Return `x` as a Tensor; a Python float takes the dtype that it has in ``x == other``."""
    if isinstance(x, list | tuple):
        return together(x, other)[0]
    x = in_graph(x)
    spec = spec_of(x)
    if not is_weak(x) or spec.dtype.kind != "f" or is_weak(other):
        return asarray(x)
    dtype = promote_specs((spec_of(other), spec))
    return x.astype(dtype) if type(x) is Tensor else asarray(x, dtype)


SEARCHSORTED = register(
    Op(
        name="searchsorted",
        family="indexing",
        batch=batch_elements(1),
        infer=lambda a, v, *, side: TensorSpec(v.shape, dtypes.int64, a.device),
        eager=lambda xp, a, v, *, side: xp.searchsorted(compared(a), compared(v), side=side),
        examples=(Example(((0,), (2, 3)), {"side": "left"}),),
        doc="Where values belong in a sorted array.",
    )
)


def searchsorted(
    x1: ArrayLike, x2: ArrayLike, /, *, side: str = "left", sorter: ArrayLike | None = None
) -> Tensor:
    """Return where to insert the elements of `x2` so that `x1` stays sorted.

    Parameters
    ----------
    x1 : array-like
        Of one axis, sorted, NaN last.
    x2 : array-like
    side : str
        ``"left"`` or ``"right"`` of equal elements.
    sorter : array-like of int, optional
        The indices that sort `x1`, where it is not sorted itself.

    Returns
    -------
    Tensor
        Of the shape of `x2`.

    Examples
    --------
    >>> searchsorted([1, 2, 4], [2, 3, 9])
    Tensor([1, 2, 3], dtype=int64)
    """
    a = asarray(x1)
    if a.ndim != 1:
        raise ShapeError(located(f"searchsorted: the sorted array has one axis, not {a.shape}"))
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side {side!r} is neither 'left' nor 'right'")
    if sorter is not None:
        from hybrid.ops.indexing import take

        if asarray(sorter).shape != a.shape:
            raise ShapeError(
                located(
                    f"searchsorted: the sorter has shape {asarray(sorter).shape}, the array "
                    f"{a.shape}; it holds an index for each element"
                )
            )
        a = take(a, sorter)
    return bind(SEARCHSORTED, (a, beside(x2, a)), {"side": side})


def _searchsorted_method(
    self: Tensor, v: ArrayLike, side: str = "left", sorter: ArrayLike | None = None
) -> Tensor:
    """Return where `v` goes among the sorted elements; arguments as of :func:`searchsorted`.

    Examples
    --------
    >>> import hybrid as hb
    >>> hb.asarray([1, 3, 5]).searchsorted([0, 3, 4])
    Tensor([0, 1, 2], dtype=int64)
    """
    return searchsorted(self, v, side=side, sorter=sorter)


attach(searchsorted=_searchsorted_method)
