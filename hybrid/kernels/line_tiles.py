"""Fourier transforms of several lines at once: a vector has a number of each.

The lines are read into a tile, in which what has the same place in each lies side by side; passes
go from one tile to another and back; the result is written from there. Lines that are rows are
transposed in registers, square by square; of lines that are columns vectors are read as they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types

from hybrid.kernels.casts import numba_type
from hybrid.kernels.line_passes import all_passes
from hybrid.kernels.line_writer import INT, Vector, Writer
from hybrid.kernels.scalar import intrinsic
from hybrid.records import dataclass


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of an array: so many, each so many numbers from the one before, and so their numbers.

    ``parts`` is how many numbers of memory lie together, 2 of complex numbers.
    """

    memory: Any
    step: Any
    inner: Any
    parts: int
    valid: Any
    count: Any
    """Vectors of a tile that they are."""
    swapped: Any
    """1 where the two of each pair change places in the tile."""

    def row(self, w: Writer, tile: Any, m: Any, r: int) -> Any:
        """The address of vector ``m + r`` of a tile, where `m` is even."""
        if self.parts == 1:
            return w.row(tile, w.total(m, INT(r)))
        side = w.builder.sub(INT(r), self.swapped) if r & 1 else w.total(INT(r), self.swapped)
        return w.row(tile, w.total(m, side))


def _by_form(
    w: Writer,
    lines: Lines,
    rows: Callable[[Any], None],
    columns: Callable[[Any], None],
    single: Callable[[Any, Any], None],
) -> None:
    """Copy squares of rows, or vectors of columns, or whatever is left number by number."""
    builder = w.builder
    whole = builder.icmp_signed("==", lines.valid, INT(w.lanes))

    def lie(step: Any) -> Any:
        together = builder.icmp_signed("==", step, INT(lines.parts))
        return builder.and_(whole, together)

    with builder.if_else(lie(lines.step)) as (then, otherwise):
        with then, w.loop(lines.count, step=lines.parts) as m:
            columns(m)
        with otherwise:
            squares = builder.and_(lines.count, INT(-w.lanes))
            done = builder.select(lie(lines.inner), squares, INT(0))
            with w.loop(done, step=w.lanes) as m:
                rows(m)
            with w.loop(lines.count, start=done) as m, w.loop(INT(w.lanes)) as lane:
                single(m, lane)


def _place(w: Writer, lines: Lines, m: Any, lane: Any) -> Any:
    """Where number `m` of a line is."""
    start = w.times(lane, lines.step)
    if lines.parts == 1:
        return w.total(start, w.times(m, lines.inner))
    element, part = w.builder.lshr(m, INT(1)), w.builder.and_(m, INT(1))
    return w.total(start, w.times(element, lines.inner), part)


def gather(w: Writer, lines: Lines, tile: Any) -> None:
    """Read lines into a tile; lanes that have none repeat the last."""
    builder, lanes = w.builder, w.lanes

    def rows(m: Any) -> None:
        found = [w.read(lines.memory, w.total(w.times(r, lines.step), m)) for r in range(lanes)]
        for r, row in enumerate(w.square(found)):
            builder.store(row, lines.row(w, tile, m, r))

    def columns(m: Any) -> None:
        at = _place(w, lines, m, INT(0))
        if lines.parts == 1:
            builder.store(w.read(lines.memory, at), w.row(tile, m))
            return
        halves = w.read(lines.memory, at), w.read(lines.memory, w.total(at, INT(lanes)))
        for part in (0, 1):
            picked = w.picked(*halves, range(part, 2 * lanes, 2))
            builder.store(picked, lines.row(w, tile, m, part))

    def single(m: Any, lane: Any) -> None:
        last = builder.sub(lines.valid, INT(1))
        there = builder.icmp_signed("<", lane, last)
        at = _place(w, lines, m, builder.select(there, lane, last))
        value = builder.load(builder.gep(lines.memory, [at]))
        numbers = builder.bitcast(tile, w.element.as_pointer())
        row = builder.xor(m, lines.swapped)
        builder.store(value, builder.gep(numbers, [w.total(w.times(row, lanes), lane)]))

    _by_form(w, lines, rows, columns, single)


