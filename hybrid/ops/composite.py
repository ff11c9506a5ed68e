"""Ops with a direct form of their own that are also written with simpler ops, for fusion."""

from __future__ import annotations

from typing import Any

from hybrid import dtypes
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.dtypes import DType
from hybrid.ops._axes import Axes, all_axes, lead_axis, without
from hybrid.ops.elementwise.arithmetic import reciprocal
from hybrid.ops.elementwise.comparison import isfinite
from hybrid.ops.elementwise.exponential import exp, log
from hybrid.ops.elementwise.selection import where
from hybrid.ops.reduction import Axis, max, restore, sum
from hybrid.ops.reduction.blocks import blocked
from hybrid.ops.reshaping import reshape


def _wide(xp: Any, x: Any) -> Any:
    """Return `x` in the dtype to compute in: float16 and bfloat16 are summed in float32."""
    return x.astype(_computed(x.dtype), copy=False)


def _computed(dtype: DType) -> DType:
    wanted = dtypes.to_inexact(dtype)
    return dtypes.float32 if wanted.itemsize == 2 else wanted


def _infer_same(x: TensorSpec, *, axis: Axes) -> TensorSpec:
    return TensorSpec(x.shape, dtypes.to_inexact(x.dtype), x.device)


_EXAMPLES = (
    Example(((3, 4),), {"axis": (1,)}),
    Example(((2, 3, 4),), {"axis": (0, 2)}),
    Example(((3, 4),), {"axis": (0,)}, ("int32",)),
)

# --- softmax --------------------------------------------------------------------------------------

# One division for each sum, which is at least 1, instead of one for each number: at most a unit in
# the last place more of error.


def _eager_softmax(xp: Any, x: Any, *, axis: Axes) -> Any:
    out = _wide(xp, x)
    if not out.size:
        return xp.array(out, dtype=dtypes.to_inexact(x.dtype))
    out = xp.exp(out - out.max(axis=axis, keepdims=True))
    out *= 1 / out.sum(axis=axis, keepdims=True)
    return out.astype(dtypes.to_inexact(x.dtype), copy=False)


def _expand_softmax(x: Tensor, *, axis: Axes) -> Tensor:
    wide = x.astype(_computed(x.dtype), copy=False)
    if wide.size:
        power = exp(wide - max(wide, axis=axis, keepdims=True))
        wide = power * reciprocal(sum(power, axis=axis, keepdims=True))
    return wide.astype(dtypes.to_inexact(x.dtype), copy=False)


def _sweep_exp(x: Tensor, axis: Axes) -> tuple[Tensor, Tensor] | None:
    """Return maximum and sum of the exponentials above it, from those of blocks.

    Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
    """
    cut = blocked(x, axis)
    if cut is None:
        return None
    tops = max(cut.x, axis=cut.inner, keepdims=True)
    sums = sum(exp(cut.x - _finite(tops)), axis=cut.inner, keepdims=True)
    top = _finite(max(tops, axis=cut.outer, keepdims=True))
    total = sum(sums * exp(_finite(tops) - top), axis=cut.outer, keepdims=True)
    return reshape(top, cut.kept), reshape(total, cut.kept)


def _finite(top: Tensor) -> Tensor:
    """Return 0 for what must not be subtracted from itself."""
    return where(isfinite(top), top, 0)


def _sweep_softmax(x: Tensor, *, axis: Axes) -> Tensor | None:
    wide = x.astype(_computed(x.dtype), copy=False)
    found = _sweep_exp(wide, axis)
    if found is None:
        return None
    top, total = found
    return (exp(wide - top) * reciprocal(total)).astype(dtypes.to_inexact(x.dtype), copy=False)


SOFTMAX = register(
    Op(
        name="softmax",
        family="composite",
        lead=lead_axis,
        infer=_infer_same,
        eager=_eager_softmax,
        expand=_expand_softmax,
        sweep=_sweep_softmax,
        vjp=(lambda g, out, x, *, axis: out * (g - sum(g * out, axis=axis, keepdims=True)),),
        examples=_EXAMPLES,
        doc="Exponentials along axes, scaled to sum to 1.",
    )
)


def softmax(x: ArrayLike, /, axis: Axis = -1) -> Tensor:
    """Return the exponentials along an axis, scaled to sum to 1.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int

    Returns
    -------
    Tensor

    Examples
    --------
    >>> softmax([0.0, 0.0])
    Tensor([0.5, 0.5], dtype=float32)
    """
    x = asarray(x)
    return bind(SOFTMAX, (x,), {"axis": all_axes("softmax", axis, x.shape)})


# --- log_softmax ----------------------------------------------------------------------------------


def _eager_log_softmax(xp: Any, x: Any, *, axis: Axes) -> Any:
    out = _wide(xp, x)
    if out.size:
        out = out - out.max(axis=axis, keepdims=True)
        out = out - xp.log(xp.exp(out).sum(axis=axis, keepdims=True))
    return xp.array(out, dtype=dtypes.to_inexact(x.dtype))


