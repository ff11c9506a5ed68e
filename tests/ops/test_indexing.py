"""``x[index]`` is NumPy's: values, shapes, views or copies, and what is refused."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.autodiff.tape import GradientTape
from hybrid.core.making import asarray
from hybrid.core.op import OPS
from hybrid.core.tensor import Tensor
from hybrid.errors import IndexingError
from hybrid.ops import indexing
from hybrid.ops.indexing import getitem

SHAPE = (4, 3, 5)
X = np.arange(60.0).reshape(SHAPE)


HOW = pytest.mark.parametrize("how", [nullcontext, GradientTape], ids=["plain", "tape"])


@HOW
@given(data=st.data(), shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
@settings(max_examples=100)
def test_basic_index(how, data, shape):
    x = np.arange(np.prod(shape)).reshape(shape)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=7))
    expected = x[index]
    with how():  # a tape takes the way of the ops, without one NumPy indexes the memory
        found = asarray(x)[index]
    np.testing.assert_array_equal(found.numpy(), expected)
    assert found.shape == np.shape(expected)
    if np.size(expected):
        assert np.shares_memory(found.numpy(), x) == isinstance(expected, np.ndarray)


@HOW
@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32"])
@pytest.mark.parametrize(
    "index",
    [
        lambda i: i,
        lambda i: -i if i.dtype.kind == "i" else i,
        lambda i: (i, i, i),
        lambda i: (slice(1, None), i),
        lambda i: (0, ..., i),
        lambda i: (None, i, slice(None, None, -1), 2),
    ],
)
def test_an_index_with_tensors_without_axes_gives_a_copy_of_what_ints_give(how, dtype, index):
    x, i = X.copy(), np.array(2, dtype)
    expected = x[index(i)].copy()
    with how():
        found = asarray(x)[index(asarray(i))]
    assert type(found) is Tensor
    np.testing.assert_array_equal(found.numpy(), expected)
    assert not np.shares_memory(found.numpy(), x)


def test_a_tensor_without_axes_that_is_outside_or_a_truth_is_no_other_index():
    with pytest.raises(IndexingError, match="12"):
        asarray(X)[asarray(12)]
    with pytest.raises(IndexError):
        asarray(X)[asarray(1.0)]
    assert asarray(X)[asarray(True)].shape == (1, *SHAPE)


@st.composite
def mixed_index(draw):
    """Draw an index with at least one array among ints, slices, None and an ellipsis."""
    block = draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    entries, axis = [], 0
    names = draw(st.lists(st.sampled_from("aaism"), min_size=1, max_size=3))
    if "a" not in names and "m" not in names:
        names[0] = "a"
    ellipsis_at = draw(st.integers(-1, len(names)))
    for i, name in enumerate(names):
        if i == ellipsis_at:
            entries.append(Ellipsis)
            axis += len(SHAPE) - len(names)
        if draw(st.integers(0, 5)) == 0:
            entries.append(draw(st.sampled_from([None, True, False, np.array(True)])))
        n = SHAPE[axis]
        if name == "a":
            shape = draw(hnp.broadcastable_shapes(block, min_dims=0, max_dims=2, max_side=3))
            entries.append(draw(hnp.arrays(np.int64, shape, elements=st.integers(-n, n - 1))))
        elif name == "m":
            entries.append(np.arange(n) < draw(st.integers(0, n)))
        elif name == "i":
            entries.append(draw(st.integers(-n, n - 1)))
        else:
            entries.append(draw(st.slices(n)))
        axis += 1
    if ellipsis_at == len(names):
        entries.append(Ellipsis)
    return tuple(entries)


def numpy_or_error(function):
    try:
        return function()
    except (IndexError, ValueError) as error:
        return error


@HOW
@given(index=mixed_index(), as_tensors=st.booleans())
@settings(max_examples=200)
def test_index_arrays(how, index, as_tensors):
    expected = numpy_or_error(lambda: X[index])
    ours = tuple(
        asarray(e) if as_tensors and isinstance(e, np.ndarray) and e.ndim else e for e in index
    )
    if isinstance(expected, Exception):
        with how(), pytest.raises((IndexError, ValueError)):
            asarray(X)[ours]
        return
    with how():
        found = asarray(X)[ours]
    np.testing.assert_array_equal(found.numpy(), expected)
    assert not np.shares_memory(found.numpy(), X)


@HOW
@pytest.mark.parametrize(
    "index",
    [
        np.array(1),
        np.int32(2),
        [0, 2],
        [[0, 1], [2, 3]],
        [],
        X > 20,
        (X > 20)[:, :, 0],
        ([0, 1], slice(None), [2, 2]),
        (slice(None), [0, 1], [2, 2]),
        (0, slice(None), [2, 2]),
        ([0], Ellipsis, [1]),
        (np.ones((4, 3), bool), 1),
        (Ellipsis, np.zeros(5, bool)),
        True,
        False,
        (slice(None), True),
        (True, True, 0),
        (0, 1, 2, True),
        ([0], slice(None), False),
        range(3),
        np.array([1, 2], np.uint8),
    ],
    ids=str,
)
def test_index_forms(how, index):
    expected = X[list(index)] if isinstance(index, range) else X[index]
    with how():
        np.testing.assert_array_equal(asarray(X)[index].numpy(), expected)


MIXED: dict[str, Any] = {
    "mask, ints": (np.array([True, False, True, True]), [0, 2, 2]),
    "mask, slice": (np.array([True, False, True, True]), slice(None, None, -2)),
    "slice, mask, int": (slice(1, 3), np.array([True, False, True]), -1),
    "mask of two axes, ints": (X[:, :, 0] % 2 == 0, [4, 0, 0, 1, 4, 2]),
    "mask, None, mask": (np.array([True, False, True, False]), None, np.array([1, 0, 1], bool)),
    "ints, ellipsis, mask": ([3, 3], ..., np.array([True, False, False, True, False])),
    "True, ints": (True, [1, 1], slice(2)),
}


@pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])
@pytest.mark.parametrize("index", MIXED.values(), ids=MIXED)
def test_masks_beside_ints_and_slices_have_gradients(index, run):
    weights = np.cos(np.arange(X[index].size)).reshape(X[index].shape)

    @run
    def value_and_slope(x):
        with GradientTape() as tape:
            tape.watch(x)
            picked = x[index]
            y = (picked * weights).sum()
        return picked, tape.gradient(y, x)

    picked, slope = value_and_slope(asarray(X))
    np.testing.assert_array_equal(picked.numpy(), X[index])
    expected = np.zeros(SHAPE)
    np.add.at(expected, index, weights)
    np.testing.assert_allclose(slope.numpy(), expected, rtol=1e-15)


def test_a_single_element_is_a_copy_a_part_is_a_view():
    x = asarray(np.arange(3.0))
    first, zero_d = x[0], x[0, ...]
    x[0] = 9.0
    assert first.item() == 0
    assert zero_d.item() == 9


def test_integer_tensors_index():
    x = asarray(X)
    i, j = asarray(2), asarray(-1)
    np.testing.assert_array_equal(x[i].numpy(), X[2])
    np.testing.assert_array_equal(x[i, :, j].numpy(), X[2, :, -1])
    np.testing.assert_array_equal(x[i:, j].numpy(), X[2:, -1])


def test_iteration_gives_rows():
    rows = list(asarray(X[0]))
    assert len(rows) == 3
    np.testing.assert_array_equal(rows[1].numpy(), X[0, 1])


def test_take_and_along_axis():
    order = np.argsort(-X, axis=1)
    np.testing.assert_array_equal(
        indexing.take_along_axis(X, order, 1).numpy(), np.take_along_axis(X, order, 1)
    )
    for axis in (None, 0, -1):
        np.testing.assert_array_equal(
            indexing.take(X, [[1, -1]], axis).numpy(), np.take(X, [[1, -1]], axis)
        )
    np.testing.assert_array_equal(asarray(X).take([0], axis=1).numpy(), X.take([0], axis=1))


def test_functional_updates_leave_the_original_alone():
    x = asarray(np.zeros((3, 4)))
    expected = np.zeros((3, 4))
    for index, value in [
        (1, 5.0),
        ((slice(None), -1), [1, 2, 3]),
        ([0, 0, 2], 1.0),
        ((slice(1, None), [0, 3]), [[1, 2], [3, 4]]),
        (np.eye(3, 4) > 0, 7.0),
    ]:
        after = expected.copy()
        after[index] = value
        np.testing.assert_array_equal(x.at[index].set(value).numpy(), after)
        added = expected.copy()
        np.add.at(added, index, value)
        np.testing.assert_array_equal(x.at[index].add(value).numpy(), added)
        np.testing.assert_array_equal(x.numpy(), expected)


def test_errors_name_index_axis_and_shape():
    x = asarray(X)
    with pytest.raises(
        IndexingError,
        match=r"index 3 is out of bounds for axis 1 of shape \(4, 3, 5\), which has size 3\n  at .*"
        r"test_indexing.py",
    ):
        x[0, 3]
    with pytest.raises(IndexingError, match=r"index -5 is out of bounds for axis 0 of shape"):
        x[[0, -5]]
    with pytest.raises(IndexingError, match=r"names 4 axes, an array of shape \(4, 3, 5\) has 3"):
        x[0, 0, 0, 0]
    with pytest.raises(IndexingError, match="only one ellipsis"):
        x[..., ...]
    with pytest.raises(IndexingError, match="integers or booleans, not float64"):
        x[np.array([1.0])]
    with pytest.raises(IndexingError, match="not str"):
        x["a"]
    with pytest.raises(IndexingError, match=r"mask of shape \(3,\) does not fit axes 0 to 0"):
        x[np.ones(3, bool)]
    with pytest.raises(IndexingError, match=r"shapes \(2,\), \(3,\) do not broadcast"):
        x[[0, 1], [0, 1, 2]]
    with pytest.raises(IndexError):
        x[4]


def pullback(name, g, *inputs, **attrs):
    op = OPS[name]
    tensors = [asarray(x) for x in inputs]
    out = asarray(op.eager(np, *(t.numpy() for t in tensors), **attrs))
    return [op.vjp(i, asarray(g), out, *tensors, **attrs).numpy() for i in range(len(inputs) - 1)]


def test_gradient_of_repeated_indices():
    base, value, index = np.zeros(4), np.ones(3), np.array([1, 1, 2])
    g = np.array([1.0, 2.0, 3.0, 4.0])
    attrs = {"axes": (0,), "at": 0}
    to_base, to_value = pullback("index_update", g, base, value, index, mode="set", **attrs)
    np.testing.assert_array_equal(to_base, [1, 0, 0, 4])
    np.testing.assert_array_equal(to_value, [0, 2, 3])  # the first value was overwritten
    to_base, to_value = pullback("index_update", g, base, value, index, mode="add", **attrs)
    np.testing.assert_array_equal(to_base, g)
    np.testing.assert_array_equal(to_value, [2, 2, 3])
    (to_base,) = pullback("gather", value, base, index, **attrs)
    np.testing.assert_array_equal(to_base, [0, 2, 1, 0])


def test_getitem_returns_tensors():
    assert isinstance(getitem(asarray(X), (0, 0, 0)), Tensor)
