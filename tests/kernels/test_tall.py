"""Products with long sums and small results are products, whatever strides and threads are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.layout import contiguous
from hybrid.kernels import handwritten, limits, parallel, tall
from tests.kernels.reference import layout_of

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.skipif(limits.registers()[0] < 32, reason="no wide multiply-adds")


def product(a: Array, b: Array) -> Array:
    out = np.full((a.shape[0], b.shape[1]), 7, a.dtype)
    found = tall.tall_kernel(layout_of(a), layout_of(b), layout_of(out), a.dtype)
    assert found is not None
    handwritten.run(*found, a, b, out)
    return out


def draw(rng: Any, shape: tuple[int, int], dtype: str, how: str) -> Array:
    if how == "turned":
        return rng.standard_normal(shape[::-1]).astype(dtype).T
    x = rng.standard_normal((shape[0], 2 * shape[1])).astype(dtype)
    return {"rows": x[:, : shape[1]], "every other": x[:, ::2], "backwards": x[::-1, : shape[1]]}[
        how
    ]


@settings(max_examples=40)
@given(
    st.integers(1, 64),
    st.sampled_from([2048, 2049, 2303, 5000]),
    st.sampled_from([16, 30, 32, 47, 48, 64]),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from(["rows", "turned", "every other", "backwards"]),
    st.sampled_from(["rows", "backwards"]),
)
def test_products_are_numpys(
    rows: int, inner: int, columns: int, dtype: str, how: str, other: str
) -> None:
    rng = np.random.default_rng(rows)
    a, b = draw(rng, (rows, inner), dtype, how), draw(rng, (inner, columns), dtype, other)
    bound = np.finfo(dtype).eps * inner**0.5 * np.abs(a).max() * np.abs(b).max() * 8
    np.testing.assert_allclose(product(a, b), a @ b, rtol=0, atol=bound)


def test_sums_are_as_exact_as_those_of_blas() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((32, 100_000), np.float32), rng.random((100_000, 32), np.float32))
    exact = a.astype(float) @ b.astype(float)
    assert np.abs(product(a, b) - exact).max() <= 2 * np.abs(a @ b - exact).max()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_reaches_its_row_or_column_alone() -> None:
    a, b = np.ones((20, 3000), np.float32), np.ones((3000, 64), np.float32)
    a[17, 2], a[19, 2999], b[5, 63], b[600, 0] = np.nan, np.inf, -np.inf, np.nan
    np.testing.assert_array_equal(product(a, b), a @ b)


def test_results_depend_on_no_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 7777)), rng.standard_normal((7777, 32))
    before = parallel.get_num_threads()
    found = []
    for threads in (1, parallel.available()):
        parallel.set_num_threads(threads)
        found.append(product(a, b))
    parallel.set_num_threads(before)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("shapes", "dtype", "expected"),
    [
        (((32, 20_000), (20_000, 32)), "float64", True),
        (((1, 2048), (2048, 64)), "float32", True),
        (((32, 2047), (2047, 32)), "float32", False),  # short sums
        (((65, 20_000), (20_000, 32)), "float32", False),  # BLAS is as fast
        (((32, 20_000), (20_000, 65)), "float32", False),
        (((32, 20_000), (20_000, 3)), "float32", False),  # less than a vector
        (((32, 20_000), (20_000, 34)), "float32", False),  # a vector for two columns
        (((32, 20_000), (20_000, 32)), "complex64", False),
        (((3, 32, 20_000), (20_000, 32)), "float32", False),
    ],
)
def test_products_with_long_sums_and_small_results_are_taken(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], dtype: str, expected: bool
) -> None:
    one, other = map(contiguous, shapes)
    out = contiguous((*shapes[0][:-1], shapes[1][1]))
    found = tall.tall_kernel(one, other, out, np.dtype(dtype))
    assert (found is not None) == expected


def test_columns_that_do_not_follow_each_other_are_left_to_blas() -> None:
    one = contiguous((32, 20_000))
    found = tall.tall_kernel(one, one.transpose((1, 0)), contiguous((32, 32)), np.dtype("float64"))
    assert found is None


@pytest.mark.parametrize("columns", [32, 48, 61])
def test_a_matrix_turned_by_itself_gives_a_symmetric_one(columns: int) -> None:
    x = np.random.default_rng(0).standard_normal((5000, columns))
    found = hb.compile(lambda x: x.T @ x)(x).numpy()
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found, x.T @ x, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("open_axis", ["inner", "rows"])
def test_compiled_functions_of_any_size_have_them(
    open_axis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, kernel = [], tall.tall_kernel

    def counted(*args: Any) -> Any:
        asked.append(kernel(*args))
        return asked[-1]

    monkeypatch.setattr(tall, "tall_kernel", counted)
    moments = hb.compile(lambda x, y: hb.tanh(x.T @ y / 1000))
    for size in (20, 25, 30, 35, 40):
        inner, rows = (100 * size + 1000, 24) if open_axis == "inner" else (3000, size)
        rng = np.random.default_rng(size)
        x, y = rng.standard_normal((inner, rows)), rng.standard_normal((inner, 32))
        expected = np.tanh(x.T @ y / 1000)
        np.testing.assert_allclose(moments(x, y).numpy(), expected, rtol=0, atol=1e-13)
    assert asked
    assert all(found is not None for found in asked)
