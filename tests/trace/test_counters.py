"""Ints and floats that change in loops which ask are values of the graph: the same, one trace."""

from __future__ import annotations

import json
import math
import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import limits
from hybrid.core.containers import leaves_of
from hybrid.trace import bytecode

ATOM = np.linspace(0.5, 1.5, 6)


def returned(x: Any, tol: Any) -> Any:
    n = 0
    while hb.max(x) > tol:
        x = x * 0.95
        n += 1
    return x, n, n + 1, n * 2, n % 7, n // 3, -n, abs(n - 20), n / 4, n * 0.5, n**0.5


def bounded(x: Any, tol: Any) -> Any:
    n = 0
    while hb.max(x) > tol and n < 30:
        x = x * 0.95
        n += 1
    return x, n


def in_steps(x: Any, tol: Any) -> Any:
    n = 1
    while hb.max(x) > tol:
        x = x * 0.95 + 1e-3 / n * x - 0.9**n * 1e-4
        n += 1
    return x, n


def of_two_kinds(x: Any, tol: Any) -> Any:
    even = odd = 0
    while hb.max(x) > tol:
        x = hb.roll(x * 0.95, 1)
        if x[0] > x[1]:
            even += 2
        else:
            odd += 1
    return x, even, odd, even - odd


def patience(x: Any, tol: Any) -> Any:
    best, bad = hb.max(x), 0
    while bad < 5:
        x = hb.roll(x, 1) * 0.97
        if x[0] < best:
            best, bad = x[0], 0
        else:
            bad += 1
        if best < tol:
            break
    return x, best, bad


def modulo(x: Any, tol: Any) -> Any:
    n, kept = 0, x
    while hb.max(x) > tol:
        x = x * 0.97
        if n % 10 == 0:
            kept = x
        n += 1
    return x, kept, n


def as_index(x: Any, tol: Any) -> Any:
    out, weights = hb.zeros(200), hb.arange(200) * 1e-4 + 0.9
    n = 0
    while hb.max(x) > tol:
        x = x * weights[n]
        out[n] = hb.max(x)
        n += 1
    return x, out


def as_size(x: Any, tol: Any) -> Any:
    n = 0
    while hb.max(x) > tol:
        x = x * 0.9
        n += 1
    return x, hb.arange(n), f"{n} steps", [0] * n


def rows_that_are_written(x: Any, tol: Any) -> Any:
    table = hb.ones((60, 3))
    n = 0
    while hb.max(x) > tol:
        x = x * 0.9
        row = table[n]
        row *= x[:3]
        n += 1
    return x, table


def grows(x: Any, tol: Any) -> Any:
    n, m = 1, 3
    while hb.max(x) > tol:
        x = x * 0.9
        n *= m
    return x, n


def fibonacci(x: Any, tol: Any) -> Any:
    a, b = 0, 1
    while hb.max(x) > tol:
        x = x * 0.9
        a, b = b, a + b
    return x, a, b


def text(x: Any, tol: Any) -> Any:
    n, said = 0, ""
    while hb.max(x) > tol:
        x = x * 0.8
        n += 1
        said = f"step {n}"
    return x, said


def keys(x: Any, tol: Any) -> Any:
    n, found, names = 0, {}, ["a", "b", "c"]
    while hb.max(x) > tol:
        x = x * 0.9
        found[names[n % 3]] = x
        n += 1
    return x, found


