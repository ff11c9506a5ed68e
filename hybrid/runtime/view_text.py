"""How a view of an array is written in a driver."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from hybrid.core.layout import Layout


def view_expression(
    name: str, have: Layout, want: Layout, text: Callable[[Any], str] = repr
) -> str | None:
    """Write a view with a plain method call, where one will do; `text` writes a shape."""
    if len(have.shape) == len(want.shape) and have.offset == want.offset:
        axes = _permutation(have, want)
        if axes is not None:
            reverse = axes == tuple(reversed(range(len(axes))))
            return f"{name}.T" if reverse else f"{name}.transpose({axes})"
    if prod(have.shape) == prod(want.shape) > 0 and have.reshape(want.shape) == want:
        return f"{name}.reshape({text(want.shape)})"
    return None


def _permutation(have: Layout, want: Layout) -> tuple[int, ...] | None:
    """Return the order of axes that makes one layout the other, if that is all it takes."""
    axes: list[int] = []
    for axis in zip(want.shape, want.strides, strict=True):
        options = [
            i
            for i, other in enumerate(zip(have.shape, have.strides, strict=True))
            if other == axis and i not in axes
        ]
        if not options:
            return None
        axes.append(options[0])
    return tuple(axes)
