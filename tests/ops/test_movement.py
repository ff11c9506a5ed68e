"""Movement ops agree with NumPy, and are views exactly where their layout rule says so."""

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
from hybrid.core.op import OPS
from hybrid.errors import AxisError, ShapeError
from hybrid.ops.rearranging import PAD_MODES

X = np.arange(24.0).reshape(2, 3, 4)

SAME_AS_NUMPY = [
    (hb.reshape, np.reshape, (X, (4, -1))),
    (hb.permute_dims, np.transpose, (X, (2, 0, -2))),
    (hb.permute_dims, np.transpose, (X,)),
    (hb.moveaxis, np.moveaxis, (X, (0, 1), (-1, 0))),
    (hb.moveaxis, np.moveaxis, (X, 0, 2)),
    (hb.swapaxes, np.swapaxes, (X, 0, -1)),
    (hb.broadcast_to, np.broadcast_to, (X, (5, 2, 3, 4))),
    (hb.squeeze, np.squeeze, (X[:, :1],)),
    (hb.squeeze, np.squeeze, (X[:, :1], 1)),
    (hb.expand_dims, np.expand_dims, (X, (0, -1))),
    (hb.flip, np.flip, (X, (0, 2))),
    (hb.flip, np.flip, (X,)),
    (hb.ravel, np.ravel, (X,)),
    (hb.ravel, np.ravel, (X, "F")),
    (hb.reshape, np.reshape, (X, (4, -1), "F")),
    (hb.roll, np.roll, (X, (1, -5), (0, 2))),
    (hb.roll, np.roll, (X, 5)),
    (hb.tile, np.tile, (X, (2, 1, 1, 3))),
    (hb.tile, np.tile, (X, 2)),
    (hb.repeat, np.repeat, (X, 2, 1)),
    (hb.repeat, np.repeat, (X, 3)),
    (hb.repeat, np.repeat, (X, [2, 0, 1], 1)),
    (hb.triu, np.triu, (X, 1)),
    (hb.tril, np.tril, (X, -1)),
    (hb.diff, np.diff, (X, 2, 1)),
    (hb.diff, np.diff, (np.array([True, False]),)),
    (hb.concatenate, np.concatenate, ([X, X[:, :1]], 1)),
    (hb.concatenate, np.concatenate, ([X, X], None)),
    (hb.vstack, np.vstack, ([X[0, 0], X[0]],)),
    (hb.hstack, np.hstack, ([X[0], X[0]],)),
    (hb.hstack, np.hstack, ([X[0, 0], X[0, 1]],)),
    (hb.copy, np.copy, (X,)),
    *((hb.pad, np.pad, (X, ((1, 0), (2, 1), (0, 3)), mode)) for mode in PAD_MODES),
    (hb.pad, np.pad, (X, 1)),
    (hb.pad, np.pad, (X, (1, 2))),
]


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


@pytest.mark.parametrize(("ours", "numpys", "args"), SAME_AS_NUMPY)
def test_values_are_numpys(ours, numpys, args):
    np.testing.assert_array_equal(ours(*args).numpy(), numpys(*args), strict=True)


def test_stack_split_unstack():
    np.testing.assert_array_equal(hb.stack([X, X + 1], axis=-1).numpy(), np.stack([X, X + 1], -1))
    for cuts in (2, [1, 3], [-1], [2, 1], [9]):
        for ours, numpys in zip(hb.split(X, cuts, 2), np.split(X, cuts, 2), strict=True):
            np.testing.assert_array_equal(ours.numpy(), numpys)
    for ours, numpys in zip(hb.unstack(X, axis=1), np.unstack(X, axis=1), strict=True):
        np.testing.assert_array_equal(ours.numpy(), numpys)


def test_methods_and_properties():
    x = asarray(X)
    np.testing.assert_array_equal(x.T.numpy(), X.T)
    np.testing.assert_array_equal(x.mT.numpy(), X.mT)
    np.testing.assert_array_equal(x.transpose(1, 0, 2).numpy(), X.transpose(1, 0, 2))
    np.testing.assert_array_equal(x.transpose((1, 0, 2)).numpy(), X.transpose(1, 0, 2))
    np.testing.assert_array_equal(x.reshape(4, -1).numpy(), X.reshape(4, -1))
    np.testing.assert_array_equal(x.reshape((6, 4)).numpy(), X.reshape(6, 4))
    assert not np.shares_memory(x.flatten().numpy(), X)
    assert not np.shares_memory(x.copy().numpy(), X)
    assert not np.shares_memory(hb.reshape(x, (24,), copy=True).numpy(), X)
    assert np.shares_memory(x.ravel().numpy(), X)


