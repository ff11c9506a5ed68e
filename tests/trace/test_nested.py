"""Calls with containers and keyword arguments take the short way, and stay right."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import hybrid as hb

FACTOR = 2.0


def same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b))


def test_keyword_arguments_in_any_order_with_defaults_between() -> None:
    def f(a: Any, b: Any = 10.0, *rest: Any, c: Any = 3.0, **more: Any) -> Any:
        return a + 2 * b + 3 * c + sum(rest) + sum(5 * x for x in more.values())

    compiled = hb.compile(f)
    x, y, z = (hb.asarray([float(i), 1.0]) for i in range(3))
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((x,), {"c": y}),
        ((y,), {"c": x}),
        ((), {"c": y, "a": x}),
        ((), {"a": y, "c": y}),
        ((x, y, z), {"c": x}),
        ((x, y), {"d": z, "c": x}),
        ((x, x), {"c": x, "d": x}),
        ((x, y), {"c": z, "d": x}),
    ]
    for _ in range(3):
        for args, kwargs in calls:
            same(compiled(*args, **kwargs), f(*args, **kwargs))
    assert compiled._shortcuts.nested


def test_names_may_be_given_in_any_order_and_mean_what_they_do_by_place() -> None:
    def f(a: Any, b: Any, scale: Any = 2.0, flag: bool = False) -> Any:
        return (a - b) * scale if flag else (a - b) / scale

    compiled = hb.compile(f)
    x, y = hb.asarray([1.0, 2.0]), hb.asarray([3.0, 5.0])
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((x,), {"b": y}),
        ((), {"b": y, "a": x}),
        ((), {"a": y, "b": x, "scale": 4.0}),
        ((x, y), {"flag": True}),
        ((x, y), {"scale": 3.0, "flag": True}),
        ((x,), {"flag": True, "scale": 3.0, "b": y}),
        ((x,), {"flag": True, "b": y}),
    ]
    for _ in range(4):
        for args, kwargs in calls:
            same(compiled(*args, **kwargs), f(*args, **kwargs))
    for wrong in ({"c": x}, {"a": x}, {"b": y, "a": x}, {"b": y, "c": x}, {"scale": 2.0}):
        for _ in range(2):
            with pytest.raises(TypeError):
                compiled(x, **wrong)
    with pytest.raises(TypeError):
        compiled(x, y, b=y)
    f.__defaults__ = (4.0, True)
    for args, kwargs in calls:
        same(compiled(*args, **kwargs), f(*args, **kwargs))


def test_a_wrapper_sees_by_name_what_is_given_by_name() -> None:
    def inner(x: Any, y: Any = 1.0) -> Any:
        return x + y

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs) * (len(kwargs) + 1)

    compiled = hb.compile(outer)
    x = hb.asarray([1.0, 2.0])
    first = [compiled(x, y=x), compiled(x, x), compiled(x)]
    for _ in range(3):
        for a, b in zip(first, [compiled(x, y=x), compiled(x, x), compiled(x)], strict=True):
            same(a, b)
    assert not compiled._by_place


def test_a_name_that_is_given_needs_no_key_of_its_own() -> None:
    f = hb.compile(lambda x, y, flag=False: x * y if flag else x + y)
    x = hb.asarray([1.0, 2.0])
    for _ in range(3):
        same(f(x, y=x, flag=True), x * x)
    assert not f._shortcuts.nested
    assert f.cache_info().misses == 1


def test_positional_arguments_gathered_in_a_tuple_need_no_order() -> None:
    def f(a: Any, b: Any = 10.0, *rest: Any, c: Any = 3.0, **more: Any) -> Any:
        return a + 2 * b + 3 * c + sum(rest) + sum(5 * x for x in more.values())

    compiled = hb.compile(f)
    x, y, z = (hb.asarray([float(i), 1.0]) for i in range(3))
    for _ in range(3):
        for args in [(x,), (x, y), (x, y, z), (z, y, x, 2.0), (y, y, y, y)]:
            same(compiled(*args), f(*args))
    assert compiled._shortcuts.launchers
    assert not compiled._shortcuts.nested


def test_ints_in_containers_that_are_inputs_of_the_trace_need_one_launcher_for_all() -> None:
    def f(x: Any, s: Any, k: int = 3) -> Any:
        return x * s[0] + k - s[1]["n"]

    compiled = hb.compile(f)
    x = hb.asarray([1.0, 2.0])
    for i in range(200):
        args: tuple[Any, ...] = (i, {"n": 7 if i % 50 else i})
        same(compiled(x, args), f(x, args))
    assert len(compiled._shortcuts.nested._known) == 1
    same(compiled(x, (2**70, {"n": 1})), f(x, (float(2**70), {"n": 1})))
    same(compiled(x, (True, {"n": 1})), f(x, (True, {"n": 1})))
    same(compiled(x, (4, {"n": 1})), f(x, (4, {"n": 1})))
    same(compiled(x, (4, {"n": 1}), k=5), f(x, (4, {"n": 1}), k=5))


def test_ints_in_containers_that_decide_are_asked_at_each_call() -> None:
    def f(x: Any, s: Any) -> Any:
        if s[0] > 5:
            return x * s[0]
        return x[s[0] :].sum() if s[0] == 3 else x - s[0]

    compiled = hb.compile(f)
    x = hb.arange(8.0)
    for _ in range(3):
        for i in (0, 1, 3, 9, 2, 3, 7, 5, 6, 1, -2, 3):
            same(compiled(x, [i]), f(x, [i]))


def test_a_default_list_that_changes_is_seen_beside_gathered_arguments() -> None:
    held = [1.0]

    def f(a: Any, kept: list[float] = held, *rest: Any) -> Any:
        return a * kept[0] + sum(rest)

    compiled = hb.compile(f)
    x = hb.asarray([1.0, 2.0])
    for factor in (1.0, 2.0, 3.0):
        held[0] = factor
        for _ in range(3):
            same(compiled(x), f(x))


def test_containers_whose_leaves_change() -> None:
    @hb.compile
    def f(p: dict[str, Any], n: int) -> Any:
        return {"y": p["w"] * n + p["b"][0], "flag": p["flag"]}

    for _ in range(3):
        for n in (2, 3):
            for flag in (True, None, "x"):
                w, b = np.arange(3.0) + n, np.ones(3)
                found = f({"w": w, "b": [b], "flag": flag}, n)
                same(found["y"], w * n + b)
                assert found["flag"] == flag
        shared = np.ones(2)
        same(f({"w": shared, "b": (shared,), "flag": 1.5}, 2)["y"], [3, 3])
        same(f({"w": shared, "b": (shared * 4,), "flag": 1.5}, 2)["y"], [6, 6])


def test_what_is_read_outside_is_looked_at() -> None:
    global FACTOR
    f = hb.compile(lambda d: d["x"] * FACTOR)
    d = {"x": hb.ones(2)}
    try:
        for FACTOR in (2.0, 3.0, 3.0, 5.0):
            same(f(d), [FACTOR] * 2)
    finally:
        FACTOR = 2.0


def test_guards_writes_and_changed_containers_take_the_long_way() -> None:
    @hb.compile
    def f(d: dict[str, Any], seen: list[Any]) -> Any:
        seen.append(d["x"] * 2)
        d["x"][0] = 7.0
        return d["x"] if d["x"].sum() > 10 else -d["x"]

    for x in ([1.0, 2.0], [1.0, 9.0], [1.0, 2.0]):
        array, seen = np.asarray(x), list[Any]()
        found = f({"x": array}, seen)
        assert array[0] == 7
        same(seen[0], np.asarray(x) * 2)
        same(found, array if array.sum() > 10 else -array)


def test_tapes_see_calls_with_containers() -> None:
    f = hb.compile(lambda p: (p["w"] ** 2).sum())
    w = hb.asarray([1.0, 2.0])
    for _ in range(3):
        f({"w": w})
        with hb.GradientTape() as tape:
            tape.watch(w)
            y = f({"w": w})
        same(tape.gradient(y, w), [2, 4])


@pytest.mark.parametrize("order", ["F", "swapped"])
def test_arrays_that_must_be_converted(order: str) -> None:
    f = hb.compile(lambda d: d["x"] + 1)
    x = np.arange(6.0).reshape(2, 3)
    other = np.asfortranarray(x) if order == "F" else x.astype(">f8")
    for array in (x, other, x, other):
        same(f({"x": array}), x + 1)
    assert f.cache_info().hits >= 2


def test_a_function_without_arguments_may_be_called_in_another() -> None:
    inner = hb.compile(lambda: hb.ones(2))
    outer = hb.compile(lambda: inner() * 2)
    for _ in range(2):
        assert inner().tolist() == [1, 1]
        assert outer().tolist() == [2, 2]


def test_a_way_that_is_traced_later_may_write_and_change_containers() -> None:
    """Calls that the ways before it answered at once give it the caller's own containers."""
    counted = hb.Variable(0.0)

    def f(given: dict[str, Any], seen: list[Any]) -> Any:
        x = given["x"]
        if x.sum() > 0:
            counted.assign_add(1.0)
            if x.sum() > 10:
                seen.append(x * 2)
                given["y"] = x
                return {"big": x + counted}
            return [x * counted]
        return -x

    compiled, before = hb.compile(f), counted.numpy()
    small, middle, big = (hb.asarray([x, 1.0]) for x in (-4.0, 3.0, 20.0))
    for x in (small, small, middle, small, middle, big, middle, big, small, big):
        results, others = [], []
        for function in (compiled, f):
            counted.assign(before)
            given, seen = {"x": x}, list[Any]()
            results.append(repr(function(given, seen)))
            others.append((repr(given), repr(seen), counted.item()))
        assert results[0] == results[1]
        assert others[0] == others[1]
        before = counted.numpy()
    assert compiled.cache_info().misses == 1


def test_an_error_behind_a_guard_is_that_of_eager_code() -> None:
    def f(given: list[Any]) -> Any:
        x, y = given
        return hb.linalg.inv(x) if y.sum() > 0 else {"y": y}

    compiled, good, bad = hb.compile(f), hb.eye(2), hb.zeros((2, 2))
    for _ in range(3):
        same(compiled([good, good]), good)
        same(compiled([good, -good])["y"], -good)
        with pytest.raises(np.linalg.LinAlgError):
            compiled([bad, good])
        same(compiled([bad, -good])["y"], -good)
