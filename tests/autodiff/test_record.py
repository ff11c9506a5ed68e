"""What recording keeps, and what it costs: only values that a gradient will use, small nodes."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.autodiff.needs import Needs, needs_of
from hybrid.core.op import OPS, Op

SIZE = 4096
VALUE = 8 * SIZE


def grown(step: Callable[[hb.Tensor], hb.Tensor], count: int) -> float:
    """Bytes that a chain of ops holds for each of them, while its last result is alive."""
    x = hb.asarray(np.ones(SIZE))
    with hb.GradientTape() as tape:
        tape.watch(x)
        step(step(x))  # forms, caches and imports are made at the first application
        gc.collect()
        tracemalloc.start()
        try:
            y = step(x)
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(count):
                y = step(y)
            gc.collect()
            return (tracemalloc.get_traced_memory()[0] - before) / count
        finally:
            tracemalloc.stop()


def test_an_op_costs_56_bytes_beside_its_value_and_one_of_two_inputs_64() -> None:
    array = sys.getsizeof(np.empty(0))  # of an ndarray without its data
    x = hb.asarray(np.ones(SIZE))
    assert grown(lambda y: y + 1e-6, 10_000) < 56.5
    for step in (hb.tanh, hb.sin):
        assert grown(step, 1000) - VALUE - array < 57.5
    with hb.GradientTape() as tape:
        tape.watch(x)
        assert grown(lambda y: y + x, 10_000) < 64.5
        assert grown(lambda y: y * x, 1000) - VALUE - array < 73.5  # which keeps both


@pytest.mark.parametrize(
    ("step", "values"),
    [
        (lambda y: y - 1.0, 0),
        (lambda y: -y, 0),
        (lambda y: y * 0.5, 0),  # by y: the gradient uses the other factor
        (lambda y: y.reshape(2, -1).reshape(-1), 0),
        (lambda y: hb.tanh(y), 1),  # the result
        (lambda y: hb.sin(y), 1),  # the argument, which is the result of the op before
        (lambda y: hb.sum(y, axis=0, keepdims=True) * hb.ones(SIZE, dtype="float64"), 1),
    ],
)
def test_only_values_that_the_gradient_uses_are_kept(
    step: Callable[[hb.Tensor], hb.Tensor], values: int
) -> None:
    held = grown(step, 50)
    assert values * VALUE <= held < values * VALUE + 2500


def test_a_value_is_freed_with_the_last_gradient_that_could_use_it() -> None:
    x = hb.asarray(np.ones(10))
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = hb.exp(x)
        data = weakref.ref(y._data)
        z = y + 1.0
        del y
        gc.collect()
        assert data() is not None  # the rule of exp uses its result
        tape.gradient(z, x)
        gc.collect()
        assert data() is None


def test_a_chain_of_100_000_ops_has_a_gradient_and_can_be_freed() -> None:
    x = hb.asarray(np.float64(1.0))
    for use in (True, False):
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(100_000):
                y = y + 1e-6
        if use:
            assert tape.gradient(y, x).item() == 1.0
        del y, tape


# --- what a rule uses, read off its code ----------------------------------------------------------


def _op(**rules: Any) -> Op:
    return Op("probe", "elementwise", infer=max, eager=max, **rules)


def test_a_rule_needs_what_its_code_loads() -> None:
    by_value = _op(vjp=(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x * out))
    assert needs_of(by_value, 2, (0,)) == Needs(frozenset({1}), False)
    assert needs_of(by_value, 2, (1,)) == Needs(frozenset({0}), True)
    assert needs_of(by_value, 2, (0, 1)) == Needs(frozenset({0, 1}), True)


def test_a_shape_or_dtype_needs_no_value() -> None:
    by_spec = _op(vjp=(lambda g, out, x: g.reshape(x.shape).astype(x.dtype),))
    assert needs_of(by_spec, 1, (0,)) == Needs(frozenset(), False)
    both = _op(vjp=(lambda g, out, x: g.reshape(x.shape) * x,))
    assert needs_of(both, 1, (0,)) == Needs(frozenset({0}), False)


def test_what_cannot_be_read_counts_as_used() -> None:
    inside = _op(vjp=(lambda g, out, x: (lambda: g * x)(),))
    assert needs_of(inside, 1, (0,)).inputs == {0}
    rest = _op(vjp=lambda i, g, out, *inputs: g * inputs[i])
    assert needs_of(rest, 3, (0,)) == Needs(frozenset({0, 1, 2}), False)
    unread = _op(vjp=lambda i, g, out, *inputs: g)
    assert needs_of(unread, 3, (0,)) == Needs(frozenset(), False)

    class Rule:
        def __call__(self, g: Any, out: Any, x: Any) -> Any:
            return g

    assert needs_of(_op(vjp=(Rule(),)), 1, (0,)) == Needs(frozenset({0}), True)


def test_the_arithmetic_of_sums_keeps_nothing() -> None:
    for name in ("add", "subtract", "negative", "reshape", "permute_dims", "sum"):
        op = OPS[name]
        assert needs_of(op, 2, (0, 1) if name in ("add", "subtract") else (0,)) == Needs(
            frozenset(), False
        ), name


OPERATIONS: list[Callable[[Any, Any], Any]] = [
    *(lambda x, c: x - c, lambda x, c: c - x, lambda x, c: x / c, lambda x, c: c / x),
    *(lambda x, c: x * c, lambda x, c: c * x, lambda x, c: hb.pow(x, c), lambda x, c: hb.pow(c, x)),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_equal_ops_beside_other_things_have_their_own_gradients(
    operation: Callable[[Any, Any], Any],
) -> None:
    """The form of a node is found by that of its input: it must tell what is beside it."""
    x = np.array([0.7, 1.3])
    beside = [2, 2.0, hb.asarray(2.0, hb.float64), hb.asarray([2.0, 2.0], hb.float64)]
    step = 1e-6
    slope = (operation(x + step, 2.0) - operation(x - step, 2.0)) / (2 * step)
    for c in (*beside, *reversed(beside)):
        for _ in range(2):
            given = hb.asarray(x)
            with hb.GradientTape() as tape:
                tape.watch(given)
                y = operation(given * 1.0, c)
            np.testing.assert_allclose(tape.gradient(y, given).numpy(), slope, rtol=1e-7)
            with hb.GradientTape() as tape:
                tape.watch([given, c] if isinstance(c, hb.Tensor) else given)
                y = operation(given * 1.0, c * 1.0)
            np.testing.assert_allclose(tape.gradient(y, given).numpy(), slope, rtol=1e-7)


def test_equal_ops_with_other_attributes_have_their_own_gradients() -> None:
    x = hb.asarray(np.arange(6.0).reshape(2, 3))
    w = hb.asarray(np.arange(1.0, 7.0).reshape(2, 3))
    for _ in range(2):
        for axis in (0, 1):
            for keepdims in (False, True):
                with hb.GradientTape() as tape:
                    tape.watch(x)
                    y = hb.sum(hb.cumsum(x * w, axis=axis), axis=1 - axis, keepdims=keepdims)
                want = np.flip(np.ones((2, 3)).cumsum(axis), axis) * w.numpy()
                np.testing.assert_allclose(tape.gradient(y, x).numpy(), want)
        for dtype in (hb.float32, hb.float64):
            with hb.GradientTape() as tape:
                tape.watch(x)
                y = hb.astype(x * w, dtype) * 2
            assert y.dtype == dtype
            assert tape.gradient(y, x).dtype == hb.float64


def test_tapes_opened_one_in_another_record_what_each_watches() -> None:
    x, z = hb.asarray([2.0, 3.0]), hb.asarray([5.0, 7.0])
    for _ in range(2):
        with hb.GradientTape() as outer:
            outer.watch(x)
            with hb.GradientTape() as inner:
                inner.watch(z)
                y = (x * 3.0) * (z * 2.0)
                own = hb.sin(x * 3.0)
            assert inner.gradient(y, z).tolist() == [12, 18]
            assert outer.gradient([y], x).tolist() == [30, 42]
        with hb.GradientTape() as tape:
            tape.watch(own)
            twice = own * own
        np.testing.assert_allclose(tape.gradient(twice, own).numpy(), 2 * own.numpy())


def test_a_write_copies_only_what_some_tape_still_needs() -> None:
    x = hb.asarray(np.ones(SIZE))
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = x * 2.0
        z = hb.sin(y)
        y += 1.0
        want = 2.0 * np.cos(2.0)
        np.testing.assert_allclose(tape.gradient(z, x).numpy(), np.full(SIZE, want))
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = x * 2.0
        hb.sin(y)  # nobody keeps it, nor what it would need
        gc.collect()
        tracemalloc.start()
        y += 1.0
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < VALUE + 4096
