"""Plans with compiled kernels: the whole way from a graph to results."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.core.graph import Const, FuncGraph
from hybrid.core.interpret import interpret
from hybrid.runtime.plan import Plan, make_plan
from tests.runtime.graphs import (
    Sketch,
    add_bias,
    draw_arrays,
    draw_graph,
    f32,
    f64,
    layouts_of,
    softmax,
)


def check(graph: FuncGraph, arrays: list[Any]) -> Plan:
    plan = make_plan(graph, layouts_of(arrays))
    wanted = interpret(graph, arrays)
    for _ in range(2):
        for have, want in zip(plan.run(*arrays), wanted, strict=True):
            assert have.dtype == want.dtype
            np.testing.assert_allclose(have, want, rtol=2e-5, atol=1e-6)
    return plan


@pytest.mark.parametrize("seed", range(12))
def test_plan_equals_interpretation(seed: int) -> None:
    rng = random.Random(seed)
    graph = draw_graph(rng)
    check(graph, draw_arrays(rng, graph))


def layer(batch: int, features: int, classes: int) -> FuncGraph:
    sketch = Sketch("layer")
    x, w, b = sketch.input(batch, features), sketch.capture(features, classes), None
    b = sketch.capture(classes)
    (hidden,) = sketch.fused(sketch("matmul", x, w), b, body=add_bias(batch, classes))
    (y,) = sketch.fused(hidden, body=softmax(batch, classes))
    transposed = sketch("permute_dims", y, axes=(1, 0))
    (columns,) = sketch.fused(transposed, body=softmax(classes, batch))
    return sketch.graph(y, columns)


@pytest.mark.parametrize(("batch", "features", "classes"), [(5, 7, 3), (900, 8, 700)])
def test_in_place_epilogues_small_and_divided_among_threads(
    batch: int, features: int, classes: int
) -> None:
    graph = layer(batch, features, classes)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=v.spec.shape).astype(f32) for v in graph.parameters]
    plan = check(graph, arrays)
    assert any(kernel.parallel for kernel in plan.kernels) is (batch > 100)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("shape", [(9, 5), (40, 3000), (3000, 40)])
def test_reductions_in_place(
    shape: tuple[int, int], axes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several sweeps over an input whose memory takes the results."""
    body = Sketch("body")
    x = body.input(*shape)
    mean = body("max", x, axis=axes, keepdims=True)
    spread = body("sum", body("square", body("subtract", x, mean)), axis=axes, keepdims=True)
    normal = body.graph(body("divide", body("subtract", x, mean), spread), body("sqrt", spread))

    again = Sketch("body")
    x = again.input(*shape)
    halved = again("multiply", x, Const(0.5, f32))
    top = again("max", x, axis=axes, keepdims=True)
    early = again.graph(halved, top, again("sum", halved, axis=axes, keepdims=True))

    sketch = Sketch("f")
    product = sketch("matmul", sketch.input(shape[0], 3), sketch.capture(3, shape[1]))
    y, s = sketch.fused(product, body=normal)
    graph = sketch.graph(*sketch.fused(y, body=early), s)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=v.spec.shape).astype(f32) for v in graph.parameters]
    plan = check(graph, arrays)
    assert plan.temp_bytes == 0
    monkeypatch.setattr("hybrid.runtime.memory.may_overwrite", lambda *_: False)
    apart = make_plan(graph, layouts_of(arrays))
    assert apart.temp_bytes > 0
    for have, want in zip(plan.run(*arrays), apart.run(*arrays), strict=True):
        np.testing.assert_array_equal(have, want)


def test_zero_dimensional_arrays_and_scalars() -> None:
    body = Sketch("body")
    x, k = body.input(), body.input(dtype=f64)
    scaled = body("multiply", x, body("astype", k, dtype=f32))
    graph = body.graph(scaled, body("exp", scaled))
    sketch = Sketch("f")
    x, k = sketch.input(), sketch.input(dtype=f64, weak=True)
    outputs = sketch.fused(x, k, body=graph)
    plan = make_plan(sketch.graph(*outputs), layouts_of([np.float32(3.0), 0.5]))
    a, b = plan.run(np.array(3.0, f32), 0.5)
    assert (a.shape, a.dtype, a.item()) == ((), f32, 1.5)
    np.testing.assert_allclose(b, np.exp(np.float32(1.5)), rtol=1e-6)


def test_many_threads_may_run_one_plan() -> None:
    graph = layer(300, 8, 200)
    rng = np.random.default_rng(0)
    x, *rest = (rng.normal(size=v.spec.shape).astype(f32) for v in graph.parameters)
    plan = make_plan(graph, layouts_of([x, *rest]))
    inputs = [x + k for k in range(8)]
    wanted = [plan.run(y, *rest) for y in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(5):
            if not all(map(np.array_equal, plan.run(inputs[k], *rest), wanted[k])):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_planning_needs_no_numba_until_a_kernel_is_made() -> None:
    code = "import sys, hybrid.runtime.plan; sys.exit('numba' in sys.modules)"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
