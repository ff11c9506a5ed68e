"""Layout: how a strided view lies in memory. View ops are functions of layouts."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from hybrid.core.spec import Shape
from hybrid.core.unknown import same
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """A strided view of a block of memory; strides and offset count elements.

    Examples
    --------
    >>> contiguous((2, 3)).transpose((1, 0))
    Layout(shape=(3, 2), strides=(1, 3), offset=0)
    """

    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie in C order without gaps."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if not same(stride, expected) and size != 1 and stride != expected:
                return 0 in self.shape
            expected *= size
        return True

    def transpose(self, axes: tuple[int, ...]) -> Layout:
        """Permute the axes."""
        return Layout(
            tuple(self.shape[a] for a in axes),
            tuple(self.strides[a] for a in axes),
            self.offset,
        )

    def halved(self) -> Layout:
        """Take the first half of each element: in steps of halves."""
        return Layout(self.shape, tuple(2 * s for s in self.strides), 2 * self.offset)

    def expand(self, shape: Shape) -> Layout:
        """Broadcast to `shape`: new and stretched axes get stride 0."""
        lead = len(shape) - len(self.shape)
        strides = tuple(
            stride if same(old, new) or old != 1 else 0
            for old, new, stride in zip(self.shape, shape[lead:], self.strides, strict=True)
        )
        return Layout(shape, (0,) * lead + strides, self.offset)

    def slice(self, axis: int, start: int, size: int, step: int) -> Layout:
        """Take `size` elements of one axis from `start` on, `step` apart."""
        shape, strides = list(self.shape), list(self.strides)
        # Of no elements none is the first; an unknown size is not asked whether it is 0.
        offset = self.offset + (0 if same(size, 0) else start * strides[axis])
        shape[axis], strides[axis] = size, strides[axis] * step
        return Layout(tuple(shape), tuple(strides), offset)

    def drop(self, axis: int, index: int = 0) -> Layout:
        """Take one element of an axis and remove the axis."""
        return Layout(
            self.shape[:axis] + self.shape[axis + 1 :],
            self.strides[:axis] + self.strides[axis + 1 :],
            self.offset + index * self.strides[axis],
        )

    def insert(self, axis: int) -> Layout:
        """Insert an axis of size 1."""
        return Layout(
            (*self.shape[:axis], 1, *self.shape[axis:]),
            (*self.strides[:axis], 0, *self.strides[axis:]),
            self.offset,
        )

    def reshape(self, shape: Shape) -> Layout | None:
        """Give the same elements another shape; None where that needs a copy."""
        if prod(shape) != prod(self.shape):
            raise ValueError(f"cannot reshape {self.shape} to {shape}")
        if len(shape) == len(self.shape) and all(map(same, shape, self.shape)):
            return self
        if self.is_contiguous:
            return contiguous(shape, self.offset)
        if 0 in shape:
            return contiguous(shape, self.offset)
        old = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1]
        strides = [0] * len(shape)
        axes = [axis for axis, size in enumerate(shape) if size != 1]
        at = 0
        while at < len(old):
            # The fewest axes of both shapes that hold the same number of elements.
            block, taken = [old[at]], [axes.pop(0)]
            at += 1
            old_size, new_size = block[0][0], shape[taken[0]]
            while old_size != new_size:
                if new_size < old_size:
                    taken.append(axes.pop(0))
                    new_size *= shape[taken[-1]]
                else:
                    block.append(old[at])
                    old_size *= old[at][0]
                    at += 1
            for (_, outer), (size, inner) in pairwise(block):
                if outer != size * inner:
                    return None
            stride = block[-1][1]
            for axis in reversed(taken):
                strides[axis] = stride
                stride *= shape[axis]
        return Layout(shape, tuple(strides), self.offset)


def contiguous(shape: Shape, offset: int = 0) -> Layout:
    """Return the layout of a fresh C-ordered array."""
    strides = [0] * len(shape)
    step = 1
    for axis in range(len(shape) - 1, -1, -1):
        strides[axis] = step
        step *= shape[axis]
    return Layout(shape, tuple(strides), offset)


def overlap(one: Layout, other: Layout) -> bool:
    """Tell whether two layouts of one memory may share an element; exactly, if sizes are known."""
    if 0 in one.shape or 0 in other.shape:
        return False
    (low, high), (start, end) = _span(one), _span(other)
    if high < start or end < low:
        return False
    numbers = (*one.shape, *one.strides, one.offset, *other.shape, *other.strides, other.offset)
    if not all(isinstance(n, int) for n in numbers):
        return True
    memory = np.empty(max(high, end) + 1, np.uint8)
    a, b = (as_strided(memory[x.offset :], x.shape, x.strides) for x in (one, other))
    return bool(np.shares_memory(a, b))


def _span(layout: Layout) -> tuple[int, int]:
    """Return where the first and the last element lie."""
    steps = [(n - 1) * s for n, s in zip(layout.shape, layout.strides, strict=True)]
    low = layout.offset + sum(step for step in steps if step < 0)
    return low, layout.offset + sum(step for step in steps if step > 0)
