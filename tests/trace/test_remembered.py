"""Arrays that `functools.cache` keeps from a call on are those of later calls, as in eager code."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

Table = Callable[[int], Any]
Make = Callable[[int], Any]

MAKERS: dict[str, Make] = {
    "computed": lambda n: np.zeros(n) + 1,
    "constant": lambda n: np.arange(n, dtype=float),
    "in a tuple": lambda n: (np.zeros(n) + 1, n)[:1],
}
CACHES: dict[str, Callable[[Make], Table]] = {
    "bounded": functools.lru_cache,
    "unbounded": functools.cache,
}


def first(x: Any) -> Any:
    return x[0] if isinstance(x, tuple) else x


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("cache", CACHES)
def test_what_is_written_to_a_cached_array_is_there_at_the_next_call(
    maker: str, cache: str
) -> None:
    def program() -> Callable[[Any], Any]:
        table = CACHES[cache](lambda n: MAKERS[maker](n))

        def f(x: Any) -> Any:
            held = first(table(x.shape[0]))
            held += x
            return held * 2

        return f

    eager, compiled = program(), hb.compile(program())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(4):
            assert compiled(np.ones(3) * i).tolist() == eager(np.ones(3) * i).tolist()


def test_a_cached_table_is_there_for_other_traces_and_costs_no_trace_after_the_second() -> None:
    table = functools.lru_cache(lambda n: np.zeros(n) + 2)

    @hb.compile
    def f(x: Any, table: Any) -> Any:
        return x * table(3)

    @hb.compile
    def g(x: Any) -> Any:
        return x + table(3)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            assert g(np.ones(3)).tolist() == [3, 3, 3]
        assert g(np.ones(3, "float32")).tolist() == [3, 3, 3]
        assert f(np.ones(3), table).tolist() == [2, 2, 2]
    assert g.cache_info().misses == 3
    assert np.asarray(table(3)).tolist() == [2, 2, 2]
