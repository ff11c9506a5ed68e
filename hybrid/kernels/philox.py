"""Random words inside of kernels: Philox 4x64 with ten rounds, bit for bit that of NumPy.

A state is three 64-bit words, a key of two and the count of the blocks drawn before. The counter
moves on before it is used. So word ``i`` of the stream is word ``i % 4`` of the cipher of
``count + 1 + i // 4``; a word of 32 bits is half of one of these, the lower half first.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from hybrid.kernels.memory import Operand
from hybrid.kernels.scalar import intrinsic

_WORD = ir.IntType(64)
_WIDE = ir.IntType(128)
# Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
_ROUNDS = 10
_FACTORS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
WORDS = 4  # of a block


def _product(builder: Any, factor: int, x: Any) -> tuple[Any, Any]:
    """The upper and the lower half of a product."""
    wide = builder.mul(builder.zext(x, _WIDE), _WIDE(factor))
    return builder.trunc(builder.lshr(wide, _WIDE(64)), _WORD), builder.trunc(wide, _WORD)


def _cipher(builder: Any, state: Any, block: Any) -> list[Any]:
    """The four words of a block."""
    key = [builder.load(builder.gep(state, [_WORD(i)])) for i in range(2)]
    before = builder.load(builder.gep(state, [_WORD(2)]))
    first = builder.add(before, builder.add(block, _WORD(1)))
    carry = builder.zext(builder.icmp_unsigned("<=", first, before), _WORD)
    words = [first, carry, _WORD(0), _WORD(0)]
    for number in range(_ROUNDS):
        if number:
            pairs = zip(key, _KEY_STEPS, strict=True)
            key = [builder.add(k, _WORD(step)) for k, step in pairs]
        high0, low0 = _product(builder, _FACTORS[0], words[0])
        high1, low1 = _product(builder, _FACTORS[1], words[2])
        left = builder.xor(builder.xor(high1, words[1]), key[0])
        right = builder.xor(builder.xor(high0, words[3]), key[1])
        words = [left, low1, right, low0]
    return words


@intrinsic
def draw_block(typingctx: Any, row: Any, at: Any, state: Any, block: Any) -> Any:
    """Store a block of the stream as the block number ``at`` of a row of words."""
    if not isinstance(row, Operand):
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        memory, at, state, block = values
        target = builder.bitcast(memory, _WORD.as_pointer())
        for i, word in enumerate(_cipher(builder, state, block)):
            place = builder.add(builder.mul(at, _WORD(WORDS)), _WORD(i))
            builder.store(word, builder.gep(target, [place]), align=row.element(context).width // 8)
        return context.get_dummy_value()

    return types.none(row, types.int64, state, types.int64), codegen


def _one_word(name: str, kind: Any, share: int) -> Any:
    def typed(typingctx: Any, state: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            state, index = values
            words = _cipher(builder, state, builder.udiv(index, _WORD(WORDS * share)))
            place = builder.urem(builder.udiv(index, _WORD(share)), _WORD(WORDS))
            word = words[0]
            for i in range(1, WORDS):
                word = builder.select(builder.icmp_unsigned("==", place, _WORD(i)), words[i], word)
            if share == 1:
                return word
            shift = builder.mul(builder.urem(index, _WORD(share)), _WORD(64 // share))
            return builder.trunc(builder.lshr(word, shift), ir.IntType(64 // share))

        return kind(state, types.int64), codegen

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


# One word of the stream, for where neighbours are not wanted: it costs as much as a block.
word_uint64 = _one_word("word_uint64", types.uint64, 1)
word_uint32 = _one_word("word_uint32", types.uint32, 2)
