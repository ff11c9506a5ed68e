"""Reductions, and the scans and searches that run along axes."""

from __future__ import annotations

import builtins
from math import prod as _product
from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import Shape, TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor, asarray
from hybrid.dtypes import DType
from hybrid.errors import ShapeError
from hybrid.ops._axes import Axes, all_axes, as_dtype, one_axis, without
from hybrid.ops._methods import attach
from hybrid.ops.elementwise.arithmetic import sqrt
from hybrid.ops.elementwise.casting import conj
from hybrid.ops.elementwise.selection import where
from hybrid.ops.movement import broadcast_to, expand_dims, flip, moveaxis, reshape, split
from hybrid.ops.rearranging import pad

Axis = int | Axes | None

_REDUCTION_EXAMPLES = (
    Example(((3, 4),), {"axis": (0,), "keepdims": False}),
    Example(((2, 3, 4),), {"axis": (0, 2), "keepdims": True}),
    Example(((3, 4),), {"axis": (0, 1), "keepdims": False}),
    Example(((5,),), {"axis": (), "keepdims": False}),
    Example(((3, 4),), {"axis": (1,), "keepdims": False}, ("int32",)),
)
_EMPTY_EXAMPLE = Example(((0, 3),), {"axis": (0,), "keepdims": False})


def spread(g: Tensor, shape: Shape, axis: Axes, keepdims: bool) -> Tensor:
    """Broadcast a reduced `g` back over the axes that were reduced."""
    return broadcast_to(restore(g, axis, keepdims), shape)


