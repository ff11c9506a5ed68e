"""Storing past the caches: results too large for them are written without being read first.

A usual store reads the line that it changes, and throws others out of the cache. So a copy of 64 MB
moves 31 GB/s on one thread by such stores, 21 by others. A kernel computes a stretch of its result
in the first-level cache and sends it from there; whoever reads it next finds it in memory.
"""

from __future__ import annotations

from typing import Any

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
def stream(typingctx: Any, target: Any, at: Any, tile: Any, count: Any) -> Any:
    """Copy the first ``count`` elements of a tile to where ``at`` is, past the caches."""
    if not (isinstance(target, Operand) and isinstance(tile, Operand)):
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.bitcast(builder.gep(values[0], [values[1]]), _ADDRESS)
        end = builder.gep(values[2], [values[3]])
        size = builder.sub(builder.ptrtoint(end, _INT), builder.ptrtoint(values[2], _INT))
        source = builder.bitcast(values[2], _ADDRESS)
        builder.call(_copier(builder.module), [place, source, size])
        return context.get_dummy_value()

    return types.none(target, types.int64, tile, types.int64), codegen


@intrinsic
def streamed(typingctx: Any, args: Any) -> Any:
    """Order what was streamed before all that follows, for other threads too."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.none(args), codegen


def _copier(module: Any) -> Any:
    """The function ``void (target, source, size)`` of a module, once."""
    name = "hybrid_stream"
    found = module.globals.get(name)
    if found is not None:
        return found
    kind = ir.FunctionType(ir.VoidType(), [_ADDRESS, _ADDRESS, _INT])
    function = ir.Function(module, kind, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    target, source, size = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    # Up to the first whole line, the lines, and what is left.
    odd = builder.and_(builder.neg(builder.ptrtoint(target, _INT)), _INT(_LINE - 1))
    head = builder.select(builder.icmp_unsigned("<", odd, size), odd, size)
    cgutils.raw_memcpy(builder, target, source, head, 1)
    lines = builder.udiv(builder.sub(size, head), _INT(_LINE))
    to, of = (
        builder.bitcast(builder.gep(pointer, [head]), _VECTOR.as_pointer())
        for pointer in (target, source)
    )
    with cgutils.for_range(builder, lines) as loop:
        value = builder.load(builder.gep(of, [loop.index]), align=1)
        store = builder.store(value, builder.gep(to, [loop.index]), align=_LINE)
        store.set_metadata("nontemporal", module.add_metadata([ir.IntType(32)(1)]))
    done = builder.add(head, builder.mul(lines, _INT(_LINE)))
    rest = builder.sub(size, done)
    places = (builder.gep(pointer, [done]) for pointer in (target, source))
    cgutils.raw_memcpy(builder, *places, rest, 1)
    builder.ret_void()
    return function
