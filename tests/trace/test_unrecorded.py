"""What eager code keeps from the tapes, a trace keeps from the tapes around the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.trace.agreement import alike, compiled_throughout, falls_back

V = hb.Variable(2.0)


def in_a_block(x: hb.Tensor) -> hb.Tensor:
    with hb.no_grad():
        y = hb.tanh(x) * 2
    return y * x + x


@hb.no_grad()
def helper(x: hb.Tensor) -> hb.Tensor:
    return x * x


def by_a_decorated_helper(x: hb.Tensor) -> hb.Tensor:
    return helper(x) * x


def detached(x: hb.Tensor) -> hb.Tensor:
    return x * (x * 3).detach()


def detached_and_written_through(x: hb.Tensor) -> hb.Tensor:
    y = x * 3
    y.detach()[0] = 10.0
    return y * x


def written_in_a_block(x: hb.Tensor) -> hb.Tensor:
    y, z = x * 3, x * 5
    with hb.no_grad():
        y += x
        z[:1] = 7.0
    return (y + z) * x


def a_view_in_a_block(x: hb.Tensor) -> hb.Tensor:
    with hb.no_grad():
        tail = x[1:]
    return (tail * x[1:]).sum() * x


def a_variable_in_a_block(x: hb.Tensor) -> hb.Tensor:
    with hb.no_grad():
        y = V * x
    return y * V * x


def a_loop_in_a_block(x: hb.Tensor) -> hb.Tensor:
    with hb.no_grad():
        y = hb.fori_loop(0, 3, lambda i, c: c * x, x)
    return y * x


def a_block_in_a_loop(x: hb.Tensor) -> hb.Tensor:
    def step(i: Any, c: hb.Tensor) -> hb.Tensor:
        with hb.no_grad():
            d = c * 2
        return d * x

    return hb.fori_loop(0, 3, step, x)


def a_block_in_a_branch(x: hb.Tensor) -> hb.Tensor:
    def unrecorded() -> hb.Tensor:
        with hb.no_grad():
            return x * x

    return hb.cond(x.sum() > 0, unrecorded, lambda: x * 3) * x


def a_block_across_a_decision(x: hb.Tensor) -> hb.Tensor:
    with hb.no_grad():
        y = x * 2
        if y.sum() > 0:
            y = y * 3
        z = y * x
    return z * x


def a_block_in_a_vmap(x: hb.Tensor) -> hb.Tensor:
    def row(r: hb.Tensor) -> hb.Tensor:
        with hb.no_grad():
            y = r * 2
        return y * r

    return hb.vmap(row)(x)


def a_vmap_in_a_block(x: hb.Tensor) -> hb.Tensor:
    with hb.no_grad():
        y = hb.vmap(lambda r: r * x.sum())(x)
    return y * x


def a_compiled_function_in_a_block(x: hb.Tensor) -> hb.Tensor:
    with hb.no_grad():
        y = squared(x)
    return y * squared(x)


squared = hb.compile(lambda x: x * x)

FUNCTIONS = [f for name, f in list(globals().items()) if name not in ("helper", "squared")]
FUNCTIONS = [f for f in FUNCTIONS if getattr(f, "__module__", "") == __name__]


def _with_a_tape(f: Callable[..., Any]) -> list[Any]:
    found = []
    for x in (hb.asarray([1.5, 2.0]), hb.asarray([-1.5, 0.5])):
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        found += [y, *tape.gradient(y, [x, V])]
    return found


def _backward(f: Callable[..., Any]) -> list[Any]:
    x = hb.asarray([1.5, 2.0], requires_grad=True)
    y = f(x)
    y.sum().backward()
    return [y.detach(), x.grad]


def _second_order(f: Callable[..., Any]) -> list[Any]:
    x = hb.asarray([1.5, 2.0])
    return [hb.grad(lambda x: (hb.grad(lambda x: f(x).sum())(x) * x).sum())(x)]


@pytest.mark.parametrize("way", [_with_a_tape, _backward, _second_order])
@pytest.mark.parametrize("f", FUNCTIONS)
def test_what_is_not_recorded_has_no_gradient_in_a_trace(
    f: Callable[..., Any], way: Callable[..., Any]
) -> None:
    with compiled_throughout():
        traced = hb.compile(f)
        for _ in range(2):
            alike(way(traced), way(f))


@pytest.mark.parametrize("f", FUNCTIONS)
def test_what_is_not_recorded_has_no_gradient_for_a_tape_inside_the_trace(
    f: Callable[..., Any],
) -> None:
    traced = hb.compile(hb.value_and_grad(lambda x: f(x).sum()))
    for x in (hb.asarray([1.5, 2.0]), hb.asarray([-1.5, 0.5])):
        alike(traced(x), hb.value_and_grad(lambda x: f(x).sum())(x))


def test_a_trace_first_made_under_no_grad_has_gradients_elsewhere() -> None:
    f = hb.compile(lambda x: x * x)
    x = hb.asarray([1.5, 2.0])
    with hb.no_grad():
        f(x)
    alike(hb.grad(lambda x: f(x).sum())(x), x * 2)
    assert f.cache_info().misses == 1


def test_a_tape_around_the_call_that_stops_recording_inside() -> None:
    def f(tape: hb.GradientTape, x: hb.Tensor) -> hb.Tensor:
        with tape.stop_recording():
            y = x * 2
        return y * x

    x = hb.asarray([1.5, 2.0])
    found = []
    traced = hb.compile(f)
    with falls_back("stop_recording of a tape around the call", times=2):
        for g in (f, traced, traced):
            with hb.GradientTape(persistent=True) as tape:
                tape.watch(x)
                y = g(tape, x)
            found.append((y, tape.gradient(y, x)))
    alike(found[1], found[0])
    alike(found[2], found[0])


# --- traces that end inside of such a block -------------------------------------------------------


def under_no_grad(x: hb.Tensor) -> Any:
    with hb.no_grad():
        y = x * float(x.sum())
    return y * x, hb.ones(1)


def under_a_detach(x: hb.Tensor) -> Any:
    return x * float(x.detach().sum()), hb.ones(1)


def in_a_vmap(x: hb.Tensor) -> Any:
    total = x.sum()
    return hb.vmap(lambda r: r * float(total))(x) * x, hb.ones(1)


def in_a_vmap_that_writes(x: hb.Tensor) -> Any:
    total, kept = x.sum(), hb.zeros(2)

    def row(r: hb.Tensor) -> hb.Tensor:
        kept[0] = total
        y = r * float(total)
        kept[1] = total * 2
        return y

    return hb.vmap(row)(x) * kept, hb.ones(1)


def in_a_vmap_of_a_vmap(x: hb.Tensor) -> Any:
    total = x.sum()
    outer = hb.vmap(lambda a: hb.vmap(lambda b: a * b * float(total))(x))
    return outer(x).sum(axis=0) * x, hb.ones(1)


def in_a_vmap_that_assigns(x: hb.Tensor) -> Any:
    total = x.sum()

    def row(r: hb.Tensor) -> hb.Tensor:
        V.assign_add(1.0)
        return r * float(total) * V

    y = hb.vmap(row)(x)
    V.assign(2.0)
    return y * x, hb.ones(1)


def in_a_gradient_rule(x: hb.Tensor) -> Any:
    @hb.custom_gradient
    def f(x: hb.Tensor) -> Any:
        return x * 2, lambda g: g * float(g.sum())

    return hb.grad(lambda x: f(x).sum())(x) * x, hb.ones(1)


def where_a_tape_stops(x: hb.Tensor) -> Any:
    with hb.GradientTape() as tape:
        tape.watch(x)
        with tape.stop_recording():
            y = x * float(x.sum())
        z = y * x
    return tape.gradient(z, x) * x, hb.ones(1)


@pytest.mark.parametrize("way", [_with_a_tape, _backward])
@pytest.mark.parametrize(
    "f",
    [
        under_no_grad,
        under_a_detach,
        in_a_vmap,
        in_a_vmap_that_writes,
        in_a_vmap_of_a_vmap,
        in_a_vmap_that_assigns,
        in_a_gradient_rule,
        where_a_tape_stops,
    ],
)
def test_a_trace_that_ends_in_a_block_goes_on_as_eager_code(
    f: Callable[..., Any], way: Callable[..., Any]
) -> None:
    traced = hb.compile(f)
    with falls_back("float()"):
        x = hb.asarray([1.5, 2.0])
        alike(traced(x), f(x))
    for _ in range(2):
        alike(way(lambda x: traced(x)[0]), way(lambda x: f(x)[0]))
    fresh = hb.compile(f)
    with falls_back("float()"):
        alike(way(lambda x: fresh(x)[0]), way(lambda x: f(x)[0]))


def test_threads_and_the_next_calls_are_clean_after_an_end_in_a_block() -> None:
    with falls_back("float()"):
        hb.compile(under_no_grad)(hb.asarray([1.0, 2.0]))
    x = hb.asarray([1.0, 2.0])
    alike(hb.grad(lambda x: (x * x).sum())(x), np.float32(2) * x)
    alike(hb.compile(lambda x: x * 2)(x), x * 2)


# --- what a block without gradients leaves as it is -----------------------------------------------


def _read_first_inside(x: hb.Tensor, v: hb.Variable) -> hb.Tensor:
    row = x[1]
    x[0] = 5.0
    with hb.no_grad():
        doubled = row * 2  # the first to see that the memory of the row was written to
        if doubled.sum() > 0:
            doubled = doubled + 1
    return (row**2).sum() + doubled.sum()


def _assigned_inside(x: hb.Tensor, v: hb.Variable) -> hb.Tensor:
    before = v * 3
    with hb.no_grad():
        v.assign_add(x[0])
    return (before * v + x).sum()


def _left_alone_by_a_branch(x: hb.Tensor, v: hb.Variable) -> hb.Tensor:
    def writes() -> hb.Tensor:
        x[1] -= 0.25
        return x[0]

    with hb.no_grad():
        found = hb.cond(x.sum() > 1000, writes, lambda: x[1])
    return (x**2).sum() + (found * v).sum()


def _left_alone_by_loops(x: hb.Tensor, v: hb.Variable) -> hb.Tensor:
    def once(i: hb.Tensor, c: hb.Tensor) -> hb.Tensor:
        x[1] -= 0.25
        return c + 1

    with hb.no_grad():
        many = (x.sum() > 1000) * 3
        a = hb.while_loop(lambda c: c[0] < many, lambda c: (c[0] + 1, once(*c)), (0, x[0]))[1]
        b = hb.fori_loop(0, many, once, x[1])
    return (x**2).sum() + (a * b * v).sum()


def _returned_from_inside(x: hb.Tensor, v: hb.Variable) -> tuple[hb.Tensor, ...]:
    y = x * 2
    with hb.no_grad():
        row = y[0]
        if x.sum() < 1000:
            return x[0], y.T, row, y
    return x[0], y.T, row, y


@pytest.mark.parametrize(
    "function",
    [
        _read_first_inside,
        _assigned_inside,
        _left_alone_by_a_branch,
        _left_alone_by_loops,
        _returned_from_inside,
    ],
    ids=lambda f: f.__name__[1:],
)
def test_a_block_without_gradients_leaves_those_of_the_rest(function: Callable[..., Any]) -> None:
    compiled = hb.compile(function)
    v, w = hb.Variable([1.0, 2.0, 3.0]), hb.Variable([1.0, 2.0, 3.0])
    for scale in (1.0, 2.0, -1.0):
        found = []
        for run, variable in ((function, v), (compiled, w)):
            x = hb.asarray(np.arange(6.0).reshape(2, 3) * scale)
            with hb.GradientTape() as tape:
                tape.watch(x)
                y = run(x, variable)
            found.append(tape.gradient(y, [x, variable], unconnected_gradients="zero"))
        for eager, traced in zip(*found, strict=True):
            np.testing.assert_allclose(traced, eager)
