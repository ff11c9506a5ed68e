"""The passes of Fourier transforms over tiles, whose rows are vectors.

A row has what has the same place in each of several lines, and a pass does to them what it would do
to one number, from one tile to another. Or it has neighbours of one long line, for which a pass
does the same, but with roots of unity of their own: kinds that begin with "own".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from hybrid.kernels.butterflies import BACKWARD, BY, FORWARD, Pair, turned
from hybrid.kernels.line_writer import INT, Vector, Writer

NUMBERS = 4  # of each pass


def _complex_pass(w: Writer, radix: int, own: bool, given: Sequence[Any]) -> None:
    """Write a pass over pairs, the real part of each before the other."""
    source, target, roots, length, groups = given
    builder = w.builder
    pairs = w.times(2, length)

    def rotated(value: Pair, i: Any, j: int) -> Pair:
        if not j or (i is zero and not own):
            return value
        if not own:
            return turned(value, _root(w, roots, builder.sub(i, INT(1)), radix, j))
        root = _own_root(w, roots, i, radix, j)
        found = turned(value, root)
        return found if i is not zero else _unless_one(w, root, value, found)

    def group(k: Any, i: Any) -> None:
        # A step between operands, and one between results: few addresses stay in registers.
        first = w.row(source, w.times(2, w.total(i, w.times(length, w.times(radix, k)))))
        operands = []
        for j in range(radix):
            at = w.row(first, w.times(pairs, j))
            operands.append((w.get(at, INT(0)), w.get(at, INT(1))))
        first = w.row(target, w.times(2, w.total(i, w.times(length, k))))
        apart = w.times(pairs, groups)
        for j, result in enumerate(BY[radix](operands)):
            at = w.row(first, w.times(apart, j))
            for part, value in enumerate(rotated(result, i, j)):
                w.put(at, INT(part), value)

    zero = INT(0)
    with w.loop(groups) as k:
        group(k, zero)
        with w.loop(length, start=1) as i:
            group(k, i)


def _root(w: Writer, roots: Any, number: Any, radix: int, j: int) -> Pair:
    at = w.times(2, w.total(w.times(number, radix - 1), INT(j - 1)))
    return w.spread(roots, at), w.spread(roots, w.builder.add(at, INT(1)))


def _own_root(w: Writer, roots: Any, number: Any, radix: int, j: int) -> Pair:
    """The roots of the lanes, a vector of cosines before one of sines."""
    at = w.times(2 * w.lanes, w.total(w.times(number, radix - 1), INT(j - 1)))
    parts = (w.read(roots, w.total(at, INT(part * w.lanes))) for part in (0, 1))
    re, im = (Vector(w.builder, part) for part in parts)
    return re, im


def _unless_one(w: Writer, root: Pair, value: Pair, otherwise: Pair) -> Pair:
    """What is not multiplied where a root is 1: an infinity would become NaN."""
    builder = w.builder
    one, zero = ir.Constant(w.kind, [1.0] * w.lanes), ir.Constant(w.kind, None)
    is_one = builder.fcmp_ordered("==", root[0].value, one)
    is_one = builder.and_(is_one, builder.fcmp_ordered("==", root[1].value, zero))
    re, im = (
        Vector(builder, builder.select(is_one, a.value, b.value))
        for a, b in zip(value, otherwise, strict=True)
    )
    return re, im


def _real_pass(w: Writer, radix: int, forward: bool, given: Sequence[Any]) -> None:
    """Write a pass over real numbers."""
    source, target, roots, length, groups = given
    builder = w.builder
    first, last, pairs = (FORWARD if forward else BACKWARD)[radix]
    end = builder.sub(length, INT(1))

    def line(k: Any, j: int) -> Any:
        """Where the numbers of one operand of a forward pass begin, or of one result of another."""
        return w.times(length, w.total(k, w.times(groups, j)))

    def folded(k: Any, b: int) -> Any:
        """The same of the other side, whose odd lines run backwards."""
        return w.times(length, w.total(w.times(radix, k), INT(b)))

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
        number = builder.sub(builder.lshr(i, INT(1)), INT(1))
        roots_of = [None, *(_root(w, roots, number, radix, j) for j in range(1, radix))]
        operands = [(w.get(source, builder.sub(at, INT(1))), w.get(source, at)) for at in reads]
        results = _of_pairs(pairs, forward, operands, roots_of)
        for at, (re, im) in zip(writes, results, strict=True):
            w.put(target, builder.sub(at, INT(1)), re)
            w.put(target, at, im)

    with w.loop(groups) as k:
        single(first, k, INT(0), end)
        if last is not None:
            even = builder.icmp_unsigned("==", builder.and_(length, INT(1)), INT(0))
            with builder.if_then(even):
                single(last, k, end, INT(0))
        with w.loop(length, start=2, step=2) as i:
            pair(k, i)


def _of_pairs(
    compute: Any, forward: bool, operands: Sequence[Pair], roots: Sequence[Pair | None]
) -> list[Pair]:
    """The results of pairs, which are turned before, or back after that."""
    if forward:
        given = zip(operands, roots, strict=True)
        return list(compute([turned(x, root) if root else x for x, root in given]))
    found = []
    for (re, im), root in zip(compute(operands), roots, strict=True):
        back = (root[0] * re - root[1] * im, root[0] * im + root[1] * re) if root else (re, im)
        found.append(back)
    return found


def _own_pairs_pass(w: Writer, radix: int, forward: bool, given: Sequence[Any]) -> None:
    """Write a pass over pairs of half a spectrum.

    Of each of `groups` pieces it makes one of `radix`, `length` places each, or the way back. What
    a place of the longer one has lies beside what came of the same place: in the array that would
    be in the middle of the line, or in its other half backwards.
    """
    source, target, roots, length, groups = given
    compute = (FORWARD if forward else BACKWARD)[radix][2]

    with w.loop(groups) as k, w.loop(length) as q:
        piece = w.row(source if forward else target, w.times(2, w.total(w.times(k, length), q)))
        apart = w.times(w.times(2, length), groups)
        pieces = [w.row(piece, w.times(apart, j)) for j in range(radix)]
        place = w.times(2 * radix, w.total(w.times(k, length), q))
        whole = w.row(target if forward else source, place)
        places = [w.row(whole, INT(2 * j)) for j in range(radix)]
        reads, writes = (pieces, places) if forward else (places, pieces)
        operands = [(w.get(at, INT(0)), w.get(at, INT(1))) for at in reads]
        roots_of = [None, *(_own_root(w, roots, q, radix, j) for j in range(1, radix))]
        results = _of_pairs(compute, forward, operands, roots_of)
        for at, result in zip(writes, results, strict=True):
            for part, value in enumerate(result):
                w.put(at, INT(part), value)


def _pass(w: Writer, kind: str, radix: int) -> Any:
    """The function of a module that does a pass."""
    name = f"hybrid_pass_{kind}_{radix}"
    module = w.builder.module
    tile, numbers = w.kind.as_pointer(), w.element.as_pointer()
    shape = ir.FunctionType(ir.VoidType(), [tile, tile, numbers, INT, INT])
    function = ir.Function(module, shape, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    for argument in function.args[:3]:
        argument.add_attribute("noalias")
    inner = Writer(ir.IRBuilder(function.append_basic_block("entry")), w.element, w.lanes)
    if kind.endswith("complex"):
        _complex_pass(inner, radix, kind == "own_complex", function.args)
    elif kind.startswith("own"):
        _own_pairs_pass(inner, radix, kind == "own_forward", function.args)
    else:
        _real_pass(inner, radix, kind == "forward", function.args)
    inner.builder.ret_void()
    return function


def all_passes(
    w: Writer, kind: str, radices: Sequence[int], given: Sequence[Any], bodies: Sequence[Any]
) -> Any:
    """Do one pass after the other, from tile to tile; where the result is."""
    builder = w.builder
    passes, count, roots = given

    def turn(number: Any) -> tuple[Any, Any]:
        odd = builder.trunc(number, ir.IntType(1))
        return builder.select(odd, *reversed(bodies)), builder.select(odd, *bodies)

    with w.loop(count) as number:
        at = w.times(NUMBERS, number)
        places = (builder.gep(passes, [w.total(at, INT(i))]) for i in range(NUMBERS))
        radix, length, groups, root = (builder.load(place) for place in places)
        numbers = builder.gep(roots, [root]), length, groups
        for known in radices:
            with builder.if_then(builder.icmp_signed("==", radix, INT(known))):
                function = builder.module.globals.get(f"hybrid_pass_{kind}_{known}")
                function = function or _pass(w, kind, known)
                builder.call(function, [*turn(number), *numbers])
    return turn(count)[0]
