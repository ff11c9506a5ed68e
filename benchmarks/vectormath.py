"""Vector math beside NumPy's own loops, function by function: ``python -m benchmarks.vectormath``.

100,000 elements, one thread, calls in turns, the least of several counts. NumPy's are SVML's loops
with AVX-512 for many functions, and SciPy's where NumPy has none. Ours is a kernel of that function
alone, called without anything around it. How exact they are is what
``tests/kernels/test_vectormath.py`` measures, of the same kernels against mpmath.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from statistics import geometric_mean
from time import thread_time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from benchmarks.machine import limit_threads

if TYPE_CHECKING:
    from hybrid.kernels.texts import Source

SIZE = 100_000
ROUNDS, CALLS = 25, 4
DTYPES = "float32", "float64"
BINARY = {"atan2", "hypot", "logaddexp", "pow"}
PEERS: dict[str, Callable[..., Any]] = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "atanh": np.arctanh,
    "erf": special.erf,
    "erfc": special.erfc,
    "pow": np.power,
    "rsqrt": lambda x, out: np.divide(1, np.sqrt(x, out=out), out=out),
    "sigmoid": special.expit,
}
"""Where NumPy has another name, or none."""

Times = dict[str, tuple[float, float]]
"""Microseconds of NumPy and of hybrid, by the function's name."""


def times(dtype: str, rounds: int = ROUNDS) -> Times:
    """Measure all functions."""
    from hybrid.kernels import vectormath

    return {name: measure(name, dtype, rounds) for name in sorted(vectormath.NAMES)}


def measure(name: str, dtype: str, rounds: int = ROUNDS, size: int = SIZE) -> tuple[float, float]:
    """Return the microseconds of NumPy and of hybrid for one function."""
    arguments = [x[:size].astype(dtype) for x in drawn(name)]
    out = np.empty_like(arguments[0])
    theirs, ours = by_numpy(name), by_kernel(name, dtype)
    numpy, hybrid = least(
        (lambda: theirs(*arguments, out=out), lambda: ours(*arguments, out)), rounds
    )
    return numpy, hybrid


def least(ways: Sequence[Callable[[], Any]], rounds: int = ROUNDS) -> list[float]:
    """Return the least microseconds of a call of each, taken in turns."""
    found = [float("inf")] * len(ways)
    for _ in range(rounds + 1):  # the first compiles
        for place, way in enumerate(ways):
            start = thread_time()
            for _ in range(CALLS):
                way()
            found[place] = min(found[place], thread_time() - start)
    return [seconds / CALLS * 1e6 for seconds in found]


def drawn(name: str) -> list[np.ndarray[Any, Any]]:
    """Draw arguments from where the function has something to compute."""
    rng = np.random.default_rng(0)
    if name in BINARY:
        return list(rng.uniform(0.1, 5.0, (2, SIZE)))
    low, high = {"acosh": (1.1, 9.0), "acos": (-0.9, 0.9), "asin": (-0.9, 0.9)}.get(
        name, (-0.9, 0.9) if name == "atanh" else (0.1, 5.0)
    )
    return [rng.uniform(low, high, SIZE)]


def by_numpy(name: str) -> Callable[..., Any]:
    """Return the function that it is compared with, which takes ``out``."""
    return PEERS.get(name) or getattr(np, name)


def by_kernel(name: str, dtype: str) -> Callable[..., None]:
    """Return a kernel of the function alone, which takes its arguments and what it fills."""
    from hybrid.kernels import handwritten

    kernel = handwritten.loaded(source(name, dtype))[0]

    # To find the kernel and to write its numbers takes as long as a tenth of a square root's loop.
    @functools.cache
    def numbers(size: int) -> Any:
        return np.array([0, 0, size], np.int64)

    return lambda *arrays: kernel(0, numbers(arrays[-1].size), *arrays)


def source(name: str, dtype: str) -> Source:
    """Return the text of the kernel."""
    from hybrid.kernels import handwritten

    names = ("a", "b") if name in BINARY else ("a",)
    lines = [f'{x}_pointer = operand({i}, "{dtype}", "{x}")' for i, x in enumerate(names, 1)]
    return handwritten.source_of(
        f"only_{name}",
        _TEXT,
        ("run",),
        (),
        len(names) + 1,
        function=name,
        dtype=dtype,
        pointers="\n".join(lines),
        place=len(names) + 1,
        clear=names,
        read="\n".join(f"    {x} = {x}_pointer(args)" for x in names),
        given=", ".join(f"load({x}, i)" for x in names),
    )


_TEXT = """# {function} of each element
geometry_pointer = operand(0, "int64", "geometry")
{pointers}
out_pointer = operand({place}, "{dtype}", "out", clear_of={clear})
value = function("{function}", "{dtype}")


def {name}_run(args, lo, hi):
    geometry, out = geometry_pointer(args), out_pointer(args)
{read}
    for i in range(lo, hi):
        store(out, i, value({given}))
"""


def table(found: dict[str, Times]) -> str:
    """Return the times as Markdown; **bold** where hybrid takes longer."""
    lines = [
        "| function | " + " | ".join(f"{d}: NumPy / hybrid, us" for d in found) + " |",
        "| --- |" + " --- |" * len(found),
    ]
    for name in next(iter(found.values())):
        cells = [_cell(*times[name]) for times in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(numpy: float, ours: float) -> str:
    text = f"{ours:.0f}"
    return f"{numpy:.0f} / " + (f"**{text}**" if ours > numpy else text)


def ratios(found: dict[str, Times]) -> dict[str, float]:
    """How many times as fast as NumPy hybrid is, by function and dtype."""
    return {
        f"{name} {dtype}": numpy / ours
        for dtype, times in found.items()
        for name, (numpy, ours) in times.items()
    }


def main() -> int:
    """Measure and print the table."""
    limit_threads(1)
    found = {dtype: times(dtype) for dtype in DTYPES}
    print(table(found))
    speeds = ratios(found)
    slow = sum(speed < 1 for speed in speeds.values())
    print(
        f"{geometric_mean(speeds.values()):.2f} times as fast as NumPy (geometric mean); "
        f"slower: {slow} of {len(speeds)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
