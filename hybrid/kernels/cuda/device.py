"""What generated GPU source calls besides the scalar functions: memory, positions, neighbours.

``namespace()`` gives the names for the card. The tests run the same source in numba's simulator,
with Python functions in their place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from hybrid.kernels import build, half
from hybrid.kernels.casts import numba_type
from hybrid.kernels.emitting import types
from hybrid.kernels.scalar import intrinsic

_NARROW = ir.IntType(32)
_WIDE = ir.IntType(64)


def _element(pointer: Any) -> Any:
    """The type of what a pointer points to."""
    return pointer.dtype


@intrinsic
def load(typingctx: Any, pointer: Any, index: Any) -> Any:
    """Element ``index`` of an operand."""
    element = _element(pointer)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(builder.gep(args[0], [args[1]]))
        if element == types.boolean:
            return builder.icmp_unsigned("!=", value, value.type(0))
        return value

    return element(pointer, types.int64), codegen


@intrinsic
def store(typingctx: Any, pointer: Any, index: Any, value: Any) -> Any:
    """Write element ``index`` of an operand."""
    element = _element(pointer)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = args[2]
        if element == types.boolean:
            data = builder.zext(data, ir.IntType(8))
        builder.store(data, builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.none(pointer, types.int64, element), codegen


def _words(width: int, count: int) -> tuple[Any, int]:
    """The integers that ``count`` elements of ``width`` bytes are moved as, and how many."""
    total = width * count
    word = 8 if width == 8 else min(4, total)
    return ir.IntType(8 * word), total // word


def _place(builder: Any, pointer: Any, index: Any, word: Any, words: int) -> Any:
    kind = ir.VectorType(word, words) if words > 1 else word
    return builder.bitcast(builder.gep(pointer, [index]), kind.as_pointer())


def _split(builder: Any, packed: Any, word: Any, words: int, width: int) -> list[Any]:
    """The elements of a vector of words, as integers, lowest address first."""
    found = []
    for number in range(words):
        part = builder.extract_element(packed, _NARROW(number)) if words > 1 else packed
        for bit in range(0, word.width, 8 * width):
            shifted = builder.lshr(part, word(bit)) if bit else part
            piece = ir.IntType(8 * width)
            found.append(shifted if piece == word else builder.trunc(shifted, piece))
    return found


def _joined(builder: Any, pieces: list[Any], word: Any, words: int, width: int) -> Any:
    """Integers packed into a vector of words."""
    each = word.width // (8 * width)
    parts = []
    for number in range(words):
        part = None
        for place, piece in enumerate(pieces[number * each : (number + 1) * each]):
            wide = piece if piece.type == word else builder.zext(piece, word)
            wide = builder.shl(wide, word(8 * width * place)) if place else wide
            part = wide if part is None else builder.or_(part, wide)
        parts.append(part)
    if words == 1:
        return parts[0]
    packed = ir.Constant(ir.VectorType(word, words), ir.Undefined)
    for number, part in enumerate(parts):
        packed = builder.insert_element(packed, part, _NARROW(number))
    return packed


def vector_load(dtype: str, count: int) -> Any:
    """A function that reads ``count`` neighbours at once, as a tuple; they must be aligned."""
    element = numba_type(dtype)
    width = np.dtype(dtype).itemsize
    word, words = _words(width, count)

    @intrinsic
    def read(typingctx: Any, pointer: Any, index: Any) -> Any:
        result = types.UniTuple(element, count)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = _place(builder, args[0], args[1], word, words)
            packed = builder.load(place, align=width * count)
            values = []
            for piece in _split(builder, packed, word, words, width):
                if element == types.boolean:
                    values.append(builder.icmp_unsigned("!=", piece, piece.type(0)))
                else:
                    values.append(builder.bitcast(piece, context.get_value_type(element)))
            return context.make_tuple(builder, result, values)

        return result(pointer, types.int64), codegen

    return read


def vector_store(dtype: str, count: int) -> Any:
    """A function that writes a tuple of ``count`` neighbours at once; they must be aligned."""
    element = numba_type(dtype)
    width = np.dtype(dtype).itemsize
    word, words = _words(width, count)

    @intrinsic
    def write(typingctx: Any, pointer: Any, index: Any, values: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            piece = ir.IntType(8 * width)
            pieces = []
            for number in range(count):
                value = builder.extract_value(args[2], number)
                if element == types.boolean:
                    pieces.append(builder.zext(value, piece))
                else:
                    pieces.append(builder.bitcast(value, piece))
            place = _place(builder, args[0], args[1], word, words)
            packed = _joined(builder, pieces, word, words, width)
            builder.store(packed, place, align=width * count)
            return context.get_dummy_value()

        return types.none(pointer, types.int64, types.UniTuple(element, count)), codegen

    return write


def _quotient(narrow: bool) -> Any:
    @intrinsic
    def quotient(typingctx: Any, index: Any, size: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if not narrow:
                return builder.udiv(*args)
            small = [builder.trunc(value, _NARROW) for value in args]
            return builder.zext(builder.udiv(*small), _WIDE)

        return types.int64(types.int64, types.int64), codegen

    return quotient


# Positions are never negative; most fit into 32 bits, where a division by a constant costs least.
quotient32 = _quotient(narrow=True)
quotient64 = _quotient(narrow=False)


def namespace() -> dict[str, Any]:
    """The names that generated GPU source may use."""
    from numba import cuda

    names = build.scalar_namespace()
    names |= {
        "cuda": cuda,
        "function": function,
        "load": load,
        "store": store,
        "vector_load": vector_load,
        "vector_store": vector_store,
        "quotient32": quotient32,
        "quotient64": quotient64,
        "boolean": types.boolean,
    }
    names |= _between_lanes(cuda)
    for name in ("widen", "narrow"):
        for suffix in ("f16", "bf16"):
            names[f"{name}_{suffix}"] = getattr(half, f"{name}_{suffix}")
    return names


def function(name: str, dtype: str) -> Any:
    """The scalar function of a template."""
    return getattr(half, name, None) or build.function(name, dtype)


def _between_lanes(cuda: Any) -> dict[str, Any]:
    """Functions that give the value of another lane of the warp; all lanes call them."""
    everyone = 0xFFFFFFFF

    @cuda.jit(device=True, forceinline=True)
    def exchange(value: Any, mask: Any) -> Any:
        """Of the lane whose number differs in the bits of ``mask``."""
        return cuda.shfl_xor_sync(everyone, value, mask)

    @cuda.jit(device=True, forceinline=True)
    def before(value: Any, distance: Any) -> Any:
        """Of the lane ``distance`` before; the first lanes get their own."""
        return cuda.shfl_up_sync(everyone, value, distance)

    @cuda.jit(device=True, forceinline=True)
    def of_lane(value: Any, lane: Any) -> Any:
        """Of the lane with this number in the warp."""
        return cuda.shfl_sync(everyone, value, lane)

    return {"exchange": exchange, "before": before, "of_lane": of_lane}


def pointer_type(dtype: str) -> Any:
    """The numba type of a kernel's pointer to elements of a dtype."""
    return types.CPointer(numba_type(dtype))


def index_type() -> Any:
    """The numba type of a kernel's numbers."""
    return types.int64
