"""Where the extreme of a row is, by vector instructions: one sweep, and a look at one block.

Each lane of a vector keeps the most extreme of its elements and in which block of the row that was,
which takes three instructions a block of some vectors. Of the lanes with the extreme of all, the
one with the first block says where to look for it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from hybrid.kernels.blocks import ask
from hybrid.kernels.casts import numba_type
from hybrid.kernels.scalar import intrinsic

_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)
# Bytes of a line of the cache, and how far ahead lines are asked for. The processor asks ahead by
# itself, but later: rows of 2,000 take a sixth less so, from the second level and from memory.
_LINE, _AHEAD = 64, 2048


def first_extreme(dtype: str, largest: bool, vectors: int, lanes: int) -> Any:
    """A function that finds the largest or smallest element of a row, the first of several.

    ``find(x, start, count)`` is its place in the `count` elements from `start` on; -1 if there
    is a NaN among them. They are at least ``vectors * lanes``, a block, `vectors` being a power of
    2, and at most 2**8 blocks.
    """

    @intrinsic
    def find(typingctx: Any, x: Any, start: Any, count: Any) -> Any:
        number = numba_type(dtype)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            element = context.get_data_type(number)
            row = _Row(builder, element, number, largest, vectors, lanes)
            return row.place(*values)

        return types.int64(x, types.int64, types.int64), codegen

    return find


class _Row:
    """The instructions for rows of one kind of number."""

    def __init__(
        self, builder: Any, element: Any, number: Any, largest: bool, vectors: int, lanes: int
    ) -> None:
        self.builder = builder
        self.vectors = vectors
        self.element = element
        self.lanes = lanes
        self.real = isinstance(number, types.Float)
        self.signed = self.real or number.signed
        self.compare = builder.icmp_signed if self.signed else builder.icmp_unsigned
        if self.real:
            self.compare = builder.fcmp_ordered
        self.largest = largest
        self.kind = ir.VectorType(element, lanes)
        self.bits = number.bitwidth
        self.places = ir.VectorType(ir.IntType(self.bits), lanes)

    def place(self, x: Any, start: Any, count: Any) -> Any:
        """The place of the extreme."""
        builder, block = self.builder, self.vectors * self.lanes
        last = builder.sub(count, _INDEX(block))
        blocks = builder.sdiv(builder.add(count, _INDEX(block - 1)), _INDEX(block))
        best, where, nan = (
            cgutils.alloca_once_value(builder, value)
            for value in (
                ir.Constant(self.kind, [self._worst()] * self.lanes),
                ir.Constant(self.places, [0] * self.lanes),
                ir.Constant(ir.VectorType(ir.IntType(1), self.lanes), [0] * self.lanes),
            )
        )
        with cgutils.for_range(builder, blocks) as loop:
            self._ask(x, start, loop.index)
            found = self._block(x, start, loop.index, last)
            if self.real:
                for one, other in zip(found[::2], found[1::2], strict=True):
                    either = builder.fcmp_unordered("uno", one, other)
                    builder.store(builder.or_(builder.load(nan), either), nan)
            while len(found) > 1:
                pairs = zip(found[::2], found[1::2], strict=True)
                found = [builder.select(self._beyond(a, b), a, b) for a, b in pairs]
            better = self._beyond(found[0], builder.load(best))
            builder.store(builder.select(better, found[0], builder.load(best)), best)
            number = self._spread(self._narrowed(loop.index), self.places)
            builder.store(builder.select(better, number, builder.load(where)), where)
        extreme = self._spread(self._reduced(builder.load(best)), self.kind)
        nowhere = ir.Constant(self.places, [-1] * self.lanes)
        holds = self.compare("==", builder.load(best), extreme)
        among = builder.select(holds, builder.load(where), nowhere)
        first = self._called("umin", self.places, among)
        first = builder.zext(first, _INDEX) if self.bits < 64 else first
        place = self._found(self._block(x, start, first, last), extreme)
        place = builder.add(self._begin(first, last), place)
        mask = builder.bitcast(builder.load(nan), ir.IntType(self.lanes))
        none = builder.icmp_unsigned("==", mask, mask.type(0))
        return builder.select(none, place, _INDEX(-1))

    def _begin(self, block: Any, last: Any) -> Any:
        """Where a block begins: the last one ends with the row."""
        begin = self.builder.mul(block, _INDEX(self.vectors * self.lanes))
        return self.builder.select(self.builder.icmp_signed("<", begin, last), begin, last)

    def _ask(self, x: Any, start: Any, block: Any) -> None:
        """Ask for a block further on, which may be beyond the row: most often that is the next."""
        builder, width = self.builder, self.bits // 8
        size = self.vectors * self.lanes
        begin = builder.add(start, builder.mul(block, _INDEX(size)))
        for byte in range(_AHEAD, _AHEAD + size * width, _LINE):
            there = builder.gep(x, [builder.add(begin, _INDEX(byte // width))])
            ask(builder, builder.bitcast(there, ir.IntType(8).as_pointer()), write=False)

    def _block(self, x: Any, start: Any, block: Any, last: Any) -> list[Any]:
        builder = self.builder
        begin = builder.add(start, self._begin(block, last))
        pointers = (
            builder.gep(x, [builder.add(begin, _INDEX(v * self.lanes))])
            for v in range(self.vectors)
        )
        places = (builder.bitcast(pointer, self.kind.as_pointer()) for pointer in pointers)
        return [builder.load(place, align=self.bits // 8) for place in places]

    def _found(self, vectors: list[Any], extreme: Any) -> Any:
        """The first place in a block where the extreme is."""
        builder, found = self.builder, _INDEX(0)
        for v, vector in reversed(tuple(enumerate(vectors))):
            mask = builder.bitcast(self.compare("==", vector, extreme), ir.IntType(self.lanes))
            lane = builder.cttz(mask, ir.IntType(1)(0))
            lane = builder.zext(lane, _INDEX) if self.lanes < 64 else lane
            here = builder.add(lane, _INDEX(v * self.lanes))
            found = builder.select(builder.icmp_unsigned("!=", mask, mask.type(0)), here, found)
        return found

    def _beyond(self, a: Any, b: Any) -> Any:
        """Whether `a` is more extreme; with a NaN it is not."""
        return self.compare(">" if self.largest else "<", a, b)

    def _worst(self) -> Any:
        if self.real:
            return float("-inf" if self.largest else "inf")
        low, high = (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        if not self.signed:
            low, high = 0, 2**self.bits - 1
        return low if self.largest else high

    def _reduced(self, vector: Any) -> Any:
        letter = "f" if self.real else "s" if self.signed else "u"
        return self._called(letter + ("max" if self.largest else "min"), self.kind, vector)

    def _called(self, name: str, kind: Any, vector: Any) -> Any:
        letter = "f" if kind is self.kind and self.real else "i"
        full = f"llvm.vector.reduce.{name}.v{self.lanes}{letter}{self.bits}"
        module = self.builder.module
        function = module.globals.get(full) or ir.Function(
            module, ir.FunctionType(kind.element, [kind]), full
        )
        # The most extreme of a lane is no NaN, since with one nothing compares as more extreme.
        return self.builder.call(function, [vector], fastmath=("nnan",) if letter == "f" else ())

    def _narrowed(self, index: Any) -> Any:
        return self.builder.trunc(index, self.places.element) if self.bits < 64 else index

    def _spread(self, value: Any, kind: Any) -> Any:
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, _LANE(0))
        zeros = ir.Constant(ir.VectorType(_LANE, self.lanes), None)
        return self.builder.shuffle_vector(first, undefined, zeros)
