"""Gathers and scatters do what NumPy does, in order."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.kernels.cuda import handwritten
from tests.kernels.cuda.simulator import launch

THREADS = 8


@pytest.mark.parametrize("dtype", ["float32", "bool", "uint16"])
def test_gather_takes_slices_of_any_axis(dtype: str) -> None:
    array = (np.random.default_rng(0).standard_normal((3, 5, 4)) * 9).astype(dtype)
    places = np.array([4, 0, -1, -5, 2, 2])
    out = np.zeros((3, 6, 4), dtype)
    source = handwritten.gather(dtype, 4, THREADS)
    flat = [array.reshape(-1), places, out.reshape(-1)]
    launch(source, source.phases[0], 3, [*flat, out.size, 5, 6])
    np.testing.assert_array_equal(out, array.take(places, axis=1))


@pytest.mark.parametrize("mode", ["set", "add"])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "float16"])
def test_scatter_meets_equal_places_in_their_order(mode: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    out = (rng.integers(0, 3, (6, 3))).astype(dtype)
    places = np.array([3, 0, 3, 5, 3, 0, 1])
    values = rng.integers(0, 9, (7, 3)).astype(dtype)
    want = out.copy()
    if mode == "set":
        for place, value in zip(places, values, strict=True):
            want[place] = value
    else:
        np.add.at(want, places, values)
    order = np.argsort(places, stable=True)
    source = handwritten.scatter(dtype, 3, mode, THREADS)
    memory = [x.reshape(-1) for x in (out, values)]
    if dtype == "float16":
        memory = [x.view(np.uint16) for x in memory]
    arguments = [memory[0], places[order], order, memory[1], values.size, len(places)]
    launch(source, source.phases[0], 2, arguments)
    np.testing.assert_array_equal(out, want)


def test_sums_of_a_scatter_are_added_one_after_another() -> None:
    values = np.array([1e8, 1.0, -1e8, 1.0], np.float32)
    out, places, order = np.zeros(1, np.float32), np.zeros(4, np.int64), np.arange(4)
    source = handwritten.scatter("float32", 1, "add", THREADS)
    launch(source, source.phases[0], 1, [out, places, order, values, 4, 4])
    assert out[0] == 1.0
