"""Control flow in a vmap is computed for all examples at once, not for one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import FuncGraph, bodies_of
from hybrid.core.op import OPS

ROWS = np.array([[0.3, 0.7, -0.2], [-0.3, -0.7, 0.2], [1.5, 0.1, 2.0], [0.0, 3.0, 0.5]])
WEIGHTS = np.linspace(-1, 1, 9).reshape(3, 3)


@hb.custom_vjp
def cube(x: Any) -> Any:
    """Return x ** 3, with a gradient that can be told from the real one."""
    return x**3


cube.defvjp(lambda x: (cube(x), x), lambda x, g: (10 * x * x * g,))


def branch(x: Any, w: Any) -> Any:
    return hb.cond(x[0] > 0.2, lambda: hb.tanh(x @ w), lambda: x * x)


def three_ways(x: Any, w: Any) -> Any:
    ways = [lambda: x @ w, lambda: hb.sin(x), lambda: w[0] * x]
    return hb.switch((x[1] * 2).astype("int64"), ways)


def until(x: Any, w: Any) -> Any:
    return hb.while_loop(lambda s: hb.sum(s) < 30, lambda s: s * 1.5 + (x @ w) ** 2, x + 1)


def counted(x: Any, w: Any) -> Any:
    return hb.fori_loop(0, hb.sum(x > 0), lambda i, s: hb.sin(s) @ w + i, x)


def scanned(x: Any, w: Any) -> Any:
    last, rows = hb.scan(lambda c, t: (c * t + x @ w, c * c), x, w)
    return last + hb.sum(rows, axis=0)


def own_gradient(x: Any, w: Any) -> Any:
    return hb.scan(lambda c, _: (cube(c) + x @ w, None), x, None, length=3)[0]


def run_again(x: Any, w: Any) -> Any:
    step = hb.checkpoint(lambda c, t: (hb.sin(c @ w) + t, c))
    return hb.scan(step, x, w)[0]


def nested(x: Any, w: Any) -> Any:
    def step(c: Any, t: Any) -> Any:
        return hb.cond(hb.sum(t * x) > 0, lambda: until(c, w) / 30, lambda: c @ w), None

    return hb.scan(step, x, w)[0]


FUNCTIONS = [branch, three_ways, until, counted, scanned, own_gradient, run_again, nested]


def loss(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, w: hb.sum(f(x, w) ** 2)


@pytest.mark.usefixtures("without_kernels")  # the rules are what is tested
@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("f", FUNCTIONS)
def test_values_and_gradients_are_those_of_each_example(
    f: Callable[..., Any], traced: bool
) -> None:
    compile: Callable[..., Any] = hb.compile if traced else lambda f: f
    x, w = hb.asarray(ROWS), hb.asarray(WEIGHTS)
    own = hb.grad(loss(f), (0, 1))
    pairs = [own(hb.asarray(row), w) for row in ROWS]
    by_row, by_weights = (np.stack([g.numpy() for g in part]) for part in zip(*pairs))

    got = compile(hb.vmap(f, in_axes=(0, None)))(x, w)
    np.testing.assert_allclose(got.numpy(), np.stack([f(hb.asarray(r), w).numpy() for r in ROWS]))
    each = compile(hb.vmap(own, in_axes=(0, None)))(x, w)
    np.testing.assert_allclose(each[0].numpy(), by_row, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(each[1].numpy(), by_weights, rtol=1e-10, atol=1e-12)

    def total(x: Any, w: Any) -> Any:
        return hb.sum(hb.vmap(loss(f), in_axes=(0, None))(x, w))

    whole = compile(hb.grad(total, (0, 1)))(x, w)
    np.testing.assert_allclose(whole[0].numpy(), by_row, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(whole[1].numpy(), by_weights.sum(0), rtol=1e-10, atol=1e-12)


def ops_of(graph: FuncGraph) -> list[str]:
    inner = [name for node in graph.nodes for body in bodies_of(node) for name in ops_of(body)]
    return [*(node.op.name for node in graph.nodes), *inner]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_a_graph_has_no_more_nodes_for_more_examples(f: Callable[..., Any]) -> None:
    def nodes(size: int) -> list[str]:
        gradient = hb.compile(hb.vmap(hb.grad(loss(f)), in_axes=(0, None)))
        x = hb.asarray(np.resize(ROWS, (size, 3)))
        return ops_of(gradient.get_concrete_function(x, hb.asarray(WEIGHTS)).graph)

    assert nodes(3) == nodes(7)


def test_all_ops_with_bodies_have_rules() -> None:
    inside = {"fused"}  # what passes make is in no vmap
    assert {op.name for op in OPS.values() if op.bodies and op.batch is None} <= inside


@pytest.mark.parametrize("traced", [False, True])
def test_what_an_example_does_not_take_part_in_makes_no_gradient_infinite(traced: bool) -> None:
    def root(x: Any, w: Any) -> Any:
        return hb.cond(x > 0, lambda: hb.sum(hb.sqrt((x * w) @ w)), lambda: x * w[0])

    def never(x: Any, w: Any) -> Any:
        return hb.cond(x > 9, lambda: hb.sum(hb.sqrt((x * 0 * w) @ w)), lambda: x * w[0])

    def newton(x: Any, w: Any) -> Any:
        def step(s: Any) -> Any:
            return s + hb.sum(1 / ((3 - s) * w) @ w) * 0 + 1

        return hb.while_loop(lambda s: s < x, step, 0 * x)

    x, w = hb.asarray([4.0, 0.0, 1.0, 3.0]), hb.asarray([1.0, 2.0])
    for f in (root, never, newton):

        def total(x: Any, w: Any, f: Callable[..., Any] = f) -> Any:
            return hb.sum(hb.vmap(f, in_axes=(0, None))(x, w))

        gradient = hb.grad(total, (0, 1))
        x0 = x if f is not newton else hb.asarray([2.5, 1.5, 0.5, 2.9])
        want = [hb.grad(f, (0, 1))(row, w) for row in x0]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = (hb.compile(gradient) if traced else gradient)(x0, w)
        np.testing.assert_allclose(got[0].numpy(), [g[0].item() for g in want], rtol=1e-6)
        np.testing.assert_allclose(got[1].numpy(), sum(g[1].numpy() for g in want), rtol=1e-6)


@pytest.mark.parametrize("traced", [False, True])
def test_each_example_draws_its_own_numbers_in_loops_and_branches(traced: bool) -> None:
    def walk(x: Any) -> Any:
        def step(s: Any) -> Any:
            return s + hb.random.uniform()

        steps = hb.scan(lambda c, _: (c + hb.random.normal(), c), x, None, length=5)[1]
        far = hb.while_loop(lambda s: s < x + 2, step, x)
        one = hb.cond(x > 1, lambda: hb.random.uniform(), lambda: hb.random.normal() + 100)
        both = hb.cond(x >= 0, lambda: step(step(x)), lambda: x)
        return steps[1:] - steps[:-1], far, one, both

    hb.random.seed(7)
    mapped = hb.vmap(walk)
    mapped = hb.compile(mapped) if traced else mapped
    x = hb.arange(4.0)
    first, second = mapped(x), mapped(x)
    drawn = np.concatenate([np.ravel(y.numpy()) for y in (*first, *second)])
    assert len(np.unique(drawn)) == drawn.size
    assert ((first[1] >= x + 2) & (first[1] < x + 3)).all()
    assert (first[2][:2] > 50).all()
    assert (first[2][2:] < 1).all()


def test_effects_in_branches_happen_for_the_examples_that_take_them() -> None:
    seen: list[float] = []

    def f(x: Any) -> Any:
        def noted() -> Any:
            hb.callback(lambda x: seen.append(float(x)), None, x)
            return x * 2

        return hb.cond(x > 1, noted, lambda: x)

    got = hb.vmap(f)(hb.arange(4.0))
    np.testing.assert_array_equal(got.numpy(), [0, 1, 4, 6])
    assert seen == [2, 3]


def test_carries_of_equal_shape_that_change_places_are_no_streams() -> None:
    a, b = hb.asarray([1, 2, 3], hb.uint64), hb.asarray([9, 8, 7], hb.uint64)

    def swapped(n: Any) -> Any:
        swap = lambda s: (s[0] + 1, s[2], s[1])
        return hb.while_loop(lambda s: s[0] < n, swap, (hb.asarray(0), a, b))[1]

    got = hb.vmap(swapped)(hb.asarray([0, 1, 2, 3])).numpy()
    np.testing.assert_array_equal(got, [[1, 2, 3], [9, 8, 7], [1, 2, 3], [9, 8, 7]])
