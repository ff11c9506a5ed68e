"""Counting elements: by value, by the bin they fall into."""

from __future__ import annotations

import operator
from typing import Any, cast

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, wrap
from hybrid.errors import DTypeError, IndexingError, ShapeError, TraceError
from hybrid.kernels import histogram as kernel
from hybrid.ops import reduction
from hybrid.ops._axes import batch_elements
from hybrid.ops.creation import zeros
from hybrid.ops.elementwise import where
from hybrid.ops.elementwise.operands import together, with_lists
from hybrid.ops.indexing import take
from hybrid.ops.ordering import ordered, searchsorted
from hybrid.ops.rearranging import diff
from hybrid.ops.reshaping import ravel, reshape

# --- bincount -------------------------------------------------------------------------------------


def _infer_bincount(x: TensorSpec, *weights: TensorSpec, length: int) -> TensorSpec:
    if x.ndim != 1:
        raise ShapeError(f"bincount: counts integers along one axis, not {x}")
    if x.dtype.kind not in "biu":
        raise DTypeError(f"bincount: counts integers along one axis, not {x}")
    for w in weights:
        if w.shape != x.shape or w.dtype.kind == "c":
            raise ShapeError(f"bincount: weights {w} do not fit elements {x}")
    return TensorSpec((length,), dtypes.float64 if weights else dtypes.int64, x.device)


def _eager_bincount(xp: Any, x: Any, *weights: Any, length: int) -> Any:
    x = x.astype(dtypes.int64, copy=False)
    weights = tuple(w.astype(dtypes.float64, copy=False) for w in weights)
    try:
        counts = xp.bincount(x, *weights, minlength=length)
    except ValueError:
        raise ValueError(f"bincount: {x.min()} is negative, there is no bin for it") from None
    if counts.size > length:
        raise IndexingError(f"bincount: {x.max()} is out of bounds for {length} bins")
    return counts.astype(dtypes.float64, copy=False) if weights else counts  # of nothing too


def _vjp_bincount(
    i: int, g: Tensor, out: Tensor, x: Tensor, *weights: Tensor, length: int
) -> Tensor | None:
    return take(g, x).astype(weights[0].dtype, copy=False) if i else None


BINCOUNT = register(
    Op(
        name="bincount",
        family="statistics",
        infer=_infer_bincount,
        eager=_eager_bincount,
        raises=True,
        vjp=_vjp_bincount,
        examples=(
            Example(((5,), (5,)), {"length": 4}, ("uint8", "float64")),
            Example(((6,),), {"length": 3}, ("uint8",)),
            Example(((0,),), {"length": 0}, ("uint8",)),
        ),
        doc="How often each small integer occurs, or the sum of its weights.",
    )
)


def bincount(
    x: ArrayLike,
    /,
    weights: ArrayLike | None = None,
    minlength: int = 0,
    *,
    length: int | None = None,
) -> Tensor:
    """Count how often each integer occurs.

    Parameters
    ----------
    x : array-like of int
        Of one axis, none negative.
    weights : array-like, optional
        What to add for each element instead of 1; the result is float64 then, with gradients.
    minlength : int
        The smallest size of the result, which else depends on the largest element. In a trace
        that is a decision: for another size the function is traced again.
    length : int, optional
        The size of the result, whatever the elements are; the graph then is one for all.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        For a negative element.
    IndexError
        For an element that `length` has no place for.

    Examples
    --------
    >>> bincount([0, 2, 2])
    Tensor([1, 0, 2], dtype=int64)
    """
    x = asarray(x)
    if not x.size and x.ndim == 1:
        x = x.astype(dtypes.int64)
    inputs = (x,) if weights is None else (x, asarray(weights))
    _infer_checked(inputs)
    if length is None:
        length = _length(x, max(operator.index(minlength), 0))
    return bind(BINCOUNT, inputs, {"length": operator.index(length)})


def _length(x: Tensor, least: int) -> int:
    """Return how many counts there are: as many as are asked for, or as the largest element needs.

    Which of the two is one decision for a trace; the largest element would be one for each value.
    """
    if not x.size:
        return least
    largest = reduction.max(x)
    try:
        return least if least and bool(largest < least) else int(largest) + 1
    except TraceError as error:
        way_out = "hb.bincount(x, length=n) has a length that the data do not decide"
        raise TraceError(f"bincount: {way_out}\n{error}") from None


