"""What an argument or a captured object leads to is compared at each call, however it is named."""

from __future__ import annotations

import argparse
import collections
import dis
import enum
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import hybrid as hb
from hybrid.trace.reach import _global_names
from tests.trace.agreement import compiled_throughout

Program = tuple[Callable[..., Any], Callable[[float], tuple[Any, ...]]]
"""A function, and what sets a number that it reads and returns the arguments beside the array."""


class Layer:
    """One that is equal to all others, and holds another object."""

    def __init__(self) -> None:
        self.factor = 1.0
        self.inner = types.SimpleNamespace(factor=1.0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layer)

    def __hash__(self) -> int:
        return 1

    def times(self, x: Any) -> Any:
        return x * self.factor

    @classmethod
    def doubled(cls, x: Any) -> Any:
        return x * cls.shared * 2

    shared = 1.0


class Kind(enum.Enum):
    ONE = 1


def a_method() -> Program:
    layer = Layer()

    def set_to(value: float) -> tuple[Any, ...]:
        layer.factor = value
        return (layer.times,)

    return lambda x, times: times(x), set_to


def a_method_of_a_class() -> Program:
    def set_to(value: float) -> tuple[Any, ...]:
        Layer.shared = value
        return (Layer.doubled,)

    return lambda x, doubled: doubled(x), set_to


def a_class() -> Program:
    def set_to(value: float) -> tuple[Any, ...]:
        Layer.shared = value
        return (Layer,)

    return lambda x, kind: x * kind.shared, set_to


def a_module() -> Program:
    module: Any = types.ModuleType("module_of_a_reach_test")

    def set_to(value: float) -> tuple[Any, ...]:
        module.factor = value
        return (module,)

    return lambda x, module: x * module.factor, set_to


def a_member_of_an_enum() -> Program:
    def set_to(value: float) -> tuple[Any, ...]:
        Kind.factor = value  # type: ignore[attr-defined]
        return (Kind.ONE,)

    return lambda x, kind: x * kind.factor, set_to


def a_frozen_set_of_objects() -> Program:
    layer = Layer()

    def set_to(value: float) -> tuple[Any, ...]:
        layer.factor = value
        return (frozenset([layer]),)

    return lambda x, layers: x * sum(layer.factor for layer in layers), set_to


def an_object_in_an_object_with_a_hash() -> Program:
    layer = Layer()

    def set_to(value: float) -> tuple[Any, ...]:
        layer.inner.factor = value
        return (layer,)

    return lambda x, layer: x * layer.inner.factor, set_to


def get_of_a_dict() -> Program:
    table: dict[str, float] = {}

    def set_to(value: float) -> tuple[Any, ...]:
        table["factor"] = value
        return (table.get,)

    return lambda x, get: x * get("factor"), set_to


def a_captured_get() -> Program:
    table: dict[str, float] = {"factor": 1.0}
    get = table.get

    def set_to(value: float) -> tuple[Any, ...]:
        table["factor"] = value
        return ()

    return lambda x: x * get("factor"), set_to


def a_captured_special_method() -> Program:
    numbers = [1.0]
    item = numbers.__getitem__

    def set_to(value: float) -> tuple[Any, ...]:
        numbers[0] = value
        return ()

    return lambda x: x * item(0), set_to


def views_of_a_dict() -> Program:
    table: dict[str, float] = {"factor": 1.0}
    keys, values, items = table.keys(), table.values(), table.items()

    def set_to(value: float) -> tuple[Any, ...]:
        table["factor"] = value
        table[f"another {value}"] = value
        return ()

    return lambda x: x * sum(values) + len(keys) + sum(n for _, n in items), set_to


class Made:
    """One whose class reads a global wherever Python lets it."""

    def __new__(cls) -> Made:
        made = object.__new__(cls)
        made.number = SHARED
        return made

    def __init_subclass__(cls) -> None:
        cls.inherited = SHARED

    def __class_getitem__(cls, item: float) -> float:
        return item * SHARED

    def times(self, k: float, x: Any) -> Any:
        return x * k * SHARED

    number: float
    inherited: float
    doubled = functools.partialmethod(times, 2.0)
    __call__ = functools.partialmethod(times, 3.0)

    @functools.cached_property
    def cached(self) -> float:
        return SHARED

    @functools.singledispatchmethod
    def dispatched(self, x: Any) -> Any:
        return x * SHARED


SHARED = 1.0


class Typed(NamedTuple):
    a: float
    b: float


