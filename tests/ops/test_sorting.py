"""Sorting is NumPy's for all shapes and dtypes: stable both ways, NaN last, with gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.errors import AxisError, ShapeError

RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])
DTYPES = ["bool", "int8", "uint64", "float16", "float32", "float64", "complex64"]
SPECIAL = np.array([np.nan, -0.0, 0.0, np.inf, -np.inf, 1.0, -1.0, 2.5, 0.0, -0.0])


@st.composite
def arrays_with_axis(draw: Any) -> tuple[np.ndarray, int]:
    """Draw an array with ties and special values, maybe empty or strided, and an axis."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    values = SPECIAL if dtype.kind in "fc" else np.arange(5)
    places = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, len(values) - 1)))
    x = values[places].astype(dtype)
    if draw(st.booleans()):
        x = x.T[..., ::-1]
    return x, draw(st.integers(-x.ndim, x.ndim - 1))


def same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    if expected.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def reference(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """Return the stable order; descending is the ascending one of the values turned around."""
    if not descending:
        return np.argsort(x, axis=axis, stable=True)
    n = x.shape[axis]
    return n - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, stable=True), axis)


@given(case=arrays_with_axis(), descending=st.booleans())
def test_sorting_is_stable_in_both_directions(case, descending):
    x, axis = case
    order = reference(x, axis, descending)
    same_bits(hb.argsort(x, axis=axis, descending=descending).numpy(), order)
    same_bits(
        hb.sort(x, axis=axis, descending=descending).numpy(), np.take_along_axis(x, order, axis)
    )


@given(case=arrays_with_axis(), data=st.data(), largest=st.booleans())
def test_topk_is_the_beginning_of_the_sorted_array(case, data, largest):
    x, axis = case
    k = data.draw(st.integers(0, x.shape[axis]))
    order = reference(x, axis, largest).take(range(k), axis)
    values, indices = hb.topk(x, k, axis=axis, largest=largest)
    same_bits(indices.numpy(), order)
    same_bits(values.numpy(), np.take_along_axis(x, order, axis))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [0, 1, 7, 100])
@pytest.mark.parametrize("high", [3, 10**6])
def test_topk_of_long_rows_takes_the_first_of_equals(largest, k, high):
    x = np.random.default_rng(k).integers(0, high, (3, 500, 2)).astype(np.float32)
    x[1, 3] = -np.inf
    order = reference(x, 1, largest)[:, :k]
    found = hb.topk(x, k, axis=1, largest=largest)
    np.testing.assert_array_equal(found.indices.numpy(), order)
    x[2, 5:9] = np.nan
    order = reference(x, 1, largest)[:, :k]
    np.testing.assert_array_equal(hb.topk(x, k, axis=1, largest=largest).indices.numpy(), order)


def test_bfloat16_sorts_nan_last():
    x = np.array([3, 1, np.nan, 2, -np.inf], ml_dtypes.bfloat16)
    assert hb.argsort(x).tolist() == [4, 1, 3, 0, 2]
    found = hb.sort(x)
    assert found.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(found.astype("float32").numpy(), [-np.inf, 1, 2, 3, np.nan])
    assert hb.topk(x, 2).indices.tolist() == [2, 0]
    assert hb.searchsorted(found, x).tolist() == [3, 1, 4, 2, 0]
    values = np.array([1, np.nan, 2, np.nan, 1, 2], ml_dtypes.bfloat16)
    assert hb.unique(values).astype("float32").tolist()[:2] == [1, 2]
    assert hb.unique(values).dtype == ml_dtypes.bfloat16


def test_no_axis_sorts_the_raveled_array_and_the_method_in_place():
    x = np.array([[3, 1], [2, 0]])
    assert hb.sort(x, axis=None).tolist() == [0, 1, 2, 3]
    assert hb.sort(x, 0).tolist() == [[2, 0], [3, 1]]  # NumPy's place for the axis
    assert hb.argsort(x, 0).tolist() == [[1, 1], [0, 0]]
    assert hb.argsort(x, axis=None).tolist() == [3, 1, 2, 0]
    t = hb.asarray(x.copy())
    row = t[0]
    t.sort()
    assert row.tolist() == [1, 3]
    assert t.argsort(0).tolist() == np.argsort(t.numpy(), 0).tolist()


