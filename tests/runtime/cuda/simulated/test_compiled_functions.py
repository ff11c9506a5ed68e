"""Compiled functions of Tensors on a simulated card: traces as ever, Plans of the card."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core import devices
from hybrid.errors import DeviceError
from hybrid.kernels.cuda import card as cards
from tests.gpu.fake import fake_cards
from tests.runtime.cuda.fake import FakeCard
from tests.runtime.cuda.programs import PROGRAMS

A = np.arange(12, dtype=np.float32).reshape(3, 4) / 4


@pytest.fixture(autouse=True)
def card() -> Iterator[FakeCard]:
    """The first card runs Plans too."""
    with fake_cards():
        place = devices.place("cuda:0")
        assert place is not None
        cards._known[place] = made = FakeCard(place=place)
        yield made
        del cards._known[place]


def there(array: Any = A) -> hb.Tensor:
    return hb.asarray(np.array(array), device="cuda")


def here(x: Any) -> Any:
    return x.to_device("cpu").numpy() if isinstance(x, hb.Tensor) else x


def test_a_compiled_function_runs_where_its_arguments_are(card: FakeCard) -> None:
    f = hb.compile(lambda x: hb.exp(x) * 2 + hb.sum(x))
    for _ in range(3):
        found = f(there())
        assert found.device == "cuda:0"
        np.testing.assert_allclose(here(found), np.exp(A) * 2 + A.sum(), rtol=1e-6)
    assert "launch" in card.log
    on_cpu = f(A)
    assert on_cpu.device == "cpu"
    assert len(f.concrete_functions) == 2
    plan = f.get_concrete_function(there()).segments[0].plans
    assert all("launch" in p.source for p in plan.values())


@pytest.mark.parametrize("name", ["training step", "layer norm", "stencil", "sorted rows"])
def test_programs(name: str) -> None:
    program, rng = PROGRAMS[name], np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in program.shapes]
    compiled = hb.compile(program.function)
    wanted = program.function(*map(hb.asarray, arrays))
    for _ in range(2):
        found = compiled(*map(there, arrays))
        for x, y in zip(
            found if isinstance(found, tuple) else [found],
            wanted if isinstance(wanted, tuple) else [wanted],
            strict=True,
        ):
            assert x.device == "cuda:0"
            np.testing.assert_allclose(here(x), y.numpy(), rtol=2e-5, atol=2e-5)


def test_variables_are_updated_on_the_card(card: FakeCard) -> None:
    with hb.device("cuda"):
        w = hb.Variable(np.ones(4, np.float32))

    @hb.compile
    def step(x: Any) -> Any:
        with hb.GradientTape() as tape:
            loss = hb.sum((x @ w) ** 2)
        w.assign_sub(0.01 * tape.gradient(loss, w))
        return loss

    on_cpu, losses = np.ones(4, np.float32), []
    for _ in range(4):
        losses.append(float(step(there())))
        on_cpu = on_cpu - 0.01 * 2 * A.T @ (A @ on_cpu)
    np.testing.assert_allclose(here(w.read()), on_cpu, rtol=1e-4)
    assert losses == sorted(losses, reverse=True)
    assert w.read().device == "cuda:0"


def test_writes_in_place_reach_the_caller() -> None:
    @hb.compile
    def f(x: Any) -> Any:
        x[1:] += 1
        return hb.sum(x)

    x = there()
    total = f(x)
    want = A.copy()
    want[1:] += 1
    np.testing.assert_array_equal(here(x), want)
    np.testing.assert_allclose(float(total), want.sum())


def test_a_decision_waits_for_the_card() -> None:
    @hb.compile
    def f(x: Any) -> Any:
        if hb.sum(x) > 10:
            return x * 2
        return x - 1

    np.testing.assert_array_equal(here(f(there())), A * 2)
    np.testing.assert_array_equal(here(f(there(A / 10))), A / np.float32(10) - 1)
    np.testing.assert_array_equal(here(f(there())), A * 2)


def test_loops_run_on_the_card() -> None:
    @hb.compile
    def f(x: Any) -> Any:
        return hb.scan(lambda c, row: (c + row, c * row), hb.zeros(4), x)

    with hb.device("cuda"):
        carry, rows = f(there())
    np.testing.assert_allclose(here(carry), A.sum(axis=0))
    before = np.vstack([np.zeros(4), np.cumsum(A, axis=0)[:-1]])
    np.testing.assert_allclose(here(rows), before * A, rtol=1e-6)


def test_where_tensors_are_made_is_part_of_the_signature() -> None:
    f = hb.compile(lambda: hb.ones(3) * 2)
    assert f().device == "cpu"
    with hb.device("cuda"):
        assert f().device == "cuda:0"
        assert f().device == "cuda:0"
    assert f().device == "cpu"


def test_random_numbers_are_those_of_the_cpu() -> None:
    @hb.compile
    def noisy(x: Any) -> Any:
        return x + hb.random.uniform(x.shape)

    hb.random.seed(3)
    wanted = [A + here(hb.random.uniform(A.shape)) for _ in range(3)]
    hb.random.seed(3)
    with hb.device("cuda"):
        for want in wanted:
            np.testing.assert_array_equal(here(noisy(there())), want)


def test_what_is_moved_in_a_function_is_moved_at_each_call() -> None:
    @hb.compile
    def f(x: Any, y: Any) -> Any:
        z = (x * 2).to_device("cpu") + y
        return z, z.to_device("cuda") * x

    for scale in (1, 2):
        x, y = A * scale, A + 1
        on_cpu, on_card = f(there(x), hb.asarray(y))
        assert (on_cpu.device, on_card.device) == ("cpu", "cuda:0")
        np.testing.assert_array_equal(here(on_cpu), x * 2 + y)
        np.testing.assert_array_equal(here(on_card), (x * 2 + y) * x)


def test_tensors_on_different_devices_are_an_error_as_in_eager_code() -> None:
    f = hb.compile(lambda x, y: x + y)
    with pytest.raises(DeviceError, match="different devices"):
        f(there(), hb.asarray(A))


def test_arrays_of_no_axes_come_along() -> None:
    f = hb.compile(lambda x, s: x * s + 1)
    for number in (2.0, 3.0):
        found = f(there(), hb.asarray(np.float32(number)))
        np.testing.assert_array_equal(here(found), A * np.float32(number) + 1)


def test_the_gradient_of_a_compiled_function_is_on_the_card() -> None:
    f = hb.compile(lambda x: hb.sum(hb.exp(x) * x))
    x = there()
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    found = tape.gradient(y, x)
    assert found.device == "cuda:0"
    np.testing.assert_allclose(here(found), np.exp(A) * (A + 1), rtol=1e-5)


def test_what_decides_on_the_host_is_not_captured(card: FakeCard) -> None:
    @hb.compile
    def f(x: Any) -> Any:
        return hb.while_loop(lambda v: hb.sum(v) < 100, lambda v: v * 2, x) + 1

    x = there(np.ones(4, np.float32))
    for _ in range(4):
        np.testing.assert_array_equal(here(f(x)), np.full(4, 33, np.float32))
    (plan,) = f.concrete_functions[0].segments[0].plans.values()
    assert "while_loop" in plan.source
    assert "launch" in card.log


def test_compare_knows_functions_on_a_card(card: FakeCard) -> None:
    found = hb.compare(lambda x: hb.exp(x) * 2 + 1, there(), repeat=1)
    assert found.kernels == 1
    assert found.ulp <= 4
    assert "launch" in card.log