def more_keys(x: Any, tol: Any) -> Any:
    n, found, pairs, some, memo = 0, {}, {}, set(), {}
    while hb.max(x) > tol:
        x = x * 0.8
        found[n % 3] = x
        pairs[n % 2, "b"] = n
        some.add(n + 1)
        memo.setdefault(n // 4, n)
        n += 1
    return x, found, pairs, sorted(some), {n: x}, memo.get(1), list(found), [type(k) for k in memo]


def gives_up(x: Any, tol: Any) -> Any:
    n, found = 0, {}
    while hb.max(x) > tol:
        x = x * 0.8
        n += 1
    m = n - 1
    mean = float(x.mean())
    found[n] = mean
    return x, found, {m: n}, json.dumps([n, m])


def listed(x: Any, tol: Any) -> Any:
    n, numbers = 0, []
    while hb.max(x) > tol:
        x = x * 0.9
        numbers.append(n)
        n += 1
    return x, numbers


def narrow(x: Any, tol: Any) -> Any:
    small = hb.zeros(3, dtype="int8")
    n = 0
    while hb.max(x) > tol:
        x = x * 0.9
        small = small * 0 + n
        n += 1
    return x, small


def nested(x: Any, tol: Any) -> Any:
    total = 0
    while hb.max(x) > tol:
        n = 0
        while n < 3:
            y = x * 0.9
            if hb.sum(y) > 3:
                n += 1
            x = y
            n += 1
        total += n
    return x, total


def down(x: Any, tol: Any) -> Any:
    left = 40
    while left:
        x = x * 0.95
        left -= 1
        if hb.max(x) < tol:
            return x, left
    return x, -1


def waits_on_the_stack(x: Any, tol: Any) -> Any:
    n, total = 0, 0
    while n < 60:
        total = n * 2 + (1 if hb.max(x) > tol else 3)
        x = x * 0.95
        n += 1
    return x, total


def in_a_closure(x: Any, tol: Any) -> Any:
    n = 0

    def count() -> int:
        return n

    while hb.max(x) > tol:
        x = x * 0.9
        n += 1
    return x, count()


def divides_by_nought(x: Any, tol: Any) -> Any:
    n, caught = -4, 0
    while hb.max(x) > tol:
        x = x * 0.9
        try:
            x = x + 1e-9 / n
        except ZeroDivisionError:
            caught += 1
        n += 1
    return x, n, caught


def of_a_kind(x: Any, tol: Any) -> Any:
    n = 0
    while hb.max(x) > tol:
        x = x * 0.9
        n += 1
    return x, isinstance(n, int), type(n) is int, isinstance(n, float), n == 3, n in (20, 21, 22)


# --- floats ---------------------------------------------------------------------------------------


def decays(x: Any, tol: Any) -> Any:
    rate = 0.5
    while hb.max(x) > tol:
        x = x * (1 - rate * 0.2) - 0.01 * x
        rate *= 0.99
    return x, rate, -rate, rate**2, rate // 0.3, rate % 0.3, rate > 0.3


def time_of_day(x: Any, tol: Any) -> Any:
    t, n = 0.0, 0
    while hb.max(x) > tol and t < 5.0:
        x = x * 0.95 - (3 + t) * 1e-4 * x
        t += 0.05
        n += 1
    return x, t, n, t / n if n else -1.0


def line_search(x: Any, tol: Any) -> Any:
    def loss(x: Any) -> Any:
        return hb.sum((x * x - 2.0) ** 2)

    while True:
        gradient = 4 * x * (x * x - 2.0)
        if hb.sum(gradient * gradient) < tol:
            return x
        t = 1.0
        while loss(x - t * gradient) > loss(x) - 1e-4 * t * hb.sum(gradient * gradient):
            t *= 0.5
        x = x - t * gradient


def asked_for(x: Any, tol: Any) -> Any:
    t = 1.0
    while hb.max(x) > tol:
        x = x * (0.9 - 0.05 * math.sqrt(t))
        t *= 0.5
    return x, t


def asked_for_at_times(x: Any, tol: Any) -> Any:
    t, said = 1.0, []
    while hb.max(x) > tol:
        x = x * 0.8
        t *= 0.5
        if x[0] < x[1] * 0.3:
            said.append(f"{t:.3f}")
    return x, said, t


def asked_for_in_the_end(x: Any, tol: Any) -> Any:
    t, found = 1.0, {}
    while hb.max(x) > tol:
        x = x * 0.8
        t *= 0.5
    found[t] = x
    return x, f"{t}", round(t, 3), int(1 / t), found, {t: t}, math.log(t), t.is_integer()


def signed_nought(x: Any, tol: Any) -> Any:
    t = 1e-320
    while hb.max(x) > tol:
        x = x * 0.8
        t *= -0.01
    return x, t, math.copysign(1.0, t)


def from_an_int(x: Any, tol: Any) -> Any:
    t = 1
    while hb.max(x) > tol:
        x = x * 0.8
        t = t / 2
    return x, t, isinstance(t, float), x.astype("float32") * t, hb.asarray(t)


def divided_by_less(x: Any, tol: Any) -> Any:
    t, caught = 3.0, 0
    while hb.max(x) > tol:
        x = x * 0.8
        try:
            x = x + 1e-9 * (1.0 / t)
        except ZeroDivisionError:
            caught += 1
        t -= 1.0
    return x, t, caught


def keys_of_floats(x: Any, tol: Any) -> Any:
    t, found = 1.0, {}
    while hb.max(x) > tol:
        x = x * 0.8
        t *= 0.5
        found[t] = x[0]
    return x, found, list(found)


def gives_up_beside(x: Any, tol: Any) -> Any:
    t, times = 1.0, []
    while hb.max(x) > tol:
        x = x * 0.8
        t *= 0.5
        times.append(t)
    mean = float(x.mean())
    return x, t, times, json.dumps([t, len(times)]), t * mean


FLOATS = [
    decays, time_of_day, line_search, asked_for, asked_for_at_times, asked_for_in_the_end,
    signed_nought, from_an_int, divided_by_less, keys_of_floats, gives_up_beside,
]  # fmt: skip
ALL = [
    *FLOATS, returned, bounded, in_steps, of_two_kinds, patience, modulo, as_index, as_size,
    rows_that_are_written, grows, fibonacci, text, keys, more_keys, gives_up, listed, narrow,
    nested, down,
    waits_on_the_stack, in_a_closure, divides_by_nought, of_a_kind,
]  # fmt: skip
ONE_TRACE = [
    returned, bounded, in_steps, of_two_kinds, patience, as_index, decays, time_of_day,
]  # fmt: skip


def same(got: Any, want: Any) -> None:
    mine, its = leaves_of(got), leaves_of(want)
    assert [type(x) for x in mine] == [type(x) for x in its]
    for a, b in zip(mine, its, strict=True):
        if isinstance(a, hb.Tensor):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9)
            assert a.dtype == b.dtype
        else:
            assert a == pytest.approx(b, rel=1e-14) if type(a) is float else a == b