@RUN
def test_gradients_go_back_to_where_elements_came_from(run: Callable[..., Any]):
    x = hb.asarray(np.array([[3.0, 1.0, 2.0], [0.5, 0.5, -1.0]]))
    weights = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

    @run
    def slope(x: Any, descending: bool) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = (hb.sort(x, descending=descending) * weights).sum()
        return tape.gradient(y, x)

    assert slope(x, False).tolist() == [[3, 1, 2], [5, 6, 4]]
    assert slope(x, True).tolist() == [[1, 3, 2], [4, 5, 6]]

    @run
    def slope_of_top(x: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = (hb.topk(x, 2).values * np.array([1.0, 10.0])).sum()
        return tape.gradient(y, x)

    assert slope_of_top(x).tolist() == [[1, 0, 10], [1, 10, 0]]


@RUN
def test_wrong_axes_and_counts_are_named(run: Callable[..., Any]):
    with pytest.raises(AxisError, match=r"sort: axis 2 does not exist .* shape \(2, 3\)"):
        run(lambda x: hb.sort(x, axis=2))(np.ones((2, 3)))
    with pytest.raises(AxisError, match="sort: axis -1"):
        run(hb.sort)(np.float64(1.0))
    with pytest.raises(AxisError, match="argsort: axis 1"):
        run(lambda x: hb.argsort(x, axis=1))(np.float64(1.0))
    with pytest.raises(ShapeError, match=r"topk: k is 4, axis 1 of shape \(2, 3\) has 3 elements"):
        run(lambda x: hb.topk(x, 4))(np.ones((2, 3)))


@RUN
def test_a_number_is_sorted_by_one_index_as_in_numpy(run: Callable[..., Any]):
    for x in (np.float64(1.0), hb.asarray(3)):
        found = run(hb.argsort)(x)
        np.testing.assert_array_equal(found.numpy(), np.argsort(np.asarray(x)), strict=True)


def _in_place(x: Any, *args: Any, **options: Any) -> Any:
    x = x.copy()
    assert x.sort(*args, **options) is None
    return x


SORTERS = {
    "function": np.sort,
    "places": np.argsort,
    "method for places": lambda x, *args, **options: x.argsort(*args, **options),
    "method": _in_place,
}


@RUN
@pytest.mark.parametrize("sorter", SORTERS.values(), ids=SORTERS)
@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((), {"kind": "stable"}),
        ((), {"axis": 0, "kind": "mergesort"}),
        ((0, "stable"), {}),
        ((-1, "stable", None), {}),
        ((), {"order": None, "stable": True}),
        ((), {}),
        ((0, "quicksort"), {}),
        ((), {"stable": False}),
    ],
)
def test_kinds_of_numpy_sort_in_the_graph(
    run: Callable[..., Any], sorter: Callable[..., Any], args: Any, options: Any
) -> None:
    x = np.array([[3.0, 1.0, 2.0, 1.0], [1.0, np.nan, -0.0, 0.0], [1.0, 1.0, 0.0, 5.0]] * 5)
    x = np.hstack([x] * 4)  # so many equal elements that NumPy's fastest sort changes their order
    f = run(lambda x: sorter(x, *args, **options))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of what runs eagerly
        same_bits(f(hb.asarray(x)).numpy(), sorter(x, *args, **options))


@RUN
@pytest.mark.parametrize("sorter", SORTERS.values(), ids=SORTERS)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "bogus"}, "sort kind must be one of"),
        ({"order": "f"}, "Cannot specify order"),
        ({"kind": "stable", "stable": True}, "can't be provided at the same time"),
    ],
)
def test_kinds_that_numpy_refuses_are_refused(
    run: Callable[..., Any], sorter: Callable[..., Any], options: Any, words: str
) -> None:
    f = run(lambda x: sorter(x, **options))
    for x in (np.ones(3), hb.ones(3)):
        with pytest.raises(ValueError, match=words):
            f(x)


@RUN
def test_functions_of_hybrid_take_the_kinds_of_numpys(run: Callable[..., Any]) -> None:
    x = np.array([[3.0, 1.0, 2.0, 1.0] * 20, [1.0, np.nan, -0.0, 0.0] * 20])
    for ours, numpys in ((hb.sort, np.sort), (hb.argsort, np.argsort)):
        for kind in ("stable", "quicksort"):
            f = run(lambda x, ours=ours, kind=kind: ours(x, 1, kind))
            same_bits(f(hb.asarray(x)).numpy(), numpys(x, 1, kind))
        with pytest.raises(ValueError, match="sort kind must be one of"):
            run(lambda x, ours=ours: ours(x, kind="bogus"))(hb.asarray(x))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("stable", [True, False])
def test_16_bits_are_sorted_as_float32_is(dtype: str, stable: bool) -> None:
    """Equal elements, zeros of both signs and NaN among them, are put as NumPy puts them."""
    draw = np.random.default_rng(0)
    x = np.round(draw.normal(size=(40, 300)) * 2, 1)
    x[draw.random(x.shape) < 0.1] = -0.0
    x[draw.random(x.shape) < 0.1] = 0.0
    x[draw.random(x.shape) < 0.01] = np.nan
    narrow = hb.asarray(x).astype(getattr(hb, dtype))
    wide = narrow.astype(hb.float32).numpy()
    order = hb.argsort(narrow, axis=1, stable=stable).numpy()
    if stable:
        np.testing.assert_array_equal(order, np.argsort(wide, axis=1, stable=True))
        found = hb.sort(narrow, axis=1).numpy()
        assert found.tobytes() == np.take_along_axis(narrow.numpy(), order, 1).tobytes()
    elif dtype == "float16":
        np.testing.assert_array_equal(order, np.argsort(narrow.numpy(), axis=1))
        found = hb.sort(narrow, axis=1, stable=False).numpy()
        assert found.tobytes() == np.sort(narrow.numpy(), axis=1).tobytes()
    np.testing.assert_array_equal(
        hb.searchsorted(hb.sort(narrow[0, :50]), narrow).numpy(),
        np.searchsorted(np.sort(wide[0, :50]), wide),
    )