def scatter(w: Writer, lines: Lines, tile: Any, scale: Any) -> None:
    """Write a tile to lines, times a number."""
    builder, lanes = w.builder, w.lanes
    factor = w.spread(scale, INT(0))

    def scaled(m: Any, r: int = 0) -> Any:
        found = Vector(builder, builder.load(lines.row(w, tile, m, r)))
        return (found * factor).value

    def rows(m: Any) -> None:
        found = [scaled(m, r) for r in range(lanes)]
        for r, row in enumerate(w.square(found)):
            w.write(lines.memory, w.total(w.times(r, lines.step), m), row)

    def columns(m: Any) -> None:
        at = _place(w, lines, m, INT(0))
        if lines.parts == 1:
            w.write(lines.memory, at, scaled(m))
            return
        pair = scaled(m), scaled(m, 1)
        for half in (0, 1):
            places = [(j // 2) + lanes * (j % 2) for j in range(half * lanes, (half + 1) * lanes)]
            w.write(lines.memory, w.total(at, INT(half * lanes)), w.picked(*pair, places))

    def single(m: Any, lane: Any) -> None:
        with builder.if_then(builder.icmp_signed("<", lane, lines.valid)):
            numbers = builder.bitcast(tile, w.element.as_pointer())
            at = w.total(w.times(builder.xor(m, lines.swapped), lanes), lane)
            value = builder.load(builder.gep(numbers, [at]))
            value = builder.fmul(value, builder.load(scale))
            builder.store(value, builder.gep(lines.memory, [_place(w, lines, m, lane)]))

    _by_form(w, lines, rows, columns, single)


def with_zeros(w: Writer, body: Any, size: Any) -> Any:
    """Half a spectrum in pairs, of which those of real numbers have a zero; where it begins."""
    front = w.row(body, INT(-1))
    zero = Vector(w.builder, ir.Constant(w.kind, None))
    w.put(front, INT(0), w.get(body, INT(0)))
    w.put(body, INT(0), zero)
    w.put(body, size, zero)
    return front


def line_transform(
    kind: str, dtype: str, lanes: int, radices: Sequence[int], bare: bool = False
) -> Any:
    """A function that transforms at most `lanes` lines.

    ``transform(passes, count, roots, scale, x, at, step, inner, out, to, out_step, out_inner,
    valid, size, swapped, tile, other)``: `passes` has four numbers of each of `count` passes, its
    radix, its length, its groups, and where its roots of unity begin in `roots`. The `valid` lines
    of `size` elements begin at `x` and `at`, each `step` from the one before, its elements `inner`
    apart, and `out` likewise. `swapped` is 1 for the backward transform of complex lines, else 0.
    `tile` and `other` have two vectors more than a line has numbers. `kind` is "complex", "forward"
    for real lines to half of a spectrum, or "backward".

    `bare` lines are parts of longer ones: half of a spectrum has neither the zero behind its first
    number nor one behind its last, and what is read of complex lines is not swapped.
    """

    @intrinsic
    def transform(
        typingctx: Any,
        passes: Any,
        count: Any,
        roots: Any,
        scale: Any,
        x: Any,
        at: Any,
        step: Any,
        inner: Any,
        out: Any,
        to: Any,
        out_step: Any,
        out_inner: Any,
        valid: Any,
        size: Any,
        swapped: Any,
        tile: Any,
        other: Any,
    ) -> Any:
        word = types.int64
        signature = types.none(
            *(passes, word, roots, scale, x, word, word, word, out, word, word, word),
            *(word, word, word, tile, other),
        )

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            passes, count, roots, scale, x, at, step, inner = values[:8]
            out, to, out_step, out_inner, valid, size, swapped = values[8:15]
            w = Writer(builder, context.get_data_type(numba_type(dtype)), lanes)
            tiles = [builder.bitcast(tile, w.kind.as_pointer()) for tile in values[15:]]
            half = w.times(2, builder.add(builder.lshr(size, INT(1)), INT(1)))
            whole = {"complex": w.times(2, size)}.get(kind, half)
            starts = builder.gep(x, [at]), builder.gep(out, [to])
            real = bare and kind != "complex"
            plain = kind == "forward" or real, kind == "backward" or real
            turns = INT(0) if bare else swapped, swapped
            given, made = (
                Lines(memory, *steps, 1 if one else 2, valid, size if one else whole, turn)
                for memory, steps, one, turn in zip(
                    starts, ((step, inner), (out_step, out_inner)), plain, turns, strict=True
                )
            )
            bodies = [tile if bare or kind == "complex" else w.row(tile, INT(1)) for tile in tiles]
            if kind == "backward" and not bare:
                gather(w, given, tiles[0])
                w.put(bodies[0], INT(0), w.get(tiles[0], INT(0)))
            else:
                gather(w, given, bodies[0])
            body = all_passes(w, kind, radices, (passes, count, roots), bodies)
            if kind == "forward" and not bare:
                body = with_zeros(w, body, size)
            scatter(w, made, body, scale)
            return context.get_dummy_value()

        return signature, codegen

    return transform
