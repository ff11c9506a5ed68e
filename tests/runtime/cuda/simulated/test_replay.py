"""Runs of a Plan: launches at first, a captured graph for addresses met again, memory it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import FuncGraph
from hybrid.core.spec import TensorSpec, weak_scalar
from hybrid.errors import DeviceError
from hybrid.runtime.cuda import replay
from hybrid.runtime.cuda.plan import plan_for_card
from hybrid.runtime.plan import Plan
from hybrid.trace.passes import optimize
from tests.runtime.cuda.fake import FakeCard
from tests.runtime.graphs import layouts_of
from tests.trace.passes.graphs import traced

Array = np.ndarray[Any, Any]
F32 = np.dtype("float32")


@pytest.fixture
def card() -> FakeCard:
    return FakeCard()


def graph_of(function: Any, *shapes: tuple[int, ...]) -> FuncGraph:
    return optimize(traced(function, *(TensorSpec(shape, F32) for shape in shapes)))


def two_kernels(x: Any) -> Any:
    return hb.cumulative_sum(x * 2 + hb.sum(x), axis=0)


def plan_of(card: FakeCard, function: Any, *arrays: Array) -> Plan:
    return planned(graph_of(function, *(x.shape for x in arrays)), arrays, card)


def planned(graph: FuncGraph, arrays: Sequence[Any], card: FakeCard) -> Plan:
    host = frozenset(n for n, value in enumerate(graph.parameters) if value.spec.weak)
    return plan_for_card(graph, layouts_of(arrays), card, host)


def drawn(seed: int, *shape: int) -> Array:
    """Multiples of 1/4, so that sums are exact whatever their order."""
    numbers = np.random.default_rng(seed).integers(-8, 9, shape)
    return (numbers / 4).astype(np.float32)


def test_addresses_that_come_again_are_captured_and_then_replayed(card: FakeCard) -> None:
    x = card.put(drawn(0, 5, 4))
    plan = plan_of(card, two_kernels, x)
    launches = len([line for line in plan.source.splitlines() if line.startswith("launch")])
    logs, addresses = [], set()
    for seed in range(6):
        x[...] = drawn(seed, 5, 4)
        del card.log[:]
        (found,) = plan.run(x)
        np.testing.assert_array_equal(found, two_kernels(hb.asarray(x.copy())).numpy())
        addresses.add(found.ctypes.data)
        logs.append(tuple(card.log))
        del found
    assert len(addresses) == 1  # the pool gives back what was returned: else this shows nothing
    assert logs[0] == ("launch",) * launches
    assert logs[1] == ("capture", "replay")
    assert set(logs[2:]) == {("replay",)}


def test_arguments_elsewhere_are_launched_until_they_come_again(card: FakeCard) -> None:
    first, second = card.put(drawn(0, 5, 4)), card.put(drawn(1, 5, 4))
    plan = plan_of(card, two_kernels, first)
    for number in range(8):
        x = (first, second)[number % 2]
        del card.log[:]
        (found,) = plan.run(x)
        np.testing.assert_array_equal(found, two_kernels(hb.asarray(x.copy())).numpy())
        wanted = "launch" if number < 2 else "replay"
        assert card.log[-1] == wanted
        del found


def test_results_that_are_kept_are_never_written_again(card: FakeCard) -> None:
    x = card.put(drawn(0, 5, 4))
    plan = plan_of(card, two_kernels, x)
    kept, wanted = [], []
    for seed in range(5):
        x[...] = drawn(seed, 5, 4)
        kept += plan.run(x)
        wanted.append(two_kernels(hb.asarray(x.copy())).numpy())
    for found, want in zip(kept, wanted, strict=True):
        np.testing.assert_array_equal(found, want)


def test_only_so_many_graphs_are_kept(card: FakeCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MOST_GRAPHS", 2)
    monkeypatch.setattr(replay, "MOST_MET", 3)
    monkeypatch.setattr(replay, "REPLAYS_EACH", 1)
    inputs = [card.put(drawn(seed, 3)) for seed in range(4)]
    plan = plan_of(card, lambda x: hb.exp(x), inputs[0])
    runner = plan.run.for_alignment(frozenset())  # type: ignore[attr-defined]
    for x in (inputs[0], inputs[0], inputs[1], inputs[1], inputs[2], inputs[2], inputs[1]):
        (found,) = plan.run(x)
        np.testing.assert_allclose(found, np.exp(x), rtol=1e-6)
        del found
    assert len(runner.graphs) == 2
    assert card.log.count("capture") == 3
    for x in inputs:
        plan.run(x)
    assert len(runner._met) <= 3


def test_addresses_that_hardly_come_again_are_not_captured(
    card: FakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MOST_GRAPHS", 2)
    inputs = [card.put(drawn(seed, 3)) for seed in range(6)]
    plan = plan_of(card, lambda x: hb.exp(x), inputs[0])
    for x in inputs * 5:
        plan.run(x)
    assert card.log.count("capture") == 2


def test_a_python_number_may_change_between_replays(card: FakeCard) -> None:
    specs = TensorSpec((5,), F32), weak_scalar(1.0)
    graph = optimize(traced(lambda x, a: hb.exp(x) * a + 1, *specs))
    x = card.put(drawn(0, 5))
    plan = planned(graph, [x, 2.0], card)
    for number in (2.0, 3.0, -1.5, 2.0):
        (found,) = plan.run(x, number)
        np.testing.assert_allclose(found, np.exp(x) * np.float32(number) + 1, rtol=1e-6)
        del found
    assert card.log.count("capture") == 1
    assert card.log.count("upload") == 4


def test_a_python_number_that_a_library_takes_makes_another_graph(card: FakeCard) -> None:
    graph = traced(lambda x, a: hb.full((3,), a) + x[0], TensorSpec((2,), F32), weak_scalar(1.0))
    x = card.put(drawn(0, 2))
    plan = planned(graph, [x, 2.0], card)
    for number in (2.0, 2.0, 3.0, 3.0, 2.0):
        (found,) = plan.run(x, number)
        np.testing.assert_allclose(found, np.full(3, number) + x[0], rtol=1e-6)
        del found
    assert card.log.count("capture") == 2


def test_another_precision_of_products_makes_another_graph(card: FakeCard) -> None:
    x = card.put(drawn(0, 4, 4))
    plan = plan_of(card, lambda x: x @ x, x)
    try:
        for _ in range(2):
            plan.run(x)
        hb.set_matmul_precision("tf32")
        for _ in range(2):
            plan.run(x)
    finally:
        hb.set_matmul_precision("float32")
    assert card.log.count("capture") == 2


def test_where_nothing_can_be_captured_launches_go_on(card: FakeCard) -> None:
    card.refuses_capture = "a library waits for the card"
    x = card.put(drawn(0, 5, 4))
    plan = plan_of(card, two_kernels, x)
    for _ in range(4):
        (found,) = plan.run(x)
        np.testing.assert_array_equal(found, two_kernels(hb.asarray(x.copy())).numpy())
        del found
    assert card.log.count("capture") == 1
    assert "replay" not in card.log


def test_arguments_that_are_not_aligned_are_read_one_by_one(card: FakeCard) -> None:
    base = card.put(drawn(0, 41))
    aligned, shifted = base[:40], base[1:]
    plan = plan_of(card, lambda x: hb.exp(x) * 2, aligned)
    for x in (aligned, shifted, aligned, shifted):
        (found,) = plan.run(x)
        np.testing.assert_allclose(found, np.exp(x) * 2, rtol=1e-6)
    assert len(plan.run.runners) == 2  # type: ignore[attr-defined]


def test_memory_that_does_not_suffice_is_told_with_what_the_plan_needs() -> None:
    card = FakeCard(limit=5000)
    x = card.put(drawn(0, 1000))
    plan = plan_of(card, lambda x: hb.sort(hb.exp(x)) + hb.sum(x), x)
    with pytest.raises(
        DeviceError, match=r"needs .* KiB for temporaries, 3.91 KiB for results"
    ) as caught:
        plan.run(x)
    assert isinstance(caught.value, MemoryError)


def test_temporaries_share_memory_as_on_the_cpu(card: FakeCard) -> None:
    def chain(x: Any) -> Any:
        for _ in range(6):
            x = hb.exp(-x @ x)
        return x

    x = card.put(drawn(0, 8, 8))
    plan = plan_of(card, chain, x)
    assert plan.temp_bytes <= 3 * 256
    assert plan.naive_bytes > plan.temp_bytes


def test_random_numbers_are_drawn_on_the_card_and_the_state_moves_on(card: FakeCard) -> None:
    from hybrid.core.dispatch import bind
    from hybrid.core.op import OPS

    attrs = {"shape": (3, 5), "dtype": hb.float32, "low": 0.0, "high": 1.0}

    def draw(state: Any) -> Any:
        drawn = bind(OPS["random_uniform"], (state,), attrs)
        return drawn * 2, bind(OPS["random_advance"], (state,), {"blocks": 4})

    graph = optimize(traced(draw, TensorSpec((3,), np.dtype("uint64"), "cuda:0")))
    state = np.array([5, 6, 7], np.uint64)
    plan = planned(graph, [state], card)
    here = card.put(state)
    for _ in range(4):
        numbers, moved = plan.run(here)
        np.testing.assert_array_equal(numbers, 2 * OPS["random_uniform"].eager(np, state, **attrs))
        state = OPS["random_advance"].eager(np, state, blocks=4)
        np.testing.assert_array_equal(moved, state)
        here[...] = moved
        del numbers, moved
    assert "library" not in card.log
