"""Counts in bins of equal width are NumPy's, element by element and bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.kernels import histogram, parallel

SIZE = 150_001


def numbers(dtype: str, bins: int, limits: tuple[float, float] | None) -> np.ndarray[Any, Any]:
    """Random ones, some beyond the limits, edges and their neighbours, and what has no bin."""
    rng = np.random.default_rng(0)
    if dtype.startswith("float"):
        x = rng.normal(0.3, 1.0, SIZE).astype(dtype)
        edges = np.histogram_bin_edges(x, bins, limits).astype(dtype)
        near = [edges, np.nextafter(edges, dtype_of(dtype, -9)), np.nextafter(edges, x[:1] + 99)]
        some = np.concatenate(near)[: SIZE // 2]
        x[: some.size] = some
        if limits:
            x[-4:] = np.nan, np.inf, -np.inf, -0.0
        return x
    return rng.integers(0, 200, SIZE).astype(dtype)


def dtype_of(dtype: str, value: float) -> Any:
    return np.dtype(dtype).type(value)


@pytest.mark.parametrize("limits", [None, (0.1, 0.7), (-3.0, 5.0), (1.0, 180.0)])
@pytest.mark.parametrize("bins", [1, 7, 64, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "int32"])
def test_counts_are_numpys(dtype: str, bins: int, limits: tuple[float, float] | None) -> None:
    x = numbers(dtype, bins, limits)
    edges = np.histogram_bin_edges(x, bins, limits)
    assert histogram.takes(x, edges)
    np.testing.assert_array_equal(histogram.count(x, edges), np.histogram(x, bins, limits)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", ["float32", "float64"])
def test_weights_are_added_in_numpys_order(dtype: str, weight: str) -> None:
    x = numbers(dtype, 50, (0.0, 1.0))
    weights = np.random.default_rng(1).normal(size=SIZE).astype(weight)
    expected, edges = np.histogram(x, 50, (0.0, 1.0), weights=weights)
    found = histogram.count(x, edges, weights)
    assert found.dtype == weights.dtype
    np.testing.assert_array_equal(found, expected)


def test_one_thread_counts_as_two() -> None:
    x = numbers("float32", 64, (0.0, 1.0))
    weights = np.random.default_rng(1).random(SIZE)
    edges = np.histogram_bin_edges(x, 64, (0.0, 1.0))
    before = parallel.get_num_threads()
    found = []
    for threads in {1, parallel.available()}:
        parallel.set_num_threads(threads)
        found.append(histogram.count(x, edges, weights))
    parallel.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[-1])


def test_bins_may_be_more_than_a_block_has_elements() -> None:
    x = numbers("float64", 300_000, (0.0, 1.0))
    expected, edges = np.histogram(x, 300_000, (0.0, 1.0))
    np.testing.assert_array_equal(histogram.count(x, edges), expected)


def test_other_dtypes_are_left_to_numpy() -> None:
    x = np.zeros(SIZE, np.float16)
    assert not histogram.takes(x, np.zeros(5, np.float16))
    assert not histogram.takes(np.zeros(SIZE), np.zeros(5), np.zeros(SIZE, np.int64))
    assert not histogram.takes(np.zeros(10), np.zeros(5))


@pytest.mark.parametrize("run", [lambda f: f, hb.compile])
def test_histogram_counts_with_the_kernel(run: Any) -> None:
    x = numbers("float32", 64, (0.0, 1.0))[::-1]
    weights = np.random.default_rng(1).random(SIZE)
    for options in ({}, {"density": True}, {"weights": weights}):
        found, edges = run(lambda x, o=options: hb.histogram(x, 64, (0.0, 1.0), **o))(x)
        expected, limits = np.histogram(x, 64, (0.0, 1.0), **options)
        np.testing.assert_array_equal(edges.numpy(), limits)
        np.testing.assert_allclose(
            found.numpy(), expected, rtol=1e-6 if "density" in options else 0
        )
