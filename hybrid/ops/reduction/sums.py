"""Sums and products along axes."""

from __future__ import annotations

from math import prod as _product
from typing import Any

import numpy as np

from hybrid.core.making import asarray
from hybrid.core.op import Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops._axes import Axes, as_dtype, lead_axis, without
from hybrid.ops._methods import as_numpy, attach
from hybrid.ops.permuting import moveaxis
from hybrid.ops.reduction.declare import (
    EMPTY_EXAMPLE,
    REDUCTION_EXAMPLES,
    Axis,
    accumulator,
    eager_sum,
    folding,
    reduce,
    spread,
)
from hybrid.ops.reduction.scans import cumprod, shifted
from hybrid.ops.reshaping import reshape
from hybrid.ops.slicing import flip


def _infer_sum(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
    return TensorSpec(without(x.shape, axis, keepdims), accumulator(x.dtype), x.device)


SUM = register(
    Op(
        name="sum",
        family="reduction",
        lead=lead_axis,
        infer=_infer_sum,
        eager=eager_sum("add"),
        vjp=(lambda g, out, x, *, axis, keepdims: spread(g, x.shape, axis, keepdims),),
        reduce="sum",
        examples=(*REDUCTION_EXAMPLES, EMPTY_EXAMPLE),
        doc="The sum of elements along axes.",
    )
)

_fold_sum = folding(SUM, np.add)


def sum(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    dtype: Any = None,
    keepdims: bool = False,
    **options: Any,
) -> Tensor:
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

    **options
        ``out``, ``where`` and ``initial``: as of :func:`numpy.sum`.

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
    if options:
        return as_numpy(np.sum, x, axis=axis, dtype=dtype, keepdims=keepdims, **options)
    if dtype is None:
        return _fold_sum(x, axis, keepdims)
    return accumulate(SUM, x, axis, dtype, keepdims)


def accumulate(op: Op, x: ArrayLike, axis: Axis, dtype: Any, keepdims: bool) -> Tensor:
    wanted = as_dtype(op.name, dtype)
    x = asarray(x).astype(wanted, copy=False)
    return reduce(op, x, axis, keepdims).astype(wanted, copy=False)


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
    return shifted(cumprod(x, -1), 1, 1)


PROD = register(
    Op(
        name="prod",
        family="reduction",
        lead=lead_axis,
        infer=_infer_sum,
        eager=eager_sum("multiply"),
        vjp=(_vjp_prod,),
        reduce="prod",
        examples=(*REDUCTION_EXAMPLES, EMPTY_EXAMPLE),
        doc="The product of elements along axes.",
    )
)

_fold_prod = folding(PROD, np.multiply)


def prod(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    dtype: Any = None,
    keepdims: bool = False,
    **options: Any,
) -> Tensor:
    """Multiply the elements along axes; arguments as of :func:`sum`.

    Examples
    --------
    >>> prod([[1, 2], [3, 4]], axis=1)
    Tensor([ 2, 12], dtype=int64)
    """
    if options:
        return as_numpy(np.prod, x, axis=axis, dtype=dtype, keepdims=keepdims, **options)
    if dtype is None:
        return _fold_prod(x, axis, keepdims)
    return accumulate(PROD, x, axis, dtype, keepdims)


attach(sum=sum, prod=prod)
