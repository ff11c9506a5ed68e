"""What a function makes outside where there was nothing: names, attributes, keys.

A trace that has made something is not replayed before another one has shown that it stays: of a
cache it does, of a counter that starts with ``getattr(f, "calls", 0)`` it does not.
"""

from __future__ import annotations

import types
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, SideEffectWarning
from hybrid.trace.environment import MISSING, Binding
from hybrid.trace.growth import Changes, Growth

Function = Callable[[Any], Any]


def _of_the_function() -> Function:
    def f(x: Any) -> Any:
        f.calls = getattr(f, "calls", 0) + 1  # type: ignore[attr-defined]
        return x + f.calls  # type: ignore[attr-defined]

    return f


def _of_a_helper() -> Function:
    def helper(x: Any) -> Any:
        try:
            helper.calls += 1  # type: ignore[attr-defined]
        except AttributeError:
            helper.calls = 1  # type: ignore[attr-defined]
        return x * helper.calls  # type: ignore[attr-defined]

    return lambda x: helper(x) + 1


def _of_its_dict() -> Function:
    def f(x: Any) -> Any:
        f.__dict__.setdefault("seen", {})
        f.seen["n"] = f.seen.get("n", 0) + 1  # type: ignore[attr-defined]
        return x + f.seen["n"]  # type: ignore[attr-defined]

    return f


def _of_an_object() -> Function:
    class Model:
        pass

    model = Model()

    def f(x: Any) -> Any:
        model.n = getattr(model, "n", 0) + 1  # type: ignore[attr-defined]
        return x * model.n  # type: ignore[attr-defined]

    return f


def _of_a_class() -> Function:
    class Model:
        def __call__(self, x: Any) -> Any:
            type(self).made = getattr(type(self), "made", 0) + 2  # type: ignore[attr-defined]
            return x * self.made  # type: ignore[attr-defined]

    return Model()


def _of_slots() -> Function:
    class Model:
        __slots__ = ("n",)

    model = Model()

    def f(x: Any) -> Any:
        model.n = getattr(model, "n", 0) + 1
        return x + model.n

    return f


def _of_a_dict() -> Function:
    table: dict[str, int] = {}

    def f(x: Any) -> Any:
        table["n"] = table.get("n", 0) + 1
        return x + table["n"]

    return f


def _of_a_default_dict() -> Function:
    table: defaultdict[str, int] = defaultdict(int)

    def f(x: Any) -> Any:
        table["n"] += 1
        table[f"other {table['n']}"] = 1
        return x + table["n"]

    return f


def _of_a_namespace() -> Function:
    space = types.SimpleNamespace()

    def f(x: Any) -> Any:
        vars(space)["n"] = vars(space).get("n", 0) + 1
        return x + space.n

    return f


def _of_globals() -> Function:
    scope: dict[str, Any] = {}
    source = """
def f(x):
    global count
    try:
        count += 1
    except NameError:
        count = 1
    return x + count
"""
    exec(source, scope)
    found: Function = scope["f"]
    return found


def _of_globals_by_text() -> Function:
    scope: dict[str, Any] = {}
    source = """
def f(x):
    globals()["count"] = globals().get("count", 0) + 1
    return x + count
"""
    exec(source, scope)
    found: Function = scope["f"]
    return found


def _of_a_cell() -> Function:
    def f(x: Any) -> Any:
        nonlocal n
        try:
            n += 1
        except NameError:
            n = 1
        return x + n

    if False:
        n = 0
    return f


def _of_defaults() -> Function:
    def helper(x: Any, *, scale: int = 1) -> Any:
        return x * scale

    def f(x: Any) -> Any:
        assert helper.__kwdefaults__ is not None
        helper.__kwdefaults__ = {"scale": helper.__kwdefaults__["scale"] + 1}
        return helper(x)

    return f


COUNTERS = [
    _of_the_function, _of_a_helper, _of_its_dict, _of_an_object, _of_a_class, _of_slots, _of_a_dict,
    _of_a_default_dict, _of_a_namespace, _of_globals, _of_globals_by_text, _of_a_cell, _of_defaults,
]  # fmt: skip


