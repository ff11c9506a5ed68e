"""Transforms of real numbers along several axes."""

from __future__ import annotations

from typing import Any

from hybrid.core.dispatch import bind
from hybrid.core.op import Attrs
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.ops.copying import laid
from hybrid.ops.fft._sizes import (
    Norm,
    as_norm,
    as_signal,
    resized,
    sizes_and_axes,
)
from hybrid.ops.fft.real import half_of, whole_of
from hybrid.ops.fft.transforms import FFT, AxesLike, Sizes


def _real_transformed(name: str, x: ArrayLike, s: Sizes, axes: AxesLike, norm: Norm) -> Tensor:
    given = as_signal(name, x, real=True)
    sizes, found = sizes_and_axes(name, given, s, axes)
    scale = as_norm(name, norm)
    _any_axis(name, found)
    half = half_of(resized(name, given, sizes, found), found[-1], scale)
    attrs: Attrs = {"axis": found[:-1], "inverse": False, "norm": scale}
    return laid(bind(FFT, (half,), attrs) if len(found) > 1 else half, given)


def _real_inverse(name: str, x: ArrayLike, s: Sizes, axes: AxesLike, norm: Norm) -> Tensor:
    given = x = as_signal(name, x)
    sizes, found = sizes_and_axes(name, x, s, axes)
    scale = as_norm(name, norm)
    _any_axis(name, found)
    if len(found) > 1:
        x = resized(name, x, sizes[:-1], found[:-1])
        attrs: Attrs = {"axis": found[:-1], "inverse": True, "norm": scale}
        x = bind(FFT, (x,), attrs)
    return laid(whole_of(name, x, sizes[-1], found[-1], scale), given)


def _any_axis(name: str, axes: Any) -> None:
    if not axes:
        raise ShapeError(located(f"{name}: there is no axis to transform"))


def rfftn(
    x: ArrayLike, /, s: Sizes = None, axes: AxesLike = None, norm: Norm = "backward"
) -> Tensor:
    """Return the transform of real numbers along several axes; half of it along the last of them.

    Parameters
    ----------
    x : array-like
        Real.
    s : sequence of int, optional
        The size to which each axis is cropped or filled up with zeros; -1 leaves it.
    axes : sequence of int, optional
        Left out: the last ``len(s)`` axes, or all of them.
    norm : {"backward", "ortho", "forward"}
        As in :func:`rfft`.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError, AxisError, ShapeError
        As :func:`rfft`; and where there are not as many sizes as axes.

    Examples
    --------
    >>> rfftn([[1.0, 0.0], [0.0, 0.0]]).shape
    (2, 2)
    """
    return _real_transformed("rfftn", x, s, axes, norm)


def irfftn(
    x: ArrayLike, /, s: Sizes = None, axes: AxesLike = None, norm: Norm = "backward"
) -> Tensor:
    """Return the inverse of :func:`rfftn`; `s` gives the sizes of the result.

    Parameters
    ----------
    x : array-like
    s : tuple of int, optional
        Sizes along `axes` to which `x` is cut or filled with zeros.
    axes : tuple of int, optional
        All if left out, or the last ``len(s)``.
    norm : {"backward", "ortho", "forward"}
        Which direction divides by the number of elements, or both by its root.

    Returns
    -------
    Tensor of real numbers

    Examples
    --------
    >>> irfftn([[10.0, -2.0], [-4.0, 0.0]])
    Tensor([[1., 2.],
            [3., 4.]], dtype=float32)
    """
    return _real_inverse("irfftn", x, s, axes, norm)


def rfft2(
    x: ArrayLike, /, s: Sizes = None, axes: AxesLike = (-2, -1), norm: Norm = "backward"
) -> Tensor:
    """Return the transform of real numbers along the last two axes; see :func:`rfftn`.

    Parameters
    ----------
    x : array-like
    s : tuple of int, optional
        Sizes along `axes` to which `x` is cut or filled with zeros.
    axes : tuple of int
        Two.
    norm : {"backward", "ortho", "forward"}
        Which direction divides by the number of elements, or both by its root.

    Returns
    -------
    Tensor of complex numbers

    Examples
    --------
    >>> rfft2([[1.0, 2.0], [3.0, 4.0]])
    Tensor([[10.+0.j, -2.+0.j],
            [-4.+0.j,  0.+0.j]], dtype=complex64)
    """
    return _real_transformed("rfft2", x, s, axes, norm)


def irfft2(
    x: ArrayLike, /, s: Sizes = None, axes: AxesLike = (-2, -1), norm: Norm = "backward"
) -> Tensor:
    """Return the inverse of :func:`rfft2`; `s` gives the sizes of the result.

    Parameters
    ----------
    x : array-like
    s : tuple of int, optional
        Sizes along `axes` to which `x` is cut or filled with zeros.
    axes : tuple of int
        Two.
    norm : {"backward", "ortho", "forward"}
        Which direction divides by the number of elements, or both by its root.

    Returns
    -------
    Tensor of real numbers

    Examples
    --------
    >>> irfft2([[10.0, -2.0], [-4.0, 0.0]])
    Tensor([[1., 2.],
            [3., 4.]], dtype=float32)
    """
    return _real_inverse("irfft2", x, s, axes, norm)
