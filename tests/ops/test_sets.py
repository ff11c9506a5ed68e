"""The distinct elements are NumPy's and the Array API's, with gradients to the first of equals."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb

VALUES = st.sampled_from([0, 1, 2, 3])
ARRAYS = st.sampled_from(["bool", "int8", "float32", "complex128"]).flatmap(
    lambda dtype: (
        hnp.arrays(
            dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), elements=VALUES
        )
        if dtype != "bool"
        else hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    )
)


def agree(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.numpy(), expected)


@given(x=ARRAYS)
def test_the_standards_functions(x):
    expected = np.unique_all(x)
    found = hb.unique_all(x)
    assert type(found)._fields == ("values", "indices", "inverse_indices", "counts")
    for ours, numpys in zip(found, expected, strict=True):
        agree(ours, numpys)
    agree(hb.unique_values(x), expected.values)
    agree(hb.unique_counts(x).counts, expected.counts)
    agree(hb.unique_inverse(x).inverse_indices, expected.inverse_indices)
    assert hb.unique_inverse(x).inverse_indices.shape == x.shape


@given(x=ARRAYS, data=st.data())
def test_unique_is_numpys(x, data):
    axes = [None, *range(-x.ndim, x.ndim)]
    axis = data.draw(st.sampled_from(axes))
    for asked in product((False, True), repeat=3):
        try:
            expected = np.unique(x, *asked, axis=axis)
        except Exception as error:
            with pytest.raises(type(error)):
                hb.unique(x, *asked, axis=axis)
            continue
        found = hb.unique(x, *asked, axis=axis)
        if not any(asked):
            agree(found, expected)
            continue
        for ours, numpys in zip(found, expected, strict=True):
            agree(ours, numpys)


def test_nan_is_one_for_numpy_and_many_for_the_standard():
    x = np.array([np.nan, 1.0, np.nan])
    assert hb.unique(x).shape == (2,)
    assert hb.unique(x, equal_nan=False).shape == (3,)
    assert hb.unique_values(x).shape == (3,)
    assert hb.unique_counts(x).counts.tolist() == [1, 1, 1]


def test_gradients_go_to_the_first_of_equals():
    x = hb.asarray([3.0, 1.0, 3.0, 2.0])
    for function in (hb.unique, hb.unique_values, lambda x: hb.unique_all(x).values):
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = (function(x) * np.array([1.0, 10.0, 100.0], np.float32)).sum()
        assert tape.gradient(y, x).tolist() == [100, 1, 0, 10]


@pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])
@pytest.mark.parametrize("invert", [False, True])
def test_isin_is_numpys(run: Callable[..., Any], invert: bool):
    cases = [
        (np.arange(6).reshape(2, 3), np.array([4, 1, 9])),
        (np.array([1.0, np.nan]), np.array([np.nan, 1.0])),
        (np.array([], np.int64), np.array([1])),
        (np.array(3), np.zeros((0, 2))),
        (np.array([1, 300]), np.array([1, 44], np.uint8)),
    ]
    for x, y in cases:
        found = run(lambda x, y: hb.isin(x, y, invert=invert))(x, y)
        agree(found, np.isin(x, y, invert=invert))
