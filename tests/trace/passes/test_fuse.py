"""What the fusion pass puts together and what it keeps apart."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import FuncGraph, Node, Value, verify
from hybrid.core.interpret import interpret
from hybrid.core.op import OPS, Op
from hybrid.core.spec import TensorSpec
from hybrid.trace.passes import fuse, optimize
from hybrid.trace.passes.grouping import bits, is_cheap, passes_pay
from hybrid.trace.recorder import trace_pure
from tests.trace.passes.graphs import (
    assert_same,
    bodies,
    check_bodies,
    names,
    sample,
    spec,
    traced,
)

LARGE = (512, 512)


def fused(function, *specs: TensorSpec, rtol: float = 1e-6) -> FuncGraph:
    graph = traced(function, *specs)
    after = verify(optimize(graph))
    check_bodies(after)
    assert_same(graph, after, sample(graph), rtol=rtol, atol=rtol)
    return after


def kernels(graph: FuncGraph) -> int:
    return len(bodies(graph))


# --- scans ----------------------------------------------------------------------------------------


def test_a_scan_across_columns_takes_what_is_around_it():
    graph = fused(lambda x: hb.cumsum(hb.exp(x), axis=0) * 2.0, spec(9, 30))
    assert names(graph) == ["fused"]


def test_a_scan_along_rows_takes_cheap_neighbours_only():
    graph = fused(lambda x: hb.cumsum(x * x, axis=1) + 1.0, spec(9, 30))
    assert names(graph) == ["fused"]
    graph = fused(lambda x: hb.cumsum(hb.exp(x), axis=1), spec(9, 30))
    assert kernels(graph) == 2


def test_scans_along_one_axis_share_a_kernel():
    graph = fused(lambda x: (hb.cumsum(x, axis=0), hb.cummax(x, axis=0)), spec(9, 30))
    assert kernels(graph) == 1
    graph = fused(lambda x: (hb.cumsum(x, axis=0), hb.cummax(x, axis=1)), spec(9, 30))
    assert kernels(graph) == 2


def test_a_scan_and_a_reduction_are_two_kernels():
    graph = fused(lambda x: hb.sum(hb.cumsum(x, axis=0), axis=0), spec(9, 30))
    assert kernels(graph) == 2
    graph = fused(lambda x: hb.cumsum(x / hb.sum(x, axis=0), axis=0), spec(9, 30))
    assert kernels(graph) == 2


def test_a_scan_of_a_smaller_shape_is_not_computed_for_each_row():
    graph = fused(lambda x, y: x + hb.cumsum(y, axis=0), spec(9, 30), spec(30))
    assert kernels(graph) == 2


def test_scans_of_small_integers_widen_inside_the_kernel():
    graph = fused(lambda x: hb.cumsum(x, axis=1), spec(4, 3, dtype="int8"))
    assert names(graph) == ["fused"]


def test_scans_without_kernels_stay_library_calls():
    graph = fused(lambda x: hb.cumsum(x, axis=0), spec(4, dtype="complex64"))
    assert names(graph) == ["cumsum"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_reductions_and_scans_of_16_bits_are_computed_in_float32(dtype):
    graph = fused(lambda x: (x * 2).sum(axis=0, keepdims=True) + x, spec(4, 3, dtype=dtype))
    (body,) = bodies(graph)
    assert names(body) == ["multiply", "astype", "sum", "astype", "add"]
    graph = fused(lambda x: hb.cumsum(x, axis=0), spec(4, 3, dtype=dtype))
    assert names(bodies(graph)[0]) == ["astype", "cumsum", "astype"]


@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_a_cast_that_float32_cannot_be_between_stays_outside(dtype):
    graph = fused(lambda x: (x * 2).astype("float16") + 1, spec(4, dtype=dtype))
    assert names(graph) == ["fused", "astype", "fused"]


# --- what goes together ---------------------------------------------------------------------------


def test_a_chain_is_one_kernel():
    graph = fused(lambda x, y: hb.exp(x * y + x) - y, spec(4, 3), spec(3))
    assert names(graph) == ["fused"]


def test_several_results_come_out_of_one_kernel():
    graph = fused(lambda x: (x + 1.0, (x + 1.0) * 2.0), spec(4))
    assert names(graph) == ["fused"]
    assert len(graph.nodes[0].outputs) == 2


def test_reductions_over_the_same_axes_share_a_kernel():
    graph = fused(lambda x: (hb.sum(x, axis=1), hb.max(x * 2.0, axis=1)), spec(4, 3))
    assert kernels(graph) == 1


def test_variance_by_moments_is_one_kernel():
    def f(x):
        return hb.sum(x * x, axis=1) / 3.0 - hb.square(hb.sum(x, axis=1) / 3.0)

    assert kernels(fused(f, spec(4, 3))) == 1


def test_a_value_on_the_kept_axes_joins_the_reduction_it_goes_with():
    graph = fused(lambda x, r: hb.sum(x * hb.exp(r), axis=1), spec(4, 3), spec(4, 1))
    assert kernels(graph) == 1


def test_scalars_are_one_kernel():
    graph = fused(lambda a, b: hb.sqrt(a * b) + a / b, spec(), spec())
    assert names(graph) == ["fused"]


def test_elementwise_behind_matmul_is_one_kernel():
    graph = fused(lambda x, w, b: hb.tanh(x @ w + b), spec(4, 3), spec(3, 2), spec(2))
    assert names(graph) == ["matmul", "fused"]


def test_softmax_after_a_bias_is_one_kernel():
    graph = fused(lambda x, b: hb.softmax(x + b), spec(4, 3), spec(3))
    assert names(graph) == ["fused"]


def test_the_loss_and_what_its_gradient_needs_share_a_kernel():
    graph = fused(lambda p, y: (hb.mean((p - y) ** 2), (p - y) * 2.0), spec(4, 3), spec(4, 3))
    assert kernels(graph) == 1


def test_independent_updates_of_one_shape_share_a_kernel():
    graph = fused(lambda a, b, g, h: (a - 0.1 * g, b - 0.1 * h), *(spec(4, 3),) * 4)
    assert kernels(graph) == 1


def test_large_independent_updates_do_not():
    graph = fused(lambda a, b, g, h: (a - 0.1 * g, b - 0.1 * h), *(spec(*LARGE),) * 4)
    assert kernels(graph) == 2


def test_large_reductions_of_one_array_read_it_once():
    graph = fused(lambda x: (hb.sum(x), hb.max(x)), spec(*LARGE), rtol=1e-4)
    assert kernels(graph) == 1


def test_integer_sums_widen_inside_the_kernel():
    graph = fused(lambda x: hb.sum(x + 1, axis=0), spec(4, 3, dtype="int32"))
    (body,) = bodies(graph)
    assert names(body) == ["add", "astype", "sum"]


def test_any_and_all_of_numbers():
    graph = fused(lambda x: (hb.any(x, axis=0), hb.all(x, axis=0)), spec(4, 3))
    assert kernels(graph) == 1


# --- what is computed again -----------------------------------------------------------------------


def test_a_cheap_value_is_computed_by_both_its_readers():
    graph = fused(lambda x: (hb.sum(x * 2.0, axis=0), hb.sum(x * 2.0, axis=1)), spec(4, 3))
    assert [len(node.outputs) for node in graph.nodes if node.op.name == "fused"] == [1, 1]
    assert all(names(body) == ["multiply", "sum"] for body in bodies(graph))


def test_an_expensive_value_is_stored_once():
    graph = fused(lambda x: (hb.sum(hb.exp(x), axis=0), hb.sum(hb.exp(x), axis=1)), spec(4, 3))
    assert sum(names(body).count("exp") for body in bodies(graph)) == 1


def test_a_value_of_two_arrays_is_not_worth_reading_both_again():
    def f(x, y):
        return hb.sum(x * y, axis=0), hb.sum(x * y, axis=1)

    graph = fused(f, spec(4, 3), spec(4, 3))
    assert sum(names(body).count("multiply") for body in bodies(graph)) == 1


def test_a_value_is_computed_from_one_that_is_stored_anyway():
    def f(x):
        y = hb.exp(x)
        return y, hb.sum(2.0 * y, axis=0), hb.sum(2.0 * y, axis=1)

    graph = fused(f, spec(4, 3))
    stored = [v.spec.shape for node in graph.nodes for v in node.outputs]
    assert stored.count((4, 3)) == 1


def test_a_scalar_is_computed_where_it_is_used():
    def f(x, y, rate):
        step = rate * 0.5
        return x - step * x, y - step * y

    graph = fused(f, spec(*LARGE), spec(3), spec())
    assert kernels(graph) == 2


# --- what stays apart -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_sums_of_single_elements_join_what_uses_them(dtype):
    graph = fused(lambda x: x[:1].sum() - x[1:].sum() * 2, spec(2, dtype=dtype))
    assert kernels(graph) == 1


def test_reductions_over_different_axes_do_not_share_a_kernel():
    assert kernels(fused(lambda x: (hb.sum(x, axis=0), hb.sum(x, axis=1)), spec(4, 3))) == 2


def test_a_large_full_reduction_does_not_wait_for_its_own_result():
    assert kernels(fused(lambda x: x / hb.sum(x * x), spec(*LARGE), rtol=1e-4)) == 2
    assert kernels(fused(lambda x: x / hb.sum(x * x), spec(8, 8))) == 1


def test_a_large_full_reduction_keeps_what_it_leads_to_on_scalars():
    graph = fused(lambda x: hb.sqrt(hb.sum(x * x)) * 2.0 + 1.0, spec(*LARGE), rtol=1e-4)
    assert kernels(graph) == 1


def test_rows_of_a_large_softmax_are_one_kernel():
    assert kernels(fused(lambda x: hb.softmax(x), spec(*LARGE), rtol=1e-4)) == 1


def test_an_expensive_value_is_not_computed_again_for_each_row():
    graph = fused(lambda x, b: x + hb.exp(b), spec(4, 3), spec(3))
    assert kernels(graph) == 2
    assert kernels(fused(lambda x, b: x + (b + 1.0), spec(4, 3), spec(3))) == 1


def test_no_cycle_through_a_library_call():
    # The exponential may join the product only if the matmul between them does not need it.
    def f(x, w):
        y = hb.exp(x)
        return y * (y @ w)

    graph = fused(f, spec(3, 3), spec(3, 3))
    assert names(graph) == ["fused", "matmul", "fused"]


def test_no_cycle_between_kernels():
    def f(x):
        a = x + 1.0
        b = hb.sum(a, axis=0)  # another kernel: reduces other axes than c
        c = hb.sum(a, axis=1)
        return a * b + hb.expand_dims(c, 1)

    fused(f, spec(4, 4))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_what_has_no_kernels_for_complex_numbers_stays_a_library_call(dtype):
    graph = traced(lambda x: hb.exp(hb.sum(x * x + x, axis=0)), spec(4, 4, dtype=dtype))
    assert names(optimize(graph)) == ["fused", "sum", "exp", "reshape"]


def test_arithmetic_of_complex_numbers_on_cards_stays_library_calls():
    given = TensorSpec((4,), hb.complex64, "cuda:0")
    graph, _ = trace_pure("f", lambda x: x * x + x, (given,))
    assert "fused" not in names(fuse.run(graph))


def test_reductions_of_nothing_stay_library_calls():
    graph = traced(lambda x: hb.sum(x, axis=0), spec(0, 3))
    assert "fused" not in names(optimize(graph))


def test_impure_nodes_keep_their_order():
    said: list[float] = []

    def say(xp, x):
        said.append(float(x))
        return x

    op = Op("say", "control", infer=lambda x: x, eager=say, impure=True)
    a, b = Value(spec()), Value(spec())
    one = Node(OPS["exp"], (a,), {}, (Value(spec()),))
    first = Node(op, (one.output,), {}, (Value(spec()),))
    second = Node(op, (b,), {}, (Value(spec()),))
    last = Node(OPS["add"], (one.output, second.output), {}, (Value(spec()),))
    graph = verify(FuncGraph("f", (a, b), (), (one, first, second, last), (last.output,)))
    after = verify(optimize(graph))
    interpret(after, [np.float32(0), np.float32(7)])
    assert said == [1.0, 7.0]


# --- views ----------------------------------------------------------------------------------------


def test_views_of_inputs_are_read_in_place():
    graph = fused(lambda x, y: x.T[::2] + hb.flip(y), spec(4, 6), spec(3, 4))
    assert names(graph) == ["fused"]
    assert set(names(bodies(graph)[0])) == {"permute_dims", "slice", "flip", "add"}


def test_a_reshape_that_may_copy_stays_outside():
    graph = fused(lambda x: hb.reshape(x, (6, 4)) + 1.0, spec(4, 6))
    assert names(graph) == ["reshape", "fused"]
    assert names(fused(lambda x: x[:, None] + 1.0, spec(4, 6))) == ["fused"]


def test_one_input_can_be_read_in_two_ways():
    graph = fused(lambda x: x + x.T, spec(3, 3))
    (body,) = bodies(graph)
    assert len(body.inputs) == 1


# --- the parts ------------------------------------------------------------------------------------


def test_bits():
    assert list(bits(0b101001)) == [0, 3, 5]


@pytest.mark.parametrize(
    ("space", "axis", "pays"),
    [
        ((16, 16), (0, 1), True),  # small
        ((512, 512), (0, 1), False),  # one row for all threads
        ((4, 1 << 20), (1,), False),
        ((512, 512), (1,), True),
        ((1 << 16, 64), (0,), False),  # columns are taken a thousand at once
        ((64, 1 << 16), (0,), True),
    ],
)
def test_where_another_pass_pays(space, axis, pays):
    assert passes_pay(space, axis) is pays


def test_cheap_ops():
    def cost(function, *specs):
        return [is_cheap(node) for node in traced(function, *specs).nodes]

    assert cost(lambda x: hb.where(x > 0, x, -x), spec(3)) == [True] * 3
    assert cost(lambda x: hb.exp(x), spec(3)) == [False]
    assert cost(lambda x: x.astype("float64"), spec(3)) == [True]


def test_nothing_to_fuse_returns_the_graph_itself():
    graph = traced(lambda x, y: x @ y, spec(2, 3), spec(3, 4))
    assert fuse.run(graph) is graph
