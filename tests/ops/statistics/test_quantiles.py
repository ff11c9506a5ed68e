"""Quantiles are NumPy's by every method, with NaN counted or left out, and have gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.errors import AxisError, DTypeError, ShapeError
from hybrid.ops.statistics.quantile_methods import METHODS
from tests.autodiff.test_gradients import numeric

RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])


@st.composite
def cases(draw: Any, special: bool = False) -> tuple[np.ndarray, Any, bool]:
    """Draw an array without empty axes, axes to reduce and keepdims."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5))
    dtype = draw(st.sampled_from(["int8", "int64", "float32", "float64"]))
    values = [-3.0, 0.5, 0.5, 1.0, 4.0, 7.25]
    if special and dtype.startswith("float"):
        values += [np.nan, np.nan]
    x = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from(values))).astype(dtype)
    one = st.integers(-len(shape), len(shape) - 1)
    axis = draw(st.none() | one | st.just(tuple(range(len(shape)))))
    return x.T if draw(st.booleans()) else x, axis, draw(st.booleans())


@pytest.mark.parametrize("method", METHODS)
@given(case=cases(special=True), q=st.lists(st.floats(0, 1), max_size=3) | st.floats(0, 1))
@settings(max_examples=12)
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_quantiles_are_numpys(method, case, q):
    x, axis, keepdims = case
    options = dict(axis=axis, method=method, keepdims=keepdims)
    for name in ("quantile", "nanquantile"):
        expected = getattr(np, name)(x, np.asarray(q, float), **options)
        found = getattr(hb, name)(x, hb.asarray(q, np.float64), **options)
        assert found.dtype == (x.dtype if METHODS[method].exact else np.float64)
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-7, atol=1e-13)


@given(case=cases(special=True))
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_medians_and_percentiles_are_numpys(case):
    x, axis, keepdims = case
    options = dict(axis=axis, keepdims=keepdims)
    for name in ("median", "nanmedian"):
        expected = np.asarray(getattr(np, name)(x, **options))
        found = getattr(hb, name)(x, **options)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-7)
    for name in ("percentile", "nanpercentile"):
        expected = getattr(np, name)(x, np.array([10.0, 75]), **options)
        found = getattr(hb, name)(x, [10, 75], **options)
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-7, atol=1e-13)


def test_infinite_neighbours():
    inf = np.inf
    assert hb.median([inf, inf]).item() == np.median([inf, inf]) == inf
    assert hb.median([1.0, inf]).item() == np.median([1.0, inf]) == inf
    assert np.isnan(hb.median([-inf, inf]).item())
    assert hb.quantile([1.0, inf], 0).item() == 1
    assert hb.quantile([1.0, 2.0, inf], 0.25).item() == 1.5


def test_low_precision_and_booleans():
    assert hb.median(np.array([6e4, 6e4], np.float16)).dtype == np.float16
    assert hb.median(np.array([6e4, 6e4], np.float16)).item() == 6e4
    found = hb.median(hb.asarray([3.0, 1.0, 2.0, float("nan")]).astype(hb.bfloat16))
    assert found.dtype == hb.bfloat16
    assert np.isnan(float(found))
    assert hb.median([True, False]).item() == 0.5
    assert hb.quantile([True, False], 0.5, method="lower").dtype == np.bool_


