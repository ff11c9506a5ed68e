"""A Python loop that asks a traced value whether to go on runs in native code where it is one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

import hybrid as hb

pytestmark = pytest.mark.usefixtures("no_tape_around")

ATOM = np.linspace(0.5, 1.5, 6)


def start(scale: float) -> hb.Tensor:
    return hb.asarray(ATOM * scale)


def repeats(compiled: Any, *args: Any) -> int:
    segments = compiled.get_concrete_function(*args).segments
    return sum(segment.repeat is not None for segment in segments)


# --- what is a loop -------------------------------------------------------------------------------


def newton(x: Any, tol: Any) -> Any:
    root, error = x, 1.0 + tol
    while error > tol:
        new = 0.5 * (root + x / root)
        error = hb.max(hb.abs(new - root))
        root = new
    return root, error


def until(x: Any, tol: Any) -> Any:
    while True:
        x = x * 0.75
        if hb.sum(x) < tol:
            break
    return x + 1


def in_place(x: Any, tol: Any) -> Any:
    x = x.copy()
    while hb.max(x) > tol:
        old = x.copy()
        x[1:-1] = (old[2:] + old[:-2]) * 0.25
        x[0] = x[1] * 0.5
        x[-1] *= 0.75
    return x


def settle(x: Any, tol: Any) -> Any:
    while hb.max(x) > tol:
        x = x * 0.875
    return x


def by_a_helper(x: Any, tol: Any) -> Any:
    return settle(x * 2, tol) + settle(x + 1, tol / 2)


def nested(x: Any, tol: Any) -> Any:
    for k in (1.0, 2.0):
        x = settle(x + k, tol)
    return x


def containers(x: Any, tol: Any) -> Any:
    state = {"x": x, "pair": (x, [x * 2])}
    while hb.sum(state["x"]) > tol:
        state = {"x": state["x"] * 0.5, "pair": (state["pair"][0], [state["pair"][1][0] + 1.0])}
    return state


def matrices(x: Any, tol: Any) -> Any:
    w = hb.eye(6, dtype="float64") * 0.5 + 0.05
    while hb.max(x) > tol:
        x = w @ x
    return x


def of_a_view(x: Any, tol: Any) -> Any:
    part = x[::2]
    while hb.max(part) > tol:
        x = x * 0.5
        part = x[::2]
    return x, part


LOOPS = [newton, until, in_place, by_a_helper, containers, matrices, of_a_view, nested]


@pytest.mark.parametrize("f", LOOPS)
def test_loops_give_the_eager_result_for_every_number_of_steps(f: Callable[..., Any]) -> None:
    compiled = hb.compile(f)
    for tol, scale in ((1e-2, 1.0), (1e-3, 4.0), (3.0, 1.0), (1e-9, 2.0), (0.5, 1.0), (1e-2, 1.0)):
        got, wanted = compiled(start(scale), tol), f(start(scale), tol)
        pairs = zip(hb_leaves(got), hb_leaves(wanted), strict=True)
        for a, b in pairs:
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)
    assert repeats(compiled, start(1.0), 1e-2) >= 1


def hb_leaves(x: Any) -> list[Any]:
    from hybrid.core import containers as nests

    return list(nests.leaves_of(x))


def test_a_loop_is_traced_a_few_steps_whatever_their_number() -> None:
    @hb.compile
    def f(x: Any) -> Any:
        while hb.max(x) > 1e-30:
            x = x * 0.875
        return x

    for k in range(1, 12):
        f(start(10.0**k))
    assert len(f.get_concrete_function(start(1.0)).segments) <= 4


def test_more_steps_than_a_trace_may_have_decisions_raise_no_warning(recwarn: Any) -> None:
    got = hb.compile(settle)(start(1.0), 1e-30)
    np.testing.assert_array_equal(got.numpy(), settle(start(1.0), 1e-30).numpy())
    assert not list(recwarn)


def test_gradients_take_the_loop_step_by_step() -> None:
    def loss(x: Any) -> Any:
        while hb.max(x) > 0.3:
            x = x * 0.75
        return hb.sum(x * x)

    compiled = hb.compile(loss)
    compiled(start(1.0))
    for _ in range(2):
        got, wanted = hb.grad(compiled)(start(1.0)), hb.grad(loss)(start(1.0))
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-12)
        np.testing.assert_allclose(compiled(start(3.0)).numpy(), loss(start(3.0)).numpy())


def test_unknown_sizes_have_loops_too() -> None:
    compiled = hb.compile(settle)
    for n in (3, 5, 7, 9, 8):
        x = hb.asarray(np.linspace(1, 2, n))
        np.testing.assert_allclose(compiled(x, 1e-3).numpy(), settle(x, 1e-3).numpy(), rtol=1e-12)


# --- what is none ---------------------------------------------------------------------------------

TALLY: list[Any] = []
COUNTER = {"n": 0}


def counts(x: Any, tol: Any) -> Any:
    n = 0
    while hb.max(x) > tol:
        x = x * 0.5
        n += 1
    return x, n


def changes_after_some_steps(x: Any, tol: Any) -> Any:
    n = 0
    while hb.max(x) > tol:
        x = x * (0.5 if n < 3 else 0.75)
        n = min(n + 1, 5)
    return x * n


def keeps_a_list(x: Any, tol: Any) -> Any:
    kept = [x]
    while hb.max(x) > tol:
        x = x * 0.5
        kept.append(x)
    return hb.stack(kept)


def bounded(x: Any, tol: Any) -> Any:
    for _ in range(6):
        x = x * 0.5
        if hb.max(x) < tol:
            break
    return x


def by_an_iterator(x: Any, tol: Any) -> Any:
    steps = iter([0.5, 0.5, 0.5, 0.25, 0.5, 0.5])
    while hb.max(x) > tol:
        x = x * next(steps, 0.125)
    return x


def two_back(x: Any, tol: Any) -> Any:
    before = x * 1.5
    while hb.max(x) > tol:
        x, before = before * 0.5, x
    return x, before


def swapped_names(x: Any, tol: Any) -> Any:
    a, b = x, x * 2
    while hb.max(a) + hb.max(b) > tol:
        a, b = b * 0.5, a
    return a, b


NUMBER = 0


class Box:
    total = 0

    def __init__(self, n: int) -> None:
        self.n = n


BOX = Box(0)
settle.calls = 0  # type: ignore[attr-defined]


def local_object(x: Any, tol: Any) -> Any:
    box = Box(0)
    while hb.max(x) > tol:
        x = x * 0.5
        box.n += 1
    return x + box.n


def closure(x: Any, tol: Any) -> Any:
    n = 0

    def step(x: Any) -> Any:
        nonlocal n
        n += 1
        return x * 0.5

    while hb.max(x) > tol:
        x = step(x)
    return x + n


def numpy_array(x: Any, tol: Any) -> Any:
    tally = bytearray(1)
    while hb.max(x) > tol:
        x = x * 0.5
        tally[0] += 1
    return x + tally[0]


def counts_on_a_class(x: Any, tol: Any) -> Any:
    class Tally:
        n = 0

    while hb.max(x) > tol:
        x = x * 0.5
        Tally.n += 1
    return x + Tally.n


def counts_on_a_function(x: Any, tol: Any) -> Any:
    def step(x: Any) -> Any:
        step.n += 1
        return x * 0.5

    step.n = 0
    while hb.max(x) > tol:
        x = step(x)
    return x + step.n


def hides_a_list(x: Any, tol: Any) -> Any:
    def keeping() -> Any:
        kept: list[Any] = []
        return kept.append, lambda: len(kept)

    append, length = keeping()
    while hb.max(x) > tol:
        x = x * 0.5
        append(1)
    return x + length()


def a_helper_that_counts(x: Any, tol: Any) -> Any:
    n = 0

    def again(x: Any) -> Any:
        nonlocal n
        n += 1
        return hb.max(x) > tol

    def run(x: Any, go: Any) -> Any:
        while go(x):
            x = x * 0.5
        return x

    for _ in range(2):
        x = run(x + 1, again)
    return x + n


def generator(x: Any, tol: Any) -> Any:
    def steps(x: Any) -> Any:
        while hb.max(x) > tol:
            x = x * 0.5
            yield x

    n = 0
    for y in steps(x):
        x, n = y, n + 1
    return x + n


def called_each_time(x: Any, tol: Any) -> Any:
    def far(x: Any) -> bool:
        near = hb.max(x) <= tol
        return False if near else True  # noqa: SIM211

    n = 0
    while far(x):
        x = x * 0.5
        n += 1
    return x + n


NO_LOOPS = [
    counts, changes_after_some_steps, keeps_a_list, bounded, by_an_iterator, two_back,
    swapped_names, local_object, closure, numpy_array, generator, called_each_time,
    counts_on_a_class, counts_on_a_function, hides_a_list, a_helper_that_counts,
]  # fmt: skip


@pytest.mark.parametrize("f", NO_LOOPS)
def test_what_python_counts_is_counted(f: Callable[..., Any]) -> None:
    compiled = hb.compile(f)
    for tol in (1e-2, 0.3, 1e-1, 1e-3, 0.3):
        got, wanted = compiled(start(1.0), tol), f(start(1.0), tol)
        for a, b in zip(hb_leaves(got), hb_leaves(wanted), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "kind",
    ["list", "dict", "global", "random", "iterator", "variable", "class", "function", "object"],
)
def test_what_a_loop_changes_outside_is_changed_at_each_step(kind: str) -> None:
    steps = count()
    variable = hb.Variable(hb.asarray(0.0, dtype="float64"))

    def step(x: Any) -> Any:
        if kind == "list":
            TALLY.append(1)
        elif kind == "dict":
            COUNTER["n"] += 1
        elif kind == "global":
            global NUMBER
            NUMBER += 1
        elif kind == "random":
            return x * float(np.random.default_rng(0).uniform(0.5, 0.75))
        elif kind == "class":
            Box.total += 1
        elif kind == "function":
            settle.calls += 1
        elif kind == "object":
            BOX.n += 1
        elif kind == "iterator":
            return x * (0.5 if next(steps) % 2 else 0.75)
        else:
            variable.assign(variable + 1.0)
        return x * 0.5

    def loop(x: Any) -> Any:
        while hb.max(x) > 1e-2:
            x = step(x)
        if kind == "list":
            x = x + len(TALLY)
        tally = COUNTER["n"] + Box.total + settle.calls + BOX.n + NUMBER
        return x + tally, variable + 0.0

    def run(f: Callable[..., Any]) -> list[Any]:
        global NUMBER
        nonlocal steps
        steps = count()
        TALLY.clear()
        Box.total = settle.calls = BOX.n = NUMBER = 0
        COUNTER["n"] = 0
        variable.assign(hb.asarray(0.0, dtype="float64"))
        return [x.numpy() for x in f(start(1.0))]

    wanted, got = run(loop), run(hb.compile(loop))
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: hb.stack(sorted(x, key=lambda q: q.sum())),
        lambda x: max([*x], key=lambda q: q.sum()) * min(x[:, 0]),
        lambda x: x * any(q.sum() > 1 for q in x) * all(map(bool, x.sum(axis=1) < 9)),
        lambda x: x * [q.sum() > 1 for q in x].index(True) * sum(filter(lambda q: q > 0, x[0])),
    ],
)
def test_what_c_asks_in_the_middle_of_something_is_no_loop(ask: Any) -> None:
    traced = hb.compile(ask)
    for seed in range(4):
        x = hb.asarray(np.random.default_rng(seed).normal(size=(5, 4)) + 1)
        np.testing.assert_allclose(traced(x), ask(x), rtol=1e-12)


# --- steps in which something else cuts the trace -------------------------------------------------


def by_an_int(x: Any, tol: Any) -> Any:
    n = hb.asarray(3)
    while hb.max(x) > tol:
        x = x * (0.9 - 0.03 * int(n))
        n = n * 5 % 7
    return x


def by_a_size(x: Any, tol: Any) -> Any:
    while hb.max(x) > tol:
        x = x * (0.97 - 0.01 * len(x[x > 0.3]))
    return x


def by_a_count(x: Any, tol: Any) -> Any:
    n = hb.asarray(1)
    for _ in range(200):
        for _ in range(int(n)):
            x = x * 0.99
        n = n * 2 % 5
        if hb.max(x) < tol:
            break
    return x


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize("f", [by_an_int, by_a_size, by_a_count])
def test_a_number_that_a_step_asks_for_is_asked_for_in_each_step(f: Callable[..., Any]) -> None:
    traced = hb.compile(f)
    for scale, tol in ((1.0, 0.9), (1.2, 0.1), (0.9, 0.01), (1.2, 0.1)):
        want = f(start(scale), tol)
        np.testing.assert_allclose(traced(start(scale), tol), want, rtol=1e-12)


def test_what_acts_before_what_may_fail_acts_in_each_step(capsys: Any) -> None:
    matrix = hb.asarray(np.eye(6) * 1.05)

    def shown(x: Any, tol: Any) -> Any:
        while hb.max(x) > tol:
            hb.print("first", x[0])
            x = hb.linalg.solve(matrix, x)
        return x

    traced = hb.compile(shown)
    for tol in (0.9, 0.3, 0.1, 0.5):
        want = shown(start(1.0), tol)
        lines = capsys.readouterr().out
        np.testing.assert_allclose(traced(start(1.0), tol), want, rtol=1e-12)
        assert capsys.readouterr().out == lines
