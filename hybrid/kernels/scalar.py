"""Scalars of code under construction: straight-line functions are written by calling them.

An ``intrinsic`` made here can be used in two ways. Numba finds it in the source of a kernel. And
Python can call it with ``Scalar`` arguments: then it appends its instructions to the function that
is being built, at once. A function of intrinsics and operators without a branch, such as those of
the vector math, is so turned into code by one call of it. Numba would have to take its bytecode
apart, infer types and lower it, anew for each kernel: of the 0.25 s that a kernel with one float64
``sin`` took to compile, that was 0.2.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types as _types
from numba.core.extending import _Intrinsic
from numba.core.registry import cpu_target

types: Any = _types

_NUMBERS = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64"),
)
_CONSTANTS: dict[type, Any] = {
    **{getattr(np, name): getattr(types, name) for name in _NUMBERS},
    np.complex64: types.complex64,
    np.complex128: types.complex128,
    np.bool_: types.boolean,
    bool: types.boolean,
    float: types.float64,
    int: types.int64,
}


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def for_gpu(builder: Any) -> bool:
    """Whether the code is for an NVIDIA GPU, whose compiler knows less of LLVM's language."""
    return "nvptx" in builder.module.triple


class Scalar:
    """A number or a boolean of the code that a builder writes.

    Operands of an operator have one type. Python's ints take the type of the other operand.
    """

    __slots__ = ("builder", "type", "value")
    # NumPy's scalars leave operators to this class.
    __array_ufunc__ = None

    def __init__(self, builder: Any, type: Any, value: Any) -> None:
        self.builder = builder
        self.type = type
        self.value = value

    def _operand(self, other: Any) -> Any:
        if isinstance(other, int) and not isinstance(other, bool):
            return self.value.type(other)
        found = scalar(self.builder, other)
        if found.type != self.type:
            raise TypeError(f"operands of one type are expected, not {self.type}, {found.type}")
        return found.value

    def _arithmetic(self, floating: str, integer: str, other: Any, swapped: bool = False) -> Scalar:
        pair = (self.value, self._operand(other))
        if isinstance(self.type, types.Float):
            emit = getattr(self.builder, floating)
        elif self.type == types.int64:
            emit = getattr(self.builder, integer)
        else:
            # Numba gives int64 for narrower ones.
            raise TypeError(f"{integer} of {self.type}: call an intrinsic, which keeps the width")
        return Scalar(self.builder, self.type, emit(*(pair[::-1] if swapped else pair)))

    def __add__(self, other: Any) -> Scalar:
        return self._arithmetic("fadd", "add", other)

    def __radd__(self, other: Any) -> Scalar:
        return self._arithmetic("fadd", "add", other, swapped=True)

    def __sub__(self, other: Any) -> Scalar:
        return self._arithmetic("fsub", "sub", other)

    def __rsub__(self, other: Any) -> Scalar:
        return self._arithmetic("fsub", "sub", other, swapped=True)

    def __mul__(self, other: Any) -> Scalar:
        return self._arithmetic("fmul", "mul", other)

    def __rmul__(self, other: Any) -> Scalar:
        return self._arithmetic("fmul", "mul", other, swapped=True)

    def __truediv__(self, other: Any) -> Scalar:
        return self._division(other)

    def __rtruediv__(self, other: Any) -> Scalar:
        return self._division(other, swapped=True)

    def _division(self, other: Any, swapped: bool = False) -> Scalar:
        if not isinstance(self.type, types.Float):
            raise TypeError(f"division of {self.type}")
        return self._arithmetic("fdiv", "", other, swapped)

    def _floored(self, other: Any) -> tuple[Any, Any]:
        """Floored quotient and remainder of int64, as Python has them; by zero, anything."""
        if self.type != types.int64:
            raise TypeError(f"floored division of {self.type}: call an intrinsic")
        builder, by = self.builder, self._operand(other)
        quotient, rest = builder.sdiv(self.value, by), builder.srem(self.value, by)
        zero = by.type(0)
        differ = builder.icmp_signed("<", builder.xor(rest, by), zero)
        low = builder.and_(builder.icmp_signed("!=", rest, zero), differ)
        quotient = builder.sub(quotient, builder.zext(low, by.type))
        return quotient, builder.add(rest, builder.select(low, by, zero))

    def __floordiv__(self, other: Any) -> Scalar:
        return Scalar(self.builder, self.type, self._floored(other)[0])

    def __mod__(self, other: Any) -> Scalar:
        return Scalar(self.builder, self.type, self._floored(other)[1])

    def __neg__(self) -> Scalar:
        if not isinstance(self.type, types.Float):
            return 0 - self
        if for_gpu(self.builder):
            negative = self.builder.fsub(self.value.type(-0.0), self.value)
        else:
            negative = self.builder.fneg(self.value)
        return Scalar(self.builder, self.type, negative)

    def _compare(self, symbol: str, other: Any) -> Scalar:
        if isinstance(other, Scalar) and {self.type, other.type} == {types.int64, types.uint64}:
            if self.type == types.uint64:
                return other._compare_unsigned(_MIRRORED[symbol], self)
            return self._compare_unsigned(symbol, other)
        builder, pair = self.builder, (self.value, self._operand(other))
        if isinstance(self.type, types.Float):
            ordered = symbol != "!="
            compare = builder.fcmp_ordered if ordered else builder.fcmp_unordered
        else:
            signed = isinstance(self.type, types.Integer) and self.type.signed
            compare = builder.icmp_signed if signed else builder.icmp_unsigned
        return Scalar(builder, types.boolean, compare(symbol, *pair))

    def _compare_unsigned(self, symbol: str, other: Scalar) -> Scalar:
        """Compare an int64 with a uint64 by value, as NumPy does: no type holds both."""
        builder = self.builder
        negative = builder.icmp_signed("<", self.value, self.value.type(0))
        found = builder.icmp_unsigned(symbol, self.value, other.value)
        if symbol in ("<", "<=", "!="):
            return Scalar(builder, types.boolean, builder.or_(negative, found))
        return Scalar(builder, types.boolean, builder.and_(builder.not_(negative), found))

    def __lt__(self, other: Any) -> Scalar:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Scalar:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Scalar:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Scalar:
        return self._compare(">=", other)

    def __eq__(self, other: object) -> Scalar:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: object) -> Scalar:  # type: ignore[override]
        return self._compare("!=", other)

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Scalar) -> Scalar:
        return Scalar(self.builder, self.type, self.builder.and_(self.value, self._operand(other)))

    def __or__(self, other: Scalar) -> Scalar:
        return Scalar(self.builder, self.type, self.builder.or_(self.value, self._operand(other)))

    def __bool__(self) -> bool:
        raise TypeError("the value is known when the code runs only; use select")


