"""Indices and positions in the raveled array are turned into each other as NumPy does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.errors import DTypeError, ShapeError

RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])


@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=4, max_side=5),
    order=st.sampled_from(["C", "F"]),
    data=st.data(),
)
def test_positions_and_indices_are_numpys(shape, order, data):
    size = int(np.prod(shape))
    block = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    at = data.draw(hnp.arrays(np.int32, block, elements=st.integers(0, size - 1)))
    expected = np.unravel_index(at, shape, order)
    found = hb.unravel_index(at, shape, order)
    for ours, numpys in zip(found, expected, strict=True):
        assert ours.dtype == np.int64
        np.testing.assert_array_equal(ours.numpy(), numpys)
    np.testing.assert_array_equal(hb.ravel_multi_index(found, shape, order=order).numpy(), at)
    moved = tuple(i - 7 for i in expected)
    for mode in ("wrap", "clip", ("wrap",) * (len(shape) - 1) + ("clip",)):
        np.testing.assert_array_equal(
            hb.ravel_multi_index(moved, shape, mode, order).numpy(),
            np.ravel_multi_index(moved, shape, mode, order),
        )


@RUN
def test_traced_and_broadcast(run: Callable[..., Any]):
    rows, columns = run(lambda i: hb.unravel_index(i * 2, (3, 4)))(np.array([[0, 5]]))
    assert (rows.tolist(), columns.tolist()) == ([[0, 2]], [[0, 2]])
    found = run(lambda i, j: hb.ravel_multi_index((i, j), (3, 4)))(
        np.array([[0], [2]]), np.array([1, 3])
    )
    assert found.tolist() == [[1, 3], [9, 11]]


@RUN
def test_what_is_outside_is_refused(run: Callable[..., Any]):
    with pytest.raises(ValueError, match="index 6 is out of bounds for array with size 6"):
        run(lambda i: hb.unravel_index(i, (2, 3)))(np.array([0, 6]))
    with pytest.raises(ValueError, match="index 3 is out of bounds for axis 1 of shape"):
        run(lambda i, j: hb.ravel_multi_index((i, j), (2, 3)))(np.array([0]), np.array([3]))
    with pytest.raises(DTypeError, match="takes integers"):
        run(lambda i: hb.unravel_index(i, (2, 3)))(np.array([0.5]))
    with pytest.raises(ShapeError, match="1 index arrays and 2 modes do not fit"):
        run(lambda i: hb.ravel_multi_index((i,), (2, 3)))(np.array([0]))
    with pytest.raises(ShapeError, match="an array without axes"):
        run(lambda i: hb.unravel_index(i, ()))(np.array([0]))
    with pytest.raises(ValueError, match="no mode 'bounce'"):
        run(lambda i: hb.ravel_multi_index((i,), (2,), "bounce"))(np.array([0]))
    with pytest.raises(ValueError, match="order 'A'"):
        run(lambda i: hb.unravel_index(i, (2,), "A"))(np.array([0]))
