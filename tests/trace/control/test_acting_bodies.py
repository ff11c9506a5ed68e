"""What the body of a loop or a branch does to Python's things happens as often as in eager code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, TraceError

Body = Callable[[Any], Any]
Act = tuple[Callable[[], Any], Callable[[], Any]]
"""What acts, and what shows what was done."""


def rule_of(f: Body) -> Body:
    return hb.custom_gradient(lambda x: (f(x), lambda g: g))


CONSTRUCTS: dict[str, Callable[[Body], Body]] = {
    "cond": lambda f: lambda x: hb.cond(x[0] > 0.5, f, lambda c: c * 1, x),
    "cond, not taken": lambda f: lambda x: hb.cond(x[0] > 5, f, lambda c: c * 1, x),
    "cond, second": lambda f: lambda x: hb.cond(x[0] > 5, lambda c: c * 1, f, x),
    "switch": lambda f: lambda x: hb.switch(1, [f, f], x),
    "scan": lambda f: lambda x: hb.scan(lambda c, row: (f(c), row), x, hb.zeros(2))[0],
    "fori_loop": lambda f: lambda x: hb.fori_loop(0, 2, lambda i, c: f(c), x),
    "while_loop": lambda f: lambda x: hb.while_loop(lambda c: c[0] < 3, lambda c: f(c) + 1, x),
    "map": lambda f: lambda x: hb.map(f, x),
    "checkpoint": lambda f: lambda x: hb.checkpoint(f)(x),
    "custom_gradient": lambda f: lambda x: rule_of(f)(x),
}


def writes() -> Act:
    array = np.zeros(2)

    def act() -> None:
        array[0] += 1

    return act, lambda: array.tolist()


def draws() -> Act:
    generator, seen = np.random.default_rng(0), []
    return lambda: seen.append(float(generator.normal())), lambda: (seen, generator.normal())


def draws_everyones() -> Act:
    np.random.seed(0)  # noqa: NPY002
    return np.random.random, np.random.random


def counts() -> Act:
    class Counter:
        n = 0

    counter = Counter()
    counter.n = 0

    def act() -> None:
        counter.n += 1

    return act, lambda: counter.n


def counts_in_a_class() -> Act:
    class Counter:
        n = 0

    def act() -> None:
        Counter.n += 1

    return act, lambda: Counter.n


def appends() -> Act:
    log: list[int] = []
    return lambda: log.append(1), lambda: log


def done(construct: Callable[[Body], Body], make: Callable[[], Act], fails: bool, how: Any) -> Any:
    act, shown = make()

    def body(x: Any) -> Any:
        act()
        if fails:
            raise KeyError("body")
        return x * 2

    def function(x: Any) -> Any:
        try:
            return construct(body)(x)
        except KeyError:
            return x * 5

    f = how(function)
    return [np.asarray(f(hb.ones(3) * x)).tolist() for x in (1, 1, 0)], shown()


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize("fails", [False, True], ids=["", "raises"])
@pytest.mark.parametrize(
    "make", [writes, draws, draws_everyones, counts, counts_in_a_class, appends]
)
@pytest.mark.parametrize("construct", CONSTRUCTS.values(), ids=CONSTRUCTS)
def test_a_body_acts_as_often_as_in_eager_code(
    construct: Callable[[Body], Body], make: Callable[[], Act], fails: bool
) -> None:
    if make is appends and not fails:
        pytest.skip("a log is filled while it is traced, and that is told")
    assert done(construct, make, fails, hb.compile) == done(construct, make, fails, lambda f: f)


def test_what_a_body_has_done_is_named_with_its_line() -> None:
    array = np.zeros(2)

    def body(c: Any, row: Any) -> Any:
        array[0] += 1
        return c + row, row

    f = hb.compile(lambda x: hb.scan(body, x[0], x)[0])
    with pytest.warns(EagerFallbackWarning, match=r"writes to the ndarray array(.|\n)*array\[0\]"):
        f(hb.ones(3))
    assert array[0] == 3


@pytest.mark.parametrize("name", ["scan", "cond, not taken", "checkpoint", "custom_gradient"])
def test_an_iterator_that_a_failed_body_has_drawn_from_is_told_of(name: str) -> None:
    numbers = iter([1.0, 2.0, 3.0])

    def body(x: Any) -> Any:
        next(numbers)
        raise KeyError("body")

    with pytest.raises(TraceError, match="uses up the iterator numbers"):
        hb.compile(CONSTRUCTS[name](body))(hb.ones(3))
