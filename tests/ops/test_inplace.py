"""Writes are NumPy's: the same program of views and writes leaves the same contents everywhere.

The program runs on ndarrays, on eager Tensors, on eager Tensors under a tape, and recorded as a
graph that is then interpreted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.autodiff.tape import GradientTape
from hybrid.core import dispatch
from hybrid.core.graph import Const
from hybrid.core.making import asarray
from hybrid.core.spec import TensorSpec
from hybrid.core.tensor import Tensor
from hybrid.errors import DTypeError, IndexingError, ShapeError
from hybrid.ops import broadcasting, inplace
from hybrid.trace.recorder import GraphRecorder, trace_pure

# --- programs -------------------------------------------------------------------------------------


def write_through_a_slice(x, v):
    y = x[1:]
    y[...] = 7
    return x, y


def view_of_a_view(x, v):
    y = x[1:]
    z = y[:, ::-2]
    z[0] = v[:2]
    y += 1
    return x, y, z


def reshape_and_transpose(x, v):
    flat = x.reshape(-1)
    turned = x.T
    flat[3] = 100
    turned[0] = -1
    return x, flat, turned


def base_is_written_after_the_view(x, v):
    y = x[:, 1]
    x[...] = 5
    x[0] = v
    return y, x


def sibling_views(x, v):
    a, b = x[:2], x[1:]
    a *= 2
    b += a
    return x, a, b


def in_place_arithmetic(x, v):
    x += v
    x *= 2
    x -= 1
    x /= 4
    return x


def part_of_itself(x, v):
    x[1:] = x[:-1]
    return x


def augmented_item(x, v):
    x[1] += 10
    x[:, 0] *= 3
    x[0, 0] += 1
    return x


def swapped_elements(x, v):
    first = x[0, 0]
    x[0, 0] = x[1, 1]
    x[1, 1] = first
    return x


def swapped_rows(x, v):
    row = x[0].copy()
    x[0] = x[1]
    x[1] = row
    return x


def fancy(x, v):
    x[[0, 2], [1, 1]] = v[:2]
    x[:, [0, -1]] += 1
    x[[1]] = v
    return x


def fancy_through_a_view(x, v):
    y = x[1:]
    y[[0, 1], 2] = 50
    y[..., [0]] = [[1.0], [2.0]]
    return x, y


def masked_scalar(x, v):
    x[x > 4] = 0
    x[v > 1] = -2 if x.shape[0] == v.shape[0] else 3
    return x


def masked_rows(x, v):
    rows = x[:, 0] > 2
    x[rows] = v
    return x


def copies_are_apart(x, v):
    y = x.copy()
    z = x + 0
    x[...] = 0
    return y, z, x


def time_steps(x, v):
    for _ in range(3):
        x[1:-1] = x[1:-1] + 0.5 * (x[2:] - 2 * x[1:-1] + x[:-2])
    return x


def newaxis_and_steps(x, v):
    y = x[None, ::2, None]
    y[0, 1, 0, 1:3] = 9
    return y, x


def leading_ones(x, v):
    x[0] = v.reshape(1, 1, -1)
    return x


def scalar_conversion(x, v):
    x[0] = True
    x[1, 1:] = 3
    return x


PROGRAMS = [
    write_through_a_slice, view_of_a_view, reshape_and_transpose, base_is_written_after_the_view,
    sibling_views, in_place_arithmetic, part_of_itself, augmented_item, swapped_elements,
    swapped_rows, fancy, fancy_through_a_view, masked_rows, copies_are_apart,
    time_steps, newaxis_and_steps, leading_ones, scalar_conversion,
]  # fmt: skip


def arguments() -> tuple[np.ndarray, np.ndarray]:
    return np.arange(12.0).reshape(3, 4), np.array([1.5, 0.5, 2.5, -1.0])


def as_tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def interpret(function: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Record `function` as a graph and run the graph on arrays."""
    recorder = GraphRecorder()
    inputs = [recorder.parameter(TensorSpec(a.shape, a.dtype)) for a in arrays]
    values: dict[Any, Any] = {t._data.value: a.copy() for t, a in zip(inputs, arrays)}
    with dispatch.scope(recorder=recorder):
        outputs = [recorder.operand(x) for x in as_tuple(function(*inputs))]
    values |= {value: source._data for source, value in recorder.captures.values()}

    def read(operand: Any) -> Any:
        return operand.value if isinstance(operand, Const) else values[operand]

    for node in recorder.nodes:
        values[node.output] = np.asarray(node.op.eager(np, *map(read, node.inputs), **node.attrs))
    return [np.asarray(read(x)) for x in outputs]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("how", ["eager", "tape", "watched", "graph"])