@RUN
@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
@pytest.mark.parametrize("method", ["linear", "hazen", "midpoint", "nearest"])
def test_gradients_by_values_and_quantiles(method: str, name: str, run: Callable[..., Any]):
    x = np.random.default_rng(3).normal(size=(3, 2, 5))
    if name == "nanquantile":
        x[0, 0, 1] = x[2, 1, 0] = np.nan
    q = np.array([[0.13, 0.62], [0.4, 0.97]])
    weights = np.cos(np.arange(4.0 * 2)).reshape(2, 2, 2)

    def f(x: Any, q: Any) -> Any:
        return hb.sum(getattr(hb, name)(x, q, axis=(0, 2), method=method) * weights)

    @run
    def slopes(x: Any, q: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch([x, q])
            y = f(x, q)
        return tape.gradient(y, [x, q])

    by_x, by_q = slopes(hb.asarray(x), hb.asarray(q))
    np.testing.assert_allclose(by_q.numpy(), numeric(f, [x, q], 1), rtol=1e-5, atol=1e-7)
    clean = ~np.isnan(x)
    expected = numeric(f, [x, q], 0)[clean]
    np.testing.assert_allclose(by_x.numpy()[clean], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(by_x.numpy()[~clean], 0)


@RUN
def test_a_traced_quantile_keeps_one_graph_for_all_q(run: Callable[..., Any]):
    function = run(lambda x, q: hb.quantile(x, q, axis=0))
    x = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    for q in (0.1, 0.5, 0.9):
        found = function(x, q)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.numpy(), np.quantile(x, q, axis=0), rtol=1e-6)


@RUN
def test_wrong_arguments_are_named(run: Callable[..., Any]):
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"quantile: 1.5 is not between 0 and 1"):
        run(lambda x, q: hb.quantile(x, q))(x, np.array([0.5, 1.5]))
    with pytest.raises(ValueError, match="nan is not between"):
        run(lambda x, q: hb.quantile(x, q))(x, np.array(np.nan))
    with pytest.raises(ValueError, match="percentile: there is no method 'middle', only linear,"):
        run(lambda x: hb.percentile(x, 50, method="middle"))(x)
    with pytest.raises(AxisError, match="median: axis 2 does not exist"):
        run(lambda x: hb.median(x, axis=2))(x)
    with pytest.raises(DTypeError, match="quantile: complex128 has no order"):
        run(lambda x: hb.quantile(x, 0.5))(x + 0j)
    with pytest.raises(DTypeError, match="nanpercentile: there is nothing between booleans"):
        run(lambda x: hb.nanpercentile(x, 50))(x > 0)
    with pytest.raises(ShapeError, match="no elements along the axis"):
        run(lambda x: hb.quantile(x, 0.5, axis=0))(np.ones((0, 3)))


@RUN
@pytest.mark.parametrize("q", [0.3, np.float32(0.3), np.array([0.3]), np.array([0.3], "f4")])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "int64"])
def test_dtypes_of_quantiles_are_numpys(dtype: str, q: Any, run: Callable[..., Any]):
    x = np.array([1, 2, 4], dtype)
    for method in ("linear", "lower"):
        for name in ("quantile", "nanquantile"):
            found = run(lambda x, q, n=name, m=method: getattr(hb, n)(x, q, method=m))(x, q)
            assert found.dtype == getattr(np, name)(x, q, method=method).dtype


def test_a_list_of_q_counts_as_python_numbers():
    assert hb.quantile(np.ones(3, np.float32), [0.1, 0.2]).dtype == np.float32
    assert hb.percentile(np.ones(3, np.uint8), [10, 20]).dtype == np.float64


@RUN
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "complex64", "uint8", "bool"])
@pytest.mark.parametrize(("shape", "axis"), [((0,), None), ((0, 3), 0), ((0, 3), 1), ((2, 0), -1)])
def test_the_median_of_nothing_is_nan(
    shape: Any, axis: int | None, dtype: str, run: Callable[..., Any]
):
    x = np.ones(shape, dtype)
    for name in ("median", "nanmedian"):
        for keepdims in (False, True):
            options = dict(axis=axis, keepdims=keepdims)
            found = run(lambda x, n=name, o=options: getattr(hb, n)(x, **o))(x)
            expected = np.asarray(getattr(np, name)(x, **options))
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found.numpy(), expected)


@RUN
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_nanquantiles_of_nothing_are_nan_for_each_q(run: Callable[..., Any]):
    found = run(lambda x: hb.nanquantile(x, [0.2, 0.5], axis=0))(np.ones((0, 3), np.float32))
    np.testing.assert_array_equal(found.numpy(), np.full((2, 3), np.nan, np.float32))


@RUN
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@given(
    x=st.lists(st.sampled_from([1 + 2j, 1 - 1j, 3, -2j, np.nan, complex(1, np.nan)]), min_size=1)
)
@settings(max_examples=15)
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_medians_of_complex_numbers_are_numpys(x: Any, dtype: str, run: Callable[..., Any]):
    x = np.asarray(x, dtype)
    for name in ("median", "nanmedian"):
        found = run(getattr(hb, name))(x)
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found.numpy(), getattr(np, name)(x), rtol=1e-6)
