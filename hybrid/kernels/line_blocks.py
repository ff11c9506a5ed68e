"""Passes over neighbours of one long line: a vector has numbers that lie side by side.

Numbers that lie a whole part of the line apart go through passes together, as a line does, those
beside them in the other lanes. Of half a spectrum such numbers lie in both halves of each part,
backwards in one; its first and, where parts are even, its middle numbers are real, and are a real
line of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types

from hybrid.kernels.casts import numba_type
from hybrid.kernels.line_passes import NUMBERS, all_passes
from hybrid.kernels.line_tiles import with_zeros
from hybrid.kernels.line_writer import INT, Vector, Writer
from hybrid.kernels.long_lines import WORDS
from hybrid.kernels.scalar import intrinsic
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class _Block:
    """The memory of a block, what its passes are, and its numbers by name.

    ``near`` has a row for each number of a lane, ``far`` has them where ``places`` says.
    """

    near: Any
    far: Any
    scale: Any
    item: Any
    passes: Any
    places: Any
    roots: Any
    numbers: dict[str, Any]


def _pair(w: Writer, memory: Any, at: Any, backwards: bool = False) -> tuple[Any, Any]:
    """Pairs that lie side by side, as a vector of what is first and one of the others."""
    halves = w.read(memory, at), w.read(memory, w.total(at, INT(w.lanes)))
    order = range(w.lanes - 1, -1, -1) if backwards else range(w.lanes)
    first, other = (w.picked(*halves, [2 * i + part for i in order]) for part in (0, 1))
    return first, other


def _put_pair(w: Writer, memory: Any, at: Any, pair: tuple[Any, Any], backwards: bool) -> None:
    """Write two vectors as pairs that lie side by side."""
    order = range(w.lanes - 1, -1, -1) if backwards else range(w.lanes)
    places = [i + part * w.lanes for i in order for part in (0, 1)]
    for half in (0, 1):
        picked = w.picked(*pair, places[half * w.lanes : (half + 1) * w.lanes])
        w.write(memory, w.total(at, INT(half * w.lanes)), picked)


def _in_lanes(w: Writer, kind: str, radices: Sequence[int], block: _Block, tiles: Any) -> None:
    """Transform what is in the lanes of one block."""
    builder, given = w.builder, block.numbers
    start = w.times(block.item, w.lanes)
    beyond = builder.icmp_signed(">", start, given["last"])
    start = w.total(builder.select(beyond, given["last"], start), given["first"])
    row = w.total(given["begin"], builder.sub(w.times(2, start), given["first"]))

    def beside(m: Any) -> Any:
        return w.total(row, w.times(m, given["pitch"]))

    def rows(tile: Any, m: Any) -> tuple[Any, Any]:
        """Where the two vectors of a pair lie in a tile."""
        at = w.row(tile, w.times(2, m))
        turned = given["swapped"]
        return w.row(at, turned), w.row(at, builder.sub(INT(1), turned))

    def along(m: Any, write: Any) -> None:
        """Copy what lies far away, which is there backwards where the place is negative."""
        at = builder.load(builder.gep(block.places, [m]))
        if kind == "complex":
            write(w.times(2, w.total(at, start)), False)
            return
        with builder.if_else(builder.icmp_signed(">=", at, INT(0))) as (then, otherwise):
            with then:
                write(w.times(2, w.total(at, start)), False)
            with otherwise:
                first = builder.neg(w.total(at, start, INT(w.lanes - 1)))
                write(w.times(2, first), True)

    def far_in(m: Any, at: Any, backwards: bool) -> None:
        for value, place in zip(_pair(w, block.far, at, backwards), rows(tiles[0], m), strict=True):
            builder.store(value, place)

    def in_tile(tile: Any, m: Any) -> tuple[Any, Any]:
        at = w.times(2, m)
        return w.get(tile, at), w.get(tile, w.total(at, INT(1)))

    scale = w.spread(block.scale, INT(0))
    roots = builder.gep(block.roots, [w.times(block.item, given["roots"])])
    with w.loop(given["lines"]) as m:
        if kind == "forward":
            for part, value in enumerate(_pair(w, block.near, beside(m))):
                w.put(tiles[0], w.total(w.times(2, m), INT(part)), Vector(builder, value))
        else:
            along(m, lambda at, backwards: far_in(m, at, backwards))
    numbers = block.passes, given["passes"], roots
    result = all_passes(w, f"own_{kind}", radices, numbers, tiles)
    with w.loop(given["lines"]) as m:
        pair = in_tile(result, m)
        if kind == "forward":
            scaled = tuple((part * scale).value for part in pair)
            along(m, lambda at, backwards: _put_pair(w, block.far, at, scaled, backwards))
        else:
            _put_pair(w, block.near, beside(m), tuple(part.value for part in pair), False)


def _at_ends(w: Writer, kind: str, radices: Sequence[int], block: _Block, tiles: Any) -> None:
    """Transform the real numbers, in all lanes alike."""
    builder, given = w.builder, block.numbers
    size = w.times(given["lines"], given["ends"])
    pairs = builder.add(builder.lshr(size, INT(1)), INT(1))
    bodies = [w.row(tile, INT(1)) for tile in tiles]

    def near(i: Any) -> Any:
        """Where the first or the last number of a row is."""
        line = builder.udiv(i, given["ends"])
        is_last = builder.urem(i, given["ends"])
        beyond = w.times(is_last, given["middle"])
        return w.total(given["begin"], w.times(line, given["pitch"]), beyond)

    def far(i: Any) -> Any:
        """Where the real or imaginary part of a multiple of the least frequency is."""
        pair, part = builder.lshr(i, INT(1)), builder.and_(i, INT(1))
        return w.total(w.times(2, w.times(pair, given["apart"])), part)

    def one(tile: Any, i: Any) -> Any:
        numbers = builder.bitcast(tile, w.element.as_pointer())
        return builder.load(builder.gep(numbers, [w.times(i, w.lanes)]))

    if kind == "forward":
        with w.loop(size) as i:
            w.put(bodies[0], i, w.spread(block.near, near(i)))
    else:
        with w.loop(w.times(2, pairs)) as i:
            w.put(tiles[0], i, w.spread(block.far, far(i)))
        w.put(bodies[0], INT(0), w.get(tiles[0], INT(0)))
    passes = builder.gep(block.passes, [w.times(NUMBERS, given["passes"])])
    roots = builder.gep(block.roots, [w.times(given["blocks"], given["roots"])])
    numbers = passes, given["passes"], roots
    result = all_passes(w, kind, radices, numbers, bodies)
    if kind == "forward":
        result = with_zeros(w, result, size)
        with w.loop(w.times(2, pairs)) as i:
            value = builder.fmul(one(result, i), builder.load(block.scale))
            builder.store(value, builder.gep(block.far, [far(i)]))
    else:
        with w.loop(size) as i:
            builder.store(one(result, i), builder.gep(block.near, [near(i)]))


def block_transform(kind: str, dtype: str, lanes: int, radices: Sequence[int]) -> Any:
    """A function that does passes over `lanes` neighbours of a line, or over its real numbers.

    ``transform(item, words, roots, scale, near, far, tile, other)``: `words` are those of `WORDS`,
    then the numbers of passes, those of passes over real numbers, and places. `roots` are those of
    each block, then of the real numbers. `near` is what is read of "forward", what is written of
    other kinds, and `far` the other one.
    """

    @intrinsic
    def transform(
        typingctx: Any,
        item: Any,
        words: Any,
        roots: Any,
        scale: Any,
        near: Any,
        far: Any,
        tile: Any,
        other: Any,
    ) -> Any:
        signature = types.none(types.int64, words, roots, scale, near, far, tile, other)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            item, words, roots, scale, near, far = values[:6]
            w = Writer(builder, context.get_data_type(numba_type(dtype)), lanes)
            numbers = {
                word: builder.load(builder.gep(words, [INT(i)])) for i, word in enumerate(WORDS)
            }
            passes = builder.gep(words, [INT(len(WORDS))])
            every = w.times(NUMBERS, numbers["passes"])
            places = builder.gep(passes, [every if kind == "complex" else w.times(2, every)])
            block = _Block(near, far, scale, item, passes, places, roots, numbers)
            tiles = [builder.bitcast(tile, w.kind.as_pointer()) for tile in values[6:]]
            if kind == "complex":
                _in_lanes(w, kind, radices, block, tiles)
                return context.get_dummy_value()
            inside = builder.icmp_signed("<", item, numbers["blocks"])
            with builder.if_else(inside) as (then, otherwise):
                with then:
                    _in_lanes(w, kind, radices, block, tiles)
                with otherwise:
                    _at_ends(w, kind, radices, block, tiles)
            return context.get_dummy_value()

        return signature, codegen

    return transform
