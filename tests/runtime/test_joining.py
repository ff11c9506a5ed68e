"""``stack`` and ``concat`` of what kernels compute: stored where it belongs, without a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hybrid as hb

X = np.random.default_rng(0).uniform(0.5, 2.0, (4, 6))
Y = np.random.default_rng(1).uniform(0.5, 2.0, (4, 6))


def calls_of(function: Callable[..., Any], *args: Any) -> int:
    """Return how many library functions the Plans of a call use."""
    traced = hb.compile(function, fullgraph=True)
    expected = function(*map(np.copy, args))
    for _ in range(2):
        found = traced(*map(np.copy, args))
        for a, b in zip(_several(found), _several(expected), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    segments = traced.get_concrete_function(*args).segments
    return sum(len(plan.library_calls) for s in segments for plan in s.plans.values())


def _several(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


JOINED: dict[str, Callable[[Any, Any], Any]] = {
    "numbers": lambda x, y: np.array([x[0, 0] * y[0, 1], x[1, 0] - 2.0, y[2, 3] + x[0, 0]]),
    "rows": lambda x, y: np.stack([x + y, x * y, x - y]),
    "columns": lambda x, y: np.stack([x + y, x * y], axis=-1),
    "in the middle": lambda x, y: np.stack([x + y, x * y, -x], axis=1),
    "one behind the other": lambda x, y: np.concatenate([x + y, x * y]),
    "side by side": lambda x, y: np.concatenate([x + y, x * y], axis=1),
    "of several sizes": lambda x, y: np.concatenate([(x * y)[1:], -x, y[:2] + 1.0]),
    "with a view": lambda x, y: np.concatenate([x * y, x, y - 1.0]),
    "with a number": lambda x, y: np.stack([x[0] * y[0], np.ones(6)]),
    "sums": lambda x, y: np.stack([x.sum(axis=1), y.sum(axis=1)]),
    "stacks of stacks": lambda x, y: np.stack([np.stack([x + y, x - y]), np.stack([x * y, y])]),
    "parts that are used again": lambda x, y: (np.stack([p := x * y, x + y]), p.sum()),
    "parts that are returned": lambda x, y: (np.stack([p := x * y, x + y]), p),
    "a part and a view of it": lambda x, y: np.concatenate([p := x * y, p[::-1], y]),
    "one number with axes": lambda x, y: np.array([[x[0, 0] * 2.0], [2.0]]),
    "means at both ends": lambda x, y: np.pad(x, ((1, 2),), mode="mean"),
    "one part twice": lambda x, y: np.stack([p := x * y, x + y, p]),
    "joins that are used": lambda x, y: np.stack([x * y, x + y]).sum(axis=0) @ y.T,
    "joins that are written": lambda x, y: _written(np.concatenate([x * y, x + y])),
    "in turns": lambda x, y: np.concatenate([(x @ y.T) * 2.0, (y @ x.T) * 3.0], axis=1),
}


def _written(joined: Any) -> Any:
    before = joined.copy()
    joined[1:3] += 1.0
    return joined, before


@pytest.mark.parametrize("name", JOINED)
def test_a_join_is_what_numpy_makes_of_it(name: str) -> None:
    calls_of(JOINED[name], X, Y)


@pytest.mark.parametrize(
    "name", ["numbers", "rows", "columns", "in the middle", "one behind the other", "side by side"]
)
def test_what_kernels_make_for_a_join_alone_needs_no_call(name: str) -> None:
    assert calls_of(JOINED[name], X, Y) == 0


def test_many_parts_that_no_kernel_makes_are_joined_by_numpy() -> None:
    assert calls_of(lambda x: np.stack([x[3], x[1], x[0], x[2], x[0] * 2.0]), X) == 1


def test_a_large_join_of_columns_is_left_to_numpy() -> None:
    x = np.ones((300, 300))
    assert calls_of(lambda x: np.stack([x + 1.0, x * 2.0], axis=-1), x) == 1
    assert calls_of(lambda x: np.stack([x + 1.0, x * 2.0]), x) == 0


def test_a_join_for_any_size_is_what_numpy_makes_of_it() -> None:
    def function(x: Any) -> Any:
        return np.concatenate([x * 2.0, x[:1] + 1.0]), np.stack([x + 1.0, x * x])

    traced = hb.compile(function, fullgraph=True)
    for size in range(3, 12):
        for a, b in zip(traced(np.arange(float(size))), function(np.arange(float(size)))):
            np.testing.assert_array_equal(a, b)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_joins_in_a_loop_of_updates_are_those_of_eager_code(data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, 1))
    kinds = data.draw(st.lists(st.sampled_from("sumvk"), min_size=2, max_size=4))
    steps = data.draw(st.integers(1, 3))

    def parts(x: Any) -> list[Any]:
        made = {"s": x * 2.0, "u": x + x.T, "m": x @ x, "v": x[::-1], "k": x.T - 1.0}
        return [made[kind] for kind in kinds]

    def function(x: Any) -> Any:
        for _ in range(steps):
            joined = np.concatenate(parts(x), axis=axis)
            x = np.tanh(joined[:3, :3] + joined[-3:, -3:])
        return x, joined

    calls_of(function, X[:3, :3])
