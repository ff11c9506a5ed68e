"""What kernels find while they read: the same elements and errors, and only where it pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.dispatch import bind
from hybrid.core.op import OPS
from hybrid.kernels.kernel import kernel_of
from hybrid.kernels.region import Access, Instr, Region
from hybrid.trace.passes import fuse, keep_axes, reading
from tests.trace.passes.graphs import bodies, check_bodies, names, spec, traced


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let gathers of any size go into kernels."""
    monkeypatch.setattr(reading, "LEAST", 1)
    monkeypatch.setattr(reading, "LEAST_ROW", 0)


def test_a_gather_joins_the_kernel_that_reads_it() -> None:
    graph = traced(lambda t, i: t[i] * 2.0 + 1.0, spec(100, 64), spec(500, dtype="int64"))
    after = fuse.run(graph)
    check_bodies(after)
    assert names(after) == ["in_bounds", "fused"]
    assert names(bodies(after)[0]) == ["gather", "multiply", "add"]


def test_an_average_of_embeddings_is_one_kernel() -> None:
    graph = traced(lambda t, i: t[i].sum(axis=1), spec(100, 64), spec(50, 10, dtype="int32"))
    after = fuse.run(keep_axes.run(graph))
    check_bodies(after)
    assert names(after) == ["in_bounds", "fused", "reshape"]


@pytest.mark.parametrize(
    "function",
    [
        lambda t, i: (t[i] * 2.0, t[i]),  # it is a result
        lambda t, i: (t[i] * 2.0, t[i] @ t.T),  # a library reads it
        lambda t, i: hb.sort(t[i]) * 2.0,
    ],
)
def test_a_gather_that_others_read_stays_outside(function: Any) -> None:
    from hybrid.trace.passes import cse

    graph = cse.run(traced(function, spec(100, 64), spec(500, dtype="int64")))
    after = fuse.run(graph)
    assert "gather" in names(after)
    assert "in_bounds" not in names(after)


@pytest.mark.parametrize("shapes", [((1000, 64), (10,)), ((1000, 3), (10_000,))])
def test_small_results_and_short_rows_stay_outside(shapes: Any) -> None:
    table, index = shapes
    graph = traced(lambda t, i: t[i] * 2.0, spec(*table), spec(*index, dtype="int64"))
    assert "gather" in names(fuse.run(graph))


