"""Fourier transforms of several lines at once: a vector has a number of each.

The lines are read into a tile, in which what has the same place in each lies side by side; passes
go from one tile to another and back; the result is written from there. Lines that are rows are
transposed in registers, square by square; of lines that are columns vectors are read as they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types

from hybrid.kernels.butterflies import BACKWARD, BY, FORWARD, Pair, turned
from hybrid.kernels.casts import numba_type
from hybrid.kernels.scalar import intrinsic
from hybrid.kernels.tiles import with_corners_swapped
from hybrid.kernels.translate import kept
from hybrid.records import dataclass

_INT = ir.IntType(64)
_LANE = ir.IntType(32)
_NUMBERS = 4  # of each pass


class _Vector:
    """A vector of the code that a builder writes; numbers beside it are all its lanes."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def _with(self, write: Any, other: Any, swapped: bool = False) -> _Vector:
        kind = self.value.type
        given = other.value if isinstance(other, _Vector) else kind([other] * kind.count)
        pair = (given, self.value) if swapped else (self.value, given)
        return _Vector(self.builder, write(*pair))

    def __add__(self, other: Any) -> _Vector:
        return self._with(self.builder.fadd, other)

    def __sub__(self, other: Any) -> _Vector:
        return self._with(self.builder.fsub, other)

    def __mul__(self, other: Any) -> _Vector:
        return self._with(self.builder.fmul, other)

    def __rmul__(self, other: Any) -> _Vector:
        return self._with(self.builder.fmul, other, swapped=True)

    def __neg__(self) -> _Vector:
        return _Vector(self.builder, self.builder.fneg(self.value))


@dataclass(frozen=True)
class _Writer:
    """Writes code for vectors of `lanes` numbers of LLVM's type `element`."""

    builder: Any
    element: Any
    lanes: int

    @property
    def kind(self) -> Any:
        return ir.VectorType(self.element, self.lanes)

    @property
    def width(self) -> int:
        return 4 if isinstance(self.element, ir.FloatType) else 8

    def total(self, *terms: Any) -> Any:
        """The sum of integers."""
        found = terms[0]
        for term in terms[1:]:
            found = self.builder.add(found, term)
        return found

    def times(self, a: Any, b: Any) -> Any:
        """The product of two integers, either of which may be Python's."""
        a, b = (_INT(x) if isinstance(x, int) else x for x in (a, b))
        return self.builder.mul(a, b)

    @contextmanager
    def loop(self, stop: Any, start: Any = 0, step: int = 1) -> Iterator[Any]:
        """A loop over ``range(start, stop, step)``, which LLVM leaves as it is.

        It would unroll each, and make vectors of loops over numbers: half of the time to compile.
        """
        builder = self.builder
        before = builder.block
        head, inside, after = (builder.append_basic_block(f"line.{x}") for x in ("", "do", "on"))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(_INT)
        index.add_incoming(_INT(start) if isinstance(start, int) else start, before)
        builder.cbranch(builder.icmp_signed("<", index, stop), inside, after)
        builder.position_at_end(inside)
        yield index
        index.add_incoming(builder.add(index, _INT(step), flags=["nsw"]), builder.block)
        builder.branch(head).set_metadata("llvm.loop", kept(builder.module))
        builder.position_at_end(after)

    def row(self, tile: Any, index: Any) -> Any:
        """The address of a vector of a tile."""
        return self.builder.gep(tile, [index])

    def get(self, tile: Any, index: Any) -> _Vector:
        """A vector of a tile."""
        return _Vector(self.builder, self.builder.load(self.row(tile, index)))

    def put(self, tile: Any, index: Any, value: _Vector) -> None:
        """Store a vector to a tile."""
        self.builder.store(value.value, self.row(tile, index))

    def spread(self, pointer: Any, index: Any) -> _Vector:
        """The vector whose lanes are all one number of memory."""
        undefined = ir.Constant(self.kind, ir.Undefined)
        value = self.builder.load(self.builder.gep(pointer, [index]))
        first = self.builder.insert_element(undefined, value, _LANE(0))
        zeros = ir.Constant(ir.VectorType(_LANE, self.lanes), None)
        return _Vector(self.builder, self.builder.shuffle_vector(first, undefined, zeros))

    def read(self, pointer: Any, index: Any) -> Any:
        """A vector of memory that begins anywhere."""
        place = self.builder.bitcast(self.builder.gep(pointer, [index]), self.kind.as_pointer())
        return self.builder.load(place, align=self.width)

    def write(self, pointer: Any, index: Any, value: Any) -> None:
        """Store a vector to memory that begins anywhere."""
        place = self.builder.bitcast(self.builder.gep(pointer, [index]), self.kind.as_pointer())
        self.builder.store(value, place, align=self.width)

    def picked(self, a: Any, b: Any, places: Sequence[int]) -> Any:
        """Lanes of two vectors."""
        mask = ir.Constant(ir.VectorType(_LANE, self.lanes), list(places))
        return self.builder.shuffle_vector(a, b, mask)

    def square(self, rows: list[Any]) -> list[Any]:
        """Transpose as many vectors as each has lanes."""
        half = self.lanes // 2
        while half:
            rows = with_corners_swapped(self.builder, rows, half)
            half //= 2
        return rows


