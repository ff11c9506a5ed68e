"""Reductions and scans agree with NumPy; ties, zeros and empty axes have sound gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.core.making import asarray
from hybrid.core.op import OPS
from hybrid.errors import AxisError, ShapeError
from hybrid.ops import composite, reduction

DTYPES = ["bool", "int8", "uint16", "int64", "float32", "float64"]
REDUCTIONS = ["sum", "prod", "max", "min", "any", "all", "mean"]


@st.composite
def reduced(draw):
    """Draw an array without empty axes, axes to reduce and keepdims."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    floats = st.floats(-4, 4, width=dtype.itemsize * 8) if dtype.kind == "f" else None
    x = draw(hnp.arrays(dtype, shape, elements=floats))
    axes = st.lists(st.integers(-len(shape), len(shape) - 1), max_size=2) if shape else st.just([])
    some = draw(axes)
    unique = {a % len(shape): a for a in some} if shape else {}
    axis = draw(st.sampled_from([None, tuple(unique.values())]))
    return x, axis, draw(st.booleans())


@pytest.mark.parametrize("name", REDUCTIONS)
@given(case=reduced())
@settings(max_examples=15)
def test_reduction_is_numpys(name, case):
    x, axis, keepdims = case
    expected = np.asarray(getattr(np, name)(x, axis=axis, keepdims=keepdims))
    found = getattr(reduction, name)(x, axis=axis, keepdims=keepdims)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    as_method = getattr(asarray(x), name)(axis, keepdims=keepdims)
    np.testing.assert_array_equal(as_method.numpy(), found.numpy())


@pytest.mark.parametrize("name", ["var", "std"])
@given(case=reduced(), ddof=st.sampled_from([0, 0.5]))
@settings(max_examples=15)
def test_spread_is_numpys(name, case, ddof):
    x, axis, keepdims = case
    expected = np.asarray(getattr(np, name)(x, axis=axis, ddof=ddof, keepdims=keepdims))
    found = getattr(reduction, name)(x, axis=axis, correction=ddof, keepdims=keepdims)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["argmax", "argmin", "cumsum", "cumprod"])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("dtype", ["int8", "float64"])
def test_along_an_axis_is_numpys(name, axis, dtype):
    x = np.random.default_rng(0).integers(-3, 4, (3, 4)).astype(dtype)
    expected = getattr(np, name)(x, axis=axis)
    found = getattr(hb, name)(x, axis=axis)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected)


@pytest.mark.parametrize("name", ["cummax", "cummin"])
@given(
    x=hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int8, np.bool_]),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
    ),
    data=st.data(),
)
def test_running_extremes_are_numpys(name, x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    ufunc = np.maximum if name == "cummax" else np.minimum
    expected = ufunc.accumulate(x, axis=axis)
    found = getattr(hb, name)(x, axis)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.numpy(), expected)
    through_numpy = ufunc.accumulate(hb.asarray(x), axis=axis)
    np.testing.assert_array_equal(through_numpy.numpy(), expected)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32", "complex128"])
def test_cumulative_is_the_standards(name, initial, dtype):
    x = (np.random.default_rng(0).integers(-2, 3, (3, 0, 2, 4)) + 1).astype(dtype)
    for part in (x, np.ones((2, 3), dtype), np.ones((2, 5), dtype)[:, ::-2]):
        for axis in range(-part.ndim, part.ndim):
            expected = getattr(np, name)(part, axis=axis, include_initial=initial)
            found = getattr(hb, name)(part, axis=axis, include_initial=initial)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found.numpy(), expected)
    assert getattr(hb, name)(np.ones(3, dtype), include_initial=initial).shape == (3 + initial,)
    with pytest.raises(AxisError, match=r"shape \(2, 2\) needs the axis to be named"):
        getattr(hb, name)(np.ones((2, 2)))


def test_gradient_of_a_running_product_at_zeros():
    x = hb.asarray(np.array([2.0, 0.0, 3.0, 0.0, 5.0]))
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = hb.cumprod(x).sum()
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), [1, 2 + 6, 0, 0, 0])


def test_running_maxima_give_the_gradient_to_the_first_of_equals():
    x = hb.asarray(np.array([1.0, 3.0, 3.0, 2.0, np.nan, 9.0]))
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = (hb.cummax(x) * np.arange(6.0)).sum()
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), [0, 1 + 2 + 3, 0, 0, 4 + 5, 0])


def test_dtype_argument():
    x = np.array([100, 100], np.int8)
    assert reduction.sum(x).item() == 200
    assert reduction.sum(x, dtype="int8").item() == np.sum(x, dtype="int8")
    assert reduction.sum(x, dtype="float32").dtype == np.float32
    assert reduction.cumsum(x, dtype="int8").dtype == np.int8
    assert reduction.cumprod(x, dtype="int32").dtype == np.int32


