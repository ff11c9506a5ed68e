"""Loops that fill a list or dict and ask are loops, however long the list becomes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.containers import leaves_of
from hybrid.errors import EagerFallbackWarning
from hybrid.trace.filling import filled

pytestmark = pytest.mark.usefixtures("no_tape_around")

ATOM = np.linspace(0.5, 1.5, 6)


def history(x: Any, tol: Any) -> Any:
    errors = []
    for _ in range(300):
        new = 0.98 * x + 0.02 / x
        err = hb.max(hb.abs(new - x))
        errors.append(err)
        x = new
        if err < tol:
            break
    return x, errors


def while_it_is_large(x: Any, tol: Any) -> Any:
    errors, states = [hb.max(x)], []
    err = hb.asarray(1.0)
    while err > tol:
        states.append(x)
        new = 0.98 * x + 0.02 / x
        err = hb.max(hb.abs(new - x))
        errors.append(err)
        x = new
    errors.append(err * 2.0)
    return {"x": x, "errors": errors, "states": (states, err)}


def by_number(x: Any, tol: Any) -> Any:
    errors, numbers = {}, []
    n = 0
    while hb.max(hb.abs(x - 1)) > tol:
        x = 0.98 * x + 0.02 / x
        errors[n] = hb.max(hb.abs(x - 1))
        numbers.append(n)
        n += 1
    return x, errors, numbers


def two_ways(x: Any, tol: Any) -> Any:
    down, up, all_of_them = [], [], []
    while hb.max(hb.abs(x - 1)) > tol:
        if x[0] > x[1]:
            x = hb.roll(x, 1) * 0.99 + 0.01
            down.append(x.copy())
            all_of_them.append("down")
        else:
            x = hb.roll(0.97 * x + 0.03 / x, 1)
            up.append(hb.sum(x))
            all_of_them.append("up")
    return x, down, up, all_of_them


def while_the_last_is_large(x: Any, tol: Any) -> Any:
    errors = [hb.max(hb.abs(x - 1))]
    while errors[-1] > tol:
        x = 0.98 * x + 0.02 / x
        errors.append(hb.max(hb.abs(x - 1)))
    return x, errors


def while_it_changes(x: Any, tol: Any) -> Any:
    states, errors = [x, x * 1.1], []
    for _ in range(300):
        states.append(0.9 * states[-1] + 0.1 / states[-2])
        errors.append(hb.max(hb.abs(states[-1] - states[-2])))
        if errors[-1] < tol:
            break
    return states, errors


def by_number_and_last(x: Any, tol: Any) -> Any:
    n = 0
    numbers, named = [], {}
    kept = [x]
    while hb.max(hb.abs(kept[-1] - 1)) > tol:
        kept.append(0.98 * kept[-1] + 0.02 / kept[-1])
        n += 1
        numbers.append(n)
        named[n] = kept[-1][0] * n
    return kept[-1], named, numbers, kept


LOOPS = [
    history,
    while_it_is_large,
    by_number,
    two_ways,
    while_the_last_is_large,
    while_it_changes,
    by_number_and_last,
]


def start(k: int) -> tuple[Any, Any]:
    return hb.asarray(ATOM * (1 + 0.03 * k)), hb.asarray(10.0 ** -(2 + 0.1 * k))


def plain(result: Any) -> Any:
    return hb.core.containers.map_leaves(
        lambda x: np.array(x) if isinstance(x, hb.Tensor) else x, result
    )


def same(got: Any, want: Any) -> None:
    assert str(got.keys() if isinstance(got, dict) else type(got)) == str(
        want.keys() if isinstance(want, dict) else type(want)
    )
    mine, its = leaves_of(plain(got)), leaves_of(plain(want))
    assert [type(x) for x in mine] == [type(x) for x in its]
    for a, b in zip(mine, its, strict=True):
        if isinstance(a, np.ndarray):
            np.testing.assert_allclose(a, b, rtol=1e-12)
            assert a.dtype == b.dtype
        else:
            assert a == b


@pytest.mark.parametrize("function", LOOPS)
def test_a_loop_that_fills_lists_gives_what_it_gives_eagerly(function: Callable[..., Any]) -> None:
    traced = hb.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in (3, 0, 6, 1, 5, 4, 2, 6):
            same(traced(*start(k)), function(*start(k)))
    assert not any(c.fallback for c in traced.concrete_functions)


@pytest.mark.parametrize("function", [while_it_is_large, two_ways, while_the_last_is_large])
def test_other_data_take_other_steps_in_the_same_trace(function: Callable[..., Any]) -> None:
    traced = hb.compile(function)
    for k in (2, 6):
        traced(*start(k))
    with hb.trace_log() as log:
        for k in (9, 0, 12, 4, 7):
            same(traced(*start(k)), function(*start(k)))
    assert not log.of("trace")


def test_what_is_in_a_list_and_beside_it_is_one_tensor() -> None:
    _, errors = hb.compile(history)(*start(1))
    assert len({id(x) for x in errors}) == len(errors)
    traced = hb.compile(while_it_is_large)
    for _ in range(2):
        found = traced(*start(1))
        states, err = found["states"]
        assert found["errors"][-2] is err
        assert states[0] is not found["x"]


def test_each_call_returns_a_list_of_its_own() -> None:
    traced = hb.compile(history)
    one, two = traced(*start(1))[1], traced(*start(1))[1]
    one.clear()
    assert two
    assert one is not two


def written_later(x: Any, tol: Any) -> Any:
    states = []
    while hb.max(hb.abs(x - 1)) > tol:
        x = 0.98 * x + 0.02 / x
        states.append(x)
        if hb.min(x) < 0:
            x = -x
        x[0] = 1.0
    return states


def written_through_a_view(x: Any, tol: Any) -> Any:
    states = []
    while hb.max(hb.abs(x - 1)) > tol:
        x = 0.98 * x + 0.02 / x
        states.append(x)
        if hb.min(x) < 0:
            x = -x
        part = x[1:3]
        x = x * 1.0
        part[0] = 7.0
    return states


def written_after_the_loop(x: Any, tol: Any) -> Any:
    states = []
    while hb.max(hb.abs(x - 1)) > tol:
        x = 0.98 * x + 0.02 / x
        states.append(x)
    x[...] = 5.0
    return states, x


@pytest.mark.parametrize(
    "function", [written_later, written_through_a_view, written_after_the_loop]
)
def test_arrays_that_are_written_later_show_it_in_the_list(function: Callable[..., Any]) -> None:
    traced = hb.compile(function)
    with pytest.warns(EagerFallbackWarning, match="put into a list or dict"):
        same(traced(*start(1)), function(*start(1)))
    for k in (1, 4):
        same(traced(*start(k)), function(*start(k)))


def last_written(x: Any, tol: Any) -> Any:
    states = [x * 1.0]
    while hb.max(hb.abs(states[-1] - 1)) > tol:
        states.append(0.98 * states[-1] + 0.02 / states[-1])
        states[-1][0] = 1.0
    return states


def written_once_more(x: Any, tol: Any) -> Any:
    states = [x * 1.0]
    while hb.max(hb.abs(states[-1] - 1)) > tol:
        new = 0.98 * states[-1] + 0.02 / states[-1]
        states.append(new)
        states.append(new)
        if hb.min(new) > 0:
            states[-1][0] = 1.0
    return states


def set_by_place(x: Any, tol: Any) -> Any:
    first, of_two = [x], [x, x]
    while hb.max(hb.abs(x - 1)) > tol:
        x = 0.98 * x + 0.02 / x
        first.append(x)
        first[0] = x * 2.0
        of_two[1] = x
    return first, of_two


def last_of_none(x: Any, tol: Any) -> Any:
    states = []
    while hb.max(hb.abs(x - 1)) > tol:
        x = 0.98 * x + 0.02 / x
        states.append(x)
        if hb.max(x) < 2.0:
            x = x + 0.0 * states[-2]
    return states


@pytest.mark.parametrize("function", [last_written, written_once_more, set_by_place])
def test_lists_whose_items_change_are_what_they_are_eagerly(function: Callable[..., Any]) -> None:
    traced = hb.compile(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EagerFallbackWarning)
        for k in (3, 0, 6, 1, 5, 6):
            same(traced(*start(k)), function(*start(k)))


def test_an_item_that_a_list_does_not_have_is_an_error() -> None:
    traced = hb.compile(last_of_none)
    for _ in range(2):
        with pytest.raises(IndexError, match="list index out of range"):
            traced(*start(3))


def read_as_a_number(x: Any, tol: Any) -> Any:
    errors, named = [], {}
    err = hb.max(x)
    while err > tol:
        new = 0.98 * x + 0.02 / x
        err = hb.max(hb.abs(new - x))
        errors.append(err)
        x = new
    named["last"] = float(err)
    errors.append(err)
    return x * named["last"], errors


def test_a_list_is_whole_where_the_trace_gives_up() -> None:
    traced = hb.compile(read_as_a_number)
    with pytest.warns(EagerFallbackWarning, match=r"float\(\)"):
        x, errors = traced(*start(2))
    same((x, errors), read_as_a_number(*start(2)))
    assert errors[-1] is errors[-2]


def caught(x: Any, tol: Any) -> Any:
    errors = []
    try:
        while hb.max(hb.abs(x - 1)) > tol:
            x = 0.98 * x + 0.02 / x
            errors.append(x)
            if hb.max(x) < 1.2:
                raise ValueError("small")
    except ValueError:
        return errors
    return x


def test_a_list_that_a_handler_returns() -> None:
    traced = hb.compile(caught)
    for k in (0, 5, 1, 0):
        same(traced(*start(k)), caught(*start(k)))


def of_arguments_and_views(x: Any, tol: Any) -> Any:
    held = []
    y = x
    for _ in range(9):
        y = 0.9 * y + 0.1
        held.append(y * 2.0)
        held.append(x)
        held.append(y[0])
        if hb.max(hb.abs(y - 1)) < tol:
            break
    return held, held


def test_arguments_and_views_in_a_list_stay_what_they_are() -> None:
    traced = hb.compile(of_arguments_and_views)
    for k in (1, 0, 1):
        x, tol = start(k)
        held, again = traced(x, tol)
        same(held, of_arguments_and_views(x, tol)[0])
        same(again, held)
        assert held[1] is x


def of_numbers(x: Any, rate: Any, n: Any, tol: Any) -> Any:
    held, by_name = [rate, n], {"rate": rate, "n": n, "half": rate / 2}
    while hb.max(hb.abs(x - 1)) > tol:
        x = 0.98 * x + 0.02 / x
        held.append(rate)
        held.append(rate * n)
        by_name["n"] = n
    return held, by_name


def test_views_put_in_and_written_past_are_brought_up_to_date_before_they_are_taken() -> None:
    def f(a: Any, b: Any, tol: Any) -> Any:
        kept = [a]
        steps = 0
        while abs(b).max() > tol:
            a = np.tanh(b) * 0.8
            kept.append(b[1:])
            b = b * 0.5
            kept[-1][0] = a[1] * 0.5
            b = b * 0.8
            steps += 1
            if steps > 9:
                break
        return a, b, kept

    compiled = hb.compile(f)
    for scale, tol in ((1.0, 0.1), (3.0, 0.03), (1.0, 0.1), (0.5, 0.2), (1.5, 0.01)):
        rng = np.random.default_rng(0)
        numbers = rng.uniform(-scale, scale, (2, 4))
        want, got = (g(*map(hb.asarray, numbers.copy()), hb.asarray(tol)) for g in (f, compiled))
        assert len(got[2]) == len(want[2])
        for x, y in zip((*got[:2], *got[2]), (*want[:2], *want[2]), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)


@pytest.mark.parametrize("rate", [0.5, 0.5 + 1j], ids=["float", "complex"])
def test_number_arguments_in_a_list_are_the_numbers_they_were(rate: complex) -> None:
    traced = hb.compile(of_numbers)
    for k, n in ((1, 2), (0, 3), (1, 4), (2, 4), (2, 5)):
        x, tol = start(k)
        held, by_name = traced(x, rate + k, n, tol)
        wanted = of_numbers(x, rate + k, n, tol)
        assert (held, by_name) == wanted
        assert [type(v) for v in held] == [type(v) for v in wanted[0]]
    with hb.GradientTape() as tape:
        x = hb.asarray(ATOM)
        tape.watch(x)
        assert traced(x, rate, 5, tol)[0] == of_numbers(x, rate, 5, tol)[0]


def test_gradients_go_through_what_a_list_holds() -> None:
    def loss(f: Callable[..., Any], x: Any, tol: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            found = f(x, tol)
            total = sum((k + 1) * y for k, y in enumerate(found["errors"]))
        return tape.gradient(total, x)

    traced = hb.compile(while_it_is_large)
    for k in (1, 3):
        x, tol = hb.asarray(ATOM * 1.1), hb.asarray(0.01 / k)
        np.testing.assert_allclose(
            loss(traced, x, tol).numpy(), loss(while_it_is_large, x, tol).numpy(), rtol=1e-9
        )


def read_in_the_loop(x: Any) -> Any:
    found = []
    for _ in range(5):
        found.append(x)
        if len(found) > 3:
            break
    return found


def first_read(x: Any) -> Any:
    found = [x]
    for _ in range(5):
        found.append(x + found[0])
    return found


def item_set(x: Any) -> Any:
    found = [x]
    for _ in range(5):
        found.append(x)
        found[0] = x
    return found


def returned_by_a_call(x: Any) -> Any:
    found = []
    for _ in range(5):
        found.append(x)
    return tuple(found)


def of_two_names(x: Any) -> Any:
    found = also = []
    for _ in range(5):
        found.append(x)
    return found, also


def made_in_a_loop(x: Any) -> Any:
    for _ in range(2):
        found = []
        for _ in range(5):
            found.append(x)
    return found


def in_a_closure(x: Any) -> Any:
    found = []
    for _ in range(5):
        found.append(x)
    return (lambda: found)()


@pytest.mark.parametrize(
    "function",
    [
        read_in_the_loop,
        first_read,
        item_set,
        returned_by_a_call,
        of_two_names,
        made_in_a_loop,
        in_a_closure,
    ],
)
def test_what_may_be_read_is_none_that_is_only_filled(function: Callable[..., Any]) -> None:
    assert not filled(function.__code__)


def test_what_is_only_filled_and_returned_is_found() -> None:
    found = [filled(f.__code__) for f in LOOPS]
    assert found == [
        {"errors": 0},
        {"errors": 0, "states": 0},
        {"errors": 0, "numbers": 0},
        {"down": 0, "up": 0, "all_of_them": 0},
        {"errors": 1},
        {"errors": 1, "states": 2},
        {"kept": 1, "named": 0, "numbers": 0},
    ]