def test_program_is_numpys(program, how):
    expected = as_tuple(program(*arguments()))
    if how == "graph":
        found = interpret(program, arguments())
    else:
        tensors = tuple(map(asarray, arguments()))
        if how == "eager":
            found = as_tuple(program(*tensors))
        else:
            with GradientTape() as tape:
                if how == "watched":
                    tape.watch(tensors)
                found = as_tuple(program(*tensors))
        found = [t.numpy() if isinstance(t, Tensor) else np.asarray(t) for t in found]
    for ours, numpys in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, numpys)


@pytest.mark.parametrize(
    "program", [p for p in PROGRAMS if p is not masked_rows], ids=lambda p: p.__name__
)
def test_gradient_through_writes(program):
    """The tape's gradient of a sum of what a program leaves equals central differences."""
    x, v = arguments()
    x = x + np.random.default_rng(0).normal(size=x.shape)
    weights = [
        np.random.default_rng(i).normal(size=np.shape(r))
        for i, r in enumerate(as_tuple(program(x.copy(), v.copy())))
    ]

    def total(a, b):
        results = as_tuple(program(a, b))
        return sum((r * r * w).sum() for r, w in zip(results, weights))

    sources = asarray(x.copy()), asarray(v.copy())
    with GradientTape() as tape:
        tape.watch(sources)
        y = total(*sources)
    gradients = tape.gradient(y, sources, unconnected_gradients="zero")
    for i, gradient in enumerate(gradients):
        numeric = np.zeros_like((x, v)[i])
        for place in np.ndindex(numeric.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [x.copy(), v.copy()]
                moved[i][place] += step
                ends.append(total(*moved))
            numeric[place] = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(gradient.numpy(), numeric, rtol=1e-5, atol=1e-5)


def test_gradient_is_of_the_values_before_the_write():
    x = asarray(np.array([1.0, 2.0]))
    with GradientTape() as tape:
        tape.watch(x)
        y = (x * x).sum()
        x[...] = 100.0
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), [2, 4])


def test_masked_scalar_write_is_one_choice_in_a_graph():
    def program(x, v):
        x[x > 4] = 0
        return x

    graph, _ = trace_pure("f", program, [TensorSpec((3, 4), np.dtype("float64"))] * 2)
    assert graph.nodes[0].op.name == "greater"
    (found,) = interpret(program, arguments())
    np.testing.assert_array_equal(found, program(*arguments()))


def test_item_update_in_a_graph_writes_once():
    def program(x):
        x[1] += 10
        return x

    graph, _ = trace_pure("f", program, [TensorSpec((3, 4), np.dtype("float64"))])
    assert [node.op.name for node in graph.nodes].count("view_update") == 1


def test_eager_writes_go_to_the_ndarray():
    array = np.zeros(3)
    x = asarray(array)
    x[1:] = 4
    x += 1
    np.testing.assert_array_equal(array, [1, 5, 5])


def test_assignment_casts_as_numpys_does():
    x, expected = asarray(np.zeros(3, np.int32)), np.zeros(3, np.int32)
    for target in (x, expected):
        target[0] = 2.9
        target[1:] = np.array([1.5, -1.5])
    np.testing.assert_array_equal(x.numpy(), expected)
    with pytest.raises(OverflowError):
        asarray(np.zeros(2, np.uint8))[0] = 300


def test_in_place_operators_cast_within_a_kind_only():
    x = asarray(np.zeros(2, np.int32))
    with pytest.raises(TypeError):
        x += 0.5
    with pytest.raises(
        DTypeError, match=r"dtype float64 cannot be written into a Tensor of dtype int32"
    ):
        inplace.write(x, np.zeros(2))
    inplace.write(x, np.ones(2, np.int64))
    inplace.write(x, 3)
    assert x.tolist() == [3, 3]


def test_read_only_memory():
    x = broadcasting.broadcast_to(np.zeros(1), (3,))
    with pytest.raises(ValueError, match="assignment destination is read-only"):
        x[0] = 1
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        inplace.write(asarray(frozen), 1)

    def program(x):
        y = broadcasting.broadcast_to(x[:1], (3,))
        y[0] = 1
        return y

    with pytest.raises(ValueError, match="read-only"):
        trace_pure("f", program, [TensorSpec((3,), np.dtype("float64"))])


def test_errors_name_the_shapes():
    x = asarray(np.zeros((3, 4)))
    with pytest.raises(ShapeError, match=r"a value of shape \(3,\) does not fit .* shape \(4,\)"):
        x[0] = np.zeros(3)
    with pytest.raises(ShapeError, match=r"of shape \(3,\) does not fit .* of shape \(2, 4\)"):
        x[[0, 1]] = np.zeros(3)
    with pytest.raises(IndexingError, match="index 3 is out of bounds for axis 0"):
        x[3] = 0
    with pytest.raises(IndexingError, match="index 7 is out of bounds for axis 1"):
        x[0, [7]] = 0
    with pytest.raises(ShapeError, match=r"shape \(5,\) does not fit"):
        inplace.write(x, np.zeros(5))
    with GradientTape(), pytest.raises(ShapeError, match=r"shape \(3,\) does not fit"):
        x[0] = np.zeros(3)
    np.testing.assert_array_equal(x.numpy(), np.zeros((3, 4)))