INDICES = st.sampled_from(["int8", "int32", "int64", "uint8", "uint64"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.data(), INDICES, st.sampled_from(["float32", "float16", "int32", "bool"]))
@pytest.mark.usefixtures("small")
def test_kernels_read_the_elements_that_eager_code_reads(
    data: st.DataObject, kind: str, dtype: str
) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    block = tuple(data.draw(st.lists(st.integers(1, 5), max_size=2)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(0)
    low = 0 if kind.startswith("u") else -shape[axis]
    table = hb.asarray((rng.standard_normal(shape) * 4).astype(dtype))
    index = hb.asarray(rng.integers(low, shape[axis], block).astype(kind))
    turned = data.draw(st.booleans())

    def function(t: hb.Tensor, i: hb.Tensor) -> Any:
        picked = hb.take(t, i, axis=axis)
        picked = picked.T if turned else picked
        return hb.where(picked > 0, picked, 1)

    compiled = hb.compile(function)
    found, wanted = compiled(table, index), function(table, index)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert "gather" in str(compiled.get_concrete_function(table, index).optimized)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("shape", [(3, 4, 70), (70, 4, 3), (3, 70, 2)])
def test_reductions_read_at_indices_in_every_form_of_kernel(
    shape: tuple[int, ...], axis: Any
) -> None:
    rng = np.random.default_rng(1)
    table = hb.asarray(rng.integers(-9, 9, (11, *shape[2:])).astype("float32"))
    index = hb.asarray(rng.integers(-11, 11, shape[:2]))
    scale = hb.asarray(rng.integers(-9, 9, 11).astype("float32"))

    def function(t: hb.Tensor, i: hb.Tensor, s: hb.Tensor) -> Any:
        picked = t[i] * s[i][..., None]
        total = picked.sum(axis=axis, keepdims=True)
        return total, picked - total

    for x, y in zip(hb.compile(function)(table, index, scale), function(table, index, scale)):
        np.testing.assert_array_equal(x.numpy(), y.numpy())


@pytest.mark.usefixtures("small")
def test_several_index_arrays_are_read_together() -> None:
    rng = np.random.default_rng(2)
    x = hb.asarray(rng.standard_normal((5, 6, 7)).astype("float32"))
    rows, columns = hb.asarray(rng.integers(-5, 5, (4, 1))), hb.asarray(rng.integers(-7, 7, 3))
    function = hb.compile(lambda x, i, j: hb.exp(x[i, :, j]))
    np.testing.assert_array_equal(
        function(x, rows, columns).numpy(), hb.compile(hb.exp)(x[rows, :, columns]).numpy()
    )
    assert "in_bounds" in str(function.get_concrete_function(x, rows, columns).optimized)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("bad", [4, -5])
def test_an_index_out_of_bounds_is_the_error_of_eager_code(bad: int) -> None:
    def function(t: hb.Tensor, i: hb.Tensor) -> hb.Tensor:
        return t[i] * 2.0

    table, index = hb.ones((4, 3)), hb.asarray([0, bad])
    with pytest.raises(IndexError) as eager:
        function(table, index)
    compiled = hb.compile(function)
    compiled(table, hb.asarray([0, 3]))
    with pytest.raises(IndexError) as traced_error:
        compiled(table, index)
    assert str(traced_error.value) == str(eager.value)


@pytest.mark.usefixtures("small")
def test_gradients_flow_back_through_a_gather_in_a_kernel() -> None:
    table, index = hb.asarray([1.0, 2.0, 4.0]), hb.asarray([2, 0, 2, -1])

    def loss(t: hb.Tensor) -> hb.Tensor:
        return (t[index] ** 2).sum()

    np.testing.assert_allclose(hb.compile(hb.grad(loss))(table).numpy(), [2.0, 0.0, 24.0])


@pytest.mark.usefixtures("small")
def test_what_is_written_may_not_lie_over_the_table() -> None:
    x = hb.asarray(np.arange(4096, dtype="float32"))
    back = hb.asarray(np.arange(4096)[::-1].copy())
    function = hb.compile(lambda x, i: hb.sqrt(((x @ x) + x)[i]) + 1.0)
    wanted = np.sqrt((x @ x + x).numpy()[::-1]) + np.float32(1)
    np.testing.assert_array_equal(function(x, back).numpy(), wanted)


# --- blocks side by side --------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data(), st.sampled_from(["float32", "float16", "int8", "bool"]))
@pytest.mark.usefixtures("small")
def test_blocks_side_by_side_are_those_of_eager_code(data: st.DataObject, dtype: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(0)
    x, y = (hb.asarray((rng.standard_normal(shape) * 4).astype(dtype)) for _ in "xy")
    backwards = data.draw(st.booleans())
    numbers = st.lists(st.integers(-7, 7), min_size=1, max_size=2, unique=True)
    shift = tuple(data.draw(numbers))
    axes = tuple((axis + i) % len(shape) for i in range(len(shift)))
    width = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))

    def concat(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
        return hb.concat([x, y[:1], y], axis=axis) if axis else hb.concat([x, y, x], axis=axis)

    def roll(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
        return hb.roll(x, shift, axes)

    def pad(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
        return hb.pad(x, width, constant_values=1)

    functions = [roll, pad, *([concat] if shape[0] == 1 or not axis else [])]
    find = data.draw(st.sampled_from(functions))

    def function(x: hb.Tensor, y: hb.Tensor) -> Any:
        found = find(x[::-1] if backwards else x, y)
        return hb.where(found > 0, found, 1)

    compiled = hb.compile(function)
    found, wanted = compiled(x, y), function(x, y)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert len(plan_of(compiled, x, y).kernels) == 1


def plan_of(function: Any, *args: hb.Tensor) -> Any:
    (plan,) = function.get_concrete_function(*args).root.plans.values()
    return plan


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("shape", [(3, 4, 70), (70, 4, 3), (3, 70, 2)])
def test_reductions_read_blocks_in_every_form_of_kernel(shape: tuple[int, ...], axis: Any) -> None:
    rng = np.random.default_rng(1)
    x, y = (hb.asarray(rng.integers(-9, 9, shape).astype("float32")) for _ in "xy")

    def function(x: hb.Tensor, y: hb.Tensor) -> Any:
        both = hb.concat([hb.roll(x, (1, -1), (0, 2)) + 0.0, y], axis=1)
        total = hb.pad(both * 2.0, 1).sum(axis=axis, keepdims=True)
        return total, hb.concat([x, y], axis=2).max(axis=axis)

    for found, wanted in zip(hb.compile(function)(x, y), function(x, y)):
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("axis", [0, 1])
def test_scans_read_blocks(axis: int) -> None:
    x = hb.asarray(np.arange(12, dtype="float32").reshape(3, 4))
    function = lambda x: hb.cumsum(hb.roll(x, 1, axis), axis=axis)
    np.testing.assert_array_equal(hb.compile(function)(x).numpy(), function(x).numpy())


@pytest.mark.usefixtures("small")
def test_a_periodic_stencil_is_one_kernel() -> None:
    u = hb.asarray(np.random.default_rng(3).standard_normal((40, 50)).astype("float32"))

    @hb.compile
    def step(u: hb.Tensor) -> hb.Tensor:
        across = hb.roll(u, 1, 0) + hb.roll(u, -1, 0)
        return across + hb.roll(u, 1, 1) + hb.roll(u, -1, 1) - 4.0 * u

    np.testing.assert_array_equal(step(u).numpy(), step.__wrapped__(u).numpy())
    assert str(plan_of(step, u)).startswith("plan step: 1 kernel, 0 library calls")


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
def test_padding_with_elements_stays_a_library_call(mode: str) -> None:
    graph = traced(lambda x: hb.pad(x, 1, mode) * 2.0, spec(100, 100))
    assert names(fuse.run(graph)) == ["pad", "fused"]


def test_parts_of_other_dtypes_stay_outside() -> None:
    graph = traced(
        lambda x, y: hb.concat([x, y]) * 2.0, spec(100, 100), spec(9, 100, dtype="float16")
    )
    assert "concat" in names(fuse.run(graph))


# --- random words ---------------------------------------------------------------------------------

STATES = st.tuples(*(st.integers(0, 2**64 - 1),) * 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data(), STATES)
@pytest.mark.usefixtures("small")
def test_kernels_draw_the_numbers_of_eager_code(
    data: st.DataObject, words: tuple[int, int, int]
) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3)))
    state = hb.asarray(np.array(words, np.uint64))
    name, attrs = data.draw(
        st.sampled_from(
            [
                ("random_uniform", {"low": 0.0, "high": 1.0, "dtype": hb.float32}),
                ("random_uniform", {"low": -1.0, "high": 2.5, "dtype": hb.float64}),
                ("random_uniform", {"low": 0.0, "high": 1.0, "dtype": hb.float16}),
                ("random_uniform", {"low": 3.0, "high": 3.0, "dtype": hb.bfloat16}),
                ("random_integers", {"low": -3, "high": 10, "dtype": hb.int64}),
                ("random_integers", {"low": -(2**63), "high": 2**63, "dtype": hb.int64}),
                ("random_integers", {"low": 0, "high": 200, "dtype": hb.uint8}),
            ]
        )
    )
    turned = data.draw(st.booleans())
    other = hb.ones(shape[::-1], attrs["dtype"])

    def function(state: hb.Tensor, other: hb.Tensor) -> hb.Tensor:
        drawn = bind(OPS[name], (state,), {"shape": shape, **attrs})
        return drawn * (other.T if turned else 1)

    compiled = hb.compile(function)
    found, wanted = compiled(state, other), function(state, other)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert str(plan_of(compiled, state, other)).startswith("plan function: 1 kernel, 0 library")


def test_dropout_is_one_kernel_and_the_same_in_both_modes() -> None:
    x = hb.asarray(np.random.default_rng(4).standard_normal((200, 300)).astype("float32"))
    eager, traced_one = hb.random.Generator(5), hb.random.Generator(5)

    def dropout(x: hb.Tensor, generator: hb.random.Generator) -> hb.Tensor:
        return hb.where(generator.uniform(x.shape) < 0.9, x / 0.9, 0.0)

    compiled = hb.compile(lambda x: dropout(x, traced_one))
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x).numpy(), dropout(x, eager).numpy())
    assert "1 kernel" in str(plan_of(compiled, x)).partition(",")[0]


