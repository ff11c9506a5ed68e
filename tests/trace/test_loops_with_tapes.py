"""Loops of Python that ask, with tapes in their steps: loops, and the gradients of eager code."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import containers

pytestmark = pytest.mark.usefixtures("without_kernels")

X = np.random.default_rng(0).normal(size=(8, 3))
Y = X @ np.array([1.0, 2.0, 3.0])


def stops_early(w: Any, x: Any, y: Any, tol: Any) -> Any:
    for _ in range(400):
        with hb.GradientTape() as tape:
            tape.watch(w)
            loss = ((x @ w - y) ** 2).mean()
        if loss < tol:
            break
        w = w - 0.1 * tape.gradient(loss, w)
    return w, loss


def asks_after_the_gradient(w: Any, x: Any, y: Any, tol: Any) -> Any:
    while True:
        with hb.GradientTape() as tape:
            tape.watch(w)
            loss = (hb.tanh(x @ w - y) ** 2).mean()
        w = w - 0.1 * tape.gradient(loss, w)
        if loss < tol:
            return w


def two_targets(w: Any, x: Any, y: Any, tol: Any) -> Any:
    loss = hb.asarray(np.inf)
    while loss > tol:
        with hb.GradientTape(persistent=True) as tape:
            tape.watch(w)
            out = x @ w
            loss, size = ((out - y) ** 2).mean(), (w * w).sum()
        g = tape.gradient(loss, w)
        if (g * g).sum() > 1:
            g = g / 2
        w = w - 0.1 * (g + 1e-4 * tape.gradient(size, w))
    return w, tape.gradient(size, w)


def gradient_after_the_loop(w: Any, x: Any, y: Any, tol: Any) -> Any:
    loss = hb.asarray(np.inf)
    while loss > tol:
        with hb.GradientTape(persistent=True) as tape:
            tape.watch(w)
            v = hb.exp(0.1 * w)
            loss = ((x @ w - y) ** 2).mean()
        w = w - 0.1 * tape.gradient(loss, w)
    return tape.gradient(v, v), tape.gradient(loss, v), w


def tape_of_the_step_before(w: Any, x: Any, y: Any, tol: Any) -> Any:
    with hb.GradientTape() as old:
        old.watch(w)
        before = loss = ((x @ w - y) ** 2).mean()
    kept = w
    while loss > tol:
        with hb.GradientTape() as tape:
            tape.watch(w)
            loss = ((x @ w - y) ** 2).mean()
        g = old.gradient(before, kept)
        old, before, kept = tape, loss, w
        w = w - 0.02 * g
    return w


def second_order(w: Any, x: Any, y: Any, tol: Any) -> Any:
    w = w[0]
    step = hb.asarray(1.0, dtype="float64")
    while abs(step) > tol:
        with hb.GradientTape() as outer:
            outer.watch(w)
            with hb.GradientTape() as inner:
                inner.watch(w)
                loss = ((x[:, 0] * w - y) ** 2).sum() + w**4
            slope = inner.gradient(loss, w)
        step = slope / outer.gradient(slope, w)
        w = w - step
    return w


def a_loop_under_the_tape(w: Any, x: Any, y: Any, tol: Any) -> Any:
    with hb.GradientTape() as tape:
        tape.watch(w)
        z = w
        while (z * z).sum() < 50:
            z = z * 1.5 + 0.1
    return tape.gradient(z, w), z


def a_list_of_tapes(w: Any, x: Any, y: Any, tol: Any) -> Any:
    held = []
    loss = hb.asarray(np.inf)
    while loss > tol:
        with hb.GradientTape() as tape:
            tape.watch(w)
            loss = ((x @ w - y) ** 2).mean()
        held = [tape]
        if loss > 1:
            w = w * 0.99
            continue
        w = w - 0.1 * held[0].gradient(loss, w)[...]  # w was watched, and is another one above 1
    return w


def written_in_place(w: Any, x: Any, y: Any, tol: Any) -> Any:
    w = w.copy()
    while True:
        with hb.GradientTape() as tape:
            tape.watch(w)
            part = w[:2] * 2
            loss = ((x @ w - y) ** 2).mean() + (part * part).sum() * 1e-4
        if loss < tol + 1e-2:
            return w, part
        w -= 0.1 * tape.gradient(loss, w)


def with_a_loop_node(w: Any, x: Any, y: Any, tol: Any) -> Any:
    loss = hb.asarray(np.inf)
    while loss > tol:
        with hb.GradientTape() as tape:
            tape.watch(w)
            out = hb.fori_loop(0, 3, lambda i, c: c + 0.1 * hb.tanh(c), x @ w)
            loss = ((out - y) ** 2).mean()
        if hb.isnan(loss):
            break
        w = w - 0.05 * tape.gradient(loss, w)
    return w


LOOPS = [
    stops_early, asks_after_the_gradient, two_targets, gradient_after_the_loop,
    tape_of_the_step_before, second_order, a_loop_under_the_tape, written_in_place,
    with_a_loop_node,
]  # fmt: skip


def assert_alike(got: Any, want: Any) -> None:
    for a, b in zip(containers.leaves_of(got), containers.leaves_of(want), strict=True):
        assert (a is None) == (b is None)
        if a is None:
            continue
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("f", LOOPS)
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_the_result_is_that_of_eager_code(f: Callable[..., Any]) -> None:
    g = hb.compile(f)
    for tol, first in ((0.5, 0.0), (0.1, 0.5), (1.0, 0.2)):
        given = [hb.asarray(a) for a in (np.full(3, first), X, Y)]
        assert_alike(g(*given, tol), f(*given, tol))


@pytest.mark.parametrize(
    ("f", "most"), [(stops_early, 8), (asks_after_the_gradient, 4), (two_targets, 12)]
)
def test_the_steps_are_a_loop(f: Callable[..., Any], most: int) -> None:
    g = hb.compile(f)
    given = [hb.asarray(a) for a in (np.zeros(3), X, Y)]
    for tol in (0.9, 0.5):
        g(*given, hb.asarray(tol))
    assert len(g.get_concrete_function(*given, hb.asarray(1.0)).segments) <= most


def test_a_model_of_variables_trains_until_it_fits() -> None:
    def train(w: hb.Variable, b: hb.Variable, x: Any, y: Any, tol: Any) -> Any:
        for _ in range(300):
            with hb.GradientTape() as tape:
                loss = ((x @ w + b - y) ** 2).mean()
            if loss < tol:
                break
            for variable, g in zip((w, b), tape.gradient(loss, [w, b]), strict=True):
                variable.assign_sub(0.1 * g)
        return loss

    compiled = hb.compile(train)
    for tol in (1.0, 0.1, 0.5):
        found = []
        for f in (compiled, train):
            w, b = hb.Variable(np.zeros(3)), hb.Variable(np.zeros(()))
            loss = f(w, b, hb.asarray(X), hb.asarray(Y), tol)
            found.append((loss, w.numpy(), b.numpy()))
        assert_alike(*found)


def _statement(draw: random.Random) -> str:
    x, y, z = (draw.choice("abc") for _ in range(3))
    kind = draw.choice(("", "persistent=True"))
    watched, source = draw.choice("ab"), draw.choice("ab")
    return draw.choice(
        (
            f"{x} = {y} * 0.5 + {z} * 0.1",
            f"{x}, {y} = {y}, {x}",
            f"{x} = {y}",
            f"{x}[0] = {y}[1] * 0.5",
            f"if {x}.sum() > {y}.sum(): {x} = {x} * 0.7",
            f"with hb.GradientTape({kind}) as t:\n"
            f"            t.watch({watched}); w = {watched}; u = hb.sin({watched}) * {y}; "
            f"v = (u * {x}).sum()",
            f"with hb.GradientTape({kind}) as s:\n"
            f"            s.watch({source}); p = {source}; q = {source} * {source} + {x}",
            f"{x} = {x} * 0.9 - grad(t, v, w) * 0.1",
            f"{x} = {x} * 0.9 - grad(t, u, w) * 0.1",
            f"{x} = {x} - grad(s, q, p) * 0.1",
            "t, s = s, t",
            "w, p = p, w",
            f"w = {x}",
        )
    )


def _function(seed: int) -> Callable[..., Any]:
    draw = random.Random(seed)
    lines = [
        "def f(a, b, c, tol, grad=grad):",
        "    a = a * 1; b = b * 1; c = c * 1",
        "    with hb.GradientTape(persistent=True) as t:",
        "        t.watch(a); w = a; u = a * 2; v = u.sum()",
        "    s, p, q = t, w, u",
        "    n = hb.asarray(0)",
        draw.choice(("    while n < tol:", "    for _ in range(20):")),
        *(f"        {_statement(draw)}" for _ in range(draw.randint(2, 6))),
        "        n = n + 1",
        "        if (a * a).sum() + n > tol: break",
        "    return a, b, c, grad(t, v, w), grad(s, q, p), n",
    ]
    names: dict[str, Any] = {"hb": hb}

    def grad(tape: Any, target: Any, source: Any) -> Any:
        try:
            g = tape.gradient(target, source)
        except hb.errors.GradientError:
            return source * 0.125
        return source * 0.25 if g is None else g

    names["grad"] = grad
    exec("\n".join(lines), names)
    found: Callable[..., Any] = names["f"]
    return found


@pytest.mark.parametrize("seed", range(24))
def test_random_loops_with_tapes_do_the_same_compiled(seed: int) -> None:
    f = _function(seed)
    g = hb.compile(f)
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tol in (3.0, 8.0, 5.0):
            arrays = rng.uniform(-1, 1, (3, 3))
            given = [hb.asarray(x) for x in arrays]
            assert_alike(g(*given, hb.asarray(tol)), f(*given, hb.asarray(tol)))
