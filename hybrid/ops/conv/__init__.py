"""Convolution: three primitives that are each other's gradients, and what users call."""

from __future__ import annotations

from hybrid.ops.conv.functions import (
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    convolve,
    correlate,
)

__all__ = [
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "convolve",
    "correlate",
]