def _infer_checked(inputs: tuple[Tensor, ...]) -> None:
    """Refuse wrong inputs before the data is asked how long the result is."""
    try:
        _infer_bincount(*(t.spec for t in inputs), length=0)
    except (DTypeError, ShapeError) as error:
        raise type(error)(located(str(error))) from None


# --- digitize -------------------------------------------------------------------------------------


def _infer_digitize(x: TensorSpec, bins: TensorSpec, *, right: bool) -> TensorSpec:
    if bins.ndim != 1:
        raise ShapeError(f"digitize: the bins have one axis, not shape {bins.shape}")
    if x.dtype.kind == "c":
        raise DTypeError("digitize: complex numbers have no order")
    return TensorSpec(x.shape, dtypes.int64, x.device)


def _eager_digitize(xp: Any, x: Any, bins: Any, *, right: bool) -> Any:
    return xp.asarray(xp.digitize(ordered(x), ordered(bins), right=right))


DIGITIZE = register(
    Op(
        name="digitize",
        family="statistics",
        batch=batch_elements(0),
        infer=_infer_digitize,
        eager=_eager_digitize,
        raises=True,
        examples=(
            Example(((2, 3), (0,)), {"right": False}, ("float32", "float32")),
            Example(((), (1,)), {"right": True}, ("float64", "float32")),
        ),
        doc="The number of the bin that each element falls into.",
    )
)


def digitize(x: ArrayLike, bins: ArrayLike, /, right: bool = False) -> Tensor:
    """Return the number of the bin that each element falls into.

    Parameters
    ----------
    x : array-like
    bins : array-like
        The edges, increasing or decreasing.
    right : bool
        Whether a bin holds its right edge instead of its left one.

    Returns
    -------
    Tensor
        0 before the first edge, ``len(bins)`` behind the last.

    Raises
    ------
    ValueError
        Where the edges neither increase nor decrease.

    Examples
    --------
    >>> digitize([0.5, 1.0, 9.0], [1.0, 2.0])
    Tensor([0, 1, 2], dtype=int64)
    """
    return bind(DIGITIZE, together(x, bins), {"right": bool(right)})


# --- histogram ------------------------------------------------------------------------------------

Limits = tuple[float, float] | None


def _infer_edges(x: TensorSpec, *, bins: int, limits: Limits) -> TensorSpec:
    if x.dtype.kind == "c":
        raise DTypeError("histogram: complex numbers have no order")
    dtype = x.dtype if dtypes.is_inexact(x.dtype) else dtypes.float64
    return TensorSpec((bins + 1,), dtype, x.device)


def _eager_edges(xp: Any, x: Any, *, bins: int, limits: Limits) -> Any:
    _infer_edges(TensorSpec(x.shape, x.dtype), bins=bins, limits=limits)  # NumPy takes any
    edges = xp.histogram_bin_edges(ordered(x), bins, limits)
    return edges.astype(x.dtype if dtypes.is_inexact(x.dtype) else dtypes.float64, copy=False)


HISTOGRAM_BIN_EDGES = register(
    Op(
        name="histogram_bin_edges",
        family="statistics",
        infer=_infer_edges,
        eager=_eager_edges,
        raises=True,
        no_gradient="the bins of a histogram are held fixed",
        examples=(
            Example(((2, 3),), {"bins": 4, "limits": (0.0, 1.0)}),
            Example(((5,),), {"bins": 1, "limits": (-1.0, 2.0)}, ("int32",)),
        ),
        doc="The edges of bins of equal width.",
    )
)


def _infer_histogram(
    x: TensorSpec, edges: TensorSpec, *weights: TensorSpec, uniform: bool
) -> TensorSpec:
    if edges.ndim != 1 or not edges.size:
        raise ShapeError(
            f"histogram: the edges have one axis and elements, not shape {edges.shape}"
        )
    for w in weights:
        if w.shape != x.shape:
            raise ShapeError(f"histogram: weights of shape {w.shape} do not fit shape {x.shape}")
        if w.dtype == dtypes.bool_:
            raise DTypeError("histogram: booleans are no weights, convert them with astype first")
    return TensorSpec(
        (edges.shape[0] - 1,), weights[0].dtype if weights else dtypes.int64, x.device
    )


def _eager_histogram(xp: Any, x: Any, edges: Any, *weights: Any, uniform: bool) -> Any:
    x, edges = ordered(x), ordered(edges)
    if uniform and xp is np and kernel.takes(x, edges, *weights):
        return kernel.count(x, edges, *weights)
    # By equal bins NumPy counts in one pass, by edges it sorts.
    bins = {"bins": edges.size - 1, "range": (edges[0], edges[-1])} if uniform else {"bins": edges}
    counts = xp.histogram(x, weights=weights[0] if weights else None, **bins)[0]
    return counts.astype(weights[0].dtype if weights else dtypes.int64, copy=False)