def strides_of(array, base):
    start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return tuple(s // array.itemsize for s in array.strides), start // array.itemsize


VIEWS = [op for op in OPS.values() if op.view is not None]


@pytest.mark.parametrize("op", VIEWS, ids=lambda op: op.name)
def test_view_rule_is_where_numpy_puts_the_elements(op):
    for example in op.examples:
        base = np.zeros(example.shapes[0])
        view = op.eager(np, base, **example.attrs)
        layout = op.view(contiguous(base.shape), **example.attrs)
        assert layout.shape == view.shape
        if view.size == 0:
            continue
        strides, offset = strides_of(view, base)
        assert layout.offset == offset
        for size, ours, numpys in zip(view.shape, layout.strides, strides):
            assert size == 1 or ours == numpys


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


def test_errors():
    with pytest.raises(ShapeError, match=r"reshape: 24 elements of shape \(2, 3, 4\)"):
        hb.reshape(X, (5, 5))
    with pytest.raises(ShapeError, match=r"the -1 in \(5, -1\) cannot be worked out"):
        hb.reshape(X, (5, -1))
    with pytest.raises(AxisError, match=r"flip: axis 3 does not exist"):
        hb.flip(X, 3)
    with pytest.raises(ShapeError, match=r"squeeze: axis 1 of shape \(2, 3, 4\) has size 3"):
        hb.squeeze(X, 1)
    with pytest.raises(ShapeError, match=r"broadcast_to: shape \(2, 3, 4\) does not broadcast"):
        hb.broadcast_to(X, (2, 3, 5))
    with pytest.raises(ShapeError, match=r"\(2, 3, 4\) and \(2, 2, 4\) have sizes 3 and 2"):
        hb.concat([X, X[:, :2]])
    with pytest.raises(ShapeError, match="there is no array to join"):
        hb.stack([])
    with pytest.raises(ShapeError, match="does not split into 2 parts"):
        hb.split(X, 2, axis=1)
    with pytest.raises(ValueError, match="mode 'odd' is not one of"):
        hb.pad(X, 1, "odd")
    with pytest.raises(ShapeError, match="permutation"):
        hb.permute_dims(X, (0, 1))
    with pytest.raises(ShapeError, match=r"at .*test_movement.py"):
        hb.reshape(X, 7)


@pytest.mark.parametrize("mode", PAD_MODES)
def test_gradient_of_pad_counts_the_copies(mode):
    x, width = asarray(X[0]), ((1, 2), (0, 3))
    attrs = {"width": width, "mode": mode, "value": 0}
    out = hb.pad(x, width, mode)
    weights = np.random.default_rng(0).normal(size=out.shape)
    found = OPS["pad"].vjp[0](asarray(weights), out, x, **attrs).numpy()
    expected = np.zeros(X[0].size)
    if mode == "constant":
        source = np.pad(np.arange(12).reshape(3, 4), width, constant_values=-1)
    else:
        source = np.pad(np.arange(12).reshape(3, 4), width, mode)
    np.add.at(expected, source[source >= 0], weights[source >= 0])
    np.testing.assert_allclose(found, expected.reshape(3, 4))


def eager_and_compiled(f, *args):
    return [f(*args), hb.compile(f)(*args)]


def test_reshape_without_a_copy_is_a_view_or_an_error():
    for x in (X, X[:, ::2], X[0]):
        for result in eager_and_compiled(lambda t: hb.reshape(t, (-1, 2), copy=None), x):
            np.testing.assert_array_equal(result.numpy(), x.reshape(-1, 2))
    assert np.shares_memory(hb.reshape(X, (4, 6), copy=False).numpy(), X)
    assert hb.reshape(X[:0], (3, 0), copy=False).shape == (3, 0)
    for refused in (
        lambda t: hb.reshape(hb.permute_dims(t), (24,), copy=False),
        hb.compile(lambda t: hb.reshape(hb.permute_dims(t), (24,), copy=False)),
    ):
        with pytest.raises(ValueError, match=r"copy=False, but \(4, 3, 2\) cannot be seen as"):
            refused(asarray(X))


def test_repeat_takes_its_counts_from_a_tensor():
    counts = asarray([2, 0, 1])
    np.testing.assert_array_equal(
        hb.repeat(X, counts, axis=1).numpy(), np.repeat(X, [2, 0, 1], axis=1)
    )
    np.testing.assert_array_equal(hb.repeat(X, asarray(2), axis=0).numpy(), np.repeat(X, 2, axis=0))
    f = hb.compile(lambda t, n: hb.repeat(t, n, axis=1))
    with pytest.warns(hb.errors.EagerFallbackWarning):
        np.testing.assert_array_equal(f(X, counts).numpy(), np.repeat(X, [2, 0, 1], axis=1))


@pytest.mark.parametrize(
    "ends", [{"prepend": 0}, {"append": 0.5}, {"prepend": X[:, :2], "append": X[:, :1] + 1}]
)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_diff_puts_something_before_and_after(ends, n):
    for x in (X, X.astype(int)):
        expected = np.diff(x, n, 1, **ends)
        for result in eager_and_compiled(lambda t: hb.diff(t, n, 1, **ends), x):
            np.testing.assert_array_equal(np.asarray(result), expected)
            assert n == 0 or result.dtype == expected.dtype
    with pytest.raises(ValueError, match="n is -1"):
        hb.diff(X, n=-1)


def test_an_in_place_matrix_product_writes():
    a = np.arange(4.0).reshape(2, 2)
    for run in (lambda f: f, hb.compile):
        t = asarray(a.copy())
        row = t[0]

        def square(x):
            x @= x
            return x

        run(square)(t)
        np.testing.assert_array_equal(t.numpy(), a @ a)
        np.testing.assert_array_equal(row.numpy(), (a @ a)[0])
    with pytest.raises(ShapeError, match="cannot be written"):
        t @= np.ones((2, 3))


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


def test_a_copy_lies_in_the_order_asked_for() -> None:
    def f(x: Any) -> Any:
        first, last = x.copy("F"), x.T.copy(order="C")
        first.T.reshape(-1)[1] = 7
        last.reshape(-1)[2] = 8
        return first, last

    x = np.arange(12.0).reshape(3, 4)
    for run in (f, hb.compile(f)):
        for got, want in zip(run(hb.asarray(x)), f(x), strict=True):
            np.testing.assert_array_equal(got, want)
    with pytest.raises(ValueError, match="copy: order is 'C', 'F', 'A' or 'K', not 'Q'"):
        hb.ones(3).copy("Q")


def test_numbers_of_a_row_know_nothing_of_later_writes() -> None:
    def f(x: Any) -> Any:
        first, *_ = np.unstack(x)
        x += 1
        return first

    for run in (f, hb.compile(f)):
        assert float(run(hb.ones(3))) == 1


PADDED = [
    {0: 1}, {-1: (1, 2)}, {0: 1, -2: 2}, {}, {1: (0, 3), 0: 2}, ((1,), (2,)), ((1, 2),), [1], 2,
]  # fmt: skip


@pytest.mark.parametrize("mode", ["constant", "edge", "empty", "mean", "linear_ramp"])
@pytest.mark.parametrize("width", PADDED, ids=str)
def test_pad_takes_widths_as_numpy_does(width: Any, mode: Any) -> None:
    x = np.arange(6.0).reshape(2, 3)
    expected = np.pad(x, width, mode)
    for found in (
        np.pad(hb.asarray(x), width, mode),
        hb.compile(lambda x: np.pad(x, width, mode))(x),
    ):
        assert found.shape == expected.shape
        if mode != "empty":
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("width", "error"),
    [(((1,), (1, 2)), ValueError), ({0: (1, 2, 3)}, ValueError), ({2: 1}, IndexError)],
)
def test_pad_refuses_widths_that_fit_no_axis(width: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="pad"):
        np.pad(hb.ones((2, 3)), width)
