"""Lists of Python numbers beside Tensors: not rounded more than the result is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

LIST = [0.1, 0.2, 0.3]

# What takes an array and a list in both namespaces; the array is float64.
BOTH: dict[str, Callable[..., Any]] = {
    "add": lambda xp, x: x + LIST,
    "subtract from": lambda xp, x: LIST - x,
    "matmul": lambda xp, x: xp.matmul(x, LIST),
    "reflected matmul": lambda xp, x: [LIST] @ x,
    "dot": lambda xp, x: xp.dot(x, LIST),
    "outer": lambda xp, x: xp.outer(x, LIST),
    "kron": lambda xp, x: xp.kron(x, LIST),
    "tensordot": lambda xp, x: xp.tensordot(x, LIST, 1),
    "einsum": lambda xp, x: xp.einsum("i,i", x, LIST),
    "solve": lambda xp, x: xp.linalg.solve(xp.diag(x + 1), LIST),
    "where": lambda xp, x: xp.where(x > 0.4, x, LIST),
    "maximum": lambda xp, x: xp.maximum(LIST, x),
    "clip": lambda xp, x: xp.clip(x, LIST, 0.7),
    "concatenate": lambda xp, x: xp.concatenate([x, LIST]),
    "stack": lambda xp, x: xp.stack([x, LIST]),
    "vstack": lambda xp, x: xp.vstack([x, LIST]),
    "hstack": lambda xp, x: xp.hstack([x, LIST]),
    "column_stack": lambda xp, x: xp.column_stack([x, LIST]),
    "append": lambda xp, x: xp.append(x, LIST),
    "append a number": lambda xp, x: xp.append(x, 0.1),
    "select": lambda xp, x: xp.select([x > 0.4], [LIST], x),
    "interp": lambda xp, x: xp.interp(LIST, x, [0.1, 0.7, 0.9]),
    "average": lambda xp, x: xp.average(x, weights=LIST),
    "trapezoid": lambda xp, x: xp.trapezoid(x, LIST),
    "gradient": lambda xp, x: xp.gradient(x, LIST),
    "convolve": lambda xp, x: xp.convolve(x, LIST),
    "polyval": lambda xp, x: xp.polyval(LIST, x),
    "isclose": lambda xp, x: xp.isclose(x, LIST, rtol=0, atol=1e-12),
    "equal": lambda xp, x: xp.asarray(LIST, dtype=x.dtype) == LIST,
    "digitize": lambda xp, x: xp.digitize(xp.asarray(LIST, dtype=x.dtype), LIST),
    "histogram": lambda xp, x: xp.histogram(x, LIST)[1],
}


@pytest.fixture(name="x")
def three_numbers() -> Any:
    return np.linspace(0, 1, 3)


@pytest.mark.parametrize("name", BOTH)
def test_beside_float64_a_list_is_float64(name: str, x: Any) -> None:
    function = BOTH[name]
    expected = function(np, x)
    for found in (function(hb, hb.asarray(x)), hb.compile(lambda x: function(hb, x))(x)):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_numbers_that_are_written_to_float64_are_not_rounded_before(x: Any) -> None:
    def write(x: Any) -> Any:
        y = x.copy()
        y[:] = LIST
        y += LIST
        y[[0, 2]] = [0.1, 0.3]
        return y

    expected = write(x)
    for found in (write(hb.asarray(x)), hb.compile(write)(x)):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(hb.asarray(x).at[:].set(LIST), LIST)


def test_beside_float32_a_list_is_float32_in_operators_and_hybrids_functions() -> None:
    x = hb.ones(3)
    for found in (
        x + LIST,
        hb.add(x, LIST),
        hb.dot(x, LIST),
        hb.append(x, 0.1),
        hb.where(x > 0, x, LIST),
    ):
        assert found.dtype == hb.float32


# --- functions of NumPy ---------------------------------------------------------------------------

NUMPYS: dict[str, Callable[..., Any]] = {
    "where of numbers": lambda x: np.where(x > 0.4, 1.0, 0.0),
    "where of a list and a number": lambda x: np.where(x > 0.4, LIST, 1),
    "select of numbers": lambda x: np.select([x > 0.4], [0.1], 0.3),
    "choose": lambda x: np.choose((x > 0.4) * 1, [0.1, 0.3]),
    "maximum of booleans": lambda x: np.maximum(x > 0.4, LIST),
    "ldexp": lambda x: np.ldexp(LIST, (x > 0.4) * 1),
    "append": lambda x: np.append(x, 0.1),
    "insert": lambda x: np.insert(x, 0, 0.1),
    "extract": lambda x: np.extract(x > 0.4, LIST),
    "piecewise": lambda x: np.piecewise(x, [x > 0.4], [0.1, 0.7]),
    "cross": lambda x: np.cross(x, LIST),
    "einsum": lambda x: np.einsum("i,j", x > 0.4, LIST),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, LIST)[1],
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NUMPYS)
def test_numpys_functions_have_numpys_dtypes(name: str, dtype: str, x: Any) -> None:
    function, x = NUMPYS[name], x.astype(dtype)
    expected = function(x)
    for found in (function(hb.asarray(x)), hb.compile(function)(x)):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-13 if dtype == "float64" else 1e-6)


def test_an_initial_condition_by_where_is_float64_as_in_numpy(x: Any) -> None:
    def advect(x: Any, speed: float) -> Any:
        u = np.where((x > 0.2) & (x < 0.7), 1.0, speed)
        for _ in range(3):
            u[1:] -= 0.1 * (u[1:] - u[:-1])
        return u

    expected = advect(x, 0.3)
    np.testing.assert_allclose(hb.compile(advect)(x, 0.3), expected, rtol=1e-14)


def test_numbers_that_are_arguments_are_float64_to_numpys_functions(x: Any) -> None:
    def f(x: Any, low: float, high: float) -> Any:
        return np.where(x > 0.4, low, high) + np.append(x, high)[1:]

    expected = f(x, 0.1, 0.7)
    for given in (x, x.astype(np.float32)):
        found = hb.compile(f)(given, 0.1, 0.7)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-14)
