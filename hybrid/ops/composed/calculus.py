"""Differences and sums over a grid; polynomials."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops._axes import Axes, one_axis, some_axes
from hybrid.ops.copying import laid
from hybrid.ops.elementwise import power
from hybrid.ops.elementwise.operands import is_weak, together, with_lists
from hybrid.ops.joining import concat
from hybrid.ops.rearranging import diff
from hybrid.ops.reshaping import ravel, reshape
from hybrid.ops.slicing import narrow


def ediff1d(ary: ArrayLike, to_end: Any = None, to_begin: Any = None) -> Tensor:
    """Return the differences of neighbours of the raveled array, with values around them.

    Parameters
    ----------
    ary : array-like
    to_end, to_begin : array-like, optional
        What is put after and before the differences.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> ediff1d([1, 4, 9], to_end=0)
    Tensor([3, 5, 0], dtype=int64)
    """
    x = ravel(asarray(ary))
    if x.dtype.kind == "b":
        raise DTypeError(located("ediff1d: booleans have no difference; convert them with astype"))
    ends = [None if e is None else _fitting(e, x.dtype) for e in (to_begin, to_end)]
    parts = [ends[0], diff(x), ends[1]]
    return concat([part for part in parts if part is not None])


def _fitting(values: ArrayLike, dtype: dtypes.DType) -> Tensor:
    end = ravel(asarray(values))
    if not is_weak(values) and not np.can_cast(end.dtype, dtype, "same_kind"):
        text = f"ediff1d: {end.dtype.name} does not become {dtype.name}, the dtype of the array"
        raise DTypeError(located(text))
    return end.astype(dtype)


def trapezoid(y: ArrayLike, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """Integrate along an axis by the trapezoidal rule.

    Parameters
    ----------
    y : array-like
    x : array-like, optional
        Where the values lie: of one axis, or of the shape of `y`.
    dx : float
        Their distance, without `x`.
    axis : int

    Returns
    -------
    Tensor

    Examples
    --------
    >>> trapezoid([1.0, 2.0, 3.0])
    Tensor(4., dtype=float32)
    """
    y, x = with_lists(y, x)
    y = asarray(y)
    axis = one_axis("trapezoid", axis, y.shape)
    if x is None:
        step: Any = dx
    else:
        x = asarray(x)
        lying = [-1 if i == axis else 1 for i in range(y.ndim)]
        step = reshape(diff(x), lying) if x.ndim == 1 else diff(x, axis=axis)
    if y.shape[axis] == 0:
        return (y / 2.0).sum(axis=axis)
    size = y.shape[axis] - 1
    areas = step * (narrow(y, axis, 1, size) + narrow(y, axis, 0, size)) / 2.0
    return asarray(areas).sum(axis=axis)


def gradient(f: ArrayLike, /, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Return the slopes of samples: central differences, one-sided ones at the ends.

    Parameters
    ----------
    f : array-like
    *varargs : float or array-like of one axis
        The distance of samples, or where they lie: none (then 1), one for all axes, or one each.
    axis : int or tuple of int, optional
        Left out: all axes.
    edge_order : int
        1 or 2, how exact the ends are.

    Returns
    -------
    Tensor
        Or a tuple of them, one for each axis, where there are several.

    Examples
    --------
    >>> gradient([1.0, 4.0, 9.0])
    Tensor([3., 4., 5.], dtype=float32)
    """
    f, *given = with_lists(f, *varargs)
    x = asarray(f)
    axes = tuple(range(x.ndim)) if axis is None else some_axes("gradient", axis, x.shape)
    if x.dtype.kind == "b":
        raise DTypeError(located("gradient: booleans have no difference; convert them with astype"))
    if x.dtype.kind in "iu":
        x = x.astype(np.float64)
    if len(given) not in (0, 1, len(axes)):
        text = f"gradient: {len(given)} distances for {len(axes)} axes of shape {x.shape}"
        raise TypeError(located(text))
    distances = tuple(given) or (1.0,)
    if len(distances) == 1:
        distances *= len(axes)
    slopes = tuple(_slopes(x, a, h, edge_order) for a, h in zip(axes, distances, strict=True))
    return slopes[0] if len(slopes) == 1 else slopes


