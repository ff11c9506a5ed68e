"""Kernels that transform a long line in two steps give the bits of SciPy, which passes over all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.fft

from hybrid.kernels import long_lines, parallel, transforms
from tests.kernels.test_lines import DTYPES, drawn, same

Array = np.ndarray[Any, np.dtype[Any]]
# Every radix among those of rows and of columns; rows that are even and odd; a last vector of
# columns that is whole and one that begins earlier; rows and columns of which vectors are not full.
SIZES = (4096, 8192, 3 * 2**11, 2 * 3**7, 3**8, 5**6, 2 * 15**3, 4500, 7776, 2**4 * 5**4)


def kernel(kind: str, dtype: str, size: int) -> long_lines.LongKernel | None:
    steps = (0, 2 if kind != "forward" else 1, 0, 2 if kind != "backward" else 1)
    return long_lines.long_kernel(kind, dtype, size, 1, steps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_bits_of_real_lines_are_those_of_scipy(size: int, dtype: str) -> None:
    assert kernel("forward", dtype, size)
    assert kernel("backward", dtype, size)
    x = drawn((2, size), dtype)  # fewer than lanes: these do not go side by side
    half = scipy.fft.rfft(x)
    for norm in ("backward", "ortho"):
        out = np.full_like(half, np.nan)
        assert transforms.real_into(x, out, 1, norm)
        same(out, scipy.fft.rfft(x, norm=norm))
        back = np.full_like(x, np.nan)
        assert transforms.half_into(half, back, 1, norm)
        same(back, scipy.fft.irfft(half, size, norm=norm))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_bits_of_complex_lines_are_those_of_scipy(size: int, dtype: str) -> None:
    assert kernel("complex", dtype, size)
    x = drawn((2, size), dtype)
    z = x + 1j * x[::-1]
    for inverse, whole in ((False, scipy.fft.fft), (True, scipy.fft.ifft)):
        out = np.full_like(z, np.nan)
        assert transforms.complex_into(z, out, (1,), inverse, "ortho")
        same(out, whole(z, norm="ortho"))


@pytest.mark.parametrize("size", [1 << 14, 3 * 2**14, 3**10, 1 << 18])
def test_bits_do_not_depend_on_threads(size: int) -> None:
    x = drawn((size,), "float64")
    half = scipy.fft.rfft(x)
    before = parallel.get_num_threads()
    for threads in {1, before}:
        parallel.set_num_threads(threads)
        out, back = np.full_like(half, np.nan), np.full_like(x, np.nan)
        try:
            assert transforms.real_into(x, out, 0, "backward")
            assert transforms.half_into(half, back, 0, "backward")
        finally:
            parallel.set_num_threads(before)
        same(out, half)
        same(back, scipy.fft.irfft(half, size))


def test_a_second_axis_is_done_where_the_result_lies() -> None:
    x = drawn((3, 4096), "float64")
    z = x + 1j * x[::-1]
    out = np.empty_like(z)
    assert transforms.complex_into(z, out, (0, 1), True, "backward")
    same(out, scipy.fft.ifft(scipy.fft.ifft(z, axis=0), axis=1))


def test_what_real_numbers_have_no_use_for_is_not_read() -> None:
    half = scipy.fft.rfft(drawn((4096,), "float64"))
    half[[0, -1]] = half[[0, -1]].real + [3j, np.nan * 1j]
    out = np.empty(4096)
    assert transforms.half_into(half, out, 0, "backward")
    same(out, scipy.fft.irfft(half))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e300, 5e-324])
@pytest.mark.parametrize("place", [0, 1, 2048, 4095])
def test_numbers_at_the_edges_are_those_of_scipy(value: float, place: int) -> None:
    x = drawn((4096,), "float64")
    x[place] = value
    half = np.empty(2049, np.complex128)
    assert transforms.real_into(x, half, 0, "backward")
    np.testing.assert_array_equal(half, scipy.fft.rfft(x))
    z = x + 0j
    out = np.empty_like(z)
    assert transforms.complex_into(z, out, (0,), False, "backward")
    np.testing.assert_array_equal(out, scipy.fft.fft(z))


def test_memory_around_the_result_stays_as_it_is() -> None:
    x = drawn((3, 4500), "float64")
    whole = np.full((5, 2300), 7.0 + 7.0j)
    assert transforms.real_into(x, whole[1:-1, 4:2255], 1, "backward")
    same(np.ascontiguousarray(whole[1:-1, 4:2255]), scipy.fft.rfft(x))
    whole[1:-1, 4:2255] = 7.0 + 7.0j
    assert (whole == 7.0 + 7.0j).all()


def test_lines_with_gaps_and_large_factors_are_left_to_numpy() -> None:
    assert long_lines.long_kernel("complex", "float64", 4096, 1, (0, 4, 0, 2)) is None
    assert kernel("forward", "float64", 7 * 4096) is None
    assert kernel("forward", "float64", 1 << 24) is None
    x = drawn((2 * 4096,), "float64")[::-2]
    out = np.empty(2049, np.complex128)
    assert transforms.real_into(x, out, 0, "backward")
    same(out, scipy.fft.rfft(x))
