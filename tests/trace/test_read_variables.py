"""``for k in range(n)`` whose steps ask and read `k`: what they compute, and one trace."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import hybrid as hb
from tests.trace.test_counters import calls, same


def divided(x: Any, tol: Any) -> Any:
    for k in range(1, 300):
        x = x * 0.95 + 1e-3 / k * x
        if hb.max(x) < tol:
            break
    return x, k


def squares_and_powers(x: Any, tol: Any) -> Any:
    m = x * 0
    for t in range(1, 200):
        m = 0.9 * m + 0.1 * x
        x = x - 0.2 * m / (1 - 0.9**t) - x * 1e-3 / (t * t + 2 * t - 1) + 1e-4 * (t + 1) ** 0.5
        if hb.max(x) < tol:
            break
    return x, t, t * t


def down(x: Any, tol: Any) -> Any:
    for k in range(300, 2, -3):
        x = x * 0.95 + 1e-5 * k
        if hb.max(x) < tol:
            return x, k
    return x, -k


def every_third(x: Any, tol: Any) -> Any:
    kept = x
    for k in range(60):
        x = x * 0.95
        if k % 3 == 0:
            kept = x * k
        if k > 4 and hb.max(x) < tol:
            break
    else:
        return x, kept, -1
    return x, kept, k


def of_a_table(x: Any, tol: Any) -> Any:
    table, out = hb.arange(100) * 1e-4 + 0.9, hb.zeros(100)
    for k in range(100):
        x = x * table[k]
        out[k] = hb.max(x)
        if hb.max(x) < tol:
            break
    return x, out, k


def of_rows(x: Any, tol: Any) -> Any:
    rows = hb.ones((40, 6)) * 1e-3
    for k in range(40):
        row = rows[k]
        row += x
        x = x * 0.9
        if hb.max(x) < tol:
            break
    return x, rows


def of_a_list(x: Any, tol: Any) -> Any:
    rates = [0.9, 0.8] * 20
    for k in range(40):
        x = x * rates[k]
        if hb.max(x) < tol:
            break
    return x, k


def of_a_list_made_late(x: Any, tol: Any) -> Any:
    for k in range(20):
        rates = [0.9, 0.8] * 20
        x = x * rates[k] + len(f"{k}") * 1e-3
        if hb.max(x) < tol:
            break
    return x, f"{k} steps", [0] * k


def inner_ranges(x: Any, tol: Any) -> Any:
    for k in range(12):
        for j in range(k):
            x = x * (1 - 0.01 * j)
        if hb.max(x) < tol:
            break
    return x, k


def within_each_other(x: Any, tol: Any) -> Any:
    for k in range(1, 30):
        for j in range(1, 20):
            x = x * 0.98 - 1e-3 / (k + j)
            if hb.sum(x) < 2.0 / j:
                break
        if hb.max(x) < tol:
            break
        x = x * (1 + 0.1 / k)
    return x, k, j


def changed(x: Any, tol: Any) -> Any:
    total = 0
    for k in range(50):
        k += 2
        total += 1
        x = x * 0.9 + 1e-4 * k
        if hb.max(x) < tol:
            break
    return x, k, total


def over_nought(x: Any, tol: Any) -> Any:
    caught = 0
    for k in range(-5, 40):
        x = x * 0.9
        try:
            x = x + 1e-9 / k
        except ZeroDivisionError:
            caught += 1
        if hb.max(x) < tol:
            break
    return x, k, caught


def goes_on(x: Any, tol: Any) -> Any:
    late = 0
    for k in range(40):
        x = x * 0.95
        if hb.max(x) < tol:
            late = k
            x = x + 1
            continue
        x = x - 1e-3 * k
    return x, k, late


def asked_late(x: Any, tol: Any) -> Any:
    for k in range(40):
        x = x * 0.95 + k * 1e-3
        if k > 10 and hb.max(x) < tol:
            break
    for k in range(9):
        x = x * (k + 1)
    return x, k


def kept(x: Any, tol: Any) -> Any:
    found, seen = [], {}
    for k in range(30):
        x = x * 0.9
        found.append(k)
        seen[k] = x
        if hb.max(x) < tol:
            break
    return x, found, seen


def large(x: Any, tol: Any) -> Any:
    n = 1
    for k in range(1, 40):
        x = x * 0.9
        n = n * k
        if hb.max(x) < tol:
            break
    return x, n, k**20


ALL = [
    divided, squares_and_powers, down, every_third, of_a_table, of_rows, of_a_list,
    of_a_list_made_late, inner_ranges, within_each_other, changed, over_nought, goes_on,
    asked_late, kept, large,
]  # fmt: skip
ONE_TRACE = [divided, squares_and_powers, down, every_third, of_a_table, changed]


@pytest.mark.parametrize("function", ALL)
def test_loops_that_read_their_variable_give_what_they_give_eagerly(
    function: Callable[..., Any],
) -> None:
    compiled = hb.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            for got, want in zip(calls(compiled), calls(function), strict=True):
                same(got, want)


@pytest.mark.parametrize("function", ONE_TRACE)
def test_other_numbers_of_steps_are_not_traced_again(function: Callable[..., Any]) -> None:
    compiled = hb.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            list(calls(compiled))
        (trace,) = compiled.concrete_functions
        assert trace.fallback is None
        segments = len(trace.segments)
        for got, want in zip(calls(compiled), calls(function), strict=True):
            same(got, want)
    assert len(trace.segments) == segments < 25


def test_a_loop_of_one_question_that_reads_its_variable_runs_natively() -> None:
    compiled = hb.compile(divided)
    list(calls(compiled))
    assert "repeated as a loop" in compiled.explain()


def test_the_numbers_are_right_after_the_function_has_gone_on_eagerly() -> None:
    def f(x: Any, tol: Any) -> Any:
        states = []
        for k in range(100):
            states.append(x)
            if hb.sum(x) > hb.max(x) * 9:
                x = x * 0.9
            x = x * (1 - 0.1 / (k + 1))
            if hb.max(x) < tol * len(states) * 1e-9:
                break
        return x, k, len(states)

    compiled = hb.compile(f)
    with pytest.warns(hb.errors.EagerFallbackWarning, match="128 decisions"):
        found = list(calls(compiled))
    for got, want in zip(found, calls(f), strict=True):
        same(got, want)
