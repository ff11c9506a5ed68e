"""Stretches of an inner loop: where windows open and shut, and what is read through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.kernels.loopnest import MAP_BLOCK, canonical
from hybrid.kernels.region import Access, Instr, Region, Window
from hybrid.kernels.stretches import choices


def _roll(space: tuple[int, int], axis: int, by: int) -> Region:
    """The region that rolls an array of two axes."""
    strides = (space[1], 1)
    step, n = strides[axis], space[axis]
    position = Access("int64", 0, 0, tuple(int(a == axis) for a in (0, 1)), is_position=True)

    def part(offset: int, low: int, high: int) -> Access:
        return Access("float32", 2, offset, strides, windows=(Window(0, low, high),))

    body = (
        Instr("inside", "inside", "", (2,), "bool"),
        Instr("map", "where", "select({0}, {1}, {2})", (3, 2, 1), "float32"),
    )
    inputs = position, part((n - by) * step, 0, by), part(-by * step, by, n)
    return Region(space, (), inputs, body, ((4, Access("float32", 2, 0, strides)),))


def test_the_inner_loop_is_divided_where_windows_begin_and_end() -> None:
    spec, _ = canonical(_roll((6, 40), 1, 3))
    assert (spec.kept, spec.stretches) == (1, 2)
    assert choices(spec) == {4: (2, 1)}


def test_windows_of_whole_rows_are_stretches_of_all_elements() -> None:
    spec, _ = canonical(_roll((6, 40), 0, 1))
    assert (spec.kept, spec.stretches) == (0, 2)


@pytest.mark.parametrize("size", [1, 2, 7, MAP_BLOCK, MAP_BLOCK + 3, 3 * MAP_BLOCK])
@pytest.mark.parametrize("dtype", ["float64", "float16", "bool"])
def test_rolls_cross_the_ends_of_items(size: int, dtype: str) -> None:
    x = (np.arange(size) % 13 % 5).astype(dtype)

    def function(x: Any) -> Any:
        return (np.roll(x, 1) == np.roll(x, -MAP_BLOCK)) | (np.roll(x, 2 - size) > x)

    np.testing.assert_array_equal(hb.compile(function)(hb.asarray(x)).numpy(), function(x))


@pytest.mark.parametrize("lie", [np.asarray, np.asfortranarray, lambda x: x[::-1, ::2]])
def test_parts_that_lie_otherwise_are_read_where_they_are(lie: Any) -> None:
    x, y = (lie(np.arange(30.0 * n).reshape(6, 5 * n)) for n in (2, 4))

    def function(x: Any, y: Any) -> Any:
        return np.concatenate([x, y], 1) * 2 + np.concatenate([y, x], 1)

    found = hb.compile(function)(hb.asarray(x), hb.asarray(y))
    np.testing.assert_array_equal(found.numpy(), function(x, y))
