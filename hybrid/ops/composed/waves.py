"""Angles of complex numbers and phases."""

from __future__ import annotations

import math
from typing import Any

from hybrid.core.making import asarray
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.ops._axes import one_axis
from hybrid.ops.copying import laid
from hybrid.ops.elementwise import abs, atan2, imag, rad2deg, real, remainder, sin
from hybrid.ops.elementwise.declare import meeting
from hybrid.ops.elementwise.selection import where
from hybrid.ops.joining import concat
from hybrid.ops.rearranging import diff
from hybrid.ops.reduction import cumsum


def angle(z: ArrayLike, deg: bool = False) -> Tensor:
    """Return the angle of complex numbers, in radians or degrees.

    Parameters
    ----------
    z : array-like
    deg : bool
        Degrees.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> angle([1.0, 1j], deg=True)
    Tensor([ 0., 90.], dtype=float32)
    """
    z = asarray(z)
    z = z.astype("int64") if z.dtype.kind == "b" else z  # whose angles are float64, as NumPy's
    found = laid(atan2(imag(z), real(z)), z)
    return rad2deg(found) if deg else found


def sinc(x: ArrayLike, /) -> Tensor:
    """Return ``sin(pi * x) / (pi * x)``, and 1 at 0.

    Parameters
    ----------
    x : array-like

    Returns
    -------
    Tensor

    Examples
    --------
    >>> sinc([0.0, 0.5, 1.0])
    Tensor([ 1.0000000e+00,  6.3661975e-01, -2.7827534e-08], dtype=float32)
    """
    y = math.pi * (asarray(x) * 1.0)
    near = abs(y) < 1
    far = where(near, 1, y)
    square = where(near, y, 0) ** 2
    series: Any = 0.0
    for coefficient in _SINC:
        series = series * square + coefficient
    return where(near, series, sin(far) / far)


# The series of sin(y) / y by squares of y, the highest power first. In the slopes of the quotient
# two large numbers cancel near 0, and at 0 it has none.
_SINC = tuple((-1) ** n / math.factorial(2 * n + 1) for n in range(10, -1, -1))


def unwrap(
    p: ArrayLike, discont: Any = None, axis: int = -1, *, period: float = 2 * math.pi
) -> Tensor:
    """Remove jumps of more than half a period along an axis, by adding whole periods.

    Parameters
    ----------
    p : array-like
    discont : float, optional
        Jumps up to it are kept; half a period at least.
    axis : int
    period : float

    Returns
    -------
    Tensor

    Examples
    --------
    >>> unwrap([0.0, 3.0, 6.5, -3.0], period=6.0)
    Tensor([0. , 3. , 0.5, 3. ], dtype=float32)
    """
    x = asarray(p)
    axis = one_axis("unwrap", axis, x.shape)
    step = diff(x, axis=axis)
    half = period / 2
    if x.dtype.kind in "iu" and isinstance(period, int):
        half, odd = divmod(period, 2)
        boundary = not odd
    else:
        boundary = True
    low = -half
    wrapped = remainder(step - low, period) + low
    if boundary:
        wrapped = where((wrapped == low) & (step > 0), half, wrapped)
    correction = where(
        abs(step) < (half if discont is None else max(discont, half)), 0, wrapped - step
    )
    first = x[(slice(None),) * axis + (slice(0, 1),)]
    rest = x[(slice(None),) * axis + (slice(1, None),)] + cumsum(correction, axis=axis)
    dtype = meeting(x.dtype, type(period))
    return concat([first.astype(dtype, copy=False), rest.astype(dtype, copy=False)], axis=axis)
