"""What the inner loop of matmul computes in native code is what NumPy computes, bit for bit."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.kernels.gufunc import inner_loop, matmul_numbers
from tests.kernels.reference import layout_of

LOOP = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)


def product(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    out = np.full_like(np.matmul(a, b), 7, order="C")
    numbers = matmul_numbers(*map(layout_of, (a, b, out)), a.itemsize)
    found = inner_loop(np.matmul, a.dtype)
    if numbers is None:
        return None
    assert found is not None
    function, data = found
    dimensions, strides = (np.array(n, np.intp) for n in numbers)
    pointers = (ctypes.c_void_p * 3)(*(x.ctypes.data for x in (a, b, out)))
    LOOP(function)(
        ctypes.addressof(pointers), dimensions.ctypes.data, strides.ctypes.data, data or None
    )
    return out


SIZES = st.integers(1, 20) | st.just(1)


@st.composite
def arrays(draw: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    dtype = draw(st.sampled_from(["f4", "f8", "i4", "c8", "u1"]))
    rows, inner, columns = draw(SIZES), draw(SIZES), draw(SIZES)
    batch = draw(st.sampled_from([((), ()), ((), (3,)), ((3,), ()), ((3,), (3,)), ((1,), (3,))]))
    left = (*batch[0], rows, inner) if draw(st.booleans()) or batch[0] else (inner,)
    right = (*batch[1], inner, columns) if draw(st.booleans()) or batch[1] else (inner,)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return draw(laid(left, dtype, rng)), draw(laid(right, dtype, rng))


@st.composite
def laid(draw: Any, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> Any:
    """Draw values for an array that lies in C order, the other way round, or in part of another."""
    way = draw(st.sampled_from(["C", "F", "part", "back"]))
    values = (rng.standard_normal(shape) * 9).astype(dtype)
    if way == "part":
        whole = np.zeros(tuple(2 * n + 1 for n in shape), dtype)
        part = whole[tuple(slice(1, None, 2) for _ in shape)]
        part[...] = values
        return part
    return values[..., ::-1] if way == "back" else np.asarray(values, order=way)


@given(arrays())
def test_the_loop_gives_the_bits_of_numpy(pair: Any) -> None:
    a, b = pair
    got, expected = product(a, b), np.matmul(a, b)
    assert got is not None
    assert got.tobytes() == expected.tobytes()


def test_a_product_of_a_matrix_with_itself() -> None:
    a = np.random.default_rng(0).standard_normal((9, 5))
    for one, other in ((a, a.T), (a.T, a)):
        got = product(one, other)
        assert got is not None
        assert got.tobytes() == np.matmul(one, other).tobytes()


def test_two_axes_of_batches_are_left_to_numpy() -> None:
    assert product(np.ones((2, 3, 4, 5)), np.ones((5, 6))) is None


@pytest.mark.parametrize("dtype", ["O", ">f8", "m8[s]"])
def test_dtypes_whose_loops_may_call_python_have_none(dtype: str) -> None:
    assert inner_loop(np.matmul, np.dtype(dtype)) is None
