"""Objects that a traced function makes of its values are as in eager code, at each call anew."""

from __future__ import annotations

import dataclasses
import functools
import types
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, TraceError


@dataclasses.dataclass
class State:
    q: Any
    t: float = 0.0
    n: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    q: Any
    parts: Any


class Plain:
    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


class Careful(Plain):
    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


class Pair(NamedTuple):
    first: Any
    second: Any


class Names(dict[str, Any]):
    """A dict of the user's own class."""


def fields_of(x: Any) -> Any:
    if dataclasses.is_dataclass(x) or isinstance(x, Plain):
        names = [f.name for f in dataclasses.fields(x)] if dataclasses.is_dataclass(x) else vars(x)
        return type(x), [(name, fields_of(getattr(x, name))) for name in names]
    if isinstance(x, list | tuple):
        return type(x), [fields_of(v) for v in x]
    if isinstance(x, dict):
        return type(x), [(k, fields_of(v)) for k, v in x.items()]
    return (type(x), x) if type(x) in (int, float, type(None)) else np.asarray(x).tolist()


MADE: dict[str, Callable[[Any, float, int], Any]] = {
    "a dataclass": lambda x, t, n: State(x * 2, t + 0.5, n + 1),
    "one with slots": lambda x, t, n: Frozen(x * 2, {"t": t, "n": [n, x]}),
    "an object": lambda x, t, n: Plain(a=x + t, b=None, c="name", d=n),
    "one that refuses": lambda x, t, n: Careful(a=x + t),
    "replaced": lambda x, t, n: dataclasses.replace(State(x), t=t * 2, n=-n),
    "nested": lambda x, t, n: (State(Plain(a=[x * t]), n=n), {"k": Pair(Plain(b=x + n), t)}),
    "numbers alone": lambda x, t, n: Plain(n=n * 2),
    "new arrays": lambda x, t, n: State(np.zeros(2), t * 2),
    "an argument": lambda x, t, n: Plain(x=x, y=x),
}


@pytest.mark.parametrize("name", MADE)
def test_objects_with_traced_values_come_back_as_from_eager_code(name: str) -> None:
    traced = hb.compile(MADE[name], fullgraph=True)
    for number in range(5):
        arguments = np.arange(2.0) + number, number / 4, number * 3
        assert fields_of(traced(*arguments)) == fields_of(MADE[name](*arguments))


def test_each_call_makes_another_one() -> None:
    made = hb.compile(lambda x: State(np.zeros(2), n=[x.sum()]))
    first, second = made(np.ones(2)), made(np.ones(2))
    first.q += 5
    first.n.append(3)
    assert first is not second
    assert made(np.ones(2)).q.tolist() == second.q.tolist() == [0, 0]


def test_an_object_in_a_list_of_the_callers() -> None:
    @hb.compile(fullgraph=True)
    def log(states: list[State], x: Any) -> None:
        states.append(State(x * 2, n=len(states)))

    states: list[State] = []
    for number in range(3):
        log(states, np.full(2, number))
    assert [s.q.tolist() for s in states] == [[0, 0], [2, 2], [4, 4]]


def test_gradients_flow_into_attributes() -> None:
    x = hb.asarray([1.0, 2.0])
    with hb.GradientTape() as tape:
        tape.watch(x)
        state = hb.compile(lambda x: State(x**2))(x)
        loss = state.q.sum()
    assert tape.gradient(loss, x).tolist() == [2, 4]


def adder(x: Any, n: int) -> Any:
    return lambda y: x.sum() + y + n


