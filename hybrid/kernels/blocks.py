"""Blocks of elements: asked for ahead, and made whole where an array ends.

The processor sees few of the loads to come while it computes functions, so that memory and
functions would take turns. What an array's end leaves of a block is copied to a whole one, computed
like any other, and copied back: no code but that of whole vectors is needed.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from hybrid.kernels import wide
from hybrid.kernels.scalar import intrinsic

_ADDRESS = ir.IntType(8).as_pointer()
_LANE = ir.IntType(32)
_INT = ir.IntType(64)
_LINE = 64  # bytes of a line of the cache


@functools.cache
def fetcher(count: int) -> Any:
    """A function that asks for ``count`` elements, from where ``at`` is on."""

    @intrinsic
    def fetch(typingctx: Any, source: Any, at: Any) -> Any:
        lines = max(count * np.dtype(source.stored).itemsize // _LINE, 1)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            place = builder.bitcast(builder.gep(values[0], [values[1]]), _ADDRESS)
            for line in range(lines):
                ask(builder, builder.gep(place, [_INT(line * _LINE)]), write=False)
            return context.get_dummy_value()

        return types.none(source, types.int64), codegen

    return fetch


@intrinsic
def fetch_to_write(typingctx: Any, target: Any, at: Any) -> Any:
    """Ask for the line where ``at`` is, to change it."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.bitcast(builder.gep(values[0], [values[1]]), _ADDRESS)
        ask(builder, place, write=True)
        return context.get_dummy_value()

    return types.none(target, types.int64), codegen


def _asking(write: bool) -> Any:
    """A function that gives a float as it is, and asks for the line where ``at`` is.

    Vectors of it ask for one line after the other: ``at`` has to move on with the loop's variable.
    """

    @intrinsic
    def ask(typingctx: Any, value: Any, memory: Any, at: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            value, start, number = values
            place = builder.gep(start, [number])
            return wide.asking(builder, value, place, write)

        return value(value, memory, types.int64), codegen

    return ask


asking = _asking(write=False)
asking_to_write = _asking(write=True)


@intrinsic
def asking_both(
    typingctx: Any, value: Any, memory: Any, at: Any, target: Any, there: Any, step: Any
) -> Any:
    """The same for both: ``step`` elements behind ``at`` to read, behind ``there`` to write."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        value, memory, at, target, there, step = values
        start = builder.gep(memory, [at])
        others = builder.gep(target, [there])
        away = builder.sub(builder.ptrtoint(others, _INT), builder.ptrtoint(start, _INT))
        return wide.asking_both(builder, value, builder.gep(start, [step]), away)

    return value(value, memory, types.int64, target, types.int64, types.int64), codegen


def ask(builder: Any, place: Any, write: bool) -> None:
    """Ask for the line of the cache at an address, to be read or written."""
    kind = ir.FunctionType(ir.VoidType(), [_ADDRESS, *[_LANE] * 3])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(prefetch, [place, *(_LANE(x) for x in (int(write), 3, 1))])


@functools.cache
def padded(count: int) -> Any:
    """A function that gives a pointer to ``count`` elements, of which a source has ``some``.

    Where that is less, it is one to their copy, in which the first is repeated.
    """

    @intrinsic
    def choose(typingctx: Any, source: Any, rest: Any, some: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            given, some = values[0], values[2]
            rest, before = builder.bitcast(values[1], given.type), builder.block
            with builder.if_then(_fewer(builder, some, count), likely=False):
                first = _repeated(builder, builder.load(given), count)
                builder.store(
                    _Masked(builder, count, some).load(given, first),
                    _whole(builder, rest, count),
                    align=_LINE,
                )
                after = builder.block
            found = builder.phi(given.type)
            found.add_incoming(given, before)
            found.add_incoming(rest, after)
            return found

        return source(source, rest, types.int64), codegen

    return choose


@functools.cache
def elsewhere(count: int) -> Any:
    """A function that says where to store ``count`` elements, of which ``some`` are wanted."""

    @intrinsic
    def choose(typingctx: Any, target: Any, rest: Any, some: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            given, rest, some = values
            rest = builder.bitcast(rest, given.type)
            return builder.select(_fewer(builder, some, count), rest, given)

        return target(target, rest, types.int64), codegen

    return choose


@functools.cache
def put_back(count: int) -> Any:
    """A function that copies what is wanted from there."""

    @intrinsic
    def copy(typingctx: Any, target: Any, rest: Any, some: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            given, rest, some = values
            with builder.if_then(_fewer(builder, some, count), likely=False):
                value = builder.load(_whole(builder, rest, count), align=_LINE)
                _Masked(builder, count, some).store(value, given)
            return context.get_dummy_value()

        return types.none(target, rest, types.int64), codegen

    return copy


def _fewer(builder: Any, some: Any, count: int) -> Any:
    return builder.icmp_signed("<", some, _INT(count))


def _whole(builder: Any, pointer: Any, count: int) -> Any:
    return builder.bitcast(pointer, ir.VectorType(pointer.type.pointee, count).as_pointer())


def _repeated(builder: Any, value: Any, count: int) -> Any:
    kind = ir.VectorType(value.type, count)
    one = builder.insert_element(kind(ir.Undefined), value, _LANE(0))
    return builder.shuffle_vector(one, kind(ir.Undefined), ir.VectorType(_LANE, count)([0] * count))


class _Masked:
    """Loads and stores of the first ``some`` of ``count`` elements."""

    def __init__(self, builder: Any, count: int, some: Any) -> None:
        small = ir.IntType(16)
        numbers = ir.VectorType(small, count)(list(range(count)))
        self.builder, self.count = builder, count
        limit = _repeated(builder, builder.trunc(some, small), count)
        self.mask = builder.icmp_signed("<", numbers, limit)

    def load(self, pointer: Any, others: Any) -> Any:
        """The elements from a pointer on, and others."""
        kinds = (others.type, [pointer.type, _LANE, self.mask.type, others.type])
        function = self._function("load", pointer, *kinds)
        return self.builder.call(function, [pointer, _LANE(1), self.mask, others])

    def store(self, value: Any, pointer: Any) -> None:
        """Write elements from a pointer on."""
        kinds = (ir.VoidType(), [value.type, pointer.type, _LANE, self.mask.type])
        function = self._function("store", pointer, *kinds)
        self.builder.call(function, [value, pointer, _LANE(1), self.mask])

    def _function(self, name: str, pointer: Any, result: Any, given: Any) -> Any:
        kind = pointer.type.pointee
        suffix = {"float": "f32", "double": "f64"}.get(str(kind), str(kind))
        symbol = f"llvm.masked.{name}.v{self.count}{suffix}.p0"
        signature = ir.FunctionType(result, given)
        return cgutils.get_or_insert_function(self.builder.module, signature, symbol)