def test_nan_propagates():
    x = np.array([[1.0, np.nan], [2.0, 3.0]])
    for name in ("sum", "max", "min", "mean"):
        np.testing.assert_array_equal(
            getattr(reduction, name)(x, axis=1).numpy(), getattr(np, name)(x, axis=1)
        )


def test_empty_axes():
    x = np.zeros((0, 3))
    np.testing.assert_array_equal(reduction.sum(x, axis=0).numpy(), np.zeros(3))
    np.testing.assert_array_equal(reduction.prod(x, axis=0).numpy(), np.ones(3))
    assert reduction.max(x, axis=1).shape == (0,)
    with pytest.raises(ValueError, match=r"max: shape \(0, 3\) has no elements along axis \(0,\)"):
        reduction.max(x, axis=0)
    with pytest.raises(ShapeError, match="argmin"):
        hb.argmin(x)


def test_axis_errors_name_the_op_the_axis_and_the_shape():
    with pytest.raises(
        AxisError, match=r"sum: axis 2 does not exist in an array of shape \(2, 3\)"
    ):
        asarray(np.ones((2, 3))).sum(2)
    with pytest.raises(AxisError, match=r"max: axes \(0, -2\) name one axis .* twice"):
        reduction.max(np.ones((2, 3)), axis=(0, -2))


def test_count_nonzero():
    x = np.array([[0, 1], [2, 0]])
    np.testing.assert_array_equal(hb.count_nonzero(x, axis=0).numpy(), [1, 1])


def rule(name, x, **attrs):
    """Return the gradient by the only input for an upstream gradient of ones."""
    op = OPS[name]
    x = asarray(x)
    out = asarray(op.eager(np, x.numpy(), **attrs))
    return op.vjp[0](asarray(np.ones_like(out.numpy())), out, x, **attrs).numpy()


def test_ties_share_the_gradient():
    found = rule("max", np.array([1.0, 3.0, 3.0]), axis=(0,), keepdims=False)
    np.testing.assert_array_equal(found, [0, 0.5, 0.5])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([2.0, 3.0, 4.0], [12, 8, 6]), ([0.0, 3.0, 4.0], [12, 0, 0]), ([0.0, 0.0, 4.0], [0, 0, 0])],
)
def test_gradient_of_prod_at_zeros(values, expected):
    found = rule("prod", np.array(values), axis=(0,), keepdims=False)
    np.testing.assert_array_equal(found, expected)


def test_gradient_of_prod_over_several_axes():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    found = rule("prod", x, axis=(0, 2), keepdims=False)
    np.testing.assert_allclose(found, np.prod(x, axis=(0, 2), keepdims=True) / x)


def test_spread_of_equal_elements_has_gradient_zero():
    for name in ("var", "std"):
        found = rule(name, np.ones(3), axis=(0,), correction=0, keepdims=False)
        np.testing.assert_array_equal(found, np.zeros(3))


EXPANDED = [op for op in OPS.values() if op.expand is not None and op.vjp is not None]


@pytest.mark.parametrize("op", EXPANDED, ids=lambda op: op.name)
def test_expansion_equals_the_direct_form(op):
    rng = np.random.default_rng(0)
    for example in op.examples:
        names = example.dtypes or ("float32",) * len(example.shapes)
        inputs = [
            rng.uniform(*example.domain, shape).astype(d) for shape, d in zip(example.shapes, names)
        ]
        direct = np.asarray(op.eager(np, *inputs, **example.attrs))
        expanded = op.expand(*map(asarray, inputs), **example.attrs)
        if expanded is None:
            continue  # of these dtypes it stays as it is
        assert (expanded.shape, expanded.dtype) == (direct.shape, direct.dtype)
        np.testing.assert_allclose(expanded.numpy(), direct, rtol=1e-5, atol=1e-6)


def test_softmax_is_stable():
    x = np.array([1000.0, 1001.0], np.float32)
    expected = np.exp([-1.0, 0.0]) / np.exp([-1.0, 0.0]).sum()
    np.testing.assert_allclose(composite.softmax(x).numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(composite.log_softmax(x).numpy(), np.log(expected), rtol=1e-6)
    assert composite.logsumexp(x).item() == pytest.approx(1001.3133)
    assert composite.softmax(np.zeros((0,))).shape == (0,)


def test_logsumexp_of_infinities():
    low = np.full(2, -np.inf)
    assert composite.logsumexp(low).item() == -np.inf
    assert composite.logsumexp(np.array([np.inf, 0.0])).item() == np.inf
    assert composite.logsumexp(np.zeros(0)).item() == -np.inf
    found = rule("logsumexp", low, axis=(0,), keepdims=False)
    np.testing.assert_array_equal(found, [0, 0])
