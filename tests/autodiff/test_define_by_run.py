"""requires_grad, backward and grad: what PyTorch users write."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.dispatch import state
from hybrid.errors import GradientError, ShapeError


@pytest.fixture(autouse=True)
def leave_no_tape_open() -> Iterator[None]:
    yield
    state.always = ()
    state.update(None, ())


def same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6)


def leaf(*values: float) -> hb.Tensor:
    return hb.asarray(list(values) if len(values) > 1 else values[0], requires_grad=True)


@pytest.mark.parametrize("mode", [lambda f: f, hb.compile])
def test_textbook_examples(mode: Any) -> None:
    x = leaf(1.0, 2.0, 3.0)
    mode(lambda x: hb.sum(2 * x))(x).backward()
    same(x.grad, [2, 2, 2])
    a, b = leaf(15.0), leaf(20.0)
    c = mode(lambda a, b: a * b)(a, b)
    c.backward()
    assert (c.item(), a.grad.item(), b.grad.item()) == (300, 20, 15)
    a, b = leaf(2.0), leaf(3.0)
    d = mode(lambda a, b: a * (a + b))(a, b)
    d.backward()
    assert (d.item(), a.grad.item(), b.grad.item()) == (10, 7, 2)
    branches = mode(lambda x: (x * x if hb.sum(x) > 0 else -x).sum())
    for point, wanted in (((1.0, 2.0), [2, 4]), ((-1.0, -2.0), [-1, -1])):
        x = leaf(*point)
        branches(x).backward()
        same(x.grad, wanted)


def test_gradients_add_up_until_they_are_cleared() -> None:
    x = leaf(1.0, 2.0)
    for _ in range(3):
        (x * x).sum().backward()
    same(x.grad, [6, 12])
    x.grad = None
    y = x * x * x
    y.backward(hb.asarray([1.0, 10.0]), retain_graph=True)
    y.backward([1.0, 0.0] * hb.ones(2))
    same(x.grad, [6, 120])
    with pytest.raises(GradientError, match="retain_graph=True"):
        y.backward(hb.ones(2))


def test_an_optimiser_writes_under_no_grad_and_the_leaf_stays_one() -> None:
    w = leaf(3.0, -2.0)
    memory = w.numpy()
    for _ in range(100):
        (w * w).sum().backward()
        with hb.no_grad():
            w -= 0.1 * w.grad
            w[0] = w[0] * 1
        w.grad = None
        assert w.requires_grad
    assert abs(w.numpy()).max() < 1e-6
    assert np.shares_memory(memory, w.numpy())
    with pytest.raises(GradientError, match=r"no_grad\(\)"):
        w += 1


def test_a_model_trains_as_it_does_with_a_tape() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 3)), rng.normal(size=(32, 1))
    w = hb.asarray(rng.normal(size=(3, 1)), requires_grad=True)
    v = hb.Variable(w.numpy().copy())
    step = hb.compile(lambda w: ((x @ w - y) ** 2).mean())
    for _ in range(5):
        step(w).backward()
        with hb.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
        with hb.GradientTape() as tape:
            loss = ((x @ v - y) ** 2).mean()
        v.assign_sub(0.1 * tape.gradient(loss, v))
    same(w, v)


def test_detached_values_share_memory_and_end_the_record() -> None:
    x = leaf(2.0, 3.0)
    y = x * x
    z = y.detach()
    assert y.requires_grad
    assert not z.requires_grad
    assert np.shares_memory(y.numpy(), z.numpy())
    (y * z).sum().backward()
    same(x.grad, 2 * x.numpy() ** 3)


def test_no_grad_is_a_decorator_and_holds_for_tapes_too() -> None:
    x = leaf(2.0)

    @hb.no_grad()
    def f(x: hb.Tensor) -> hb.Tensor:
        return x * x

    with hb.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    assert tape.gradient(y, x) is None
    assert not y.requires_grad
    with hb.no_grad():
        inner = leaf(1.0)
        assert not (inner * 2).requires_grad
    assert (inner * 2).requires_grad


def test_a_tape_beside_it_gives_the_same() -> None:
    x = leaf(2.0, 3.0)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = (x**3).sum()
    same(tape.gradient(y, x), 3 * x.numpy() ** 2)
    y.backward()
    same(x.grad, 3 * x.numpy() ** 2)
    same(hb.grad(lambda x: (x * x).sum())(x), 2 * x.numpy())


def test_requires_grad_can_be_switched_on_leaves() -> None:
    x = hb.ones(2)
    assert not x.requires_grad
    assert x.requires_grad_() is x
    (x * 3).sum().backward()
    same(x.grad, [3, 3])
    x.requires_grad = False
    assert not (x * 3).requires_grad
    y = leaf(1.0) * 2
    with pytest.raises(GradientError, match="detach"):
        y.requires_grad = False


def test_records_are_freed_with_the_results() -> None:
    x = leaf(*(float(i) for i in range(1, 1000)))
    y = x * 2
    data = weakref.ref(y.numpy().base if y.numpy().base is not None else y.numpy())
    z = (y * y).sum()
    z.backward()
    del y, z
    gc.collect()
    assert data() is None


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: hb.asarray([1, 2], requires_grad=True), GradientError, "int64"),
        (lambda: hb.ones(2).sum().backward(), GradientError, "does not depend"),
        (lambda: (leaf(1.0, 2.0) * 2).backward(), GradientError, r"shape \(2,\) is not one number"),
        (lambda: (leaf(1.0, 2.0) * 2).backward(hb.ones(3)), GradientError, r"shape \(3,\)"),
        (lambda: setattr(leaf(1.0, 2.0), "grad", hb.ones(3)), ShapeError, "grad: shape"),
        (lambda: setattr(hb.ones(2), "grad", hb.ones(2)), GradientError, "does not require"),
        (
            lambda: hb.compile(lambda x: x.requires_grad_())(hb.ones(2)),
            GradientError,
            "inside a compiled function",
        ),
    ],
)
def test_errors_say_what_to_do(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_nothing_is_recorded_once_no_leaf_is_left() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    del x
    z = y.sum()  # y still leads back to the leaf
    z.backward(retain_graph=True)  # which else lets go of it
    assert not state.plain
    del y, z
    gc.collect()
    assert state.plain
    with hb.no_grad():
        again = leaf(3.0)
    (again * again).backward()
    assert again.grad is not None
    assert again.grad.item() == 6
