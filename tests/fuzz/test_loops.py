"""Random loops: the same results whether or not Python takes all their steps while it is traced.

The body of each loop is drawn from a seed: views that are handed on, writes through them, lists
that turn, things that happen in early steps only, flags, numbers that count, other loops.
There are a tenth as many as ``HYBRID_FUZZ_EXAMPLES`` says.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.fuzz.test_fuzz import EXAMPLES, FIRST, without_kernels  # noqa: F401

pytestmark = pytest.mark.usefixtures("without_kernels")


def _statement(draw: random.Random) -> str:
    x, y, z = (draw.choice("abce") for _ in range(3))
    k = draw.randrange(3)
    often = [
        f"{x} = {y} * 0.5 + {z}", f"{x} = np.tanh({y}) @ {z} * 0.1", f"{x} = {y}",
        f"{x}, {y} = {y}, {x}", f"{x}[1:-1] = ({y}[2:] + {y}[:-2]) * 0.5", f"{x}[{k}] *= 0.5",
        f"{x} = {y}.copy()", f"{x} += {y} * 0.1", f"v = {x}[{k}:{k} + 2]", f"{x}[0:2] = v * 0.5",
        "w = v", f"{x}[1] = w[0] * 0.5 + {y}[0]", f"v[0] = {x}[3] * 0.1", f"u = {x}.T",
        f"{x} = u * 0.7", f"q = q[1:] + [{x}]", f"{x} = q[0] * 0.9", f"q[{k}] = {x}",
        f"d['k'] = {x}", f"{x} = d['k'] * 0.9", f"h = {x}[{k}:]; h[0] *= 0.9",
        f"if d.get('f') is None: d['f'] = {x}", f"{x} = {x} + p", f"p[{k}] = {x}[0, 0]",
        f"if len(g) < {k + 1}: g.append(1); {x} = {x} + 1", f"{x} = np.clip({x}, -3, 3)",
        f"{x} = {x} + 1 if flag else {x} * 0.5", f"{x} = abs({x})", f"keep({x})",
        f"{x} = held[0] * 0.5", f"np.multiply({x}, 0.5, out={y})", f"{x}[{x} > 2] = 0.5",
    ]  # fmt: skip
    return (
        draw.choice(("flag = not flag", "n += 1")) if draw.random() < 0.01 else draw.choice(often)
    )


def _body(draw: random.Random, indent: str) -> list[str]:
    lines = [indent + _statement(draw) for _ in range(draw.randint(2, 6))]
    if len(indent) < 16 and draw.random() < 0.4:
        inner = _body(draw, indent + "    ")
        at = draw.randrange(len(lines) + 1)
        lines[at:at] = [f"{indent}for _ in range({draw.choice((3, 20, 33))}):", *inner]
    return lines


def _function(seed: int) -> Callable[..., Any]:
    draw = random.Random(seed)
    lines = [
        "def f(a, b, p):",
        "    c = a + b; e = a * 0.5; q = [a, b, c]; d = {'k': a}; g = []; flag = True; n = 0",
        "    v = a[0:2]; w = b[1:3]; u = a.T; h = a; held = [a]",
        "    def keep(x): held[0] = x",
        f"    for _ in range({draw.choice((20, 31, 40))}):",
        *_body(draw, "        "),
        "    return a, b, c, e, v, w, u, h, q[0], q[1], q[2], d['k'], held[0], n",
    ]
    names: dict[str, Any] = {"np": np}
    exec("\n".join(lines), names)
    found: Callable[..., Any] = names["f"]
    return found


@pytest.mark.parametrize("seed", range(FIRST, FIRST + max(EXAMPLES // 10, 6)))
def test_random_loops_do_the_same_compiled(seed: int) -> None:
    function = _function(seed)

    def results(call: Callable[..., Any]) -> list[Any]:
        rng = np.random.default_rng(seed)
        given = [hb.asarray(rng.uniform(-1, 1, shape)) for shape in ((4, 4), (4, 4), (4,))]
        with np.errstate(all="ignore"):
            return [np.asarray(x) for x in (*call(*given), *given)]

    want, compiled = results(function), hb.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for got in (results(compiled), results(compiled)):
            for a, b in zip(want, got, strict=True):
                np.testing.assert_allclose(b, a, rtol=1e-9)
