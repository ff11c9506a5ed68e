"""Random numbers on a GPU: Philox 4x64, the words of the CPU's generator.

Every number is a function of the generator's state and of its own place, so that threads draw
independently. All equal the CPU's bit for bit, normal ones too (``hybrid.kernels.normals``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hybrid.kernels.cuda.handwritten import strided
from hybrid.kernels.cuda.source import Source
from hybrid.kernels.cuda.spec import HALVES, THREADS
from hybrid.records import dataclass

# Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011): the multipliers, what is
# added to the key after each of the ten rounds.
_HEAD = """
M0, M1 = uint64(0xD2E7470EE14C6C93), uint64(0xCA5A826395121157)
W0, W1 = uint64(0x9E3779B97F4A7C15), uint64(0xBB67AE8584CAA73B)
ZERO, ONE = uint64(0), uint64(1)
to_u64 = cast_to("uint64")
high = function("high_word", "uint64")
shift = function("right_shift", "uint64")
"""
_WORDS = 4  # of a block
_ROUNDS = 10

# 64-bit words as numbers of [0, 1): the upper 53 bits; of 32-bit words the upper 24.
_UNIT = {
    "float64": 'ELEVEN, UNIT = uint64(11), float64(2.0**-53)\nunit = cast_to("float64")',
    "float32": 'EIGHT, UNIT = uint64(8), float32(2.0**-24)\nunit = cast_to("float32")',
}
_HALF_WORDS = "LOW32, THIRTY_TWO = uint64(0xFFFFFFFF), uint64(32)"


@dataclass(frozen=True, slots=True)
class Draw:
    """A kernel that draws numbers; pointers: the state of three words, the result.

    Its numbers are the ``count`` of threads with work, and the ``size`` of the result.

    Attributes
    ----------
    source : Source
    each : int
        What a thread draws.
    pairs : bool
        Whether that is pairs of numbers.
    """

    source: Source
    each: int
    pairs: bool = False

    def count(self, size: int) -> int:
        """How many threads have work."""
        drawn = (size + 1) // 2 if self.pairs else size
        return -(-drawn // self.each)


def draw(op: str, attrs: Mapping[str, Any], threads: int = THREADS) -> Draw:
    """The kernel of an op of ``hybrid.ops.drawing``, by its name and attributes."""
    dtype = attrs["dtype"].name if "dtype" in attrs else "uint64"
    if op == "random_bits":
        return bits(threads)
    if op == "random_words":
        return words(threads) if dtype == "uint32" else bits(threads)
    if op == "random_integers":
        return integers(dtype, attrs["low"], attrs["high"], threads)
    if op == "random_uniform":
        return uniform(dtype, float(attrs["low"]), float(attrs["high"]), threads)
    return normal(dtype, float(attrs["mean"]), float(attrs["std"]), threads)


def _block(name: str, place: str) -> Iterator[str]:
    """Set ``NAME0`` to ``NAME3`` to the words of block ``place`` behind the state's counter."""
    yield "base = load(state, 2)"
    yield f"{name}0 = add(add(base, to_u64({place})), ONE)"
    # NumPy's generator moves its counter on before it draws a block.
    yield f"{name}1 = select({name}0 <= base, ONE, ZERO)"
    yield f"{name}2 = ZERO"
    yield f"{name}3 = ZERO"
    yield "k0 = load(state, 0)"
    yield "k1 = load(state, 1)"
    yield f"for turn in range({_ROUNDS}):"
    yield f"    n0 = xor(xor(high(M1, {name}2), {name}1), k0)"
    yield f"    n1 = mul(M1, {name}2)"
    yield f"    n2 = xor(xor(high(M0, {name}0), {name}3), k1)"
    yield f"    n3 = mul(M0, {name}0)"
    for word in range(_WORDS):
        yield f"    {name}{word} = n{word}"
    yield "    k0 = add(k0, W0)"
    yield "    k1 = add(k1, W1)"


def _halves(name: str) -> Iterator[str]:
    """The 32-bit words of a block, low ones first."""
    for word in range(_WORDS):
        yield f"and_({name}{word}, LOW32)"
        yield f"shift({name}{word}, THIRTY_TWO)"


def _stored(text: str, dtype: str) -> str:
    return f"narrow_{HALVES[dtype]}({text})" if dtype in HALVES else text


def _drawn(name: str, dtype: str, head: str, texts: list[list[str]], threads: int) -> Source:
    """A kernel whose threads draw a block and store what is computed by each list of lines.

    The last line of a list is the value itself.
    """
    lines = [*_block("c", "index"), f"place = index * {len(texts)}"]
    for number, (*before, value) in enumerate(texts):
        lines.append(f"if place + {number} < size:")
        lines += [f"    {line}" for line in before]
        lines.append(f"    store(out, place + {number}, {value})")
    pointers = {"state": "uint64", "out": dtype}
    return strided(name, pointers, ("count", "size"), _HEAD + head, "\n".join(lines), threads)


@functools.cache
def bits(threads: int = THREADS) -> Draw:
    """64-bit words."""
    texts = [[f"c{word}"] for word in range(_WORDS)]
    return Draw(_drawn("random_bits", "uint64", "", texts, threads), _WORDS)


@functools.cache
def words(threads: int = THREADS) -> Draw:
    """32-bit words, the lower halves of 64-bit ones first."""
    texts = [[f"short({text})"] for text in _halves("c")]
    head = f'{_HALF_WORDS}\nshort = cast_to("uint32")'
    return Draw(_drawn("random_words", "uint32", head, texts, threads), 2 * _WORDS)


