"""checkpoint changes what a gradient keeps, and nothing else."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import GradientError

MODES = [pytest.param(lambda f: f, id="eager"), pytest.param(hb.compile, id="traced")]
Mode = Callable[[Any], Any]


def same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_values_and_gradients_are_those_without(mode: Mode) -> None:
    w = hb.Variable([[1.0, 2.0], [0.5, -1.0]], dtype=hb.float64)
    captured = hb.asarray([3.0, 4.0], hb.float64)

    def block(x: Any, gain: float, *, parts: Any) -> Any:
        y = hb.tanh(x @ w) * gain + captured * parts["p"]
        return {"y": y, "twice": 2 * y, "note": None}

    def loss(block: Any, x: Any, p: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch([x, p, captured])
            found = block(x, 1.5, parts={"p": p})
            z = (found["y"] ** 2).sum() + found["twice"][0]
        return z, tape.gradient(z, {"x": x, "p": p, "w": w, "captured": captured})

    x, p = hb.asarray([0.3, -0.2], hb.float64), hb.asarray(2.0, hb.float64)
    plain, plain_gradients = loss(block, x, p)
    value, gradients = mode(lambda x, p: loss(hb.checkpoint(block), x, p))(x, p)
    same(value, plain)
    for name, wanted in plain_gradients.items():
        same(gradients[name], wanted)


@pytest.mark.parametrize("mode", MODES)
def test_second_derivatives_and_nested_checkpoints(mode: Mode) -> None:
    inner = hb.checkpoint(lambda x: hb.sin(x) * x)
    outer = hb.checkpoint(lambda x: inner(x) ** 2)
    x = hb.asarray([0.5, 1.5], hb.float64)

    def plain(x: Any) -> Any:
        return ((hb.sin(x) * x) ** 2).sum()

    def second(f: Any) -> Any:
        return hb.grad(lambda x: hb.grad(f)(x).sum())

    same(mode(second(lambda x: outer(x).sum()))(x), second(plain)(x))
    same(hb.vmap(hb.grad(lambda x: mode(outer)(x)))(x), hb.grad(plain)(x))


@pytest.mark.parametrize("mode", MODES)
def test_the_second_run_draws_the_same_numbers_and_changes_no_variable(mode: Mode) -> None:
    count = hb.Variable(0.0)

    @hb.checkpoint
    def noisy(x: Any) -> Any:
        count.assign_add(1.0)
        return x * hb.random.uniform(3) * count

    def run(x: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = noisy(x)
        count.assign(count * 10)
        return y, tape.gradient(y, x), hb.random.uniform(1)

    hb.random.seed(7)
    x = hb.asarray([1.0, 2.0, 4.0])
    y, gradient, after = mode(run)(x)
    same(gradient, y.numpy() / x.numpy())
    assert count.item() == 10
    hb.random.seed(7)
    hb.random.uniform(3)
    same(after, hb.random.uniform(1))


def held_by_arrays() -> int:
    """Bytes of the arrays that were made since ``tracemalloc`` began, whatever else was."""
    of_arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([of_arrays]).traces
    return sum(trace.size for trace in traces)


def test_a_chain_of_n_keeps_the_square_root_of_n() -> None:
    size, steps = 20_000, 64
    seen = []

    def chain(x: Any, n: int) -> Any:
        for _ in range(n):
            x = hb.sin(x)
            seen.append(held_by_arrays())
        return x

    def peak(block: Any, blocks: int) -> float:
        """The most arrays of that size that there are at once."""
        x = hb.ones(size, dtype=hb.float64)
        gc.collect()
        seen.clear()
        tracemalloc.start()
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(blocks):
                y = block(y, steps // blocks)
        tape.gradient(y, x)
        tracemalloc.stop()
        return max(seen) / (size * 8)

    plain, less = peak(chain, 8), peak(hb.checkpoint(chain), 8)
    assert plain >= steps
    assert less < 8 + 8 + 3  # starts of blocks, steps of one, what is at hand


@pytest.mark.parametrize(("checkpointed", "ratio"), [(False, 4), (True, 2)])
def test_a_compiled_chain_keeps_the_square_root_of_its_length(
    checkpointed: bool, ratio: float
) -> None:
    """Four times as many steps take twice the arrays under checkpoints, four times without."""
    x = hb.asarray(np.linspace(0, 1e-2, 64 * 64).reshape(64, 64))

    def held(steps: int) -> float:
        def block(x: Any) -> Any:
            for _ in range(int(steps**0.5)):
                x = hb.sin(x @ x)
            return x

        def total(x: Any) -> Any:
            for _ in range(int(steps**0.5)):
                x = hb.checkpoint(block)(x) if checkpointed else block(x)
            return hb.sum(x)

        gradient = hb.compile(hb.grad(total))
        gc.collect()
        tracemalloc.start()
        result = gradient(x)
        result = gradient(x)
        found = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)]
        )
        tracemalloc.stop()
        return sum(trace.size for trace in found.traces) / result.nbytes

    assert held(64) == pytest.approx(ratio * held(16), rel=0.15)


def test_writes_to_arguments_are_refused_with_the_name() -> None:
    @hb.checkpoint
    def writes(x: Any) -> Any:
        x[0] = 0.0
        return x * 2

    x = hb.ones(3)
    with hb.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(GradientError, match="writes writes to an argument"):
            writes(x * 1)


def test_without_a_tape_it_is_the_function() -> None:
    same(hb.checkpoint(hb.exp)(hb.zeros(2)), [1, 1])
