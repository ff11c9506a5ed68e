"""Gradients around assignments to Variables: traced as eager, where nothing flows through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from tests.trace.agreement import alike

v = hb.Variable([1.0, 2.0])
fixed = hb.Variable([1.0, 2.0], trainable=False)


def assigned(x: hb.Tensor) -> Any:
    v.assign(x * 2)
    return v * 3


def read_before_and_after(x: hb.Tensor) -> Any:
    y = v * 5
    v.assign(v * 2 * x)
    return y + v * 3


def added(x: hb.Tensor) -> Any:
    v.assign_add(x)
    return v * v


def not_trainable(x: hb.Tensor) -> Any:
    fixed.assign(x * v)
    return fixed * v


def before_a_guard(x: hb.Tensor) -> Any:
    v.assign(x * v)
    return v * 2 if x.sum() > 0 else v * 3


def before_a_fallback(x: hb.Tensor) -> Any:
    v.assign(x * v)
    return v * float(x[0])


def in_a_loop(x: hb.Tensor) -> Any:
    def body(i: int, c: hb.Tensor) -> hb.Tensor:
        v.assign(v * c)
        return c * 0.5 + v

    return hb.fori_loop(0, 3, body, x) + v


def in_a_while(x: hb.Tensor) -> Any:
    def body(c: hb.Tensor) -> hb.Tensor:
        v.assign(v * c)
        return c * 0.5

    return hb.while_loop(lambda c: c.sum() > 1, body, x) + v


def in_a_branch(x: hb.Tensor) -> Any:
    hb.cond(x.sum() > 0, lambda: v.assign(v * x), lambda: v.assign(v))
    return v * x


FUNCTIONS = [
    assigned,
    read_before_and_after,
    added,
    not_trainable,
    before_a_guard,
    before_a_fallback,
    in_a_loop,
    in_a_while,
    in_a_branch,
]


def around(call: Callable[[hb.Tensor], Any], x: hb.Tensor) -> Any:
    with hb.GradientTape() as tape:
        tape.watch(x)
        z = (call(x) ** 2).sum()
    return tape.gradient(z, [x, v], unconnected_gradients="zero")


def read_after(call: Callable[[hb.Tensor], Any], x: hb.Tensor) -> Any:
    with hb.GradientTape() as tape:
        tape.watch(x)
        call(x)
        z = (v * fixed * x).sum()
    return tape.gradient(z, [x, v], unconnected_gradients="zero")


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("tape", [around, read_after, "inside"])
def test_no_gradient_flows_through_an_assignment(function: Any, tape: Any) -> None:
    def inside(x: hb.Tensor) -> Any:
        return around(function, x)

    compiled = hb.compile(inside if tape == "inside" else function)
    for _ in range(2):
        seen = []
        for f in (function, compiled):
            v.assign([1.0, 2.0])
            fixed.assign([1.0, 2.0])
            x = hb.asarray([3.0, 4.0])
            if tape == "inside":
                seen.append(compiled(x) if f is compiled else inside(x))
            else:
                seen.append(tape(f, x))
            seen[-1] = [*seen[-1], v.numpy(), fixed.numpy()]
        alike(seen[1], seen[0])


def test_an_assignment_costs_the_plan_nothing() -> None:
    @hb.compile
    def step(x: hb.Tensor) -> Any:
        v.assign(v * 0.5 + x)
        return v * 2

    step(hb.ones(2))
    root = step.concrete_functions[0].root
    assert root is not None
    assert [node.op.name for node in root.optimized.nodes] == ["fused"]
    np.testing.assert_allclose(step(hb.ones(2)).numpy(), v.numpy() * 2)
