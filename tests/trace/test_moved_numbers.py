"""Numbers outside that callers change between calls: constants at first, inputs from then on."""

from __future__ import annotations

import json
import threading
import types
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import hybrid as hb

FEW = 3


@dataclass
class Options:
    rate: float = 0.0


def in_global() -> tuple[Any, Any]:
    scope: dict[str, Any] = {"rate": 0.0, "np": np}
    exec("def f(x):\n    return x * rate", scope)
    return scope["f"], lambda n: exec(f"rate = {n!r}", scope)


def in_cell() -> tuple[Any, Any]:
    rate = 0.0

    def change(n: float) -> None:
        nonlocal rate
        rate = n

    return lambda x: x * rate, change


def in_attribute() -> tuple[Any, Any]:
    options = Options()
    return lambda x: x * options.rate, lambda n: setattr(options, "rate", n)


def in_method() -> tuple[Any, Any]:
    class Model:
        def __init__(self) -> None:
            self.rate = 0.0

        def f(self, x: Any) -> Any:
            return x * self.rate

    model = Model()
    return model.f, lambda n: setattr(model, "rate", n)


def in_dict() -> tuple[Any, Any]:
    options = {"rate": 0.0}
    return lambda x: x * options["rate"], lambda n: options.update(rate=n)


def in_dict_of_dicts() -> tuple[Any, Any]:
    layers = {"in": {"rate": 0.0}, "out": {"rate": 1.0}}
    return lambda x: x * layers["in"]["rate"], lambda n: layers["in"].update(rate=n)


def in_object_of_a_dict() -> tuple[Any, Any]:
    layers = {"in": Options()}
    return lambda x: x * layers["in"].rate, lambda n: setattr(layers["in"], "rate", n)


def in_dict_of_an_object() -> tuple[Any, Any]:
    options = types.SimpleNamespace(of={"rate": 0.0})
    return lambda x: x * options.of["rate"], lambda n: options.of.update(rate=n)


def in_module() -> tuple[Any, Any]:
    module = types.ModuleType("options")
    module.rate = 0.0  # type: ignore[attr-defined]
    return lambda x: x * module.rate, lambda n: setattr(module, "rate", n)


def in_namespace() -> tuple[Any, Any]:
    options = types.SimpleNamespace(rate=0.0)
    return lambda x: x * options.rate, lambda n: setattr(options, "rate", n)


def in_function() -> tuple[Any, Any]:
    def f(x: Any) -> Any:
        return x * f.rate  # type: ignore[attr-defined]

    f.rate = 0.0  # type: ignore[attr-defined]
    return f, lambda n: setattr(f, "rate", n)