def test_out():
    out = np.zeros(3)
    result = inplace.deliver(asarray(np.arange(3.0)), out)
    np.testing.assert_array_equal(out, [0, 1, 2])
    assert np.shares_memory(result.numpy(), out)
    with pytest.raises(ShapeError, match=r"out= has shape \(3,\), the result has shape \(2,\)"):
        inplace.deliver(asarray(np.arange(2.0)), out)


def test_view_update_survives_other_strides():
    """A reshape that is a view of some strides is written by position under others."""
    from hybrid.core.op import OPS

    base = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    chain = (
        ("permute_dims", (("axes", (1, 0)),)),
        ("reshape", (("shape", (6,)),)),
        ("slice", (("sizes", (2,)), ("starts", (1,)), ("steps", (1,)))),
    )
    found = OPS["view_update"].eager(np, base, np.array([10.0, 20.0]), chain=chain)
    expected = base.copy(order="F")
    expected.T.reshape(-1)[1:3] = [10, 20]
    np.testing.assert_array_equal(found, expected)


WITH_OPTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda xp, x, m, o: x.sum(axis=0, out=o),
    "sum where": lambda xp, x, m, o: xp.sum(x, axis=0, where=m, out=o),
    "sum initial": lambda xp, x, m, o: x.sum(axis=0, initial=5),
    "prod": lambda xp, x, m, o: xp.prod(x, axis=0, out=o),
    "max": lambda xp, x, m, o: x.max(axis=0, where=m, initial=-9, out=o),
    "min": lambda xp, x, m, o: xp.min(x, axis=0, initial=0),
    "any": lambda xp, x, m, o: x.any(axis=0, where=m),
    "all": lambda xp, x, m, o: xp.all(x, axis=0, where=m),
    "mean": lambda xp, x, m, o: x.mean(axis=0, out=o),
    "mean where": lambda xp, x, m, o: x.mean(axis=0, where=m),
    "var": lambda xp, x, m, o: x.var(axis=0, ddof=1, out=o),
    "std where": lambda xp, x, m, o: xp.std(x, axis=0, where=m),
    "argmax": lambda xp, x, m, o: x.argmax(axis=0, out=xp.zeros(2, dtype=xp.int64)),
    "cumsum": lambda xp, x, m, o: x[0].cumsum(out=o),
    "cumprod": lambda xp, x, m, o: xp.cumprod(x[0], out=o),
    "clip": lambda xp, x, m, o: x[0].clip(0, 1, out=o),
    "round": lambda xp, x, m, o: x[1].round(out=o),
    "take": lambda xp, x, m, o: xp.take(x, xp.asarray([0, 1]), out=o),
    "dot": lambda xp, x, m, o: xp.dot(x.T, x[:, 0], out=o),
    "matmul": lambda xp, x, m, o: xp.matmul(x.T, x[:, 0], out=o),
}


@pytest.mark.parametrize("name", WITH_OPTIONS)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
def test_numpys_options_of_methods_and_functions_mean_the_same(name: str, compiled: bool) -> None:
    call = WITH_OPTIONS[name]
    x = np.array([[1.5, -2.0], [0.25, 3.0], [4.0, 0.5]])
    m = np.array([[True, False], [True, True], [True, True]])

    def with_views(xp: Any, x: Any, m: Any) -> Any:
        memory = xp.full((2, 2), 7.0)
        found = call(xp, x, m, memory[0])
        return found, memory

    def ours(x: Any, m: Any) -> Any:
        return with_views(hb, x, m)

    with hb.default_dtype(hb.float64):
        run = hb.compile(ours, fullgraph=True) if compiled else ours
        found = run(hb.asarray(x), hb.asarray(m))
        for ours_, theirs in zip(found, with_views(np, x, m), strict=True):
            np.testing.assert_allclose(ours_.numpy(), theirs, rtol=1e-12)
            assert ours_.dtype == theirs.dtype


def test_the_real_part_of_real_numbers_is_written_where_they_are() -> None:
    def f(x: Any) -> Any:
        part = np.real(x)
        part[0] += 5
        x.real[1] = 7
        return part + x.real

    want = np.arange(3.0)
    result = f(want)
    for run in (f, hb.compile(f)):
        x = hb.asarray(np.arange(3.0))
        np.testing.assert_array_equal(run(x), result)
        np.testing.assert_array_equal(x, want)


