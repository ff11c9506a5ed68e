"""GPU kernels that no Region describes: scattering; ``random`` has others.

Each function gives a Source; the numbers that a launch passes are named in its docstring.
"""

from __future__ import annotations

import functools

from hybrid.kernels.cuda.source import PLACEHOLDER, Source, finished, stored_dtype
from hybrid.kernels.cuda.spec import HALVES, THREADS

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


# --- scattering -----------------------------------------------------------------------------


@functools.cache
def add_stretches(dtype: str, inner: int, threads: int = THREADS) -> Source:
    """Slices added to given places of an axis, where several may have one place.

    Places are sorted, and ``order`` says where each came from: equal ones are neighbours, a run.
    A thread adds up, one after another, what a stretch of ``length`` rows has for one column. Runs
    that lie in the stretch are done then; what a run that goes on comes to is kept in ``tail``,
    and in ``head`` what one that has begun before comes to. So sums depend on sizes and places
    only, however many threads there are, and whichever is first.

    Pointers: out (rows of ``inner`` elements), places and order (int64, order stable), values
    (rows too), head and tail (an element for each thread). Numbers: ``count`` of stretches times
    ``inner``, ``rows``, ``length``. Sums of 16-bit floats are rounded once for each stretch.
    """
    step = f"""
chunk = quotient64(index, {inner})
within = index - chunk * {inner}
row = chunk * length
stop = min(row + length, rows)
place = load(places, row)
opened = False
if row > 0:
    opened = load(places, row - 1) == place
total = {_value(dtype, inner)}
if not opened:
    total = plus({_read(dtype, f"load(out, place * {inner} + within)")}, total)
row += 1
while row < stop:
    value = {_value(dtype, inner)}
    here = load(places, row)
    if here == place:
        total = plus(total, value)
    else:
        if opened:
            store(head, index, total)
        else:
            store(out, place * {inner} + within, {_written(dtype, "total")})
        opened = False
        place = here
        total = plus({_read(dtype, f"load(out, place * {inner} + within)")}, value)
    row += 1
goes_on = False
if stop < rows:
    goes_on = load(places, stop) == place
if opened:
    store(head, index, total)
else:
    if goes_on:
        store(tail, index, total)
    else:
        store(out, place * {inner} + within, {_written(dtype, "total")})
"""
    return _scatter("add_stretches", dtype, step, threads)


@functools.cache
def join_stretches(dtype: str, inner: int, threads: int = THREADS) -> Source:
    """What is left once ``add_stretches`` is done, with the same pointers and numbers.

    The thread of the stretch in which a run begins adds up what those that it goes on in have.
    """
    step = f"""
chunk = quotient64(index, {inner})
within = index - chunk * {inner}
start = chunk * length
stop = min(start + length, rows)
place = load(places, stop - 1)
mine = False
if stop < rows:
    mine = load(places, stop) == place
if mine:
    if start > 0:
        mine = load(places, start - 1) != place
if mine:
    total = load(tail, index)
    while mine:
        chunk += 1
        total = plus(total, load(head, chunk * {inner} + within))
        stop = min(stop + length, rows)
        mine = False
        if stop < rows:
            mine = load(places, stop) == place
    store(out, place * {inner} + within, {_written(dtype, "total")})
"""
    return _scatter("join_stretches", dtype, step, threads)


def computed(dtype: str) -> str:
    """The dtype of sums."""
    return "float32" if dtype in HALVES else dtype


def _read(dtype: str, text: str) -> str:
    return f"widen_{HALVES[dtype]}({text})" if dtype in HALVES else text


def _written(dtype: str, text: str) -> str:
    return f"narrow_{HALVES[dtype]}({text})" if dtype in HALVES else text


def _value(dtype: str, inner: int) -> str:
    return _read(dtype, f"load(values, load(order, row) * {inner} + within)")


def _scatter(word: str, dtype: str, step: str, threads: int) -> Source:
    wide = computed(dtype)
    pointers = {
        "out": dtype,
        "places": "int64",
        "order": "int64",
        "values": dtype,
        "head": wide,
        "tail": wide,
    }
    head = f'plus = function("add", "{wide}")'
    return strided(f"{word}_{dtype}", pointers, ("count", "rows", "length"), head, step, threads)
