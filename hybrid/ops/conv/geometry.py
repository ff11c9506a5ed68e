"""How windows slide over the spatial axes: what users write, and what follows from it."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from hybrid.core.source import located
from hybrid.core.spec import Shape
from hybrid.errors import ShapeError

Pair = tuple[int, int]
Padding = tuple[Pair, ...]
PaddingLike = str | int | Iterable[int | Iterable[int]]


def per_axis(name: str, what: str, value: Any, count: int, least: int) -> Shape:
    """Return `value` (an int, or one per spatial axis) as a tuple of ints."""
    given = tuple(value) if isinstance(value, Iterable) else (value,) * count
    found = tuple(operator.index(n) for n in given)
    if len(found) != count or any(n < least for n in found):
        raise ShapeError(
            located(f"{name}: {what} is {value!r}, it must be {count} numbers from {least} on")
        )
    return found


def as_padding(
    name: str, value: PaddingLike, size: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> Padding:
    """Return padding as (before, after) pairs, one per spatial axis.

    ``"same"`` makes the result as long as the input divided by the stride, rounded up; where the
    total is odd, the greater half comes after (TensorFlow's rule).
    """
    if isinstance(value, str):
        if value == "valid":
            return ((0, 0),) * len(size)
        if value == "same":
            return tuple(map(_same, size, kernel, stride, dilation))
        raise ValueError(located(f"{name}: padding {value!r} is neither 'same' nor 'valid'"))
    given = tuple(value) if isinstance(value, Iterable) else (value,) * len(size)
    pairs = tuple(_pair(name, entry) for entry in given)
    if len(pairs) != len(size):
        raise ShapeError(
            located(f"{name}: padding {value!r} is for {len(pairs)} axes, there are {len(size)}")
        )
    return pairs


def _pair(name: str, entry: Any) -> Pair:
    if isinstance(entry, Iterable):
        return (n := per_axis(name, "padding", entry, 2, 0))[0], n[1]
    return per_axis(name, "padding", (entry, entry), 2, 0)  # type: ignore[return-value]


def _same(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def positions(
    name: str, size: Shape, kernel: Shape, stride: Shape, padding: Padding, dilation: Shape
) -> Shape:
    """Return how many places a window has along each spatial axis."""
    found = []
    for axis, (n, k, s, (before, after), d) in enumerate(
        zip(size, kernel, stride, padding, dilation, strict=True)
    ):
        room = n + before + after - (d * (k - 1) + 1)
        if k < 1 or room < 0:
            raise ShapeError(
                f"{name}: a window of {k} elements, {d} apart, does not fit into spatial axis "
                f"{axis} of size {n} padded by {(before, after)}"
            )
        found.append(room // s + 1)
    return tuple(found)
