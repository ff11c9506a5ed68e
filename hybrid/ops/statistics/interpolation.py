"""Interpolation between points."""

from __future__ import annotations

from typing import Any

from hybrid import dtypes
from hybrid.core.defaults import default_dtype
from hybrid.core.dispatch import bind
from hybrid.core.making import asarray
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops._axes import batch_elements
from hybrid.ops.creation import zeros
from hybrid.ops.elementwise import clip, where
from hybrid.ops.elementwise.operands import with_lists
from hybrid.ops.indexing import index_update, take
from hybrid.ops.joining import concat
from hybrid.ops.ordering import beside, searchsorted
from hybrid.ops.sorting import argsort


def _infer(x: TensorSpec, xp: TensorSpec, fp: TensorSpec) -> TensorSpec:
    if xp.ndim != 1 or xp.shape != fp.shape:
        raise ShapeError(
            f"interp: points and values have one axis and as many elements, not shapes {xp.shape} "
            f"and {fp.shape}"
        )
    if not xp.shape[0]:
        raise ShapeError("interp: there are no points to interpolate between")
    if "c" in (x.dtype.kind, xp.dtype.kind):
        raise DTypeError("interp: complex points have no order; only values may be complex")
    dtype = dtypes.complex128 if fp.dtype.kind == "c" else dtypes.float64
    return TensorSpec(x.shape, dtype, x.device)


def _segment(x: Tensor, xp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each `x` the points before and behind it, and how far it is between them."""
    n = xp.shape[0]
    before = clip(searchsorted(xp, x, side="right") - 1, 0, max(n - 2, 0))
    behind = clip(before + 1, 0, n - 1)
    left, right = take(xp, before), take(xp, behind)
    width = where(right == left, 1, right - left)
    return before, behind, clip((x - left) / width, 0, 1)


def _vjp_x(g: Tensor, out: Tensor, x: Tensor, xp: Tensor, fp: Tensor) -> Tensor:
    before, behind, _ = _segment(x, xp)
    return where(_inside(x, xp), g * _slope(before, behind, xp, fp), 0).astype(x.dtype, copy=False)


def _inside(x: Tensor, xp: Tensor) -> Tensor:
    return (x >= xp[0]) & (x <= xp[-1])


def _slope(before: Tensor, behind: Tensor, xp: Tensor, fp: Tensor) -> Tensor:
    left, right = take(xp, before), take(xp, behind)
    rise = take(fp, behind) - take(fp, before)
    return rise / where(right == left, 1, right - left)


def _vjp_points(g: Tensor, out: Tensor, x: Tensor, xp: Tensor, fp: Tensor) -> Tensor:
    before, behind, along = _segment(x, xp)
    # Moving a point moves the line: its slope, times how much of the point is in the value.
    pull = where(_inside(x, xp), -g * _slope(before, behind, xp, fp), 0)
    return _collected(pull, before, behind, along, xp)


def _vjp_values(g: Tensor, out: Tensor, x: Tensor, xp: Tensor, fp: Tensor) -> Tensor:
    return _collected(g, *_segment(x, xp), fp)


def _collected(g: Tensor, before: Tensor, behind: Tensor, along: Tensor, like: Tensor) -> Tensor:
    total = zeros(like.shape, g.dtype)
    total = index_update(total, g * (1 - along), (before,), (0,), 0, "add")
    total = index_update(total, g * along, (behind,), (0,), 0, "add")
    return total.astype(like.dtype, copy=False)


INTERP = register(
    Op(
        name="interp",
        family="statistics",
        batch=batch_elements(0),
        infer=_infer,
        eager=lambda np_, x, xp, fp: np_.asarray(np_.interp(x, xp, fp)),
        vjp=(_vjp_x, _vjp_points, _vjp_values),
        examples=(
            Example(((2, 3), (1,), (1,)), dtypes=("float64", "float64", "float64")),
            Example(((4,), (1,), (1,)), dtypes=("int32",) * 3),
        ),
        doc="Values at points between given ones, on straight lines.",
    )
)


def interp(
    x: ArrayLike,
    xp: ArrayLike,
    fp: ArrayLike,
    /,
    left: Any = None,
    right: Any = None,
    period: float | None = None,
) -> Tensor:
    """Interpolate on straight lines between points.

    Parameters
    ----------
    x : array-like
        Where.
    xp : array-like
        The points, of one axis, increasing; that is not checked.
    fp : array-like
        The values at the points, real or complex.
    left, right : number, optional
        Before the first and behind the last point; left out, the values there.
    period : float, optional
        What is periodic: `x` and `xp` are taken modulo it, and the points are sorted.

    Returns
    -------
    Tensor
        float64, or complex128 for complex values, as NumPy's. All of `x`, `xp` and `fp` have
        gradients; outside of the points `x` and `xp` have none.

    Raises
    ------
    ShapeError
        For points and values of different number, or none.

    Examples
    --------
    >>> interp(2.5, [1.0, 2.0, 3.0], [0.0, 10.0, 20.0])
    Tensor(15., dtype=float64)
    """
    with default_dtype(dtypes.float64):  # it computes in double precision
        x, xp, fp = with_lists(x, xp, fp)
    points, values = asarray(xp), asarray(fp)
    x = beside(x, points)
    if period is not None:
        if period == 0:
            raise ValueError(located("interp: a period of 0 has no multiples"))
        x, points, values = _wrapped(x, points, values, abs(period))
        left = right = None
    out = bind(INTERP, (x, points, values), {})
    if left is not None:
        out = where(x < points[0], left, out)
    return out if right is None else where(x > points[-1], right, out)


def _wrapped(
    x: Tensor, points: Tensor, values: Tensor, period: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return all with one more point on either side, a period away."""
    _infer(x.spec, points.spec, values.spec)
    x, points = x.astype(dtypes.float64) % period, points.astype(dtypes.float64) % period
    order = argsort(points)
    points, values = take(points, order), take(values, order)
    points = concat([points[-1:] - period, points, points[:1] + period])
    return x, points, concat([values[-1:], values, values[:1]])
