"""The frequencies of a spectrum, and their order."""

from __future__ import annotations

from typing import Any

from hybrid import dtypes
from hybrid.core.devices import DeviceScope, as_device
from hybrid.core.dispatch import state
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.unknown import as_size
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops._axes import as_dtype, some_axes
from hybrid.ops.elementwise.selection import where
from hybrid.ops.ranges import arange
from hybrid.ops.rearranging import roll


def _scaled(name: str, k: Tensor, n: int, d: Any, dtype: Any) -> Tensor:
    wanted = state.defaults.floats if dtype is None else as_dtype(name, dtype)
    if not dtypes.is_float(wanted):
        raise DTypeError(located(f"{name}: frequencies are real numbers, not {wanted}"))
    found: Tensor = k.astype(dtypes.float64) / (d * n)
    return found.astype(wanted, copy=False)


def _count(name: str, n: Any) -> int:
    count = as_size(n)
    if count < 1:
        raise ShapeError(located(f"{name}: invalid number of data points ({count})"))
    return count


def fftfreq(n: int, /, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """Return the frequencies of :func:`fft`'s result, in cycles per unit of `d`.

    Parameters
    ----------
    n : int
        How many data points were transformed.
    d : float
        How far they lie apart.
    dtype : dtype, optional
        Real floating-point; the default dtype if left out.
    device : str, optional

    Returns
    -------
    Tensor
        First those from 0 on, then the negative ones.

    Raises
    ------
    ShapeError
        For no data points.

    Examples
    --------
    >>> fftfreq(4)
    Tensor([ 0.  ,  0.25, -0.5 , -0.25], dtype=float32)
    """
    n = _count("fftfreq", n)
    with DeviceScope(as_device("fftfreq", device)):
        k = arange(n)
        return _scaled("fftfreq", where(k < (n + 1) // 2, k, k - n), n, d, dtype)


def rfftfreq(n: int, /, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """Return the frequencies of :func:`rfft`'s result; the arguments are those of :func:`fftfreq`.

    Parameters
    ----------
    n : int
        Size of what was transformed.
    d : float
        Distance of the samples.
    dtype : dtype, optional
    device : str, optional
        Where it is; the one of ``with hb.device(...)`` if it is left out.

    Returns
    -------
    Tensor
        ``n // 2 + 1`` frequencies.

    Examples
    --------
    >>> rfftfreq(4)
    Tensor([0.  , 0.25, 0.5 ], dtype=float32)
    """
    n = _count("rfftfreq", n)
    with DeviceScope(as_device("rfftfreq", device)):
        return _scaled("rfftfreq", arange(n // 2 + 1), n, d, dtype)


def fftshift(x: ArrayLike, /, axes: Any = None) -> Tensor:
    """Bring the frequency 0 to the middle.

    Parameters
    ----------
    x : array-like
    axes : int or sequence of int, optional
        Left out: all of them.

    Returns
    -------
    Tensor

    Raises
    ------
    AxisError
        For axes that `x` does not have.

    Examples
    --------
    >>> fftshift([0, 1, 2, -2, -1])
    Tensor([-2, -1,  0,  1,  2], dtype=int64)
    """
    return _shifted("fftshift", x, axes, 1)


def ifftshift(x: ArrayLike, /, axes: Any = None) -> Tensor:
    """Undo :func:`fftshift`.

    Parameters
    ----------
    x : array-like
    axes : int or tuple of int, optional
        All if left out.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> ifftshift([-2, -1, 0, 1, 2])
    Tensor([ 0,  1,  2, -2, -1], dtype=int64)
    """
    return _shifted("ifftshift", x, axes, -1)


def _shifted(name: str, x: ArrayLike, axes: Any, sign: int) -> Tensor:
    x = asarray(x)
    found = some_axes(name, range(x.ndim) if axes is None else axes, x.shape)
    return roll(x, tuple(sign * (x.shape[a] // 2) for a in found), found)