def _expand_log_softmax(x: Tensor, *, axis: Axes) -> Tensor:
    wide = x.astype(_computed(x.dtype), copy=False)
    if wide.size:
        wide = wide - max(wide, axis=axis, keepdims=True)
        wide = wide - log(sum(exp(wide), axis=axis, keepdims=True))
    return wide.astype(dtypes.to_inexact(x.dtype), copy=False)


def _sweep_log_softmax(x: Tensor, *, axis: Axes) -> Tensor | None:
    wide = x.astype(_computed(x.dtype), copy=False)
    found = _sweep_exp(wide, axis)
    if found is None:
        return None
    top, total = found
    return ((wide - top) - log(total)).astype(dtypes.to_inexact(x.dtype), copy=False)


LOG_SOFTMAX = register(
    Op(
        name="log_softmax",
        family="composite",
        lead=lead_axis,
        infer=_infer_same,
        eager=_eager_log_softmax,
        expand=_expand_log_softmax,
        sweep=_sweep_log_softmax,
        vjp=(lambda g, out, x, *, axis: g - exp(out) * sum(g, axis=axis, keepdims=True),),
        examples=_EXAMPLES,
        doc="The logarithm of softmax.",
    )
)


def log_softmax(x: ArrayLike, /, axis: Axis = -1) -> Tensor:
    """Return the logarithm of :func:`softmax`, without its overflow and underflow.

    Parameters
    ----------
    x : array-like
    axis : int or tuple of int, optional
        All axes if it is None.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> log_softmax([0.0, 0.0])
    Tensor([-0.6931472, -0.6931472], dtype=float32)
    """
    x = asarray(x)
    return bind(LOG_SOFTMAX, (x,), {"axis": all_axes("log_softmax", axis, x.shape)})


# --- logsumexp ------------------------------------------------------------------------------------


def _infer_logsumexp(x: TensorSpec, *, axis: Axes, keepdims: bool) -> TensorSpec:
    dtype = dtypes.to_inexact(x.dtype)
    return TensorSpec(without(x.shape, axis, keepdims), dtype, x.device)


def _eager_logsumexp(xp: Any, x: Any, *, axis: Axes, keepdims: bool) -> Any:
    wide = _wide(xp, x)
    top = xp.max(wide, axis=axis, keepdims=True, initial=-xp.inf)
    top = xp.where(xp.isfinite(top), top, 0)  # where all are -inf, or one is inf
    with xp.errstate(divide="ignore"):
        out = xp.log(xp.exp(wide - top).sum(axis=axis, keepdims=True)) + top
    out = out if keepdims else out.squeeze(axis)
    return xp.asarray(out).astype(dtypes.to_inexact(x.dtype))


def _expand_logsumexp(x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor:
    from hybrid.ops.unit_axes import squeeze

    wide = x.astype(_computed(x.dtype), copy=False)
    if wide.size:
        top = max(wide, axis=axis, keepdims=True)
        top = where(isfinite(top), top, 0)
        out = log(sum(exp(wide - top), axis=axis, keepdims=True)) + top
    else:
        out = log(sum(wide, axis=axis, keepdims=True))
    out = out if keepdims or not axis else squeeze(out, axis)
    return out.astype(dtypes.to_inexact(x.dtype), copy=False)


def _sweep_logsumexp(x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor | None:
    found = _sweep_exp(x.astype(_computed(x.dtype), copy=False), axis)
    if found is None:
        return None
    top, total = found
    out = reshape(log(total) + top, without(x.shape, axis, keepdims))
    return out.astype(dtypes.to_inexact(x.dtype), copy=False)


def _vjp_logsumexp(g: Tensor, out: Tensor, x: Tensor, *, axis: Axes, keepdims: bool) -> Tensor:
    total = restore(out, axis, keepdims)
    total = where(total == -float("inf"), 0, total)
    return restore(g, axis, keepdims) * exp(x - total)


LOGSUMEXP = register(
    Op(
        name="logsumexp",
        family="composite",
        lead=lead_axis,
        infer=_infer_logsumexp,
        eager=_eager_logsumexp,
        expand=_expand_logsumexp,
        sweep=_sweep_logsumexp,
        vjp=(_vjp_logsumexp,),
        examples=(
            Example(((3, 4),), {"axis": (1,), "keepdims": False}),
            Example(((2, 3, 4),), {"axis": (0, 2), "keepdims": True}),
            Example(((3, 4),), {"axis": (0, 1), "keepdims": False}, ("int32",)),
        ),
        doc="The logarithm of the sum of exponentials along axes.",
    )
)


def logsumexp(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the logarithm of the sum of exponentials, without overflow.

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

    Examples
    --------
    >>> logsumexp([1000.0, 1000.0])
    Tensor(1000.6932, dtype=float32)
    """
    x = asarray(x)
    attrs = {"axis": all_axes("logsumexp", axis, x.shape), "keepdims": keepdims}
    return bind(LOGSUMEXP, (x,), attrs)
