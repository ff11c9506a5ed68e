"""Calls with objects and values of all kinds find their traces again without looking for them."""

from __future__ import annotations

import enum
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import hybrid as hb


class Mode(enum.Enum):
    DOUBLE = 2
    TRIPLE = 3


@dataclass
class Layer:
    weight: Any
    scale: float = 1.0


@dataclass(frozen=True)
class Settings:
    rate: float = 0.5


class Odd:
    """Has a hash and an equality that do not look at all that it holds."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Odd)


def ones() -> hb.Tensor:
    return hb.ones(3)


def same(a: Any, b: Any) -> None:
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "an Enum": (lambda x, mode: x * mode.value, (ones(), Mode.TRIPLE)),
    "a dtype": (lambda x, dtype: x.astype(dtype), (ones(), np.dtype("float64"))),
    "a dataclass": (lambda x, layer: x * layer.weight, (ones(), Layer(ones()))),
    "a frozen dataclass": (lambda x, s: x * s.rate, (ones(), Settings())),
    "a dataclass in a dict": (lambda d: d["x"] * d["m"].scale, ({"x": ones(), "m": Layer(1)},)),
}
SHARED = ones()
CALLS["a Tensor twice in a list"] = (lambda held: held[0] + held[1], ([SHARED, SHARED],))


@pytest.mark.parametrize("name", CALLS)
def test_the_long_way_is_taken_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, args = CALLS[name]
    compiled = hb.compile(function)
    compiled(*args)
    compiled(*args)

    def refuse(*_: Any) -> Any:
        raise AssertionError("the long way")

    monkeypatch.setattr(hb.CompiledFunction, "_call", refuse)
    for _ in range(3):
        same(compiled(*args), function(*args))


def test_each_value_has_its_own_trace() -> None:
    f = hb.compile(lambda x, mode: x * mode.value)
    for _ in range(3):
        for mode in Mode:
            same(f(ones(), mode), ones() * mode.value)
    g = hb.compile(lambda x, settings: x * settings.rate)
    for _ in range(3):
        for rate in (0.5, 2.0):
            same(g(ones(), Settings(rate)), ones() * rate)
    assert g.cache_info().misses == 2


def test_attributes_that_change_are_seen() -> None:
    f = hb.compile(lambda x, layer: x * layer.weight * layer.scale)
    layer = Layer(ones())
    for scale in (1.0, 1.0, 2.0, 2.0, 1.0):
        layer.scale = scale
        layer.weight = ones() * scale
        same(f(ones(), layer), ones() * scale * scale)


def test_attributes_that_an_equality_does_not_look_at_are_seen() -> None:
    f = hb.compile(lambda x, odd: x * odd.factor)
    one, other = Odd(2.0), Odd(3.0)
    for _ in range(3):
        same(f(ones(), one), ones() * one.factor)
        same(f(ones(), other), ones() * 3.0)
    one.factor = 5.0
    for _ in range(3):
        same(f(ones(), one), ones() * 5.0)


def test_an_object_in_the_place_of_one_that_is_gone_is_another_one() -> None:
    f = hb.compile(lambda x, layer: x * layer.scale)
    for i in range(6):
        layer = Layer(None, float(i))
        same(f(ones(), layer), ones() * i)
        same(f(ones(), layer), ones() * i)
        del layer
        gc.collect()


def test_tensors_that_are_one_in_one_call_and_two_in_the_next() -> None:
    f = hb.compile(lambda held: held[0] * 2 + held[1])
    a, b = ones(), ones() * 3
    for _ in range(3):
        for held in ([a, a], [a, b], [b, b], [b, a]):
            same(f(held), held[0] * 2 + held[1])
