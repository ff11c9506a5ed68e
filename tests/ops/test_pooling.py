"""Pooling agrees with loops over windows and with torch, ties and values that are not finite."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.errors import DTypeError, ShapeError


def seen(x, window, stride, padding):
    """Yield each place of the window and the indices of the elements under it."""
    first = x.ndim - len(window)
    sizes = x.shape[first:]
    counts = [(n + sum(pair) - k) // s + 1 for n, k, s, pair in zip(sizes, window, stride, padding)]
    for lead in np.ndindex(*x.shape[:first]):
        for place in product(*map(range, counts)):
            starts = [p * s - pair[0] for p, s, pair in zip(place, stride, padding)]
            under = [range(max(a, 0), min(a + k, n)) for a, k, n in zip(starts, window, sizes)]
            yield (*lead, *place), [(*lead, *at) for at in product(*under)]


def result_of(x, window, stride, padding, reduce):
    pairs = seen(x, window, stride, padding)
    found = {place: reduce([x[i] for i in under]) for place, under in pairs}
    shape = np.max([*found], axis=0) + 1 if found else (0,) * x.ndim
    return np.array([*found.values()]).reshape(shape)


@st.composite
def problems(draw):
    axes = draw(st.integers(1, 2))
    window = tuple(draw(st.integers(1, 4)) for _ in range(axes))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    padding = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in window)
    size = [max(1, k - sum(p)) + draw(st.integers(0, 6)) for k, p in zip(window, padding)]
    lead = draw(st.sampled_from([(), (2,), (1, 3)]))
    return (*lead, *size), dict(window=window, stride=stride, padding=padding)


def values(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).integers(-3, 3, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
@given(problem=problems())
def test_max_pool_is_the_largest_under_each_window(dtype, problem):
    shape, attrs = problem
    x = values(shape, dtype)
    found = hb.max_pool(x, **attrs).numpy()
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, result_of(x, reduce=max, **attrs))
    traced = hb.compile(lambda x: hb.max_pool(x, **attrs))(x)
    np.testing.assert_array_equal(traced.numpy(), found)


@given(problem=problems())
def test_the_gradient_of_max_pool_goes_to_the_first_of_those_that_tie(problem):
    shape, attrs = problem
    x = values(shape)
    expected = np.zeros(shape)
    for number, (_, under) in enumerate(seen(x, **attrs)):
        expected[max(under, key=lambda i: x[i])] += number

    def gradient(x):
        with hb.GradientTape() as tape:
            tape.watch(x)
            out = hb.max_pool(x, **attrs)
            total = (out * hb.reshape(hb.arange(out.size), out.shape)).sum()
        return tape.gradient(total, x)

    np.testing.assert_array_equal(gradient(hb.asarray(x)).numpy(), expected)
    np.testing.assert_array_equal(hb.compile(gradient)(hb.asarray(x)).numpy(), expected)


@pytest.mark.parametrize("include", [True, False])
@given(problem=problems())
def test_avg_pool_is_the_mean_under_each_window(include, problem):
    shape, attrs = problem
    x = np.random.default_rng(0).normal(size=shape)
    whole = np.prod(attrs["window"])
    expected = result_of(x, reduce=lambda v: sum(v) / (whole if include else len(v)), **attrs)

    def pooled(x):
        return hb.avg_pool(x, count_include_pad=include, **attrs)

    np.testing.assert_allclose(pooled(x).numpy(), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(hb.compile(pooled)(x).numpy(), pooled(x).numpy())


def test_values_that_are_not_finite():
    x = np.array([np.nan, 1, -np.inf, -np.inf, np.inf, np.nan, 2, np.nan])
    np.testing.assert_array_equal(hb.max_pool(x, 2).numpy(), [np.nan, -np.inf, np.nan, np.nan])
    padded = hb.max_pool(x[2:4], 2, stride=1, padding=1).numpy()
    np.testing.assert_array_equal(padded, [-np.inf] * 3)


@pytest.mark.parametrize(
    ("dtype", "pooled"), [("int32", "float64"), ("float16", "float16"), ("float32", "float32")]
)
def test_means_of_integers_are_floats(dtype, pooled):
    assert hb.avg_pool(values((4,), dtype), 2).dtype == np.dtype(pooled)


def test_windows_lie_side_by_side_unless_told():
    x = np.arange(24.0).reshape(1, 1, 4, 6)
    np.testing.assert_array_equal(hb.max_pool2d(x, (2, 3)).numpy()[0, 0], [[8, 11], [20, 23]])
    np.testing.assert_array_equal(hb.avg_pool2d(x, (2, 3)).numpy()[0, 0], [[4, 7], [16, 19]])
    np.testing.assert_array_equal(hb.max_pool1d(x[0], 3, stride=2).numpy()[0, 0], [2, 4])
    np.testing.assert_array_equal(hb.avg_pool1d(x[0], 3, padding="same").numpy()[0, 0], [1, 4])
    assert hb.max_pool2d(np.ones((0, 3, 4, 4)), 2).shape == (0, 3, 2, 2)
    assert hb.avg_pool2d(np.ones((2, 0, 4, 4)), 2).shape == (2, 0, 2, 2)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("kind", ["max_pool2d", "avg_pool2d"])
def test_values_and_gradients_are_torchs(kind, padding):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 8)).astype("float32")
    ours, theirs = hb.asarray(x), torch.from_numpy(x).requires_grad_()
    expected = getattr(torch.nn.functional, kind)(theirs, 3, 2, padding)
    (expected**2).sum().backward()
    with hb.GradientTape() as tape:
        tape.watch(ours)
        out = getattr(hb, kind)(ours, 3, stride=2, padding=padding)
        total = (out**2).sum()
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    found = tape.gradient(total, ours).numpy()
    np.testing.assert_allclose(found, theirs.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["eager", "traced"])
def test_errors_name_what_does_not_fit(mode):
    def refused(function, x, *args, match, error=ShapeError, **attrs):
        def call(x):
            return function(x, *args, **attrs)

        with pytest.raises(error, match=match):
            (hb.compile(call) if mode == "traced" else call)(x)

    x = np.ones((2, 3, 4, 5))
    refused(hb.max_pool1d, x, 2, match=r"max_pool1d: .*\(2, 3, 4, 5\), not 3 axes")
    refused(hb.max_pool, np.ones(3), (2, 2), match=r"max_pool: a window of 2 axes .*\(3,\)")
    refused(hb.max_pool2d, x, 5, match="max_pool: a window of 5 .* axis 0 of size 4")
    refused(hb.avg_pool2d, x, 2, padding=2, match=r"avg_pool: .* on padding alone")
    refused(hb.max_pool, np.ones((2, 0)), 2, padding=1, match="on padding alone")
    refused(hb.max_pool2d, x, 0, match="max_pool2d: window is 0")
    refused(hb.avg_pool2d, x, 2, stride=(1, 0), match="avg_pool2d: stride is")
    refused(hb.max_pool2d, x.astype("complex64"), 2, match="no order", error=DTypeError)
