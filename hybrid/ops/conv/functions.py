"""Convolution as users call it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hybrid.core.making import asarray
from hybrid.core.source import located
from hybrid.core.spec import Shape
from hybrid.core.tensor import ArrayLike, Tensor
from hybrid.errors import ShapeError
from hybrid.ops.conv.geometry import PaddingLike, as_padding, per_axis
from hybrid.ops.conv.primitive import conv, conv_input
from hybrid.ops.elementwise.complex_parts import conj
from hybrid.ops.elementwise.operands import together
from hybrid.ops.reshaping import reshape
from hybrid.ops.slicing import flip

Sizes = int | Iterable[int]


# --- layers ---------------------------------------------------------------------------------------


def conv1d(
    x: ArrayLike,
    w: ArrayLike,
    /,
    *,
    stride: Sizes = 1,
    padding: PaddingLike = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Slide weights along an axis, as :func:`conv2d` does: (N, C, L) and (C_out, C / groups, K).

    Examples
    --------
    >>> conv1d([[[1.0, 2.0, 4.0, 8.0]]], [[[-1.0, 1.0]]])
    Tensor([[[1., 2., 4.]]], dtype=float32)
    """
    return _conv("conv1d", 1, x, w, stride, padding, dilation, groups)


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    /,
    *,
    stride: Sizes = 1,
    padding: PaddingLike = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Slide weights over images: at each place, the sum of products with what lies under them.

    As in every machine learning library this is a correlation: the weights are not turned around.

    Parameters
    ----------
    x : array-like
        Of shape (N, C, H, W).
    w : array-like
        Weights of shape (C_out, C / groups, KH, KW).
    stride : int or pair of int
        How far apart neighbouring places are.
    padding : int, pair of int, pair of (before, after), "same" or "valid"
        Zeros around the image. ``"same"``: the result is as large as the image divided by the
        stride, rounded up. ``"valid"``: none.
    dilation : int or pair of int
        How far apart the elements of the image are that meet neighbouring weights.
    groups : int
        The channels are cut into so many parts, each convolved on its own.

    Returns
    -------
    Tensor
        Of shape (N, C_out, H_out, W_out).

    Raises
    ------
    ShapeError
        Where shapes and numbers of channels do not fit, or the weights are larger than the padded
        image.

    Examples
    --------
    >>> import numpy as np
    >>> conv2d(np.ones((8, 3, 28, 28)), np.ones((16, 3, 5, 5)), padding="same").shape
    (8, 16, 28, 28)
    """
    return _conv("conv2d", 2, x, w, stride, padding, dilation, groups)


def conv_transpose1d(
    x: ArrayLike,
    w: ArrayLike,
    /,
    *,
    stride: Sizes = 1,
    padding: PaddingLike = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Spread each element over a window, as :func:`conv_transpose2d` for one spatial axis.

    Examples
    --------
    >>> conv_transpose1d([[[1.0, 2.0]]], [[[1.0, 10.0]]])
    Tensor([[[ 1., 12., 20.]]], dtype=float32)
    """
    return _transposed(
        "conv_transpose1d", 1, x, w, stride, padding, output_padding, dilation, groups
    )


