"""Modules that code imports itself, classes that change: each call sees what is there by then."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.trace.agreement import changes_are_seen

factor = 1.0
_OURS = "module_of_a_lookup_test"

Program = tuple[Callable[[Any], Any], Callable[[float], Any]]
"""A function, and what changes a number that it reads."""


@pytest.fixture(autouse=True)
def module() -> Iterator[types.ModuleType]:
    ours = sys.modules[_OURS] = types.ModuleType(_OURS)
    ours.factor = 1.0  # type: ignore[attr-defined]
    yield ours
    del sys.modules[_OURS]


def set_attribute(value: float) -> None:
    sys.modules[_OURS].factor = value  # type: ignore[attr-defined]


def by_import() -> Program:
    def f(x: Any) -> Any:
        import module_of_a_lookup_test as ours

        return x * ours.factor

    return f, set_attribute


def by_import_from() -> Program:
    def f(x: Any) -> Any:
        from module_of_a_lookup_test import factor

        return x * factor

    return f, set_attribute


def by_a_relative_import() -> Program:
    def f(x: Any) -> Any:
        from . import test_lookups

        return x * test_lookups.factor

    return f, lambda value: setattr(sys.modules["tests.trace.test_lookups"], "factor", value)


def by_import_module() -> Program:
    return lambda x: x * importlib.import_module(_OURS).factor, set_attribute


def by_sys_modules() -> Program:
    return lambda x: x * sys.modules[_OURS].factor, set_attribute  # type: ignore[attr-defined]


def of_another_module_of_that_name() -> Program:
    def f(x: Any) -> Any:
        import module_of_a_lookup_test as ours

        return x * ours.factor

    def replace(value: float) -> None:
        sys.modules[_OURS] = types.ModuleType(_OURS)
        set_attribute(value)

    return f, replace


def of_a_module_imported_in_the_first_call() -> Program:
    held = sys.modules.pop(_OURS)

    def loaded() -> None:
        sys.modules.setdefault(_OURS, held)

    def f(x: Any) -> Any:
        loaded()
        import module_of_a_lookup_test as ours

        return x * ours.factor

    return f, lambda value: setattr(held, "factor", value)


class Single:
    factor = 1.0

    def times(self, x: Any) -> Any:
        return x * self.factor


class Double(Single):
    factor = 2.0

    def times(self, x: Any) -> Any:
        return x * self.factor * 2


def by_the_class_of_an_object() -> Program:
    thing = Single()

    def become(value: float) -> None:
        thing.__class__ = Double if type(thing) is Single else Single

    return lambda x: x * thing.factor, become


def by_the_class_of_self() -> Program:
    thing = Single()

    def become(value: float) -> None:
        thing.__class__ = Double if type(thing) is Single else Single

    return thing.times, become


def by_the_class_of_one_of_many() -> Program:
    things = [Single() for _ in range(20)]

    def f(x: Any) -> Any:
        for thing in things:
            x = thing.times(x)
        return x

    def become(value: float) -> None:
        things[int(value)].__class__ = Double

    return f, become


def by_the_bases_of_a_class() -> Program:
    class Other:
        factor = 5.0

    class Derived(Single):
        pass

    thing = Derived()

    def inherit(value: float) -> None:
        Derived.__bases__ = (Other,) if Derived.__bases__ == (Single,) else (Single,)

    return lambda x: x * thing.factor, inherit


def by_a_truth_value_that_comes_later() -> Program:
    class Thing:
        pass

    thing = Thing()

    def give(value: float) -> None:
        Thing.__bool__ = lambda self: value > 2  # type: ignore[attr-defined]

    return lambda x: x * 2 if thing else -x, give


def by_a_length_that_comes_later() -> Program:
    class Thing:
        pass

    thing: Any = Thing()

    def f(x: Any) -> Any:
        try:
            return x * len(thing)
        except TypeError:
            return -x

    def give(value: float) -> None:
        Thing.__len__ = lambda self: int(value)  # type: ignore[attr-defined]

    return f, give


def by_attributes_that_are_made_later() -> Program:
    class Thing:
        pass

    thing: Any = Thing()

    def f(x: Any) -> Any:
        try:
            return x * thing.factor
        except AttributeError:
            return -x

    def give(value: float) -> None:
        Thing.__getattr__ = lambda self, name: value  # type: ignore[attr-defined]

    return f, give


PROGRAMS = [
    by_import, by_import_from, by_a_relative_import, by_import_module, by_sys_modules,
    of_another_module_of_that_name, of_a_module_imported_in_the_first_call,
    by_the_class_of_an_object, by_the_class_of_self, by_the_class_of_one_of_many,
    by_the_bases_of_a_class, by_a_truth_value_that_comes_later, by_a_length_that_comes_later,
    by_attributes_that_are_made_later,
]  # fmt: skip


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda make: make.__name__)
def test_what_is_looked_up_is_what_is_there(make: Callable[[], Program]) -> None:
    changes_are_seen(*make())


@pytest.mark.parametrize("make", [by_import, by_import_from], ids=lambda make: make.__name__)
def test_other_names_trace_nothing_again(make: Callable[[], Program]) -> None:
    f, _ = make()
    traced = hb.compile(f)
    for number in range(4):
        sys.modules[_OURS].other = number  # type: ignore[attr-defined]
        traced(np.arange(3.0))
    assert traced.cache_info().misses == 1
