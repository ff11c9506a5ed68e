"""Scans along an axis: running sums, products, maxima and minima."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.dispatch import at_once, bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import AxisError
from hybrid.ops._axes import as_dtype, lead_axis, one_axis
from hybrid.ops._methods import as_numpy, attach
from hybrid.ops.creation import full, zeros
from hybrid.ops.elementwise.comparison import isnan
from hybrid.ops.elementwise.selection import where
from hybrid.ops.joining import concat
from hybrid.ops.permuting import moveaxis
from hybrid.ops.ranges import arange
from hybrid.ops.rearranging import pad
from hybrid.ops.reduction.declare import accumulator, eager_scan
from hybrid.ops.reshaping import reshape
from hybrid.ops.slicing import flip, narrow, split

_EXAMPLES = (
    Example(((3, 4),), {"axis": 0}),
    Example(((3, 4),), {"axis": 1}, ("int8",)),
    Example(((1, 0),), {"axis": 1}),
)


def shifted(x: Tensor, by: int, fill: Any) -> Tensor:
    """Move the last axis by some places towards its end; `fill` comes in."""
    kept = split(x, [max(x.shape[-1] - by, 0)], axis=-1)[0]
    added = x.shape[-1] - kept.shape[-1]
    return pad(kept, ((0, 0),) * (x.ndim - 1) + ((added, 0),), constant_values=fill)


# --- sums -----------------------------------------------------------------------------------------


CUMSUM = register(
    Op(
        name="cumsum",
        family="reduction",
        lead=lead_axis,
        infer=lambda x, *, axis: TensorSpec(x.shape, accumulator(x.dtype), x.device),
        eager=eager_scan("add"),
        scan="sum",
        vjp=(lambda g, out, x, *, axis: flip(cumsum(flip(g, axis), axis), axis),),
        examples=_EXAMPLES,
        doc="The running sum along an axis.",
    )
)


def _along(name: str, x: ArrayLike, axis: int | None, dtype: Any) -> tuple[Tensor, int]:
    x = asarray(x)
    x = x if dtype is None else x.astype(as_dtype(name, dtype), copy=False)
    if axis is None:
        return reshape(x, (x.size,)), 0
    return x, one_axis(name, axis, x.shape)


def _scan(op: Op, x: ArrayLike, axis: int | None, dtype: Any) -> Tensor:
    if axis is None and type(x) is Tensor and x.ndim == 1:
        axis = 0
    if dtype is None and type(axis) is int:
        made = at_once(op, x, {"axis": axis})
        if made is not None:
            return made
    x, axis = _along(op.name, x, axis, dtype)
    out = bind(op, (x,), {"axis": axis})
    return out if dtype is None else out.astype(dtype, copy=False)


def cumsum(
    x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None, out: Any = None
) -> Tensor:
    """Return the running sum along an axis, of the raveled array if `axis` is left out.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        The raveled array if it is left out.
    dtype : dtype, optional
        That of the result; integers are added in 64 bits.
    out : Tensor or ndarray, optional
        Which is filled.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> cumsum([1, 2, 3, 4])
    Tensor([ 1,  3,  6, 10], dtype=int64)
    """
    if out is not None:
        return as_numpy(np.cumsum, x, axis=axis, dtype=dtype, out=out)
    return _scan(CUMSUM, x, axis, dtype)


def cumulative_sum(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Return the running sum along an axis, by the rules of the Array API standard.

    Parameters
    ----------
    x : array-like
        Of at least one axis.
    axis : int, optional
        May be left out where `x` has one axis only.
    dtype : dtype, optional
        To add in and to return; left out, booleans and integers are added in 64 bits.
    include_initial : bool
        Put the sum of no elements, 0, first; the axis is longer by one then.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> cumulative_sum([1, 2, 3], include_initial=True)
    Tensor([0, 1, 3, 6], dtype=int64)
    """
    x = asarray(x)
    axis = _the_axis("cumulative_sum", x, axis)
    out = cumsum(x, axis, dtype=dtype)
    return _after_initial(out, axis, 0) if include_initial else out


def _the_axis(name: str, x: Tensor, axis: int | None) -> int:
    if axis is None and x.ndim != 1:
        raise AxisError(located(f"{name}: an array of shape {x.shape} needs the axis to be named"))
    return one_axis(name, 0 if axis is None else axis, x.shape)


def _after_initial(out: Tensor, axis: int, initial: int) -> Tensor:
    shape = (*out.shape[:axis], 1, *out.shape[axis + 1 :])
    return concat([full(shape, initial, dtype=out.dtype, device=out.device), out], axis=axis)


# --- products -------------------------------------------------------------------------------------


