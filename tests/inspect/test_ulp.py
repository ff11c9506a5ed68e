"""The distance in units of the last place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.errors import DTypeError, ShapeError
from hybrid.inspect.ulp import max_ulp, ulp_distance

FLOATS = ("float16", "float32", "float64", "bfloat16")


@pytest.mark.parametrize("name", FLOATS)
def test_neighbours_are_one_apart(name: str) -> None:
    one = np.ones(3, dtype=getattr(hb, name))
    bits = one.view(f"i{one.itemsize}") + 1
    assert max_ulp(one, bits.view(one.dtype)) == 1


@pytest.mark.parametrize("name", FLOATS)
def test_both_zeros_are_the_same_and_subnormals_count(name: str) -> None:
    dtype = getattr(hb, name)
    zeros = np.array([0.0, -0.0]).astype(dtype)
    assert max_ulp(zeros, zeros[::-1]) == 0
    smallest = np.array([1, 1], dtype=f"i{dtype.itemsize}").view(dtype)
    assert max_ulp(smallest, -smallest) == 2


def test_nan_equals_nan_only() -> None:
    x = np.float32([np.nan, np.nan, 1.0, np.inf])
    y = np.float32([np.nan, 1.0, np.nan, np.inf])
    assert ulp_distance(x, y).tolist() == [0, np.inf, np.inf, 0]


def test_far_ends_of_float64_do_not_overflow() -> None:
    distance = max_ulp(np.float64(-np.inf), np.float64(np.inf))
    assert distance == 2 * np.float64(np.inf).view(np.int64).astype(float)


def test_integers_and_complex_numbers() -> None:
    assert max_ulp(np.int8([-128]), np.int8([127])) == 255
    assert max_ulp(np.array([True]), np.array([False])) == 1
    assert max_ulp(np.uint64([0]), np.uint64([2**64 - 1])) == float(2**64 - 1)
    z = np.complex64([1 + 1j])
    assert max_ulp(z, np.complex64([1 + 1j + 1j * np.spacing(np.float32(1))])) == 1


def test_empty_arrays_do_not_differ() -> None:
    assert max_ulp(np.zeros((0, 3)), np.zeros((0, 3))) == 0


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\)"):
        ulp_distance(np.zeros(2), np.zeros(3))
    with pytest.raises(DTypeError, match="float64 and float32"):
        ulp_distance(np.zeros(2), np.zeros(2, np.float32))


@given(st.floats(width=32, allow_nan=False), st.integers(1, 1000))
def test_distance_counts_steps(x: float, steps: int) -> None:
    start = np.float32(x)
    at = start
    for _ in range(min(steps, 50)):
        at = np.nextafter(at, np.float32(np.inf))
    expected = 0 if start == np.inf else min(steps, 50)
    assert max_ulp(start, at) <= expected
    assert max_ulp(start, at) == max_ulp(at, start)