# --- passes ---------------------------------------------------------------------------------------


def _complex_pass(w: _Writer, radix: int, given: Sequence[Any]) -> None:
    """Write a pass over pairs, the real part of each before the other."""
    source, target, roots, length, groups = given
    builder = w.builder
    pairs = w.times(2, length)

    def group(k: Any, i: Any) -> None:
        # A step between operands, and one between results: few addresses stay in registers.
        first = w.row(source, w.times(2, w.total(i, w.times(length, w.times(radix, k)))))
        operands = []
        for j in range(radix):
            at = w.row(first, w.times(pairs, j))
            operands.append((w.get(at, _INT(0)), w.get(at, _INT(1))))
        first = w.row(target, w.times(2, w.total(i, w.times(length, k))))
        apart = w.times(pairs, groups)
        for j, result in enumerate(BY[radix](operands)):
            if j and i is not zero:
                result = turned(result, _root(w, roots, builder.sub(i, _INT(1)), radix, j))
            at = w.row(first, w.times(apart, j))
            for part, value in enumerate(result):
                w.put(at, _INT(part), value)

    zero = _INT(0)
    with w.loop(groups) as k:
        group(k, zero)
        with w.loop(length, start=1) as i:
            group(k, i)


def _root(w: _Writer, roots: Any, number: Any, radix: int, j: int) -> Pair:
    at = w.times(2, w.total(w.times(number, radix - 1), _INT(j - 1)))
    return w.spread(roots, at), w.spread(roots, w.builder.add(at, _INT(1)))


def _real_pass(w: _Writer, radix: int, forward: bool, given: Sequence[Any]) -> None:
    """Write a pass over real numbers."""
    source, target, roots, length, groups = given
    builder = w.builder
    first, last, pairs = (FORWARD if forward else BACKWARD)[radix]
    end = builder.sub(length, _INT(1))

    def line(k: Any, j: int) -> Any:
        """Where the numbers of one operand of a forward pass begin, or of one result of another."""
        return w.times(length, w.total(k, w.times(groups, j)))

    def folded(k: Any, b: int) -> Any:
        """The same of the other side, whose odd lines run backwards."""
        return w.times(length, w.total(w.times(radix, k), _INT(b)))

    def single(compute: Any, k: Any, near: Any, far: Any) -> None:
        plain = [w.total(line(k, j), near) for j in range(radix)]
        ends = [w.total(folded(k, b), far if b & 1 else near) for b in range(radix)]
        reads, writes = (plain, ends) if forward else (ends, plain)
        results = compute([w.get(source, at) for at in reads])
        for at, value in zip(writes, results, strict=True):
            w.put(target, at, value)

    def pair(k: Any, i: Any) -> None:
        back = builder.sub(length, i)
        plain = [w.total(line(k, j), i) for j in range(radix)]
        ends = [w.total(folded(k, b), back if b & 1 else i) for b in range(radix)]
        reads, writes = (plain, ends) if forward else (ends, plain)
        number = builder.sub(builder.lshr(i, _INT(1)), _INT(1))
        roots_of = [None, *(_root(w, roots, number, radix, j) for j in range(1, radix))]
        operands = []
        for at, root in zip(reads, roots_of, strict=True):
            operand = w.get(source, builder.sub(at, _INT(1))), w.get(source, at)
            operands.append(turned(operand, root) if forward and root else operand)
        for at, root, (re, im) in zip(writes, roots_of, pairs(operands), strict=True):
            if root and not forward:
                re, im = root[0] * re - root[1] * im, root[0] * im + root[1] * re
            w.put(target, builder.sub(at, _INT(1)), re)
            w.put(target, at, im)

    with w.loop(groups) as k:
        single(first, k, _INT(0), end)
        if last is not None:
            even = builder.icmp_unsigned("==", builder.and_(length, _INT(1)), _INT(0))
            with builder.if_then(even):
                single(last, k, end, _INT(0))
        with w.loop(length, start=2, step=2) as i:
            pair(k, i)


