"""Segments are reduced as NumPy reduces the elements that have their id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hybrid as hb
from hybrid.errors import DTypeError, IndexingError, ShapeError
from tests.autodiff.test_gradients import numeric

RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])
FUNCTIONS = ["segment_sum", "segment_max", "segment_min", "segment_mean"]


def reference(name: str, x: np.ndarray, ids: np.ndarray, num: int) -> np.ndarray:
    parts = []
    for i in range(num):
        part = x[ids == i]
        if name == "segment_sum":
            parts.append(part.sum(axis=0))
        elif name == "segment_mean":
            parts.append(part.mean(axis=0) if len(part) else np.zeros(part.shape[1:]))
        else:
            lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
            highest = np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).max
            ufunc, start = (np.max, lowest) if name == "segment_max" else (np.min, highest)
            parts.append(ufunc(part, axis=0, initial=start))
    return np.array(parts).reshape(num, *x.shape[ids.ndim :])


@pytest.mark.parametrize("name", FUNCTIONS)
@given(
    ids=st.lists(st.integers(0, 3), max_size=8),
    rest=st.sampled_from([(), (2,), (2, 0)]),
    dtype=st.sampled_from(["int8", "float32", "float64"]),
    more=st.integers(0, 2),
)
@settings(max_examples=15)
def test_segments_are_numpys(name, ids, rest, dtype, more):
    index = np.array(ids, np.int64)
    x = np.random.default_rng(0).integers(-90, 90, (len(ids), *rest)).astype(dtype)[::-1]
    num = max(ids, default=-1) + 1 + more
    found = getattr(hb, name)(x, index, num)
    np.testing.assert_allclose(found.numpy(), reference(name, x, index, num), rtol=1e-5)
    if not more:
        np.testing.assert_array_equal(getattr(hb, name)(x, index).numpy(), found.numpy())


def test_ids_may_have_several_axes_and_low_precision_is_summed_wide():
    ids = np.array([[0, 1], [1, 0]])
    assert hb.segment_sum([[1, 2], [3, 4]], ids).tolist() == [5, 5]
    x = np.full(5000, 1, np.float16)
    found = hb.segment_sum(x, np.zeros(5000, int))
    assert found.dtype == np.float16
    assert found.item() == 5000  # float16 additions would stay at 2048
    assert hb.segment_max([True, False], [1, 1], 3).tolist() == [False, True, False]


@RUN
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_the_slopes(name: str, run: Callable[..., Any]):
    x = np.random.default_rng(0).normal(size=(6, 2))
    ids = np.array([2, 0, 2, 4, 0, 2])
    weights = np.cos(np.arange(10.0)).reshape(5, 2)

    def f(x: Any) -> Any:
        found = getattr(hb, name)(x, ids, 5)
        return hb.sum(hb.where(abs(found) < 1e9, found, 0) * weights)

    @run
    def slope(x: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return tape.gradient(y, x)

    found = slope(hb.asarray(x)).numpy()
    np.testing.assert_allclose(found, numeric(f, [x], 0), rtol=1e-6, atol=1e-8)


def test_ties_share_gradients():
    x = hb.asarray([3.0, 3.0, 1.0])
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = hb.segment_max(x, [0, 0, 0]).sum()
    assert tape.gradient(y, x).tolist() == [0.5, 0.5, 0]


def test_the_number_of_segments_is_a_decision_of_a_trace():
    traced = hb.compile(lambda x, ids: hb.segment_sum(x, ids) * 2)
    for ids in ([0, 1, 1], [1, 0, 0], [4, 0, 4]):
        expected = np.bincount(ids, [1.0, 2.0, 3.0]) * 2
        found = traced(np.array([1.0, 2.0, 3.0]), np.array(ids))
        np.testing.assert_array_equal(found.numpy(), expected)


@RUN
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_does_not_fit_is_refused(name: str, run: Callable[..., Any]):
    function = getattr(hb, name)
    for wrong in (-1, 3):
        with pytest.raises(
            IndexingError, match=f"id {wrong} is out of bounds for axis 0 .* size 3"
        ):
            run(lambda x, ids: function(x, ids, 3))(np.ones(2), np.array([0, wrong]))
    with pytest.raises(ShapeError, match=r"ids of shape \(3,\) do not fit the first axes"):
        run(lambda x, ids: function(x, ids, 3))(np.ones(2), np.arange(3))
    with pytest.raises(DTypeError, match="ids are integers, not float64"):
        run(lambda x, ids: function(x, ids, 3))(np.ones(2), np.ones(2))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "complex64", "bool"])
def test_rows_and_their_sums_are_the_same_in_planned_memory(dtype: str) -> None:
    def function(x: hb.Tensor, i: hb.Tensor) -> tuple[hb.Tensor, ...]:
        y = x * 3
        rows = y[i]
        return hb.segment_sum(rows, i, 30) * 2, y.T[i % 40][:, ::-1], hb.flip(rows, axis=0)

    draw = np.random.default_rng(0)
    x = hb.asarray((draw.normal(size=(500, 40)) * 10).astype(dtype))
    i = hb.asarray(draw.integers(0, 30, 500))
    for found, expected in zip(hb.compile(function)(x, i), function(x, i), strict=True):
        assert found.dtype == expected.dtype
        assert found.numpy().tobytes() == expected.numpy().tobytes()


def test_rows_outside_of_the_table_are_refused_in_planned_memory() -> None:
    compiled = hb.compile(lambda x, i: hb.segment_sum((x + 1)[i], i, 500))
    x = hb.ones((500, 40))
    compiled(x, hb.arange(500))
    for wrong in (500, -501):
        with pytest.raises(hb.errors.IndexingError, match=f"index {wrong} is out of bounds"):
            compiled(x, hb.full(500, wrong))
