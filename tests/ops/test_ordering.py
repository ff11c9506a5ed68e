"""Elements go among sorted ones as NumPy puts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.errors import IndexingError, ShapeError

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])


@given(
    a=hnp.arrays(np.float64, st.integers(0, 6), elements=st.integers(-3, 3)),
    v=hnp.arrays(np.float64, SHAPES, elements=st.sampled_from([-9.0, -1, 0, 0.5, 2, np.nan])),
    side=st.sampled_from(["left", "right"]),
)
def test_searchsorted_is_numpys(a, v, side):
    sorter = np.argsort(a)
    expected = np.searchsorted(a, v, side, sorter)
    np.testing.assert_array_equal(hb.searchsorted(a, v, side=side, sorter=sorter).numpy(), expected)
    np.testing.assert_array_equal(hb.searchsorted(a[sorter], v, side=side).numpy(), expected)


@RUN
def test_a_python_float_is_searched_in_the_dtype_of_the_array(run: Callable[..., Any]):
    a = np.array([0.0, 0.1, 0.2])
    for dtype in (np.float32, np.float64):
        found = run(lambda a, x: (hb.searchsorted(a, x), hb.searchsorted(a, 0.1)))
        assert [int(i) for i in found(a.astype(dtype), 0.1)] == [1, 1]
        assert run(hb.isin)(a.astype(dtype), 0.1).tolist() == [False, True, False]
    assert run(hb.searchsorted)(np.array([1, 2, 3]), 2.5).item() == 2


@RUN
def test_searchsorted_refuses_what_has_no_order(run: Callable[..., Any]):
    with pytest.raises(ShapeError, match=r"the sorted array has one axis, not \(2, 2\)"):
        run(hb.searchsorted)(np.ones((2, 2)), 1.0)
    with pytest.raises(ShapeError, match=r"the sorter has shape \(2,\), the array \(3,\)"):
        run(lambda a, i: hb.searchsorted(a, 1.0, sorter=i))(np.ones(3), np.array([0, 1]))
    with pytest.raises(IndexingError, match="index 5 is out of bounds for axis 0"):
        run(lambda a, i: hb.searchsorted(a, 1.0, sorter=i))(np.ones(3), np.array([0, 5, 1]))
    with pytest.raises(ValueError, match="side 'middle' is neither"):
        run(lambda a: hb.searchsorted(a, 1.0, side="middle"))(np.ones(3))
