"""Numbers that a function reads and sets outside: ``self.t += 1`` stays in the trace."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, TraceError


@pytest.fixture(autouse=True)
def _nothing_is_said() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


class Adam:
    """As people write it."""

    def __init__(self, parameters: list[Any], lr: float = 1e-2) -> None:
        self.parameters, self.lr, self.t = parameters, lr, 0
        self.m = [hb.zeros_like(p) for p in parameters]
        self.v = [hb.zeros_like(p) for p in parameters]

    def step(self, gradients: list[Any]) -> None:
        self.t += 1
        for p, g, m, v in zip(self.parameters, gradients, self.m, self.v, strict=True):
            m[:] = 0.9 * m + 0.1 * g
            v[:] = 0.999 * v + 0.001 * g * g
            p -= self.lr * (m / (1 - 0.9**self.t)) / (hb.sqrt(v / (1 - 0.999**self.t)) + 1e-8)


def _parameters() -> list[Any]:
    numbers = np.random.default_rng(0)
    return [hb.asarray(numbers.normal(size=size)) for size in ((3, 2), (4,))]


@pytest.mark.parametrize("method", [False, True])
def test_an_optimiser_that_counts_its_steps_is_replayed(method: bool) -> None:
    plain, own = Adam(_parameters()), Adam(_parameters())
    compiled = hb.compile(Adam.step if method else own.step, fullgraph=True)
    for i in range(8):
        plain.step([2 * p for p in plain.parameters])
        gradients = [2 * p for p in own.parameters]
        assert compiled(*((own, gradients) if method else (gradients,))) is None
        assert (own.t, type(own.t)) == (i + 1, int)
        for a, b in zip(plain.parameters, own.parameters, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-14)
    assert compiled.cache_info().misses == 2
    assert compiled.cache_info().hits == 6
    assert "self_t" in compiled.explain()


class Counts:
    """Ways to count, each with what is left."""

    K = 2

    def __init__(self) -> None:
        self.n, self.rate, self.best = 0, 1.0, 100.0
        self.state: dict[str, Any] = {"n": 0, "name": "x"}
        self.inner: Any = None
        self.log: list[Any] = []

    def attribute(self, x: Any) -> Any:
        self.n += 1
        return x * self.n

    def float_attribute(self, x: Any) -> Any:
        self.rate *= 0.5
        return x * self.rate

    def from_int_to_float(self, x: Any) -> Any:
        self.n = self.n + 0.5
        return x + self.n

    def several(self, x: Any) -> Any:
        self.n += 2
        self.rate = self.rate / self.n
        return x * self.rate, self.n, self.rate

    def item(self, x: Any) -> Any:
        self.state["n"] += 1
        return x / self.state["n"]

    def of_an_object_that_it_holds(self, x: Any) -> Any:
        self.inner.n += 1
        return x + self.inner.n

    def of_both(self, x: Any) -> Any:
        self.n += 1
        return self.inner.attribute(x) + self.n

    def by_a_condition(self, x: Any) -> Any:
        self.n += 1
        if self.n % 3 == 0:
            return x * 10
        return x - self.n

    def by_data(self, x: Any) -> Any:
        if x.sum() > 3:
            self.n += 1
            return x * self.n
        self.rate += 1
        return x - self.rate

    def later_another(self, x: Any) -> Any:
        self.n += 1
        if self.n > 3:
            self.rate += 0.5
        return x * self.rate

    def returns_it(self, x: Any) -> Any:
        self.n += 1
        return {"n": self.n, "x": x + 1}

    def raises(self, x: Any) -> Any:
        self.n += 1
        if self.n % 2 == 0:
            raise KeyError(self.n)
        return x + self.n

    def raises_in_an_op(self, x: Any) -> Any:
        self.n += 1
        return hb.linalg.inv(x.sum() * hb.ones((2, 2)) * (self.n - 3) + hb.eye(2) * (self.n - 3))

    def becomes_none(self, x: Any) -> Any:
        self.n = None if self.n is not None and self.n > 3 else (self.n or 0) + 1
        return x + 1

    def a_size(self, x: Any) -> Any:
        self.n += 1
        return hb.ones(self.n) * x.sum()

    def keeps_the_last(self, x: Any) -> Any:
        self.best = self.n  # type: ignore[assignment]
        self.n += 1
        return x * self.n

    def keeps_the_last_float(self, x: Any) -> Any:
        self.best = self.rate
        self.rate *= 0.5
        return x * self.rate

    def sets_what_was_none(self, x: Any) -> Any:
        self.inner.inner = self.n
        self.n += 1
        return x * self.n

    def appends(self, x: Any) -> Any:
        self.n += 1
        self.log.append(self.n)
        return x * self.n

    def puts_into_a_dict(self, x: Any) -> Any:
        self.n += 1
        self.state[str(self.n)] = self.n
        return x * self.n

    def another_type_later(self, x: Any) -> Any:
        self.n += True
        self.rate = self.rate if self.n < 4 else self.n
        return x * self.rate

    def beyond_64_bits(self, x: Any) -> Any:
        self.n = 2**62 if self.n == 3 else self.n * 2 + 1
        return x * self.n

    def text_of_it(self, x: Any) -> Any:
        self.n += 1
        self.log.append(f"{self.n}")
        return x + 1


METHODS = [name for name, x in vars(Counts).items() if callable(x) and name[0] != "_"]


def _object() -> Counts:
    made = Counts()
    made.inner = Counts()
    return made


def _left(o: Counts) -> list[Any]:
    both = [(x.n, x.rate, x.best, x.state, x.log) for x in (o, o.inner)]
    kept = [o.inner.inner, *o.log, *o.state.values(), *(v for x in both for v in x[:3])]
    return [*copy.deepcopy(both), *map(type, kept)]


def _plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _plain(v) for key, v in x.items()}
    if isinstance(x, tuple):
        return tuple(map(_plain, x))
    return x.tolist() if isinstance(x, hb.Tensor) else (type(x), x)


def _called(f: Callable[..., Any], *args: Any) -> Any:
    try:
        return _plain(f(*args))
    except (KeyError, np.linalg.LinAlgError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("way", ["method", "argument", "global", "cell"])
def test_it_is_what_it_is_in_eager_code(name: str, way: str) -> None:
    plain, own = _object(), _object()
    f = getattr(Counts, name)
    match way:
        case "method":
            compiled, given = hb.compile(getattr(own, name)), ()
        case "argument":
            compiled, given = hb.compile(f), (own,)
        case "global":
            globals()["OWN"] = own
            compiled, given = hb.compile(lambda x: getattr(OWN, name)(x)), ()  # noqa: F821
        case _:
            compiled, given = hb.compile(lambda x: f(own, x)), ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(10):
            x = hb.asarray([1.0, float(i % 4)])
            assert _called(compiled, *given, x) == _called(f, plain, x)
            assert _left(own) == _left(plain)


COUNT = 0


def _counts_globally(x: Any) -> Any:
    global COUNT
    COUNT += 1
    return x * COUNT


def test_a_global_and_a_variable_of_a_function_around_it_are_counted() -> None:
    count = 0

    def counts(x: Any) -> Any:
        nonlocal count
        count += 1
        return x * count

    for f in (_counts_globally, counts):
        compiled = hb.compile(f, fullgraph=True)
        assert [float(compiled(hb.ones(()))) for _ in range(6)] == [1, 2, 3, 4, 5, 6]
        assert compiled.cache_info().misses == 2
    assert (COUNT, count) == (6, 6)


def test_each_object_has_its_own_number_and_what_others_set_is_read() -> None:
    a, b = _object(), _object()
    step = hb.compile(Counts.attribute)
    for i in range(1, 5):
        assert step(a, hb.ones(1)).tolist() == [i]
        assert step(b, hb.ones(1)).tolist() == [i]
    a.n = 40
    assert step(a, hb.ones(1)).tolist() == [41]
    assert step(b, hb.ones(1)).tolist() == [5]
    assert (a.n, b.n) == (41, 5)
    a.n = 2.5  # type: ignore[assignment]
    assert step(a, hb.ones(1)).tolist() == [3.5]
    assert a.n == 3.5
    assert step.cache_info().misses < 7


def test_what_else_the_function_reads_is_compared_as_ever() -> None:
    o = _object()
    o.rate = 2.0

    @hb.compile
    def f(x: Any) -> Any:
        o.n += 1
        return x * o.rate + o.n

    assert [float(f(hb.ones(()))) for _ in range(4)] == [3, 4, 5, 6]
    o.rate = 3.0
    assert float(f(hb.ones(()))) == 8
    o.extra = 1  # type: ignore[attr-defined]
    assert float(f(hb.ones(()))) == 9
    other = o
    o = _object()
    assert float(f(hb.ones(()))) == 2
    assert (o.n, other.n) == (1, 6)


def test_a_callback_reads_the_number_as_it_is_then() -> None:
    o, seen = _object(), []

    @hb.compile
    def f(x: Any) -> Any:
        o.n += 1
        hb.callback(lambda v: seen.append(o.n), None, x)
        return x * o.n

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [float(f(hb.ones(()))) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert seen == [1, 2, 3, 4, 5]


def test_a_compiled_function_that_counts_is_called_by_another_one() -> None:
    o = _object()
    inner = hb.compile(o.attribute)
    outer = hb.compile(lambda x: inner(x) + 1)
    for i in range(1, 5):
        assert float(inner(hb.ones(()))) == 2 * i - 1
        assert float(outer(hb.ones(()))) == 2 * i + 1
    assert o.n == 8


def test_gradients_reach_through_a_step_that_counts() -> None:
    o = _object()
    step = hb.compile(o.float_attribute)
    for i in range(1, 5):
        x = hb.Variable([1.0, 2.0])
        with hb.GradientTape() as tape:
            loss = step(x * x).sum()
        assert tape.gradient(loss, x).tolist() == [2 * 0.5**i, 4 * 0.5**i]


def test_a_number_that_each_call_traces_anew_runs_eagerly_with_the_line() -> None:
    o, table = _object(), [float(i) for i in range(40)]

    def f(x: Any) -> Any:
        o.n += 1
        return x * table[o.n]

    compiled = hb.compile(f)
    with pytest.warns(EagerFallbackWarning, match=r"it changes o\.n.*\n.*o\.n \+= 1"):
        assert [float(compiled(hb.ones(()))) for _ in range(29)] == [*range(1, 30)]
    assert compiled.cache_info().misses < 12


def test_a_class_that_does_more_where_an_attribute_is_set_runs_eagerly() -> None:
    class Checked(Counts):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "n" and value > 3:
                raise ValueError("too many")
            super().__setattr__(name, value)

    o = Checked()
    compiled = hb.compile(o.attribute)
    with pytest.warns(EagerFallbackWarning, match=r"self\.n"):
        assert [float(compiled(hb.ones(()))) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="too many"):
        compiled(hb.ones(()))


def test_a_property_that_sets_a_number_is_followed() -> None:
    class Clock:
        def __init__(self) -> None:
            self._t = 0

        @property
        def t(self) -> int:
            self._t += 1
            return self._t

        def step(self, x: Any) -> Any:
            return x * self.t

    clock = Clock()
    compiled = hb.compile(clock.step)
    assert [float(compiled(hb.ones(()))) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert clock.t == 6


def test_threads_count_together() -> None:
    o = _object()
    compiled = hb.compile(o.attribute)
    for _ in range(3):
        compiled(hb.ones(3))
    lock = threading.Lock()

    def work() -> None:
        for _ in range(50):
            with lock:
                compiled(hb.ones(3))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert o.n == 203


def test_no_variable_is_made_in_a_later_call() -> None:
    o = _object()
    made: list[Any] = []

    @hb.compile
    def f(x: Any) -> Any:
        o.n += 1
        if o.n == 2:
            made.append(hb.Variable(1.0))
        return x * o.n

    f(hb.ones(()))
    with pytest.raises(TraceError, match="a Variable is made in a later trace"):
        f(hb.ones(()))
    assert not made


def test_forgetting_traces_forgets_how_numbers_are_handed_over() -> None:
    o = _object()
    compiled = hb.compile(o.attribute)
    assert [float(compiled(hb.ones(()))) for _ in range(4)] == [1, 2, 3, 4]
    compiled.cache_clear()
    assert compiled.cache_info() == (0, 0, 0)
    assert [float(compiled(hb.ones(()))) for _ in range(4)] == [5, 6, 7, 8]