PLACES = [
    *(in_global, in_cell, in_attribute, in_method, in_dict, in_module, in_namespace, in_function),
    *(in_dict_of_dicts, in_object_of_a_dict, in_dict_of_an_object),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_number_that_callers_change_again_and_again_is_not_traced_again(place: Any) -> None:
    function, change = place()
    f = hb.compile(function)
    for i in range(10):
        change(i + 0.5)
        assert f(hb.ones(2)).tolist() == [i + 0.5] * 2
    assert f.cache_info().misses <= FEW


@pytest.mark.parametrize("place", PLACES)
def test_what_takes_the_place_of_a_number_is_seen(place: Any) -> None:
    function, change = place()
    f = hb.compile(function)
    for value in (0.5, 1.5, 2.5, 3, 4, True, -0.0, 1e300, np.float64(3.0), 5.5, 2 + 1j, 7.5):
        change(value)
        want, got = function(hb.ones(2)), f(hb.ones(2))
        assert repr(got) == repr(want)


@pytest.mark.parametrize("place", PLACES)
def test_a_way_that_a_number_decides_is_taken(place: Any) -> None:
    inner, change = place()

    def function(x: Any) -> Any:
        scaled = inner(x)
        return scaled if (scaled > 3.0).all() else -scaled

    f = hb.compile(function)
    for value in (0.5, 1.5, 2.5, 3.5, 4.5, 0.5, 9.5):
        change(value)
        assert f(hb.ones(2)).tolist() == function(hb.ones(2)).tolist()


def test_a_number_that_python_looks_at_gives_what_eager_code_gives() -> None:
    options = Options()

    def f(x: Any) -> Any:
        return x * 2 if options.rate > 3 else x + int(options.rate)

    compiled = hb.compile(f)
    for value in (0.5, 1.5, 2.5, 3.5, 4.5, 0.5, 1.25, 9.5):
        options.rate = value
        assert compiled(hb.ones(2)).tolist() == f(hb.ones(2)).tolist()


def test_a_number_that_code_of_others_refuses_is_a_constant_again() -> None:
    options = {"rate": 0.0}
    f = hb.compile(lambda x: (x * options["rate"], json.dumps(options)))
    for i in range(5):
        options["rate"] = i + 0.5
        product, text = f(hb.ones(1))
        assert (product.tolist(), json.loads(text)) == ([i + 0.5], options)


def test_a_number_that_a_full_graph_needs_stays_a_constant() -> None:
    options = Options()
    f = hb.compile(lambda x: x + int(options.rate), fullgraph=True)
    for i in range(5):
        options.rate = i + 0.5
        assert f(hb.ones(1)).tolist() == [i + 1.0]


def test_a_number_that_ends_a_trace_is_a_constant_again() -> None:
    options = Options()
    f = hb.compile(lambda x: x + int(options.rate))
    for i in range(6):
        options.rate = i + 0.5
        assert f(hb.ones(1)).tolist() == [i + 1.0]
    assert f.concrete_functions[-1].fallback is None


def test_an_int_that_makes_a_shape_is_seen() -> None:
    options = {"size": 1}
    f = hb.compile(lambda x: hb.zeros(options["size"]) + x[0])
    for size in (1, 2, 3, 5, 8, 2, 1, 0, 4):
        options["size"] = size
        assert f(hb.ones(2)).shape == (size,)


def test_another_object_in_the_place_of_the_holder_is_seen() -> None:
    holder = types.SimpleNamespace(options=Options())
    f = hb.compile(lambda x: x * holder.options.rate)
    for i in range(8):
        holder.options.rate = i + 0.5
        assert f(hb.ones(1)).tolist() == [i + 0.5]
    holder.options = Options(100.0)
    assert f(hb.ones(1)).tolist() == [100.0]


def test_a_number_that_another_thread_sets_during_a_call_stays_set() -> None:
    options = Options()
    f = hb.compile(lambda x: x * options.rate)
    for i in range(6):
        options.rate = i + 0.5
        f(hb.ones(1))
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            f(hb.ones(1))

    thread = threading.Thread(target=call)
    thread.start()
    try:
        for i in range(2000):
            options.rate = float(i)
            assert options.rate == i
    finally:
        stop.set()
        thread.join()
    assert options.rate == 1999.0


def test_a_number_is_python_s_own_after_an_error_in_the_trace() -> None:
    options = Options()
    f = hb.compile(lambda x: (x * options.rate) @ hb.ones(2))
    for i in range(5):
        options.rate = i + 0.5
        f(hb.ones(2))
    options.rate = 7.5
    with pytest.raises(Exception, match="3"):
        f(hb.ones(3))
    assert repr(options.rate) == "7.5"
    assert f(hb.ones(2)).tolist() == 15.0


def test_the_derivative_by_an_argument_uses_the_number_of_now() -> None:
    options = Options()
    f = hb.compile(hb.grad(lambda x: (x * x * options.rate).sum()))
    for i in range(6):
        options.rate = i + 0.5
        assert f(hb.ones(1)).tolist() == [2 * (i + 0.5)]


def test_numbers_that_change_in_turn_are_not_traced_again() -> None:
    options = {"rate": 0.0, "decay": 0.0}
    f = hb.compile(lambda x: x * options["rate"] + options["decay"])
    for i in range(12):
        options["rate" if i % 2 else "decay"] = i + 0.5
        assert f(hb.ones(1)).tolist() == [options["rate"] + options["decay"]]
    assert f.cache_info().misses <= FEW + 1


def test_numbers_that_change_one_long_after_the_other_are_not_traced_again() -> None:
    options = types.SimpleNamespace(rate=1.0, decay=1.0, power=2)
    f = hb.compile(lambda x: x**options.power * options.rate + options.decay)
    for name in ("rate", "decay", "power"):
        for i in range(8):
            setattr(options, name, i + 2 if name == "power" else i + 0.5)
            want = 3.0**options.power * options.rate + options.decay
            assert f(hb.asarray([3.0])).tolist() == [want]
    assert f.cache_info().misses <= 3 * FEW
