"""Lists, dicts and objects from outside: those that are returned, and those that calls fill."""

from __future__ import annotations

import collections
import queue
import warnings
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, SideEffectWarning

Program = tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[], Any]]
"""The function, what its caller does to the result, and what is looked at afterwards."""


def a_list() -> Program:
    kept = [1]
    return lambda x: kept, lambda r: r.append(len(r)), lambda: list(kept)


def a_dict_in_a_result() -> Program:
    kept = {"a": [1]}

    def change(r: Any) -> None:
        r["all"]["b"] = 2
        r["a"].append(len(r["a"]))

    return lambda x: {"y": x * 2, "all": kept, "a": kept["a"]}, change, lambda: str(kept)


def the_state_of_an_object() -> Program:
    o = SimpleNamespace(state={"n": 0})
    return lambda x: o.state, lambda r: r.update(n=r["n"] + 1), lambda: dict(o.state)


def a_dict_with_a_number_that_moves() -> Program:
    o = {"n": 0}
    return lambda x: o, lambda r: r.update(n=r["n"] + 1), lambda: dict(o)


def a_dict_in_a_dict() -> Program:
    o = {"in": {"n": 0}}
    return lambda x: [o["in"]], lambda r: r[0].update(n=r[0]["n"] + 1), lambda: str(o)


def a_dict_that_the_function_counts_in() -> Program:
    o = {"n": 0}

    def f(x: Any) -> Any:
        o["n"] += 1
        return o

    return f, lambda r: r.update(n=r["n"] * 2), lambda: dict(o)


def a_state_that_the_function_makes() -> Program:
    o = SimpleNamespace()

    def f(x: Any) -> Any:
        if not hasattr(o, "state"):
            o.state = {"w": [0]}
        return o.state

    return f, lambda r: r["w"].append(1), lambda: str(o.state)


def a_list_of_arrays() -> Program:
    kept = [np.zeros(3), np.ones(3)]

    def change(r: Any) -> None:
        r[0] += 1
        r.append(r[0] * 2)

    return lambda x: kept, change, lambda: [x.tolist() for x in kept]


def an_ordered_dict() -> Program:
    kept = collections.OrderedDict(a=1, b=2)
    return lambda x: kept, lambda r: r.move_to_end("a"), lambda: list(kept)


def a_list_beside_a_decision() -> Program:
    kept = [1]
    return lambda x: (x + 1 if x.sum() > 0 else x, kept), lambda r: r[1].append(1), kept.copy


def a_list_where_it_goes_on_eagerly() -> Program:
    kept = [1]

    def f(x: Any) -> Any:
        return kept, float(x.sum())

    return f, lambda r: r[0].append(1), kept.copy


@pytest.mark.parametrize(
    "program",
    [
        *(a_list, a_dict_in_a_result, the_state_of_an_object, a_state_that_the_function_makes),
        *(a_dict_with_a_number_that_moves, a_dict_in_a_dict, a_dict_that_the_function_counts_in),
        *(a_list_of_arrays, an_ordered_dict, a_list_beside_a_decision),
        a_list_where_it_goes_on_eagerly,
    ],
)
def test_a_container_from_outside_that_is_returned_is_that_container(
    program: Callable[[], Program],
) -> None:
    f, change, look = program()
    g, change_of_g, look_at_g = program()
    compiled = hb.compile(g)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EagerFallbackWarning)
        for _ in range(6):
            change(f(np.ones(3)))
            change_of_g(compiled(np.ones(3)))
            assert look_at_g() == look()


def test_a_container_that_the_function_makes_is_new_at_each_call() -> None:
    f = hb.compile(lambda x: [1, {"a": x.shape[0]}])
    first = f(np.ones(3))
    first[1]["a"] = 0
    first.append(2)
    assert f(np.ones(3)) == [1, {"a": 3}]


def a_list_with_two_names() -> Program:
    kept: list[int] = []
    same = kept

    def f(x: Any) -> Any:
        kept.append(1)
        return x * len(same)

    return f, lambda r: None, lambda: len(kept)


def a_list_that_an_object_has_too() -> Program:
    kept: list[int] = []
    o = SimpleNamespace(seen=kept)

    def f(x: Any) -> Any:
        kept.append(1)
        return x * len(o.seen)

    return f, lambda r: None, lambda: len(kept)


def a_set_in_a_tuple() -> Program:
    seen: set[int] = set()
    held = (seen,)

    def f(x: Any) -> Any:
        seen.add(len(held[0]))
        return x * len(held[0])

    return f, lambda r: None, lambda: len(seen)


def a_list_that_is_a_default() -> Program:
    kept: list[int] = []

    def size(of: Any = kept) -> int:
        return len(of)

    def f(x: Any) -> Any:
        kept.append(1)
        return x * size()

    return f, lambda r: None, lambda: len(kept)


def a_list_with_methods_of_its_own() -> Program:
    class Log(list[int]):
        def add(self, n: int) -> int:
            self.append(n)
            return len(self)

    log = Log()
    return lambda x: x * log.add(1), lambda r: None, lambda: len(log)


def a_user_list() -> Program:
    log: Any = collections.UserList()

    def f(x: Any) -> Any:
        log.append(1)
        return x * len(log)

    return f, lambda r: None, lambda: len(log)


def a_weak_set() -> Program:
    class Node:
        pass

    nodes: list[Node] = []
    live: weakref.WeakSet[Node] = weakref.WeakSet()

    def f(x: Any) -> Any:
        nodes.append(Node())
        live.add(nodes[-1])
        return x * len(live)

    return f, lambda r: None, lambda: len(live)


def a_queue() -> Program:
    numbers: queue.Queue[int] = queue.Queue()
    for n in range(5):
        numbers.put(n)
    return lambda x: x * numbers.get(), lambda r: None, numbers.qsize


@pytest.mark.parametrize(
    "program",
    [
        *(a_list_with_two_names, a_list_that_an_object_has_too, a_set_in_a_tuple),
        *(a_list_that_is_a_default, a_list_with_methods_of_its_own, a_user_list, a_weak_set),
        a_queue,
    ],
)
def test_a_container_that_is_filled_and_read_under_another_name_is_read_at_each_call(
    program: Callable[[], Program],
) -> None:
    f, _, look = program()
    g, _, look_at_g = program()
    compiled = hb.compile(g)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EagerFallbackWarning)
        for _ in range(4):
            x = np.ones(3)
            np.testing.assert_array_equal(compiled(x), f(x))
            assert look_at_g() == look()


def test_a_log_that_nobody_reads_is_filled_while_the_function_is_traced() -> None:
    log: list[int] = []

    @hb.compile
    def f(x: Any) -> Any:
        log.append(1)
        return x * 2

    with pytest.warns(SideEffectWarning, match="changes log"):
        f(np.ones(3))
    f(np.ones(3))
    assert log == [1]
    assert f.concrete_functions[0].fallback is None
