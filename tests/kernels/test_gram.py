"""Products of a matrix and its own transpose are symmetric, whoever computes which part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.layout import Layout, contiguous
from hybrid.kernels import gram, handwritten, limits, parallel

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.skipif(not limits.registers()[1], reason="no fused multiply-adds")


def product(x: Array) -> Array:
    layout = Layout(x.shape, tuple(step // x.itemsize for step in x.strides))
    out = np.full((len(x), len(x)), 7, x.dtype)
    found = gram.gram_kernel(layout, contiguous(out.shape), x.dtype)
    assert found is not None
    handwritten.run(*found, x, out)
    return out


@pytest.mark.parametrize("rows", [192, 193, 239, 287, 301])
@pytest.mark.parametrize(("columns", "dtype"), [(0, "float32"), (1, "float64"), (32, "float32")])
@pytest.mark.parametrize("how", ["rows", "columns", "every other", "backwards"])
def test_products_are_numpys_and_symmetric(rows: int, columns: int, dtype: str, how: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 2 * columns)).astype(dtype)
    x = x[:, ::2] if how == "every other" else x[:, :columns]
    x = np.asarray(x, order="F") if how == "columns" else x[::-1] if how == "backwards" else x
    found = product(x)
    np.testing.assert_array_equal(found, found.T)
    eps = np.finfo(x.dtype).eps
    np.testing.assert_allclose(found, x @ x.T, rtol=0, atol=columns * eps * 20)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_reaches_its_row_and_column() -> None:
    x = np.ones((200, 5), np.float32)
    x[17, 2], x[150, 3], x[60, 1] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(product(x), x @ x.T)


def test_results_depend_on_no_number_of_threads() -> None:
    x = np.random.default_rng(0).standard_normal((700, 100))
    before = parallel.get_num_threads()
    found = []
    for threads in (1, parallel.available()):
        parallel.set_num_threads(threads)
        found.append(product(x))
    parallel.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_few_columns_of_many_rows_of_real_numbers_are_taken() -> None:
    for shape, dtype, expected in (
        ((300, 256), "float32", True),
        ((300, 257), "float32", False),
        ((191, 32), "float64", False),
        ((300, 8), "complex64", False),
        ((300, 8), "int64", False),
    ):
        out = contiguous((shape[0], shape[0]))
        found = gram.gram_kernel(contiguous(shape), out, np.dtype(dtype))
        assert (found is not None) == expected


def test_compiled_functions_of_any_size_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, kernel = [], gram.gram_kernel

    def counted(*args: Any) -> Any:
        asked.append(kernel(*args))
        return asked[-1]

    monkeypatch.setattr(gram, "gram_kernel", counted)
    square = hb.compile(lambda x: (x[2:] @ x[2:].T, x.T @ x))
    for rows in (200, 250, 300, 353, 401):
        x = np.random.default_rng(rows).standard_normal((rows, 24)).astype(np.float32)
        outer, inner = (found.numpy() for found in square(x))
        np.testing.assert_array_equal(outer, outer.T)
        np.testing.assert_allclose(outer, x[2:] @ x[2:].T, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(inner, x.T @ x, rtol=1e-5, atol=1e-3)
    # Of the first size, of the second, and once of all others: the second product has few rows.
    # Twice for each trace: to compile it with the kernels, and to call it.
    assert [found is not None for found in asked] == [True, False] * 6


def test_loops_in_native_code_have_them() -> None:
    x = np.random.default_rng(0).standard_normal((3, 201, 20)).astype(np.float32)

    @hb.compile
    def total(x: hb.Tensor) -> hb.Tensor:
        return hb.scan(lambda c, row: (c + row[1:] @ row[1:].T, None), hb.zeros((200, 200)), x)[0]

    expected = sum(row[1:] @ row[1:].T for row in x)
    np.testing.assert_allclose(total(x).numpy(), expected, rtol=1e-5, atol=1e-4)
