"""Loops that ask several questions a step come back to the segments they have passed."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.containers import leaves_of

pytestmark = pytest.mark.usefixtures("no_tape_around")

ATOM = np.linspace(0.5, 1.5, 4)
TOTAL = hb.Variable(np.zeros(4), name="total")
WEIGHTS = hb.Variable(np.eye(4) * 0.9, name="weights")


def damped(x: Any, tol: Any) -> Any:
    while hb.max(x) > tol:
        x = x * 0.9375
        if hb.sum(x) > 3:
            x = x * 0.875
    return x


def of_three_ways(x: Any, tol: Any) -> Any:
    a = x * 0
    while hb.max(x) > tol:
        if hb.sum(x) > 8:
            x = x * 0.75
            a = a + x
        elif hb.sum(x) > 4:
            a, x = x * 0.875, x * 0.875 + a * 0.01
        else:
            x = x * 0.875 - 0.001
    return x, a


def counted(x: Any, tol: Any) -> Any:
    n = m = 0
    while hb.max(x) > tol and n < 150:
        n += 1
        if hb.sum(x) > 4:
            x = x * 0.875
            m += 1
            continue
        x = x * 0.96875
    return x, n, m


def with_two_ways_out(x: Any, tol: Any) -> Any:
    best = x
    for k in range(150):
        y = x - 0.125 * (x * x - tol)
        if hb.any(hb.isnan(y)):
            return best, -k
        if hb.max(hb.abs(y - x)) < tol * 1e-3:
            break
        if hb.sum(y) < hb.sum(best):
            best = y
        x = y
    return x, best, k


def to_a_variable(x: Any, tol: Any) -> Any:
    TOTAL.assign(x)
    for _ in range(150):
        TOTAL.assign_add(TOTAL * -0.0625)
        if hb.max(TOTAL) < tol:
            break
        if hb.sum(TOTAL) > 4:
            TOTAL.assign(TOTAL - 0.125)
    return TOTAL + 0


def to_a_variable_now_and_then(x: Any, tol: Any) -> Any:
    while hb.max(x) > tol:
        x = WEIGHTS @ x
        if hb.sum(x) > 4:
            x = x * 0.875
        else:
            WEIGHTS.assign(WEIGHTS * 0.96875)
    return x


def to_its_argument(x: Any, tol: Any) -> Any:
    inner = x[1:]
    while hb.max(x) > tol:
        x *= 0.9375
        if hb.sum(inner) > 4:
            inner *= 0.9375
    return inner * 2


LOOPS = [
    damped, of_three_ways, counted, with_two_ways_out, to_a_variable, to_a_variable_now_and_then,
    to_its_argument,
]  # fmt: skip
CALLS = [(1.0, 0.3), (4.0, 1e-2), (1.0, 0.05), (9.0, 3.0), (0.25, 2.0)]


def called(f: Callable[..., Any], scale: float, tol: float) -> list[Any]:
    """Return the results, and what is outside after the call."""
    TOTAL.assign(np.zeros(4))
    WEIGHTS.assign(np.eye(4) * 0.9)
    x = hb.asarray(ATOM * scale)
    return [*leaves_of(f(x, tol)), x, TOTAL + 0, WEIGHTS + 0]


def assert_same(got: list[Any], wanted: list[Any]) -> None:
    for a, b in zip(got, wanted, strict=True):
        assert type(a) is type(b)
        if isinstance(a, hb.Tensor):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)
        else:
            assert a == b


@pytest.mark.parametrize("f", LOOPS)
def test_each_call_is_that_of_eager_code(f: Callable[..., Any]) -> None:
    wanted = [called(f, *call) for call in CALLS]
    compiled = hb.compile(f)
    with warnings.catch_warnings():
        warnings.simplefilter("error", hb.errors.EagerFallbackWarning)
        for i in (3, 1, 4, 0, 2, 1, 0, 3):
            assert_same(called(compiled, *CALLS[i]), wanted[i])


def test_more_steps_than_a_call_may_decide_are_a_few_segments() -> None:
    for f, most in ((damped, 10), (to_a_variable, 30)):
        compiled = hb.compile(f)
        called(compiled, 4.0, 1e-6)
        called(compiled, 2.0, 1e-7)
        x = hb.asarray(ATOM)
        assert len(compiled.get_concrete_function(x, 1e-6).segments) <= most


def test_known_ways_in_another_order_are_not_traced_again() -> None:
    compiled = hb.compile(damped)
    for scale in (4.0, 1.0):
        called(compiled, scale, 1e-3)
    traced = compiled.get_concrete_function(hb.asarray(ATOM), 1e-3).traces
    for scale in np.linspace(0.5, 30, 5):
        assert_same(called(compiled, scale, 1e-3), called(damped, scale, 1e-3))
    assert compiled.get_concrete_function(hb.asarray(ATOM), 1e-3).traces == traced


def test_a_tape_around_the_call_sees_each_step_of_each_way() -> None:
    compiled = hb.compile(damped)
    called(compiled, 1.0, 0.1)
    for scale in (1.0, 4.0, 1.0):
        x = hb.asarray(ATOM * scale)
        got = hb.grad(lambda x: hb.sum(compiled(x, 0.1)))(x)
        wanted = hb.grad(lambda x: hb.sum(damped(x, 0.1)))(x)
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-9)


def test_an_error_in_one_of_the_ways_is_that_of_eager_code() -> None:
    def f(x: Any, tol: Any) -> Any:
        while hb.max(x) > tol:
            x = x * 0.875
            if hb.sum(x) < 0.25:
                x = x @ hb.linalg.cholesky(hb.eye(4, dtype="float64") * (hb.sum(x) - 0.125))
        return x

    compiled = hb.compile(f)
    for scale, tol in ((4.0, 0.3), (4.0, 1e-3), (1.0, 0.05), (4.0, 1e-3)):
        x = hb.asarray(ATOM * scale)
        try:
            wanted = f(x, tol)
        except np.linalg.LinAlgError:
            with pytest.raises(np.linalg.LinAlgError):
                compiled(x, tol)
        else:
            np.testing.assert_allclose(compiled(x, tol).numpy(), wanted.numpy(), rtol=1e-9)


STEPS = [
    "x = x * 0.875", "x, y = y * 0.9375, x", "y = x + y * 0.5", "n += 1", "m = n", "z = x",
    "x = x.copy(); x[1:] *= 0.9375", "x[0] = y[1] * 0.5", "y = y[::-1]",
]  # fmt: skip
QUESTIONS = ["hb.max(hb.abs(x)) < tol", "hb.sum(x) > 4", "hb.min(y) < tol", "n > 9", "k == 7"]


def written(choose: random.Random) -> str:
    """Return a function with a loop in it, made by chance."""
    head = choose.choice(["for k in range(25)", "while hb.max(x) > tol and n < 25"])
    lines = ["def f(x, tol):", "    y, z, n, m, k = x * 0.5, x, 0, 0, 0", f"    {head}:"]
    lines += ["        x = x * 0.96875", "        n += 1"]
    for _ in range(choose.randint(2, 4)):
        lines.append(f"        if {choose.choice(QUESTIONS)}:")
        lines.append(f"            {choose.choice([*STEPS, 'continue', 'break'])}")
        lines += [f"        {choose.choice(STEPS)}" for _ in range(choose.randint(0, 2))]
    return "\n".join([*lines, f"    return x, y, z, {choose.choice(['n', 'm', 'k', 'None'])}"])


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")
@pytest.mark.parametrize("seed", range(3))
def test_loops_made_by_chance_are_those_of_eager_code(seed: int) -> None:
    choose = random.Random(seed)
    scope: dict[str, Any] = {"hb": hb}
    exec(written(choose), scope)
    compiled = hb.compile(scope["f"])
    for scale, tol in choose.sample(CALLS, 3) * 2:
        assert_same(called(compiled, scale, tol), called(scope["f"], scale, tol))