@functools.cache
def uniform(dtype: str, low: float, high: float, threads: int = THREADS) -> Draw:
    """Numbers spread evenly over a half-open interval."""
    kind = "float64" if dtype == "float64" else "float32"
    head = [_UNIT[kind], _HALF_WORDS]
    if kind == "float64":
        raw = [f"unit(shift(c{word}, ELEVEN)) * UNIT" for word in range(_WORDS)]
    else:
        raw = [f"unit(shift({text}, EIGHT)) * UNIT" for text in _halves("c")]
    after = []
    if (low, high) != (0, 1):
        head.append(f"SCALE, LOW = {_constant(high - low, kind)}, {_constant(low, kind)}")
        after.append("value = value * SCALE + LOW")
    if dtype in HALVES:
        head.append(f'rounded = function("round_{HALVES[dtype]}", "float32")')
        after.append("value = rounded(value)")
    if low < high:
        # Rounding must not reach the open end.
        top = np.asarray(high, dtype)
        below = np.nextafter(top, np.asarray(low, dtype))
        head.append(f"TOP, BELOW = {_constant(top, kind)}, {_constant(below, kind)}")
        after.append("value = select(value >= TOP, BELOW, value)")
    texts = [[f"value = {text}", *after, _stored("value", dtype)] for text in raw]
    source = _drawn(f"random_uniform_{dtype}", dtype, "\n".join(head), texts, threads)
    return Draw(source, len(raw))


@functools.cache
def integers(dtype: str, low: int, high: int, threads: int = THREADS) -> Draw:
    """Whole numbers of a half-open interval: the upper words of products with its length."""
    head = f"FROM, RANGE = uint64({low % 2**64}), uint64({(high - low) % 2**64})\n"
    if dtype != "uint64":
        head += f'whole = cast_to("{dtype}")'
    whole = "{}" if dtype == "uint64" else "whole({})"
    drawn = "c{}" if high - low == 2**64 else "high(c{}, RANGE)"
    texts = [[whole.format(f"add({drawn.format(word)}, FROM)")] for word in range(_WORDS)]
    return Draw(_drawn(f"random_integers_{dtype}", dtype, head, texts, threads), _WORDS)


@functools.cache
def normal(dtype: str, mean: float, std: float, threads: int = THREADS) -> Draw:
    """Normally distributed numbers by Box and Muller's transform.

    Of n pairs, the first n words give radii and the next n angles; cosines come first, then sines.
    The words of a thread's angles lie in two blocks, unless n is a multiple of a block's words.
    """
    kind = "float64" if dtype == "float64" else "float32"
    each = _WORDS if kind == "float64" else 2 * _WORDS
    head = [
        f'unit = cast_to("{kind}")',
        f"ELEVEN, HALF, UNIT = uint64(11), {_constant(0.5, kind)}, "
        + _constant(2.0**-53 if kind == "float64" else 2.0**-32, kind),
        _HALF_WORDS,
        *(f'{name} = function("normal_{name}", "{kind}")' for name in ("radius", "cosine", "sine")),
    ]
    spread = (mean, std) != (0, 1)
    if spread:
        head.append(f"MEAN, STD = {_constant(mean, kind)}, {_constant(std, kind)}")
    lines = [
        "pairs = quotient64(size + 1, 2)",
        f"whole = quotient64(pairs, {each})",
        f"skip = pairs - whole * {each}",
        *_block("r", "index"),
        *_block("a", "whole + index"),
        *_block("b", "whole + index + 1"),
        f"place = index * {each}",
    ]
    radii = list(_words("r", kind))
    angles = [*_words("a", kind), *_words("b", kind)]
    for number in range(each):
        chosen = angles[number]
        for skip in range(1, each):
            chosen = f"select(skip == {skip}, {angles[number + skip]}, {chosen})"
        lines += [
            f"if place + {number} < pairs:",
            f"    distance = radius((unit({radii[number]}) + HALF) * UNIT)",
            f"    turns = (unit({chosen}) + HALF) * UNIT",
            "    value = distance * cosine(turns)",
            "    other = distance * sine(turns)",
        ]
        if spread:
            lines += ["    value = value * STD + MEAN", "    other = other * STD + MEAN"]
        lines += [
            f"    store(out, place + {number}, {_stored('value', dtype)})",
            f"    if pairs + place + {number} < size:",
            f"        store(out, pairs + place + {number}, {_stored('other', dtype)})",
        ]
    pointers = {"state": "uint64", "out": dtype}
    text = _HEAD + "\n".join(head)
    name = f"random_normal_{dtype}"
    source = strided(name, pointers, ("count", "size"), text, "\n".join(lines), threads)
    return Draw(source, each, pairs=True)


def _words(name: str, kind: str) -> Iterator[str]:
    """The words of a block from which numbers of a dtype are made."""
    if kind == "float32":
        yield from _halves(name)
    else:
        yield from (f"shift({name}{word}, ELEVEN)" for word in range(_WORDS))


def _constant(value: Any, kind: str) -> str:
    return f"{kind}({float(value)!r})"


@functools.cache
def advance(threads: int = THREADS) -> Source:
    """The state once ``count`` blocks are drawn. Pointers: the state, the new one."""
    step = """
if index == 0:
    store(out, 0, load(state, 0))
    store(out, 1, load(state, 1))
    store(out, 2, add(load(state, 2), to_u64(count)))
"""
    pointers = {"state": "uint64", "out": "uint64"}
    return strided("random_advance", pointers, ("count",), _HEAD, step, threads)
