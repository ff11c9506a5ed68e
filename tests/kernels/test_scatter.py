"""Rows added up at places: NumPy's results bit for bit, whatever the rows and the threads."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from hybrid.kernels import scatter, spec


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("row", [(1,), (3,), (16,), (32,), (7, 5), (100,)])
def test_rows_are_added_in_their_order(row: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    out = (100 * rng.standard_normal((11, *row))).astype(dtype)
    value = (100 * rng.standard_normal((40, 3, *row))).astype(dtype)
    index = rng.integers(-11, 11, (40, 3))
    expected = out.copy()
    np.add.at(expected, index, value)
    alone, shared = out.copy(), out.copy()
    scatter.add_rows(alone, value, index)
    with mock.patch.object(scatter, "_ROW", spec.PARALLEL_NS):
        scatter.add_rows(shared, value, index)
    np.testing.assert_array_equal(alone, expected)
    np.testing.assert_array_equal(shared, expected)


@pytest.mark.parametrize("index_dtype", ["uint8", "int32", "int64"])
def test_values_of_any_layout_and_indices_of_any_integers_are_taken(index_dtype: str) -> None:
    rng = np.random.default_rng(1)
    value = np.asfortranarray(rng.standard_normal((50, 4)))
    index = rng.integers(0, 6, 100).astype(index_dtype)[::2]
    expected, found = np.zeros((2, 6, 4))
    np.add.at(expected, index, value)
    scatter.add_rows(found, value, index)
    np.testing.assert_array_equal(found, expected)
    out = np.zeros((6, 4))
    scatter.add_rows(out, np.broadcast_to(value[:1], (50, 4)), index)
    np.testing.assert_allclose(out[:, 0], value[0, 0] * np.bincount(index, minlength=6))
