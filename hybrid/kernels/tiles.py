"""Blocks of results that stay in vector registers while products are added to them.

Written as vector instructions, because LLVM's own vectoriser keeps no block of accumulators for
loops whose operands are found through a table. Each result is one chain of fused multiply-adds in
the order of the table, so it does not depend on the block it is part of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from hybrid.kernels.casts import numba_type
from hybrid.kernels.scalar import intrinsic

_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)


def _vector(context: Any, dtype: str, lanes: int) -> Any:
    return ir.VectorType(context.get_data_type(numba_type(dtype)), lanes)


def _fused(builder: Any, kind: Any, lanes: int, *values: Any) -> Any:
    """``a * b + c`` with one rounding."""
    name = f"llvm.fma.{_suffix(kind, lanes)}"
    function = _declared(builder, name, kind, kind, kind, kind)
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

            def column(k: Any, v: int) -> Any:
                place = builder.add(base, builder.load(builder.gep(taps, [k])))
                return _load(builder, kind, planes, builder.add(place, _INDEX(v * lanes)))

            def weight(k: Any, r: int) -> Any:
                first = builder.add(at, builder.mul(k, _INDEX(rows)))
                return builder.load(builder.gep(weights, [builder.add(first, _INDEX(r))]))

            block = rows, vectors, lanes
            totals = _outer_sums(builder, kind, block, count, column, weight)
            _store_rows(builder, totals, vectors, result, to, width)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def product_tile(dtype: str, rows: int, vectors: int, lanes: int) -> Any:
    """A function that computes a block of a product of matrices.

    ``tile(one, at, row, inner, count, panel, base, step, result, to, width)`` stores at
    ``result[to + r * width + j]`` the sum over k of ``one[at + r * row + k * inner] * panel[base +
    k * step + j]`` for `rows` r and ``vectors * lanes`` j.
    """

    @intrinsic
    def tile(
        typingctx: Any,
        one: Any,
        at: Any,
        row: Any,
        inner: Any,
        count: Any,
        panel: Any,
        base: Any,
        step: Any,
        result: Any,
        to: Any,
        width: Any,
    ) -> Any:
        word = types.int64
        signature = types.none(one, word, word, word, word, panel, word, word, result, word, word)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = _vector(context, dtype, lanes)
            one, at, row, inner, count, panel, base, step, result, to, width = values
            starts = [builder.add(at, builder.mul(row, _INDEX(r))) for r in range(rows)]
            lines = [builder.gep(one, [start]) for start in starts]

            def column(k: Any, v: int) -> Any:
                place = builder.add(base, builder.mul(k, step))
                return _load(builder, kind, panel, builder.add(place, _INDEX(v * lanes)))

            def factor(k: Any, r: int) -> Any:
                return builder.load(builder.gep(lines[r], [builder.mul(k, inner)]))

            block = rows, vectors, lanes
            totals = _outer_sums(builder, kind, block, count, column, factor)
            _store_rows(builder, totals, vectors, result, to, width)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def turned_tile(dtype: str, lanes: int) -> Any:
    """A function that transposes a square of `lanes` numbers on a side.

    ``turn(source, of, width, target, to, step)``: rows begin `width` apart in the source, from `of`
    on, and `step` in the target, from `to` on.
    """

    @intrinsic
    def turn(
        typingctx: Any, source: Any, of: Any, width: Any, target: Any, to: Any, step: Any
    ) -> Any:
        word = types.int64

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = _vector(context, dtype, lanes)
            source, of, width, target, to, step = values
            starts = [builder.add(of, builder.mul(width, _INDEX(r))) for r in range(lanes)]
            rows = [_load(builder, kind, source, start) for start in starts]
            # Squares within the square change places: halves first, single numbers last.
            half = lanes // 2
            while half:
                rows = with_corners_swapped(builder, rows, half)
                half //= 2
            _store_rows(builder, rows, 1, target, to, step)
            return context.get_dummy_value()

        return types.none(source, word, word, target, word, word), codegen

    return turn


def with_corners_swapped(builder: Any, rows: list[Any], half: int) -> list[Any]:
    """Swap, in each square of twice `half`, what is upper right with what is lower left."""
    lanes = len(rows)
    upper = [j if not j & half else lanes + j - half for j in range(lanes)]
    lower = [j + half if not j & half else lanes + j for j in range(lanes)]
    kind = ir.VectorType(_LANE, lanes)
    new = list(rows)
    for r in range(lanes):
        if not r & half:
            pair = rows[r], rows[r + half]
            new[r] = builder.shuffle_vector(*pair, ir.Constant(kind, upper))
            new[r + half] = builder.shuffle_vector(*pair, ir.Constant(kind, lower))
    return new


def _outer_sums(
    builder: Any,
    kind: Any,
    block: tuple[int, int, int],
    count: Any,
    column: Callable[[Any, int], Any],
    factor: Callable[[Any, int], Any],
) -> list[Any]:
    """Add up the products of columns, vectors each, and of factors, numbers each, for all k.

    ``column(k, v)`` and ``factor(k, r)`` load them. The sums are in the order of rows.
    """
    rows, vectors, lanes = block
    zero = ir.Constant(kind, [0.0] * lanes)
    before = builder.block
    loop = builder.append_basic_block("product")
    after = builder.append_basic_block("summed")
    builder.cbranch(builder.icmp_signed(">", count, _INDEX(0)), loop, after)
    builder.position_at_end(loop)
    k = builder.phi(_INDEX)
    sums = [builder.phi(kind) for _ in range(rows * vectors)]
    columns = [column(k, v) for v in range(vectors)]
    new = []
    for r in range(rows):
        spread = _spread(builder, kind, factor(k, r), lanes)
        for v in range(vectors):
            old = sums[r * vectors + v]
            new.append(_fused(builder, kind, lanes, spread, columns[v], old))
    following = builder.add(k, _INDEX(1))
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    for phi, value in zip([k, *sums], [following, *new], strict=True):
        phi.add_incoming(_INDEX(0) if phi is k else zero, before)
        phi.add_incoming(value, loop)
    builder.position_at_end(after)
    totals = []
    for value in new:
        total = builder.phi(kind)
        total.add_incoming(zero, before)
        total.add_incoming(value, loop)
        totals.append(total)
    return totals


def _store_rows(
    builder: Any, totals: list[Any], vectors: int, result: Any, to: Any, width: Any
) -> None:
    """Store vectors, so many a row, in rows that begin `width` apart."""
    for number, total in enumerate(totals):
        r, v = divmod(number, vectors)
        row = builder.add(to, builder.mul(width, _INDEX(r)))
        index = builder.add(row, _INDEX(v * total.type.count))
        address = builder.bitcast(builder.gep(result, [index]), total.type.as_pointer())
        builder.store(total, address, align=_width(total.type))


def dot_tile(dtype: str, rows: int, taps_: int, lanes: int) -> Any:
    """A function that computes `rows` times `taps_` sums of products along rows of images.

    ``tile(planes, base, taps, first, count, slopes, at, step, channel, channels, height, width,
    plane_width, images, plane_step, slope_step, sums)`` stores at ``sums[r * taps_ + t]`` the sum
    over n, i and j of ``slopes[at + n * slope_step + (channel + r) * step + i * width + j] *
    planes[base + n * plane_step + taps[first + t] + i * plane_width + j]``. What would be beyond
    the last of `count` taps or `channels` repeats the last.
    """

    @intrinsic
    def tile(
        typingctx: Any,
        planes: Any,
        base: Any,
        taps: Any,
        first: Any,
        count: Any,
        slopes: Any,
        at: Any,
        step: Any,
        channel: Any,
        channels: Any,
        height: Any,
        width: Any,
        plane_width: Any,
        images: Any,
        plane_step: Any,
        slope_step: Any,
        sums: Any,
    ) -> Any:
        word = types.int64
        first_words = (planes, word, taps, word, word, slopes)
        signature = types.none(*first_words, *(word,) * 10, sums)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = _vector(context, dtype, lanes)
            planes, base, taps, first, count, slopes, at, step = values[:8]
            channel, channels, height, width, plane_width = values[8:13]
            images, plane_step, slope_step, sums = values[13:]

            def up_to(index: Any, number: Any) -> Any:
                last = builder.sub(number, _INDEX(1))
                return builder.select(builder.icmp_signed("<", index, last), index, last)

            def met(t: int) -> Any:
                place = builder.gep(taps, [up_to(builder.add(first, _INDEX(t)), count)])
                return builder.add(base, builder.load(place))

            def given(r: int) -> Any:
                index = up_to(builder.add(channel, _INDEX(r)), channels)
                return builder.add(at, builder.mul(index, step))

            columns, lines = [met(t) for t in range(taps_)], [given(r) for r in range(rows)]
            zero = ir.Constant(kind, [0.0] * lanes)
            totals = [cgutils.alloca_once(builder, kind) for _ in range(rows * taps_)]
            for total in totals:
                builder.store(zero, total)

            def add(line: Any, plane_line: Any, read: Any) -> None:
                given = [read(slopes, builder.add(s, line)) for s in lines]
                for t, place in enumerate(columns):
                    value = read(planes, builder.add(place, plane_line))
                    for r in range(rows):
                        total = totals[r * taps_ + t]
                        old = builder.load(total)
                        builder.store(_fused(builder, kind, lanes, given[r], value, old), total)

            rest = builder.srem(width, _INDEX(lanes))
            whole = builder.sdiv(width, _INDEX(lanes))
            done = builder.sub(width, rest)
            mask = _first_lanes(builder, rest, lanes)
            some = builder.icmp_signed(">", rest, _INDEX(0))
            with (
                cgutils.for_range(builder, images) as image,
                cgutils.for_range(builder, height) as row,
            ):
                line = builder.add(
                    builder.mul(image.index, slope_step), builder.mul(row.index, width)
                )
                plane_line = builder.add(
                    builder.mul(image.index, plane_step), builder.mul(row.index, plane_width)
                )
                with cgutils.for_range(builder, whole) as chunk:
                    j = builder.mul(chunk.index, _INDEX(lanes))
                    add(
                        builder.add(line, j),
                        builder.add(plane_line, j),
                        lambda pointer, index: _load(builder, kind, pointer, index),
                    )
                with builder.if_then(some):
                    add(
                        builder.add(line, done),
                        builder.add(plane_line, done),
                        lambda pointer, index: _masked(builder, kind, pointer, index, mask, zero),
                    )
            for number, total in enumerate(totals):
                found = _sum(builder, kind, builder.load(total), lanes)
                builder.store(found, builder.gep(sums, [_INDEX(number)]))
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _first_lanes(builder: Any, count: Any, lanes: int) -> Any:
    """The mask of the first `count` lanes."""
    kind = ir.VectorType(_LANE, lanes)
    numbers = ir.Constant(kind, list(range(lanes)))
    limit = _spread(builder, kind, builder.trunc(count, _LANE), lanes)
    return builder.icmp_unsigned("<", numbers, limit)


def _declared(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    found = builder.module.globals.get(name)
    return found or ir.Function(builder.module, ir.FunctionType(result, arguments), name)


def _suffix(kind: Any, lanes: int) -> str:
    return f"v{lanes}{'f32' if isinstance(kind.element, ir.FloatType) else 'f64'}"


def _masked(builder: Any, kind: Any, pointer: Any, index: Any, mask: Any, zero: Any) -> Any:
    """Load the lanes of a mask; the memory behind the others is not touched, they are zero."""
    place = builder.bitcast(builder.gep(pointer, [index]), kind.as_pointer())
    name = f"llvm.masked.load.{_suffix(kind, mask.type.count)}.p0"
    function = _declared(builder, name, kind, place.type, _LANE, mask.type, kind)
    return builder.call(function, [place, _LANE(_width(kind)), mask, zero])


def _sum(builder: Any, kind: Any, vector: Any, lanes: int) -> Any:
    """Add the lanes up, in pairs."""
    name = f"llvm.vector.reduce.fadd.{_suffix(kind, lanes)}"
    function = _declared(builder, name, kind.element, kind.element, kind)
    start = ir.Constant(kind.element, -0.0)
    return builder.call(function, [start, vector], fastmath=("reassoc",))
