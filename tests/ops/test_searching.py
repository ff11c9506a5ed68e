"""Searching is NumPy's: what is largest, not zero, or next to a value in a sorted array."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, ShapeError, TraceError

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
RUN = pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "traced"])


@given(x=hnp.arrays(np.int64, SHAPES, elements=st.integers(0, 1)))
def test_what_is_not_zero(x):
    np.testing.assert_array_equal(hb.argwhere(x).numpy(), np.argwhere(x))
    np.testing.assert_array_equal(hb.flatnonzero(x).numpy(), np.flatnonzero(x))
    for x_given in (x, hb.asarray(x), hb.asarray(x != 0), hb.asarray(x, dtype="float32")):
        found = hb.count_nonzero(x_given)
        assert (found.item(), found.dtype, found.shape) == (np.count_nonzero(x), hb.int64, ())
    if not x.ndim:
        with pytest.raises(ShapeError, match="nonzero: a Tensor without axes"):
            hb.nonzero(x)
        return
    for ours, numpys in zip(hb.nonzero(x.T), np.nonzero(x.T), strict=True):
        np.testing.assert_array_equal(ours.numpy(), numpys)


DATA_DEPENDENT: dict[str, Callable[..., Any]] = {
    "nonzero": lambda x: hb.nonzero(x)[0] * 2,
    "flatnonzero": lambda x: hb.flatnonzero(x) + 1,
    "argwhere": lambda x: hb.argwhere(x).sum(axis=0),
    "mask": lambda x: x[x > 0] * 2,
    "mask and slice": lambda x: x[x[:, 0] > 0, ::-1].sum(axis=0),
    "mask and ints": lambda x: x[x[:, 1] > 0, 0],
    "unique": lambda x: hb.unique(x) * 2,
    "unique_values": lambda x: hb.unique_values(x),
    "unique_all": lambda x: hb.unique_all(x).counts,
    "unique_counts": lambda x: hb.unique_counts(x).counts + 1,
    "unique_inverse": lambda x: hb.unique_inverse(x).inverse_indices,
}


@pytest.mark.parametrize("name", DATA_DEPENDENT)
def test_results_whose_shape_depends_on_data_are_traced_once_for_each_size(name: str):
    function = DATA_DEPENDENT[name]
    sizes = []

    @hb.compile
    def traced(x: Any) -> Any:
        y = hb.exp(x) - 1
        y[0] = x[0] * 3
        found = function(y)
        sizes.append(found.shape)
        return found * 2, y

    rng = np.random.default_rng(0)
    data = [rng.integers(-1, 2, (4, 3)).astype(float) for _ in range(3)]
    for x in data * 3:
        y = np.exp(x) - 1
        y[0] = x[0] * 3
        found, written = traced(hb.asarray(x))
        expected = function(hb.asarray(y)) * 2
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-14)
        np.testing.assert_allclose(written.numpy(), y, rtol=1e-14)
    assert len(sizes) <= len(data)


def test_a_mask_that_selects_another_number_at_each_call_is_given_up_with_a_warning():
    @hb.compile
    def above(x: Any) -> Any:
        return x[x > 0.5] * 2

    x = np.zeros(20)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(20):
            x[i] = i
            np.testing.assert_array_equal(above(x), x[x > 0.5] * 2)
    (given_up,) = (str(w.message) for w in caught if w.category is EagerFallbackWarning)
    assert re.search(r"(?s)as the data say had 8 .* x\[x > 0.5\]", given_up)
    assert "runs eagerly" in above.explain()


@pytest.mark.parametrize("name", DATA_DEPENDENT)
def test_one_graph_has_no_result_whose_shape_depends_on_data(name: str):
    strict = hb.compile(DATA_DEPENDENT[name], fullgraph=True)
    with pytest.raises(TraceError, match=r"as many elements as the data say(.|\n)*test_searching"):
        strict(np.eye(4, 3))


def test_a_mask_has_a_gradient_in_a_compiled_function():
    @hb.compile
    def right(x: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = (x[x[:, 0] > 0, 1:] ** 2).sum() + hb.unique(x * 2).sum()
        return tape.gradient(y, x)

    for _ in range(3):
        found = right(hb.asarray([[1.0, 5.0, 5.0], [-1.0, 2.0, 2.0]]))
        assert found.tolist() == [[2, 12, 10], [2, 2, 0]]
    found = right(hb.asarray([[1.0, 5.0, 5.0], [1.0, 2.0, 2.0]]))
    assert found.tolist() == [[2, 12, 10], [0, 6, 4]]
