"""The nan functions are NumPy's: values, dtypes, NaN where nothing is left; gradients skip NaN."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.errors import ShapeError
from tests.autodiff.test_gradients import numeric

REDUCTIONS = ["nansum", "nanprod", "nanmin", "nanmax", "nanmean", "nanvar", "nanstd"]
RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])


@st.composite
def arrays(draw: Any, dtypes: list[str]) -> np.ndarray:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    dtype = draw(st.sampled_from(dtypes))
    values = [-3.0, 0.0, 0.5, 1.0, 4.0] + [np.nan] * 4 * np.dtype(dtype).kind.count("f")
    x = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from(values))).astype(dtype)
    return x[..., ::-1] if draw(st.booleans()) else x


@pytest.mark.parametrize("name", REDUCTIONS)
@given(x=arrays(["bool", "int8", "float16", "float32", "float64"]), data=st.data())
@settings(max_examples=20)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_reductions_are_numpys(name, x, data):
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    keepdims = data.draw(st.booleans())
    if x.dtype == bool and name in ("nanmin", "nanmax"):
        x = x.astype(np.int8)  # NumPy's own give floats or fail there
    options: dict[str, Any] = dict(axis=axis, keepdims=keepdims)
    if name in ("nanvar", "nanstd"):
        options["ddof"] = data.draw(st.sampled_from([0, 1]))
    expected = np.asarray(getattr(np, name)(x, **options))
    found = getattr(hb, name)(x, **options)
    assert found.dtype == expected.dtype
    tolerance = 4e-3 if x.dtype == np.float16 else 1e-6
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["nanargmax", "nanargmin", "nancumsum", "nancumprod"])
@given(x=arrays(["int8", "float32", "float64"]), data=st.data())
@settings(max_examples=20)
def test_searches_and_scans_are_numpys(name, x, data):
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    if "arg" in name and np.isnan(x).all(axis=axis).any():
        with pytest.raises(ValueError, match="All-NaN"):
            getattr(hb, name)(x, axis)
        return
    expected = getattr(np, name)(x, axis=axis)
    found = getattr(hb, name)(x, axis)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@RUN
@pytest.mark.parametrize("name", [*REDUCTIONS, "nancumsum", "nancumprod"])
def test_gradients_skip_nan(name: str, run: Callable[..., Any]):
    x = np.random.default_rng(0).normal(size=(3, 4))
    x[0, 1] = x[2, 0] = x[2, 3] = np.nan
    weights = np.cos(np.arange(4.0))

    def f(x: Any) -> Any:
        return hb.sum(getattr(hb, name)(x, axis=0) * weights)

    @run
    def slope(x: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return tape.gradient(y, x)

    found = slope(hb.asarray(x)).numpy()
    clean = ~np.isnan(x)
    np.testing.assert_allclose(found[clean], numeric(f, [x], 0)[clean], rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(found[~clean], 0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_where_nothing_is_left():
    x = np.array([[np.nan, 1.0], [np.nan, 3.0]])
    for name in ("nanmin", "nanmax", "nanmean", "nanvar", "nanstd"):
        found = getattr(hb, name)(x, axis=0).numpy()
        assert np.isnan(found[0])
        assert np.isfinite(found[1])
    with pytest.raises(ShapeError, match="no elements along axis"):
        hb.nanmax(np.ones((0, 2)), axis=0)


@pytest.mark.parametrize("name", ["nanvar", "nanstd"])
def test_infinities_leave_no_variance(name):
    for x in ([np.nan, np.inf, -np.inf, 1.5], [np.inf, 1.0, np.nan]):
        with np.errstate(invalid="ignore"):
            expected = getattr(np, name)(x)
            assert np.isnan(expected)
            np.testing.assert_array_equal(getattr(hb, name)(np.asarray(x)).numpy(), expected)
            traced = hb.compile(getattr(hb, name))(hb.asarray(np.asarray(x)))
        np.testing.assert_array_equal(traced.numpy(), expected)


def test_equal_elements_have_a_deviation_with_gradient_zero():
    x = hb.asarray([2.0, 2.0, float("nan")])
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = hb.nanstd(x)
    assert y.item() == 0
    assert tape.gradient(y, x).tolist() == [0, 0, 0]


@RUN
@pytest.mark.parametrize("dtype", ["int32", "float16", "float32", "float64", "complex64"])
def test_nan_to_num_is_numpys(dtype: str, run: Callable[..., Any]):
    x = np.array([1.0, 0.0, -7.0])
    if dtype != "int32":
        x = np.array([np.nan, np.inf, -np.inf, 2.0, -0.0])
    x = (x * (1 - 1j)).astype(dtype) if dtype == "complex64" else x.astype(dtype)
    for options in ({}, {"nan": 5.0, "posinf": 6.0, "neginf": -8.0}):
        with np.errstate(all="ignore"):
            expected = np.nan_to_num(x, **options)
            found = run(lambda x, options=options: hb.nan_to_num(x, **options))(x)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.numpy(), expected)
    t = hb.asarray(x.copy())
    assert hb.nan_to_num(t, copy=False) is t
    np.testing.assert_array_equal(t.numpy(), np.nan_to_num(x))


@pytest.mark.parametrize(
    "name", ["nanmean", "nanvar", "nanstd", "nanmin", "nanmax", "nanmedian", "nanpercentile"]
)
def test_eager_code_warns_as_numpy_where_nothing_is_left(name: str) -> None:
    q = (50,) if name == "nanpercentile" else ()
    x = np.array([[1.0, np.nan, 2.0], [np.nan, np.nan, np.nan]], np.float32)
    for axis in (0, 1):
        with pytest.warns(RuntimeWarning) as expected:
            plain = getattr(np, name)(x, *q, axis=axis)
        with pytest.warns(RuntimeWarning) as found:
            same = getattr(hb, name)(hb.asarray(x), *q, axis=axis)
        np.testing.assert_allclose(same.numpy(), plain, rtol=1e-6)
        assert {str(w.message) for w in found} == {str(w.message) for w in expected}
        assert {w.filename for w in found} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(hb, name)(hb.asarray(x[:1]), *q, axis=1)
        getattr(hb, name)(hb.asarray([1, 2]), *q)