def shared() -> tuple[hb.Tensor, hb.Tensor]:
    x = hb.asarray(np.arange(6.0, dtype=np.float32), copy=True)
    return x, x[1:5]


@pytest.mark.parametrize("other", [2.0, 3, "y", "itself", "wide", "list"])
def test_in_place_operators_on_shared_memory_are_numpys(other):
    a = np.arange(6.0, dtype=np.float32)
    x, part = shared()
    mine, theirs = {
        "y": (hb.asarray([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0], np.float32)),
        "itself": (x[:4], a[:4]),
        "wide": (hb.asarray(np.full(4, 0.1)), np.full(4, 0.1)),
        "list": ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]),
    }.get(other, (other, other))
    view, alias = a[1:5], part
    part *= mine
    view *= theirs
    assert part is alias
    assert x.numpy().tobytes() == a.tobytes()
    x -= 1.0
    a -= 1.0
    assert part.numpy().tobytes() == view.tobytes()


def test_in_place_operators_on_shared_memory_refuse_what_numpy_refuses():
    x, part = shared()
    whole = hb.arange(6)[1:]
    for wrong in (lambda: part.__iadd__(hb.ones(3)), lambda: whole.__iadd__(0.5)):
        with pytest.raises((ValueError, TypeError)):
            wrong()
    frozen = np.arange(4.0)
    frozen.flags.writeable = False
    locked = hb.asarray(frozen, copy=False)[1:]
    with pytest.raises(ValueError, match="read-only"):
        locked += 1.0
    assert (x.tolist(), whole.tolist()) == ([0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5])


def test_what_a_tape_saved_outlives_in_place_operators_after_it():
    x, _ = shared()
    with hb.GradientTape() as tape:
        tape.watch(x)
        part = x[1:5]
        y = (part * part).sum() + (x * x * x).sum()
    part += 10.0
    x *= 0.0
    wanted = [0.0, 3 + 2, 12 + 4, 27 + 6, 48 + 8, 75.0]
    assert tape.gradient(y, x).tolist() == wanted
    with hb.GradientTape() as tape:
        tape.watch(factor := hb.asarray(3.0))
        part += factor  # memory that was written before
        y = x.sum()
    assert tape.gradient(y, factor).item() == 4.0
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        part /= 0.0
    assert x[1:5].tolist() == part.tolist()


# --- what is written overlaps what is read --------------------------------------------------------

View = Callable[[Any], Any]


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize(
    ("target", "source"),
    [
        (lambda y: y[:, 2], lambda y: y[1]),
        (lambda y: y[1], lambda y: y[:, 2]),
        (lambda y: y.T[2], lambda y: y[1]),
        (lambda y: y.reshape(-1)[:: y.shape[0] + 1], lambda y: y[1]),
        (lambda y: y[0, :4:2], lambda y: y[0, 1:3]),
        (lambda y: y[0, 1:3], lambda y: y[0, :4:2]),
        (lambda y: y[1, 1:], lambda y: y[1, :-1]),
        (lambda y: y[1, :-1], lambda y: y[1, 1:]),
        (lambda y: y[1], lambda y: y[1, ::-1]),
        (lambda y: y, lambda y: y.T),
    ],
)
def test_what_is_read_is_what_was_there_before_the_write(
    target: View, source: View, copied: bool
) -> None:
    def whole(x: Any) -> Any:
        y = np.zeros((4, 4)) if isinstance(x, np.ndarray) else hb.zeros((4, 4), dtype="float64")
        y += x
        y[1] = x * x[3]
        value = source(y)
        target(y)[...] = value.copy() if copied or isinstance(x, np.ndarray) else value
        return y

    def total(x: Any) -> Any:
        return (whole(x) * weights).sum()

    x, weights, step = np.array([1.0, 4.0, 9.0, 16.0]), np.arange(16.0).reshape(4, 4), 0.5
    for found in (
        whole(hb.asarray(x)),
        hb.compile(whole)(hb.asarray(x)),
        hb.vmap(whole)(x[None])[0],
    ):
        np.testing.assert_array_equal(found, whole(x))
    slopes = [(total(x + e) - total(x - e)) / (2 * step) for e in np.eye(4) * step]  # of squares
    for gradient in (hb.grad(total), hb.compile(hb.grad(total)), hb.grad(hb.compile(total))):
        np.testing.assert_allclose(gradient(hb.asarray(x)), slopes)


def test_a_row_written_to_a_column_by_an_index_is_read_before() -> None:
    x = hb.asarray(np.arange(16.0).reshape(4, 4))
    wanted = x.numpy().copy()
    wanted[:, 2] = wanted[1].copy()
    x[:, 2] = x[1]
    np.testing.assert_array_equal(x, wanted)
