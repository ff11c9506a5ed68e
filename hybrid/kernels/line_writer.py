"""Code for vectors, as kernels of transforms write it: operators, loops, rows of tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from hybrid.kernels.tiles import with_corners_swapped
from hybrid.kernels.translate import kept
from hybrid.records import dataclass

INT = ir.IntType(64)
_LANE = ir.IntType(32)


class Vector:
    """A vector of the code that a builder writes; numbers beside it are all its lanes."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def _with(self, write: Any, other: Any, swapped: bool = False) -> Vector:
        kind = self.value.type
        given = other.value if isinstance(other, Vector) else kind([other] * kind.count)
        pair = (given, self.value) if swapped else (self.value, given)
        return Vector(self.builder, write(*pair))

    def __add__(self, other: Any) -> Vector:
        return self._with(self.builder.fadd, other)

    def __sub__(self, other: Any) -> Vector:
        return self._with(self.builder.fsub, other)

    def __mul__(self, other: Any) -> Vector:
        return self._with(self.builder.fmul, other)

    def __rmul__(self, other: Any) -> Vector:
        return self._with(self.builder.fmul, other, swapped=True)

    def __neg__(self) -> Vector:
        return Vector(self.builder, self.builder.fneg(self.value))


@dataclass(frozen=True, slots=True)
class Writer:
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
        a, b = (INT(x) if isinstance(x, int) else x for x in (a, b))
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
        index = builder.phi(INT)
        index.add_incoming(INT(start) if isinstance(start, int) else start, before)
        builder.cbranch(builder.icmp_signed("<", index, stop), inside, after)
        builder.position_at_end(inside)
        yield index
        index.add_incoming(builder.add(index, INT(step), flags=["nsw"]), builder.block)
        builder.branch(head).set_metadata("llvm.loop", kept(builder.module))
        builder.position_at_end(after)

    def row(self, tile: Any, index: Any) -> Any:
        """The address of a vector of a tile."""
        return self.builder.gep(tile, [index])

    def get(self, tile: Any, index: Any) -> Vector:
        """A vector of a tile."""
        return Vector(self.builder, self.builder.load(self.row(tile, index)))

    def put(self, tile: Any, index: Any, value: Vector) -> None:
        """Store a vector to a tile."""
        self.builder.store(value.value, self.row(tile, index))

    def spread(self, pointer: Any, index: Any) -> Vector:
        """The vector whose lanes are all one number of memory."""
        undefined = ir.Constant(self.kind, ir.Undefined)
        value = self.builder.load(self.builder.gep(pointer, [index]))
        first = self.builder.insert_element(undefined, value, _LANE(0))
        zeros = ir.Constant(ir.VectorType(_LANE, self.lanes), None)
        return Vector(self.builder, self.builder.shuffle_vector(first, undefined, zeros))

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
