"""Law: the scalar building blocks agree with NumPy for every type, at every awkward value."""

from __future__ import annotations

import ctypes
import itertools
import re
from typing import Any

import numpy as np
import pytest
from numba import cfunc, from_dtype, njit, types
from numba.core.errors import TypingError

from hybrid.kernels import formulas, intrinsics

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

INTEGERS = ["int8", "int32", "int64", "uint8", "uint64"]
FLOATS = ["float32", "float64"]

UNARY: dict[str, Any] = {
    "rint": np.rint,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "absolute": np.absolute,
    "sign": np.sign,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
}

BINARY: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "add_reassoc": np.add,
    "mul_reassoc": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "max_reassoc": np.maximum,
    "min_reassoc": np.minimum,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "left_shift": np.left_shift,
    "right_shift": np.right_shift,
    "and_": np.bitwise_and,
    "or_": np.bitwise_or,
    "xor": np.bitwise_xor,
    "copysign": np.copysign,
    "difference": np.subtract,
    "divide": np.divide,
}

INTEGER_ONLY = {"left_shift", "right_shift", "and_", "or_", "xor"}
FLOAT_ONLY = {"copysign", "difference", "divide"}
# Which of two zeros is the larger one, NumPy leaves open.
SIGN_OF_ZERO_OPEN = {"maximum", "minimum", "max_reassoc", "min_reassoc"}


def awkward(dtype: str) -> Array:
    if dtype in FLOATS:
        info = np.finfo(dtype)
        positive = [0.0, info.smallest_subnormal, info.tiny, 0.1, 0.5, 1.0, 1.5, 2.5, 7.0]
        positive += [1e10, info.max, np.inf, np.nan]
        return np.array([s * v for v in positive for s in (1, -1)], dtype=dtype)
    limits = np.iinfo(dtype)
    values = {limits.min, limits.min + 1, limits.max, 0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 32, 63, 64}
    if limits.min < 0:
        values |= {-1, -2, -3, -7, -8, -64}
    return np.array(sorted(values), dtype=dtype)


def fill(out: Array, name: str, *arrays: Array) -> None:
    """Compute a function of each element.

    The loop takes bare pointers: with arrays, and a way in from Python, it compiles half as fast.
    """
    function = getattr(intrinsics, name)
    if len(arrays) == 1:

        def loop(size: int, out: Any, a: Any) -> None:
            for i in range(size):
                out[i] = function(a[i])

    else:

        def loop(size: int, out: Any, a: Any, b: Any) -> None:  # type: ignore[misc]
            for i in range(size):
                out[i] = function(a[i], b[i])

    if out.dtype == bool:
        out = out.view("uint8")
    operands = (out, *arrays)
    pointers = [types.CPointer(from_dtype(array.dtype)) for array in operands]
    compiled = cfunc(types.void(types.intp, *pointers))(loop)
    call = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t, *[ctypes.c_void_p] * len(operands))
    call(compiled.address)(out.size, *(array.ctypes.data for array in operands))


def assert_same(got: Array, expected: Array, *, zero_signs: bool) -> None:
    np.testing.assert_array_equal(got, expected, strict=True)
    if zero_signs and expected.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("dtype", ["int32", "uint8", *FLOATS])
@pytest.mark.parametrize("name", sorted(UNARY))
def test_unary_functions_agree_with_numpy(name: str, dtype: str) -> None:
    values = awkward(dtype)
    expected = np.asarray(UNARY[name](values))
    if expected.dtype != bool:
        expected = expected.astype(dtype)
    got = np.empty_like(expected)
    fill(got, name, values)
    assert_same(got, expected, zero_signs=True)


def _binary_cases() -> list[tuple[str, str]]:
    cases = []
    for name, dtype in itertools.product(sorted(BINARY), INTEGERS + FLOATS):
        is_float = dtype in FLOATS
        if (is_float and name in INTEGER_ONLY) or (not is_float and name in FLOAT_ONLY):
            continue
        cases.append((name, dtype))
    return cases


