"""Mean, variance and standard deviation along axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.dispatch import at_once, bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.dtypes import DType
from hybrid.kernels.shortway import Way
from hybrid.ops import _shortways
from hybrid.ops._axes import Axes, all_axes, as_dtype, lead_axis, without
from hybrid.ops._methods import as_numpy, attach
from hybrid.ops.elementwise.arithmetic import sqrt
from hybrid.ops.elementwise.complex_parts import conj
from hybrid.ops.elementwise.selection import maximum, where
from hybrid.ops.reduction.blocks import blocked
from hybrid.ops.reduction.declare import REDUCTION_EXAMPLES, Axis, count, reduce, restore, spread
from hybrid.ops.reduction.sums import sum
from hybrid.ops.reshaping import reshape
from hybrid.ops.sizes import divided


def _infer_mean(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
    dtype = x.dtype if dtypes.is_inexact(x.dtype) else dtypes.float64
    return TensorSpec(without(x.shape, axis, keepdims), dtype, x.device)


def _wide(dtype: DType) -> DType:
    """Return the dtype in which NumPy takes means of `dtype`."""
    if dtypes.is_half(dtype):
        return dtypes.float32
    return dtype if dtypes.is_inexact(dtype) else dtypes.float64


_EXACT = 2**24
"""Up to this count float32 divides as NumPy does, which rounds a quotient of float64."""


def _eager_mean(xp: Any, x: Any, *, axis: Axes, keepdims: bool) -> Any:
    n = count(x.shape, axis)
    if x.dtype.kind == "f" and not dtypes.is_half(x.dtype) and 0 < n < _EXACT:
        # What xp.mean does, in a third of the time for small arrays.
        return xp.add.reduce(x, axis, None, None, keepdims) / n
    wide = _wide(x.dtype)
    out = xp.mean(x, axis=axis, keepdims=keepdims, dtype=wide)
    return out.astype(x.dtype) if dtypes.is_inexact(x.dtype) else out


def _expand_mean(x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor:
    total = sum(x.astype(_wide(x.dtype), copy=False), axis=axis, keepdims=keepdims)
    mean = divided(total, count(x.shape, axis))
    return mean.astype(x.dtype, copy=False) if dtypes.is_inexact(x.dtype) else mean


def _sweep_mean(x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor | None:
    """Add up blocks, as :func:`_sweep_var` does beside it."""
    cut = blocked(x.astype(_wide(x.dtype), copy=False), axis)
    if cut is None:
        return None
    total = sum(sum(cut.x, axis=cut.inner, keepdims=True), axis=cut.outer, keepdims=True)
    mean = divided(total, count(x.shape, axis))
    mean = mean.astype(x.dtype, copy=False) if dtypes.is_inexact(x.dtype) else mean
    return reshape(mean, without(x.shape, axis, keepdims))


MEAN = register(
    Op(
        name="mean",
        family="reduction",
        lead=lead_axis,
        infer=_infer_mean,
        eager=_eager_mean,
        expand=_expand_mean,
        sweep=_sweep_mean,
        vjp=(
            lambda g, out, x, *, axis, keepdims: spread(
                divided(g, count(x.shape, axis)), x.shape, axis, keepdims
            ),
        ),
        examples=REDUCTION_EXAMPLES,
        doc="The arithmetic mean along axes.",
    )
)


_short_sum: Callable[[Any, Axis, bool], Tensor | None] | None = None
_shortways.in_module(Way("sum of a mean", "function of an axis", np.add), globals(), "_short_sum")


def mean(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    dtype: Any = None,
    keepdims: bool = False,
    **options: Any,
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

    **options
        ``out``, ``where``: as of :func:`numpy.mean`.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> mean([1.0, 2.0, 6.0])
    Tensor(3., dtype=float32)
    """
    if options:
        return as_numpy(np.mean, x, axis=axis, dtype=dtype, keepdims=keepdims, **options)
    if dtype is None:
        if _short_sum is not None and (total := _short_sum(x, axis, keepdims)) is not None:
            data = total._data
            if data.dtype.char in "fd":  # as _eager_mean does
                found: Tensor = total / (x._data.size // data.size)  # type: ignore[union-attr]
                return found
        return reduce(MEAN, x, axis, keepdims)
    wanted = as_dtype("mean", dtype)
    return reduce(MEAN, asarray(x).astype(wanted, copy=False), axis, keepdims).astype(wanted)


def _infer_var(x: TensorSpec, *, axis: Axes, correction: float, keepdims: bool) -> TensorSpec:
    spec = _infer_mean(x, axis=axis, keepdims=keepdims)
    real = {"complex64": dtypes.float32, "complex128": dtypes.float64}.get(spec.dtype.name)
    return spec if real is None else TensorSpec(spec.shape, real, spec.device)


def _divisor(x: Tensor, axis: Axes, correction: float) -> float:
    left = count(x.shape, axis) - correction
    return left if left > 0 else 0


def _expand_var(x: Tensor, *, axis: Axes, correction: float, keepdims: bool) -> Tensor:
    wide = x.astype(_wide(x.dtype), copy=False)
    # Two passes: the squares of deviations from the mean do not cancel, sum(x * x) would.
    deviation = wide - _expand_mean(wide, axis=axis, keepdims=True)
    total = sum(deviation * deviation, axis=axis, keepdims=keepdims)
    var = divided(total, _divisor(x, axis, correction))
    return var.astype(x.dtype, copy=False) if dtypes.is_inexact(x.dtype) else var


def _sweep_var(x: Tensor, *, axis: Axes, correction: float, keepdims: bool) -> Tensor | None:
    """Combine the moments of blocks: Chan, Golub and LeVeque, "Updating formulae", 1979.

    Means are rounded. So the deviations from that of a block have a sum, and those from the mean of
    all; with these sums the squares are corrected, as in the same authors' two-pass algorithm.
    """
    cut = blocked(x.astype(_wide(x.dtype), copy=False), axis)
    if cut is None:
        return None
    n = count(x.shape, axis)
    total = sum(cut.x, axis=cut.inner, keepdims=True)
    centre = divided(total, cut.size)
    deviation = cut.x - centre
    squares = sum(deviation * deviation, axis=cut.inner, keepdims=True)
    left = sum(deviation, axis=cut.inner, keepdims=True)
    apart = centre - divided(sum(total, axis=cut.outer, keepdims=True), n)
    moved = apart * cut.size
    squares = sum(squares + apart * (moved + left * 2), axis=cut.outer, keepdims=True)
    left = sum(left + moved, axis=cut.outer, keepdims=True)
    squares = maximum(squares - left * divided(left, n), 0)
    var = divided(squares, _divisor(x, axis, correction))
    var = var.astype(x.dtype, copy=False) if dtypes.is_inexact(x.dtype) else var
    return reshape(var, without(x.shape, axis, keepdims))


def _sweep_std(x: Tensor, *, axis: Axes, correction: float, keepdims: bool) -> Tensor | None:
    var = _sweep_var(x, axis=axis, correction=correction, keepdims=keepdims)
    return None if var is None else sqrt(var)


def _deviation(x: Tensor, axis: Axes) -> Tensor:
    """What the variance squares, conjugated where it is complex: the gradients' direction."""
    deviation = x - reduce(MEAN, x, axis, keepdims=True)
    return conj(deviation) if deviation.dtype.kind == "c" else deviation


def _vjp_var(
    g: Tensor, out: Tensor, x: Tensor, *, axis: Axes, correction: float, keepdims: bool
) -> Tensor:
    scale = divided(restore(g, axis, keepdims) * 2, _divisor(x, axis, correction))
    return scale * _deviation(x, axis)


_VAR_EXAMPLES = (
    Example(((3, 4),), {"axis": (0,), "correction": 0, "keepdims": False}),
    Example(((2, 3, 4),), {"axis": (0, 2), "correction": 1, "keepdims": True}),
    Example(((3, 4),), {"axis": (1,), "correction": 0, "keepdims": False}, ("int32",)),
)


def _eager_var(
    xp: Any, x: Any, *, axis: Axes, correction: float, keepdims: bool, root: bool = False
) -> Any:
    n = count(x.shape, axis)
    if x.dtype.kind == "f" and not dtypes.is_half(x.dtype) and correction < n < _EXACT:
        deviation = x - _eager_mean(xp, x, axis=axis, keepdims=True)
        deviation *= deviation
        found = xp.add.reduce(deviation, axis, None, None, keepdims) / (n - correction)
        return xp.sqrt(found) if root else found
    function = xp.std if root else xp.var
    if dtypes.is_half(x.dtype):  # in which NumPy would square and add
        wide = function(x.astype(dtypes.float32), axis=axis, ddof=correction, keepdims=keepdims)
        return wide.astype(x.dtype)
    return function(x, axis=axis, ddof=correction, keepdims=keepdims)


VAR = register(
    Op(
        name="var",
        family="reduction",
        lead=lead_axis,
        infer=_infer_var,
        eager=_eager_var,
        expand=_expand_var,
        sweep=_sweep_var,
        vjp=(_vjp_var,),
        examples=_VAR_EXAMPLES,
        doc="The variance along axes.",
    )
)


def _vjp_std(
    g: Tensor, out: Tensor, x: Tensor, *, axis: Axes, correction: float, keepdims: bool
) -> Tensor:
    # Where all elements are equal the deviation is 0; the subgradient 0 is taken there, and for all
    # that moves it: divided by infinity it has no slope.
    root = restore(out, axis, keepdims)
    share = divided(restore(g, axis, keepdims), _divisor(x, axis, correction))
    return share / where(root == 0, math.inf, root) * _deviation(x, axis)


STD = register(
    Op(
        name="std",
        family="reduction",
        lead=lead_axis,
        infer=_infer_var,
        eager=lambda xp, x, *, axis, correction, keepdims: _eager_var(
            xp, x, axis=axis, correction=correction, keepdims=keepdims, root=True
        ),
        expand=lambda x, *, axis, correction, keepdims: sqrt(
            _expand_var(x, axis=axis, correction=correction, keepdims=keepdims)
        ),
        sweep=_sweep_std,
        vjp=(_vjp_std,),
        examples=_VAR_EXAMPLES,
        doc="The standard deviation along axes.",
    )
)


def _spread_of(
    op: Op, x: ArrayLike, axis: Axis, correction: float | None, ddof: float, keepdims: bool
) -> Tensor:
    attrs = {
        "axis": axis,
        "correction": ddof if correction is None else correction,
        "keepdims": keepdims,
    }
    if axis is None or type(axis) is int:
        made = at_once(op, x, attrs)
        if made is not None:
            return made
    x = asarray(x)
    return bind(op, (x,), attrs | {"axis": all_axes(op.name, axis, x.shape)})


def var(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    correction: float | None = None,
    ddof: float = 0,
    keepdims: bool = False,
    **options: Any,
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

    **options
        ``out``, ``where``: as of :func:`numpy.var`.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> var([1.0, 3.0], correction=1)
    Tensor(2., dtype=float32)
    """
    if options:
        options["ddof"] = ddof if correction is None else correction
        return as_numpy(np.var, x, axis=axis, keepdims=keepdims, **options)
    return _spread_of(VAR, x, axis, correction, ddof, keepdims)


def std(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    correction: float | None = None,
    ddof: float = 0,
    keepdims: bool = False,
    **options: Any,
) -> Tensor:
    """Return the standard deviation along axes; arguments as of :func:`var`.

    Examples
    --------
    >>> std([1.0, 2.0, 3.0, 4.0])
    Tensor(1.118034, dtype=float32)
    """
    if options:
        options["ddof"] = ddof if correction is None else correction
        return as_numpy(np.std, x, axis=axis, keepdims=keepdims, **options)
    return _spread_of(STD, x, axis, correction, ddof, keepdims)


attach(mean=mean, var=var, std=std)