def _pass(w: _Writer, kind: str, radix: int) -> Any:
    """The function of a module that does a pass."""
    name = f"hybrid_pass_{kind}_{radix}"
    module = w.builder.module
    tile, numbers = w.kind.as_pointer(), w.element.as_pointer()
    shape = ir.FunctionType(ir.VoidType(), [tile, tile, numbers, _INT, _INT])
    function = ir.Function(module, shape, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    for argument in function.args[:3]:
        argument.add_attribute("noalias")
    inner = _Writer(ir.IRBuilder(function.append_basic_block("entry")), w.element, w.lanes)
    if kind == "complex":
        _complex_pass(inner, radix, function.args)
    else:
        _real_pass(inner, radix, kind == "forward", function.args)
    inner.builder.ret_void()
    return function


# --- lines and tiles ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lines:
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

    def row(self, w: _Writer, tile: Any, m: Any, r: int) -> Any:
        """The address of vector ``m + r`` of a tile, where `m` is even."""
        if self.parts == 1:
            return w.row(tile, w.total(m, _INT(r)))
        side = w.builder.sub(_INT(r), self.swapped) if r & 1 else w.total(_INT(r), self.swapped)
        return w.row(tile, w.total(m, side))


def _by_form(
    w: _Writer,
    lines: _Lines,
    rows: Callable[[Any], None],
    columns: Callable[[Any], None],
    single: Callable[[Any, Any], None],
) -> None:
    """Copy squares of rows, or vectors of columns, or whatever is left number by number."""
    builder = w.builder
    whole = builder.icmp_signed("==", lines.valid, _INT(w.lanes))

    def lie(step: Any) -> Any:
        together = builder.icmp_signed("==", step, _INT(lines.parts))
        return builder.and_(whole, together)

    with builder.if_else(lie(lines.step)) as (then, otherwise):
        with then, w.loop(lines.count, step=lines.parts) as m:
            columns(m)
        with otherwise:
            squares = builder.and_(lines.count, _INT(-w.lanes))
            done = builder.select(lie(lines.inner), squares, _INT(0))
            with w.loop(done, step=w.lanes) as m:
                rows(m)
            with w.loop(lines.count, start=done) as m, w.loop(_INT(w.lanes)) as lane:
                single(m, lane)


def _place(w: _Writer, lines: _Lines, m: Any, lane: Any) -> Any:
    """Where number `m` of a line is."""
    start = w.times(lane, lines.step)
    if lines.parts == 1:
        return w.total(start, w.times(m, lines.inner))
    element, part = w.builder.lshr(m, _INT(1)), w.builder.and_(m, _INT(1))
    return w.total(start, w.times(element, lines.inner), part)


def _gather(w: _Writer, lines: _Lines, tile: Any) -> None:
    """Read lines into a tile; lanes that have none repeat the last."""
    builder, lanes = w.builder, w.lanes

    def rows(m: Any) -> None:
        found = [w.read(lines.memory, w.total(w.times(r, lines.step), m)) for r in range(lanes)]
        for r, row in enumerate(w.square(found)):
            builder.store(row, lines.row(w, tile, m, r))

    def columns(m: Any) -> None:
        at = _place(w, lines, m, _INT(0))
        if lines.parts == 1:
            builder.store(w.read(lines.memory, at), w.row(tile, m))
            return
        halves = w.read(lines.memory, at), w.read(lines.memory, w.total(at, _INT(lanes)))
        for part in (0, 1):
            picked = w.picked(*halves, range(part, 2 * lanes, 2))
            builder.store(picked, lines.row(w, tile, m, part))

    def single(m: Any, lane: Any) -> None:
        last = builder.sub(lines.valid, _INT(1))
        there = builder.icmp_signed("<", lane, last)
        at = _place(w, lines, m, builder.select(there, lane, last))
        value = builder.load(builder.gep(lines.memory, [at]))
        numbers = builder.bitcast(tile, w.element.as_pointer())
        row = builder.xor(m, lines.swapped)
        builder.store(value, builder.gep(numbers, [w.total(w.times(row, lanes), lane)]))

    _by_form(w, lines, rows, columns, single)


def _scatter(w: _Writer, lines: _Lines, tile: Any, scale: Any) -> None:
    """Write a tile to lines, times a number."""
    builder, lanes = w.builder, w.lanes
    factor = w.spread(scale, _INT(0))

    def scaled(m: Any, r: int = 0) -> Any:
        found = _Vector(builder, builder.load(lines.row(w, tile, m, r)))
        return (found * factor).value

    def rows(m: Any) -> None:
        found = [scaled(m, r) for r in range(lanes)]
        for r, row in enumerate(w.square(found)):
            w.write(lines.memory, w.total(w.times(r, lines.step), m), row)

    def columns(m: Any) -> None:
        at = _place(w, lines, m, _INT(0))
        if lines.parts == 1:
            w.write(lines.memory, at, scaled(m))
            return
        pair = scaled(m), scaled(m, 1)
        for half in (0, 1):
            places = [(j // 2) + lanes * (j % 2) for j in range(half * lanes, (half + 1) * lanes)]
            w.write(lines.memory, w.total(at, _INT(half * lanes)), w.picked(*pair, places))

    def single(m: Any, lane: Any) -> None:
        with builder.if_then(builder.icmp_signed("<", lane, lines.valid)):
            numbers = builder.bitcast(tile, w.element.as_pointer())
            at = w.total(w.times(builder.xor(m, lines.swapped), lanes), lane)
            value = builder.load(builder.gep(numbers, [at]))
            value = builder.fmul(value, builder.load(scale))
            builder.store(value, builder.gep(lines.memory, [_place(w, lines, m, lane)]))

    _by_form(w, lines, rows, columns, single)


def line_transform(kind: str, dtype: str, lanes: int, radices: Sequence[int]) -> Any:
    """A function that transforms at most `lanes` lines.

    ``transform(passes, count, roots, scale, x, at, step, inner, out, to, out_step, out_inner,
    valid, size, swapped, tile, other)``: `passes` has four numbers of each of `count` passes, its
    radix, its length, its groups, and where its roots of unity begin in `roots`. The `valid` lines
    of `size` elements begin at `x` and `at`, each `step` from the one before, its elements `inner`
    apart, and `out` likewise. `swapped` is 1 for the backward transform of complex lines, else 0.
    `tile` and `other` have two vectors more than a line has numbers. `kind` is "complex", "forward"
    for real lines to half of a spectrum, or "backward".
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
            w = _Writer(builder, context.get_data_type(numba_type(dtype)), lanes)
            tiles = [builder.bitcast(tile, w.kind.as_pointer()) for tile in values[15:]]
            half = w.times(2, builder.add(builder.lshr(size, _INT(1)), _INT(1)))
            whole = {"complex": w.times(2, size)}.get(kind, half)
            starts = builder.gep(x, [at]), builder.gep(out, [to])
            one = kind == "forward", kind == "backward"
            given, made = (
                _Lines(memory, *steps, 1 if plain else 2, valid, size if plain else whole, swapped)
                for memory, steps, plain in zip(
                    starts, ((step, inner), (out_step, out_inner)), one, strict=True
                )
            )
            # Half of a spectrum begins with a zero, as a tile has it behind the first number.
            shift = _INT(int(kind != "complex"))
            _gather(w, given, builder.gep(tiles[0], [_INT(int(kind == "forward"))]))
            if kind == "backward":
                builder.store(builder.load(tiles[0]), w.row(tiles[0], _INT(1)))
            bodies = [builder.gep(tile, [shift]) for tile in tiles]
            body = _all_passes(w, kind, radices, (passes, count, roots), bodies)
            if kind == "forward":
                front = builder.gep(body, [_INT(-1)])
                builder.store(builder.load(body), front)
                zero = ir.Constant(w.kind, None)
                builder.store(zero, body)
                builder.store(zero, w.row(body, size))
                _scatter(w, made, front, scale)
            else:
                _scatter(w, made, body, scale)
            return context.get_dummy_value()

        return signature, codegen

    return transform


def _all_passes(
    w: _Writer, kind: str, radices: Sequence[int], given: Sequence[Any], bodies: Sequence[Any]
) -> Any:
    """Do one pass after the other, from tile to tile; where the result is."""
    builder = w.builder
    passes, count, roots = given

    def turn(number: Any) -> tuple[Any, Any]:
        odd = builder.trunc(number, ir.IntType(1))
        return builder.select(odd, *reversed(bodies)), builder.select(odd, *bodies)

    with w.loop(count) as number:
        at = w.times(_NUMBERS, number)
        places = (builder.gep(passes, [w.total(at, _INT(i))]) for i in range(_NUMBERS))
        radix, length, groups, root = (builder.load(place) for place in places)
        numbers = builder.gep(roots, [root]), length, groups
        for known in radices:
            with builder.if_then(builder.icmp_signed("==", radix, _INT(known))):
                function = builder.module.globals.get(f"hybrid_pass_{kind}_{known}")
                function = function or _pass(w, kind, known)
                builder.call(function, [*turn(number), *numbers])
    return turn(count)[0]
