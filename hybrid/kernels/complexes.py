"""Complex arithmetic of kernels: pairs of floats, computed as NumPy computes them.

A complex scalar is LLVM's pair of floating-point numbers. The formulas are those of NumPy's loops,
fused multiply-adds included, so that products and quotients agree with eager code bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types as _types

from hybrid.kernels import intrinsics, vectormath
from hybrid.kernels.scalar import Scalar, intrinsic

types: Any = _types


class Pair(NamedTuple):
    """A complex number of code under construction."""

    real: Scalar
    imag: Scalar


def part_type(kind: Any) -> Any:
    """The floating-point type of the parts of a complex type."""
    return kind.underlying_float


def packed(builder: Any, real: Any, imag: Any) -> Any:
    """The pair of two LLVM values."""
    pair = ir.LiteralStructType([real.type, imag.type])(ir.Undefined)
    return builder.insert_value(builder.insert_value(pair, real, 0), imag, 1)


def _pair(builder: Any, kind: Any, value: Any) -> Pair:
    part = part_type(kind)
    return Pair(*(Scalar(builder, part, builder.extract_value(value, i)) for i in (0, 1)))


def _emitted(builder: Any, result: Pair | Scalar) -> Any:
    if isinstance(result, Pair):
        return packed(builder, result.real.value, result.imag.value)
    return result.value


def _result_type(name: str, kind: Any) -> Any:
    if name in _REAL:
        return part_type(kind)
    return types.boolean if name in _CONDITIONS else kind


def _of(name: str, formula: Callable[..., Pair | Scalar], arguments: int) -> Any:
    """An intrinsic for complex numbers of one type, from a formula on pairs."""

    def typed(*given: Any) -> Any:
        if len(set(given)) != 1 or not isinstance(given[0], types.Complex):
            return None
        kind = given[0]

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return _emitted(builder, formula(*(_pair(builder, kind, value) for value in values)))

        return _result_type(name, kind)(*given), codegen

    def unary(typingctx: Any, z: Any) -> Any:
        return typed(z)

    def binary(typingctx: Any, a: Any, b: Any) -> Any:
        return typed(a, b)

    define = unary if arguments == 1 else binary
    define.__name__ = define.__qualname__ = f"complex_{name}"
    return intrinsic(define)


# --- formulas -------------------------------------------------------------------------------------


def _multiply(a: Pair, b: Pair) -> Pair:
    fma = intrinsics.fma
    return Pair(
        fma(a.real, b.real, -(a.imag * b.imag)),
        fma(a.real, b.imag, a.imag * b.real),
    )


def _divide(a: Pair, b: Pair) -> Pair:
    """Smith's algorithm; by zero, each part by zero."""
    select, absolute = intrinsics.select, intrinsics.absolute
    width, height = absolute(b.real), absolute(b.imag)
    wide = width >= height
    large, small = select(wide, b.real, b.imag), select(wide, b.imag, b.real)
    front, back = select(wide, a.real, a.imag), select(wide, a.imag, a.real)
    ratio = small / large
    scale = intrinsics.like(ratio, 1.0) / (large + small * ratio)
    turned = front * ratio
    real = (front + back * ratio) * scale
    imag = select(wide, back - turned, turned - back) * scale
    zero = intrinsics.like(ratio, 0.0)
    by_zero = (width == zero) & (height == zero)
    return Pair(select(by_zero, a.real / width, real), select(by_zero, a.imag / width, imag))


def _reciprocal(z: Pair) -> Pair:
    """NumPy's own formula, which is not that of quotients."""
    select, absolute = intrinsics.select, intrinsics.absolute
    wide = absolute(z.imag) <= absolute(z.real)
    large, small = select(wide, z.real, z.imag), select(wide, z.imag, z.real)
    ratio = small / large
    one = intrinsics.like(ratio, 1.0)
    bottom = large + small * ratio
    return Pair(select(wide, one, ratio) / bottom, -select(wide, ratio, one) / bottom)


def _length(z: Pair) -> Scalar:
    part: Scalar = vectormath.function("hypot", str(z.real.type))(z.real, z.imag)
    return part


def _either(test: Any) -> Callable[[Pair], Scalar]:
    return lambda z: test(z.real) | test(z.imag)


_UNARY: dict[str, Callable[[Pair], Pair | Scalar]] = {
    "negative": lambda z: Pair(-z.real, -z.imag),
    "conj": lambda z: Pair(z.real, -z.imag),
    "real": lambda z: z.real,
    "imag": lambda z: z.imag,
    "abs": _length,
    "reciprocal": _reciprocal,
    "isnan": _either(intrinsics.isnan),
    "isinf": _either(intrinsics.isinf),
    "isfinite": lambda z: intrinsics.isfinite(z.real) & intrinsics.isfinite(z.imag),
}
_BINARY: dict[str, Callable[[Pair, Pair], Pair | Scalar]] = {
    "add": lambda a, b: Pair(a.real + b.real, a.imag + b.imag),
    "sub": lambda a, b: Pair(a.real - b.real, a.imag - b.imag),
    "mul": _multiply,
    "div": _divide,
    "equal": lambda a, b: (a.real == b.real) & (a.imag == b.imag),
    "not_equal": lambda a, b: (a.real != b.real) | (a.imag != b.imag),
}
_REAL = frozenset(("abs", "real", "imag"))
_CONDITIONS = frozenset(("equal", "not_equal", "isnan", "isinf", "isfinite"))


@intrinsic
def _select(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    """``a`` where ``condition`` holds, else ``b``, part by part."""
    if a != b or not isinstance(a, types.Complex):
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        test, *both = values
        x, y = (_pair(builder, a, value) for value in both)
        parts = (builder.select(test, p.value, q.value) for p, q in zip(x, y, strict=True))
        return packed(builder, *parts)

    return a(types.boolean, a, a), codegen


def _with(at: int, name: str) -> Any:
    """An intrinsic that puts a number in the place of one part of a complex one."""

    def put(typingctx: Any, z: Any, part: Any) -> Any:
        if not isinstance(z, types.Complex) or part_type(z) != part:
            return None

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.insert_value(*values, at)

        return z(z, part), codegen

    put.__name__ = put.__qualname__ = f"complex_{name}"
    return intrinsic(put)


FUNCTIONS = {
    "select": _select,
    "with_real": _with(0, "with_real"),
    "with_imag": _with(1, "with_imag"),
    **{name: _of(name, formula, 1) for name, formula in _UNARY.items()},
    **{name: _of(name, formula, 2) for name, formula in _BINARY.items()},
}
