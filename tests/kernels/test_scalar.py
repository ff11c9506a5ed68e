"""Law: a function called with Scalars becomes the code that computes what its Python text says."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from numba import njit

from hybrid.kernels import vectormath
from hybrid.kernels.intrinsics import fma, select
from hybrid.kernels.scalar import Scalar, straight_line, types

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "lt": lambda a, b: select(a < b, a, b),
    "le": lambda a, b: select(a <= b, a, b),
    "gt": lambda a, b: select(a > b, a, b),
    "ge": lambda a, b: select(a >= b, a, b),
    "eq": lambda a, b: select(a == b, a + b, a - b),
    "ne": lambda a, b: select(a != b, a + b, a - b),
    "and": lambda a, b: select((a > 0) & (b > 0), a, b),
    "or": lambda a, b: select((a > 0) | (b > 0), a, b),
    "booleans": lambda a, b: select((a > 0) != (b > 0), a, -b),
}
VALUES = np.array([-2.5, -0.0, 0.0, 1.0, 3.0, np.inf, np.nan])


def _scalar(kind: Any) -> Scalar:
    """A parameter of a function that is never finished."""
    shape = ir.FunctionType(
        ir.VoidType(), [ir.DoubleType() if kind == "float64" else ir.IntType(32)]
    )
    function = ir.Function(ir.Module(), shape, "f")
    builder = ir.IRBuilder(function.append_basic_block())
    return Scalar(builder, getattr(types, kind), function.args[0])


def _pairs() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    a, b = np.meshgrid(VALUES, VALUES)
    return a.ravel(), b.ravel()


def _compiled(function: Any) -> Any:
    def kernel(a: Any, b: Any, out: Any) -> None:
        for i in range(out.size):
            out[i] = function(a[i], b[i])

    return njit(error_model="numpy")(kernel)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_operators_are_numpys(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (values.astype(dtype) for values in _pairs())
    out = np.empty_like(a)
    _compiled(straight_line(lambda x, y: OPERATORS[name](x, y), f"operator_{name}", dtype))(
        a, b, out
    )
    monkeypatch.setitem(globals(), "select", np.where)
    np.testing.assert_array_equal(out, OPERATORS[name](a, b))


def test_numbers_on_the_left_keep_the_order_of_operands() -> None:
    one = np.float32(1)
    function = straight_line(lambda x, y: (one - x) / (one + y), "left", "float32")
    a, b = np.float32([3, 5]), np.float32([1, 7])
    out = np.empty_like(a)
    _compiled(function)(a, b, out)
    np.testing.assert_array_equal(out, (1 - a) / (1 + b))


def test_operands_of_two_types_are_refused() -> None:
    with pytest.raises(TypeError, match="float64, float32"):
        _scalar("float64") + np.float32(1)
    with pytest.raises(TypeError, match="number or a boolean"):
        _scalar("float64") + "1"


def test_integer_operators_are_refused_as_numbas_would_widen_them() -> None:
    with pytest.raises(TypeError, match="add of int32"):
        _scalar("int32") + np.int32(1)


def test_a_branch_on_a_scalar_is_refused() -> None:
    with pytest.raises(TypeError, match="select"):
        bool(_scalar("float64") > 0)


def test_an_intrinsic_wants_code_under_construction() -> None:
    with pytest.raises(TypeError, match="Scalar"):
        fma(1.0, 2.0, 3.0)


def test_a_module_holds_a_function_once() -> None:
    exp = vectormath.function("exp", "float64")

    @njit(error_model="numpy")
    def twice(x: Any) -> Any:
        return exp(x) + exp(x + 1.0)

    np.testing.assert_allclose(twice(0.0), 1 + np.e, rtol=1e-15)
    (text,) = twice.inspect_llvm().values()
    # Inlined at both places, it is gone.
    assert "hybrid_exp_float64" not in text
