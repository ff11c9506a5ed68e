"""Matrix products on a GPU: how a row-major product is put to cuBLAS.

cuBLAS keeps matrices by columns. What lies by rows is to it the transpose, and ``(a @ b).T`` is
``b.T @ a.T``; so it is given the second operand first, and nothing is moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from hybrid.core.layout import Layout
from hybrid.records import dataclass

# What cuBLAS multiplies.
DTYPES = frozenset(("float16", "bfloat16", "float32", "float64", "complex64", "complex128"))
# More products than this in a row are slower than a copy that makes one batch of them.
MOST_CALLS = 16
# Sizes and leading dimensions are C's int.
_LARGEST = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Factor:
    """A matrix by columns, as cuBLAS wants it: its op, leading dimension and step in a batch."""

    transposed: bool
    leading: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class Gemm:
    """One call: ``out = op(first) @ op(second)`` for each matrix of a batch, all by columns.

    Attributes
    ----------
    dtype : str
        Of all three.
    m, n, k : int
        ``out`` has m rows and n columns; k is what is summed over.
    """

    dtype: str
    m: int
    n: int
    k: int
    batch: int
    first: Factor
    second: Factor
    out: Factor


@dataclass(frozen=True, slots=True)
class Product:
    """A call, and the first elements of ``first``, ``second`` and ``out``."""

    gemm: Gemm
    offsets: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Axis:
    """An axis of the batch: its size, and strides in a, b and the result."""

    size: int
    strides: tuple[int, int, int]


def factor(layout: Layout) -> Factor | None:
    """How the matrices along the last two axes are read without a copy; None where they are not."""
    (rows, columns), (down, along) = layout.shape[-2:], layout.strides[-2:]
    if (along == 1 or columns == 1) and (down >= columns or rows == 1):
        return Factor(False, down if rows > 1 else columns)
    if (down == 1 or rows == 1) and (along >= rows or columns == 1):
        return Factor(True, along if columns > 1 else rows)
    return None


def as_matrices(a: Layout, b: Layout, out: Layout) -> tuple[Layout, Layout, Layout]:
    """Give vectors the axis of size 1 that makes them matrices, in the result too."""
    if len(b.shape) == 1:
        b, out = b.insert(1), out.insert(len(out.shape))
    if len(a.shape) == 1:
        a, out = a.insert(0), out.insert(len(out.shape) - 1)
    return a, b, out


def plan(a: Layout, b: Layout, out: Layout, dtype: str) -> tuple[Product, ...] | None:
    """The calls that multiply stacks of matrices.

    Parameters
    ----------
    a, b, out
        How operands and result lie, as ``as_matrices`` gives them; strides of the result's batch
        are those of an array without gaps.
    dtype
        One of ``DTYPES``.

    Returns
    -------
    tuple of Product or None
        None where an operand has to be copied first, or the sizes are beyond cuBLAS.
    """
    left, right = factor(a), factor(b)
    if left is None or right is None:
        return None
    rows, inner, columns = *a.shape[-2:], b.shape[-1]
    largest = max(rows, inner, columns, left.leading, right.leading)
    axes = _collapsed(_batch(a, b, out))
    longest = max(axes, key=lambda axis: axis.size, default=_Axis(1, (0, 0, 0)))
    others = [axis for axis in axes if axis is not longest]
    if largest > _LARGEST or math.prod(axis.size for axis in others) > MOST_CALLS:
        return None
    steps = longest.strides
    gemm = Gemm(
        dtype,
        columns,
        rows,
        inner,
        longest.size,
        replace(right, step=steps[1]),
        replace(left, step=steps[0]),
        Factor(False, columns, steps[2]),
    )
    starts = (a.offset, b.offset, out.offset)
    return tuple(
        Product(gemm, (found[1], found[0], found[2])) for found in _offsets(others, starts)
    )


def _batch(a: Layout, b: Layout, out: Layout) -> list[_Axis]:
    batch = out.shape[:-2]
    along_a = a.expand((*batch, *a.shape[-2:])).strides
    along_b = b.expand((*batch, *b.shape[-2:])).strides
    return [_Axis(n, (along_a[i], along_b[i], out.strides[i])) for i, n in enumerate(batch)]


def _collapsed(axes: list[_Axis]) -> list[_Axis]:
    """Axes that one step serves, as one."""
    found: list[_Axis] = []
    for axis in axes:
        if axis.size == 1:
            continue
        if found:
            outer = found[-1]
            pairs = zip(outer.strides, axis.strides, strict=True)
            if all(above == below * axis.size for above, below in pairs):
                found[-1] = _Axis(outer.size * axis.size, axis.strides)
                continue
        found.append(axis)
    return found


def _offsets(axes: list[_Axis], starts: tuple[int, int, int]) -> Iterator[tuple[int, ...]]:
    for place in product(*(range(axis.size) for axis in axes)):
        yield tuple(
            start + sum(i * axis.strides[n] for i, axis in zip(place, axes, strict=True))
            for n, start in enumerate(starts)
        )