def calls(function: Callable[..., Any]) -> Any:
    for scale, tol in ((1.0, 0.3), (3.0, 0.05), (1.0, 0.02), (9.0, 0.2), (0.01, 0.2), (2.0, 0.1)):
        x = hb.asarray(ATOM * scale)
        yield function(x, hb.asarray(tol, dtype="float64"))


@pytest.mark.parametrize("function", ALL)
def test_loops_that_count_give_what_they_give_eagerly(function: Callable[..., Any]) -> None:
    compiled = hb.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            for got, want in zip(calls(compiled), calls(function), strict=True):
                same(got, want)


@pytest.mark.parametrize("function", ONE_TRACE)
def test_other_counts_are_not_traced_again(function: Callable[..., Any]) -> None:
    compiled = hb.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            list(calls(compiled))
        with hb.trace_log() as log:
            for scale, tol in ((1.7, 0.03), (4.0, 0.11), (2.5, 0.07)):
                x, limit = hb.asarray(ATOM * scale), hb.asarray(tol, dtype="float64")
                same(compiled(x, limit), function(x, limit))
    assert str(log) == "nothing was traced or compiled"


def test_int8_and_a_count_overflow_as_they_do_eagerly() -> None:
    def f(x: Any, tol: Any) -> Any:
        small, n = hb.zeros(3, dtype="int8"), 0
        while hb.max(x) > tol:
            x = x * 0.97
            small = small * 0 + n
            n += 1
        return small

    x, tol = hb.asarray(ATOM), hb.asarray(0.001, dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for function in (f, hb.compile(f)):
            with pytest.raises(OverflowError):
                function(x, tol)


def test_what_is_known_of_ints_holds_for_all_between_the_limits() -> None:
    some = [(-3, 5), (0, 4), (1, 6), (2, 2), (-4, -4), (-7, -2)]
    binary = [getattr(operator, x) for x in ("add", "sub", "mul", "floordiv", "mod", "pow")]
    for f in binary:
        for a in some:
            for b in some:
                try:
                    low, high = limits.result(f, a, b)  # type: ignore[misc]
                except limits.TooLarge:
                    continue
                found = [f(x, y) for x in range(a[0], a[1] + 1) for y in range(b[0], b[1] + 1)]
                assert low <= min(found) <= max(found) <= high
    for f in (operator.neg, operator.abs, operator.pos):
        for a in some:
            found = [f(x) for x in range(a[0], a[1] + 1)]
            assert limits.result(f, a) == (min(found), max(found))


def test_a_question_is_alone_where_nothing_waits_for_its_answer() -> None:
    def f(x: Any, n: int) -> Any:
        for _ in range(3):
            if x:
                n = n * 2 + (1 if x else 2)
        return n

    code = f.__code__
    asks = [s.offset for s in bytecode.steps_of(code) if bytecode.decides(code, s.offset)]
    assert [bytecode.asks_alone(code, at) for at in asks] == [True, False]
