"""Contexts, levels and options of Python's library and NumPy are those of each call."""

from __future__ import annotations

import abc
import decimal
import functools
import locale
import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.trace.agreement import compiled_throughout

log = logging.getLogger("of_a_settings_test")
third = Decimal(1)

Around = Callable[[int], AbstractContextManager[Any]]


def by_decimals(x: Any) -> Any:
    return x * float(Decimal(1) / Decimal(3))


def by_a_decimal_of_outside(x: Any) -> Any:
    return x * float(third / 3)


def by_the_context_of_decimal(x: Any) -> Any:
    return x * decimal.getcontext().prec


def by_error_handling(x: Any) -> Any:
    return x * 2 if np.geterr()["divide"] == "ignore" else -x


def by_print_options(x: Any) -> Any:
    return x * np.get_printoptions()["precision"]


SETTINGS: list[tuple[Callable[[Any], Any], Around]] = [
    (by_decimals, lambda i: decimal.localcontext(decimal.Context(prec=3 + i))),
    (by_a_decimal_of_outside, lambda i: decimal.localcontext(decimal.Context(prec=3 + i))),
    (by_the_context_of_decimal, lambda i: decimal.localcontext(decimal.Context(prec=3 + i))),
    (by_error_handling, lambda i: np.errstate(divide="ignore" if i % 2 else "warn")),
    (by_print_options, lambda i: np.printoptions(precision=3 + i)),
]


@pytest.mark.parametrize(("f", "around"), SETTINGS, ids=lambda x: x.__name__)
def test_a_call_is_by_the_settings_around_it(f: Callable[[Any], Any], around: Around) -> None:
    traced = hb.compile(f)
    with compiled_throughout():
        for i in (0, 0, 1, 1, 2, 0):
            with around(i):
                np.testing.assert_array_equal(traced(np.ones(3)), f(np.ones(3)))
    assert traced.cache_info().hits >= 2


def by_being_logged(x: Any) -> Any:
    return x * 2 if log.isEnabledFor(logging.INFO) else -x


def by_an_effective_level(x: Any) -> Any:
    return x * logging.getLogger("of_a_settings_test").getEffectiveLevel()


def by_a_level(x: Any) -> Any:
    return x * log.level


@pytest.mark.parametrize("f", [by_being_logged, by_an_effective_level, by_a_level])
def test_the_level_of_a_logger_is_that_of_the_call(f: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    traced = hb.compile(f)
    with compiled_throughout():
        for level in (logging.ERROR, logging.ERROR, logging.INFO, logging.DEBUG):
            monkeypatch.setattr(log, "level", level)
            log._cache.clear()  # type: ignore[attr-defined]
            np.testing.assert_array_equal(traced(np.ones(3)), f(np.ones(3)))


def test_arguments_of_the_program_and_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def f(x: Any) -> Any:
        return x * len(sys.argv) + len(os.getcwd()) + sys.getrecursionlimit()

    traced, limit = hb.compile(f), sys.getrecursionlimit()
    try:
        for number, folder in enumerate((tmp_path, tmp_path, Path("/"), tmp_path)):
            monkeypatch.setattr(sys, "argv", ["a"] * number)
            monkeypatch.chdir(folder)
            sys.setrecursionlimit(limit + number)
            np.testing.assert_array_equal(traced(np.ones(3)), f(np.ones(3)))
    finally:
        sys.setrecursionlimit(limit)


def test_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any) -> Any:
        return x * len(locale.setlocale(locale.LC_NUMERIC))

    traced, before = hb.compile(f), locale.setlocale(locale.LC_NUMERIC)
    try:
        for name in ("C", "C.UTF-8", "C"):
            locale.setlocale(locale.LC_NUMERIC, name)
            np.testing.assert_array_equal(traced(np.ones(3)), f(np.ones(3)))
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


class Shape(abc.ABC):
    """A class that others are registered with."""

    @abc.abstractmethod
    def size(self) -> int: ...


def test_a_class_that_is_registered_later() -> None:
    class Ball:
        pass

    ball = Ball()
    f = hb.compile(lambda x: x * 2 if isinstance(ball, Shape) else -x)
    np.testing.assert_array_equal(f(np.ones(2)), [-1, -1])
    Shape.register(Ball)
    np.testing.assert_array_equal(f(np.ones(2)), [2, 2])


def test_a_function_that_is_registered_later() -> None:
    class Ball:
        pass

    @functools.singledispatch
    def volume(shape: Any) -> float:
        return 1.0

    ball = Ball()
    f = hb.compile(lambda x: x * volume(ball))
    np.testing.assert_array_equal(f(np.ones(2)), [1, 1])
    volume.register(Ball, lambda shape: 5.0)
    np.testing.assert_array_equal(f(np.ones(2)), [5, 5])


def test_subclasses_that_come_later() -> None:
    class Base:
        pass

    f = hb.compile(lambda x: x * len(Base.__subclasses__()))
    kept = []
    for number in range(3):
        np.testing.assert_array_equal(f(np.ones(2)), [number, number])
        kept.append(type("Derived", (Base,), {}))
