"""Steps that ask several questions, and go one way many times, are taken in native code."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.trace.test_counters import ATOM, calls, same


def bounded(x: Any, tol: Any) -> Any:
    n = 0
    while hb.max(x) > tol and n < 50:
        x = x * 0.95
        n += 1
    return x, n


def with_what_was_before(x: Any, tol: Any) -> Any:
    old, older = x, x
    while True:
        older, old, x = old, x, hb.roll(x, 1) * 0.97
        if hb.max(x) < tol:
            break
        if hb.sum(x * x) < tol:
            break
        if x[0] > 5:
            x = x * 0.5
    return x, old, older


def by_turns(x: Any, tol: Any) -> Any:
    n = 0
    while hb.max(x) > tol:
        x = x * 0.98
        if n % 2 == 0:
            x = x - 1e-4
        n += 1
    return x, n


CYCLES = [bounded, with_what_was_before, by_turns]


def cycles_of(compiled: Any) -> list[Any]:
    segments = [x for trace in compiled.concrete_functions for x in trace.segments]
    return [x.cycle for x in segments if x.cycle is not None]


@pytest.mark.parametrize("function", CYCLES)
def test_steps_of_several_questions_give_what_they_give_eagerly(
    function: Callable[..., Any],
) -> None:
    compiled = hb.compile(function)
    for _ in range(2):
        for got, want in zip(calls(compiled), calls(function), strict=True):
            same(got, want)
    assert cycles_of(compiled)


def test_steps_that_go_one_way_are_taken_at_once() -> None:
    compiled = hb.compile(bounded)
    list(calls(compiled))
    (found,) = cycles_of(compiled)
    assert found.steps > 10 * found.tries


def test_a_way_that_is_never_gone_twice_is_tried_a_few_times_only() -> None:
    compiled = hb.compile(by_turns)
    for _ in range(3):
        list(calls(compiled))
    assert all(x.steps >= 2 * x.tries or x.tries <= 8 for x in cycles_of(compiled))


@pytest.mark.parametrize("rate", [0.9, 0.5])
def test_python_numbers_that_are_arguments_go_from_step_to_step(rate: float) -> None:
    def f(x: Any, tol: float, rate: float) -> Any:
        n = 0
        while hb.max(x) > tol and n < 40:
            x = x * 0.95 + rate * 1e-3
            rate = rate * 0.9
            n += 1
        return x, rate, n

    compiled = hb.compile(f)
    for tol in (0.3, 0.1, 0.2, 0.001):
        same(compiled(hb.asarray(ATOM), tol, rate), f(hb.asarray(ATOM), tol, rate))


def test_under_a_tape_the_steps_are_gone_through_one_by_one() -> None:
    compiled = hb.compile(bounded)
    list(calls(compiled))
    gradients = []
    for function in (compiled, bounded):
        x, tol = hb.asarray(ATOM), hb.asarray(0.3, dtype="float64")
        with hb.GradientTape() as tape:
            tape.watch(x)
            found, _ = function(x, tol)
        gradients.append(tape.gradient(found, x))
    np.testing.assert_allclose(gradients[0].numpy(), gradients[1].numpy(), rtol=1e-12)


def test_steps_that_write_or_may_fail_are_not_tried_in_vain() -> None:
    def writes(x: Any, tol: Any) -> Any:
        n = 0
        while hb.max(x) > tol and n < 50:
            x *= 0.95
            n += 1
        return x, n

    def fails(x: Any, tol: Any) -> Any:
        table, n = hb.arange(12) * 0.01 + 0.8, 0
        while hb.max(x) > tol and n < 12:
            x = x * table[n]
            n += 1
        return x, n

    for function in (writes, fails):
        compiled = hb.compile(function)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for got, want in zip(calls(compiled), calls(function), strict=True):
                same(got, want)
        assert not cycles_of(compiled)
