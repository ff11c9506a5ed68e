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


# --- what of it the function reads itself ---------------------------------------------------------


class Logged:
    """A step, and what it notes by callbacks."""

    def __init__(self) -> None:
        self.calls = 0
        self.history: list[float] = []
        self.weight = 2.0

    def note(self, v: Any) -> None:
        self.calls += 1
        self.history.append(float(v))

    def step(self, x: Any) -> Any:
        hb.callback(self.note, None, x.sum())
        return x * self.weight

    def counting(self, x: Any) -> Any:
        hb.callback(self.note, None, x.sum())
        return x * self.calls

    def measuring(self, x: Any) -> Any:
        hb.callback(self.note, None, x.sum())
        return x * len(self.history)


CALLED = [0]
LOG: list[Any] = []
SUMS = np.zeros(2)


def _count(v: Any) -> None:
    CALLED[0] += 1


def _sum(v: Any) -> None:
    SUMS[0] += float(v)


def _named(x: Any) -> Any:
    hb.callback(_count, None, x.sum())
    return x * 2


def _a_method_named(x: Any) -> Any:
    hb.callback(LOG.append, None, x.sum())
    return x * 2


def _made_inside(x: Any) -> Any:
    hb.callback(lambda v: LOG.append(float(v)), None, x.sum())
    return x * 2


def _made_and_named_inside(x: Any) -> Any:
    def note(v: Any) -> None:
        LOG.append(float(v))
        CALLED[0] += 1

    hb.callback(note, None, x.sum())
    return x * 2


def _an_element(x: Any) -> Any:
    hb.callback(_count, None, x.sum())
    return x * CALLED[0]


def _by_another_function(x: Any) -> Any:
    hb.callback(lambda v: _count(v), None, x.sum())
    return x * CALLED[0]


def _a_length(x: Any) -> Any:
    hb.callback(LOG.append, None, x.sum())
    return x * len(LOG)


def _an_array(x: Any) -> Any:
    hb.callback(_sum, None, x.sum())
    return x * SUMS


def _an_element_of_an_array(x: Any) -> Any:
    hb.callback(_sum, None, x.sum())
    return x * float(SUMS[0])


def _a_variable_of_its_own(x: Any) -> Any:
    n = 0

    def note(v: Any) -> None:
        nonlocal n
        n += 1

    hb.callback(note, None, x.sum())
    return x * n


def _a_list_of_its_own(x: Any) -> Any:
    seen: list[Any] = []
    hb.callback(seen.append, None, x.sum())
    return x * len(seen)


def _in_a_loop(x: Any) -> Any:
    def body(i: Any, c: Any) -> Any:
        hb.callback(_count, None, c.sum())
        return c * CALLED[0]

    return hb.fori_loop(0, 2, body, x)


def _results(f: Callable[[Any], Any]) -> list[Any]:
    CALLED[0] = 0
    LOG.clear()
    SUMS[:] = 0
    return [f(hb.asarray([1.0, 2.0])).tolist() for _ in range(4)] + [CALLED[0], len(LOG), SUMS[0]]


@pytest.mark.parametrize("f", [_named, _a_method_named, _made_inside, _made_and_named_inside])
def test_what_only_a_callback_reads_is_changed_without_tracing_anew(f: Any) -> None:
    compiled = hb.compile(f, fullgraph=True)
    assert _results(compiled) == _results(f)
    assert compiled.cache_info().misses == 1


def test_attributes_that_only_a_callback_reads_are_changed_without_tracing_anew() -> None:
    o = Logged()
    compiled = hb.compile(o.step, fullgraph=True)
    for i in range(4):
        assert compiled(hb.ones(2)).tolist() == [2, 2]
        assert (o.calls, o.history) == (i + 1, [2.0] * (i + 1))
    assert compiled.cache_info().misses == 1
    o.weight = 3.0  # which it reads itself
    assert compiled(hb.ones(2)).tolist() == [3, 3]


@pytest.mark.parametrize(
    "f",
    [
        *(_an_element, _by_another_function, _a_length, _an_array, _an_element_of_an_array),
        *(_a_variable_of_its_own, _a_list_of_its_own, _in_a_loop),
    ],
)
def test_what_a_callback_changes_is_read_as_it_was_left_and_that_is_said(f: Any) -> None:
    want = _results(f)
    said = r"a callback changes \w+, which .*\n.*hb.callback"
    with pytest.warns(EagerFallbackWarning, match=said):
        assert _results(hb.compile(f)) == want
    with pytest.raises(hb.errors.TraceError, match="a callback changes"):
        hb.compile(f, fullgraph=True)(hb.ones(2))


@pytest.mark.parametrize("name", ["counting", "measuring"])
def test_attributes_that_a_callback_changes_are_read_as_it_left_them(name: str) -> None:
    plain, compiled = getattr(Logged(), name), hb.compile(getattr(Logged(), name))
    with pytest.warns(EagerFallbackWarning, match="a callback changes self"):
        assert _results(compiled) == _results(plain)


def test_a_callback_that_gets_another_function_is_the_new_one() -> None:
    compiled = hb.compile(_named)
    scope: dict[str, Any] = globals()
    before = scope["_count"]
    seen: list[Any] = []
    compiled(hb.ones(2))
    try:
        scope["_count"] = seen.append
        compiled(hb.ones(2))
    finally:
        scope["_count"] = before
    assert len(seen) == 1


def test_the_names_of_a_loop_that_calls_back_may_grow_while_they_are_looked_at() -> None:
    """Python's view of them changed under the search: RuntimeError in the middle of a call."""
    noted: list[Any] = []

    def f(a: Any, b: Any) -> Any:
        c, g, n, q = a + b, [a], 0, hb.asarray(3)
        w = hb.eye(4) * 1.1
        while abs(a).max() > 0.1:
            hb.callback(lambda x: noted.append(x), None, a[0])
            a = hb.linalg.solve(w, a)
            a = c * (0.9 - 0.01 * int(q))
            q = q * 5 % 7
            g.append(c[1:])
            n += 1
            if n > 9:
                break
        return a, g[-1]

    h = hb.compile(f)
    for scale in (1.0, 3.0, 1.0):
        a, b = hb.ones(4) * scale, hb.ones(4)
        for found, wanted in zip(h(a, b), f(a, b), strict=True):
            np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5)
