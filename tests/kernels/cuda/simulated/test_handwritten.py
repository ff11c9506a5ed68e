"""Rows are added to places, several to one, in an order that sizes and places decide."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.kernels.cuda import handwritten
from tests.kernels.cuda.simulator import launch

THREADS = 8
Array = np.ndarray


def add(out: Array, places: Array, values: Array, length: int, blocks: int = 2) -> None:
    """Do in place what ``scattering.add_rows`` asks of a card."""
    rows, inner = values.shape
    order = np.argsort(places, stable=True)
    count, half = -(-rows // length) * inner, out.dtype.itemsize == 2
    memory = [x.reshape(-1) for x in (out, values)]
    memory = [x.view(np.uint16) for x in memory] if half else memory
    dtype = handwritten.computed(out.dtype.name)
    pieces = [np.full(count, 77, dtype) for _ in range(2)]
    pointers = [memory[0], places[order], order, memory[1], *pieces]
    for make in (handwritten.add_stretches, handwritten.join_stretches):
        source = make(out.dtype.name, inner, THREADS)
        launch(source, source.phases[0], blocks, [*pointers, count, rows, length])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("length", [1, 2, 5, 40])
@pytest.mark.parametrize("kind", ["few places", "one place", "own places", "many rows"])
def test_rows_are_added_to_their_places(kind: str, length: int, dtype: str) -> None:
    rng = np.random.default_rng(1)
    rows, inner = {"many rows": (37, 1)}.get(kind, (11, 3))
    places = {
        "few places": rng.integers(0, 4, rows),
        "one place": np.full(rows, 2),
        "own places": rng.permutation(rows),
        "many rows": np.sort(rng.integers(0, 6, rows))[::-1].copy(),
    }[kind]
    out = rng.integers(0, 3, (rows, inner)).astype(dtype)
    values = rng.integers(-9, 9, (rows, inner)).astype(dtype)
    want = out.copy()
    np.add.at(want, places, values)
    add(out, places, values, length)
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("length", [1, 3, 100])
def test_sums_do_not_depend_on_the_number_of_blocks(length: int) -> None:
    rng = np.random.default_rng(2)
    places, values = rng.integers(0, 3, 50), rng.standard_normal((50, 2)).astype(np.float32)
    found = [np.zeros((3, 2), np.float32) for _ in range(2)]
    for out, blocks in zip(found, (1, 4), strict=True):
        add(out, places, values, length, blocks)
    assert found[0].tobytes() == found[1].tobytes()


def test_within_a_stretch_rows_are_added_one_after_another() -> None:
    values = np.array([[1e8], [1.0], [-1e8], [1.0]], np.float32)
    out = np.zeros((1, 1), np.float32)
    add(out, np.zeros(4, np.int64), values, 4)
    assert out.item() == 1.0
