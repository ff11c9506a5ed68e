"""Bodies whose first step makes something outside: a counter, a sign, a cache.

Each is made anew for eager code and for compiled code, and called with several arguments: results
and what was left outside are the same after each call, the first one included.
"""

from __future__ import annotations

import collections
import functools
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.containers import leaves_of
from hybrid.errors import EagerFallbackWarning, SideEffectWarning

Program = tuple[Callable[..., Any], Callable[[], Any]]
"""What is compiled, and what it has left outside."""


def _times(step: Callable[..., Any], n: int = 3) -> Callable[..., Any]:
    return lambda x: hb.fori_loop(0, n, step, x)


def an_attribute() -> Program:
    o = SimpleNamespace()

    def step(i: Any, x: Any) -> Any:
        o.n = getattr(o, "n", 0) + 1
        return x + o.n

    return _times(step), lambda: o.n


def an_attribute_of_the_class() -> Program:
    class Count:
        n = 0

        def step(self, i: Any, x: Any) -> Any:
            self.n += 1
            return x + 1

    o = Count()
    return _times(o.step), lambda: (o.n, Count.n)


def a_class() -> Program:
    class Count:
        @classmethod
        def step(cls, i: Any, x: Any) -> Any:
            cls.n = getattr(cls, "n", 0) + 1  # type: ignore[attr-defined]
            return x + 1

    return _times(Count.step), lambda: vars(Count)["n"]


def a_slot() -> Program:
    class Count:
        __slots__ = ("n",)
        n: int

    o = Count()

    def step(i: Any, x: Any) -> Any:
        o.n = getattr(o, "n", 0) + 1
        return x + 1

    return _times(step), lambda: o.n


def a_function() -> Program:
    def step(i: Any, x: Any) -> Any:
        step.n = getattr(step, "n", 0) + 1  # type: ignore[attr-defined]
        return x + 1

    return _times(step), lambda: step.n  # type: ignore[attr-defined]


def a_global() -> Program:
    globals().pop("TIMES", None)

    def step(i: Any, x: Any) -> Any:
        global TIMES
        TIMES = globals().get("TIMES", 0) + 1  # type: ignore[name-defined]
        return x + 1

    return _times(step), lambda: globals()["TIMES"]


def a_key() -> Program:
    d: dict[str, int] = {}

    def step(i: Any, x: Any) -> Any:
        d["n"] = d.get("n", 0) + 1
        return x + 1

    return _times(step), lambda: dict(d)


def a_counter() -> Program:
    seen: collections.Counter[str] = collections.Counter()

    def step(i: Any, x: Any) -> Any:
        seen["a"] += 1
        return x + 1

    return _times(step), lambda: dict(seen)


def what_was_none() -> Program:
    o = SimpleNamespace(n=None)

    def step(i: Any, x: Any) -> Any:
        o.n = (o.n or 0) + 1
        return x + 1

    return _times(step), lambda: o.n


def a_tuple_that_grows() -> Program:
    o = SimpleNamespace()

    def step(i: Any, x: Any) -> Any:
        o.steps = (*getattr(o, "steps", ()), len(getattr(o, "steps", ())))
        return x + 1

    return _times(step), lambda: o.steps


def an_object_made_anew() -> Program:
    o = SimpleNamespace(last=None)

    def step(i: Any, x: Any) -> Any:
        o.last = SimpleNamespace(n=0 if o.last is None else o.last.n + 1)
        return x + 1

    return _times(step), lambda: o.last.n


def a_set_that_it_reads() -> Program:
    seen: set[int] = set()

    def step(i: Any, x: Any) -> Any:
        seen.add(len(seen))
        return x + 1

    return _times(step), lambda: sorted(seen)


def a_first_step_that_differs() -> Program:
    o = SimpleNamespace()

    def step(i: Any, x: Any) -> Any:
        if not hasattr(o, "warm"):
            o.warm = True
            return x * 2
        return x + 1

    return _times(step), lambda: o.warm


def a_first_step_with_other_data() -> Program:
    o = SimpleNamespace(table=None)
    first, others = np.asarray([1.0, 2.0]), np.asarray([3.0, 5.0])

    def step(i: Any, x: Any) -> Any:
        used, o.table = (first if o.table is None else others), others
        return x + used

    return _times(step), lambda: o.table is others


def a_tensor_that_is_kept() -> Program:
    o = SimpleNamespace()

    def step(i: Any, x: Any) -> Any:
        o.last = x
        return x + 1

    return _times(step), lambda: np.asarray(o.last)


def tensors_in_a_list() -> Program:
    kept: list[Any] = []

    def step(i: Any, x: Any) -> Any:
        kept.append(x)
        return x + 1

    return _times(step), lambda: [*map(np.asarray, kept)]


def the_number_of_the_step() -> Program:
    o = SimpleNamespace()

    def step(i: Any, x: Any) -> Any:
        o.i = i
        return x + 1

    return _times(step), lambda: int(o.i)


def a_table_that_a_step_computes() -> Program:
    o = SimpleNamespace()

    def step(i: Any, x: Any) -> Any:
        if not hasattr(o, "table"):
            o.table = hb.arange(2.0, dtype="float64")
        return x + o.table

    return _times(step), lambda: np.asarray(o.table)