SEALED: dict[str, Callable[[Any, int], Any]] = {
    "a closure": adder,
    "a partial": lambda x, n: functools.partial(np.add, x + n),
    "a generator": lambda x, n: (row + n for row in x),
    "a class of the user's": lambda x, n: Names(a=x + n),
    "one object twice": lambda x, n: [State(x + n)] * 2,
    "a cycle": lambda x, n: _cycle(x + n),
    "a method": lambda x, n: State(x + n).__eq__,
    "a key": lambda x, n: {hb.asarray(x + n): 1},
    "an item of a key": lambda x, n: [{"a": {(1, hb.asarray(x + n)): 1}}],
    "a key in an object": lambda x, n: Plain(d={hb.asarray(x + n): 1}),
    "an array of objects": lambda x, n: _of_objects(hb.asarray(x + n)),
    "an array of objects in an object": lambda x, n: Plain(all=_of_objects([hb.asarray(x + n)])),
}


def _of_objects(item: Any) -> Any:
    made = np.empty(2, object)
    made[0] = item
    return made


def _cycle(x: Any) -> Plain:
    made = Plain(x=x)
    vars(made)["own"] = made
    return made


READ: dict[str, Callable[[Any], Any]] = {
    "a closure": lambda f: f(1),
    "a partial": lambda f: f(1),
    "a generator": list,
    "a class of the user's": lambda d: d["a"],
    "one object twice": lambda two: (two[0].q, two[0] is two[1]),
    "a cycle": lambda p: (p.own.own.x, p.own is p),
    "a method": lambda m: m.__self__.q,
    "a key": lambda d: next(iter(d)),
    "an item of a key": lambda all_: next(iter(all_[0]["a"]))[1],
    "a key in an object": lambda p: next(iter(p.d)),
    "an array of objects": lambda a: a[0],
    "an array of objects in an object": lambda p: p.all[0][0],
}


@pytest.mark.parametrize("name", SEALED)
def test_what_cannot_be_taken_apart_runs_eagerly_and_says_so(name: str) -> None:
    traced = hb.compile(SEALED[name])
    with pytest.warns(EagerFallbackWarning, match=r"returns an? .* hold.* what it computes"):
        found = READ[name](traced(np.ones(2), 0))
    assert fields_of(found) == fields_of(READ[name](SEALED[name](np.ones(2), 0)))
    for n in range(1, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EagerFallbackWarning)
            found = READ[name](traced(np.full(2, n), n))
        assert fields_of(found) == fields_of(READ[name](SEALED[name](np.full(2, n), n)))
    with pytest.raises(TraceError, match=r"holds? what it computes"):
        hb.compile(SEALED[name], fullgraph=True)(np.ones(2), 0)


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_attributes_of_an_argument_hold_plain_numbers_after_a_trace_that_gave_up() -> None:
    @hb.compile
    def advance(state: State, dt: float) -> None:
        state.t += dt
        state.n += 1

    state = State(np.ones(2))
    for _ in range(3):
        advance(state, 0.25)
        assert type(state.t) is float
    assert (state.t, state.n) == (0.75, 3)


class Settings:
    pass


@pytest.mark.parametrize("kind", [types.SimpleNamespace, Settings])
def test_the_reason_for_a_trace_names_the_attribute_and_the_item_that_changed(kind: Any) -> None:
    settings = kind()
    settings.rate, settings.layers, settings.inner = 0.5, [2, 3], kind()
    settings.inner.name = "abs"
    functions = {"abs": np.abs, "other": np.negative}

    @hb.compile
    def f(x: Any) -> Any:
        for n in settings.layers:
            x = functions[settings.inner.name](x) * n
        return x * settings.rate

    f(hb.ones(2))
    for change, told in (
        (lambda: setattr(settings, "rate", 0.25), "settings.rate"),
        (lambda: settings.layers.append(4), "settings.layers[2]"),
        (lambda: settings.layers.__setitem__(0, 5), "settings.layers[0]"),
        (lambda: setattr(settings.inner, "name", "other"), "settings.inner.name"),
        (lambda: functions.update(other=np.square), "functions['other']"),
    ):
        change()
        with hb.trace_log() as log:
            f(hb.ones(2))
        (entry,) = log.of("trace")
        assert entry.text.endswith(f"because what it reads from outside changed: {told}")
