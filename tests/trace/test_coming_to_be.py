"""Names and attributes that were not there when a function was traced, or that it makes itself."""

from __future__ import annotations

import contextvars
import dataclasses
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.trace.agreement import compiled_throughout

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")

Program = tuple[Callable[[Any], Any], Callable[[], Any]]
"""A function, and what tells the state that it leaves."""


class Thing:
    """An object without attributes."""


@dataclasses.dataclass(frozen=True)
class Count:
    n: int = 0


def makes_an_attribute_of_a_module() -> Program:
    module = sys.modules["of_a_test"] = types.ModuleType("of_a_test")

    def f(x: Any) -> Any:
        module.n = getattr(module, "n", 0) + 1
        return x + module.n

    return f, lambda: module.n


def only_writes_a_global() -> Program:
    globals()["made"] = None

    def f(x: Any) -> Any:
        global made
        made = len(x)
        return x * 2

    return f, lambda: made


def replaces_an_object() -> Program:
    count = Count()

    def f(x: Any) -> Any:
        nonlocal count
        count = dataclasses.replace(count, n=count.n + 1)
        return x + count.n

    return f, lambda: count.n


def keeps_a_global_tensor() -> Program:
    globals().pop("made", None)

    def f(x: Any) -> Any:
        global made
        made = x
        return x * 2

    return f, lambda: made.tolist()


def makes_an_attribute_of_the_compiled_function() -> Program:
    @hb.compile
    def f(x: Any) -> Any:
        f.n = getattr(f, "n", 0) + 1
        return x + f.n

    return f, lambda: f.n


def in_one_branch() -> Program:
    thing = Thing()

    def f(x: Any) -> Any:
        if x.sum() < 2:
            return x
        thing.n = getattr(thing, "n", 0) + 1
        return x + thing.n

    return f, lambda: getattr(thing, "n", None)


def sets_a_context() -> Program:
    count = contextvars.ContextVar("count", default=0)

    def f(x: Any) -> Any:
        count.set(count.get() + 1)
        return x + count.get()

    return f, count.get


PROGRAMS = [
    makes_an_attribute_of_the_compiled_function,
    makes_an_attribute_of_a_module,
    only_writes_a_global,
    replaces_an_object,
    keeps_a_global_tensor,
    in_one_branch,
    sets_a_context,
]


@pytest.mark.parametrize("make", PROGRAMS)
def test_what_a_function_makes_or_replaces_is_what_eager_code_makes(make: Any) -> None:
    def states(compiled: bool) -> list[Any]:
        f, state = make()
        f = hb.compile(f) if compiled else getattr(f, "__wrapped__", f)
        return [(f(hb.ones(n)).tolist(), state()) for n in (1, 2, 2, 3, 2, 3, 3, 1, 1)]

    assert states(compiled=True) == states(compiled=False)


def test_a_model_that_builds_itself_at_the_first_call_is_compiled() -> None:
    class Model:
        def __call__(self, x: hb.Tensor) -> hb.Tensor:
            if not hasattr(self, "scale"):
                self.scale, self.options = 2.0, {"bias": 1.0}
            return x * self.scale + self.options["bias"]

    traced = hb.compile(Model())
    with compiled_throughout():
        for _ in range(4):
            assert traced(hb.ones(2)).tolist() == [3, 3]
    assert traced.cache_info().misses == 2


# --- what others make between the calls -----------------------------------------------------------


class Base:
    k = 1.0

    def scaled(self, x: Any) -> Any:
        return x * 2


def of_a_subclass() -> tuple[Any, Any]:
    class Inner(Base):
        pass

    thing = Inner()
    return lambda x: x * thing.k, lambda: setattr(Inner, "k", 5.0)


def method_of_a_subclass() -> tuple[Any, Any]:
    class Inner(Base):
        pass

    thing = Inner()
    return lambda x: thing.scaled(x), lambda: setattr(Inner, "scaled", lambda self, x: x * 9)


def of_a_class() -> tuple[Any, Any]:
    class Kind:
        pass

    thing = Kind()
    return lambda x: x * getattr(thing, "k", 1.0), lambda: setattr(Kind, "k", 5.0)


def of_a_subclass_that_loses_another() -> tuple[Any, Any]:
    class Inner(Base):
        other = 3

    thing = Inner()

    def change() -> None:
        del Inner.other
        Inner.k = 5.0

    return lambda x: x * thing.k, change


def of_a_module_that_loses_another() -> tuple[Any, Any]:
    module: Any = types.ModuleType("of_a_test")
    sys.modules["of_a_test"] = module
    module.other = 3

    def change() -> None:
        del module.other
        module.k = 5.0

    return lambda x: x * getattr(module, "k", 1.0), change


def of_a_metaclass() -> tuple[Any, Any]:
    class Meta(type):
        k = 1.0

    class Kind(metaclass=Meta):
        pass

    return lambda x: x * Kind.k, lambda: setattr(Meta, "k", 5.0)


