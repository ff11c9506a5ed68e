"""hb.Graph: define first, run later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import DTypeError, GraphError, LeakedTensorError, ShapeError, TraceError


def same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6)


def test_textbook_examples() -> None:
    graph = hb.Graph()
    with graph.as_default():
        x = graph.placeholder(hb.float32, (3,))
        a, b = (graph.placeholder(hb.float32, name=n) for n in "ab")
        z, c, d = hb.sum(2 * x), a * b, a * (a + b)
        (dx,) = graph.gradients(z, [x])
        dc, dd = graph.gradients(c, (a, b)), graph.gradients(d, {"a": a, "b": b})
        s = hb.sum(x)
        y = hb.where(s > 0, x * x, -x)
        dy = graph.gradients(y, x)
    same(graph.run(dx, {x: [1.0, 2.0, 3.0]}), [2, 2, 2])
    found = graph.run({"c": c, "dc": dc}, {a: 15.0, b: 20.0})
    assert (found["c"].item(), *(g.item() for g in found["dc"])) == (300, 20, 15)
    value, slopes = graph.run((d, dd), {a: 2, b: 3})
    assert (value.item(), slopes["a"].item(), slopes["b"].item()) == (10, 7, 2)
    same(graph.run(dy, {x: [1.0, 2.0, 3.0]}), [2, 4, 6])
    same(graph.run([y, dy], {x: [-1.0, -2.0, -3.0]})[1], [-1, -1, -1])


def test_only_what_is_fetched_needs_feeding_and_running() -> None:
    seen: list[float] = []
    graph = hb.Graph("model")
    with graph.as_default():
        x = graph.placeholder(hb.float32, (2,), name="x")
        y = graph.placeholder(hb.float32, (2,), name="y")
        double = x * 2
        hb.sum(y)
        both = double + y
    same(graph.run(double, {x: [1.0, 2.0]}), [2, 4])
    with pytest.raises(GraphError, match="y is needed and is not fed"):
        graph.run(both, {x: [1.0, 2.0]})
    assert not seen


@pytest.mark.parametrize("size", [1, 2, 11, 100])
def test_unknown_sizes(size: int) -> None:
    graph = hb.Graph()
    with graph.as_default():
        x = graph.placeholder(hb.float64, (None, 3))
        y = graph.placeholder(hb.float64, (None,))
        w = hb.ones((3, 1), dtype=hb.float64)
        loss = ((x @ w)[:, 0] - y).sum() / x.shape[0]
        g = graph.gradients(loss, x)
    rng = np.random.default_rng(size)
    a, b = rng.normal(size=(size, 3)), rng.normal(size=size)
    value, gradient = graph.run([loss, g], {x: a, y: b})
    same(value, (a.sum(1) - b).sum() / size)
    same(gradient, np.ones((size, 3)) / size)


def test_sizes_that_must_agree_are_checked_by_name() -> None:
    graph = hb.Graph()
    with graph.as_default():
        x, y = (graph.placeholder(hb.float32, (None,), name=n) for n in "xy")
        z = x * y
    same(graph.run(z, {x: [1.0, 2.0], y: [3.0, 4.0]}), [3, 8])
    with pytest.raises(ShapeError, match=r"x\.shape\[0\] == y\.shape\[0\]|y\.shape\[0\] == x\.sh"):
        graph.run(z, {x: [1.0, 2.0], y: [3.0, 4.0, 5.0]})


def test_variables_are_read_at_each_run_and_trained_outside() -> None:
    w = hb.Variable([1.0, 2.0])
    scale = hb.asarray(3.0)
    graph = hb.Graph()
    with graph.as_default():
        x = graph.placeholder(hb.float32, (2,))
        loss = ((x * w - 1) ** 2).sum() * scale
        slope = graph.gradients(loss, w)
        with pytest.raises(TraceError, match="fetch the new value"):
            w.assign(w * 2)
    for _ in range(200):
        w.assign_sub(0.05 * graph.run(slope, {x: [1.0, 2.0]}))
    same(w, [1.0, 0.5])
    assert graph.run(loss, {x: [1.0, 2.0]}).item() < 1e-9
    same(graph.run(w), w)


def test_random_numbers_are_drawn_at_each_run() -> None:
    graph = hb.Graph()
    with graph.as_default():
        x = graph.placeholder(hb.float32)
        noise = hb.random.uniform(4)
        noisy = noise + x
        plain = x * 2
    hb.random.seed(3)
    first, second = graph.run(noisy, {x: 0.0}), graph.run(noisy, {x: 0.0})
    graph.run(plain, {x: 1.0})
    hb.random.seed(3)
    same(first, hb.random.uniform(4))
    same(second, hb.random.uniform(4))


def test_a_plan_is_made_once_for_each_choice_and_size() -> None:
    graph = hb.Graph()
    with graph.as_default():
        x = graph.placeholder(hb.float32, (None,))
        y, z = hb.exp(x), x + 1
    for n in (2, 3, 2):
        graph.run(y, {x: np.ones(n, np.float32)})
        graph.run([y, z], {x: np.ones(n, np.float32)})
    assert len(graph._plans) == 2
    assert all(len(fetch.sized) == 2 for fetch in graph._plans.values())


def test_compiled_functions_writes_and_control_flow_inside() -> None:
    double = hb.compile(lambda x: x * 2)
    graph = hb.Graph()
    with graph.as_default():
        x = graph.placeholder(hb.float64, (4,))
        y = double(x)
        y[1:] += x[:-1]
        z = hb.scan(lambda c, a: (c + a, c * a), y[0] * 0, y)[1]
        u = hb.cond(x.sum() > 0, lambda: y, lambda: -y)
    a = np.asarray([1.0, 2.0, 3.0, 4.0])
    b = a * 2
    b[1:] += a[:-1]
    sums = np.concatenate([[0], np.cumsum(b)[:-1]])
    same(graph.run(z, {x: a}), sums * b)
    same(graph.run(u, {x: -a}), b)
    assert a[0] == 1


def test_errors_say_what_to_do() -> None:
    graph, other = hb.Graph(), hb.Graph()
    with graph.as_default():
        x = graph.placeholder(hb.float32, (None, 2), name="x")
        y = x * 2
        with pytest.raises(TraceError, match="before run"):
            bool(y.sum() > 0)
        with pytest.raises(GraphError, match="being recorded"), other.as_default():
            pass
    feeds: list[tuple[Any, type[Exception], str]] = [
        (np.ones(2, np.float32), ShapeError, r"x takes shape \(None, 2\).*\(2,\)"),
        (np.ones((3, 4), np.float32), ShapeError, r"\(3, 4\)"),
        (np.ones((1, 2), np.complex64), DTypeError, "x takes float32, what is fed is complex64"),
    ]
    for fed, error, text in feeds:
        with pytest.raises(error, match=text):
            graph.run(y, {x: fed})
    with pytest.raises(GraphError, match="no placeholder"):
        graph.run(y, {y: np.ones((1, 2))})
    with pytest.raises(GraphError, match="another graph"):
        other.run(y)
    with pytest.raises(GraphError, match="not a Tensor of the graph"):
        graph.run(hb.ones(2))
    with pytest.raises(LeakedTensorError, match=r"belongs to an hb\.Graph: give it to run"):
        y + 1
