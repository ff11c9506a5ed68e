"""Averages, ranges, covariances are NumPy's, with gradients by values and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import DTypeError, ShapeError
from tests.autodiff.test_gradients import numeric

RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])
X = np.random.default_rng(0).normal(size=(3, 4, 2))
W = np.random.default_rng(1).uniform(0.5, 2.0, (3, 4, 2))


AVERAGES: dict[str, tuple[Any, Any]] = {
    "plain": (None, None),
    "axis": (1, None),
    "all": (None, W),
    "each": (0, W),
    "one axis": (-2, W[0, :, 0]),
    "two axes": ((2, 0), W[:, 0].T),
    "each of two": ((0, 2), W),
}


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64", "complex128"])
@pytest.mark.parametrize(("axis", "weights"), AVERAGES.values(), ids=AVERAGES)
def test_average_is_numpys(axis: Any, weights: Any, dtype: str):
    x = (X * 10).astype(dtype)
    for keepdims in (False, True):
        options = dict(axis=axis, weights=weights, keepdims=keepdims, returned=True)
        expected = np.average(x, **options)
        for run in (lambda f: f, hb.compile)[: 1 + (dtype == "float32" and keepdims)]:
            found = run(lambda x, options=options: hb.average(x, **options))(x)
            for ours, numpys in zip(found, expected, strict=True):
                assert ours.dtype == numpys.dtype
                assert ours.shape == np.shape(numpys)
                np.testing.assert_allclose(ours.numpy(), numpys, rtol=1e-5)


@RUN
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_ptp_is_numpys(dtype: str, run: Callable[..., Any]):
    x = (X * 20).astype(dtype)
    for axis in (None, 1, (0, -1)):
        found = run(lambda x, axis=axis: hb.ptp(x, axis))(x)
        np.testing.assert_array_equal(found.numpy(), np.ptp(x, axis))
    with pytest.raises(ShapeError, match="no elements"):
        run(hb.ptp)(x[:0])


COVARIANCES: dict[str, dict[str, Any]] = {
    "plain": {},
    "columns": {"rowvar": False},
    "bias": {"bias": True},
    "ddof": {"ddof": 2},
    "fweights": {"fweights": np.array([1, 2, 0, 3])},
    "aweights": {"aweights": np.array([0.5, 2.0, 1.0, 3.0])},
    "both": {"fweights": np.array([1, 2, 0, 3]), "aweights": np.array([0.5, 2.0, 1.0, 3.0])},
    "dtype": {"dtype": np.float32},
}


@pytest.mark.parametrize("options", COVARIANCES.values(), ids=COVARIANCES)
@pytest.mark.parametrize("dtype", ["int32", "float32", "float64", "complex64"])
def test_cov_is_numpys(options: dict[str, Any], dtype: str):
    run = hb.compile if dtype == "float32" else lambda f: f
    if dtype == "complex64" and "dtype" in options:
        return
    x = (X[..., 0] * 10).astype(dtype)
    x = x + (1j * X[..., 1]).astype(dtype) if dtype == "complex64" else x
    m, y = (x.T, x.T[:, :2]) if "rowvar" in options else (x, x[:2])
    for given in ((m,), (m, y), (m[0],) if "rowvar" not in options else (m,)):
        expected = np.cov(*given, **options)
        found = run(lambda *a: hb.cov(*a, **options))(*given)
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=1e-4)
        assert found.shape == expected.shape
        if set(options) <= {"dtype", "rowvar"}:
            expected = np.corrcoef(*given, **options)
            found = run(lambda *a: hb.corrcoef(*a, **options))(*given)
            np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: hb.sum(
            hb.average(x, axis=1, weights=w) * np.cos(np.arange(6.0)).reshape(3, 2)
        ),
        lambda x, w: hb.sum(hb.cov(x[..., 0], aweights=w[0, :, 0]) * W[:, :3, 0]),
        lambda x, w: hb.sum(hb.corrcoef(x[..., 0] * w[..., 0]) * W[:, 1:, 1]),
        lambda x, w: hb.sum(hb.ptp(x * w, axis=0) * W[0]),
    ],
    ids=["average", "cov", "corrcoef", "ptp"],
)
def test_gradients_are_the_slopes(function: Callable[..., Any]):
    tensors = [hb.asarray(X), hb.asarray(W)]
    with hb.GradientTape() as tape:
        tape.watch(tensors)
        y = function(*tensors)
    for i, found in enumerate(tape.gradient(y, tensors, unconnected_gradients="zero")):
        np.testing.assert_allclose(
            found.numpy(), numeric(function, [X, W], i), rtol=2e-5, atol=1e-7
        )


@RUN
def test_what_does_not_fit_is_refused(run: Callable[..., Any]):
    with pytest.raises(TypeError, match=r"weights of shape \(4,\) .* need the axis"):
        run(lambda x: hb.average(x, weights=np.ones(4)))(X)
    with pytest.raises(ShapeError, match=r"weights of shape \(4,\) do not fit axes \(0,\)"):
        run(lambda x: hb.average(x, axis=0, weights=np.ones(4)))(X)
    with pytest.raises(ShapeError, match="more than two axes"):
        run(hb.cov)(X)
    with pytest.raises(ShapeError, match="do not fit 4 observations"):
        run(lambda x: hb.cov(x, aweights=np.ones(3)))(X[..., 0])
    with pytest.raises(DTypeError, match="fweights count"):
        run(lambda x: hb.cov(x, fweights=np.ones(4)))(X[..., 0])


def test_numpys_cov_of_float32_is_float64_and_hybrids_is_not() -> None:
    x = np.random.default_rng(0).random((3, 5)).astype(np.float32)
    for func, ours in ((np.cov, hb.cov), (np.corrcoef, hb.corrcoef)):
        found = func(hb.asarray(x))
        np.testing.assert_allclose(found.numpy(), func(x), rtol=1e-12)
        assert found.dtype == np.float64
        assert ours(hb.asarray(x)).dtype == np.float32
        assert func(hb.asarray(x).astype("complex64")).dtype == np.complex128