Plain = collections.namedtuple("Plain", "a b", defaults=[1.0])


class Couple(tuple[float, float]):
    def __new__(cls, a: float, b: float = 1.0) -> Couple:
        return tuple.__new__(cls, (a, b))


def subclassed(x: Any) -> Any:
    class Own(Made):
        pass

    return x * Own.inherited


def of_a_global(f: Callable[[Any], Any]) -> Callable[[], Program]:
    def set_to(value: float) -> tuple[Any, ...]:
        globals()["SHARED"] = value
        return ()

    return lambda: (f, set_to)


def of_a_default(kind: Any) -> Callable[[], Program]:
    def set_to(value: float) -> tuple[Any, ...]:
        kind.__new__.__defaults__ = (value,)
        return ()

    return lambda: (lambda x: x * kind(2.0)[1], set_to)


IN_A_CLASS = {
    "__new__": of_a_global(lambda x: x * Made().number),
    "__init_subclass__": of_a_global(subclassed),
    "__class_getitem__": of_a_global(lambda x: x * Made[2.0]),
    "partialmethod": of_a_global(lambda x: Made().doubled(x)),
    "partialmethod, called": of_a_global(lambda x: Made()(x)),
    "cached_property": of_a_global(lambda x: x * Made().cached),
    "singledispatchmethod": of_a_global(lambda x: Made().dispatched(x)),
    "NamedTuple": of_a_default(Typed),
    "namedtuple": of_a_default(Plain),
    "tuple": of_a_default(Couple),
}


@pytest.mark.parametrize("make", IN_A_CLASS.values(), ids=IN_A_CLASS)
def test_what_a_class_reads_when_python_calls_it_is_that_of_the_call(
    make: Callable[[], Program],
) -> None:
    test_what_is_led_to_is_that_of_the_call(make)


PROGRAMS = [
    a_method, a_method_of_a_class, a_class, a_module, a_member_of_an_enum, a_frozen_set_of_objects,
    an_object_in_an_object_with_a_hash, get_of_a_dict, a_captured_get, a_captured_special_method,
    views_of_a_dict,
]  # fmt: skip


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda make: make.__name__)
def test_what_is_led_to_is_that_of_the_call(make: Callable[[], Program]) -> None:
    f, set_to = make()
    traced = hb.compile(f)
    with compiled_throughout():
        for value in (1.0, 1.0, 4.0, 2.0):
            rest = set_to(value)
            for _ in range(2):
                x = np.arange(3.0)
                np.testing.assert_array_equal(traced(x, *rest), f(x, *rest))
    assert traced.cache_info().hits >= 4


def summed(held: np.ndarray[Any, Any]) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        x[0] += 1
        return held.sum()

    return f


def one_element(held: np.ndarray[Any, Any]) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        x[0] += 1
        return x * held[1]

    return f


def of_an_attribute(held: np.ndarray[Any, Any]) -> Callable[[Any], Any]:
    owner = types.SimpleNamespace(held=held)

    def f(x: Any) -> Any:
        x[0] += 1
        return x * float(owner.held[1])

    return f


def read_before(held: np.ndarray[Any, Any]) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        factor = held[1]
        x[0] += 1
        return x * factor

    return f


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize("make", [summed, one_element, of_an_attribute, read_before])
@pytest.mark.parametrize("first", [0, 1])
def test_an_argument_that_is_written_may_be_an_array_that_python_reads(
    make: Callable[..., Any], first: int
) -> None:
    def results(change: Callable[..., Any]) -> list[Any]:
        held = np.arange(4.0)
        f = change(make(held))
        views = held, np.arange(4.0), held[1:], held[::-1]
        order = [*range(first, len(views)), *range(len(views))]
        return [np.asarray(f(views[i])).tolist() for i in order]

    assert results(hb.compile) == results(lambda f: f)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def test_globals_are_those_that_dis_finds() -> None:
    of_globals = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"}
    many = "".join(f"    global s{i}\n    s{i} = f{i}(g{i})\n    del s{i}\n" for i in range(200))
    sources = [compile(f"def many():\n{many}", "many", "exec")]
    for module in (argparse, collections, enum, types):
        with open(str(module.__file__)) as file:
            sources.append(compile(file.read(), module.__name__, "exec"))
    for source in sources:
        found = {
            step.argval
            for code in _codes(source)
            for step in dis.get_instructions(code)
            if step.opname in of_globals
        }
        assert found
        assert set(_global_names(source)) == found
