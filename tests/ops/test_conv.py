"""Convolutions agree with loops, SciPy and torch, in value, gradient and in what they refuse."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.errors import ShapeError

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def by_loops(x, w, stride, padding, dilation, groups):
    """Convolve as the definition says, one result at a time."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    spans = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation)]
    places = [(n - span) // s + 1 for n, span, s in zip(x.shape[2:], spans, stride)]
    out = np.zeros((x.shape[0], w.shape[0], *places), np.result_type(x, w))
    inputs, outputs = w.shape[1], w.shape[0] // groups
    for n, o, *place in product(*map(range, out.shape)):
        first = o // outputs * inputs
        under = tuple(
            slice(p * s, p * s + span, d) for p, s, span, d in zip(place, stride, spans, dilation)
        )
        out[(n, o, *place)] = (x[(n, slice(first, first + inputs), *under)] * w[o]).sum()
    return out


@st.composite
def problems(draw):
    """Draw shapes and attributes that fit each other, with one or two spatial axes."""
    axes = draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    # Few numbers of channels: each is a kernel to compile.
    inputs, outputs = draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 8]))
    small = [draw(st.integers(1, 3)) for _ in range(3 * axes)]
    kernel, stride, dilation = small[:axes], small[axes : 2 * axes], small[2 * axes :]
    padding = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(axes)]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    least = [max(1, span - sum(pair)) for span, pair in zip(spans, padding)]
    longest = 40 if axes == 1 else draw(st.sampled_from([4, 20]))
    size = [n + draw(st.integers(0, longest)) for n in least]
    x = (draw(st.integers(0, 3)), inputs * groups, *size)
    attrs = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    return x, (outputs * groups, inputs, *kernel), attrs, draw(st.sampled_from(list(TOLERANCE)))


def conv(x, w, **attrs):
    return (hb.conv1d if w.ndim == 3 else hb.conv2d)(x, w, **attrs)


def transposed(x, w, **attrs):
    return (hb.conv_transpose1d if w.ndim == 3 else hb.conv_transpose2d)(x, w, **attrs)


