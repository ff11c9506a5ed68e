"""Reductions that leave NaN out, and the replacement of NaN and infinities."""

from __future__ import annotations

from typing import Any

from hybrid import dtypes
from hybrid.core.asking import has_contents
from hybrid.core.devices import CPU
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import warn_user
from hybrid.core.spec import TensorSpec
from hybrid.core.state import state
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops import reduction
from hybrid.ops._axes import lead_axis, one_axis, without
from hybrid.ops.data_types import finfo
from hybrid.ops.elementwise import astype, conj, imag, isnan, real, sqrt, where
from hybrid.ops.inplace import write
from hybrid.ops.ordering import ordered
from hybrid.ops.reduction import Axis
from hybrid.ops.reduction.declare import not_empty
from hybrid.ops.searching import batch_place


def _filled(x: Tensor, value: Any) -> Tensor:
    """Return `x` with `value` in the places of NaN."""
    return where(isnan(x), value, x) if dtypes.is_inexact(x.dtype) else x


def _present(x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    """Count the elements that are not NaN."""
    return reduction.sum(~isnan(x), axis=axis, keepdims=keepdims)


def nansum(
    x: ArrayLike, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False
) -> Tensor:
    """Add the elements along axes that are not NaN; arguments as of :func:`sum`.

    Examples
    --------
    >>> nansum([1.0, float("nan"), 2.0])
    Tensor(3., dtype=float32)
    """
    return reduction.sum(_filled(asarray(x), 0), axis=axis, dtype=dtype, keepdims=keepdims)


def nanprod(
    x: ArrayLike, /, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False
) -> Tensor:
    """Multiply the elements along axes that are not NaN; arguments as of :func:`prod`.

    Examples
    --------
    >>> nanprod([2.0, float("nan"), 3.0])
    Tensor(6., dtype=float32)
    """
    return reduction.prod(_filled(asarray(x), 1), axis=axis, dtype=dtype, keepdims=keepdims)


def nancumsum(x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the running sum along an axis, NaN counted as 0; arguments as of :func:`cumsum`.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        The raveled array if it is left out.
    dtype : dtype, optional

    Returns
    -------
    Tensor

    Examples
    --------
    >>> nancumsum([1.0, float("nan"), 3.0])
    Tensor([1., 1., 4.], dtype=float32)
    """
    return reduction.cumsum(_filled(asarray(x), 0), axis, dtype=dtype)


def nancumprod(x: ArrayLike, /, axis: int | None = None, *, dtype: Any = None) -> Tensor:
    """Return the running product along an axis, NaN counted as 1; as :func:`cumprod`.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        The raveled array if it is left out.
    dtype : dtype, optional

    Returns
    -------
    Tensor

    Examples
    --------
    >>> nancumprod([1.0, float("nan"), 3.0])
    Tensor([1., 1., 3.], dtype=float32)
    """
    return reduction.cumprod(_filled(asarray(x), 1), axis, dtype=dtype)


# --- extremes -------------------------------------------------------------------------------------


def nanmax(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the largest element along axes that is not NaN; NaN where there is none.

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
    >>> nanmax([1.0, float("nan"), 2.0])
    Tensor(2., dtype=float32)
    """
    return _extreme(reduction.max, -float("inf"), asarray(x), axis, keepdims)


def nanmin(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the smallest element along axes that is not NaN; as :func:`nanmax`.

    Examples
    --------
    >>> nanmin([1.0, float("nan"), 2.0])
    Tensor(1., dtype=float32)
    """
    return _extreme(reduction.min, float("inf"), asarray(x), axis, keepdims)


def _extreme(reduce: Any, fill: float, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    found: Tensor = reduce(_filled(x, fill), axis=axis, keepdims=keepdims)
    if not dtypes.is_inexact(x.dtype):
        return found
    nothing = reduction.all(isnan(x), axis=axis, keepdims=keepdims)
    _warn(_ALL_NAN, nothing)
    return where(nothing, float("nan"), found)


def _declare(name: str) -> Op:
    def infer(x: TensorSpec, *, axis: int | None, keepdims: bool) -> TensorSpec:
        axes = tuple(range(x.ndim)) if axis is None else (axis,)
        not_empty(name, x, axes)
        return TensorSpec(without(x.shape, axes, keepdims), dtypes.int64, x.device)

    def eager(xp: Any, x: Any, *, axis: int | None, keepdims: bool) -> Any:
        return getattr(xp, name)(ordered(x), axis=axis, keepdims=keepdims)

    return register(
        Op(
            name=name,
            family="statistics",
            lead=lead_axis,
            batch=batch_place,
            infer=infer,
            eager=eager,
            raises=True,
            examples=(
                Example(((3, 4),), {"axis": 1, "keepdims": False}, ("float64",)),
                Example(((3, 4),), {"axis": None, "keepdims": True}, ("int32",)),
            ),
            doc=f"Where the {name[3:]} along an axis is, NaN left out.",
        )
    )


_NANARGMAX, _NANARGMIN = _declare("nanargmax"), _declare("nanargmin")


def nanargmax(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Return the index of the largest element that is not NaN; arguments as of :func:`argmax`.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        The raveled array if it is left out.
    keepdims : bool
        Keep the axes, with size 1.

    Returns
    -------
    Tensor of int64

    Raises
    ------
    ValueError
        Where all elements are NaN.

    Examples
    --------
    >>> nanargmax([float("nan"), 2.0, 1.0])
    Tensor(1, dtype=int64)
    """
    return _argument(_NANARGMAX, x, axis, keepdims)


def nanargmin(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Return the index of the smallest element that is not NaN; as :func:`nanargmax`.

    Parameters
    ----------
    x : array-like
    axis : int, optional
        The raveled array if it is left out.
    keepdims : bool
        Keep the axes, with size 1.

    Returns
    -------
    Tensor of int64

    Examples
    --------
    >>> nanargmin([float("nan"), 2.0, 1.0])
    Tensor(2, dtype=int64)
    """
    return _argument(_NANARGMIN, x, axis, keepdims)


def _argument(op: Op, x: ArrayLike, axis: int | None, keepdims: bool) -> Tensor:
    x = asarray(x)
    place = None if axis is None else one_axis(op.name, axis, x.shape)
    return bind(op, (x,), {"axis": place, "keepdims": keepdims})


# --- moments --------------------------------------------------------------------------------------


def nanmean(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the mean of the elements along axes that are not NaN; NaN where there are none.

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
    >>> nanmean([1.0, float("nan"), 2.0])
    Tensor(1.5, dtype=float32)
    """
    x = asarray(x)
    if not dtypes.is_inexact(x.dtype):
        return reduction.mean(x, axis=axis, keepdims=keepdims)
    count = _present(x, axis, keepdims)
    _warn("Mean of empty slice", count == 0)
    return _mean(x, count, axis, keepdims).astype(x.dtype, copy=False)


def _mean(x: Tensor, count: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    return _over(nansum(x.astype(_wide(x), copy=False), axis, keepdims=keepdims), count)


_ALL_NAN = "All-NaN slice encountered"


def warn_of_nothing(x: Tensor, axis: Axis) -> None:
    """Warn where all that there is along axes is NaN."""
    if state.recorder is None and x.size and dtypes.is_inexact(x.dtype):
        _warn(_ALL_NAN, reduction.all(isnan(x), axis=axis))


def _warn(what: str, nothing: Tensor) -> None:
    """Warn as NumPy does where there was nothing to reduce; in eager code, which knows it."""
    if state.recorder is None and has_contents(nothing) and nothing.device == CPU:
        if nothing._concrete().any():
            warn_user(what, RuntimeWarning)


def _wide(x: Tensor) -> dtypes.DType:
    return dtypes.float32 if x.dtype.itemsize == 2 else x.dtype


def _over(total: Tensor, count: Tensor) -> Tensor:
    """Divide, with NaN where there is nothing to divide by."""
    number = where(count > 0, count, 1).astype(real(total).dtype)
    return where(count > 0, total / number, float("nan"))


def nanvar(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    correction: float | None = None,
    ddof: float = 0,
    keepdims: bool = False,
) -> Tensor:
    """Return the variance of the elements along axes that are not NaN.

    NaN where their count, less the correction, is not positive; arguments as of :func:`var`.

    Examples
    --------
    >>> nanvar([1.0, float("nan"), 3.0])
    Tensor(1., dtype=float32)
    """
    x = asarray(x)
    if not dtypes.is_inexact(x.dtype):
        x = x.astype(dtypes.float64)
    wide = x.astype(_wide(x), copy=False)
    # By the NaN of `x` alone: infinities make others, which are the result.
    mean = _mean(wide, _present(wide, axis, True), axis, True)
    deviation = where(isnan(wide), 0, wide - mean)
    square = real(deviation * conj(deviation))
    total = reduction.sum(square, axis=axis, keepdims=keepdims)
    left = _present(x, axis, keepdims) - (ddof if correction is None else correction)
    _warn("Degrees of freedom <= 0 for slice.", left <= 0)
    return _over(total, left).astype(real(x).dtype, copy=False)


def nanstd(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    correction: float | None = None,
    ddof: float = 0,
    keepdims: bool = False,
) -> Tensor:
    """Return the standard deviation of the elements along axes that are not NaN; see `nanvar`.

    Examples
    --------
    >>> nanstd([1.0, float("nan"), 3.0])
    Tensor(1., dtype=float32)
    """
    spread = nanvar(x, axis, correction=correction, ddof=ddof, keepdims=keepdims)
    # Where all elements are equal the deviation is 0; the subgradient 0 is taken there.
    return where(spread == 0, 0, sqrt(where(spread == 0, 1, spread)))


# --- replacement ----------------------------------------------------------------------------------


def nan_to_num(
    x: ArrayLike,
    /,
    copy: bool = True,
    nan: float = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """Replace NaN and infinities by numbers.

    Parameters
    ----------
    x : array-like
    copy : bool
        False writes into `x`.
    nan : float
    posinf, neginf : float, optional
        Left out: the largest and smallest numbers of the dtype.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> nan_to_num([float("nan"), 1.0, float("inf")], posinf=9.0)
    Tensor([0., 1., 9.], dtype=float32)
    """
    x = asarray(x)
    if x.dtype.kind == "c":
        parts = (nan_to_num(part, True, nan, posinf, neginf) for part in (real(x), imag(x)))
        out = next(parts) + 1j * next(parts)
    elif not dtypes.is_inexact(x.dtype):
        out = astype(x, x.dtype)
    else:
        top = finfo(x.dtype).max
        out = where(x == float("inf"), top if posinf is None else posinf, _filled(x, nan))
        out = where(x == -float("inf"), -top if neginf is None else neginf, out)
    if copy:
        return out
    write(x, out)
    return x
