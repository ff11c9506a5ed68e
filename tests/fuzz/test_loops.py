"""Random loops: the same results whether or not Python takes all their steps while it is traced.

The body of each loop is drawn from a seed: views that are handed on, writes through them, lists
that turn, things that happen in early steps only, flags, numbers that count, other loops. So are
loops that ask for what they compute: lists that they fill and read, numbers that count or shrink
and are read, ints that they ask for, what acts in a step, ways out, loops within loops that ask.
There are a tenth as many as ``HYBRID_FUZZ_EXAMPLES`` says.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.containers import leaves_of
from tests.fuzz.test_fuzz import EXAMPLES, FIRST


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


def _asking_statement(draw: random.Random, depth: int) -> str:
    x, y = (draw.choice("abc") for _ in range(2))
    n, k = draw.choice("nm"), draw.choice((2, 3, 7))
    often = [
        f"{x} = {y} * 0.9", f"{x} = {x} * 0.5 + {y} * 0.3", f"{x} = np.tanh({y}) * 0.8",
        f"{n} += 1", f"{n} += {k}", f"{x} = {x} * (1 - 0.1 / ({n} * {n} + {k}))",
        f"e = abs({x}).max()",
        f"h.append({x})", "h.append(e)", f"r.append({n})", f"{x} = h[-1] * 0.9 + {y} * 0",
        f"{x} = {x} + len(h) * 1e-3", f"if {n} % {k} == 0: {x} = {x} * 0.7",
        f"if {x}.sum() > {y}.sum(): {x} = {x} - 0.1; {n} += 1", f"{n} = 0", f"{x}[1:] *= 0.9",
        f"if abs({x}).max() < tol * 2: break", f"if {n} > 20: break", "if len(h) > 30: h = h[-2:]",
        f"{x} = {y} * 0.7 if {x}[0] > 0.1 else {y} * 0.6", f"k = {n} * 0.5; {x} = {x} - k * 1e-3",
        f"{x} = {x} + t[{n} % 5] * 1e-2", f"d[{n} % {k}] = {x}", f"u[{n} % 6] = {x}[0]",
        f"s = {x} * 0.5; s[0] = {n}; {x} = s * 0.9", "e = e * 0.9", f"m = {n}", "p += a * 1e-3",
        f"k = 1.0\n@while abs({x} - k * {y}).max() > 1.5 and k > 0.01:\n@    k = k * 0.5",
        f"k = hb.asarray(1.0)\n@for _ in range(9):\n@    if abs({x} - k * {y}).max() < 0.9: break\n"
        f"@    k = k * 0.5\n@{x} = {x} * k",
        "if e < tol: return a, b, c, n, m, len(h), r", f"{n} = {n} * 2 if {n} < 9 else 1",
        f"g.append({x})", f"g.append({x} * z)", f"{x} = g[-1] * 0.9 + {y} * 0.01", "g.append(z)",
        f"{x} = g[-2] * 0.5 + g[-1] * 0.4", f"g[-1][0] = {y}[1] * 0.5", f"g.append({x}[1:])",
        f"{x} = {x} * (0.9 - 0.01 * int(q)); q = q * 5 % 7", "q = q * 3 % 7",
        f"@for _ in range(int(q)): {x} = {x} * 0.99",
        f"{x} = {x} * (1 - 0.01 * len({y}[{y} > 0.1]))",
        f"hb.callback(note, None, {x}[0]); {x} = hb.linalg.solve(w, {x})",
        "z *= 0.9", "z += 0.25", f"{x} = {x} * (1 - 0.1 * z)", "r.append(z)", "z = 1 / (z + 2)",
        f"if z > 2: z = 0.5; {x} = {x} * 0.9", f"{x} = {x} * 0.9 + 2e-3 * math.sqrt(abs(z))",
        f"{x} = {x} / ({n} + 1)", f"{x} = {x} * 0.9 ** {n}" if depth else f"m = {n} // {k}",
    ]  # fmt: skip
    return draw.choice(often)


def _asking_body(draw: random.Random, indent: str, loop: int) -> list[str]:
    """Return a loop: that many others are in it."""
    x = draw.choice("abc")
    heads = [
        f"while abs({x}).max() > tol:", "while e > tol:", "while True:", "while n < 20:",
        f"while abs({x}).max() > tol and m < 15:", "for _ in range(15):", "for i in range(18):",
        "for i in range(12):", "for row in rows:",
    ]  # fmt: skip
    head, inner = draw.choice(heads), indent + "    "
    found = [_asking_statement(draw, loop) for _ in range(draw.randint(1, 5))]
    lines = [inner + y for x in found for y in x.replace("@", inner).split("\n")]
    lines = [x.replace(inner + inner, inner) for x in lines]
    if " i " in head:
        reads = [f"{x} = {x} * (1 - 0.1 / (i + 1))", f"r.append(i); {x} = {x} * 0.9", "m = i"]
        lines.insert(draw.randrange(2), inner + draw.choice(reads))
    if loop and draw.random() < 0.6:
        lines += _asking_body(draw, inner, loop - 1)
    steps = f"guard_{loop}"
    end = [f"{inner}e = abs({x}).max()", f"{inner}{x} = {x} * 0.8"]
    end += [f"{inner}{steps} += 1", f"{inner}if {steps} > {draw.choice((9, 20))}: break"]
    if "for" in head and draw.random() < 0.5:
        end = end[:2]
    return [f"{indent}{steps} = 0", indent + head, *lines, *end]


def _asking_function(seed: int) -> tuple[str, Callable[..., Any], list[float]]:
    draw = random.Random(seed)
    lines = [
        "def f(a, b, p, tol):",
        "    c = a + b; e = abs(a).max(); h = [a]; r = []; n = 0; m = 1; z = 1.0",
        "    d = {}; u = hb.zeros(6); rows = a * 1; t = hb.arange(5.0)",
        "    g = [a, b]",
        "    q = hb.asarray(3); w = hb.eye(4) * 1.1",
        *_asking_body(draw, "    ", 1),
        "    return a, b, c, e, n, m, z, q, r, h[-1], len(h), hb.stack(h[-1:]), u, d, g",
    ]
    source = "\n".join(lines)
    noted: list[float] = []
    names: dict[str, Any] = {"np": np, "hb": hb, "math": math}
    names["note"] = lambda x: noted.append(float(x))
    exec(source, names)
    return source, names["f"], noted


@pytest.mark.parametrize("seed", range(FIRST, FIRST + max(EXAMPLES // 10, 6)))
def test_random_loops_that_ask_do_the_same_compiled(seed: int) -> None:
    source, function, noted = _asking_function(seed)
    compiled = hb.compile(function)

    def results(call: Callable[..., Any], scale: float, tol: float) -> Any:
        rng = np.random.default_rng(seed)
        given = [hb.asarray(rng.uniform(-scale, scale, 4)) for _ in range(3)]
        given.append(hb.asarray(tol))
        noted.clear()
        try:
            return [plain(x) for x in leaves_of((call(*given), given, noted))]
        except Exception as error:
            return [type(error), *map(plain, given)]

    def plain(x: Any) -> Any:
        return x.numpy().copy() if isinstance(x, hb.Tensor) else x

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for scale, tol in ((1.0, 0.1), (3.0, 0.03), (1.0, 0.1), (0.5, 0.2), (1.5, 0.01)):
            want, got = results(function, scale, tol), results(compiled, scale, tol)
            assert [type(x) for x in got] == [type(x) for x in want], source
            for a, b in zip(want, got, strict=True):
                if isinstance(a, np.ndarray | float):
                    np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-12, err_msg=source)
                else:
                    assert a == b, source
