"""``x.at[index]`` is NumPy's ``ufunc.at`` on a copy, in all modes, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hybrid as hb
from hybrid.errors import DTypeError, IndexingError, ShapeError
from hybrid.ops.indexing import accumulate
from hybrid.ops.indexing.update import index_update
from tests.autodiff.test_gradients import numeric

X = np.array([[1.5, -2.0, 0.5, 3.0], [-1.0, 4.0, 2.5, -0.5], [0.25, 1.25, -3.0, 2.0]])
UFUNCS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "min": np.minimum,
    "max": np.maximum,
}
INDICES: dict[str, Any] = {
    "int": 1,
    "slice": (slice(None, None, 2), slice(3, 0, -1)),
    "all": ...,
    "repeated": [0, 2, 0, -1],
    "pairs": ([0, 2, 0, 0], [1, 1, 1, 3]),
    "apart": (slice(1, None), [3, 0, 3]),
    "mask": X > 1,
    "mask and slice": (np.array([True, False, True]), slice(1, 3)),
    "mask and ints": (np.array([True, False, True]), [2, 2]),
    "none": [],
    "true": (True, 1),
}


def values_for(index: Any, seed: int = 0) -> np.ndarray:
    shape = np.shape(X[index])
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


@pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])
@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
@pytest.mark.parametrize("name", [*UFUNCS, "set", "power"])
def test_functional_updates_are_numpys_on_a_copy(name: str, index: Any, run: Callable[..., Any]):
    x, value = hb.asarray(np.abs(X) if name == "power" else X), values_for(index)
    expected = x.numpy().copy()
    if name == "set":
        expected[index] = value
    else:
        (np.power if name == "power" else UFUNCS[name]).at(expected, index, value)
    before = x.numpy().copy()
    found = run(lambda x, v: getattr(x.at[index], name)(v))(x, hb.asarray(value))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)
    np.testing.assert_array_equal(x.numpy(), before)
    assert not np.shares_memory(found.numpy(), x.numpy())


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
@pytest.mark.parametrize("name", [*UFUNCS, "set", "power"])
def test_gradients_of_updates_are_the_slopes(name: str, index: Any):
    x, value = np.abs(X) if name == "power" else X, values_for(index, 1) * 1.5

    def f(x: hb.Tensor, v: hb.Tensor) -> hb.Tensor:
        return hb.sum(getattr(x.at[index], name)(v) * np.cos(np.arange(12.0)).reshape(3, 4))

    tensors = [hb.asarray(x), hb.asarray(value)]
    with hb.GradientTape() as tape:
        tape.watch(tensors)
        out = f(*tensors)
    for i, found in enumerate(tape.gradient(out, tensors, unconnected_gradients="zero")):
        np.testing.assert_allclose(found.numpy(), numeric(f, [x, value], i), rtol=1e-5, atol=1e-6)


def test_gradient_of_products_at_zeros():
    value = hb.asarray(np.array([0.0, 3.0, 0.0, 5.0]))
    x = hb.asarray(np.array([2.0, 1.0]))
    with hb.GradientTape() as tape:
        tape.watch(value)
        y = x.at[[0, 0, 1, 1]].multiply(value).sum()
    np.testing.assert_array_equal(tape.gradient(y, value).numpy(), [6, 0, 5, 0])


def test_get_reads():
    np.testing.assert_array_equal(hb.asarray(X).at[1, ::2].get().numpy(), X[1, ::2])


@given(
    places=st.lists(st.integers(-5, 4), max_size=12),
    name=st.sampled_from(sorted(UFUNCS)),
    dtype=st.sampled_from(["int8", "uint16", "int64", "float32", "float64", "complex64"]),
)
@settings(max_examples=40)
def test_repeated_indices_accumulate_in_every_dtype(places, name, dtype):
    if dtype == "complex64" and name in ("min", "max"):
        return
    x = (np.arange(5) % 4 + 1).astype(dtype)
    value = (np.arange(len(places)) % 3 + 1).astype(dtype)
    index = np.array(places, int)
    if name == "divide" and np.dtype(dtype).kind in "iu":
        with pytest.raises(DTypeError, match="cannot hold quotients"):
            hb.asarray(x).at[index].divide(value)
        return
    expected = x.copy()
    UFUNCS[name].at(expected, index, value)
    found = getattr(hb.asarray(x).at[index], name)(value).numpy()
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])
def test_updates_refuse_what_does_not_fit(run: Callable[..., Any]):
    x = hb.asarray(X)
    with pytest.raises(IndexingError, match="index 7 is out of bounds for axis 0 of shape"):
        run(lambda x, i: x.at[i].multiply(2.0))(x, np.array([0, 7]))
    with pytest.raises(ShapeError, match=r"value of shape \(3,\) does not fit"):
        run(lambda x: x.at[[0, 1]].max(np.ones(3)))(x)
    with pytest.raises(DTypeError, match="float64 does not fit into a Tensor of dtype int64"):
        run(lambda x: x.at[[0]].add(np.array([0.5])))(hb.asarray([1, 2]))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_writes_where_take_along_axis_reads(axis: int):
    index = np.array([[2, 0, -1, 2], [0, 0, 1, 1]])[:, :3] if axis == 0 else np.array([[3, 0, 3]])
    values = np.arange(1.0, index.size + 1).reshape(index.shape)
    expected = X[:, :3].copy() if axis == 0 else X.copy()
    x = hb.asarray(expected.copy())
    grid = (index, np.arange(3)) if axis == 0 else (np.arange(3)[:, None], index)
    added = expected.copy()
    np.add.at(added, grid, values)
    np.testing.assert_array_equal(hb.scatter_add(x, index, values, axis=axis).numpy(), added)
    np.put_along_axis(expected, index, values, axis)
    np.testing.assert_array_equal(hb.scatter(x, index, values, axis=axis).numpy(), expected)
    view = x[0]
    hb.put_along_axis(x, index, values, axis)
    np.testing.assert_array_equal(x.numpy(), expected)
    np.testing.assert_array_equal(view.numpy(), expected[0])


def test_put_along_the_raveled_array_and_in_a_trace():
    @hb.compile
    def put(x: Any, index: Any, values: Any) -> None:
        hb.put_along_axis(x, index, values, axis=None)

    for write in (hb.put_along_axis, put):
        x = np.zeros((2, 3))
        options = {"axis": None} if write is hb.put_along_axis else {}
        write(hb.asarray(x), np.array([4, 0]), np.array([7.0, 8.0]), **options)
        np.testing.assert_array_equal(x, [[8, 0, 0], [0, 7, 0]])


def test_indices_along_an_axis_are_checked():
    with pytest.raises(IndexingError, match="index 4 is out of bounds for axis 1 of shape"):
        hb.scatter(X, [[4], [0], [0]], 1.0)
    with pytest.raises(ShapeError, match=r"scatter_add: indices of shape \(2,\) must have as many"):
        hb.scatter_add(X, [0, 1], 1.0)


@given(
    ndim=st.integers(2, 4),
    data=st.data(),
    mode=st.sampled_from(["add", "multiply", "minimum", "maximum"]),
    dtype=st.sampled_from(["float32", "float64", "int32", "bool"]),
    order=st.sampled_from("CF"),
    many=st.booleans(),
)
def test_many_elements_are_accumulated_as_few_are(
    ndim: int, data: st.DataObject, mode: str, dtype: str, order: Any, many: bool
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = tuple(data.draw(st.integers(1, 4)) for _ in range(ndim))
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, ndim - 1), min_size=1))))
    at = data.draw(st.integers(0, ndim - len(axes)))
    block = data.draw(st.sampled_from([(), (3,), (2, 3)]))
    base = np.asarray(rng.integers(1, 4, shape), dtype, order=order)
    index = tuple(rng.integers(-shape[a], shape[a], block) for a in axes)
    rest = [n for a, n in enumerate(shape) if a not in axes]
    value = rng.integers(1, 4, (*rest[:at], *block, *rest[at:])).astype(dtype)
    expected = np.array(base)
    first = np.moveaxis(expected, axes, range(len(axes)))
    moved = np.moveaxis(value, range(at, at + len(block)), range(len(block)))
    getattr(np, mode).at(first, index, moved)
    with mock.patch.object(accumulate, "_MANY", 0 if many else 10**9):
        found = index_update(hb.asarray(base), hb.asarray(value), index, axes, at, mode)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("wrong", [5000, -5001])
def test_a_wrong_index_among_many_is_named(wrong: int) -> None:
    index = np.zeros(300, np.int64)
    index[7] = wrong
    with pytest.raises(IndexingError, match=f"index {wrong} is out of bounds for axis 0"):
        hb.zeros((5000, 32)).at[index].add(1.0)