def one_branch() -> Program:
    o = SimpleNamespace()

    def positive(x: Any) -> Any:
        o.hit = True
        return x * 2

    def negative(x: Any) -> Any:
        o.missed = True
        return -x

    return lambda x: hb.cond(x.sum() > 0, positive, negative, x), lambda: dict(vars(o))


def no_step() -> Program:
    o = SimpleNamespace()

    def step(x: Any) -> Any:
        o.ran = "yes"
        return x + 1

    return lambda x: hb.while_loop(lambda x: x.sum() < 0, step, x), lambda: dict(vars(o))


def no_step_of_a_range() -> Program:
    o = SimpleNamespace()

    def step(i: Any, x: Any) -> Any:
        o.ran = "yes"
        return x + 1

    return _times(step, 0), lambda: dict(vars(o))


def rows() -> Program:
    o = SimpleNamespace()

    def row(r: Any) -> Any:
        o.n = getattr(o, "n", 0) + 1
        return r * 2

    return lambda x: hb.map(row, x), lambda: o.n


def a_loop_in_a_loop() -> Program:
    o = SimpleNamespace()

    def inner(i: Any, x: Any) -> Any:
        o.n = getattr(o, "n", 0) + 1
        return x + 1

    return _times(lambda i, x: hb.fori_loop(0, 2, inner, x)), lambda: o.n


PROGRAMS: list[Callable[[], Program]] = [
    *(an_attribute, an_attribute_of_the_class, a_class, a_slot, a_function, a_global, a_key),
    *(a_counter, what_was_none, a_tuple_that_grows, an_object_made_anew, a_set_that_it_reads),
    *(a_first_step_that_differs, a_first_step_with_other_data, a_tensor_that_is_kept),
    *(tensors_in_a_list, the_number_of_the_step, a_table_that_a_step_computes),
    *(one_branch, no_step, no_step_of_a_range, rows, a_loop_in_a_loop),
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_first_call_leaves_what_eager_code_leaves(program: Callable[[], Program]) -> None:
    plain, left = program()
    traced, left_by_traced = program()
    compiled = hb.compile(traced)
    for sign in (1.0, 1.0, -1.0, 1.0):
        want = plain(hb.asarray([sign, 2 * sign], dtype="float64"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EagerFallbackWarning)
            got = compiled(hb.asarray([sign, 2 * sign], dtype="float64"))
        np.testing.assert_array_equal(got, want)
        for a, b in zip(leaves_of(left()), leaves_of(left_by_traced()), strict=True):
            np.testing.assert_array_equal(b, a)


def a_table_in_an_attribute() -> Program:
    o = SimpleNamespace()

    def step(i: Any, x: Any) -> Any:
        if not hasattr(o, "table"):
            o.table = np.arange(2.0)
        return x + o.table

    return _times(step), lambda: o.table.shape


def a_table_behind_none() -> Program:
    o = SimpleNamespace(table=None)

    def step(i: Any, x: Any) -> Any:
        if o.table is None:
            o.table = [1.0, 2.0]
        return x * o.table[0] + o.table[1]

    return _times(step), lambda: o.table


def a_memo() -> Program:
    @functools.cache
    def table(n: int) -> Any:
        return np.arange(n) * 1.0

    return _times(lambda i, x: x + table(2)), lambda: table.cache_info().currsize


def a_cached_property() -> Program:
    class Grid:
        @functools.cached_property
        def step_size(self) -> float:
            return 0.5

    grid = Grid()
    return _times(lambda i, x: x + grid.step_size), lambda: grid.step_size


def a_memo_of_one_branch() -> Program:
    tables: dict[int, Any] = {}

    def positive(x: Any) -> Any:
        if 2 not in tables:
            tables[2] = np.arange(2.0)
        return x + tables[2]

    return lambda x: hb.cond(x.sum() > 0, positive, lambda x: -x, x), lambda: len(tables)


@pytest.mark.parametrize(
    "program",
    [
        *(a_table_in_an_attribute, a_table_behind_none, a_memo, a_cached_property),
        a_memo_of_one_branch,
    ],
)
def test_a_cache_that_a_body_fills_stays_and_the_body_is_traced(
    program: Callable[[], Program],
) -> None:
    plain, _ = program()
    traced, left = program()
    compiled = hb.compile(traced)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SideEffectWarning)
        for _ in range(3):
            x = hb.asarray([1.0, 2.0], dtype="float64")
            np.testing.assert_array_equal(compiled(x), plain(x))
    assert left()
    assert all(f.fallback is None for f in compiled.concrete_functions)
    assert compiled.cache_info().hits


def test_a_list_of_a_body_that_an_inner_body_fills_is_filled_at_each_step() -> None:
    def outer(i: Any, x: Any) -> Any:
        kept: list[int] = []

        def inner(j: Any, y: Any) -> Any:
            kept.append(1)
            return y + 1

        return hb.fori_loop(0, 3, inner, x) * len(kept)

    f = _times(outer, 2)
    with pytest.warns(EagerFallbackWarning, match="changes kept"):
        np.testing.assert_array_equal(hb.compile(f)(hb.ones(2)), f(hb.ones(2)))
