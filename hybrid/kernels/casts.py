"""Casts between dtypes, as C compilers for x86-64 (and so NumPy's loops) do them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.np.numpy_support import from_dtype

from hybrid.kernels.scalar import intrinsic


def numba_type(dtype: str) -> types.Type:
    """The numba scalar type of a dtype name."""
    return from_dtype(np.dtype(dtype))


def _float_to_integer(builder: Any, value: Any, to: types.Integer, llvm_type: Any) -> Any:
    """Out of range and NaN give what the processor's truncating conversion gives.

    Narrow integers go through int32, uint32 through int64, both by dropping the upper bits;
    the upper half of uint64 is converted after subtracting 2**63.
    """
    if to == types.uint64:
        limit = value.type(2.0**63)
        large = builder.fptosi(builder.fsub(value, limit), llvm_type)
        large = builder.xor(large, llvm_type(-(2**63)))
        is_large = builder.fcmp_ordered(">=", value, limit)
        return builder.select(is_large, large, builder.fptosi(value, llvm_type))
    if to == types.uint32:
        return builder.trunc(builder.fptosi(value, ir.IntType(64)), llvm_type)
    if to.bitwidth < 32:
        return builder.trunc(builder.fptosi(value, ir.IntType(32)), llvm_type)
    return builder.fptosi(value, llvm_type)


def _to_complex(builder: Any, value: Any, source: Any, to: Any, llvm_type: Any) -> Any:
    real, imag = value, None
    if isinstance(source, types.Complex):
        real, imag = (builder.extract_value(value, i) for i in (0, 1))
        source = source.underlying_float
    part = llvm_type.elements[0]
    pair = llvm_type(ir.Undefined)
    for place, x in enumerate((real, imag)):
        given = part(0) if x is None else convert(builder, x, source, to.underlying_float, part)
        pair = builder.insert_value(pair, given, place)
    return pair


def convert(builder: Any, value: Any, source: Any, to: Any, llvm_type: Any) -> Any:
    """A scalar of one numba type as another, of the given LLVM type."""
    if source == to:
        return value
    if isinstance(to, types.Complex):
        return _to_complex(builder, value, source, to, llvm_type)
    if to == types.boolean:
        if isinstance(source, types.Float):
            return builder.fcmp_unordered("!=", value, value.type(0))
        return builder.icmp_unsigned("!=", value, value.type(0))
    if isinstance(source, types.Float):
        if isinstance(to, types.Integer):
            return _float_to_integer(builder, value, to, llvm_type)
        wider = to.bitwidth > source.bitwidth
        return (builder.fpext if wider else builder.fptrunc)(value, llvm_type)
    signed = isinstance(source, types.Integer) and source.signed
    if isinstance(to, types.Float):
        return (builder.sitofp if signed else builder.uitofp)(value, llvm_type)
    if llvm_type.width <= value.type.width:
        return builder.trunc(value, llvm_type) if llvm_type.width < value.type.width else value
    return (builder.sext if signed else builder.zext)(value, llvm_type)


@functools.cache
def cast_to(dtype: str) -> Any:
    """A function that converts a scalar to ``dtype`` as ``ndarray.astype`` does."""
    result = numba_type(dtype)

    @intrinsic
    def cast(typingctx: Any, value: Any) -> Any:
        source = types.unliteral(value)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            llvm_type = context.get_value_type(result)
            return convert(builder, values[0], source, result, llvm_type)

        return result(source), codegen

    return cast
