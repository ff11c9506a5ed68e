"""Transforms of complex numbers, and of real ones as such, along any axes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from hybrid.core.dispatch import bind
from hybrid.core.op import Example, Op, register
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import DTypeError
from hybrid.kernels import transforms as by_lines
from hybrid.kernels.parallel import get_num_threads
from hybrid.ops._axes import Axes, lead_axis
from hybrid.ops.copying import laid
from hybrid.ops.fft._sizes import (
    COMPLEX,
    Norm,
    as_norm,
    as_signal,
    one_size,
    resized,
    sizes_and_axes,
)

# Elements from which on waking SciPy's threads, 30 microseconds, is worth it.
_WORTH_THREADS = 1 << 15

Sizes = Sequence[int | None] | None
AxesLike = int | Sequence[int] | None


def library(xp: Any) -> Any:
    """Return the module of transforms that belongs to NumPy or CuPy."""
    return import_module("scipy.fft" if xp.__name__ == "numpy" else "cupyx.scipy.fft")


def threads(x: Any) -> dict[str, int]:
    """Return the keywords by which SciPy shares the lines of an array among threads.

    A line is computed by one of them, in the same steps: bits do not depend on their number.
    """
    return {"workers": get_num_threads()} if x.size >= _WORTH_THREADS else {}


def _infer_fft(x: TensorSpec, *, axis: Axes, inverse: bool, norm: str) -> TensorSpec:
    if x.dtype not in COMPLEX:
        raise DTypeError(f"fft: there is no transform of {x.dtype}")
    return TensorSpec(x.shape, COMPLEX[x.dtype], x.device)


def _eager_fft(xp: Any, x: Any, *, axis: Axes, inverse: bool, norm: str) -> Any:
    if xp is np and x.dtype.kind == "c" and by_lines.takes(x.size, x.dtype):
        out = np.empty(x.shape, x.dtype)
        _fft_into(x, axis, inverse, norm, out)
        return out
    return _library_fft(xp, x, axis, inverse, norm)


def _fft_into(x: Any, axis: Axes, inverse: bool, norm: str, out: Any) -> None:
    if not by_lines.complex_into(x, out, axis, inverse, norm):
        out[...] = _library_fft(np, x, axis, inverse, norm)


def _into_fft(x: TensorSpec, *, axis: Axes, inverse: bool, norm: str) -> Any:
    if x.dtype.kind != "c" or not by_lines.takes(x.size, x.dtype):
        return None
    return lambda x, out: _fft_into(x, axis, inverse, norm, out)


def _library_fft(xp: Any, x: Any, axis: Axes, inverse: bool, norm: str) -> Any:
    package = library(xp)
    shared = threads(x) if xp is np else {}
    if len(axis) == 1:  # its way to the same loop is shorter by a microsecond
        along = package.ifft if inverse else package.fft
        return along(x, axis=axis[0], norm=norm, **shared)
    if not axis:
        return x.astype(COMPLEX[x.dtype])
    over = package.ifftn if inverse else package.fftn
    return over(x, axes=axis, norm=norm, **shared)


def _vjp_fft(g: Tensor, out: Tensor, x: Tensor, **attrs: Any) -> Tensor:
    return bind(FFT, (g,), attrs)  # the matrix of the transform is symmetric


FFT = register(
    Op(
        name="fft",
        family="fft",
        lead=lead_axis,
        infer=_infer_fft,
        eager=_eager_fft,
        into=_into_fft,
        vjp=(_vjp_fft,),
        examples=(
            Example(((5,),), {"axis": (0,), "inverse": False, "norm": "backward"}),
            Example(((3, 4),), {"axis": (0,), "inverse": True, "norm": "ortho"}),
            Example(((2, 3, 4),), {"axis": (2, 0), "inverse": False, "norm": "forward"}),
        ),
        doc="The discrete Fourier transform, or its inverse.",
    )
)


def _along(
    name: str, x: ArrayLike, n: int | None, axis: int, norm: Norm, *, inverse: bool
) -> Tensor:
    given = as_signal(name, x)
    x, place = one_size(name, given, n, axis)
    attrs = {"axis": (place,), "inverse": inverse, "norm": as_norm(name, norm)}
    return laid(bind(FFT, (x,), attrs), given)


def _transformed(
    name: str, x: ArrayLike, s: Sizes, axes: AxesLike, norm: Norm, *, inverse: bool
) -> Tensor:
    given = as_signal(name, x)
    sizes, found = sizes_and_axes(name, given, s, axes)
    x = resized(name, given, sizes, found)
    attrs = {"axis": found, "inverse": inverse, "norm": as_norm(name, norm)}
    return laid(bind(FFT, (x,), attrs), given)


def fft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """Return the discrete Fourier transform along an axis.

    Parameters
    ----------
    x : array-like
        Real or complex.
    n : int, optional
        Crop the axis to this size, or fill it up with zeros, before.
    axis : int
    norm : {"backward", "ortho", "forward"}
        Which direction is divided by the size: the inverse transform, both by its root, or this.

    Returns
    -------
    Tensor
        Complex, of the precision of `x`.

    Raises
    ------
    AxisError
        For an axis that `x` does not have.
    ShapeError
        Where there are no data points.

    Examples
    --------
    >>> fft([1.0, 1.0, 0.0, 0.0]).real
    Tensor([2., 1., 0., 1.], dtype=float32)
    """
    return _along("fft", x, n, axis, norm, inverse=False)


def ifft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """Return the inverse of :func:`fft`, with the same arguments.

    Parameters
    ----------
    x : array-like
    n : int, optional
        Size along `axis` to which `x` is cut or filled with zeros.
    axis : int
    norm : {"backward", "ortho", "forward"}
        Which direction divides by the number of elements, or both by its root.

    Returns
    -------
    Tensor of complex numbers

    Examples
    --------
    >>> ifft([4.0, 4.0, 0.0, 0.0]).real
    Tensor([2., 1., 0., 1.], dtype=float32)
    """
    return _along("ifft", x, n, axis, norm, inverse=True)


def fftn(
    x: ArrayLike, /, s: Sizes = None, axes: AxesLike = None, norm: Norm = "backward"
) -> Tensor:
    """Return the discrete Fourier transform along several axes.

    Parameters
    ----------
    x : array-like
        Real or complex.
    s : sequence of int, optional
        The size to which each axis is cropped or filled up with zeros; -1 leaves it.
    axes : sequence of int, optional
        Left out: the last ``len(s)`` axes, or all of them.
    norm : {"backward", "ortho", "forward"}
        As in :func:`fft`.

    Returns
    -------
    Tensor

    Raises
    ------
    AxisError
        For axes that `x` does not have, or that are named twice.
    ShapeError
        Where there are no data points, or not as many sizes as axes.

    Examples
    --------
    >>> fftn([[1.0, 2.0], [3.0, 4.0]]).real
    Tensor([[10., -2.],
            [-4.,  0.]], dtype=float32)
    """
    return _transformed("fftn", x, s, axes, norm, inverse=False)


def ifftn(
    x: ArrayLike, /, s: Sizes = None, axes: AxesLike = None, norm: Norm = "backward"
) -> Tensor:
    """Return the inverse of :func:`fftn`, with the same arguments.

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
    Tensor of complex numbers

    Examples
    --------
    >>> ifftn([[10.0, -2.0], [-4.0, 0.0]])
    Tensor([[1.-0.j, 2.-0.j],
            [3.-0.j, 4.-0.j]], dtype=complex64)
    """
    return _transformed("ifftn", x, s, axes, norm, inverse=True)


def fft2(
    x: ArrayLike, /, s: Sizes = None, axes: AxesLike = (-2, -1), norm: Norm = "backward"
) -> Tensor:
    """Return the transform along the last two axes; see :func:`fftn`.

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
    >>> fft2([[1.0, 2.0], [3.0, 4.0]])
    Tensor([[10.-0.j, -2.-0.j],
            [-4.-0.j,  0.-0.j]], dtype=complex64)
    """
    return _transformed("fft2", x, s, axes, norm, inverse=False)


def ifft2(
    x: ArrayLike, /, s: Sizes = None, axes: AxesLike = (-2, -1), norm: Norm = "backward"
) -> Tensor:
    """Return the inverse of :func:`fft2`, with the same arguments.

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
    >>> ifft2([[10.0, -2.0], [-4.0, 0.0]])
    Tensor([[1.-0.j, 2.-0.j],
            [3.-0.j, 4.-0.j]], dtype=complex64)
    """
    return _transformed("ifft2", x, s, axes, norm, inverse=True)
