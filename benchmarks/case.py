"""A benchmark case, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[..., Any]
Compile = Callable[[Function], Function]

Program = Callable[[Any, Compile], Function]
"""``program(library, compile)`` is the function to measure, from the library's arrays to its
results. ``compile`` is the peer's own (``jax.jit``, ``hb.compile``), or does nothing."""

Measure = Literal["call", "compile", "restart", "shape", "memory"]
"""What is timed.

- ``call``: a call, everything warm.
- ``compile``: the first call of a new function in a process that has compiled another one.
- ``restart``: the first call in a new process whose disk caches an earlier process has filled.
- ``shape``: the first call with a size not seen before, of a function compiled for other sizes.
  The median of six sizes, so that torch's one recompilation for sizes in general is left out.
- ``memory``: bytes by which the process grows at most during a call, results counted, in a new
  process that has called the function at the tiny size before.
"""

COMPILED = ("hybrid", "torch-compile", "jax")
CALLED = ("numpy", "numexpr", "hybrid-eager", "hybrid", "torch", "torch-compile", "jax")


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    Attributes
    ----------
    name : str
        What the row is called and selected by.
    inputs : callable
        ``inputs(size)`` draws the arguments as NumPy arrays, the same ones at each call. What is
        no array is handed on as it is.
    size : int
        The size that is measured.
    tiny : int
        A size for tests of nothing but the results; 0 for `size` itself.
    programs : mapping
        The program of each library. NumPy's is the reference that all results are compared with.
    peers : tuple of str
        The peers that take part, where their library has a program.
    measure : Measure
        What is timed.
    rtol, atol : float
        How far a result may be from NumPy's. A function may return a tuple of results.
    calls : int
        How many results are compared, for programs that keep state from call to call.
    traffic : int
        Bytes that must be read and written, for the ceiling of bandwidth.
    flops : int
        Operations of the matrix products in float32, for the ceiling of arithmetic.
    """

    name: str
    inputs: Callable[[int], tuple[Array, ...]]
    size: int
    programs: Mapping[str, Program]
    peers: tuple[str, ...] = CALLED
    measure: Measure = "call"
    rtol: float = 1e-5
    atol: float = 1e-6
    calls: int = 1
    traffic: int = 0
    flops: int = 0
    tiny: int = 0


def formula(write: Callable[[Any], Function]) -> dict[str, Program]:
    """Programs of one formula that reads the same in every library.

    ``write(xp)`` makes the function for one array namespace. It makes a new function each time,
    because compilers cache by function.
    """
    return {
        "numpy": lambda np, compile: compile(write(np)),
        "hybrid": lambda hb, compile: compile(write(hb)),
        "torch": lambda torch, compile: compile(write(torch)),
        "jax": lambda jax, compile: compile(write(jax.numpy)),
    }


def evaluated(text: str, *names: str) -> dict[str, Program]:
    """numexpr's program, which is a text; ``names`` are those of the arguments in it."""

    def program(numexpr: Any, compile: Compile) -> Function:
        return lambda *arguments: numexpr.evaluate(text, dict(zip(names, arguments, strict=True)))

    return {"numexpr": program}


def uniform(count: int, dtype: str) -> Callable[[int], tuple[Array, ...]]:
    """Draw ``count`` arrays of ``size`` numbers in (0, 1)."""

    def inputs(size: int) -> tuple[Array, ...]:
        rng = np.random.default_rng(0)
        return tuple(rng.uniform(0.0, 1.0, size).astype(dtype) for _ in range(count))

    return inputs
