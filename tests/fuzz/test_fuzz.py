"""Random programs: a compiled function does what the same source does eagerly.

Each example is the text of a Python function, drawn from a seed: arithmetic, reductions, slices,
writes in place, Variables, containers, decisions on data, bounded loops (of hb too), early returns,
exceptions, match statements, ``nonlocal`` and ``:=``, generators, recursion, new arrays of NumPy's,
blocks that no tape records. What it reads are arguments or globals, as it happens; they differ from
call to call, in some programs in dtype and shape too. It runs several times, eagerly and compiled;
results, what the arguments and globals hold afterwards, the Variables, gradients and the type of an
exception are compared.
``HYBRID_FUZZ_EXAMPLES`` sets how many examples there are, ``HYBRID_FUZZ_SEED`` the first.

This is about tracing, so the optimised graphs are interpreted: building kernels would take most
of the time. ``HYBRID_FUZZ_KERNELS=1`` builds them.
"""

from __future__ import annotations

import os
import re
import warnings

import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, RetraceWarning, SideEffectWarning
from tests.fuzz.behaviour import behaviour, same
from tests.fuzz.programs import Program

EXAMPLES = int(os.environ.get("HYBRID_FUZZ_EXAMPLES", "200"))
FIRST = int(os.environ.get("HYBRID_FUZZ_SEED", "0"))


def _of_an_ndarray(result: str, source: str) -> bool:
    """Tell whether eager code failed with an array of NumPy's that is a Tensor in a trace.

    There it has ``.at``, and tapes know what becomes of it.
    """
    if result == "['list', 'raised', 'AttributeError']":
        return True
    made = re.search(r"^ *t\d+ = np\.(zeros|eye|arange|full|linspace|tri|tile)\(", source, re.M)
    failed = result in ("['list', 'raised', 'TypeError']", "['list', 'raised', 'DTypeError']")
    return bool(made) and failed and "tape.watch" in source


@pytest.mark.parametrize("seed", range(FIRST, FIRST + EXAMPLES))
def test_random_programs_do_the_same_compiled(seed: int) -> None:
    program = Program(seed)
    source = program.source()
    with warnings.catch_warnings():
        for category in (RetraceWarning, EagerFallbackWarning, SideEffectWarning):
            warnings.simplefilter("ignore", category)
        eager = behaviour(program, source, seed, lambda f: f)
        traced = behaviour(program, source, seed, hb.compile)
    # Sums of float32 come in another order in a graph than in NumPy.
    close = 2e-4 if program.dtypes else 1e-9
    for i, (want, got) in enumerate(zip(eager, traced, strict=True)):
        if _of_an_ndarray(repr(want["result"]), source):
            return
        for what, a in want.items():
            assert same(a, got[what], close), (
                f"call {i}, {what}:\n{source}\neager {a}\ntraced {got[what]}"
            )
