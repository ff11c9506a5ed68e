"""Storing past the caches: results too large for them are written without being read first.

A usual store reads the line that it changes, and throws others out of the cache. So results of that
size are computed a few whole lines at a time, in registers, and sent to memory from there; whoever
reads them next finds them there.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from hybrid.kernels.memory import Operand
from hybrid.kernels.scalar import intrinsic

_BYTE = ir.IntType(8)
_ADDRESS = _BYTE.as_pointer()
_INT = ir.IntType(64)
_LINE = 64  # bytes of a line of the cache
_VECTOR = ir.VectorType(ir.IntType(32), _LINE // 4)


@intrinsic
def until_line(typingctx: Any, target: Any, at: Any) -> Any:
    """How many elements lie between where ``at`` is and the next line of the cache."""
    if not isinstance(target, Operand):
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.gep(values[0], values[1:])
        odd = builder.and_(builder.neg(builder.ptrtoint(place, _INT)), _INT(_LINE - 1))
        return builder.udiv(odd, _INT(np.dtype(target.stored).itemsize))

    return types.int64(target, types.int64), codegen


@functools.cache
def sender(count: int) -> Any:
    """A function that stores a tile of ``count`` elements to where ``at`` is, past the caches.

    Not past them where no line begins there.
    """

    @intrinsic
    def send(typingctx: Any, target: Any, at: Any, tile: Any) -> Any:
        lines = count * np.dtype(target.stored).itemsize // _LINE

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            place = builder.gep(values[0], [values[1]])
            to, of = (builder.bitcast(x, _VECTOR.as_pointer()) for x in (place, values[2]))
            number = [_INT(line) for line in range(lines)]
            found = [builder.load(builder.gep(of, [line]), align=_LINE) for line in number]
            odd = builder.and_(builder.ptrtoint(place, _INT), _INT(_LINE - 1))
            mark = builder.module.add_metadata([ir.IntType(32)(1)])
            with builder.if_else(builder.icmp_unsigned("==", odd, _INT(0))) as (even, uneven):
                with even:
                    for line, value in zip(number, found, strict=True):
                        store = builder.store(value, builder.gep(to, [line]), align=_LINE)
                        store.set_metadata("nontemporal", mark)
                with uneven:
                    for line, value in zip(number, found, strict=True):
                        store = builder.store(value, builder.gep(to, [line]), align=1)
                        # Or LLVM would make one usual store of both.
                        store.volatile = True
            return context.get_dummy_value()

        return types.none(target, types.int64, tile), codegen

    return send


@functools.cache
def edge(count: int) -> Any:
    """A function that copies the elements from ``low`` to ``high`` of a tile of ``count``."""

    @intrinsic
    def copy(typingctx: Any, target: Any, at: Any, tile: Any, low: Any, high: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            _, _, registers, low, high = values
            place = builder.gep(values[0], [values[1]])
            width = np.dtype(target.stored).itemsize
            # Of which LLVM does not know where it is read: the tile itself is to be registers.
            whole = ir.ArrayType(_VECTOR, count * width // _LINE)
            with builder.goto_entry_block():
                spare = builder.alloca(whole)
            for line in range(whole.count):
                of = builder.gep(builder.bitcast(registers, _VECTOR.as_pointer()), [_INT(line)])
                to = builder.gep(spare, [_INT(0), _INT(line)])
                builder.store(builder.load(of, align=_LINE), to)
            first = builder.gep(builder.bitcast(spare, place.type), [low])
            size = builder.mul(builder.sub(high, low), _INT(width))
            cgutils.raw_memcpy(builder, builder.gep(place, [low]), first, size, 1)
            return context.get_dummy_value()

        return types.none(target, types.int64, tile, types.int64, types.int64), codegen

    return copy


@intrinsic
def streamed(typingctx: Any, args: Any) -> Any:
    """Order what was streamed before all that follows, for other threads too."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.none(args), codegen
