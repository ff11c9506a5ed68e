"""GPU kernels that no Region describes: gathering and scattering; ``random`` has others.

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


def strided(
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
    return strided(
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
    return strided(
        f"scatter_{mode}_{dtype}",
        {"out": dtype, "places": "int64", "order": "int64", "values": dtype},
        ("count", "rows"),
        f'plus = function("{plus}", "{computed}")' if mode == "add" else "",
        step,
        threads,
    )
