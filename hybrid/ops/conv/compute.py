"""Which way a convolution is computed: by kernels of its own, by products of copied windows, or by
NumPy's correlation where there are two short sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.core.spec import Shape
from hybrid.kernels import convolution
from hybrid.ops.conv import library
from hybrid.ops.conv.geometry import Padding, positions


def _image(x: Any) -> Any:
    """Return a sequence as an image of one row."""
    return x[:, :, None] if x.ndim == 3 else x


def _lifted(
    size: Shape, stride: Shape, padding: Padding, dilation: Shape
) -> tuple[Shape, Shape, Padding, Shape]:
    """Return sizes, strides, padding and dilation with a first axis for the one row."""
    if len(size) == 2:
        return size, stride, padding, dilation
    return (1, *size), (1, *stride), ((0, 0), *padding), (1, *dilation)


_SHORT = 20_000
"""Products up to which NumPy's correlation takes less time than the kernels, whose calls alone take
20 us: of 70 and 10 elements 3 us (24), of 10,000 and 3 11 (31). A product of long windows is quick,
so that beyond 30 elements the number of places counts: 1000 and 30 26 us (23)."""


def are_short(
    xp: Any, x: Any, w: Any, stride: Shape, padding: Padding, dilation: Shape, groups: int = 1
) -> bool:
    """Tell whether NumPy's correlation is the quickest way: two sequences in steps of one."""
    if not _are_sequences(xp, x, w, stride, dilation):
        return False
    (before, after), n, k = padding[0], x.shape[2], w.shape[2]
    places = n + before + after - k + 1
    return bool(n and k and 0 < places * min(k, 30) <= _SHORT)


def _are_sequences(xp: Any, x: Any, w: Any, stride: Shape, dilation: Shape) -> bool:
    """Tell whether it is what ``np.correlate`` computes: two sequences in steps of one."""
    if x.ndim != 3 or x.shape[:2] != (1, 1) or w.shape[:2] != (1, 1):
        return False
    return _are_rows(xp, x, w, stride, dilation, 1)


def _are_rows(xp: Any, x: Any, w: Any, stride: Shape, dilation: Shape, groups: int) -> bool:
    """Tell whether each row of the result is what ``np.correlate`` computes of two sequences.

    That is what a batch of sequences becomes: examples, or channels each of which is a group.
    """
    if xp is not np or x.ndim != 3 or x.shape[1] != groups or w.shape[1] != 1 or not x.size:
        return False
    if not w.size:
        return False
    plain = stride == (1,) and dilation == (1,)
    return plain and x.dtype.char in "fdFDiIlLqQ" and x.dtype == w.dtype


def correlated(x: Any, w: Any, padding: Padding) -> Any:
    """Return the same as :func:`convolved` of two sequences."""
    return _along(x[0, 0], w[0, 0], *padding[0])[None, None]


def _by_row(x: Any, w: Any, padding: Padding) -> Any:
    """Return the same of many sequences, one by one."""
    each = w.shape[0] // x.shape[1]  # sets of weights for each channel
    rows = [[_along(row[i // each], w[i, 0], *padding[0]) for i in range(len(w))] for row in x]
    return np.array(rows)


def _along(x: Any, w: Any, before: int, after: int) -> Any:
    if w.dtype.kind == "c":
        w = w.conj()  # of which it takes the conjugate
    if not before and not after:
        return np.correlate(x, w, "valid")
    around = w.size - 1
    if before <= around and after <= around:
        found = np.correlate(x, w, "full")
        return found[around - before : found.size - (around - after)]
    padded = np.zeros(x.size + before + after, x.dtype)
    padded[before : before + x.size] = x
    return np.correlate(padded, w, "valid")


def convolved(
    xp: Any, x: Any, w: Any, stride: Shape, padding: Padding, dilation: Shape, groups: int
) -> Any:
    """Return each window's products with the weights, summed."""
    if are_short(xp, x, w, stride, padding, dilation):
        return correlated(x, w, padding)
    if _are_rows(xp, x, w, stride, dilation, groups) and not np.isfinite(w).all():
        # The zeros of the padding would give NaN; NumPy leaves out what lies beyond the ends.
        return _by_row(x, w, padding)
    if xp is np and x.ndim <= 4:
        places = positions("conv", x.shape[2:], w.shape[2:], stride, padding, dilation)
        lifted = _lifted(places, stride, padding, dilation)
        found = convolution.forward(_image(x), _image(w), *lifted, groups)
        if found is not None:
            return found.reshape((x.shape[0], w.shape[0], *places))
    return library.convolved(xp, x, w, stride, padding, dilation, groups)


def by_input(
    xp: Any,
    g: Any,
    w: Any,
    size: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Any:
    """Return the transpose of :func:`convolved` by its input, applied to `g`."""
    around = w.shape[2] - 1
    if are_short(xp, g, w, stride, ((around, around),), dilation):
        before, _ = padding[0]
        return np.convolve(g[0, 0], w[0, 0])[None, None, before : before + size[0]]
    if xp is np and g.ndim <= 4:
        lifted = _lifted(size, stride, padding, dilation)
        found = convolution.backward(_image(g), _image(w), *lifted, groups)
        if found is not None:
            return found.reshape((g.shape[0], w.shape[1] * groups, *size))
    return library.by_input(xp, g, w, size, stride, padding, dilation, groups)


def by_weight(
    xp: Any,
    x: Any,
    g: Any,
    size: Shape,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Any:
    """Return the transpose of :func:`convolved` by its weights, applied to `g`."""
    if are_short(xp, x, g, stride, padding, dilation):
        return correlated(x, g, padding)
    if xp is np and x.ndim <= 4:
        lifted = _lifted(size, stride, padding, dilation)
        found = convolution.by_weight(_image(x), _image(g), *lifted, groups)
        if found is not None:
            return found.reshape((g.shape[1], x.shape[1] // groups, *size))
    return library.by_weight(xp, x, g, size, stride, padding, dilation, groups)
