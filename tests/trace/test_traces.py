"""Which traces a compiled function keeps."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import hybrid as hb
from hybrid.trace import sized, traces
from hybrid.trace.concrete import ConcreteFunction


@pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")
def test_traces_out_of_use_are_forgotten_and_those_in_use_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "MAX_SIGNATURES", 32)

    @hb.compile
    def measure(x: hb.Tensor, name: str) -> hb.Tensor:
        return x + len(name)

    x = hb.ones(3)
    names = [f"name {i:05}" for i in range(2 * traces.MAX_SIGNATURES)]
    measure(x, "hot")
    for name in names:
        measure(x, name)
        np.testing.assert_array_equal(measure(x, "hot"), 4)
    info = measure.cache_info()
    assert info.misses == 1 + len(names)
    assert info.currsize <= traces.MAX_SIGNATURES
    gc.collect()
    alive = [x for x in gc.get_objects() if type(x) is ConcreteFunction and x.name == "measure"]
    assert len(alive) <= traces.MAX_SIGNATURES
    np.testing.assert_array_equal(measure(x, names[0]), 11)
    assert measure.cache_info().misses == 2 + len(names)


@pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")
def test_traces_that_hold_many_bytes_are_forgotten_before_they_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "MAX_BYTES", 100_000)
    outside = np.zeros(1000)

    @hb.compile
    def measure(x: hb.Tensor, name: str) -> hb.Tensor:
        return x + (outside.sum() + len(name))

    x = hb.ones(3)
    for i in range(50):
        np.testing.assert_array_equal(measure(x, f"name {i:05}"), 11)
        np.testing.assert_array_equal(measure(x, f"name {i:05}"), 11)
    held = [c.nbytes for c in measure.concrete_functions]
    assert all(outside.nbytes <= n < outside.nbytes + 100 for n in held)
    assert 2 <= measure.cache_info().currsize <= 100_000 // outside.nbytes + 2


def test_two_traces_are_kept_whatever_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MAX_BYTES", 10)

    @hb.compile
    def f(x: hb.Tensor, n: str) -> hb.Tensor:
        table = np.zeros(100)
        table[1:] = np.arange(99.0)
        table[0] = x[0]
        return table + len(n)

    x = hb.asarray(np.ones(3))
    for _ in range(4):
        for name in ("a", "ab"):
            np.testing.assert_array_equal(f(x, name)[:2], np.array([1, 0]) + len(name))
    assert f.cache_info().misses == 2


def test_plans_for_many_layouts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sized, "MAX_LAYOUTS", 5)
    f = hb.compile(lambda x: x * 2)
    big = np.arange(4.0 * 40).reshape(4, 40)
    for step in range(1, 11):
        x = big[:, ::step][:, :4]
        for _ in range(2):
            np.testing.assert_array_equal(f(x).numpy(), x * 2)
    (concrete,) = f.concrete_functions
    assert len(concrete.segments[0].plans) <= 5
