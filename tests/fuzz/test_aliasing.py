"""Random views and writes: NumPy, eager Tensors and compiled code leave the same in every array.

Each program is drawn from a seed (:mod:`tests.fuzz.aliasing`). It runs on ndarrays in plain Python,
which is what has to come out, on eager Tensors, and compiled on both; five times, in most programs
with arguments that lie otherwise in memory each time. Where hybrid refuses with an error, the rest
of that way is left out. There are a tenth as many as ``HYBRID_FUZZ_EXAMPLES`` says.
"""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.fuzz.aliasing import Aliasing
from tests.fuzz.behaviour import plain, same
from tests.fuzz.test_fuzz import EXAMPLES, FIRST

CALLS = (0, 1, 2, 3, 0)


def _as_tensors(program: Aliasing, arrays: dict[str, Any]) -> dict[str, Any]:
    made = {name: hb.asarray(x, copy=False) for name, x in arrays.items()}
    if program.shared:
        made["b"] = eval(program.shared, {"a": made["a"]})
    return made


def _run(program: Aliasing, wrap: Callable[[Any], Any], *, tensors: bool) -> list[Any]:
    """Return what each call leaves: results and all arrays from outside, or None for an error."""
    name = f"<aliasing {program.seed}>"
    lines = program.source.splitlines(keepends=True)
    linecache.cache[name] = len(program.source), None, lines, name
    held = SimpleNamespace()
    scope: dict[str, Any] = {"np": np, "o": held}
    exec(compile(program.source, name, "exec"), scope)
    function = wrap(scope["f"])
    seen: list[Any] = []
    for call in CALLS:
        arrays = program.scope(call)
        given = _as_tensors(program, arrays) if tensors else dict(arrays)
        outside = list(given.values())
        scope["g"], held.m, scope["box"] = given.pop("g"), given.pop("m"), [given.pop("q")]
        try:
            result = function(**given)
        except Exception:
            seen.append(None)
            continue
        found = [*result, *outside, held.m, *scope["box"]]
        seen.append([np.array(x) if isinstance(x, np.ndarray) else plain(x) for x in found])
    return seen


@pytest.mark.parametrize("seed", range(FIRST, FIRST + EXAMPLES // 10))
def test_random_views_and_writes_leave_what_numpy_leaves(seed: int) -> None:
    program = Aliasing(seed)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        wanted = _run(program, lambda f: f, tensors=False)
        ways = {
            "eager Tensors": _run(program, lambda f: f, tensors=True),
            "compiled ndarrays": _run(program, hb.compile, tensors=False),
            "compiled Tensors": _run(program, hb.compile, tensors=True),
        }
    for way, found in ways.items():
        for i, (want, got) in enumerate(zip(wanted, found, strict=True)):
            if want is None or got is None:
                break
            for place, (a, b) in enumerate(zip(want, got, strict=True)):
                assert same(a, b, 1e-5), (
                    f"{way}, call {i}, place {place}, shared {program.shared!r}:\n"
                    f"{program.source}\nNumPy {a}\nhybrid {b}"
                )
