"""Plans: the same results as running the graph op by op, in memory of their own."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid.core.graph import Const, FuncGraph
from hybrid.core.interpret import interpret
from hybrid.runtime.plan import Plan, format_bytes, make_plan
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

pytestmark = pytest.mark.usefixtures("numpy_kernels")
fixture_once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def plan_for(graph: FuncGraph, arrays: list[Any]) -> Plan:
    return make_plan(graph, layouts_of(arrays))


def check(graph: FuncGraph, arrays: list[Any]) -> Plan:
    """Run a Plan twice: right results, fresh writable memory, parameters as they were."""
    wanted = [np.array(x) for x in interpret(graph, arrays)]
    before = [np.array(x) for x in arrays]
    plan = plan_for(graph, arrays)
    for _ in range(2):
        outputs = plan.run(*arrays)
        for i, (have, want) in enumerate(zip(outputs, wanted, strict=True)):
            assert type(have) is np.ndarray
            assert (have.shape, have.dtype) == (want.shape, want.dtype)
            assert have.flags.writeable
            np.testing.assert_array_equal(have, want)
            others = [x for x in (*arrays, *outputs[:i]) if isinstance(x, np.ndarray)]
            assert not any(np.shares_memory(have, other) for other in others)
        for output in outputs:
            output[...] = 7
        for x, old in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(x, old)
    return plan


@fixture_once
@given(st.integers(0, 1 << 32))
def test_plan_equals_interpretation(seed: int) -> None:
    rng = random.Random(seed)
    graph = draw_graph(rng)
    plan = check(graph, draw_arrays(rng, graph))
    assert not any(call.reason for call in plan.library_calls)


@fixture_once
@given(st.integers(0, 1 << 32))
def test_arrays_without_elements(seed: int) -> None:
    rng = random.Random(seed)
    try:
        graph = draw_graph(rng, sizes=(0, 1, 2))
        arrays = draw_arrays(rng, graph)
        interpret(graph, arrays)
    except (ValueError, AssertionError):  # the maximum of nothing, a slice of nothing
        return
    check(graph, arrays)


# --- outputs --------------------------------------------------------------------------------------


def test_parameters_and_their_views_are_copied() -> None:
    sketch = Sketch()
    x, c = sketch.input(2, 3), sketch.capture(4)
    turned = sketch("permute_dims", x, axes=(1, 0))
    graph = sketch.graph(x, turned, c, sketch("broadcast_to", c, shape=(2, 4)))
    check(graph, [np.arange(6, dtype=f32).reshape(2, 3), np.arange(4, dtype=f32)])


def test_the_same_value_twice_is_two_arrays() -> None:
    sketch = Sketch()
    (y,) = sketch.fused(sketch.input(3, 4), body=softmax(3, 4))
    flat = sketch("reshape", y, shape=(12,))
    check(sketch.graph(y, y, flat), [np.ones((3, 4), f32)])


def test_views_of_results_hand_out_the_result_itself() -> None:
    sketch = Sketch()
    (y,) = sketch.fused(sketch.input(3, 4), body=softmax(3, 4))
    turned = sketch("permute_dims", y, axes=(1, 0))
    plan = check(sketch.graph(turned), [np.ones((3, 4), f32)])
    assert ".copy()" not in plan.source


def test_dropped_axes_cost_nothing() -> None:
    body = Sketch("body")
    x = body.input(3, 4)
    total = body.graph(body("sum", x, axis=(1,), keepdims=True))
    sketch = Sketch()
    (y,) = sketch.fused(sketch.input(3, 4), body=total)
    plan = check(sketch.graph(sketch("reshape", y, shape=(3,))), [np.ones((3, 4), f32)])
    assert "empty((3,), float32)" in plan.source
    assert "reshape" not in plan.source


def test_a_slice_of_a_result_keeps_no_memory_alive() -> None:
    sketch = Sketch()
    (y,) = sketch.fused(sketch.input(3, 4), body=softmax(3, 4))
    part = sketch("slice", y, starts=(0, 1), sizes=(3, 2), steps=(1, 1))
    plan = check(sketch.graph(part), [np.ones((3, 4), f32)])
    (output,) = plan.run(np.ones((3, 4), f32))
    assert output.base is None


def test_literals_become_arrays() -> None:
    graph = Sketch().graph(Const(1.5, f32), Const(True, np.dtype(bool)), Const(-0.0, f64))
    outputs = plan_for(graph, []).run()
    assert [(o.dtype.name, o.item()) for o in outputs] == [
        ("float32", 1.5),
        ("bool", True),
        ("float64", 0.0),
    ]
    assert np.signbit(outputs[2])


def test_library_results_that_share_memory_are_copied() -> None:
    sketch = Sketch()
    x = sketch.input(2, 3)
    flat = sketch("reshape", sketch("broadcast_to", Const(2.0, f32), shape=(2, 3)), shape=(6,))
    # An op may hand its argument through: `astype` to the same dtype without a copy, say.
    (y,) = sketch.fused(x, body=softmax(2, 3))
    check(sketch.graph(flat, y), [np.ones((2, 3), f32)])


# --- inputs ---------------------------------------------------------------------------------------


def test_python_scalars_are_converted() -> None:
    body = Sketch("body")
    x, k = body.input(3), body.input(dtype=f64)
    scaled = body.graph(body("multiply", x, body("astype", k, dtype=f32)))
    sketch = Sketch()
    x, k = sketch.input(3), sketch.input(dtype=f64, weak=True)
    graph = sketch.graph(*sketch.fused(x, k, body=scaled), k)
    x_array = np.arange(3, dtype=f32)
    plan = plan_for(graph, [x_array, 0.5])
    for value in (0.5, 2, np.float64(3.0), np.asarray(4.0)):
        scaled_x, same = plan.run(x_array, value)
        np.testing.assert_array_equal(scaled_x, x_array * np.float32(value))
        assert same.dtype == f64
        assert same == value


def test_library_functions_see_python_scalars() -> None:
    sketch = Sketch()
    k = sketch.input(dtype=f64, weak=True)
    plan = plan_for(sketch.graph(sketch("full", k, shape=(2,), dtype=f32)), [0.5])
    assert "asarray" not in plan.source
    np.testing.assert_array_equal(plan.run(0.5)[0], np.full(2, 0.5, f32))


def test_matrix_products_take_transposes_as_they_are() -> None:
    sketch = Sketch()
    x, w = sketch.input(5, 3), sketch.capture(4, 3)
    product = sketch("matmul", x, sketch("permute_dims", w, axes=(1, 0)))
    (y,) = sketch.fused(product, sketch.capture(4), body=add_bias(5, 4))
    gram = sketch("matmul", sketch("permute_dims", y, axes=(1, 0)), y)
    rng = random.Random(1)
    graph = sketch.graph(gram)
    plan = check(graph, draw_arrays(rng, graph))
    assert len(plan.library_calls) == 2
    assert plan.temp_bytes == 128
    assert plan.naive_bytes == 256


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        ((4,), (4,), "float32"),
        ((3, 4), (4,), "float64"),
        ((2, 3, 4), (4, 5), "float32"),
        ((3, 0), (0, 4), "float32"),
        ((3, 4), (4, 2), "int32"),
        ((3, 4), (4, 2), "bool"),
        ((3, 4), (4, 2), "float16"),
        ((3, 4), (4, 2), "complex64"),
    ],
)
def test_matrix_products_of_all_kinds(a: Any, b: Any, dtype: str) -> None:
    sketch = Sketch()
    x, y = sketch.input(*a, dtype=dtype), sketch.input(*b, dtype=dtype)
    graph = sketch.graph(sketch("matmul", x, y))
    check(graph, draw_arrays(random.Random(3), graph))


@pytest.mark.parametrize("shape", [(3, 7), (400, 7), (1, 325, 113)])
def test_products_with_the_own_transpose_are_symmetric_and_no_calls_of_dot(
    shape: tuple[int, ...],
) -> None:
    sketch = Sketch()
    x = sketch.input(*shape, dtype="float64")
    axes = (1, 0) if len(shape) == 2 else (0, 2, 1)
    graph = sketch.graph(sketch("matmul", x, sketch("permute_dims", x, axes=axes)))
    given = np.random.default_rng(0).standard_normal(shape)
    plan = check(graph, [given])
    (found,) = plan.run(given)
    np.testing.assert_array_equal(found, found.swapaxes(-1, -2))
    way = "k0(" if shape == (400, 7) else "matmul("
    assert way in plan.source
    assert ".dot(" not in plan.source


# --- what no kernel can do ------------------------------------------------------------------------


def test_what_no_kernel_can_do_runs_op_by_op() -> None:
    body = Sketch("body")
    x = body.input(3, dtype="complex64")
    graph = body.graph(body("sum", body("negative", x), axis=(0,), keepdims=True))
    sketch = Sketch()
    sketch_graph = sketch.graph(*sketch.fused(sketch.input(3, dtype="complex64"), body=graph))
    plan = check(sketch_graph, [np.array([1, 2j, 3], "complex64")])
    reason = "a reduction or a scan of complex numbers"
    assert [call.reason for call in plan.library_calls] == [reason]
    assert f"fused(negative, sum) [{reason}]" in str(plan)


# --- what people read -----------------------------------------------------------------------------


def test_plan_prints_as_a_table() -> None:
    sketch = Sketch("layer")
    product = sketch("matmul", sketch.input(32, 64), sketch.capture(64, 10))
    (hidden,) = sketch.fused(product, sketch.capture(10), body=add_bias(32, 10))
    (gram,) = sketch.multi("matmul", sketch("permute_dims", hidden, axes=(1, 0)), hidden)
    graph = sketch.graph(gram)
    plan = plan_for(graph, draw_arrays(random.Random(2), graph))
    assert str(plan) == (
        "plan layer: 1 kernel, 2 library calls, temporaries 1.25 KiB (without reuse 2.5 KiB)\n"
        "  step                           reads    writes  line\n"
        "  call   matmul               10.5 KiB  1.25 KiB  model.py:1\n"
        "  kernel fused(add, maximum)  1.29 KiB  1.25 KiB  model.py:2\n"
        "  call   matmul                2.5 KiB     400 B  model.py:4"
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1 << 20, "1 MiB"), (5 << 40, "5 TiB")],
)
def test_bytes_have_units(count: int, text: str) -> None:
    assert format_bytes(count) == text