def drawn(*shapes, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("sizes", [(8, 3), (5000, 12), (12, 5000), (5000, 1200)])
@pytest.mark.parametrize("special", [np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_elements_that_are_not_finite_reach_only_what_they_lie_over(
    name, mode, place, special, sizes
):
    a, v = drawn(*[(n,) for n in sizes])
    min(a, v, key=len)[place] = special
    wanted = getattr(np, name)(a, v, mode)
    for found in (
        getattr(hb, name)(hb.asarray(a), hb.asarray(v), mode),
        hb.compile(lambda a, v: getattr(np, name)(a, v, mode))(a, v),
    ):
        np.testing.assert_array_equal(np.isfinite(found.numpy()), np.isfinite(wanted))
        np.testing.assert_array_equal(np.isnan(found.numpy()), np.isnan(wanted))


@given(problems())
def test_a_convolution_is_the_sum_of_products_at_each_place(problem):
    x_shape, w_shape, attrs, dtype = problem
    x, w = drawn(x_shape, w_shape, dtype=dtype)
    found = conv(x, w, **attrs).numpy()
    assert found.dtype == x.dtype
    expected = by_loops(x, w, **attrs)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=20 * TOLERANCE[dtype])


@given(problems())
def test_gradients_are_the_transposes(problem):
    """A bilinear map: <g, conv(u, w)> is <u, gradient by x>, and so for the weights."""
    x_shape, w_shape, attrs, dtype = problem
    x, w, u, v = map(hb.asarray, drawn(x_shape, w_shape, x_shape, w_shape, dtype=dtype))
    with hb.GradientTape() as tape:
        tape.watch([x, w])
        out = conv(x, w, **attrs)
    (g,) = map(hb.asarray, drawn(out.shape, dtype=dtype, seed=1))
    by_x, by_w = tape.gradient(out, [x, w], output_gradients=g)
    assert (by_x.dtype, by_w.dtype) == (x.dtype, w.dtype)
    for step, gradient, change in [(u, by_x, conv(u, w, **attrs)), (v, by_w, conv(x, v, **attrs))]:
        wide = [t.numpy().astype(np.float64) for t in (step, gradient, g, change)]
        scale = np.abs(wide[2]).sum() * max(1, w.size // w.shape[0]) + 1
        left, right = (wide[0] * wide[1]).sum(), (wide[2] * wide[3]).sum()
        assert abs(left - right) <= TOLERANCE[dtype] * scale


@given(problems())
def test_the_layer_that_transposes_gives_the_gradient_by_the_input(problem):
    x_shape, w_shape, attrs, dtype = problem
    x, w = map(hb.asarray, drawn(x_shape, w_shape, dtype=dtype))
    with hb.GradientTape() as tape:
        tape.watch(x)
        out = conv(x, w, **attrs)
    (g,) = map(hb.asarray, drawn(out.shape, dtype=dtype, seed=1))
    spans = [d * (k - 1) + 1 for k, d in zip(w_shape[2:], attrs["dilation"])]
    left = [
        (n + sum(pair) - span) % s
        for n, pair, span, s in zip(x_shape[2:], attrs["padding"], spans, attrs["stride"])
    ]
    found = transposed(g, w, output_padding=left, **attrs)
    expected = tape.gradient(out, x, output_gradients=g)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


@given(problems())
def test_traced_equals_eager(problem):
    x_shape, w_shape, attrs, dtype = problem
    x, w = map(hb.asarray, drawn(x_shape, w_shape, dtype=dtype))

    def step(x, w):
        with hb.GradientTape() as tape:
            tape.watch([x, w])
            out = conv(x, w, **attrs)
        return out, *tape.gradient(out, [x, w])

    for eager, traced in zip(step(x, w), hb.compile(step)(x, w), strict=True):
        np.testing.assert_array_equal(traced.numpy(), eager.numpy())


@pytest.mark.parametrize("kind", ["float64", "int64", "complex128"])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(7, 3), (3, 7), (6, 4), (4, 4), (1, 5), (1, 1)])
def test_sequences_are_convolved_as_by_numpy_and_scipy(sizes, mode, kind):
    rng = np.random.default_rng(0)
    a, v = (rng.integers(-9, 9, n).astype(kind) for n in sizes)
    if kind == "complex128":
        a, v = a + 1j * a[::-1], v - 2j * v[::-1]
    np.testing.assert_allclose(hb.convolve(a, v, mode).numpy(), np.convolve(a, v, mode))
    np.testing.assert_allclose(hb.correlate(a, v, mode).numpy(), np.correlate(a, v, mode))
    assert hb.convolve(a, v, mode).dtype == np.dtype(kind)
    if mode == "full":  # the other modes place the result otherwise where the second is longer
        np.testing.assert_allclose(hb.convolve(a, v).numpy(), scipy.signal.convolve(a, v))
        np.testing.assert_allclose(
            hb.correlate(a, v, mode).numpy(), scipy.signal.correlate(a, v), atol=1e-12
        )


@given(problems())
def test_images_are_correlated_as_by_scipy(problem):
    (_, _, *size), (_, _, *kernel), _, dtype = problem
    image, weights = drawn(size, [min(k, n) for k, n in zip(kernel, size)], dtype=dtype)
    found = conv(image[None, None], weights[None, None]).numpy()[0, 0]
    expected = scipy.signal.correlate(image, weights, "valid", method="direct")
    np.testing.assert_allclose(found, expected, atol=20 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("size", "attrs"),
    [
        ((30, 17), {}),
        ((9, 8), {"stride": 2, "padding": 1}),
        ((9, 8), {"stride": (2, 3), "padding": (1, 2), "dilation": 2, "groups": 2}),
        ((9, 8), {"groups": 4}),
        ((7, 8), {"padding": "same", "dilation": 2}),
        ((7, 8), {"padding": "valid"}),
    ],
)
def test_values_and_gradients_are_torchs(size, attrs, dtype):
    torch = pytest.importorskip("torch")
    x, w = drawn((2, 4, *size), (8, 4 // attrs.get("groups", 1), 3, 3), dtype=dtype)
    a, b = (torch.from_numpy(t).requires_grad_() for t in (x, w))
    expected = torch.nn.functional.conv2d(a, b, **attrs)
    expected.sum().backward()
    xt, wt = hb.asarray(x), hb.asarray(w)
    with hb.GradientTape() as tape:
        tape.watch([xt, wt])
        out = hb.conv2d(xt, wt, **attrs)
    by_x, by_w = tape.gradient(out, [xt, wt])
    tolerance = dict(rtol=1e-4, atol=100 * TOLERANCE[dtype])
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), **tolerance)
    np.testing.assert_allclose(by_x.numpy(), a.grad.numpy(), **tolerance)
    np.testing.assert_allclose(by_w.numpy(), b.grad.numpy(), **tolerance)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(7, 3, 1, 7), (7, 4, 1, 7), (7, 3, 2, 4), (8, 3, 2, 4), (2, 3, 4, 1), (7, 1, 3, 3)],
)
def test_same_is_the_input_divided_by_the_stride_rounded_up(size, kernel, stride, expected):
    x, w = drawn((1, 1, size), (1, 1, kernel))
    found = hb.conv1d(x, w, stride=stride, padding="same")
    assert found.shape == (1, 1, expected)
    back = hb.conv_transpose1d(found, w, stride=stride, padding="same")
    assert back.shape == (1, 1, expected * stride)


def test_what_is_not_finite_stays_with_the_windows_that_see_it():
    x, w = drawn((1, 1, 6, 9), (1, 1, 3, 3))
    x[0, 0, 2, 4] = np.inf
    xt, wt = hb.asarray(x), hb.asarray(w)
    with hb.GradientTape() as tape:
        tape.watch([xt, wt])
        out = hb.conv2d(xt, wt, padding=1)
        part = out[:, :, 4:, :]  # sees nothing of it
    assert np.isfinite(out.numpy()).sum() == out.size - 9
    by_x = tape.gradient(part, xt)
    assert np.isfinite(by_x.numpy()).all()
    with hb.GradientTape() as tape:
        tape.watch(wt)
        out = hb.conv1d(hb.asarray(np.array([[[np.inf, 1.0, 2.0, 3.0]]])), wt[:, :, 0])
    found = tape.gradient(out, wt).numpy()
    assert np.isinf(found[0, 0, 0, 0])
    assert np.isfinite(found[0, 0, 0, 1:]).all()


