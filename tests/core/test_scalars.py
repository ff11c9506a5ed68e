"""What has no axes and was computed is a scalar: ``+=`` rebinds it, as it does NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb

COMPUTED = {
    "a sum": lambda x: x.sum(),
    "an element": lambda x: x[1],
    "a row of it": lambda x: next(iter(x)),
    "arithmetic": lambda x: x.sum() * 2 + 1,
    "a function": lambda x: np.sqrt(x.max()),
    "a product": lambda x: x @ x,
    "a power": lambda x: x.sum() ** 2,
}
GIVEN = {
    "zeros": lambda: hb.zeros(()),
    "full": lambda: hb.full((), 2.0),
    "ones_like": lambda: hb.ones_like(hb.asarray(np.array(1.0))),
    "asarray of a number": lambda: hb.asarray(1.0),
    "array of a number": lambda: hb.array(1.0),
    "asarray of an ndarray": lambda: hb.asarray(np.array(1.0)),
    "what requires a gradient": lambda: hb.asarray(np.array(1.0), requires_grad=True),
    "a view": lambda: hb.asarray(np.array([1.0])).reshape(()),
}


def changed(x: Any) -> tuple[Any, Any]:
    first = x
    x += 1
    x *= 3
    x **= 2
    return first, x


@pytest.mark.parametrize("compute", COMPUTED.values(), ids=COMPUTED)
def test_what_is_computed_without_axes_is_rebound_as_numpy_rebinds_it(compute: Any) -> None:
    x = np.array([1.0, 2.0, 4.0])
    before, after = changed(compute(x))
    for found in (
        changed(compute(hb.asarray(x))),
        hb.compile(lambda x: changed(compute(x)))(x),
        hb.compile(lambda x: changed(compute(x)), fullgraph=True)(hb.asarray(x)),
        hb.compile(changed)(compute(hb.asarray(x))),
        changed(hb.compile(compute)(x)),
    ):
        assert found[0].item() == before
        assert found[1].item() == after


@pytest.mark.parametrize("make", GIVEN.values(), ids=GIVEN)
def test_an_array_without_axes_is_written_and_every_alias_sees_it(make: Any) -> None:
    with hb.no_grad():
        for run in (changed, hb.compile(changed)):
            x = make()
            wanted = (x.item() + 1) ** 2 * 9
            first, after = run(x)
            assert first is after is x
            assert x.item() == wanted


@pytest.mark.parametrize("make", [lambda: hb.zeros(()), lambda: np.ones(()), lambda: np.array(2.0)])
def test_an_array_without_axes_that_is_made_in_a_trace_is_written(make: Any) -> None:
    first, after = hb.compile(lambda: changed(make()), fullgraph=True)()
    assert first.item() == after.item() == (float(make()) + 1) ** 2 * 9


def test_one_trace_serves_scalars_and_another_one_arrays() -> None:
    @hb.compile
    def added(x: Any) -> Any:
        x += 1
        return x

    for _ in range(40):  # native code compares arguments from some call on
        scalar, array = hb.ones(2).sum(), hb.full((), 2.0)
        number, memory = np.float32(2), np.array(2.0, np.float32)
        for x in (scalar, array, number, memory):
            assert added(x).item() == 3
        assert scalar.item() == number == 2
        assert array.item() == memory.item() == 3
    assert added.cache_info().misses == 2


def test_a_call_that_runs_eagerly_tells_scalars_from_arrays_too() -> None:
    @hb.compile
    def added(x: Any) -> float:
        first = x
        x += 1
        return float(first)

    with pytest.warns(hb.errors.EagerFallbackWarning):
        added(np.array(2.0))
    array = np.array(2.0)
    assert added(np.float64(2)) == 2
    assert added(array) == array == 3


def test_a_scalar_takes_the_dtype_and_shape_of_what_is_added() -> None:
    def added(x: Any) -> tuple[Any, Any]:
        total, sums = x.sum(), x.max()
        total += 0.5
        sums += np.array([1.5, 2.5])
        return total, sums

    x = np.arange(3)
    for found in (added(hb.asarray(x)), hb.compile(added)(x)):
        for mine, its in zip(found, added(x), strict=True):
            assert mine.dtype == its.dtype
            assert mine.shape == its.shape
            np.testing.assert_array_equal(mine.numpy(), its)


def test_sums_that_are_kept_as_they_grow_are_apart() -> None:
    def history(x: Any) -> Any:
        total, best, kept = 0.0, x[0], []
        for v in x:
            total += v
            best += v > best
            kept.append((total, best))
        return kept

    x = np.array([1.0, 3.0, 2.0])
    for found in (history(hb.asarray(x)), hb.compile(history)(x)):
        assert [tuple(map(float, pair)) for pair in found] == history(x)


def test_a_loop_compares_what_it_has_with_what_it_had() -> None:
    def root(a: Any) -> Any:
        x = a / 2
        while True:
            old = x
            x -= (x * x - a) / (2 * x)
            if abs(x - old) < 1e-12:
                return x

    for a in (np.float64(2), hb.ones(2, "float64").sum(), np.array(2.0)):
        assert abs(float(hb.compile(root)(a)) - 2**0.5) < 1e-15


def test_gradients_flow_through_rebound_scalars() -> None:
    def loss(x: Any) -> Any:
        total = (x * x).sum()
        first = total
        total += x[0] * 3
        total *= 2
        return total + first

    x = hb.asarray(np.array([1.0, 2.0]))
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = loss(x)
    for found in (tape.gradient(y, x), hb.grad(loss)(x), hb.compile(hb.grad(loss))(x)):
        assert found.tolist() == [12.0, 12.0]


def test_a_variable_is_no_scalar_and_what_was_read_of_it_is() -> None:
    def read_and_add(v: Any) -> Any:
        x = v.read()
        x += 1
        v += 2
        return x

    for run in (read_and_add, hb.compile(read_and_add)):
        v = hb.Variable(1.0)
        assert run(v).item() == 2
        assert v.item() == 3