def of_a_function() -> tuple[Any, Any]:
    def helper() -> None: ...

    return lambda x: x * getattr(helper, "k", 1.0), lambda: setattr(helper, "k", 5.0)


def of_a_module() -> tuple[Any, Any]:
    module = sys.modules["of_a_test"] = types.ModuleType("of_a_test")
    return lambda x: x * getattr(module, "k", 1.0), lambda: setattr(module, "k", 5.0)


def a_global() -> tuple[Any, Any]:
    globals().pop("later", None)

    def f(x: Any) -> Any:
        try:
            return x * later  # type: ignore[name-defined]
        except NameError:
            return x

    return f, lambda: globals().__setitem__("later", 5.0)


def a_global_in_the_body_of_a_class() -> tuple[Any, Any]:
    globals()["later"] = 1.0

    def f(x: Any) -> Any:
        class Options:
            k = later  # type: ignore[name-defined]  # noqa: F821

        return x * Options.k

    return f, lambda: globals().__setitem__("later", 5.0)


def in_a_context() -> tuple[Any, Any]:
    k = contextvars.ContextVar("k", default=1.0)
    return lambda x: x * k.get(), lambda: k.set(5.0)


def of_a_thread() -> tuple[Any, Any]:
    local = threading.local()
    local.k = 1.0
    return lambda x: x * local.k, lambda: setattr(local, "k", 5.0)


def behind_a_weak_reference() -> tuple[Any, Any]:
    thing = Base()
    reference = weakref.ref(thing)
    return lambda x: x * reference().k, lambda: setattr(thing, "k", 5.0)


def in_a_weak_dict() -> tuple[Any, Any]:
    things = weakref.WeakValueDictionary({"a": Base()})
    kept = [Base()]
    things["a"] = kept[0]
    return lambda x: x * things["a"].k, lambda: setattr(kept[0], "k", 5.0)


def of_a_dead_weak_reference() -> tuple[Any, Any]:
    kept = [Base()]
    reference = weakref.ref(kept[0])
    return lambda x: x * (reference() is None), kept.clear


def in_a_memoryview() -> tuple[Any, Any]:
    memory = np.ones(1)
    view = memoryview(memory)
    return lambda x: x * view[0], lambda: memory.fill(5.0)


CHANGES = [
    of_a_subclass,
    method_of_a_subclass,
    of_a_class,
    of_a_subclass_that_loses_another,
    of_a_module_that_loses_another,
    of_a_metaclass,
    of_a_function,
    of_a_module,
    a_global,
    a_global_in_the_body_of_a_class,
    in_a_context,
    of_a_thread,
    behind_a_weak_reference,
    in_a_weak_dict,
    of_a_dead_weak_reference,
    in_a_memoryview,
]


@pytest.mark.parametrize("make", CHANGES)
def test_what_comes_to_be_between_calls_is_seen(make: Any) -> None:
    f, change = make()
    traced, x = hb.compile(f), hb.ones(2)
    before = f(x).tolist()
    assert [traced(x).tolist() for _ in range(2)] == [before] * 2
    change()
    after = f(x).tolist()
    assert after != before
    assert [traced(x).tolist() for _ in range(2)] == [after] * 2


def test_each_thread_has_its_own_attributes_of_a_local() -> None:
    local = threading.local()
    traced = hb.compile(lambda x: x * local.k)
    found = {}

    def work(k: float) -> None:
        local.k = k
        found[k] = [traced(hb.ones(1)).item() for _ in range(3)]

    for k in (1.0, 2.0, 1.0):
        thread = threading.Thread(target=work, args=(k,))
        thread.start()
        thread.join()
    assert found == {1.0: [1.0] * 3, 2.0: [2.0] * 3}


def test_a_name_that_no_code_asks_for_does_not_retrace() -> None:
    class Inner(Base):
        pass

    thing = Inner()
    traced = hb.compile(lambda x: x * thing.k)
    for n in range(3):
        traced(hb.ones(2))
        setattr(Inner, f"other{n}", n)
    assert traced.cache_info().misses == 1


def test_a_compiled_method_of_a_class_that_is_asked_for_attributes_is_traced_once() -> None:
    class Model:
        @hb.compile
        def __call__(self, x: hb.Tensor) -> hb.Tensor:
            return x * getattr(self, "k", 2.0)

    model = Model()
    for _ in range(5):
        model(hb.ones(2))
    assert Model.__call__.cache_info().misses == 1


def test_what_has_come_to_be_before_an_op_raises_comes_to_be_once() -> None:
    class Kind:
        n = 0

    @hb.compile
    def f(x: hb.Tensor, i: hb.Tensor) -> hb.Tensor:
        Kind.n, Kind.last = Kind.n + 1, getattr(Kind, "last", 0) + 1
        try:
            return hb.take(x, i)
        except IndexError:
            return x

    for i in (5, 0, 5):
        f(hb.ones(2), hb.asarray([i]))
    assert (Kind.n, Kind.last) == (3, 3)