def _slopes(f: Tensor, axis: int, distance: Any, edge_order: int) -> Tensor:
    size = f.shape[axis]
    if edge_order not in (1, 2):
        raise ValueError(located(f"gradient: edge_order {edge_order} is neither 1 nor 2"))
    if size <= edge_order:
        need = f"edge_order {edge_order} needs {edge_order + 1} samples"
        raise ShapeError(located(f"gradient: shape {f.shape} along axis {axis}: {need}"))
    steps = _steps(distance, axis, f)

    def at(start: int, count: int = 1) -> Tensor:
        return narrow(f, axis, start % size, count)

    def h(start: int, count: int = 1) -> Any:
        return steps if not isinstance(steps, Tensor) else narrow(steps, axis, start, count)

    if isinstance(steps, Tensor):
        before, after = h(0, size - 2), h(1, size - 2)
        inner = (
            at(0, size - 2) * (-after / (before * (before + after)))
            + at(1, size - 2) * ((after - before) / (before * after))
            + at(2, size - 2) * (before / (after * (before + after)))
        )
    else:
        inner = (at(2, size - 2) - at(0, size - 2)) / (2.0 * steps)
    if edge_order == 1:
        first, last = (at(1) - at(0)) / h(0), (at(-1) - at(-2)) / h(size - 2)
    else:
        first = _end(at(0), at(1), at(2), h(0), h(1), 1)
        last = _end(at(-1), at(-2), at(-3), h(size - 2), h(size - 3), -1)
    return laid(concat([first, inner, last], axis=axis), f)


def _end(f0: Tensor, f1: Tensor, f2: Tensor, h0: Any, h1: Any, sign: int) -> Tensor:
    """Return the slope at an end from three samples, `f0` the outermost."""
    outer = -(2.0 * h0 + h1) / (h0 * (h0 + h1))
    middle = (h0 + h1) / (h0 * h1)
    return asarray((outer * f0 + middle * f1 + -h0 / (h1 * (h0 + h1)) * f2) * sign)


def _steps(distance: Any, axis: int, f: Tensor) -> Any:
    if isinstance(distance, int | float):
        return distance
    places = asarray(distance)
    if not places.ndim:
        return places
    if places.shape != (f.shape[axis],):
        text = f"places of shape {places.shape} for axis {axis} of shape {f.shape}"
        raise ShapeError(located(f"gradient: {text}"))
    lying: Axes = tuple(-1 if i == axis else 1 for i in range(f.ndim))
    return reshape(diff(places), lying)


def polyval(p: ArrayLike, x: ArrayLike) -> Tensor:
    """Evaluate a polynomial, the coefficient of the highest power first, by Horner's rule.

    Parameters
    ----------
    p : array-like
        Of one axis.
    x : array-like

    Returns
    -------
    Tensor

    Examples
    --------
    >>> polyval([1, 0, 2], [3, 4])
    Tensor([11, 18], dtype=int64)
    """
    p, x = together(p, x)
    found: Any = x * 0
    for i in range(p.shape[0]):
        found = found * x + p[i]
    return asarray(found)


def vander(x: ArrayLike, N: int | None = None, increasing: bool = False) -> Tensor:
    """Return the powers of a vector as columns, the highest first unless `increasing`.

    Parameters
    ----------
    x : array-like
        Of one axis.
    N : int, optional
        How many columns; as many as elements if left out.
    increasing : bool

    Returns
    -------
    Tensor

    Examples
    --------
    >>> vander([1, 2, 3], 3)
    Tensor([[1, 1, 1],
            [4, 2, 1],
            [9, 3, 1]], dtype=int64)
    """
    x = asarray(x)
    if x.ndim != 1:
        raise ShapeError(located(f"vander: expected a vector, not an array of shape {x.shape}"))
    x = x.astype(dtypes.promote((x.dtype, dtypes.int64)), copy=False)  # which powers fit into
    count = x.shape[0] if N is None else N
    exponents = np.arange(count) if increasing else np.arange(count)[::-1]
    return power(reshape(x, (-1, 1)), exponents.astype(x.dtype))