def test_sums_of_random_numbers_draw_outside() -> None:
    state = hb.asarray(np.array([1, 2, 3], np.uint64))
    attrs = {"shape": (100, 200), "low": 0.0, "high": 1.0, "dtype": hb.float32}
    function = lambda s: bind(OPS["random_uniform"], (s,), attrs).sum(axis=1)
    np.testing.assert_allclose(hb.compile(function)(state).numpy(), function(state).numpy(), 1e-5)
    assert "random_words" in str(plan_of(hb.compile(function), state)).split("kernel fused")[0]


@pytest.mark.parametrize("dtype", ["uint32", "uint64"])
@pytest.mark.parametrize("strides", [(7, 1), (1, 30)])
def test_a_region_draws_words_in_any_order(dtype: str, strides: tuple[int, int]) -> None:
    state = np.array([3, 5, 2**64 - 2], np.uint64)
    words = Access("uint64", 1, 0, strides, words=dtype)
    out = np.zeros((30, 7), dtype)
    body = (Instr("map", "copy", "{0}", (0,), dtype),)
    kernel, geometry = kernel_of(
        Region((30, 7), (), (words,), body, ((1, Access(dtype, 2, 0, (7, 1))),))
    )
    kernel.call(0, geometry, state, out)
    raw = np.random.Philox(key=state[:2], counter=int(state[2])).random_raw(210)
    stream = raw.astype("<u8").view(dtype)[:210]
    wanted = stream.reshape(30, 7) if strides == (7, 1) else stream.reshape(7, 30).T
    np.testing.assert_array_equal(out, wanted)


def test_a_small_periodic_stencil_is_one_kernel() -> None:
    def stencil(u: Any) -> Any:
        around = (hb.roll(u, by, axis) for by in (1, -1) for axis in (0, 1))
        return u + 0.1 * (sum(around) - 4 * u)

    assert names(fuse.run(traced(stencil, spec(8, 8)))) == ["fused"]


def test_a_roll_that_no_kernel_reads_alone_is_a_kernel_of_its_own() -> None:
    assert names(fuse.run(traced(lambda x: hb.roll(x, 1, 0), spec(8, 8)))) == ["fused"]
    graph = traced(lambda x: hb.roll(x[1], 1, 0) @ x[0], spec(2, 8, 8))
    assert "roll" in names(bodies(fuse.run(graph))[0])


def test_borders_around_short_rows_of_large_arrays_stay_outside() -> None:
    def border(x: Any) -> Any:
        return hb.pad(x, 1) * 2 + 1

    assert names(fuse.run(traced(border, spec(100, 100, 3)))) == ["pad", "fused"]
    assert names(fuse.run(traced(border, spec(8, 8, 3)))) == ["fused"]