def conv_transpose2d(
    x: ArrayLike,
    w: ArrayLike,
    /,
    *,
    stride: Sizes = 1,
    padding: PaddingLike = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Spread each element, times the weights, over a window, and add up where windows overlap.

    The transpose of :func:`conv2d`: what maps gradients of its result to gradients of its input.

    Parameters
    ----------
    x : array-like
        Of shape (N, C, H, W).
    w : array-like
        Weights of shape (C, C_out / groups, KH, KW).
    stride : int or pair of int
        How far apart the windows of neighbouring elements are.
    padding : int, pair of int, pair of (before, after), "same" or "valid"
        How much is cut off around the result. ``"same"``: the result is `stride` times as large.
    output_padding : int or pair of int
        How many elements the result is longer at the end of each axis, less than the stride.
    dilation : int or pair of int
        How far apart the elements of a window are.
    groups : int
        The channels are cut into so many parts, each treated on its own.

    Returns
    -------
    Tensor
        Of shape (N, C_out, H_out, W_out), where by default ``H_out = (H - 1) * stride + KH``.

    Raises
    ------
    ShapeError
        Where shapes and numbers of channels do not fit, or nothing is left of the result.

    Examples
    --------
    >>> conv_transpose2d([[[[1.0, 2.0]]]], [[[[1.0, 10.0]]]], stride=2)
    Tensor([[[[ 1., 10.,  2., 20.]]]], dtype=float32)
    """
    return _transposed(
        "conv_transpose2d", 2, x, w, stride, padding, output_padding, dilation, groups
    )


def _operands(name: str, count: int, x: Any, w: Any, groups: int) -> tuple[Tensor, Tensor]:
    x, w = asarray(x), asarray(w)
    if x.ndim != count + 2 or w.ndim != count + 2:
        raise ShapeError(
            located(
                f"{name}: the input has shape {x.shape} and the weights {w.shape}, both need "
                f"{count + 2} axes"
            )
        )
    if groups < 1:
        raise ValueError(located(f"{name}: groups is {groups}, it must be at least 1"))
    return x, w


def _conv(
    name: str, count: int, x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    x, w = _operands(name, count, x, w, groups)
    steps = per_axis(name, "stride", stride, count, 1)
    apart = per_axis(name, "dilation", dilation, count, 1)
    around = as_padding(name, padding, x.shape[2:], w.shape[2:], steps, apart)
    attrs = {"stride": steps, "padding": around, "dilation": apart, "groups": groups}
    return conv(x, w, attrs)


def _transposed(
    name: str,
    count: int,
    x: Any,
    w: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    x, w = _operands(name, count, x, w, groups)
    steps = per_axis(name, "stride", stride, count, 1)
    apart = per_axis(name, "dilation", dilation, count, 1)
    longer = per_axis(name, "output_padding", output_padding, count, 0)
    if any(n >= s for n, s in zip(longer, steps)):
        raise ShapeError(
            located(f"{name}: output_padding {longer} must be less than the stride {steps}")
        )
    same = tuple(n * s for n, s in zip(x.shape[2:], steps))
    around = as_padding(name, padding, same, w.shape[2:], steps, apart)
    size = _result_size(x.shape[2:], w.shape[2:], steps, around, apart, longer)
    if isinstance(padding, str) and padding == "same":
        size = same
    if any(n < 1 for n in size):
        raise ShapeError(
            located(f"{name}: padding {around} leaves a result of spatial shape {size}")
        )
    attrs = {"stride": steps, "padding": around, "dilation": apart, "groups": groups}
    return conv_input(x, w, size, attrs)


def _result_size(
    size: Shape, kernel: Shape, stride: Shape, padding: Any, dilation: Shape, longer: Shape
) -> Shape:
    return tuple(
        (n - 1) * s + (k - 1) * d + 1 - before - after + more
        for n, k, s, (before, after), d, more in zip(
            size, kernel, stride, padding, dilation, longer, strict=True
        )
    )


# --- signals --------------------------------------------------------------------------------------


def convolve(a: ArrayLike, v: ArrayLike, /, mode: str = "full") -> Tensor:
    """Return the convolution of two sequences; ``numpy.convolve``.

    Parameters
    ----------
    a, v : array-like
        With one axis, not empty.
    mode : {"full", "same", "valid"}
        All places where the sequences overlap; as many as the longer one has elements, about the
        middle; only those where the shorter one lies within the longer.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where an argument is empty or has not one axis.

    Examples
    --------
    >>> convolve([1, 2, 3], [1, 10])
    Tensor([ 1, 12, 23, 30], dtype=int64)
    """
    long, short = _sequences("convolve", a, v)
    if long.size < short.size:
        long, short = short, long
    return _slide("convolve", long, flip(short), mode)


def correlate(a: ArrayLike, v: ArrayLike, /, mode: str = "valid") -> Tensor:
    """Return the cross-correlation of two sequences; ``numpy.correlate``.

    Element k is the sum of ``a[n + k] * conj(v[n])``.

    Parameters
    ----------
    a, v : array-like
        With one axis, not empty.
    mode : {"valid", "same", "full"}
        As in :func:`convolve`.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        Where an argument is empty or has not one axis.

    Examples
    --------
    >>> correlate([1, 2, 3], [0, 1], mode="full")
    Tensor([1, 2, 3, 0], dtype=int64)
    """
    a, v = _sequences("correlate", a, v)
    if v.dtype.kind == "c":
        v = conj(v)
    if a.size >= v.size:
        return _slide("correlate", a, v, mode)
    return flip(_slide("correlate", v, a, mode))


def _sequences(name: str, a: Any, v: Any) -> tuple[Tensor, Tensor]:
    a, v = together(a, v)
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        raise ShapeError(
            located(f"{name}: shapes {a.shape} and {v.shape}; both must have one axis, not empty")
        )
    return a, v


def _slide(name: str, long: Tensor, short: Tensor, mode: str) -> Tensor:
    """Slide `short` along `long`, which is at least as long."""
    last = short.size - 1
    padding = {
        "valid": (0, 0),
        "same": (short.size // 2, last - short.size // 2),
        "full": (last, last),
    }
    if mode not in padding:
        raise ValueError(located(f"{name}: mode {mode!r} is not one of {', '.join(padding)}"))
    attrs = {"stride": (1,), "padding": (padding[mode],), "dilation": (1,), "groups": 1}
    found = conv(reshape(long, (1, 1, -1)), reshape(short, (1, 1, -1)), attrs)
    return reshape(found, -1)
