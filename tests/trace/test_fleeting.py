"""Calls that bring an object of their own each are not traced for ever; objects that stay are."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, RetraceWarning, TraceError
from hybrid.trace import fleeting


class State:
    def __init__(self, x: Any) -> None:
        self.x = x


class Layer:
    """A layer whose compiled method is traced for each instance."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    @hb.compile
    def apply(self, x: Any) -> Any:
        return x * self.scale


def step(state: State, dt: float) -> State:
    return State(state.x * (1 - dt))


@pytest.mark.parametrize("kept", [False, True])
def test_a_new_state_at_each_call_is_not_traced_for_ever_and_says_why(kept: bool) -> None:
    traced, state, plain = hb.compile(step), State(np.ones(3)), State(np.ones(3))
    states: list[State] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(30):
            state, plain = traced(state, 0.1), step(plain, 0.1)
            states.extend([state] * kept)
    np.testing.assert_allclose(np.asarray(state.x), plain.x, rtol=1e-14)
    assert traced.cache_info().misses == fleeting.TRACES_BEFORE_EAGER
    assert {w.category for w in caught} == {EagerFallbackWarning}
    texts = [str(w.message) for w in caught if w.category is EagerFallbackWarning]
    assert len(texts) == 1
    assert "step runs eagerly where each call brings another object (state, a State)" in texts[0]
    assert "hb.register_container" in texts[0]


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_new_state_is_one_whatever_else_is_given() -> None:
    traced, states = hb.compile(lambda state, k: State(state.x + k)), [State(np.ones(3))]
    for k in range(20):
        states.append(traced(states[-1], k))
    np.testing.assert_array_equal(np.asarray(states[-1].x), [191.0] * 3)
    assert traced.cache_info().misses == fleeting.TRACES_BEFORE_EAGER


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_an_object_that_was_traced_is_traced_for_other_shapes() -> None:
    traced, states = hb.compile(lambda state, x: state.x * x), [State(k) for k in range(20)]
    for state in states:
        traced(state, np.ones(2))
    before = traced.cache_info().misses
    for size in (3, 4):
        np.testing.assert_array_equal(np.asarray(traced(states[0], np.ones(size))), np.zeros(size))
    assert traced.cache_info().misses == before + 2


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_new_generators_of_random_numbers_are_traced_twice_at_most() -> None:
    @hb.compile
    def noisy(x: Any, rng: np.random.Generator) -> Any:
        return x + rng.normal(size=3)

    for seed in range(10):
        expected = np.ones(3) + np.random.default_rng(seed).normal(size=3)
        found = noisy(np.ones(3), np.random.default_rng(seed))
        np.testing.assert_array_equal(np.asarray(found), expected)
    assert noisy.cache_info().misses == fleeting.FALLBACKS_BEFORE_EAGER


def test_objects_that_live_have_traces_however_many_they_are() -> None:
    layers, x = [Layer(float(k)) for k in range(20)], np.ones(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RetraceWarning)
        warnings.simplefilter("error", EagerFallbackWarning)
        for _ in range(3):
            for layer in layers:
                np.testing.assert_array_equal(np.asarray(layer.apply(x)), x * layer.scale)
    assert Layer.__dict__["apply"].cache_info().misses == 20


def test_an_object_whose_method_is_compiled_may_be_new_at_each_call_too() -> None:
    class Growing(State):
        @hb.compile
        def grown(self) -> Growing:
            return Growing(self.x * 2)

    states = [Growing(np.ones(2))]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(fleeting.LIVING_BEFORE_WARNING + 10):
            states.append(states[-1].grown())
    assert [w.category for w in caught] == [EagerFallbackWarning]
    assert np.asarray(states[-1].x)[0] == 2.0 ** (fleeting.LIVING_BEFORE_WARNING + 10)
    assert Growing.__dict__["grown"].cache_info().misses == fleeting.TRACES_BEFORE_EAGER


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_an_object_that_comes_again_is_traced() -> None:
    traced = hb.compile(step)
    for _ in range(20):
        traced(State(np.ones(3)), 0.5)
    before, stays = traced.cache_info(), State(np.ones(3))
    for _ in range(4):
        np.testing.assert_array_equal(np.asarray(traced(stays, 0.5).x), [0.5, 0.5, 0.5])
    after = traced.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)


@pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")
def test_objects_that_are_used_before_they_go_do_not_count() -> None:
    traced = hb.compile(step)
    with warnings.catch_warnings():
        warnings.simplefilter("error", EagerFallbackWarning)
        for _ in range(20):
            state = State(np.ones(3))
            for _ in range(2):
                traced(state, 0.5)
    assert traced.cache_info().hits == 20


def test_the_warning_of_many_traces_names_the_object() -> None:
    traced = hb.compile(step)
    for _ in range(8):
        state = State(np.ones(3))
        for _ in range(2):  # the second is answered by the trace of the first
            traced(state, 0.5)
    del state
    with pytest.warns(RetraceWarning, match="another object came as state, and that of before"):
        traced(State(np.ones(3)), 0.5)


@pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")
def test_one_graph_is_one_graph_for_each_of_them() -> None:
    traced = hb.compile(step, fullgraph=True)
    for _ in range(20):
        np.testing.assert_array_equal(np.asarray(traced(State(np.ones(3)), 0.5).x), [0.5] * 3)
    with pytest.raises(TraceError):
        hb.compile(lambda rng: rng.normal(), fullgraph=True)(np.random.default_rng(0))
