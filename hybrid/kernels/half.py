"""float16 and bfloat16 as 16 bits in memory, float32 in arithmetic.

Numba knows neither on all targets. What is here are ``@intrinsic`` functions in the manner of
``intrinsics.py``, for the CPU and the GPU alike.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core.errors import TypingError

from hybrid.kernels.emitting import types
from hybrid.kernels.scalar import intrinsic

_HALF = ir.HalfType()
_SINGLE = ir.FloatType()
_SHORT = ir.IntType(16)
_WORD = ir.IntType(32)


def _widen_f16(builder: Any, bits: Any) -> Any:
    return builder.fpext(builder.bitcast(bits, _HALF), _SINGLE)


def _narrow_f16(builder: Any, value: Any) -> Any:
    return builder.bitcast(builder.fptrunc(value, _HALF), _SHORT)


def _widen_bf16(builder: Any, bits: Any) -> Any:
    return builder.bitcast(builder.shl(builder.zext(bits, _WORD), _WORD(16)), _SINGLE)


def _narrow_bf16(builder: Any, value: Any) -> Any:
    """Round to nearest, ties to even; a NaN stays one, with its sign."""
    if value.type != _SINGLE:
        value = builder.fptrunc(value, _SINGLE)
    word = builder.bitcast(value, _WORD)
    upper = builder.lshr(word, _WORD(16))
    odd = builder.and_(upper, _WORD(1))
    rounded = builder.lshr(builder.add(word, builder.add(odd, _WORD(0x7FFF))), _WORD(16))
    nan = builder.or_(builder.and_(upper, _WORD(0x8000)), _WORD(0x7FC0))
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_nan, nan, rounded), _SHORT)


def _conversion(name: str, emit: Any, accepted: tuple[Any, ...], result: Any) -> Any:
    def typed(typingctx: Any, x: Any) -> Any:
        source = types.unliteral(x)
        if source not in accepted:
            raise TypingError(f"{name}: one of {accepted} is expected, not {x}")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, args[0])

        return result(source), codegen

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


_FLOATS = (types.float32, types.float64)

widen_f16 = _conversion("widen_f16", _widen_f16, (types.uint16,), types.float32)
widen_bf16 = _conversion("widen_bf16", _widen_bf16, (types.uint16,), types.float32)
narrow_f16 = _conversion("narrow_f16", _narrow_f16, _FLOATS, types.uint16)
narrow_bf16 = _conversion("narrow_bf16", _narrow_bf16, _FLOATS, types.uint16)
round_f16 = _conversion(
    "round_f16", lambda b, x: _widen_f16(b, _narrow_f16(b, x)), _FLOATS, types.float32
)
round_bf16 = _conversion(
    "round_bf16", lambda b, x: _widen_bf16(b, _narrow_bf16(b, x)), _FLOATS, types.float32
)

# How elements in memory become values, and values elements.
WIDEN = {"float16": _widen_f16, "bfloat16": _widen_bf16}
NARROW = {"float16": _narrow_f16, "bfloat16": _narrow_bf16}