def _vjp_histogram(
    i: int, g: Tensor, out: Tensor, x: Tensor, edges: Tensor, *weights: Tensor, uniform: bool
) -> Tensor | None:
    if i != 2:
        return None
    n = edges.shape[0] - 1
    if not n:
        return zeros(x.shape, g.dtype)
    place = searchsorted(edges, x, side="right") - 1
    place = where(x == edges[-1], n - 1, place)
    inside = (place >= 0) & (place < n)
    return where(inside, take(g, where(inside, place, 0)), 0)


HISTOGRAM = register(
    Op(
        name="histogram",
        family="statistics",
        infer=_infer_histogram,
        eager=_eager_histogram,
        raises=True,
        vjp=_vjp_histogram,
        examples=(
            Example(((7,), (1,), (7,)), {"uniform": False}, ("int64", "float64", "float64")),
            Example(((7,), (1,)), {"uniform": False}, ("float32", "float32")),
        ),
        doc="How many elements, or what weights, fall between edges.",
    )
)


def histogram_bin_edges(
    x: ArrayLike,
    /,
    bins: int | str | ArrayLike = 10,
    range: tuple[float, float] | None = None,
    weights: ArrayLike | None = None,
) -> Tensor:
    """Return the edges of the bins that :func:`histogram` counts in; arguments as there.

    Examples
    --------
    >>> histogram_bin_edges([0.0, 1.0, 4.0], bins=4)
    Tensor([0., 1., 2., 3., 4.], dtype=float32)
    """
    x, bins = with_lists(x, bins)
    x = asarray(x)
    if isinstance(bins, str):
        data = x._concrete(f"bins={bins!r}, whose number depends on the data")
        edges = wrap(np.histogram_bin_edges(data, bins, range, weights))
        return edges.to_device(x.device)  # the number of bins is decided on the host
    if _is_count(bins):
        limits = None if range is None else (float(range[0]), float(range[1]))
        count = operator.index(cast(int, bins))
        if count < 1:
            raise ValueError(located(f"histogram: bins is {count}, it must be at least 1"))
        return bind(HISTOGRAM_BIN_EDGES, (x,), {"bins": count, "limits": limits})
    return asarray(bins)


def _is_count(bins: Any) -> bool:
    return not np.ndim(bins) if not isinstance(bins, Tensor) else not bins.ndim


def histogram(
    x: ArrayLike,
    /,
    bins: int | str | ArrayLike = 10,
    range: tuple[float, float] | None = None,
    density: bool = False,
    weights: ArrayLike | None = None,
) -> tuple[Tensor, Tensor]:
    """Count the elements that fall into each bin.

    Parameters
    ----------
    x : array-like
        The raveled elements are counted; NaN and what is outside of the bins is not.
    bins : int, str or array-like
        How many bins of equal width, NumPy's name of a rule for that, or the edges. A rule looks
        at the data: in a trace it ends tracing.
    range : pair of float, optional
        From where to where; left out, from the smallest to the largest element.
    density : bool
        Divide by the number of elements and the widths, so that the integral is 1.
    weights : array-like, optional
        What to add for each element instead of 1; they have gradients.

    Returns
    -------
    counts : Tensor
        Each bin holds its left edge, the last one both.
    edges : Tensor

    Raises
    ------
    ValueError
        For edges that do not increase, or a range that is not finite.

    Examples
    --------
    >>> histogram([1.0, 2.0, 2.0, 4.0], bins=3)
    (Tensor([1, 2, 1], dtype=int64), Tensor([1., 2., 3., 4.], dtype=float32))
    """
    x = asarray(x)
    edges = histogram_bin_edges(x, bins, range)
    uniform = isinstance(bins, str) or _is_count(bins)
    inputs: tuple[Tensor, ...] = (ravel(x), edges)
    if weights is not None:
        weights = asarray(weights)
        if weights.shape != x.shape:
            raise ShapeError(
                located(f"histogram: weights of shape {weights.shape} do not fit shape {x.shape}")
            )
        inputs = (*inputs, reshape(weights, (x.size,)))
    counts = bind(HISTOGRAM, inputs, {"uniform": uniform})
    if density:
        counts = counts / diff(edges).astype(dtypes.float64) / reduction.sum(counts)
    return counts, edges