@pytest.mark.parametrize("make", COUNTERS)
def test_a_counter_that_starts_from_nothing_counts_every_call(make: Callable[[], Function]) -> None:
    plain, compiled = make(), hb.compile(make())
    x = hb.ones(2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(8):
            assert compiled(x).tolist() == plain(x).tolist()
    said = any(w.category is EagerFallbackWarning for w in told)
    assert said != (compiled.cache_info().hits > 2 and "runs eagerly" not in compiled.explain())


@pytest.mark.parametrize("make", COUNTERS)
def test_a_counter_counts_once_where_an_op_raises(make: Callable[[], Function]) -> None:
    def run(wrap: Callable[[Function], Function]) -> list[Any]:
        inner, seen = make(), []

        @wrap
        def f(x: Any) -> Any:
            y = inner(x)
            seen.append(float(np.asarray(inner(hb.ones(1)))[0]))
            return y[hb.asarray([0, 7])]

        for _ in range(2):
            with pytest.raises(IndexError):
                f(hb.ones(2))
        return seen[-1:]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EagerFallbackWarning)
        warnings.simplefilter("ignore", SideEffectWarning)
        assert run(hb.compile) == run(lambda f: f)


def test_what_is_made_once_is_traced_twice_and_replayed_from_then_on() -> None:
    class Model:
        weights: Any = None

        def __call__(self, x: Any) -> Any:
            if self.weights is None:
                self.weights = np.arange(2.0)
            return x * self.weights

    model = Model()
    f = hb.compile(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            assert f(hb.ones(2)).tolist() == [0, 1]
    assert f.cache_info().misses == 2


def _length_of_a_list() -> Function:
    seen: list[int] = []

    def f(x: Any) -> Any:
        seen.append(1)
        return x + len(seen)

    return f


def _last_of_a_list() -> Function:
    seen = [0]

    def f(x: Any) -> Any:
        seen.append(seen[-1] + 2)
        return x + seen[-1]

    return f


def _nested_list() -> Function:
    seen: dict[str, list[int]] = {"a": []}

    def f(x: Any) -> Any:
        seen["a"].append(1)
        return x + sum(seen["a"])

    return f


def _size_of_a_set() -> Function:
    class Model:
        def __init__(self) -> None:
            self.seen: set[int] = set()

        def __call__(self, x: Any) -> Any:
            self.seen.add(len(self.seen))
            return x + len(self.seen)

    return Model()


@pytest.mark.parametrize("make", [_length_of_a_list, _last_of_a_list, _nested_list, _size_of_a_set])
def test_lists_that_are_filled_and_read_are_filled_by_every_call(
    make: Callable[[], Function],
) -> None:
    plain, compiled = make(), hb.compile(make())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(6):
            assert compiled(hb.ones(2)).tolist() == plain(hb.ones(2)).tolist()
    assert any("which it also reads" in str(w.message) for w in told)


def test_new_keys_at_every_call_end_tracing_after_a_few_calls() -> None:
    table: dict[int, int] = {}

    @hb.compile
    def f(x: Any) -> Any:
        table[len(table)] = 1
        return x + len(table)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for i in range(20):
            assert f(hb.zeros(2)).tolist() == [i + 1, i + 1]
    assert any("it changes table at every call" in str(w.message) for w in told)
    assert f.cache_info().misses < 8


def test_a_cache_that_is_filled_for_each_shape_is_replayed() -> None:
    grids: dict[int, Any] = {}

    def f(x: Any) -> Any:
        if x.shape[0] not in grids:
            grids[x.shape[0]] = np.arange(float(x.shape[0]), dtype=np.float32)
        return x * grids[x.shape[0]]

    traced = hb.compile(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SideEffectWarning)
        for n in (2, 3, 4, 5, 6, 7) * 3:
            assert traced(hb.ones(n)).tolist() == list(range(n))
    assert all(c.fallback is None for c in traced.concrete_functions)


def test_no_more_than_a_thousand_sizes_are_remembered_and_a_counter_is_still_found() -> None:
    growth = Growth()
    changes = Changes((Binding("count", {}, "count", MISSING),), ())
    for n in range(2500):
        growth.take(changes, (n,))
    assert len(growth._in_a_row) <= 1000
    for _ in range(4):
        assert growth.restless(changes, (3000,)) is None
        growth.take(changes, (3000,))
    assert growth.restless(changes, (3000,)) is not None
    assert growth.restless(changes, (3001,)) is None
