"""Carries of native loops stay in one buffer only where no old value is read too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.layout import contiguous
from hybrid.core.spec import TensorSpec
from hybrid.runtime.native_carries import still, without_overwritten
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import Schedule, WriteStep
from hybrid.trace.passes import optimize
from hybrid.trace.recorder import trace_pure

SHAPE = (8, 8)


def body_of(step: Callable[..., Any], count: int) -> Schedule:
    specs = (TensorSpec(SHAPE, hb.float64),) * count
    graph = optimize(trace_pure("step", step, specs)[0])
    return schedule(graph, (contiguous(SHAPE),) * count, count)


def row(x: Any, y: Any) -> Any:
    x = x.copy()
    x[2] = y[0]
    return x, y * 0.5


def inside(x: Any, y: Any) -> Any:
    x = x.copy()
    x[1:-1, 1:-1] += y[2:, 1:-1]
    return x, y + x


def turned(x: Any, y: Any) -> Any:
    return x.T + y, y


def neighbours(x: Any, y: Any) -> Any:
    x, old = x.copy(), x
    x[1:-1, 1:-1] = old[2:, 1:-1] + old[:-2, 1:-1]
    return x, y


def also_read_turned(x: Any, y: Any) -> Any:
    return x * 2, x.T + y[::-1]


def old_one_handed_on(x: Any, y: Any) -> Any:
    return x * 0.5, x


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (row, {0, 1}),
        (inside, {0, 1}),
        (turned, {1}),
        (neighbours, {1}),
        (also_read_turned, set()),
        (old_one_handed_on, set()),
    ],
)
def test_a_carry_stays_where_its_old_value_is_not_read_once_the_new_one_is_written(
    step: Callable[..., Any], expected: set[int]
) -> None:
    assert set(still(body_of(step, 2), 2)) == expected


def test_a_write_to_a_part_of_a_carry_that_stays_copies_nothing() -> None:
    order = body_of(row, 2)
    assert set(still(order, 2).values()) == {None}
    assert all(step.writes == 64 for step in order.steps if isinstance(step, WriteStep))


def test_an_array_of_which_a_kernel_writes_all_parts_is_not_filled_first() -> None:
    def step(x: Any, y: Any) -> Any:
        new = hb.zeros(SHAPE, dtype=hb.float64)
        new[:4] = x[4:] * y[:4]
        new[4:] = x[:4] + y[:4]
        return new, y

    def partly(x: Any, y: Any) -> Any:
        new = hb.zeros(SHAPE, dtype=hb.float64)
        new[:3] = x[5:] * y[:3]
        new[4:7] = x[:3] + y[:3]
        return new, y

    for body, filled in ((step, 0), (partly, 1)):
        steps = without_overwritten(body_of(body, 2).steps)
        assert sum(isinstance(step, WriteStep) for step in steps) == filled


def test_of_an_array_whose_inside_is_written_next_only_the_border_is_copied() -> None:
    steps = without_overwritten(body_of(neighbours, 2).steps)
    copied = [step for step in steps if isinstance(step, WriteStep)]
    assert sum(step.writes for step in copied) == 8 * (64 - 36)


# --- drawn bodies ---------------------------------------------------------------------------------


@st.composite
def bodies(draw: st.DrawFn) -> Callable[..., Any]:
    """Draw steps over three carries that read, write and exchange parts of them."""
    numbers = st.tuples(*[st.integers(0, 2)] * 3)
    kinds = st.sampled_from(["scale", "row", "inside", "stencil", "column", "swap", "product"])
    plan = draw(st.lists(st.tuples(kinds, numbers), min_size=1, max_size=5))

    def step(carry: Any) -> Any:
        values = list(carry)
        for kind, (a, b, c) in plan:
            x, y = values[b], values[c]
            if kind == "scale":
                values[a] = x * 0.5 + y
            elif kind == "product":
                values[a] = (x @ y) * 0.125
            elif kind == "swap":
                values[a], values[b] = values[b], values[a]
            else:
                new = values[a].copy()
                if kind == "row":
                    new[1] = x[2] - y[3]
                elif kind == "column":
                    new[:, -1] = x[:, 0]
                elif kind == "inside":
                    new[1:-1, 1:-1] += y[1:-1, 1:-1] * 0.5
                else:
                    new[1:-1, 1:-1] = (x[2:, 1:-1] + x[:-2, 1:-1] + y[1:-1, 2:]) * 0.25
                values[a] = new
        return tuple(values)

    return step


@given(step=bodies(), length=st.integers(1, 5))
def test_drawn_steps_compute_what_eager_code_does(step: Callable[..., Any], length: int) -> None:
    def program(*start: Any) -> Any:
        return hb.fori_loop(0, length, lambda i, carry: step(carry), start)

    start = [hb.asarray(np.random.default_rng(i).uniform(-1, 1, (5, 5))) for i in range(3)]
    for got, wanted in zip(hb.compile(program)(*start), program(*start), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-13, atol=1e-15)
