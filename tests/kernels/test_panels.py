"""Products by blocks in registers are products, whatever the strides, sizes and threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.layout import contiguous
from hybrid.kernels import handwritten, limits, panels, parallel
from tests.kernels.reference import layout_of

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.skipif(not limits.registers()[1], reason="no fused multiply-adds")


def product(a: Array, b: Array) -> Array:
    out = np.full((a.shape[0], b.shape[1]), 7, a.dtype)
    found = panels.panel_kernel(layout_of(a), layout_of(b), layout_of(out), a.dtype)
    assert found is not None
    handwritten.run(*found, a, b, out)
    return out


def draw(rng: Any, shape: tuple[int, int], dtype: str, how: str) -> Array:
    if how == "columns":
        return rng.standard_normal(shape[::-1]).astype(dtype).T
    x = rng.standard_normal((shape[0], 2 * shape[1])).astype(dtype)
    return {"rows": x[:, : shape[1]], "every other": x[:, ::2], "backwards": x[::-1, : shape[1]]}[
        how
    ]


HOW = st.sampled_from(["rows", "columns", "every other", "backwards"])


@settings(max_examples=40)
@given(
    st.integers(96, 131) | st.sampled_from([300, 1001]),
    st.sampled_from([64, 65, 200, 256]),
    st.sampled_from([32, 48, 61, 96, 128, 190]),
    st.sampled_from(["float32", "float64"]),
    HOW,
    HOW,
)
def test_products_are_numpys(
    rows: int, inner: int, columns: int, dtype: str, how: str, other: str
) -> None:
    rng = np.random.default_rng(rows)
    a, b = draw(rng, (rows, inner), dtype, how), draw(rng, (inner, columns), dtype, other)
    bound = np.finfo(dtype).eps * inner * np.abs(a).max() * np.abs(b).max()
    np.testing.assert_allclose(product(a, b), a @ b, rtol=0, atol=bound)


@pytest.mark.parametrize("inner", [1, 7, 8, 15, 16, 17, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_second_operand_may_have_any_number_of_rows_and_lie_turned_over(
    inner: int, dtype: str
) -> None:
    rng = np.random.default_rng(inner)
    a = rng.integers(-9, 10, (5000, inner)).astype(dtype)
    b = rng.integers(-9, 10, (inner, 90)).astype(dtype)
    for other in (b, np.asfortranarray(b)):
        np.testing.assert_array_equal(product(a, other), a @ b)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_not_finite_reaches_its_row_or_column_alone() -> None:
    a, b = np.ones((130, 40), np.float32), np.ones((40, 96), np.float32)
    a[17, 2], a[129, 3], b[5, 95], b[6, 0] = np.nan, np.inf, -np.inf, np.nan
    np.testing.assert_array_equal(product(a, b), a @ b)


def test_results_depend_on_no_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((777, 100)), rng.standard_normal((100, 128))
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
        (((128, 64), (64, 128)), "float32", True),
        (((128, 257), (257, 128)), "float32", False),  # sums that BLAS cuts
        (((95, 64), (64, 128)), "float32", False),
        (((2000, 64), (64, 10)), "float32", False),  # less than a vector and a half
        (((2000, 64), (64, 68)), "float32", False),  # two vectors for a few columns
        (((128, 64), (64, 128)), "complex64", False),
        (((128, 64), (64, 128)), "int32", False),
        (((3, 128, 64), (64, 128)), "float32", False),
        (((96, 16), (16, 32)), "float32", False),  # little
    ],
)
def test_products_with_short_sums_are_taken(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], dtype: str, expected: bool
) -> None:
    one, other = map(contiguous, shapes)
    out = contiguous((*shapes[0][:-1], shapes[1][1]))
    found = panels.panel_kernel(one, other, out, np.dtype(dtype))
    assert (found is not None) == expected


def test_compiled_functions_of_any_size_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, kernel = [], panels.panel_kernel

    def counted(*args: Any) -> Any:
        asked.append(kernel(*args))
        return asked[-1]

    monkeypatch.setattr(panels, "panel_kernel", counted)
    w = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    layer = hb.compile(lambda x: hb.tanh(x[1:] @ w))
    for rows in (200, 250, 300, 353, 401):
        x = np.random.default_rng(rows).standard_normal((rows, 64)).astype(np.float32)
        np.testing.assert_allclose(layer(x).numpy(), np.tanh(x[1:] @ w), rtol=1e-5, atol=1e-5)
    # Twice for each trace: to compile it with the kernels, and to call it.
    assert [found is not None for found in asked] == [True] * 6


def test_loops_in_native_code_have_them() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 101, 64)).astype(np.float32)
    w = rng.standard_normal((64, 64)).astype(np.float32)

    @hb.compile
    def total(x: hb.Tensor, w: hb.Tensor) -> hb.Tensor:
        return hb.scan(lambda c, row: (c + row[1:] @ w, None), hb.zeros((100, 64)), x)[0]

    expected = sum(row[1:] @ w for row in x)
    np.testing.assert_allclose(total(x, w).numpy(), expected, rtol=1e-5, atol=1e-4)
