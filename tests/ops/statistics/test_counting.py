"""Counts, bins and histograms are NumPy's; weights have gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.errors import (
    DTypeError,
    EagerFallbackWarning,
    IndexingError,
    ShapeError,
    TraceError,
)

RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])


@given(
    x=hnp.arrays(
        st.sampled_from([np.int64, np.uint8, np.int32]),
        st.integers(0, 9),
        elements=st.integers(0, 6),
    ),
    minlength=st.integers(0, 9),
)
def test_bincount_is_numpys(x, minlength):
    weights = np.arange(x.size) / 4
    for w in (None, weights, weights.astype(np.float32)):
        expected = np.bincount(x, w, minlength)
        found = hb.bincount(x, w, minlength)
        # Of nothing NumPy has int64 even with weights.
        assert found.dtype == (np.int64 if w is None else np.float64)
        np.testing.assert_array_equal(found.numpy(), expected)
        longer = hb.bincount(x, w, length=12).numpy()
        np.testing.assert_array_equal(longer[: expected.size], expected)
        assert not longer[expected.size :].any()


def test_a_trace_of_bincount_with_enough_places_serves_whatever_the_largest_element_is():
    traced = hb.compile(lambda x, w: np.bincount(x, w, minlength=8) * 2)
    rng = np.random.default_rng(0)
    for largest in (7, 3, 5, 0, 6):
        x, w = np.append(rng.integers(0, largest + 1, 19), largest), rng.random(20)
        found = traced(hb.asarray(x), hb.asarray(w)).numpy()
        np.testing.assert_array_equal(found, np.bincount(x, w, 8) * 2)
    assert "in 2 segments" in traced.explain()
    for x in ([0, 9], [1, 2], [11, 0]):
        w = rng.random(2)
        found = traced(hb.asarray(x), hb.asarray(w)).numpy()
        np.testing.assert_array_equal(found, np.bincount(x, w, 8) * 2)
    with pytest.raises(ValueError, match="negative"):
        traced(hb.asarray([1, -1]), hb.asarray(w))


@pytest.mark.parametrize("minlength", [0, 4])
@pytest.mark.parametrize("mapped", [hb.vmap, lambda f: hb.compile(f, fullgraph=True)])
def test_bincount_that_may_not_ask_says_how_its_length_is_given(mapped, minlength):
    with pytest.raises(TraceError, match=r"hb.bincount\(x, length=n\)"):
        mapped(lambda x: np.bincount(x.reshape(-1), minlength=minlength))(hb.asarray([[0, 1]]))


def test_bincount_in_a_trace_decides_on_the_length():
    traced = hb.compile(lambda x: hb.bincount(x) * 2)
    for x in ([0, 3, 3], [3, 1, 0], [5, 0, 0], [0, 0, 0]):
        np.testing.assert_array_equal(traced(hb.asarray(x)).numpy(), np.bincount(x) * 2)
    fixed = hb.compile(lambda x: hb.bincount(x, length=6), fullgraph=True)
    np.testing.assert_array_equal(fixed(np.array([5, 0])).numpy(), [1, 0, 0, 0, 0, 1])


@RUN
def test_bincount_gives_weights_their_gradient(run: Callable[..., Any]):
    @run
    def slope(x: Any, w: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(w)
            y = (hb.bincount(x, w, length=3) * np.array([1.0, 2.0, 3.0])).sum()
        return tape.gradient(y, w)

    found = slope(np.array([2, 0, 2, 1]), hb.ones(4))
    assert found.dtype == np.float32
    assert found.tolist() == [3, 1, 3, 2]


@RUN
def test_bincount_refuses(run: Callable[..., Any]):
    with pytest.raises(ValueError, match="bincount: -1 is negative"):
        run(hb.bincount)(np.array([3, -1]))
    with pytest.raises(IndexingError, match="4 is out of bounds for 4 bins"):
        run(lambda x: hb.bincount(x, length=4))(np.array([1, 4]))
    with pytest.raises(TypeError, match="counts integers along one axis"):
        run(hb.bincount)(np.array([1.0]))
    with pytest.raises(ValueError, match=r"weights f64\[2\] do not fit"):
        run(lambda x: hb.bincount(x, np.ones(2)))(np.array([1]))


@RUN
@pytest.mark.parametrize("right", [False, True])
def test_digitize_is_numpys(right: bool, run: Callable[..., Any]):
    x = np.array([[0.5, 1.0, np.nan], [9.0, -np.inf, 2.0]])
    for bins in (np.array([1.0, 2.0, 2.0, 5.0]), np.array([5.0, 2.0, 1.0]), np.array([])):
        found = run(lambda x, b: hb.digitize(x, b, right))(x, bins)
        np.testing.assert_array_equal(found.numpy(), np.digitize(x, bins, right))
    with pytest.raises(ValueError, match="monotonically"):
        run(hb.digitize)(x, np.array([1.0, 3.0, 2.0]))
    with pytest.raises(ShapeError, match="bins have one axis"):
        run(hb.digitize)(x, x)
    with pytest.raises(DTypeError, match="no order"):
        run(hb.digitize)(x + 0j, x[0])


X = np.array([[0.1, 0.5, 2.0, 2.0], [3.9, 4.0, -1.0, 1.0]])
HISTOGRAMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (X, {}),
    "five": (X, {"bins": 5}),
    "range": (X, {"bins": 4, "range": (0, 2)}),
    "edges": (X, {"bins": np.array([0.0, 0.5, 2.0, 4.0])}),
    "density": (X, {"bins": 3, "density": True}),
    "density of edges": (X, {"bins": np.array([0.0, 0.5, 2.0]), "density": True}),
    "ints": (np.array([1, 2, 2, 9]), {"bins": 4}),
    "equal": (np.ones(3), {"bins": 2}),
    "empty": (np.ones(0), {"bins": 2}),
    "float32": (X.astype(np.float32), {"bins": 7}),
    "nan": (np.array([1.0, np.nan]), {"bins": np.array([0.0, 2.0])}),
}


@RUN
@pytest.mark.parametrize(("x", "options"), HISTOGRAMS.values(), ids=HISTOGRAMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_histogram_is_numpys(
    x: np.ndarray, options: dict[str, Any], weighted: bool, run: Callable[..., Any]
):
    w = np.cos(np.arange(x.size)).reshape(x.shape) if weighted else None
    expected = np.histogram(x, weights=w, **options)
    found = run(lambda x, w: hb.histogram(x, weights=w, **options))(x, w)
    for ours, numpys in zip(found, expected, strict=True):
        assert ours.dtype == numpys.dtype
        np.testing.assert_allclose(ours.numpy(), numpys, rtol=1e-14)
    edges = run(lambda x: hb.histogram_bin_edges(x, options.get("bins", 10), options.get("range")))
    np.testing.assert_array_equal(edges(x).numpy(), expected[1])


@pytest.mark.parametrize("bins", [5, np.array([0.0, 0.5, 2.0, 3.9])], ids=["equal", "edges"])
def test_histogram_gives_weights_their_gradient(bins: Any):
    w = hb.ones((2, 4), dtype="float64")
    with hb.GradientTape() as tape:
        tape.watch(w)
        counts = hb.histogram(X, bins, weights=w)[0]
        y = (counts * np.arange(1.0, counts.size + 1)).sum()
    expected = np.zeros(X.shape)
    for place in np.ndindex(X.shape):
        one = np.zeros(X.shape)
        one[place] = 1
        expected[place] = np.histogram(X, bins, weights=one)[0] @ np.arange(1, counts.size + 1)
    np.testing.assert_array_equal(tape.gradient(y, w).numpy(), expected)


def test_a_rule_for_bins_ends_the_trace():
    traced = hb.compile(lambda x: hb.histogram(x, "sturges"))
    with pytest.warns(EagerFallbackWarning, match="whose number depends on the data"):
        counts, edges = traced(X)
    expected = np.histogram(X, "sturges")
    np.testing.assert_array_equal(counts.numpy(), expected[0])
    np.testing.assert_array_equal(edges.numpy(), expected[1])


@RUN
def test_histogram_refuses(run: Callable[..., Any]):
    with pytest.raises(ValueError, match="not finite"):
        run(hb.histogram)(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="increase monotonically"):
        run(hb.histogram)(X, np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="bins is 0, it must be at least 1"):
        run(lambda x: hb.histogram(x, 0))(X)
    with pytest.raises(ShapeError, match=r"weights of shape \(4,\) do not fit"):
        run(lambda x, w: hb.histogram(x, weights=w))(X, X[0])


@RUN
def test_complex_numbers_have_no_bins(run: Callable[..., Any]):
    for count in (lambda x: hb.histogram(x, bins=3), lambda x: hb.digitize(x, [0.0, 1.0])):
        with pytest.raises(DTypeError, match="complex numbers have no order"):
            run(count)(hb.asarray([1j, 2.0]))
