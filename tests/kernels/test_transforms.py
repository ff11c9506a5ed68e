"""Transforms line by line give the bits of SciPy, whatever the strides, into given memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.kernels import parallel, transforms

Array = np.ndarray[Any, np.dtype[Any]]
NORMS = ("backward", "ortho", "forward")


def same(found: Array, expected: Array) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@st.composite
def signals(draw: st.DrawFn) -> Array:
    """Real numbers that lie in any order, with gaps, backwards."""
    shape = tuple(draw(st.lists(st.integers(2, 9), min_size=1, max_size=3)))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    steps = draw(st.lists(st.sampled_from([1, 1, 2, -1]), min_size=len(shape), max_size=3))
    size = tuple(n * abs(step) for n, step in zip(shape, steps, strict=False))
    base = np.random.default_rng(0).standard_normal(size).astype(dtype)
    view = base[tuple(slice(None, None, step) for step in steps[: len(shape)])]
    return np.transpose(view, draw(st.permutations(range(view.ndim))))


@given(signals(), st.sampled_from(NORMS), st.data())
def test_one_axis(x: Array, norm: str, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, x.ndim - 1))
    half = scipy.fft.rfft(x, axis=axis, norm=norm)
    out = np.full_like(half, np.nan)
    if transforms.real_into(x, out, axis, norm):
        same(out, half)
    back = scipy.fft.irfft(half, x.shape[axis], axis=axis, norm=norm)
    out = np.full_like(back, np.nan)
    if transforms.half_into(half, out, axis, norm):
        same(out, back)


@given(signals(), st.sampled_from(NORMS), st.booleans(), st.data())
def test_several_axes(x: Array, norm: str, inverse: bool, data: st.DataObject) -> None:
    z = (x + 1j * x[..., ::-1]).astype(np.result_type(x, np.complex64))
    axes = tuple(data.draw(st.permutations(range(x.ndim))))[: data.draw(st.integers(1, x.ndim))]
    out = np.full(z.shape, np.nan, z.dtype)
    if transforms.complex_into(z, out, axes, inverse, norm):
        whole = scipy.fft.ifftn if inverse else scipy.fft.fftn
        same(out, whole(z, axes=axes, norm=norm))


def test_arrays_in_order_are_not_left_to_scipy() -> None:
    x = np.random.default_rng(0).standard_normal((6, 7, 8))
    for axis in range(3):
        half = scipy.fft.rfft(x, axis=axis)
        assert transforms.real_into(x, np.empty_like(half), axis, "backward")
        assert transforms.half_into(half, np.empty_like(x), axis, "backward")
    z = x + 0j
    assert transforms.complex_into(z, np.empty_like(z), (0, 1, 2), False, "ortho")


@pytest.mark.parametrize("run", [lambda f: f, hb.compile])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_filters_of_images_and_signals(run: Any, dtype: str) -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.random((160, 129), dtype), rng.random((160, 65), dtype)
    blurred = run(lambda x, m: hb.fft.irfft2(hb.fft.rfft2(x) * m, x.shape))(image, mask)
    expected = scipy.fft.irfft2(scipy.fft.rfft2(image) * mask, image.shape)
    np.testing.assert_allclose(blurred.numpy(), expected, rtol=0, atol=1e-5)
    views = run(lambda x: hb.fft.ifftn(hb.fft.fftn(x.T[::2]), norm="forward"))(image)
    expected = scipy.fft.ifftn(scipy.fft.fftn(image.T[::2]), norm="forward")
    size = image[:, ::2].size
    np.testing.assert_allclose(views.numpy() / size, expected / size, rtol=0, atol=1e-5)


def test_bits_do_not_depend_on_threads() -> None:
    x = np.random.default_rng(0).random((300, 200))
    before, found = parallel.get_num_threads(), []
    for threads in {1, parallel.available()}:
        parallel.set_num_threads(threads)
        found.append(hb.fft.fft(hb.fft.rfft(x), axis=0).numpy())
    parallel.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[-1])
    same(found[0], scipy.fft.fft(scipy.fft.rfft(x), axis=0))
