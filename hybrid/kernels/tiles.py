"""Blocks of results that stay in vector registers while products are added to them.

Written as vector instructions, because LLVM's own vectoriser keeps no block of accumulators for
loops whose operands are found through a table. Each result is one chain of fused multiply-adds in
the order of the table, so it does not depend on the block it is part of.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hybrid.kernels.memory import numba_type

_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)


def _vector(context: Any, dtype: str, lanes: int) -> Any:
    return ir.VectorType(context.get_data_type(numba_type(dtype)), lanes)


def _fused(builder: Any, kind: Any, lanes: int, *values: Any) -> Any:
    """``a * b + c`` with one rounding."""
    suffix = "f32" if isinstance(kind.element, ir.FloatType) else "f64"
    name = f"llvm.fma.v{lanes}{suffix}"
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, values)


def _spread(builder: Any, kind: Any, value: Any, lanes: int) -> Any:
    """The vector of which every lane is `value`."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, _LANE(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_LANE, lanes), None))


def _load(builder: Any, kind: Any, pointer: Any, index: Any) -> Any:
    place = builder.bitcast(builder.gep(pointer, [index]), kind.as_pointer())
    return builder.load(place, align=_width(kind))


def _width(kind: Any) -> int:
    return 4 if isinstance(kind.element, ir.FloatType) else 8


def outer_tile(dtype: str, rows: int, vectors: int, lanes: int) -> Any:
    """A function that computes `rows` times ``vectors * lanes`` sums of products.

    ``tile(planes, base, taps, count, weights, at, result, to, width)`` stores at ``result[to + r *
    width + j]`` the sum over k of ``weights[at + k * rows + r] * planes[base + taps[k] + j]``.
    """

    @intrinsic
    def tile(
        typingctx: Any,
        planes: Any,
        base: Any,
        taps: Any,
        count: Any,
        weights: Any,
        at: Any,
        result: Any,
        to: Any,
        width: Any,
    ) -> Any:
        word = types.int64
        signature = types.none(planes, word, taps, word, weights, word, result, word, word)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = _vector(context, dtype, lanes)
            planes, base, taps, count, weights, at, result, to, width = values
            zero = ir.Constant(kind, [0.0] * lanes)
            before = builder.block
            loop = builder.append_basic_block("tap")
            after = builder.append_basic_block("summed")
            builder.cbranch(builder.icmp_signed(">", count, _INDEX(0)), loop, after)
            builder.position_at_end(loop)
            k = builder.phi(_INDEX)
            sums = [builder.phi(kind) for _ in range(rows * vectors)]
            place = builder.add(base, builder.load(builder.gep(taps, [k])))
            columns = [
                _load(builder, kind, planes, builder.add(place, _INDEX(v * lanes)))
                for v in range(vectors)
            ]
            first = builder.add(at, builder.mul(k, _INDEX(rows)))
            new = []
            for r in range(rows):
                scalar = builder.load(builder.gep(weights, [builder.add(first, _INDEX(r))]))
                weight = _spread(builder, kind, scalar, lanes)
                for v in range(vectors):
                    old = sums[r * vectors + v]
                    new.append(_fused(builder, kind, lanes, weight, columns[v], old))
            following = builder.add(k, _INDEX(1))
            builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
            for phi, value in zip([k, *sums], [following, *new]):
                phi.add_incoming(_INDEX(0) if phi is k else zero, before)
                phi.add_incoming(value, loop)
            builder.position_at_end(after)
            totals = []
            for value in new:
                total = builder.phi(kind)
                total.add_incoming(zero, before)
                total.add_incoming(value, loop)
                totals.append(total)
            for number, total in enumerate(totals):
                r, v = divmod(number, vectors)
                row = builder.add(to, builder.mul(width, _INDEX(r)))
                index = builder.add(row, _INDEX(v * lanes))
                address = builder.bitcast(builder.gep(result, [index]), kind.as_pointer())
                builder.store(total, address, align=_width(kind))
            return context.get_dummy_value()

        return signature, codegen

    return tile