@pytest.mark.parametrize(("name", "dtype"), _binary_cases())
def test_binary_functions_agree_with_numpy(name: str, dtype: str) -> None:
    values = awkward(dtype)
    a, b = (np.ascontiguousarray(part.ravel()) for part in np.meshgrid(values, values))
    got = np.empty_like(a)
    fill(got, name, a, b)
    assert_same(got, BINARY[name](a, b), zero_signs=name not in SIGN_OF_ZERO_OPEN)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "bool"])
def test_select_takes_either_side(dtype: str) -> None:
    select = intrinsics.select

    @njit
    def choose(condition: Any, a: Any, b: Any) -> Any:
        return select(condition, a, b)

    a, b = np.array([1, 0], dtype=dtype)
    assert choose(True, a, b) == a
    assert choose(False, a, b) == b


def test_not_negates_booleans() -> None:
    not_ = intrinsics.not_

    @njit
    def negate(x: Any) -> Any:
        return not_(x)

    assert negate(True) is False
    assert negate(False) is True


def test_operands_of_different_types_are_refused() -> None:
    maximum = intrinsics.maximum

    @njit
    def mixed(a: Any, b: Any) -> Any:
        return maximum(a, b)

    with pytest.raises(TypingError, match="operands of one type are expected"):
        mixed(np.float32(1), np.float64(2))


@pytest.mark.parametrize("dtype", FLOATS)
def test_fma_rounds_once(dtype: str) -> None:
    fma = intrinsics.fma

    @njit
    def fused(a: Any, b: Any, c: Any) -> Any:
        return fma(a, b, c)

    kind = np.dtype(dtype).type
    x = kind(1) + np.finfo(dtype).eps
    # x**2 = 1 + 2 eps + eps**2: a product rounded by itself loses the last term.
    assert fused(x, x, -(kind(1) + 2 * np.finfo(dtype).eps)) == np.finfo(dtype).eps ** 2


@pytest.mark.parametrize("dtype", FLOATS)
def test_bit_patterns_round_trip(dtype: str) -> None:
    float_bits, bits_float = intrinsics.float_bits, intrinsics.bits_float

    @njit
    def bits(x: Any) -> Any:
        return float_bits(x)

    @njit
    def number(n: Any) -> Any:
        return bits_float(n)

    integer = np.int32 if dtype == "float32" else np.int64
    for value in awkward(dtype)[:-2]:
        pattern = value.view(integer)
        assert bits(value) == pattern
        assert np.array(number(pattern), dtype=dtype).view(integer) == pattern


def test_polynomials_and_tables() -> None:
    cubic = formulas.polynomial("cubic", 1.0, -2.0, 0.5, 3.0)
    table = formulas.lookup("squares", np.arange(10.0) ** 2)

    @njit
    def evaluate(x: Any) -> Any:
        return cubic(x)

    @njit
    def read(i: Any) -> Any:
        return table(i)

    assert evaluate(2.0) == 1 - 4 + 2 + 24
    assert evaluate(np.float32(2)) == 23
    assert [read(i) for i in range(10)] == [float(i * i) for i in range(10)]


@pytest.mark.parametrize("name", ["add_reassoc", "mul_reassoc", "max_reassoc", "min_reassoc"])
@pytest.mark.parametrize("dtype", [*FLOATS, "int32"])
def test_reductions_are_vectorised(name: str, dtype: str) -> None:
    combine = getattr(intrinsics, name)

    @njit
    def reduce(a: Array) -> Any:
        total = a[0]
        for i in range(a.size):
            total = combine(total, a[i])
        return total

    reduce(np.ones(3, dtype=dtype))
    (assembly,) = reduce.inspect_asm().values()
    if "xmm" not in assembly:
        pytest.skip("not an x86 processor")
    kind = "p[sd]" if dtype in FLOATS else "d"
    operation = {"add": "add", "mul": "mul", "max": "max", "min": "min"}[name[:3]]
    prefix = "v" if dtype in FLOATS else "vp"
    arithmetic = rf"{prefix}{operation}\w*{kind}\s.*[yz]mm"
    assert re.search(arithmetic, assembly)
