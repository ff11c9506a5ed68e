"""Kernels that transform several lines at once give the bits of SciPy, which does one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.fft

from hybrid.kernels import lines, transforms
from hybrid.kernels.limits import lanes_of

Array = np.ndarray[Any, np.dtype[Any]]
DTYPES = ("float32", "float64")
# Every radix, alone and beside others, in front and behind; odd sizes end otherwise.
SIZES = (8, 9, 15, 16, 24, 25, 27, 32, 45, 60, 64, 96, 120, 128, 250, 256, 512, 720)


def drawn(shape: tuple[int, ...], dtype: str) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def same(found: Array, expected: Array) -> None:
    assert found.dtype == expected.dtype
    bits = f"u{found.real.dtype.itemsize}"
    zero = found.real.dtype.type(0)  # both zeros are one number
    np.testing.assert_array_equal((found + zero).view(bits), (expected + zero).view(bits))


def laid_out(shape: tuple[int, int], layout: str, dtype: str) -> Array:
    """Lines along axis 1 that lie as rows, as columns, or with gaps and backwards."""
    rows, columns = shape
    if layout == "rows":
        return drawn(shape, dtype)
    if layout == "columns":
        return drawn((columns, rows), dtype).T
    return drawn((2 * rows, 3 * columns), dtype)[::-2, ::3]


@pytest.mark.parametrize("layout", ["rows", "columns", "apart"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_bits_are_those_of_one_line_at_a_time(size: int, dtype: str, layout: str) -> None:
    count = 2 * lanes_of(dtype) + 3  # the last vector has lanes without a line
    x = laid_out((count, size), layout, dtype)
    half = scipy.fft.rfft(x)
    for norm in ("backward", "ortho"):
        out = np.full((count, size // 2 + 1), np.nan, half.dtype)
        assert transforms.real_into(x, out, 1, norm)
        same(out, scipy.fft.rfft(x, norm=norm))
        back = np.full((size, count), np.nan, dtype).T
        assert transforms.half_into(half, back, 1, norm)
        same(np.ascontiguousarray(back), scipy.fft.irfft(half, size, norm=norm))
        z = laid_out((count, 2 * size), layout, dtype)
        z = np.ascontiguousarray(z).view(half.dtype) if layout == "rows" else x + 1j * x[::-1]
        for inverse, whole in ((False, scipy.fft.fft), (True, scipy.fft.ifft)):
            out = np.full((count, size), np.nan, half.dtype)
            assert transforms.complex_into(z, out, (1,), inverse, norm)
            same(out, whole(z, norm=norm))


@pytest.mark.parametrize("dtype", DTYPES)
def test_several_axes_are_done_where_the_result_lies(dtype: str) -> None:
    x = drawn((2 * lanes_of(dtype), 12, 40), dtype)
    z = x + 1j * x[::-1]
    out = np.empty_like(z)
    assert transforms.complex_into(z, out, (0, 1, 2), False, "backward")
    expected = z
    for axis in range(3):
        expected = scipy.fft.fft(expected, axis=axis)
    same(out, expected)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e300, 5e-324])
def test_numbers_at_the_edges_are_those_of_scipy(value: float) -> None:
    x = drawn((16, 64), "float64")
    x[3, 5] = value
    out = np.empty((16, 33), np.complex128)
    assert transforms.real_into(x, out, 1, "backward")
    np.testing.assert_array_equal(out, scipy.fft.rfft(x))


def test_memory_around_the_result_stays_as_it_is() -> None:
    x = drawn((11, 60), "float64")
    whole = np.full((13, 40), 7.0 + 7.0j)
    assert transforms.real_into(x, whole[1:-1, 4:35], 1, "backward")
    same(np.ascontiguousarray(whole[1:-1, 4:35]), scipy.fft.rfft(x))
    rest = whole.copy()
    rest[1:-1, 4:35] = 7.0 + 7.0j
    assert (rest == 7.0 + 7.0j).all()


def test_what_has_other_factors_is_left_to_numpy() -> None:
    assert lines.factors(7 * 64, real=False) is None
    assert lines.line_kernel("complex", "float64", 7 * 64, 64, (1, 1, 1, 1)) is None
    x = drawn((16, 7 * 8), "float64")
    out = np.empty((16, 29), np.complex128)
    assert transforms.real_into(x, out, 1, "backward")
    same(out, scipy.fft.rfft(x))


def test_single_lines_and_the_longest_are_left_to_numpy() -> None:
    steps = (1, 1, 1, 1)
    assert lines.line_kernel("forward", "float64", 1 << 18, 64, steps) is None
    assert lines.line_kernel("forward", "float64", 512, 1, steps) is None
    assert lines.line_kernel("forward", "float64", 512, 64, steps) is not None


@pytest.mark.parametrize("size", [8, 45, 512, 8192])
def test_roots_of_unity_are_right_to_the_last_place_but_one(size: int) -> None:
    turn = 2 * np.pi.as_integer_ratio()[0] / np.longdouble(np.pi.as_integer_ratio()[1])
    turn += 2 * np.longdouble("1.2246467991473531772e-16")  # what is missing to pi in float64
    angles = turn * np.arange(size) / size
    for found, exact in zip(lines.roots_of_unity(size), (np.cos, np.sin), strict=True):
        assert np.abs(found - exact(angles)).max() < 3e-16