def _vjp_cumprod(g: Tensor, out: Tensor, x: Tensor, *, axis: int) -> Tensor:
    """Products only, no quotients, so that zeros have gradients.

    Element i gets (product of those before) * s_i, where s_i = g_i + x_(i+1) * s_(i+1); that
    recurrence is solved by doubling (Hillis and Steele, 1986).
    """
    g, x = moveaxis(g, axis, -1), moveaxis(x, axis, -1)
    before = shifted(cumprod(x, -1), 1, 1)
    total, factor = flip(g, -1), shifted(flip(x, -1), 1, 1)
    by = 1
    while by < x.shape[-1]:
        total = total + factor * shifted(total, by, 0)
        factor = factor * shifted(factor, by, 1)
        by *= 2
    return moveaxis(before * flip(total, -1), -1, axis)


CUMPROD = register(
    Op(
        name="cumprod",
        family="reduction",
        lead=lead_axis,
        infer=lambda x, *, axis: TensorSpec(x.shape, accumulator(x.dtype), x.device),
        eager=eager_scan("multiply"),
        scan="prod",
        vjp=(_vjp_cumprod,),
        examples=_EXAMPLES,
        doc="The running product along an axis.",
    )
)


def cumprod(
    x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None, out: Any = None
) -> Tensor:
    """Return the running product along an axis, of the raveled array if `axis` is left out.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        The raveled array if it is left out.
    dtype : dtype, optional
        That of the result; integers are multiplied in 64 bits.
    out : Tensor or ndarray, optional
        Which is filled.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> cumprod([1, 2, 3, 4])
    Tensor([ 1,  2,  6, 24], dtype=int64)
    """
    if out is not None:
        return as_numpy(np.cumprod, x, axis=axis, dtype=dtype, out=out)
    return _scan(CUMPROD, x, axis, dtype)


def cumulative_prod(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Return the running product along an axis; arguments as of :func:`cumulative_sum`.

    Examples
    --------
    >>> cumulative_prod([1, 2, 3], include_initial=True)
    Tensor([1, 1, 2, 6], dtype=int64)
    """
    x = asarray(x)
    axis = _the_axis("cumulative_prod", x, axis)
    out = cumprod(x, axis, dtype=dtype)
    return _after_initial(out, axis, 1) if include_initial else out


# --- maxima, minima -------------------------------------------------------------------------------


def _vjp_running(g: Tensor, out: Tensor, x: Tensor, *, axis: int) -> Tensor:
    """Give each gradient to the element that set the running extreme, the first of equal ones."""
    from hybrid.ops.indexing import index_update

    out, g = moveaxis(out, axis, -1), moveaxis(g, axis, -1)
    n, last = x.shape[axis], x.ndim - 1
    if not n:
        return g.reshape(x.shape)
    earlier, later = narrow(out, last, 0, n - 1), narrow(out, last, 1, n - 1)
    kept = (later == earlier) | isnan(earlier)
    sets = pad(~kept, ((0, 0),) * last + ((1, 0),), constant_values=True)
    source = bind(CUMMAX, (where(sets, arange(n), 0),), {"axis": last})
    rows = reshape(arange(out.size // n), (-1, 1))
    flat = zeros((out.size // n, n), g.dtype)
    index = rows, reshape(source, flat.shape)
    found = index_update(flat, reshape(g, flat.shape), index, (0, 1), 0, "add")
    return moveaxis(reshape(found, out.shape), -1, axis)


def _running(name: str, ufunc: str, what: str) -> Op:
    return register(
        Op(
            name=name,
            family="reduction",
            lead=lead_axis,
            infer=lambda x, *, axis: TensorSpec(x.shape, x.dtype, x.device),
            eager=lambda xp, x, *, axis: getattr(xp, ufunc).accumulate(x, axis=axis),
            scan=ufunc[:3],
            vjp=(_vjp_running,),
            examples=_EXAMPLES,
            doc=f"The {what} element so far, along an axis.",
        )
    )


CUMMAX = _running("cummax", "maximum", "largest")
CUMMIN = _running("cummin", "minimum", "smallest")


def cummax(x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the largest element so far along an axis, of the raveled array if it is left out.

    NumPy calls it ``maximum.accumulate``: after a NaN all is NaN. The gradient of several places
    goes to the first element that has the value.

    Parameters
    ----------
    x : array-like
    axis : int, optional
    dtype : dtype, optional
        To convert `x` to first.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> cummax([1, 3, 2])
    Tensor([1, 3, 3], dtype=int64)
    """
    x, axis = _along("cummax", x, axis, dtype)
    return bind(CUMMAX, (x,), {"axis": axis})


def cummin(x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the smallest element so far along an axis; as :func:`cummax`.

    Examples
    --------
    >>> cummin([3, 1, 2])
    Tensor([3, 1, 1], dtype=int64)
    """
    x, axis = _along("cummin", x, axis, dtype)
    return bind(CUMMIN, (x,), {"axis": axis})


attach(cumsum=cumsum, cumprod=cumprod)
