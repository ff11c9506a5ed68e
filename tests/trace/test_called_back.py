"""What a callback changes in a call that is traced is its own doing: it stays, and ends nothing."""

from __future__ import annotations

import random
import time
import warnings
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning

Note = tuple[Callable[[Any], Any], Callable[[], Any]]
"""A callback, and what it has left."""


def a_list() -> Note:
    log: list[float] = []
    return lambda v: log.append(float(v)), lambda: list(log)


def a_method_of_a_list() -> Note:
    log: list[Any] = []
    return log.append, lambda: [*map(float, log)]


def a_list_that_it_reads() -> Note:
    log: list[int] = []
    return lambda v: log.append(len(log)), lambda: list(log)


def a_deque() -> Note:
    log: deque[float] = deque(maxlen=2)
    return lambda v: log.append(float(v)), lambda: list(log)


def a_set() -> Note:
    seen: set[int] = set()
    return lambda v: seen.add(len(seen)), lambda: set(seen)


def a_dict() -> Note:
    d: dict[int, float] = {}

    def note(v: Any) -> None:
        d[len(d)] = float(v)

    return note, lambda: dict(d)


def a_variable() -> Note:
    n = 0

    def note(v: Any) -> None:
        nonlocal n
        n += 1

    return note, lambda: n


def an_attribute() -> Note:
    o = SimpleNamespace(n=0)

    def note(v: Any) -> None:
        o.n += 1

    return note, lambda: o.n


def a_new_attribute() -> Note:
    o = SimpleNamespace()

    def note(v: Any) -> None:
        o.n = getattr(o, "n", 0) + 1

    return note, lambda: o.n


def a_global() -> Note:
    globals()["CALLS"] = 0

    def note(v: Any) -> None:
        globals()["CALLS"] += 1

    return note, lambda: globals()["CALLS"]


def a_new_attribute_of_a_class() -> Note:
    class Log:
        pass

    def note(v: Any) -> None:
        Log.n = getattr(Log, "n", 0) + 1  # type: ignore[attr-defined]

    return note, lambda: vars(Log)["n"]


def an_ndarray() -> Note:
    sums = np.zeros(3)

    def note(v: Any) -> None:
        sums[0] += 1

    return note, sums.tolist


def random_numbers() -> Note:
    generator, log = np.random.default_rng(0), []

    def note(v: Any) -> None:
        log.append(int(generator.integers(100)))

    return note, lambda: list(log)


def everyones_random_numbers() -> Note:
    random.seed(0)
    log: list[float] = []
    return lambda v: log.append(random.random()), lambda: list(log)


def an_iterator() -> Note:
    numbers, log = iter(range(100)), []

    def note(v: Any) -> None:
        log.append(next(numbers))

    return note, lambda: list(log)


def the_clock() -> Note:
    log: list[float] = []
    return lambda v: log.append(time.perf_counter()), lambda: len(log)


NOTES: list[Callable[[], Note]] = [
    *(a_list, a_method_of_a_list, a_list_that_it_reads, a_deque, a_set, a_dict, a_variable),
    *(an_attribute, a_new_attribute, a_global, a_new_attribute_of_a_class, an_ndarray),
    *(random_numbers, everyones_random_numbers, an_iterator, the_clock),
]


def _plain(x: Any) -> Any:
    return x * 2


def _decides(x: Any) -> Any:
    return x + 1 if x.sum() > 0 else x - 1


def _raises(x: Any) -> Any:
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        return x * 2


def _raises_after_a_question(x: Any) -> Any:
    return _raises(_decides(x) - 1)


def _left_after_calls(
    wrap: Callable[[Any], Any], note: Callable[[Any], Any], left: Callable[[], Any], rest: Any
) -> list[Any]:
    @wrap
    def f(x: Any) -> Any:
        hb.callback(note, None, x.sum())
        return rest(x)

    found = []
    for x in (np.zeros((2, 2)), np.eye(2), np.zeros((2, 2)), np.eye(2)):
        f(hb.asarray(x))
        found.append(left())
    return found


@pytest.mark.parametrize("notes", NOTES)
@pytest.mark.parametrize("rest", [_plain, _decides, _raises, _raises_after_a_question])
def test_it_stays_and_nothing_is_said_of_it(notes: Callable[[], Note], rest: Any) -> None:
    want = _left_after_calls(lambda f: f, *notes(), rest)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # That an op has raised is said.
        warnings.filterwarnings("ignore", "f ran eagerly this time", EagerFallbackWarning)
        assert _left_after_calls(hb.compile, *notes(), rest) == want


def test_what_the_function_changes_besides_is_taken_back() -> None:
    log: list[str] = []
    d: dict[str, int] = {}

    def note(v: Any) -> None:
        log.append("callback")
        d["callback"] = len(log)

    @hb.compile
    def f(x: Any) -> Any:
        log.append("function")
        d["function"] = d.get("function", 0) + 1
        hb.callback(note, None, x)
        x = x + 1 if x.sum() > -1 else x
        return _raises(x - 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f(hb.zeros((2, 2)))
    assert sorted(log) == ["callback", "function"]
    assert d["function"] == 1
    assert "callback" in d
