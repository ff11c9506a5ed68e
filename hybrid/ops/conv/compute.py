"""Which way a convolution is computed: by kernels of its own, or by products of copied windows."""

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


def convolved(
    xp: Any, x: Any, w: Any, stride: Shape, padding: Padding, dilation: Shape, groups: int
) -> Any:
    """Return each window's products with the weights, summed."""
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
    if xp is np and x.ndim <= 4:
        lifted = _lifted(size, stride, padding, dilation)
        found = convolution.by_weight(_image(x), _image(g), *lifted, groups)
        if found is not None:
            return found.reshape((g.shape[1], x.shape[1] // groups, *size))
    return library.by_weight(xp, x, g, size, stride, padding, dilation, groups)
