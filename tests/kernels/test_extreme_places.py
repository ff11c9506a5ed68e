"""The places of extremes are those that NumPy finds: NaN wins, the first of several counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.kernels import extreme_places, parallel

DTYPES = ("float32", "float64", "int32", "int64", "uint8")


def check(x: np.ndarray[Any, Any]) -> None:
    for largest, expected in ((True, x.argmax(1)), (False, x.argmin(1))):
        out = np.full(len(x), -1)
        extreme_places.places(x, out, largest)
        np.testing.assert_array_equal(out, expected)


@given(
    st.sampled_from(DTYPES),
    st.integers(1, 4),
    st.sampled_from([256, 257, 319, 1000, 16_385, 70_000, 131_072]),
    st.integers(1, 300),
    st.integers(0, 9),
)
def test_places_are_numpys(dtype: str, rows: int, size: int, values: int, seed: int) -> None:
    """With few different values there are ties, within a block, between blocks and items."""
    x = np.random.default_rng(seed).integers(0, values, (rows, size)).astype(dtype)
    check(x)
    if dtype.startswith("float"):
        check(-x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [300, 140_000])
def test_special_values(dtype: str, size: int) -> None:
    rng = np.random.default_rng(0)
    for special in (np.nan, np.inf, -np.inf, -0.0):
        x = rng.standard_normal((5, size)).astype(dtype)
        x[rng.integers(0, 5, 8), rng.integers(0, size, 8)] = special
        check(x)
        check(np.full((2, size), special, dtype))
    x = np.full((1, size), -np.inf, dtype)
    x[0, [size // 2, size - 1]] = np.nan
    check(x)
    check(np.where(np.arange(size) % 7 == 3, 0.0, -0.0).astype(dtype)[None])


def test_extremes_of_integers_are_no_numbers_apart() -> None:
    for dtype in ("int32", "int64", "uint8"):
        info = np.iinfo(dtype)
        check(np.full((2, 1000), info.min, dtype))
        check(np.full((2, 1000), info.max, dtype))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_plans_find_places_with_any_number_of_threads(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((200, 400)).astype("float32")
    find = getattr(hb, name)
    whole = hb.compile(lambda x: (find(x), find(x, axis=1, keepdims=True), find(x.T, axis=1)))
    before = parallel.get_num_threads()
    for threads in {1, parallel.available()}:
        parallel.set_num_threads(threads)
        for got, axis, array in zip(whole(x), (None, 1, 1), (x, x, x.T), strict=True):
            expected = getattr(array, name)(axis=axis)
            np.testing.assert_array_equal(got.numpy().reshape(expected.shape), expected)
    parallel.set_num_threads(before)
