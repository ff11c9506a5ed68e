"""The largest and smallest elements along axes; whether any or all are not zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.op import Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops._axes import Axes, lead_axis, without
from hybrid.ops._methods import as_numpy, attach
from hybrid.ops.reduction.declare import (
    EMPTY_EXAMPLE,
    REDUCTION_EXAMPLES,
    Axis,
    folding,
    not_empty,
    restore,
)
from hybrid.ops.reduction.sums import sum


def _infer_extreme(name: str) -> Any:
    def infer(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
        # Where the result is empty too, there is nothing to be the maximum of nothing.
        if 0 in (x.shape[a] for a in axis) and 0 not in without(x.shape, axis, keepdims=False):
            not_empty(name, x, axis)
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
        lead=lead_axis,
        infer=_infer_extreme("max"),
        eager=lambda xp, x, *, axis, keepdims: xp.maximum.reduce(x, axis, None, None, keepdims),
        vjp=(_vjp_extreme,),
        reduce="max",
        examples=REDUCTION_EXAMPLES,
        doc="The largest element along axes; NaN where there is one.",
    )
)

MIN = register(
    Op(
        name="min",
        family="reduction",
        lead=lead_axis,
        infer=_infer_extreme("min"),
        eager=lambda xp, x, *, axis, keepdims: xp.minimum.reduce(x, axis, None, None, keepdims),
        vjp=(_vjp_extreme,),
        reduce="min",
        examples=REDUCTION_EXAMPLES,
        doc="The smallest element along axes; NaN where there is one.",
    )
)

_fold_max, _fold_min = folding(MAX, np.maximum), folding(MIN, np.minimum)


def max(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
    """Return the largest element along axes.

    A NaN among the elements is the result. In gradients, elements that tie share equally.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        Left out: all axes.
    keepdims : bool
        Keep the reduced axes with size 1.

    **options
        ``out``, ``where`` and ``initial``: as of :func:`numpy.max`.

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
    if options:
        return as_numpy(np.max, x, axis=axis, keepdims=keepdims, **options)
    return _fold_max(x, axis, keepdims)


def min(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
    """Return the smallest element along axes; as :func:`max`.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        All axes if it is left out.
    keepdims : bool
        Keep the axes, with size 1.
    **options
        `out`, `where` and `initial`, as NumPy takes them.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> min([[3.0, 1.0], [0.0, 2.0]], axis=1)
    Tensor([1., 0.], dtype=float32)
    """
    if options:
        return as_numpy(np.min, x, axis=axis, keepdims=keepdims, **options)
    return _fold_min(x, axis, keepdims)


def amax(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
    """NumPy's second name of :func:`max`.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        All axes if it is left out.
    keepdims : bool
        Keep the axes, with size 1.
    **options
        `out`, `where` and `initial`, as NumPy takes them.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> amax([1.0, 3.0, 2.0])
    Tensor(3., dtype=float32)
    """
    if options:
        return as_numpy(np.max, x, axis=axis, keepdims=keepdims, **options)
    return _fold_max(x, axis, keepdims)


def amin(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
    """NumPy's second name of :func:`min`.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        All axes if it is left out.
    keepdims : bool
        Keep the axes, with size 1.
    **options
        `out`, `where` and `initial`, as NumPy takes them.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> amin([1.0, 3.0, 2.0])
    Tensor(1., dtype=float32)
    """
    if options:
        return as_numpy(np.min, x, axis=axis, keepdims=keepdims, **options)
    return _fold_min(x, axis, keepdims)


# --- any, all -------------------------------------------------------------------------------------


def _infer_logical(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
    return TensorSpec(without(x.shape, axis, keepdims), dtypes.bool_, x.device)


ANY = register(
    Op(
        name="any",
        family="reduction",
        lead=lead_axis,
        infer=_infer_logical,
        eager=lambda xp, x, *, axis, keepdims: xp.logical_or.reduce(x, axis, None, None, keepdims),
        reduce="any",
        examples=(*REDUCTION_EXAMPLES, EMPTY_EXAMPLE),
        doc="Whether any element along axes is not zero.",
    )
)

ALL = register(
    Op(
        name="all",
        family="reduction",
        lead=lead_axis,
        infer=_infer_logical,
        eager=lambda xp, x, *, axis, keepdims: xp.logical_and.reduce(x, axis, None, None, keepdims),
        reduce="all",
        examples=(*REDUCTION_EXAMPLES, EMPTY_EXAMPLE),
        doc="Whether all elements along axes are not zero.",
    )
)

_fold_any, _fold_all = folding(ANY, np.logical_or), folding(ALL, np.logical_and)


def any(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
    """Tell whether any element along axes is not zero.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        All axes if it is left out.
    keepdims : bool
        Keep the axes, with size 1.
    **options
        `out`, `where` and `initial`, as NumPy takes them.

    Returns
    -------
    Tensor of bool

    Examples
    --------
    >>> any([[1.0, 0.0], [0.0, 0.0]], axis=1)
    Tensor([ True, False], dtype=bool)
    """
    if options:
        return as_numpy(np.any, x, axis=axis, keepdims=keepdims, **options)
    return _fold_any(x, axis, keepdims)


def all(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Tensor:
    """Tell whether all elements along axes are not zero.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        All axes if it is left out.
    keepdims : bool
        Keep the axes, with size 1.
    **options
        `out`, `where` and `initial`, as NumPy takes them.

    Returns
    -------
    Tensor of bool

    Examples
    --------
    >>> all([[1.0, 0.0], [2.0, 3.0]], axis=1)
    Tensor([False,  True], dtype=bool)
    """
    if options:
        return as_numpy(np.all, x, axis=axis, keepdims=keepdims, **options)
    return _fold_all(x, axis, keepdims)


attach(max=max, min=min, any=any, all=all)