@pytest.mark.parametrize("mode", ["eager", "traced"])
def test_errors_name_what_does_not_fit(mode):
    def refused(function, *shapes, match, error=ShapeError, **attrs):
        def call(*arrays):
            return function(*arrays, **attrs)

        with pytest.raises(error, match=match):
            (hb.compile(call) if mode == "traced" else call)(*map(np.ones, shapes))

    wrong_channels = r"conv2d: shapes \(1, 3, 8, 8\) and \(4, 2, 3, 3\) do not fit with groups=1"
    refused(hb.conv2d, (1, 3, 8, 8), (4, 2, 3, 3), match=wrong_channels)
    refused(hb.conv2d, (3, 8, 8), (4, 3, 3, 3), match=r"conv2d: .*\(3, 8, 8\).* 4 axes")
    refused(hb.conv1d, (1, 2, 3), (4, 2, 5), match=r"conv1d: a window of 5 .* axis 0 of size 3")
    refused(hb.conv1d, (1, 2, 3), (4, 2, 0), match="conv1d: a window of 0")
    refused(hb.conv2d, (1, 4, 8, 8), (3, 2, 3, 3), groups=2, match="take 2 x 2 and give 3")
    refused(hb.conv1d, (1, 2, 3), (2, 2, 1), stride=0, match="conv1d: stride is 0")
    refused(hb.conv1d, (1, 2, 3), (2, 2, 1), padding=(1, 2), match="for 2 axes, there are 1")
    refused(hb.conv1d, (1, 2, 3), (2, 2, 1), padding="full", error=ValueError, match="'full'")
    refused(hb.conv1d, (1, 2, 3), (2, 2, 1), groups=0, error=ValueError, match="groups is 0")
    wrong = r"conv_transpose1d: shapes \(1, 2, 3\) and \(3, 2, 1\) do not fit"
    refused(hb.conv_transpose1d, (1, 2, 3), (3, 2, 1), match=wrong)
    refused(hb.conv_transpose1d, (1, 2, 3), (2, 2, 1), output_padding=1, match="less than the str")
    refused(hb.conv_transpose1d, (1, 2, 3), (2, 2, 1), padding=2, match="spatial shape")
    refused(hb.convolve, (0,), (3,), match=r"convolve: shapes \(0,\) and \(3,\)")
    refused(hb.correlate, (3,), (3, 1), match="correlate: shapes")
    refused(hb.correlate, (3,), (3,), mode="half", error=ValueError, match="'half'")


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "m"), [(9, 3), (3, 9), (40, 12), (6000, 3), (300, 300)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int64", "uint8"])
def test_short_sequences_are_correlated_as_numpy_does(n, m, mode, dtype):
    rng = np.random.default_rng(0)
    a, v = (rng.uniform(-9, 9, size).astype("int8").astype(dtype) for size in (n, m))
    if dtype in ("float64", "complex128"):
        v[-1] = np.inf  # times what is not there is nothing
    for func in (np.convolve, np.correlate):
        with np.errstate(invalid="ignore"):
            expected = func(a, v, mode)
            for made in (lambda f: f, hb.compile):
                found = made(lambda a, v, func=func: func(a, v, mode))(hb.asarray(a), hb.asarray(v))
                np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "m"), [(3, 2), (2, 5), (3000, 40)])
@pytest.mark.parametrize("func", [np.convolve, np.correlate])
def test_a_vmap_of_sequences_leaves_out_what_lies_beyond_their_ends(func, n, m, mode):
    rng = np.random.default_rng(0)
    a, v = rng.normal(size=(3, n)), rng.normal(size=(3, m))
    a[1, 0], v[0, 0], v[1, -1] = -np.inf, np.inf, np.nan
    one = hb.asarray(v[0])
    with np.errstate(invalid="ignore"):
        apart = [func(x, y, mode) for x, y in zip(a, v, strict=True)]
        shared = [func(x, v[0], mode) for x in a]
        found = hb.vmap(lambda x, y: func(x, y, mode))(hb.asarray(a), hb.asarray(v))
        by_one = hb.vmap(lambda x: func(x, one, mode))(hb.asarray(a))
    np.testing.assert_allclose(found.numpy(), apart, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(by_one.numpy(), shared, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_gradients_of_short_sequences_are_those_of_long_ones(mode, monkeypatch):
    a, v = (hb.asarray(np.random.default_rng(n).normal(size=n)) for n in (12, 5))

    def both(a, v):
        return hb.grad(lambda a, v: (hb.convolve(a, v, mode) ** 2).sum(), argnums=(0, 1))(a, v)

    found = both(a, v)
    monkeypatch.setattr("hybrid.ops.conv.compute._SHORT", 0)
    for short, long in zip(found, both(a, v), strict=True):
        np.testing.assert_allclose(short.numpy(), long.numpy(), rtol=1e-12, atol=1e-12)
