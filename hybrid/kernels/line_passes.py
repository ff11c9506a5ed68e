"""The passes of Fourier transforms over tiles, whose rows are vectors.

A row has what has the same place in each of several lines, and a pass does to them what it would do
to one number, from one tile to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from hybrid.kernels.butterflies import BACKWARD, BY, FORWARD, Pair, turned
from hybrid.kernels.line_writer import INT, Writer

_NUMBERS = 4  # of each pass


def _complex_pass(w: Writer, radix: int, given: Sequence[Any]) -> None:
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
            operands.append((w.get(at, INT(0)), w.get(at, INT(1))))
        first = w.row(target, w.times(2, w.total(i, w.times(length, k))))
        apart = w.times(pairs, groups)
        for j, result in enumerate(BY[radix](operands)):
            if j and i is not zero:
                result = turned(result, _root(w, roots, builder.sub(i, INT(1)), radix, j))
            at = w.row(first, w.times(apart, j))
            for part, value in enumerate(result):
                w.put(at, INT(part), value)

    zero = INT(0)
    with w.loop(groups) as k:
        group(k, zero)
        with w.loop(length, start=1) as i:
            group(k, i)


def _root(w: Writer, roots: Any, number: Any, radix: int, j: int) -> Pair:
    at = w.times(2, w.total(w.times(number, radix - 1), INT(j - 1)))
    return w.spread(roots, at), w.spread(roots, w.builder.add(at, INT(1)))


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
        operands = []
        for at, root in zip(reads, roots_of, strict=True):
            operand = w.get(source, builder.sub(at, INT(1))), w.get(source, at)
            operands.append(turned(operand, root) if forward and root else operand)
        for at, root, (re, im) in zip(writes, roots_of, pairs(operands), strict=True):
            if root and not forward:
                re, im = root[0] * re - root[1] * im, root[0] * im + root[1] * re
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
    if kind == "complex":
        _complex_pass(inner, radix, function.args)
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
        at = w.times(_NUMBERS, number)
        places = (builder.gep(passes, [w.total(at, INT(i))]) for i in range(_NUMBERS))
        radix, length, groups, root = (builder.load(place) for place in places)
        numbers = builder.gep(roots, [root]), length, groups
        for known in radices:
            with builder.if_then(builder.icmp_signed("==", radix, INT(known))):
                function = builder.module.globals.get(f"hybrid_pass_{kind}_{known}")
                function = function or _pass(w, kind, known)
                builder.call(function, [*turn(number), *numbers])
    return turn(count)[0]
