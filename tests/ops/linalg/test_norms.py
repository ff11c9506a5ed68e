"""Norms agree with NumPy in value and dtype, eager and traced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.errors import LinAlgError

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")

rng = np.random.default_rng(0)
KINDS = ("float32", "float64", "complex64", "complex128", "int64")


def drawn(shape, kind):
    x = 4 * rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape)).astype(kind) if kind[0] == "c" else x.astype(kind)


def agrees(found, expected):
    expected = np.asarray(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    single = expected.dtype.itemsize == 4
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5 if single else 1e-12)


@given(
    st.sampled_from([0, 1, 2, 3, -2, 0.5, np.inf, -np.inf]),
    st.sampled_from([((3, 4), 1), ((3, 4), -2), ((5,), 0), ((2, 1, 3), (0, 2))]),
    st.sampled_from(KINDS),
    st.booleans(),
)
def test_vector_norm_is_numpys(ord, where, kind, keepdims):
    shape, axis = where
    x = drawn(shape, kind) + 1
    found = hb.linalg.vector_norm(x, axis=axis, ord=ord, keepdims=keepdims)
    expected = np.linalg.vector_norm(x, axis=axis, ord=ord, keepdims=keepdims)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5)
    assert found.shape == expected.shape


@given(
    st.sampled_from(["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]),
    st.sampled_from([(3, 3), (2, 4), (1, 1), (2, 1, 3, 2), (0, 2, 2)]),
    st.sampled_from(KINDS[:4]),
    st.booleans(),
)
def test_matrix_norm_is_numpys(ord, shape, kind, keepdims):
    x = drawn(shape, kind)
    expected = np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims)
    agrees(hb.linalg.matrix_norm(x, ord=ord, keepdims=keepdims), expected)
    agrees(np.linalg.matrix_norm(hb.asarray(x), ord=ord, keepdims=keepdims), expected)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 4), {}),
        ((2, 3, 4), {}),
        ((3, 4), {"ord": 1}),
        ((3, 4), {"ord": "nuc"}),
        ((4,), {"ord": np.inf}),
        ((2, 3, 4), {"axis": (0, 2), "ord": -np.inf}),
        ((2, 3, 4), {"axis": (2, 0), "ord": 1, "keepdims": True}),
        ((2, 3, 4), {"axis": 1}),
        ((2, 3, 4), {"axis": (1,), "ord": 3, "keepdims": True}),
        ((2, 3, 4), {"keepdims": True}),
    ],
)
def test_norm_is_numpys(shape, options):
    x = drawn(shape, "float64")
    expected = np.linalg.norm(x, **options)
    agrees(hb.linalg.norm(x, **options), expected)
    agrees(np.linalg.norm(hb.asarray(x), **options), expected)


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_norms_are_traced(ord):
    x = drawn((2, 3, 4), "float64")
    whole = hb.compile(lambda t: hb.linalg.matrix_norm(t, ord=ord), fullgraph=True)
    agrees(whole(x), np.linalg.matrix_norm(x, ord=ord))
    if not isinstance(ord, str):
        vectors = hb.compile(lambda t: hb.linalg.vector_norm(t, axis=1, ord=ord), fullgraph=True)
        agrees(vectors(x), np.linalg.vector_norm(x, axis=1, ord=ord))


def test_the_gradient_at_zero_is_zero():
    x = hb.asarray(np.zeros(3))
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = hb.linalg.norm(x)
    assert y.item() == 0
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), np.zeros(3))


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"])
def test_cond_is_numpys(p):
    x = drawn((2, 3, 3), "float64")
    if p != "nuc":  # of which NumPy cannot say it for a singular matrix
        x[1] = np.diag([0, 0, 4])
        assert np.linalg.cond(x, p)[1] == (0 if p == -2 else np.inf)
    agrees(hb.linalg.cond(x, p), np.linalg.cond(x, p))
    agrees(np.linalg.cond(hb.asarray(x), p), np.linalg.cond(x, p))


def test_orders_and_shapes_that_make_no_norm_are_refused():
    x = hb.asarray(np.ones((3, 4)))
    for wrong in (
        lambda: hb.linalg.norm(x, 3),
        lambda: hb.linalg.norm(x[0], "fro"),
        lambda: hb.linalg.norm(hb.asarray(np.ones((2, 2, 2))), 1),
        lambda: hb.linalg.matrix_norm(x, ord="max"),
    ):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(LinAlgError, match=r"matrix_norm: shape \(4,\) has 1 axes"):
        hb.linalg.matrix_norm(x[0])
