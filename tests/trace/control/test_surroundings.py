"""Bodies that change Python values outside of them do so at each step, as in plain Python."""

from __future__ import annotations

import itertools
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.containers import leaves_of
from hybrid.errors import EagerFallbackWarning, TraceError

X = np.arange(12.0).reshape(3, 4)
TIMES = 0


def a_number(x: Any) -> Any:
    n = 0

    def step(c: Any, r: Any) -> Any:
        nonlocal n
        n += 1
        return c + r * n, None

    return hb.scan(step, x[0], x)[0] + n


def a_tensor(x: Any) -> Any:
    total = x[0] * 0

    def step(r: Any) -> Any:
        nonlocal total
        total = total * 0.5 + r
        return total

    return hb.map(step, x), total


def one_branch(x: Any) -> Any:
    n = None

    def positive() -> Any:
        nonlocal n
        n = 2
        return x * 2

    def negative() -> Any:
        nonlocal n
        n = 3
        return x

    return hb.cond(x.sum() > 0, positive, negative) * n


def a_list(x: Any) -> Any:
    kept: list[Any] = []

    def step(i: Any, c: Any) -> Any:
        kept.append(c * 1)
        return c * 2

    return hb.fori_loop(0, 3, step, x), hb.stack(kept)


def a_deque_and_a_dict(x: Any) -> Any:
    seen: dict[int, int] = {}
    last: deque[int] = deque(maxlen=2)

    def row(r: Any) -> Any:
        last.append(seen.setdefault(len(seen), len(seen)))
        return r * sum(last)

    return hb.map(row, x)


def a_global(x: Any) -> Any:
    def step(c: Any, r: Any) -> Any:
        global TIMES
        TIMES += 1
        return c + r * TIMES, None

    return hb.scan(step, x[0], x)[0]


def what_the_condition_counts(x: Any) -> Any:
    asked = 0

    def small(c: Any) -> Any:
        nonlocal asked
        asked += 1
        return c.sum() < 500

    return hb.while_loop(small, lambda c: c * 2, x) * asked


def a_loop_in_a_loop(x: Any) -> Any:
    n = 1

    def inner(i: Any, c: Any) -> Any:
        nonlocal n
        n += 1
        return c + n

    return hb.scan(lambda c, r: (hb.fori_loop(0, 2, inner, c) + r, None), x[0], x)[0]


def with_a_question_later(x: Any) -> Any:
    n = 0

    def step(c: Any, r: Any) -> Any:
        nonlocal n
        n += 1
        return (c + r if c.sum() > 3 else c - r * n), None

    return hb.scan(step, x[0], x)[0] * n


class Model:
    def __init__(self) -> None:
        self.rate = 1

    def step(self, c: Any) -> Any:
        self.rate += 1
        return c * self.rate

    def __call__(self, x: Any) -> Any:
        return hb.while_loop(lambda c: c.sum() < 500, self.step, x), self.rate


@pytest.mark.parametrize(
    "f",
    [
        a_number,
        a_tensor,
        one_branch,
        a_list,
        a_deque_and_a_dict,
        a_global,
        what_the_condition_counts,
        a_loop_in_a_loop,
        with_a_question_later,
        lambda x: Model()(x),
    ],
)
def test_each_step_changes_it_as_in_eager_code(f: Callable[..., Any]) -> None:
    global TIMES
    compiled = hb.compile(f)
    for _ in range(2):
        TIMES = 0
        want = f(hb.asarray(X))
        TIMES = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EagerFallbackWarning)
            got = compiled(hb.asarray(X))
        for a, b in zip(leaves_of(want), leaves_of(got), strict=True):
            np.testing.assert_array_equal(b, a)


def test_the_warning_names_what_changes_and_the_line() -> None:
    model = Model()
    with pytest.warns(EagerFallbackWarning, match=r"changes self\.rate .*\n.* in step: self\.rate"):
        hb.compile(model)(hb.asarray(X))
    with pytest.raises(TraceError, match=r"hb.scan .* changes n outside of it; carry that along"):
        hb.compile(a_number, fullgraph=True)(hb.asarray(X))


def test_an_iterator_that_a_body_uses_up_is_an_error() -> None:
    @hb.compile
    def numbered(x: Any) -> Any:
        numbers = itertools.count(1)
        return hb.map(lambda r: r * next(numbers), x)

    with pytest.raises(TraceError, match="uses up the iterator numbers"):
        numbered(hb.asarray(X))


def test_no_steps_change_nothing() -> None:
    rows: list[Any] = []
    assert hb.map(lambda r: (rows.append(r), r * 2)[1], hb.asarray(X[:0])).shape == (0, 4)
    assert not rows


def test_a_log_outside_is_filled_while_the_body_is_traced() -> None:
    shapes: list[Any] = []

    @hb.compile
    def f(x: Any) -> Any:
        return hb.map(lambda r: (shapes.append(r.shape), r * 2)[1], x)

    with pytest.warns(hb.errors.SideEffectWarning, match="changes shapes"):
        f(hb.asarray(X))
    assert shapes == [(4,)]
    assert f.concrete_functions[0].fallback is None
