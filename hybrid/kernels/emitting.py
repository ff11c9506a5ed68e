"""What intrinsics are made of: types of operands, one or two of them, calls of LLVM's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types as _types
from numba.core import cgutils as _cgutils
from numba.core.errors import TypingError

from hybrid.kernels.scalar import for_gpu, intrinsic

# What numba declares about these two is too narrow or too wide for what is done here.
types: Any = _types
cgutils: Any = _cgutils

# An emitter takes (builder, numba type of the operands, *llvm values) and gives an llvm value.
Emit = Callable[..., Any]


def plain_types(name: str, *given: Any) -> tuple[Any, ...]:
    """Types without their literal values; anything but a number or a boolean is refused."""
    plain = tuple(types.unliteral(ty) for ty in given)
    for ty in plain:
        if not isinstance(ty, types.Integer | types.Float | types.Boolean):
            raise TypingError(f"{name}: a number or a boolean is expected, not {ty}")
    return plain


def one_type(name: str, *given: Any) -> Any:
    """The one type that all operands share."""
    plain = plain_types(name, *given)
    if len(set(plain)) != 1:
        listed = ", ".join(str(ty) for ty in plain)
        raise TypingError(f"{name}: operands of one type are expected, not {listed}")
    return plain[0]


def is_float(ty: Any) -> bool:
    """Tell whether a type is one of floating-point numbers."""
    return isinstance(ty, types.Float)


def is_signed(ty: Any) -> bool:
    """Tell whether a type is one of integers with a sign."""
    return isinstance(ty, types.Integer) and bool(ty.signed)


def unary(name: str, emit: Emit, result: Any | None = None) -> Any:
    """Return the intrinsic of one operand that `emit` emits; its type is that of the operand."""

    def typed(typingctx: Any, x: Any) -> Any:
        ty = one_type(name, x)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, ty, args[0])

        return (result or ty)(ty), codegen

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


def binary(name: str, emit: Emit) -> Any:
    """Return the intrinsic of two operands of one type that `emit` emits."""

    def typed(typingctx: Any, a: Any, b: Any) -> Any:
        ty = one_type(name, a, b)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, ty, args[0], args[1])

        return ty(ty, ty), codegen

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


def libdevice(builder: Any, name: str, *args: Any) -> Any:
    """Call of a function of libdevice, the GPU's library of scalar functions."""
    ty = args[0].type
    symbol = f"__nv_{name}{'f' if isinstance(ty, ir.FloatType) else ''}"
    signature = ir.FunctionType(ty, [ty] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, symbol), args)


def llvm_call(builder: Any, name: str, *args: Any) -> Any:
    """Call of an overloaded LLVM intrinsic such as ``llvm.rint``."""
    if name in ("llvm.fabs", "llvm.rint") and for_gpu(builder):
        return libdevice(builder, name.removeprefix("llvm."), *args)
    ty = args[0].type
    signature = ir.FunctionType(ty, [ty] * len(args))
    return builder.call(builder.module.declare_intrinsic(name, [ty], signature), args)
