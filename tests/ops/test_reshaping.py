"""The same elements in another shape: NumPy's, and a view exactly where NumPy's is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.core.layout import contiguous
from hybrid.core.making import asarray
from hybrid.errors import ShapeError

X = np.arange(24.0).reshape(2, 3, 4)

SAME_AS_NUMPY = [
    (hb.reshape, np.reshape, (X, (4, -1))),
    (hb.reshape, np.reshape, (X, (4, -1), "F")),
    (hb.ravel, np.ravel, (X,)),
    (hb.ravel, np.ravel, (X, "F")),
]


@pytest.mark.parametrize(("ours", "numpys", "args"), SAME_AS_NUMPY)
def test_values_are_numpys(ours, numpys, args):
    np.testing.assert_array_equal(ours(*args).numpy(), numpys(*args), strict=True)


def test_methods_are_numpys():
    x = asarray(X)
    np.testing.assert_array_equal(x.reshape(4, -1).numpy(), X.reshape(4, -1))
    np.testing.assert_array_equal(x.reshape((6, 4)).numpy(), X.reshape(6, 4))
    assert not np.shares_memory(x.flatten().numpy(), X)
    assert not np.shares_memory(hb.reshape(x, (24,), copy=True).numpy(), X)
    assert np.shares_memory(x.ravel().numpy(), X)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.ravel(x, "F"),
        lambda x: np.ravel(x, order="F"),
        lambda x: np.reshape(x, (4, -1), order="F"),
        lambda x: x.reshape(4, 6, order="F"),
        lambda x: x.ravel("F"),
        lambda x: x.flatten("F"),
    ],
)
def test_the_order_of_elements_is_the_one_asked_for(call):
    x = asarray(X)
    for found in (call(x), hb.compile(call, fullgraph=True)(x)):
        np.testing.assert_array_equal(found.numpy(), call(X), strict=True)


def test_an_order_that_memory_decides_is_the_one_in_which_eager_code_lays_it_out():
    with pytest.raises(ValueError, match="ravel: order is 'C', 'F', 'A' or 'K', not 'Q'"):
        asarray(X).ravel("Q")
    with pytest.raises(ValueError, match="reshape: order is 'C', 'F' or 'A', not 'K'"):
        asarray(X).reshape(-1, order="K")
    np.testing.assert_array_equal(np.ravel(asarray(X.T), "K"), np.ravel(X.T, "K"))


@given(
    shape=hnp.array_shapes(max_dims=4, max_side=4),
    data=st.data(),
)
@settings(max_examples=40)
def test_reshape_is_a_view_where_numpys_is(shape, data):
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    base = np.zeros(shape)
    turned = base.transpose(order)
    factors = [f for n in turned.shape for f in ((2, n // 2) if n % 2 == 0 else (n,))]
    target = data.draw(st.sampled_from([tuple(factors), turned.shape[::-1], (-1,)]))
    reshaped = turned.reshape(target)
    layout = contiguous(shape).transpose(order).reshape(reshaped.shape)
    assert (layout is not None) == np.shares_memory(reshaped, base)


def both(f, x):
    return f(x), hb.compile(f)(x)


def test_reshape_without_a_copy_is_a_view_or_an_error():
    for x in (X, X[:, ::2], X[0]):
        for result in both(lambda t: hb.reshape(t, (-1, 2), copy=None), x):
            np.testing.assert_array_equal(result.numpy(), x.reshape(-1, 2))
    assert np.shares_memory(hb.reshape(X, (4, 6), copy=False).numpy(), X)
    assert hb.reshape(X[:0], (3, 0), copy=False).shape == (3, 0)
    for refused in (
        lambda t: hb.reshape(hb.permute_dims(t), (24,), copy=False),
        hb.compile(lambda t: hb.reshape(hb.permute_dims(t), (24,), copy=False)),
    ):
        with pytest.raises(ValueError, match=r"copy=False, but \(4, 3, 2\) cannot be seen as"):
            refused(asarray(X))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ["as it is", "turned", "backwards", "every second", "columns"])
def test_ravel_is_a_view_where_it_is_one_of_numpys(name: str, order: Any) -> None:
    parts: dict[str, Callable[[Any], Any]] = {
        "as it is": lambda x: x,
        "turned": lambda x: x.T,
        "backwards": lambda x: x[0, ::-1],
        "every second": lambda x: x[1, ::2],
        "columns": lambda x: x[:, :1],
    }

    def f(x: Any) -> Any:
        flat = parts[name](x).ravel(order)
        flat[1:] = 7
        return flat

    want = np.arange(12.0).reshape(3, 4)
    result = f(want)
    for run in (f, hb.compile(f)):
        x = hb.asarray(np.arange(12.0).reshape(3, 4))
        np.testing.assert_array_equal(run(x), result)
        np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("run", [lambda f: f, hb.compile], ids=["eager", "compiled"])
def test_any_negative_size_is_worked_out_as_numpy_does(run):
    found = run(lambda x: x.reshape((4, -2, 2)))(hb.asarray(X))
    np.testing.assert_array_equal(found, X.reshape((4, -2, 2)))
    with pytest.raises(ShapeError, match="cannot be worked out"):
        run(lambda x: x.reshape((-3, -2)))(hb.asarray(X))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"reshape: 24 elements of shape \(2, 3, 4\)"):
        hb.reshape(X, (5, 5))
    with pytest.raises(ShapeError, match=r"the -1 in \(5, -1\) cannot be worked out"):
        hb.reshape(X, (5, -1))
    with pytest.raises(ShapeError, match=r"at .*test_reshaping.py"):
        hb.reshape(X, 7)
