"""Transforms of real numbers, whose spectra are Hermitian: half of them is stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.dispatch import bind
from hybrid.core.op import Example, Op, register
from hybrid.core.source import located
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.unknown import as_size
from hybrid.errors import DTypeError, ShapeError
from hybrid.kernels import transforms as by_lines
from hybrid.ops._axes import lead_axis, one_axis
from hybrid.ops.copying import laid
from hybrid.ops.elementwise.complex_parts import conj
from hybrid.ops.elementwise.selection import where
from hybrid.ops.fft._sizes import (
    COMPLEX,
    REAL,
    SWAPPED,
    Norm,
    as_norm,
    as_signal,
    one_size,
    resized,
)
from hybrid.ops.fft.transforms import library, threads
from hybrid.ops.ranges import arange
from hybrid.ops.reshaping import reshape

# --- the two directions ---------------------------------------------------------------------------


def _infer_rfft(x: TensorSpec, *, axis: int, norm: str) -> TensorSpec:
    if x.dtype not in COMPLEX or x.dtype.kind == "c":
        raise DTypeError(f"rfft: there is no transform of {x.dtype}")
    shape = (*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :])
    return TensorSpec(shape, COMPLEX[x.dtype], x.device)


def _infer_irfft(x: TensorSpec, *, n: int, axis: int, norm: str) -> TensorSpec:
    if x.dtype not in REAL:
        raise DTypeError(f"irfft: there is no transform of {x.dtype}")
    if x.shape[axis] != n // 2 + 1:
        raise ShapeError(f"irfft: shape {x.shape} is not half of a spectrum of {n} points")
    return TensorSpec((*x.shape[:axis], n, *x.shape[axis + 1 :]), REAL[x.dtype], x.device)


def _eager_rfft(xp: Any, x: Any, *, axis: int, norm: str) -> Any:
    if xp is not np or not by_lines.takes(x.size, x.dtype):
        return library(xp).rfft(x, axis=axis, norm=norm)
    spec = _infer_rfft(TensorSpec(x.shape, x.dtype), axis=axis, norm=norm)
    out = np.empty(spec.shape, spec.dtype)
    _rfft_into(x, axis, norm, out)
    return out


def _rfft_into(x: Any, axis: int, norm: str, out: Any) -> None:
    if not by_lines.real_into(x, out, axis, norm):
        out[...] = library(np).rfft(x, axis=axis, norm=norm, **threads(x))


def _into_rfft(x: TensorSpec, *, axis: int, norm: str) -> Any:
    if not by_lines.takes(x.size, x.dtype):
        return None
    return lambda x, out: _rfft_into(x, axis, norm, out)


def _eager_irfft(xp: Any, x: Any, *, n: int, axis: int, norm: str) -> Any:
    if xp is not np or not by_lines.takes(x.size, x.dtype):
        return library(xp).irfft(x, n, axis=axis, norm=norm)
    spec = _infer_irfft(TensorSpec(x.shape, x.dtype), n=n, axis=axis, norm=norm)
    out = np.empty(spec.shape, spec.dtype)
    _irfft_into(x, n, axis, norm, out)
    return out


def _irfft_into(x: Any, n: int, axis: int, norm: str, out: Any) -> None:
    if not by_lines.half_into(x, out, axis, norm):
        out[...] = library(np).irfft(x, n, axis=axis, norm=norm, **threads(x))


def _into_irfft(x: TensorSpec, *, n: int, axis: int, norm: str) -> Any:
    if not by_lines.takes(x.size, x.dtype):
        return None
    return lambda x, out: _irfft_into(x, n, axis, norm, out)


def _counts(x: Tensor, n: int, axis: int) -> Tensor:
    """Return how often each element of half a spectrum stands in the whole, along its axis."""
    k = reshape(arange(x.shape[axis]), (-1,) + (1,) * (x.ndim - 1 - axis))
    return where((k == 0) | (2 * k == n), 1, 2)


def _vjp_rfft(g: Tensor, out: Tensor, x: Tensor, *, axis: int, norm: str) -> Tensor:
    n = x.shape[axis]
    attrs = {"n": n, "axis": axis, "norm": SWAPPED[norm]}
    half = conj(g) / _counts(g, n, axis).astype(x.dtype)
    return bind(IRFFT, (half,), attrs)


def _vjp_irfft(g: Tensor, out: Tensor, x: Tensor, *, n: int, axis: int, norm: str) -> Tensor:
    spectrum = bind(RFFT, (g,), {"axis": axis, "norm": SWAPPED[norm]})
    return conj(spectrum) * _counts(x, n, axis).astype(g.dtype)


RFFT = register(
    Op(
        name="rfft",
        family="fft",
        lead=lead_axis,
        infer=_infer_rfft,
        eager=_eager_rfft,
        into=_into_rfft,
        vjp=(_vjp_rfft,),
        examples=(
            Example(((5,),), {"axis": 0, "norm": "backward"}),
            Example(((4, 3),), {"axis": 0, "norm": "ortho"}),
        ),
        doc="Half of the discrete Fourier transform of real numbers.",
    )
)

IRFFT = register(
    Op(
        name="irfft",
        family="fft",
        lead=lead_axis,
        infer=_infer_irfft,
        eager=_eager_irfft,
        into=_into_irfft,
        vjp=(_vjp_irfft,),
        examples=(
            Example(((3,),), {"n": 5, "axis": 0, "norm": "forward"}, ("complex64",)),
            Example(((2, 3),), {"n": 4, "axis": 1, "norm": "ortho"}, ("complex64",)),
        ),
        doc="The real numbers of which half of the transform is given.",
    )
)


def half_of(x: Tensor, axis: int, norm: str) -> Tensor:
    return bind(RFFT, (x,), {"axis": axis, "norm": norm})


def whole_of(name: str, x: Tensor, n: int | None, axis: int, norm: str) -> Tensor:
    size = 2 * (x.shape[axis] - 1) if n is None else as_size(n)
    if size < 1:
        raise ShapeError(
            located(f"{name}: invalid number of data points ({size}) for shape {x.shape}")
        )
    half = x
    if x.shape[axis] != size // 2 + 1:
        half = resized(name, x, (size // 2 + 1,), (axis,))
    half = half.astype(COMPLEX[x.dtype], copy=False)
    return laid(bind(IRFFT, (half,), {"n": size, "axis": axis, "norm": norm}), x)


# --- one axis -------------------------------------------------------------------------------------


def rfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """Return the discrete Fourier transform of real numbers, without its conjugate half.

    Parameters
    ----------
    x : array-like
        Real.
    n : int, optional
        Crop the axis to this size, or fill it up with zeros, before.
    axis : int
    norm : {"backward", "ortho", "forward"}
        Which direction is divided by the size: the inverse transform, both by its root, or this.

    Returns
    -------
    Tensor
        Complex, with ``n // 2 + 1`` elements along the axis.

    Raises
    ------
    DTypeError
        For complex `x`.
    AxisError
        For an axis that `x` does not have.
    ShapeError
        Where there are no data points.

    Examples
    --------
    >>> rfft([1.0, 0.0, 0.0, 0.0])
    Tensor([1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)
    """
    given = as_signal("rfft", x, real=True)
    x, place = one_size("rfft", given, n, axis)
    return laid(half_of(x, place, as_norm("rfft", norm)), given)


def irfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """Return the inverse of :func:`rfft`.

    Parameters
    ----------
    x : array-like
        Half a spectrum. The imaginary parts of its first element, and of its last where `n` is
        even, are not read.
    n : int, optional
        The size of the result along the axis; ``2 * (m - 1)`` if left out, m being that of `x`.
    axis : int
    norm : {"backward", "ortho", "forward"}

    Returns
    -------
    Tensor
        Real.

    Raises
    ------
    AxisError
        For an axis that `x` does not have.
    ShapeError
        Where there are no data points.

    Examples
    --------
    >>> irfft([1.0, 1.0, 1.0])
    Tensor([1., 0., 0., 0.], dtype=float32)
    """
    x = as_signal("irfft", x)
    place = one_axis("irfft", axis, x.shape)
    return whole_of("irfft", x, n, place, as_norm("irfft", norm))


def hfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """Return the transform of a Hermitian signal, of which half is given; it is real.

    The arguments are those of :func:`irfft`.

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
    Tensor of real numbers

    Examples
    --------
    >>> hfft([1.0, 0.0, 0.0])
    Tensor([1., 1., 1., 1.], dtype=float32)
    """
    x = as_signal("hfft", x)
    place = one_axis("hfft", axis, x.shape)
    return whole_of("hfft", conj(x), n, place, SWAPPED[as_norm("hfft", norm)])


def ihfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """Return the inverse of :func:`hfft`: half of a Hermitian signal.

    The arguments are those of :func:`rfft`.

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
    >>> ihfft([1.0, 1.0, 1.0, 1.0])
    Tensor([1.-0.j, 0.-0.j, 0.-0.j], dtype=complex64)
    """
    given = as_signal("ihfft", x, real=True)
    x, place = one_size("ihfft", given, n, axis)
    return laid(conj(half_of(x, place, SWAPPED[as_norm("ihfft", norm)])), given)
