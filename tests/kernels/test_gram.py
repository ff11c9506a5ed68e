"""Products of a matrix and its own transpose are symmetric, whoever computes which part."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.kernels import gram, parallel


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 64, 65, 97, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_half_becomes_the_other(size: int, dtype: str) -> None:
    matrix = np.random.default_rng(0).random((size, size)).astype(dtype)
    expected = np.triu(matrix) + np.triu(matrix, 1).T
    gram.mirror(matrix)
    np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize("rows", [150, 333, 700])
@pytest.mark.parametrize(("columns", "dtype"), [(3, "float32"), (31, "float64"), (64, "float32")])
def test_products_are_symmetric(rows: int, columns: int, dtype: str) -> None:
    x = np.random.default_rng(0).standard_normal((rows, columns)).astype(dtype)
    rtol = 1e-5 if dtype == "float32" else 1e-13
    product = hb.compile(lambda x: (x @ x.T, x.T @ x))
    before = parallel.get_num_threads()
    for threads in {1, parallel.available()}:
        parallel.set_num_threads(threads)
        outer, inner = (found.numpy() for found in product(x))
        np.testing.assert_array_equal(outer, outer.T)
        np.testing.assert_array_equal(inner, inner.T)
        np.testing.assert_allclose(outer, x @ x.T, rtol=rtol, atol=rtol * columns)
        np.testing.assert_allclose(inner, x.T @ x, rtol=rtol, atol=rtol * rows)
    parallel.set_num_threads(before)


def test_few_columns_of_real_numbers_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, dtype, expected in (
        (64, "float32", True),
        (32, "float64", True),
        (64, "float64", False),
        (8, "complex64", False),
    ):
        assert gram.takes(columns, np.dtype(dtype)) == expected
    copied = []
    monkeypatch.setattr(gram, "mirror", copied.append)
    monkeypatch.setattr(gram, "get_num_threads", lambda: 2)
    for columns in (20, 65):
        hb.compile(lambda x: x @ x.T)(np.ones((300, columns), np.float32))
    assert len(copied) == 1