def restore(reduced: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    """Put the reduced axes back with size 1."""
    return reduced if keepdims or not axis else expand_dims(reduced, axis)


# --- sum, prod ------------------------------------------------------------------------------------


def accumulator(dtype: DType) -> DType:
    """Return the dtype in which NumPy adds: 64 bits for booleans and integers."""
    if dtype.kind in "bi":
        return dtypes.int64
    return dtypes.uint64 if dtype.kind == "u" else dtype


def _infer_sum(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
    return TensorSpec(without(x.shape, axis, keepdims), accumulator(x.dtype), x.device)


SUM = register(
    Op(
        name="sum",
        family="reduction",
        infer=_infer_sum,
        eager=lambda xp, x, *, axis, keepdims: xp.add.reduce(
            x, axis=axis, keepdims=keepdims, dtype=accumulator(x.dtype)
        ),
        vjp=(lambda g, out, x, *, axis, keepdims: spread(g, x.shape, axis, keepdims),),
        reduce="sum",
        examples=(*_REDUCTION_EXAMPLES, _EMPTY_EXAMPLE),
        doc="The sum of elements along axes.",
    )
)


def sum(x: ArrayLike, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Add the elements along axes.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        Left out: all axes.
    dtype : dtype, optional
        To add in and to return; left out, booleans and integers are added in 64 bits.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor

    Raises
    ------
    AxisError
        For an axis that `x` does not have.

    Examples
    --------
    >>> sum([[1, 2], [3, 4]], axis=0)
    Tensor([4, 6], dtype=int64)
    """
    return _accumulate(SUM, x, axis, dtype, keepdims)


def _accumulate(op: Op, x: ArrayLike, axis: Axis, dtype: Any, keepdims: bool) -> Tensor:
    x = asarray(x)
    axes = all_axes(op.name, axis, x.shape)
    if dtype is None:
        return bind(op, (x,), {"axis": axes, "keepdims": keepdims})
    wanted = as_dtype(op.name, dtype)
    x = x.astype(wanted, copy=False)
    return bind(op, (x,), {"axis": axes, "keepdims": keepdims}).astype(wanted, copy=False)


def _vjp_prod(g: Tensor, out: Tensor, x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor:
    return spread(g, x.shape, axis, keepdims) * _product_of_others(x, axis)


def _product_of_others(x: Tensor, axis: Axes) -> Tensor:
    """Return for each element the product of the others along `axis`, without dividing."""
    places = tuple(range(x.ndim - len(axis), x.ndim))
    last = moveaxis(x, axis, places)
    rest = last.shape[: x.ndim - len(axis)]
    flat = reshape(last, (*rest, _product(x.shape[a] for a in axis)))
    others = _product_before(flat) * flip(_product_before(flip(flat, -1)), -1)
    return moveaxis(reshape(others, last.shape), places, axis)


def _product_before(x: Tensor) -> Tensor:
    """Return for each element of the last axis the product of those before it."""
    return _shifted(cumulative_prod(x, axis=-1), 1)


def _shifted(x: Tensor, by: int) -> Tensor:
    """Move the last axis by some places towards its end; ones come in."""
    kept = split(x, [builtins.max(x.shape[-1] - by, 0)], axis=-1)[0]
    added = x.shape[-1] - kept.shape[-1]
    return pad(kept, ((0, 0),) * (x.ndim - 1) + ((added, 0),), constant_values=1)


PROD = register(
    Op(
        name="prod",
        family="reduction",
        infer=_infer_sum,
        eager=lambda xp, x, *, axis, keepdims: xp.multiply.reduce(
            x, axis=axis, keepdims=keepdims, dtype=accumulator(x.dtype)
        ),
        vjp=(_vjp_prod,),
        reduce="prod",
        examples=(*_REDUCTION_EXAMPLES, _EMPTY_EXAMPLE),
        doc="The product of elements along axes.",
    )
)


def prod(
    x: ArrayLike, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False
) -> Tensor:
    """Multiply the elements along axes; arguments as of :func:`sum`."""
    return _accumulate(PROD, x, axis, dtype, keepdims)


# --- max, min -------------------------------------------------------------------------------------


def _not_empty(name: str, x: TensorSpec, axis: Axes) -> None:
    if 0 in (x.shape[a] for a in axis):
        raise ShapeError(f"{name}: shape {x.shape} has no elements along axis {axis}")


def _infer_extreme(name: str) -> Any:
    def infer(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
        # Where the result is empty too, there is nothing to be the maximum of nothing.
        if 0 not in without(x.shape, axis, keepdims=False):
            _not_empty(name, x, axis)
        return TensorSpec(without(x.shape, axis, keepdims), x.dtype, x.device)

    return infer


def _vjp_extreme(g: Tensor, out: Tensor, x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor:
    # Elements that tie share the gradient equally.
    chosen = (x == restore(out, axis, keepdims)).astype(g.dtype)
    share = restore(g, axis, keepdims) / sum(chosen, axis=axis, keepdims=True)
    return chosen * share


MAX = register(
    Op(
        name="max",
        family="reduction",
        infer=_infer_extreme("max"),
        eager=lambda xp, x, *, axis, keepdims: xp.maximum.reduce(x, axis=axis, keepdims=keepdims),
        vjp=(_vjp_extreme,),
        reduce="max",
        examples=_REDUCTION_EXAMPLES,
        doc="The largest element along axes; NaN where there is one.",
    )
)

MIN = register(
    Op(
        name="min",
        family="reduction",
        infer=_infer_extreme("min"),
        eager=lambda xp, x, *, axis, keepdims: xp.minimum.reduce(x, axis=axis, keepdims=keepdims),
        vjp=(_vjp_extreme,),
        reduce="min",
        examples=_REDUCTION_EXAMPLES,
        doc="The smallest element along axes; NaN where there is one.",
    )
)


def _reduce(op: Op, x: ArrayLike, axis: Axis, keepdims: bool) -> Tensor:
    x = asarray(x)
    return bind(op, (x,), {"axis": all_axes(op.name, axis, x.shape), "keepdims": keepdims})


def max(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the largest element along axes.

    A NaN among the elements is the result. In gradients, elements that tie share equally.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        Left out: all axes.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where there are no elements to choose from.

    Examples
    --------
    >>> max([[1, 2], [3, 0]], axis=1)
    Tensor([2, 3], dtype=int64)
    """
    return _reduce(MAX, x, axis, keepdims)


def min(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the smallest element along axes; as :func:`max`."""
    return _reduce(MIN, x, axis, keepdims)


def amax(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """NumPy's second name of :func:`max`."""
    return _reduce(MAX, x, axis, keepdims)


def amin(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """NumPy's second name of :func:`min`."""
    return _reduce(MIN, x, axis, keepdims)


# --- any, all -------------------------------------------------------------------------------------


def _infer_logical(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
    return TensorSpec(without(x.shape, axis, keepdims), dtypes.bool_, x.device)


ANY = register(
    Op(
        name="any",
        family="reduction",
        infer=_infer_logical,
        eager=lambda xp, x, *, axis, keepdims: xp.any(x, axis=axis, keepdims=keepdims),
        reduce="any",
        examples=(*_REDUCTION_EXAMPLES, _EMPTY_EXAMPLE),
        doc="Whether any element along axes is not zero.",
    )
)

ALL = register(
    Op(
        name="all",
        family="reduction",
        infer=_infer_logical,
        eager=lambda xp, x, *, axis, keepdims: xp.all(x, axis=axis, keepdims=keepdims),
        reduce="all",
        examples=(*_REDUCTION_EXAMPLES, _EMPTY_EXAMPLE),
        doc="Whether all elements along axes are not zero.",
    )
)


def any(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Tell whether any element along axes is not zero."""
    return _reduce(ANY, x, axis, keepdims)


def all(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Tell whether all elements along axes are not zero."""
    return _reduce(ALL, x, axis, keepdims)


def count_nonzero(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Count the elements along axes that are not zero."""
    x = asarray(x)
    return sum(x if x.dtype.kind == "b" else x != 0, axis=axis, keepdims=keepdims)


# --- mean, var, std -------------------------------------------------------------------------------


def _count(x: Tensor, axis: Axes) -> int:
    return _product(x.shape[a] for a in axis)


def _infer_mean(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
    dtype = x.dtype if dtypes.is_inexact(x.dtype) else dtypes.float64
    return TensorSpec(without(x.shape, axis, keepdims), dtype, x.device)


def _wide(dtype: DType) -> DType:
    """Return the dtype in which NumPy takes means of `dtype`."""
    if dtype in (dtypes.float16, dtypes.bfloat16):
        return dtypes.float32
    return dtype if dtypes.is_inexact(dtype) else dtypes.float64


def _eager_mean(xp: Any, x: Any, *, axis: Axes, keepdims: bool) -> Any:
    wide = _wide(x.dtype)
    out = xp.mean(x, axis=axis, keepdims=keepdims, dtype=wide)
    return out.astype(x.dtype) if dtypes.is_inexact(x.dtype) else out


def _expand_mean(x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor:
    total = sum(x.astype(_wide(x.dtype), copy=False), axis=axis, keepdims=keepdims)
    mean = total / _count(x, axis)
    return mean.astype(x.dtype, copy=False) if dtypes.is_inexact(x.dtype) else mean


MEAN = register(
    Op(
        name="mean",
        family="reduction",
        infer=_infer_mean,
        eager=_eager_mean,
        expand=_expand_mean,
        vjp=(
            lambda g, out, x, *, axis, keepdims: spread(
                g / _count(x, axis), x.shape, axis, keepdims
            ),
        ),
        examples=_REDUCTION_EXAMPLES,
        doc="The arithmetic mean along axes.",
    )
)


def mean(
    x: ArrayLike, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False
) -> Tensor:
    """Return the arithmetic mean along axes.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        Left out: all axes.
    dtype : dtype, optional
        To compute in and to return; left out, float64 for booleans and integers.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> mean([1.0, 2.0, 6.0])
    Tensor(3., dtype=float32)
    """
    x = asarray(x)
    return _reduce(MEAN, x if dtype is None else x.astype(dtype, copy=False), axis, keepdims)


def _infer_var(x: TensorSpec, *, axis: Axes, correction: float, keepdims: bool) -> TensorSpec:
    spec = _infer_mean(x, axis=axis, keepdims=keepdims)
    real = {"complex64": dtypes.float32, "complex128": dtypes.float64}.get(spec.dtype.name)
    return spec if real is None else TensorSpec(spec.shape, real, spec.device)


def _divisor(x: Tensor, axis: Axes, correction: float) -> float:
    left = _count(x, axis) - correction
    return left if left > 0 else 0


def _expand_var(x: Tensor, *, axis: Axes, correction: float, keepdims: bool) -> Tensor:
    wide = x.astype(_wide(x.dtype), copy=False)
    # Two passes: the squares of deviations from the mean do not cancel, sum(x * x) would.
    deviation = wide - _expand_mean(wide, axis=axis, keepdims=True)
    total = sum(deviation * deviation, axis=axis, keepdims=keepdims)
    var = total / _divisor(x, axis, correction)
    return var.astype(x.dtype, copy=False) if dtypes.is_inexact(x.dtype) else var


def _deviation(x: Tensor, axis: Axes) -> Tensor:
    """What the variance squares, conjugated where it is complex: the gradients' direction."""
    deviation = x - _reduce(MEAN, x, axis, keepdims=True)
    return conj(deviation) if deviation.dtype.kind == "c" else deviation


def _vjp_var(
    g: Tensor, out: Tensor, x: Tensor, *, axis: Axes, correction: float, keepdims: bool
) -> Tensor:
    scale = restore(g, axis, keepdims) * 2 / _divisor(x, axis, correction)
    return scale * _deviation(x, axis)


_VAR_EXAMPLES = (
    Example(((3, 4),), {"axis": (0,), "correction": 0, "keepdims": False}),
    Example(((2, 3, 4),), {"axis": (0, 2), "correction": 1, "keepdims": True}),
    Example(((3, 4),), {"axis": (1,), "correction": 0, "keepdims": False}, ("int32",)),
)


def _eager_var(
    xp: Any, x: Any, *, axis: Axes, correction: float, keepdims: bool, root: bool = False
) -> Any:
    function = xp.std if root else xp.var
    if x.dtype == dtypes.bfloat16:  # NumPy's own form does not know the dtype
        wide = function(x.astype(dtypes.float32), axis=axis, ddof=correction, keepdims=keepdims)
        return wide.astype(dtypes.bfloat16)
    return function(x, axis=axis, ddof=correction, keepdims=keepdims)


VAR = register(
    Op(
        name="var",
        family="reduction",
        infer=_infer_var,
        eager=_eager_var,
        expand=_expand_var,
        vjp=(_vjp_var,),
        examples=_VAR_EXAMPLES,
        doc="The variance along axes.",
    )
)


def _vjp_std(
    g: Tensor, out: Tensor, x: Tensor, *, axis: Axes, correction: float, keepdims: bool
) -> Tensor:
    # Where all elements are equal the deviation is 0; the subgradient 0 is taken there.
    root = restore(out, axis, keepdims)
    safe = where(root == 0, 1, root) * _divisor(x, axis, correction)
    return restore(g, axis, keepdims) / safe * _deviation(x, axis)


STD = register(
    Op(
        name="std",
        family="reduction",
        infer=_infer_var,
        eager=lambda xp, x, *, axis, correction, keepdims: _eager_var(
            xp, x, axis=axis, correction=correction, keepdims=keepdims, root=True
        ),
        expand=lambda x, *, axis, correction, keepdims: sqrt(
            _expand_var(x, axis=axis, correction=correction, keepdims=keepdims)
        ),
        vjp=(_vjp_std,),
        examples=_VAR_EXAMPLES,
        doc="The standard deviation along axes.",
    )
)


def _spread_of(
    op: Op, x: ArrayLike, axis: Axis, correction: float | None, ddof: float, keepdims: bool
) -> Tensor:
    x = asarray(x)
    attrs = {
        "axis": all_axes(op.name, axis, x.shape),
        "correction": ddof if correction is None else correction,
        "keepdims": keepdims,
    }
    return bind(op, (x,), attrs)


def var(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    correction: float | None = None,
    ddof: float = 0,
    keepdims: bool = False,
) -> Tensor:
    """Return the variance along axes.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        Left out: all axes.
    correction : float, optional
        What to subtract from the count before dividing by it.
    ddof : float
        NumPy's name of `correction`.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> var([1.0, 3.0], correction=1)
    Tensor(2., dtype=float32)
    """
    return _spread_of(VAR, x, axis, correction, ddof, keepdims)


def std(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    correction: float | None = None,
    ddof: float = 0,
    keepdims: bool = False,
) -> Tensor:
    """Return the standard deviation along axes; arguments as of :func:`var`."""
    return _spread_of(STD, x, axis, correction, ddof, keepdims)


# --- argmax, argmin -------------------------------------------------------------------------------


def _infer_arg(name: str) -> Any:
    def infer(x: TensorSpec, *, axis: int | None, keepdims: bool) -> TensorSpec:
        axes = tuple(range(x.ndim)) if axis is None else (axis,)
        _not_empty(name, x, axes)
        return TensorSpec(without(x.shape, axes, keepdims), dtypes.int64, x.device)

    return infer


_ARG_EXAMPLES = (
    Example(((3, 4),), {"axis": 1, "keepdims": False}),
    Example(((3, 4),), {"axis": None, "keepdims": True}),
)

ARGMAX = register(
    Op(
        name="argmax",
        family="reduction",
        infer=_infer_arg("argmax"),
        eager=lambda xp, x, *, axis, keepdims: xp.argmax(x, axis=axis, keepdims=keepdims),
        examples=_ARG_EXAMPLES,
        doc="Where the largest element along an axis is; the first of several.",
    )
)

ARGMIN = register(
    Op(
        name="argmin",
        family="reduction",
        infer=_infer_arg("argmin"),
        eager=lambda xp, x, *, axis, keepdims: xp.argmin(x, axis=axis, keepdims=keepdims),
        examples=_ARG_EXAMPLES,
        doc="Where the smallest element along an axis is; the first of several.",
    )
)


def _argument(op: Op, x: ArrayLike, axis: int | None, keepdims: bool) -> Tensor:
    x = asarray(x)
    where = None if axis is None else one_axis(op.name, axis, x.shape)
    return bind(op, (x,), {"axis": where, "keepdims": keepdims})


def argmax(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Return the index of the largest element, of the first one if several tie.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        Left out: the index into the raveled array.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> argmax([1, 5, 5])
    Tensor(1, dtype=int64)
    """
    return _argument(ARGMAX, x, axis, keepdims)


def argmin(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Return the index of the smallest element; arguments as of :func:`argmax`."""
    return _argument(ARGMIN, x, axis, keepdims)


# --- scans ----------------------------------------------------------------------------------------


CUMSUM = register(
    Op(
        name="cumsum",
        family="reduction",
        infer=lambda x, *, axis: TensorSpec(x.shape, accumulator(x.dtype), x.device),
        eager=lambda xp, x, *, axis: xp.cumsum(x, axis=axis, dtype=accumulator(x.dtype)),
        vjp=(lambda g, out, x, *, axis: flip(cumsum(flip(g, axis), axis), axis),),
        examples=(
            Example(((3, 4),), {"axis": 0}),
            Example(((3, 4),), {"axis": 1}, ("int8",)),
        ),
        doc="The running sum along an axis.",
    )
)


def _along(name: str, x: ArrayLike, axis: int | None, dtype: Any) -> tuple[Tensor, int]:
    x = asarray(x)
    x = x if dtype is None else x.astype(as_dtype(name, dtype), copy=False)
    if axis is None:
        return reshape(x, (x.size,)), 0
    return x, one_axis(name, axis, x.shape)


def cumsum(x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the running sum along an axis, of the raveled array if `axis` is left out."""
    x, axis = _along("cumsum", x, axis, dtype)
    out = bind(CUMSUM, (x,), {"axis": axis})
    return out if dtype is None else out.astype(dtype, copy=False)


def cumulative_sum(x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The Array API's name of :func:`cumsum`."""
    return cumsum(x, axis, dtype=dtype)


def cumprod(x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the running product along an axis, of the raveled array if `axis` is left out."""
    x, axis = _along("cumprod", x, axis, dtype)
    out = moveaxis(x, axis, -1).astype(accumulator(x.dtype), copy=False)
    by = 1
    while by < out.shape[-1]:  # Hillis and Steele: products only, so that zeros have gradients
        out = out * _shifted(out, by)
        by *= 2
    out = moveaxis(out, -1, axis)
    return out.astype(x.dtype if dtype is not None else out.dtype, copy=by == 1)


def cumulative_prod(x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The Array API's name of :func:`cumprod`."""
    return cumprod(x, axis, dtype=dtype)


attach(
    sum=sum,
    prod=prod,
    max=max,
    min=min,
    any=any,
    all=all,
    mean=mean,
    var=var,
    std=std,
    argmax=argmax,
    argmin=argmin,
    cumsum=cumsum,
    cumprod=cumprod,
)
