"""The passes that look at one place of a graph: what each finds, and what it leaves."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import hybrid as hb
from hybrid.core.graph import Const, FuncGraph, Node, Value, verify
from hybrid.core.interpret import interpret
from hybrid.core.op import OPS, Op
from hybrid.errors import GraphError
from hybrid.trace import passes
from hybrid.trace.passes import casts, cse, dead_code, expand, fold, keep_axes, movement, optimize
from hybrid.trace.passes.casts import loses_nothing
from tests.trace.passes.graphs import assert_same, names, sample, spec, traced


def after(step, function, *specs, rtol=0.0):
    """Run one pass and the removal of dead code over a traced function."""
    graph = traced(function, *specs)
    new = verify(dead_code.run(step.run(graph)))
    assert_same(graph, new, sample(graph), rtol=rtol)
    return new


# --- dead code and common subexpressions ----------------------------------------------------------


def test_dead_code_goes():
    def f(x):
        hb.exp(x) * 2.0
        return x + 1.0

    assert names(dead_code.run(traced(f, spec(3)))) == ["add"]


def test_impure_nodes_stay():
    op = Op("say", "control", infer=lambda x: x, eager=lambda xp, x: x, impure=True)
    x = Value(spec(3))
    twice = tuple(Node(op, (x,), {}, (Value(spec(3)),)) for _ in range(2))
    graph = verify(FuncGraph("f", (x,), (), twice, (x,)))
    assert names(optimize(graph)) == ["say", "say"]


def test_equal_expressions_are_computed_once():
    graph = after(cse, lambda x: hb.exp(x + 1.0) * hb.exp(x + 1.0), spec(3))
    assert names(graph) == ["add", "exp", "multiply"]


def test_literals_that_print_alike_are_not_the_same():
    graph = after(cse, lambda x: (x + 0.0, x + (-0.0)), spec(3))
    assert names(graph) == ["add", "add"]


def test_attributes_that_compare_equal_are_not_the_same():
    def full(value):
        return Node(
            OPS["pad"],
            (x,),
            {"width": ((1, 1),), "mode": "constant", "value": value},
            (Value(spec(5)),),
        )

    x = Value(spec(3))
    nodes = (full(0.0), full(-0.0), full(1), full(True))
    graph = FuncGraph("f", (x,), (), nodes, tuple(n.output for n in nodes))
    assert cse.run(graph) is graph


# --- constant folding -----------------------------------------------------------------------------


def test_what_depends_on_literals_is_computed():
    graph = after(fold, lambda x: x + hb.sqrt(hb.full((), 4.0)), spec(3))
    assert names(graph) == ["add"]
    assert graph.nodes[0].inputs[1] == Const(2.0, np.dtype("float32"))


def test_a_filled_array_is_read_as_a_literal():
    graph = traced(lambda x: x * hb.exp(hb.zeros(3)) + hb.ones((2, 3)), spec(3))
    simple = optimize(graph)
    (body,) = (node.attrs["body"] for node in simple.nodes if node.op.name == "fused")
    assert names(body) == ["add"]
    assert_same(graph, simple, sample(graph))


def test_full_of_a_value_is_a_broadcast():
    graph = after(fold, lambda x: hb.full((2, 3), x, dtype="float64"), spec(3))
    assert names(graph) == ["astype", "broadcast_to"]


def test_errors_are_left_for_the_run():
    op = OPS["integer_pow"]
    two, minus = Const(2, np.dtype("int64")), Const(-1, np.dtype("int64"))
    node = Node(op, (two, minus), {}, (Value(spec(dtype="int64")),))
    graph = verify(FuncGraph("f", (), (), (node,), (node.output,)))
    assert fold.run(graph) is graph


def test_ranges_are_no_literals():
    graph = traced(lambda: hb.arange(5))
    assert fold.run(graph) is graph


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.0])
def test_folding_keeps_special_values(value):
    graph = traced(lambda x: (hb.negative(hb.full((), value)), x), spec(3))
    assert_same(graph, fold.run(graph), sample(graph))


def test_folding_bfloat16():
    graph = traced(lambda: hb.full((2,), 1.5, dtype=ml_dtypes.bfloat16) * 2)
    simple = optimize(graph)
    assert names(simple) == ["full"]
    assert simple.outputs[0].spec.dtype == ml_dtypes.bfloat16


# --- casts ----------------------------------------------------------------------------------------


def test_a_cast_to_its_own_dtype_goes():
    assert names(after(casts, lambda x: x.astype("float32"), spec(3))) == []


def test_a_cast_there_and_back_goes():
    assert names(after(casts, lambda x: x.astype("float64").astype("float32"), spec(3))) == []


def test_a_cast_by_way_of_a_wider_dtype_is_direct():
    graph = after(casts, lambda x: x.astype("int32").astype("int64"), spec(3, dtype="int8"))
    assert names(graph) == ["astype"]


@pytest.mark.parametrize(
    ("start", "middle", "end"),
    [
        ("float64", "float32", "float64"),  # loses digits
        ("int64", "float64", "int64"),  # NumPy calls the first cast safe
        ("uint8", "float32", "int8"),  # wraps around or does not
        ("int32", "bool", "int32"),
    ],
)
def test_casts_that_lose_something_stay(start, middle, end):
    graph = traced(lambda x: x.astype(middle).astype(end), spec(3, dtype=start))
    assert casts.run(graph) is graph


@pytest.mark.parametrize("source", ["bool", "int8", "uint8", "int32", "int64", "float32"])
@pytest.mark.parametrize("target", ["int8", "int32", "uint64", "float16", "float32", "float64"])
def test_losing_nothing_means_there_and_back_again(source, target):
    extremes = np.array([0, 1], source)
    if source != "bool":
        info = np.iinfo(source) if extremes.dtype.kind in "iu" else np.finfo(source)
        extremes = np.array([info.min, info.max, info.max // 3, 1], source)
    if loses_nothing(np.dtype(source), np.dtype(target)):
        there = extremes.astype(target)
        assert [int(x) for x in extremes] == [int(x) for x in there]
        np.testing.assert_array_equal(there.astype(source), extremes)


# --- movement -------------------------------------------------------------------------------------

MOVEMENT = {
    "two permutations": (lambda x: hb.permute_dims(hb.permute_dims(x, (1, 2, 0)), (1, 0, 2)), 1),
    "there and back": (lambda x: x.T.T, 0),
    "the identity": (lambda x: hb.permute_dims(x, (0, 1, 2)), 0),
    "reshapes": (lambda x: hb.reshape(hb.reshape(x, (6, 4)), (24,)), 1),
    "reshape and back": (lambda x: hb.reshape(hb.reshape(x, (6, 4)), (2, 3, 4)), 0),
    "expand and squeeze": (lambda x: hb.squeeze(hb.expand_dims(x, 1), 1), 0),
    "slices": (lambda x: x[:, 1:, ::-1][:, ::2, 1:3], 1),
    "a slice of everything": (lambda x: x[:], 0),
    "reversed twice": (lambda x: hb.flip(hb.flip(x)), 0),
    "reversed in parts": (lambda x: hb.flip(hb.flip(x, 0), 1), 1),
    "broadcasts": (lambda x: hb.broadcast_to(hb.broadcast_to(x, (5, 2, 3, 4)), (6, 5, 2, 3, 4)), 1),
    "a broadcast to its own shape": (lambda x: hb.broadcast_to(x, (2, 3, 4)), 0),
    "one array joined": (lambda x: hb.concat([x]), 0),
    "no padding": (lambda x: hb.pad(x, 0), 0),
    "tiled once": (lambda x: hb.tile(x, (1, 1, 1)), 0),
}


@pytest.mark.parametrize("name", MOVEMENT)
def test_movement(name):
    function, count = MOVEMENT[name]
    assert len(after(movement, function, spec(2, 3, 4)).nodes) == count


def test_a_broadcast_operand_is_read_as_it_is():
    graph = after(movement, lambda x, y: hb.broadcast_to(x, (4, 3)) + y, spec(3), spec(4, 3))
    assert names(graph) == ["add"]


def test_broadcasts_sink_below_elementwise_ops():
    graph = after(movement, lambda x: hb.exp(hb.broadcast_to(x, (4, 3))), spec(3), rtol=1e-6)
    assert names(graph) == ["exp", "broadcast_to"]
    assert graph.nodes[0].output.spec.shape == (3,)


def test_views_of_a_filled_array_are_filled_arrays():
    graph = optimize(traced(lambda: hb.reshape(hb.ones((2, 3)).T, (6,))))
    assert names(graph) == ["full"]


# --- reductions keep their axes -------------------------------------------------------------------


@pytest.mark.parametrize("reduce", [hb.sum, hb.prod, hb.max, hb.min])
@pytest.mark.parametrize("keepdims", [False, True])
def test_a_reduction_of_one_element_is_the_element(reduce, keepdims):
    graph = traced(lambda x: reduce(x, axis=1, keepdims=keepdims), spec(6, 1))
    new = verify(dead_code.run(keep_axes.run(graph)))
    assert reduce.__name__ not in names(new)
    x = np.array([[0.0], [-0.0], [np.inf], [-np.inf], [np.nan], [1e-45]], np.float32)
    (expected,), (got,) = interpret(graph, [x]), interpret(new, [x])
    assert got.tobytes() == expected.tobytes()


def test_a_sum_of_one_small_integer_widens():
    graph = after(keep_axes, lambda x: hb.sum(x, axis=0), spec(1, 3, dtype="int16"))
    assert names(graph) == ["astype", "reshape"]


def test_the_axes_are_kept_and_dropped_behind_what_uses_them():
    graph = after(keep_axes, lambda x: hb.sqrt(hb.sum(x, axis=1)) * 2.0, spec(4, 3))
    assert names(graph) == ["sum", "sqrt", "multiply", "reshape"]
    assert graph.nodes[2].output.spec.shape == (4, 1)


def test_putting_the_axis_back_finds_it_kept():
    graph = after(keep_axes, lambda x: x - hb.max(x, axis=1)[:, None], spec(4, 3))
    assert names(graph) == ["max", "subtract"]


def test_other_operands_get_the_axis():
    graph = after(keep_axes, lambda x, y: hb.max(x, axis=1) + y, spec(4, 3), spec(4))
    assert names(graph) == ["max", "reshape", "add", "reshape"]


def test_an_axis_that_does_not_fit_stays_dropped():
    # The sums over rows meet the columns: with its axis kept the sum would broadcast otherwise.
    graph = after(keep_axes, lambda x: x + hb.sum(x, axis=1), spec(3, 3))
    assert names(graph) == ["sum", "reshape", "add"]
    graph = after(keep_axes, lambda x: x + hb.sum(x, axis=0), spec(3, 3))
    assert names(graph) == ["sum", "add"]


# --- rows put together again ----------------------------------------------------------------------


def test_a_stack_of_all_rows_is_the_array():
    graph = after(movement, lambda x: hb.stack([x[i] for i in range(6)]) + 1.0, spec(6, 3))
    assert names(graph) == ["add"]


def test_a_stack_of_some_rows_is_a_part_between_others():
    def f(x, y):
        return hb.stack([y, *(x[i] for i in range(1, 6)), x[5], y])

    assert names(after(movement, f, spec(7, 3), spec(3))).count("concat") == 1


@pytest.mark.parametrize("rows", [[0, 2, 4, 6], [3, 2, 1, 0], [0, 1, 2], [1, 1, 1, 1]])
def test_rows_that_do_not_follow_each_other_are_stacked(rows):
    graph = after(movement, lambda x: hb.stack([x[i] for i in rows]), spec(7, 3))
    assert "stack" in names(graph)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: hb.stack([x[i, 1:] for i in range(7)]),
        lambda x: hb.stack([x[i, ::-1] for i in range(7)]),
        lambda x: hb.stack([x[:, 0], *(x.T[i] for i in range(3))], axis=1),
        lambda x: hb.stack([x[i].astype("float64") for i in range(7)]),
        lambda x: hb.stack([x[i : i + 1] for i in range(7)]),
    ],
)
def test_parts_of_rows_are_no_rows(f):
    after(movement, f, spec(7, 3))


# --- stacks of computed arrays --------------------------------------------------------------------


def slope(s):
    x, y, z = s[0], s[1], s[2]
    return hb.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 2.5 * z])


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 4), (3, 2, 5)])
def test_stages_of_an_integration_are_one_kernel_and_a_stack(shape):
    def step(s):
        k = slope(s)
        return s + 0.5 * (k + slope(s + 0.1 * k))

    assert names(after(movement, step, spec(*shape))).count("stack") == 1
    assert names(optimize(traced(step, spec(*shape)))) == ["fused", "stack"]


@pytest.mark.parametrize("other", [(), (1,), (4,), (3, 1), (1, 4), (1, 1), (3, 4)])
def test_operands_beside_a_stack_give_their_rows(other):
    def f(a, b, c, y):
        s = hb.stack([a + 1.0, b * 2.0, hb.exp(c)])
        return hb.where(s > y, s, -y)[1] + y

    graph = after(movement, f, spec(4), spec(4), spec(4), spec(*other), rtol=1e-6)
    assert "stack" not in names(graph)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: hb.stack([x[0] + 1.0, x[1] * 2.0, x[2] - 1.0], axis=1) * 2.0,
        lambda x: hb.stack([x[0], x[1] * 2.0, x[2]]) * 2.0,
        lambda x: hb.stack([x[0] + 1.0] * 5) * 2.0,
        lambda x: hb.stack([x[0] + 1.0, x[1].astype("float64")]) * 2.0,
    ],
)
def test_stacks_along_other_axes_of_many_or_of_what_is_in_memory_stay(f):
    assert names(after(movement, f, spec(3, 4)))[-2:] == ["stack", "multiply"]


@pytest.mark.parametrize(
    "take",
    [
        lambda s: s[1, 1:],
        lambda s: s[1, ::-1],
        lambda s: s[0:2],
        lambda s: s[1:2],
        lambda s: s[::2],
        lambda s: s[-1],
        lambda s: s[:, 1],
    ],
)
def test_parts_of_a_stack_are_those_of_its_rows(take):
    def f(x):
        s = hb.stack([x[0] + 1.0, x[1] * 2.0, hb.full((4,), 3.0)])
        return take(s) + 1.0

    after(movement, f, spec(3, 4))


# --- expansion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mean", "var", "std", "softmax", "log_softmax", "logsumexp"])
def test_composites_are_written_out(name):
    graph = after(expand, lambda x: getattr(hb, name)(x, axis=1), spec(4, 3), rtol=1e-5)
    assert name not in names(graph)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("dtype", ["float32", "int8", "bool"])
def test_places_of_extremes_are_the_first_ones(name, dtype):
    """Equal elements, NaN among them, in every column."""
    x = np.array([[1, 1, np.nan], [0, 2, np.nan], [2, 2, 0], [2, 0, np.nan]], np.float32)
    x = np.nan_to_num(x).astype(dtype) if dtype != "float32" else x
    for axis in (0, 1):
        graph = traced(lambda x: getattr(hb, name)(x, axis=axis), spec(*x.shape, dtype=dtype))
        new = verify(expand.run(graph))
        assert name not in names(new)
        assert_same(graph, new, [x])


def test_long_rows_are_searched_by_numpy():
    graph = traced(lambda x: (hb.argmax(x, axis=1), hb.argmax(x)), spec(4, 100))
    assert expand.run(graph) is graph


def test_composites_without_kernels_stay():
    graph = traced(lambda x: hb.mean(x), spec(4, dtype="complex64"))
    assert expand.run(graph) is graph
    graph = traced(lambda x: hb.stack([x, x]), spec(4))
    assert expand.run(graph) is graph


# --- all together ---------------------------------------------------------------------------------


def test_passes_are_switched_off_by_name(monkeypatch):
    graph = traced(lambda x: hb.exp(x) + hb.exp(x), spec(3))
    monkeypatch.setenv("HYBRID_PASSES_OFF", "fuse, cse")
    assert names(optimize(graph)) == ["exp", "exp", "add"]
    monkeypatch.setenv("HYBRID_PASSES_OFF", ",".join(p.name for p in passes.PASSES))
    assert optimize(graph) is graph


def test_graphs_are_checked_after_each_pass(monkeypatch):
    broken = passes.Pass("broken", lambda graph: FuncGraph("f", (), (), graph.nodes, graph.outputs))
    graph = traced(lambda x: hb.exp(x), spec(3))
    monkeypatch.setattr(passes, "PASSES", (broken,))
    monkeypatch.setenv("HYBRID_DEBUG", "1")
    with pytest.raises(GraphError):
        optimize(graph)
    monkeypatch.setenv("HYBRID_DEBUG", "0")
    optimize(graph)


def test_names_are_unique_and_each_pass_says_what_it_does():
    assert len({step.name for step in passes.PASSES}) == len(passes.PASSES)
    for step in passes.PASSES:
        assert step.run.__doc__
