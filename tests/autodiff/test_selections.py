"""Gradients by many parts of one array are put together in one buffer."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.interpret import interpret
from hybrid.trace.recorder import trace_pure

SHAPE = (6, 5)


@st.composite
def pieces(draw: st.DrawFn) -> tuple[slice, ...]:
    found = []
    for n in SHAPE[: draw(st.integers(1, 2))]:
        start, stop = sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n))))
        found.append(slice(start, stop, draw(st.sampled_from([1, 1, 1, 2, -1]))))
    return tuple(found)


def weighted(x: Any, places: list[tuple[slice, ...]], diagonals: int) -> Any:
    total = hb.sum(x * 0.5) if len(places) % 2 else 0.0
    for i, place in enumerate(places):
        total = total + hb.sum(x[place] ** 2 * (i + 1))
    for offset in range(diagonals):
        total = total + hb.sum(hb.diagonal(x, offset) ** 3)
    return total


def expected(x: Any, places: list[tuple[slice, ...]], diagonals: int) -> Any:
    found = np.full(x.shape, 0.5 if len(places) % 2 else 0.0)
    for i, place in enumerate(places):
        found[place] += 2 * (i + 1) * x[place]
    for offset in range(diagonals):
        rows = np.arange(min(SHAPE[0], SHAPE[1] - offset))
        found[rows, rows + offset] += 3 * x[rows, rows + offset] ** 2
    return found


X = np.linspace(-1, 1, 30).reshape(SHAPE)


@given(st.lists(pieces(), min_size=1, max_size=12), st.integers(0, 3))
def test_gradients_of_drawn_parts_add_up(places: list[tuple[slice, ...]], diagonals: int) -> None:
    gradient = hb.grad(lambda x: weighted(x, places, diagonals))
    want = expected(X, places, diagonals)
    np.testing.assert_allclose(gradient(hb.asarray(X)).numpy(), want, atol=1e-12)
    graph, _ = trace_pure("gradient", gradient, [hb.asarray(X).spec])
    np.testing.assert_allclose(interpret(graph, [X])[0], want, atol=1e-12)


@given(st.lists(pieces(), min_size=1, max_size=12))
def test_second_derivatives_and_batches_of_drawn_parts(places: list[tuple[slice, ...]]) -> None:
    x = hb.asarray(X)
    product = hb.hvp(lambda x: weighted(x, places, 1), (x,), (x,))[0]
    squares = expected(X, places, 0) - expected(0 * X, places, 0)
    cubes = expected(X, [], 1)
    np.testing.assert_allclose(product.numpy(), squares + 2 * cubes, atol=1e-12)
    batch = hb.stack([x, 2 * x])
    each = hb.vmap(hb.grad(lambda x: weighted(x, places, 1)))(batch).numpy()
    want = [expected(X, places, 1), expected(2 * X, places, 1)]
    np.testing.assert_allclose(each, want, atol=1e-12)


def rows(x: Any) -> Any:
    total = hb.asarray(0.0, x.dtype)
    for i in range(x.shape[0]):
        total = total + hb.sum(hb.sin(x[i]))
    return total


def windows(x: Any) -> Any:
    total = hb.asarray(0.0, x.dtype)
    for i in range(x.shape[0] - 1):
        total = total + hb.sum(hb.sin(x[i : i + 2]))
    return total


def blocks(x: Any) -> Any:
    total = hb.asarray(0.0, x.dtype)
    for i in range(x.shape[0] - 1):
        total = total + hb.sum(hb.sin(x[i : i + 2, i : i + 2]))
    return total


def picks(x: Any) -> Any:
    total = hb.asarray(0.0, x.dtype)
    for i in range(x.shape[0] - 1):
        total = total + hb.sum(hb.sin(x[np.array([i, i + 1, i])]))
    return total


def picks_and_windows(x: Any) -> Any:
    return windows(x) + picks(x) + hb.sum(x.T[np.array([0, 2, 0])] * 3) + hb.sum(x.T * x.T)


@pytest.mark.parametrize("f", [rows, windows, blocks, picks])
def test_no_whole_array_is_made_for_each_part(f: Any) -> None:
    x = hb.asarray(np.linspace(0, 1, 64 * 512).reshape(64, 512))
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    tracemalloc.start()
    tape.gradient(y, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * x.nbytes


@pytest.mark.parametrize(("f", "whole"), [(rows, 2), (windows, 5)])
def test_a_graph_has_few_whole_arrays_however_many_parts(f: Any, whole: int) -> None:
    x = hb.asarray(np.linspace(0, 1, 24 * 8).reshape(24, 8))
    concrete = hb.compile(hb.grad(f)).get_concrete_function(x)
    made = [v for node in concrete.graph.nodes for v in node.outputs if v.spec.shape == x.shape]
    assert len(made) <= whole


def test_picks_are_added_to_one_array_in_compiled_code() -> None:
    x = hb.asarray(np.linspace(0, 1, 16 * 16384).reshape(16, 16384))
    gradient = hb.compile(hb.grad(picks))
    gradient(x)
    tracemalloc.start()
    gradient(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * x.nbytes


@pytest.mark.parametrize("f", [rows, windows, blocks, picks, picks_and_windows])
def test_compiled_gradients_of_many_parts_are_those_of_eager_code(f: Any) -> None:
    x = hb.asarray(np.linspace(0, 1, 12 * 12).reshape(12, 12))
    got = hb.compile(hb.grad(f))(x)
    np.testing.assert_allclose(got.numpy(), hb.grad(f)(x).numpy(), rtol=1e-12)


def test_the_buffer_is_nobody_elses() -> None:
    x, seed = hb.asarray([1.0, 2.0, 3.0]), hb.ones(3)
    with hb.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * 1.0
        targets = [y, y[:2], y[1:]]
    seeds = [seed, seed[:2], seed[1:]]
    for _ in range(2):
        found = tape.gradient(targets, [x, y], output_gradients=seeds)
        assert found[0].tolist() == found[1].tolist() == [2, 3, 2]
    assert seed.tolist() == [1, 1, 1]
