"""Sizes, axes, norms and dtypes of transforms as users write them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

from hybrid import dtypes
from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.core.unknown import as_size
from hybrid.dtypes import DType
from hybrid.errors import DTypeError, ShapeError
from hybrid.ops._axes import Axes, one_axis, some_axes
from hybrid.ops.rearranging import pad
from hybrid.ops.slicing import narrow

Norm = Literal["backward", "ortho", "forward"] | None

SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The norm under which a transform in the other direction scales as this one does."""

COMPLEX: dict[DType, DType] = {
    dtypes.float32: dtypes.complex64,
    dtypes.float64: dtypes.complex128,
    dtypes.complex64: dtypes.complex64,
    dtypes.complex128: dtypes.complex128,
}
"""The dtype of the spectrum."""

REAL: dict[DType, DType] = {
    dtypes.complex64: dtypes.float32,
    dtypes.complex128: dtypes.float64,
}
"""The dtype of the signal."""


def as_signal(name: str, x: ArrayLike, *, real: bool = False) -> Tensor:
    """Return `x` in a dtype with transforms: low precision in float32, integers in float64."""
    x = asarray(x)
    if real and x.dtype.kind == "c":
        raise DTypeError(
            located(f"{name}: takes real numbers, not {x.dtype}; use the transform without the r")
        )
    if x.dtype in COMPLEX:
        return x
    low = dtypes.is_inexact(x.dtype)
    return x.astype(dtypes.float32 if low else dtypes.float64)


def as_norm(name: str, norm: Any) -> str:
    """Return the name of a norm; None is NumPy's word for ``"backward"``."""
    found = "backward" if norm is None else norm
    if found not in SWAPPED:
        raise ValueError(located(f"{name}: norm is 'backward', 'ortho' or 'forward', not {norm!r}"))
    return str(found)


def sizes_and_axes(
    name: str, x: Tensor, s: Sequence[int | None] | None, axes: Any
) -> tuple[tuple[int | None, ...], Axes]:
    """Return a size (None: as it is) for each axis to transform, and the axes."""
    given = None if s is None else tuple(s)
    if axes is None:
        axes = range(x.ndim) if given is None else range(x.ndim - len(given), x.ndim)
    found = some_axes(name, axes, x.shape)
    given = (None,) * len(found) if given is None else given
    if len(given) != len(found):
        raise ShapeError(located(f"{name}: sizes {given} for axes {tuple(axes)}: one for each"))
    return tuple(None if n is None or n == -1 else _size(name, n) for n in given), found


def _size(name: str, n: Any) -> int:
    size = as_size(n)
    if size < 1:
        raise ShapeError(located(f"{name}: invalid number of data points ({size})"))
    return size


def one_size(name: str, x: Tensor, n: int | None, axis: int) -> tuple[Tensor, int]:
    """Return `x` with `n` elements along an axis, and the axis counted from the front."""
    place = one_axis(name, axis, x.shape)
    if n is not None or not x.shape[place]:
        x = resized(name, x, (None if n is None else _size(name, n),), (place,))
    return x, place


def resized(name: str, x: Tensor, sizes: tuple[int | None, ...], axes: Axes) -> Tensor:
    """Crop axes or fill them up with zeros, so that they have the sizes."""
    width = [(0, 0)] * x.ndim
    for size, axis in zip(sizes, axes, strict=True):
        have = x.shape[axis]
        if size is not None and size < have:
            x = narrow(x, axis, 0, size)
        elif size is not None and size > have:
            width[axis] = (0, size - have)
    if any(after for _, after in width):
        x = pad(x, width)
    if not prod(x.shape[axis] for axis in axes):
        raise ShapeError(
            located(f"{name}: an axis of shape {x.shape} to transform has no data points")
        )
    return x
