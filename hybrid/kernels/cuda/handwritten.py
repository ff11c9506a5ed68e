"""GPU kernels that no Region describes: random numbers, gathering and scattering.

Each function gives a Source; the numbers that a launch passes are named in its docstring.
"""

from __future__ import annotations

import functools

from hybrid.kernels.cuda.source import PLACEHOLDER, Source, finished, stored_dtype
from hybrid.kernels.cuda.spec import THREADS

_STRIDED = f"""
def {PLACEHOLDER}_run(@):
    index = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    while index < count:
%
        index += cuda.gridDim.x * THREADS
"""


def _source(
    word: str,
    pointers: dict[str, str],
    numbers: tuple[str, ...],
    head: str,
    step: str,
    threads: int,
) -> Source:
    """A kernel of one launch whose threads stride over ``count`` items."""
    parameters = ", ".join([*pointers, *numbers])
    body = "\n".join(f"        {line}" if line else "" for line in step.strip("\n").splitlines())
    text = head.strip("\n") + "\n\n" + _STRIDED.replace("@", parameters).replace("%", body)
    lines = text.replace("THREADS", str(threads)).splitlines()
    dtypes = tuple(stored_dtype(dtype) for dtype in pointers.values())
    return finished([word], lines, ["run"], dtypes, threads, len(numbers))


# --- random numbers -------------------------------------------------------------------------

# Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011): the multipliers, what is
# added to the key after each of the ten rounds.
_PHILOX_HEAD = """
M0, M1 = uint64(0xD2E7470EE14C6C93), uint64(0xCA5A826395121157)
W0, W1 = uint64(0x9E3779B97F4A7C15), uint64(0xBB67AE8584CAA73B)
ZERO, ONE = uint64(0), uint64(1)
to_u64 = cast_to("uint64")
high = function("high_word", "uint64")
"""

# NumPy's generator moves its counter on before it draws a block.
_PHILOX_STEP = """
k0 = load(state, 0)
k1 = load(state, 1)
c0 = add(add(load(state, 2), to_u64(index)), ONE)
c1 = select(c0 <= load(state, 2), ONE, ZERO)
c2 = ZERO
c3 = ZERO
for turn in range(10):
    n0 = xor(xor(high(M1, c2), c1), k0)
    n1 = mul(M1, c2)
    n2 = xor(xor(high(M0, c0), c3), k1)
    n3 = mul(M0, c0)
    c0 = n0
    c1 = n1
    c2 = n2
    c3 = n3
    k0 = add(k0, W0)
    k1 = add(k1, W1)
"""

_NUMBERS = {
    "uint64": ("", 1, "{}"),
    "float64": (
        'ELEVEN, UNIT = uint64(11), float64(2.0**-53)\nunit = cast_to("float64")\n'
        'shift = function("right_shift", "uint64")',
        1,
        "unit(shift({}, ELEVEN)) * UNIT",
    ),
    "float32": (
        "EIGHT, FORTY, UNIT = uint64(8), uint64(40), float32(2.0**-24)\n"
        "LOW = uint64(0xFFFFFFFF)\n"
        'unit = cast_to("float32")\nshift = function("right_shift", "uint64")',
        2,
        "",
    ),
}


@functools.cache
def random(dtype: str, threads: int = THREADS) -> Source:
    """Philox 4x64: 64-bit words (uint64), or numbers spread evenly over [0, 1).

    Bit for bit what ``hybrid.random`` draws on the CPU. Pointers: the state of three words, the
    result. Numbers: ``count`` of blocks of four words, ``size`` of the result.
    """
    head, each, text = _NUMBERS[dtype]
    lines = [_PHILOX_STEP.strip("\n"), f"place = index * {4 * each}"]
    for word in range(4):
        if dtype == "float32":
            texts = [
                f"unit(shift(and_(c{word}, LOW), EIGHT)) * UNIT",
                f"unit(shift(c{word}, FORTY)) * UNIT",
            ]
        else:
            texts = [text.format(f"c{word}")]
        for number, value in enumerate(texts, word * each):
            lines.append(f"if place + {number} < size:")
            lines.append(f"    store(out, place + {number}, {value})")
    return _source(
        f"random_{dtype}",
        {"state": "uint64", "out": dtype},
        ("count", "size"),
        _PHILOX_HEAD + head,
        "\n".join(lines),
        threads,
    )


# --- gathering and scattering ---------------------------------------------------------------


@functools.cache
def gather(dtype: str, inner: int, threads: int = THREADS) -> Source:
    """Slices of an array at given places of an axis.

    ``out[o, p, i] = array[o, places[p], i]``, the last axis of ``inner`` elements. Places below 0
    count from the end; the caller has seen to it that all are on the axis. Pointers: array,
    places (int64), out. Numbers: ``count`` of elements of the result, ``axis`` (length of the
    array's), ``taken`` (number of places).
    """
    step = f"""
row = quotient64(index, {inner})
within = index - row * {inner}
outer = row // taken
place = load(places, row - outer * taken)
if place < 0:
    place += axis
store(out, index, load(array, (outer * axis + place) * {inner} + within))
"""
    return _source(
        f"gather_{dtype}",
        {"array": dtype, "places": "int64", "out": dtype},
        ("count", "axis", "taken"),
        "",
        step,
        threads,
    )


@functools.cache
def scatter(dtype: str, inner: int, mode: str, threads: int = THREADS) -> Source:
    """Slices written to, or added to, given places of an axis; as NumPy does, one after another.

    Places are sorted, and ``order`` says where each came from, so that equal ones are neighbours:
    the thread of the first of them does all, in their order. So nothing depends on which thread is
    first. ``mode`` is ``"set"`` (the last one wins) or ``"add"``. Pointers: out (rows of ``inner``
    elements), places and order (int64, order stable), values (rows too). Numbers: ``count`` of
    elements of values, ``rows`` of them. Sums of 16-bit floats are rounded once, at the end.
    """
    half = {"float16": "f16", "bfloat16": "bf16"}.get(dtype)
    read, written = ("widen_" + half + "({})", "narrow_" + half + "({})") if half else ("{}", "{}")
    target = f"place * {inner} + within"
    value = read.format(f"load(values, load(order, last) * {inner} + within)")
    step = f"""
row = quotient64(index, {inner})
within = index - row * {inner}
place = load(places, row)
first = True
if row > 0:
    first = load(places, row - 1) != place
if first:
    last = row
"""
    if mode == "set":
        step += f"""\
    while last + 1 < rows and load(places, last + 1) == place:
        last += 1
    store(out, {target}, {written.format(value)})
"""
    else:
        step += f"""\
    total = {read.format(f"load(out, {target})")}
    more = True
    while more:
        total = plus(total, {value})
        last += 1
        more = last < rows
        if more:
            more = load(places, last) == place
    store(out, {target}, {written.format("total")})
"""
    computed = "float32" if half else dtype
    plus = "or_" if dtype == "bool" else "add"
    return _source(
        f"scatter_{mode}_{dtype}",
        {"out": dtype, "places": "int64", "order": "int64", "values": dtype},
        ("count", "rows"),
        f'plus = function("{plus}", "{computed}")' if mode == "add" else "",
        step,
        threads,
    )