def scalar(builder: Any, value: Any) -> Scalar:
    """A Scalar as it is, a Python or NumPy number as a constant."""
    if isinstance(value, Scalar):
        return value
    kind = _CONSTANTS.get(type(value))
    if kind is None:
        raise TypeError(f"a number or a boolean is expected, not {type(value).__name__}")
    python = value.item() if isinstance(value, np.generic) else value
    llvm_type = cpu_target.target_context.get_value_type(kind)
    if isinstance(python, complex):
        python = [part(x) for part, x in zip(llvm_type, (python.real, python.imag), strict=True)]
    return Scalar(builder, kind, llvm_type(python))


class ScalarIntrinsic(_Intrinsic):  # type: ignore[misc]
    """An intrinsic of numba's that Python can call as well."""

    def __call__(self, *args: Any) -> Scalar:  # type: ignore[override]
        builder = next((arg.builder for arg in args if isinstance(arg, Scalar)), None)
        if builder is None:
            raise TypeError(f"{self._name} is for code under construction: it wants a Scalar")
        scalars = [scalar(builder, arg) for arg in args]
        context = cpu_target.target_context
        signature, codegen = self._defn(None, *(value.type for value in scalars))
        values = [value.value for value in scalars]
        return Scalar(builder, signature.return_type, codegen(context, builder, signature, values))


def intrinsic(define: Callable[..., Any]) -> Any:
    """``numba.extending.intrinsic``, which Python may also call with Scalars."""
    made = ScalarIntrinsic(define.__name__, define)
    made._register()
    return made


def straight_line(function: Callable[..., Scalar], name: str, dtype: str) -> Any:
    """An intrinsic that calls `function`, of one or two scalars of `dtype`, result the same.

    Each module that uses it holds its code once, to be inlined everywhere: a function that LLVM
    declines to inline makes the whole loop around it scalar.
    """
    kind = getattr(types, dtype)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        llvm_type = context.get_value_type(kind)
        symbol = f"hybrid_{name}_{dtype}"
        found = builder.module.globals.get(symbol)
        if found is None:
            shape = ir.FunctionType(llvm_type, [llvm_type] * len(values))
            found = ir.Function(builder.module, shape, symbol)
            found.linkage = "linkonce_odr"
            found.attributes.add("alwaysinline")
            inner = ir.IRBuilder(found.append_basic_block())
            inner.ret(function(*(Scalar(inner, kind, arg) for arg in found.args)).value)
        return builder.call(found, values)

    def typed(*given: Any) -> Any:
        return (kind(*given), codegen) if set(given) == {kind} else None

    def unary(typingctx: Any, x: Any) -> Any:
        return typed(x)

    def binary(typingctx: Any, x: Any, y: Any) -> Any:
        return typed(x, y)

    define = unary if len(inspect.signature(function).parameters) == 1 else binary
    define.__name__ = define.__qualname__ = f"{name}_{dtype}"
    return intrinsic(define)
