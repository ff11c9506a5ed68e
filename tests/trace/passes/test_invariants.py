"""What moves out of loops, and what stays: that the results are the same, and cost less."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import FuncGraph, bodies_of, verify
from hybrid.trace.passes import dead_code, invariants
from tests.trace.passes.graphs import assert_same, names, sample, spec, traced


def after(function, *specs):
    """Run the pass; the results must be the same bit for bit."""
    graph = traced(function, *specs)
    new = verify(dead_code.run(invariants.run(graph)))
    assert_same(graph, new, sample(graph))
    return new


def inside(graph: FuncGraph) -> list[str]:
    """Return the names of the ops in the first loop."""
    loop = next(node for node in graph.nodes if node.op.bodies)
    return [name for body in bodies_of(loop) for name in names(body)]


def loop_over(step, length=3):
    return lambda x, *rest: hb.scan(lambda c, _: (step(c, *rest), None), x, length=length)[0]


def test_costly_nodes_of_constants_move():
    graph = after(loop_over(lambda c, w: c * hb.exp(w)), spec(3), spec(3))
    assert names(graph) == ["exp", "scan"]
    assert inside(graph) == ["multiply"]


def test_products_and_reductions_of_constants_move():
    graph = after(loop_over(lambda c, w: c + (w @ w).sum(axis=0)), spec(3), spec(3, 3))
    assert names(graph) == ["matmul", "sum", "scan"]


def test_a_few_cheap_nodes_stay_in_the_kernel():
    graph = traced(loop_over(lambda c, w: c * (w + 1.0)), spec(3), spec(3))
    assert invariants.run(graph) is graph


def test_a_broadcast_does_not_become_an_array():
    def step(c, u, v):
        return c + (u[:, None] * 2.0 + 1.0) * 3.0 * (v * 0.5 - 1.0)

    graph = traced(loop_over(step), spec(5, 4), spec(5), spec(4))
    assert invariants.run(graph) is graph


def test_what_a_product_reads_moves_and_its_transpose_stays():
    graph = after(loop_over(lambda c, w: (w * 2.0).T @ c), spec(3), spec(3, 3))
    assert names(graph) == ["multiply", "scan"]
    assert inside(graph) == ["permute_dims", "matmul"]


def test_what_depends_on_the_carry_or_a_row_stays():
    def f(x, rows):
        return hb.scan(lambda c, row: (c * hb.exp(row), hb.sin(c)), x, rows)[1]

    graph = traced(f, spec(3), spec(4, 3))
    assert invariants.run(graph) is graph


def test_a_carry_that_never_changes_counts_as_constant():
    def f(x, w):
        return hb.scan(lambda c, _: ((c[0] * hb.exp(c[1]), c[1]), None), (x, w), length=3)[0]

    graph = after(f, spec(3), spec(3))
    assert names(graph)[0] == "exp"
    assert inside(graph) == ["multiply"]


def test_conditions_of_loops_lose_theirs_too():
    def f(x, w):
        return hb.while_loop(lambda c: c.sum() < hb.exp(w).sum(), lambda c: c + hb.exp(w) + 1.0, x)

    graph = after(f, spec(3), spec(3))
    assert "exp" in names(graph)
    assert "exp" not in inside(graph)


def test_what_leaves_two_loops_leaves_both():
    def f(x, w):
        def outer(c, _):
            return loop_over(lambda d: d * hb.exp(w))(c), None

        return hb.scan(outer, x, length=2)[0]

    graph = after(f, spec(3), spec(3))
    assert names(graph) == ["exp", "scan"]


def test_results_that_are_stacked_may_be_invariant():
    def f(x, w):
        return hb.scan(lambda c, _: (c + 1.0, hb.exp(w)), x, length=3)

    assert names(after(f, spec(3), spec(3)))[0] == "exp"


def test_nothing_that_can_fail_runs_before_a_loop_that_may_have_no_step():
    def f(x, w):
        return hb.while_loop(lambda c: c.sum() > 0, lambda c: hb.linalg.inv(w) @ c, x)

    graph = traced(f, spec(3), spec(3, 3))
    assert invariants.run(graph) is graph
    singular = np.zeros((3, 3), np.float32)
    np.testing.assert_array_equal(
        hb.compile(f)(-np.ones(3, np.float32), singular).numpy(), [-1] * 3
    )


def test_effects_come_before_the_failure_that_follows_them(capsys):
    def step(c, w):
        hb.print("step")
        return hb.linalg.inv(w) @ c

    x, singular = np.ones(3, np.float32), np.zeros((3, 3), np.float32)
    with pytest.raises(np.linalg.LinAlgError):
        hb.compile(loop_over(step))(x, singular)
    assert "step" in capsys.readouterr().out


def test_gradients_are_those_of_the_loop_as_written():
    def loss(x, w):
        return loop_over(lambda c, w: hb.tanh(hb.softmax(w, axis=1).T @ c), 5)(x, w).sum()

    rng = np.random.default_rng(0)
    x, w = (hb.asarray(rng.normal(size=shape)) for shape in ((3,), (3, 3)))
    gradients = hb.grad(loss, argnums=(0, 1))
    for eager, compiled in zip(gradients(x, w), hb.compile(gradients)(x, w), strict=True):
        np.testing.assert_allclose(compiled.numpy(), eager.numpy(), rtol=1e-12)
