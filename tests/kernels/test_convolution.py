"""Convolution kernels give what products of copied windows give, for any geometry and threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.kernels import convolution, parallel
from hybrid.kernels.convolution import images, weights
from hybrid.ops.conv import library
from hybrid.ops.conv.geometry import positions

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


@pytest.fixture(autouse=True, scope="module")
def however_wasteful():
    """Kernels take every shape, also those that products of copied windows are better at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_WASTE", np.inf)
        patch.setattr(weights, "_COPYING", np.inf)
        yield


@st.composite
def problems(draw):
    small = st.integers(1, 4)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = draw(st.integers(1, 2)), draw(st.sampled_from([1, 16]))
    kernel, stride, dilation = ((draw(small), draw(small)) for _ in range(3))
    padding = tuple((draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(2))
    size = [
        max(1, d * (k - 1) + 1 - sum(pair)) + draw(st.integers(0, 30))
        for k, d, pair in zip(kernel, dilation, padding)
    ]
    x = (draw(st.integers(1, 3)), inputs * groups, *size)
    return x, (outputs * groups, inputs, *kernel), (stride, padding, dilation, groups)


def drawn(*shapes, dtype):
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


@given(problem=problems())
def test_all_three_kernels_agree_with_the_library(problem):
    agree(*problem, "float32")


@pytest.mark.parametrize(
    "problem",
    [
        ((2, 4, 9, 20), (6, 2, 3, 2), ((1, 1), ((1, 0), (2, 3)), (1, 2), 2)),
        ((3, 2, 30, 7), (16, 2, 1, 5), ((3, 2), ((0, 0), (4, 4)), (2, 1), 1)),
    ],
)
def test_all_three_kernels_agree_with_the_library_in_float64(problem):
    agree(*problem, "float64")


def agree(x_shape, w_shape, attrs, dtype):
    places = positions("conv", x_shape[2:], w_shape[2:], *attrs[:3])
    g_shape = (x_shape[0], w_shape[0], *places)
    x, w, g = drawn(x_shape, w_shape, g_shape, dtype=dtype)
    close = dict(rtol=0, atol=TOLERANCE[dtype] * (1 + np.sqrt(x[0].size)))
    found = convolution.forward(x, w, places, *attrs)
    np.testing.assert_allclose(found, library.convolved(np, x, w, *attrs), **close)
    found = convolution.backward(g, w, x_shape[2:], *attrs)
    np.testing.assert_allclose(found, library.by_input(np, g, w, x_shape[2:], *attrs), **close)
    found = convolution.by_weight(x, g, w_shape[2:], *attrs)
    close["atol"] *= 1 + np.sqrt(g[:, 0].size)
    np.testing.assert_allclose(found, library.by_weight(np, x, g, w_shape[2:], *attrs), **close)


@pytest.mark.parametrize("shape", [(3, 4, 40, 40), (1, 4, 200, 50)])
def test_results_do_not_depend_on_threads(shape):
    x, w = drawn(shape, (8, 4, 3, 3), dtype="float32")
    attrs = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    many = parallel.get_num_threads()
    results = []
    try:
        for threads in {1, many}:
            parallel.set_num_threads(threads)
            out = convolution.forward(x, w, shape[2:], *attrs)
            by_input = convolution.backward(out, w, shape[2:], *attrs)
            results.append((out, by_input, convolution.by_weight(x, out, (3, 3), *attrs)))
    finally:
        parallel.set_num_threads(many)
    for one, other in zip(results[0], results[-1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_does_not_pay_or_has_no_kernel_is_left_to_the_library():
    attrs = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    for dtype in ("int64", "float16", "complex64"):
        x, w = drawn((1, 1, 4, 4), (1, 1, 2, 2), dtype=dtype)
        assert convolution.forward(x, w, (3, 3), *attrs) is None
        assert convolution.backward(x, w, (5, 5), *attrs) is None
        assert convolution.by_weight(x, w, (3, 3), *attrs) is None
    x, w = drawn((0, 1, 4, 4), (1, 1, 2, 2), dtype="float32")
    assert convolution.forward(x, w, (3, 3), *attrs) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_WASTE", 2.0)
        x, w = drawn((8, 1, 5, 5), (1, 1, 5, 5), dtype="float32")
        assert convolution.forward(x, w, (1, 1), *attrs) is None
        patch.setattr(weights, "_COPYING", 125)
        x, w = drawn((2, 64, 7, 7), (2, 512, 5, 5), dtype="float32")
        assert convolution.by_weight(x, w, (3, 3), *attrs) is None
