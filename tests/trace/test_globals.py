"""Globals that code looks up by names of its own making: each call sees what is there by then.

Code that may read any global reaches all of this module, so nothing in it looks for modules.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.trace.agreement import changes_are_seen

factor = 1.0

Program = tuple[Callable[[Any], Any], Callable[[float], Any]]
"""A function, and what changes a number that it reads."""


@pytest.fixture(autouse=True)
def first() -> None:
    set_global(1.0)


def set_global(value: float) -> None:
    global factor
    factor = value


def by_globals() -> Program:
    return lambda x: x * globals()["factor"], set_global


def by_globals_get() -> Program:
    return lambda x: x * globals().get("factor", 3.0), set_global


def by_globals_of_a_made_name() -> Program:
    return lambda x: x * globals()["fac" + "tor"], set_global


def by_a_loop_over_globals() -> Program:
    def f(x: Any) -> Any:
        return x * sum(v for k, v in list(globals().items()) if k == "factor")

    return f, set_global


def in_a_helper() -> Program:
    def value() -> Any:
        return next(globals()[key] for key in ("factor",))

    return lambda x: x * value(), set_global


def by_eval() -> Program:
    return lambda x: x * eval("factor"), set_global


def by_exec() -> Program:
    def f(x: Any) -> Any:
        found: dict[str, Any] = {}
        exec("y = factor * 2", globals(), found)
        return x * found["y"]

    return f, set_global


def by_the_globals_of_a_function() -> Program:
    return lambda x: x * set_global.__globals__["factor"], set_global


def by_a_frame() -> Program:
    return lambda x: x * sys._getframe().f_globals["factor"], set_global


PROGRAMS = [
    by_globals, by_globals_get, by_globals_of_a_made_name, by_a_loop_over_globals, in_a_helper,
    by_eval, by_exec, by_the_globals_of_a_function, by_a_frame,
]  # fmt: skip


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda make: make.__name__)
def test_what_is_looked_up_is_what_is_there(make: Callable[[], Program]) -> None:
    changes_are_seen(*make())


@pytest.mark.parametrize("make", [by_globals, by_globals_get], ids=lambda make: make.__name__)
def test_other_names_trace_nothing_again(make: Callable[[], Program]) -> None:
    f, _ = make()
    traced = hb.compile(f)
    for number in range(4):
        globals()["_of_no_interest"] = number
        traced(np.arange(3.0))
    assert traced.cache_info().misses == 1


def test_a_name_that_globals_has_later_is_seen() -> None:
    globals().pop("comes_later", None)
    f = hb.compile(lambda x: x * 2 if "comes_later" in globals() else -x)
    np.testing.assert_array_equal(f(np.ones(2)), [-1, -1])
    globals()["comes_later"] = True
    np.testing.assert_array_equal(f(np.ones(2)), [2, 2])
    del globals()["comes_later"]
    np.testing.assert_array_equal(f(np.ones(2)), [-1, -1])
