"""Every form of kernel gives what NumPy gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.kernels import cpu, loopnest, parallel
from hybrid.kernels.kernel import kernel_of
from hybrid.kernels.region import Access, Instr, Literal, Region
from hybrid.kernels.spec import dataflow, quotients_by_root
from tests.kernels.reference import (
    access_of,
    check,
    layer_norm,
    make_region,
    mapped,
    reduce,
    scan,
    softmax,
)

F32 = "float32"
RTOL = {"float32": 2e-6, "float64": 4e-15}
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def normal(shape: tuple[int, ...], dtype: str = F32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# --- maps -----------------------------------------------------------------------------------


@st.composite
def strided_views(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A view into a base array: transposed, reversed, stepped, broadcast."""
    rank = draw(st.integers(0, 3))
    shape = tuple(draw(st.lists(st.integers(0, 7), min_size=rank, max_size=rank)))
    steps = draw(st.lists(st.sampled_from([1, 1, -1, 2]), min_size=rank, max_size=rank))
    base = normal(tuple(n * abs(step) for n, step in zip(shape, steps, strict=True)))
    view = base[(*(slice(None, None, step) for step in steps), ...)]
    return np.transpose(view, draw(st.permutations(range(rank)))), base


@given(strided_views(), st.data())
def test_map_over_any_strides(pair: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    view, base = pair
    other = normal(view.shape, seed=1)
    for axis in range(view.ndim):
        if data.draw(st.booleans()):
            other = other[(slice(None),) * axis + (slice(0, 1),)]
    if base.size == 0:
        base, view = np.zeros(1, F32), np.zeros(view.shape, F32)
    other = other.copy()
    if other.size == 0:
        return
    body = [mapped("multiply", "{0} * {1}", (0, 1), F32)]
    check(view.shape, (), [view, other], body, [(2, F32, False)], bases=[base, other])


@pytest.mark.parametrize(
    ("shape", "small"),
    [((5000, 10), (10,)), ((9, 63), (63,)), ((3, 700, 10), (3, 1, 10)), ((2, 8000, 3), (2, 1, 3))],
)
def test_short_rows_repeat(shape: tuple[int, ...], small: tuple[int, ...]) -> None:
    x, bias = normal(shape), normal(small, seed=1)
    body = [mapped("add", "{0} + {1}", (0, 1), F32)]
    kernel, _ = check(shape, (), [x, bias], body, [(2, F32, False)])
    assert kernel.spec.inputs[1].inner == "p"


def test_a_map_over_nothing_touches_nothing() -> None:
    x, result = np.zeros(1, F32), np.full(1, 5, F32)
    access = Access(F32, 1, 0, (1,))
    body = (mapped("add", "{0} + 1", (0,), F32),)
    kernel, geometry = kernel_of(Region((0,), (), (access,), body, ((1, access),)))
    kernel.call(0, geometry, x, result)
    assert result[0] == 5


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_arithmetic_wraps_at_its_own_width(dtype: str) -> None:
    info = np.iinfo(dtype)
    x = np.array([info.min, info.max, 0, 1, 7, info.max - 1], dtype)
    y = np.array([info.max, info.max, 5, info.min, 3, 2], dtype)
    body = [
        mapped("mix", "({0} + {1}) * {1} - {0}", (0, 1), dtype),
        mapped("less", "{0} < {1}", (2, 1), "bool"),
        mapped("select", "select({0}, {1}, -{2})", (3, 0, 2), dtype),
    ]
    check(x.shape, (), [x, y], body, [(2, dtype, False), (4, dtype, False), (3, "bool", False)])


def test_booleans() -> None:
    x, y = (np.array(v) for v in ([True, True, False, False], [True, False, True, False]))
    body = [
        mapped("and", "{0} & {1}", (0, 1), "bool"),
        mapped("or", "{0} | not_({1})", (0, 1), "bool"),
        mapped("xor", "{0} ^ {1}", (2, 3), "bool"),
    ]
    check((4,), (), [x, y], body, [(2, "bool", False), (3, "bool", False), (4, "bool", False)])


HARD = [0.0, -0.0, 0.5, -0.5, 1.5, -1.0, 127.6, 128.0, 255.5, 300.0, -129.0, 65536.5]
HARD += [2.0**31, -(2.0**31), 2.0**32, 2.0**63, 2.0**64, -1e10, 1e20, -1e20]
HARD += [np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("source", ["float32", "float64", "int64", "uint8", "bool"])
def test_casts_are_numpys(source: str) -> None:
    targets = [*INTEGERS, "float32", "float64", "bool"]
    if source.startswith("float"):
        x = np.array(HARD, source)
    else:
        x = np.array([0, 1, 2, 127, 128, 200, 255], "int64").astype(source)
        if source == "int64":
            x = np.concatenate([x, -x, [2**40 + 3, -(2**62), 2**63 - 1]])
    body = [Instr("cast", target, "", (0,), target) for target in targets]
    outputs = [(1 + i, target, False) for i, target in enumerate(targets)]
    region, results = make_region(x.shape, (), [(x, x)], body, outputs)
    kernel, geometry = kernel_of(region)
    kernel.call(0, geometry, x, *results)
    for target, got in zip(targets, results, strict=True):
        with np.errstate(all="ignore"):
            want = x.astype(target)
        if target == "uint32" and source.startswith("float"):
            # NumPy's vector loop and its scalar remainder differ from each other here.
            consistent = x >= -(2.0**31)
            got, want = got[consistent], want[consistent]
        np.testing.assert_array_equal(got, want, err_msg=f"{source} to {target}")


def test_outputs_over_inputs() -> None:
    """In place, while another output does not depend on the overwritten input."""
    a, b = normal((1000,)), normal((1000,), seed=1)
    want = a + 1, b * 2
    access = Access(F32, 1, 0, (1,))
    body = (mapped("add", "{0} + 1", (0,), F32), mapped("double", "{0} * 2", (1,), F32))
    region = Region((1000,), (), (access, access), body, ((2, access), (3, access)))
    kernel, geometry = kernel_of(region)
    kernel.call(0, geometry, a, b, b, a)
    np.testing.assert_array_equal(b, want[0])
    np.testing.assert_array_equal(a, want[1])


@pytest.mark.parametrize("dtype", [F32, "float64"])
@pytest.mark.parametrize("chained", [False, True])
def test_what_fills_no_vector_is_computed_as_the_rest_is(dtype: str, chained: bool) -> None:
    body = (
        mapped("exp", "exp({0})", (0,), dtype),
        mapped("tanh", "tanh({0})", (3 if chained else 1,), dtype),
        mapped("sum", "{0} + {1} * {2}", (3, 4, 2), dtype),
        Instr("cast", "cast", "", (5,), "float32" if dtype == "float64" else "int8"),
    )
    x, y, bias = normal((300,), dtype), normal((300,), dtype, seed=1), normal((1,), dtype, seed=2)
    one, none = Access(dtype, 1, 0, (1,)), Access(dtype, 1, 0, (0,))
    outputs = (3, one), (5, one), (6, Access(body[-1].dtype, 1, 0, (1,)))
    whole: list[np.ndarray] = []
    for size in (300, 1, 7, 8, 15, 16, 17, 63, 64, 65, 100):
        kernel, geometry = kernel_of(Region((size,), (), (one, one, none), body, outputs))
        results = [np.full(300, 77, operand.dtype) for _, operand in outputs]
        # The first is stored over what it is computed from.
        results[0][:size] = x[:size]
        kernel.call(0, geometry, results[0], y, bias, *results)
        whole = whole or results
        for result, expected in zip(results, whole, strict=True):
            np.testing.assert_array_equal(result[:size], expected[:size])
            assert (result[size:] == 77).all()
    np.testing.assert_allclose(whole[0], np.exp(x), rtol=RTOL[dtype])


def test_functions_of_complex_numbers_of_positions_and_of_repeated_rows() -> None:
    z = (normal((12, 9)) + 1j * normal((12, 9), seed=1)).astype("complex64")
    body = (
        mapped("abs", "abs({0})", (0,), F32),
        mapped("exp", "exp({0})", (1,), F32),
        mapped("tanh", "tanh({0})", (1,), F32),
    )
    region, results = make_region(z.shape, (), [(z, z)], body, [(2, F32, False), (3, F32, False)])
    kernel, geometry = kernel_of(region)
    kernel.call(0, geometry, z, *results)
    np.testing.assert_allclose(results[0], np.exp(abs(z)), rtol=1e-5)
    np.testing.assert_allclose(results[1], np.tanh(abs(z)), rtol=1e-5)

    row = normal((9,))
    x = normal((12, 9))
    pair = (
        mapped("exp", "exp({0} + {1})", (0, 1), F32),
        mapped("tanh", "tanh({0} * {1})", (0, 1), F32),
    )
    operands = [(x, x), (np.broadcast_to(row, x.shape), row)]
    region, results = make_region(x.shape, (), operands, pair, [(2, F32, False), (3, F32, False)])
    kernel, geometry = kernel_of(region)
    kernel.call(0, geometry, x, row, *results)
    np.testing.assert_allclose(results[0], np.exp(x + row), rtol=2e-6)
    np.testing.assert_allclose(results[1], np.tanh(x * row), rtol=2e-6)


@pytest.fixture
def all_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopnest, "STREAMED", 1)


@pytest.mark.usefixtures("all_streamed")
@pytest.mark.parametrize("dtype", ["int8", "float16", F32, "float64"])
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_results_are_stored_past_the_caches_wherever_they_begin(dtype: str, shift: int) -> None:
    size = 20_001
    x, y = normal((size,), seed=1).astype(dtype), normal((size,), seed=2)[::-1]
    memory = np.full(size + shift + 5, 77, dtype)
    accesses = access_of(x, x, (size,)), Access(F32, 1, size - 1, (-1,))
    outputs = (2, Access(dtype, 1, shift, (1,))), (3, Access(F32, 1, 0, (1,)))
    wide = "float32" if dtype == "float16" else dtype
    body = (mapped("double", "{0} + {0}", (0,), wide), mapped("negative", "-{0}", (1,), F32))
    kernel, geometry = kernel_of(Region((size,), (), accesses, body, outputs))
    assert kernel.spec.streamed
    second = np.zeros(size, F32)
    kernel.call(parallel.driver_address(), geometry, x, y.base, memory, second)
    np.testing.assert_array_equal(memory[shift:-5], x + x)
    np.testing.assert_array_equal(second, -y)
    assert (memory[:shift] == 77).all()
    assert (memory[-5:] == 77).all()


@pytest.mark.usefixtures("all_streamed")
def test_rows_between_others_are_stored_past_the_caches_over_their_input() -> None:
    matrix = normal((5, 10_000))
    want = matrix.copy()
    want[::2] *= want[::2]
    access = access_of(matrix[::2], matrix, (3, 10_000))
    body = (mapped("square", "{0} * {0}", (0,), F32),)
    kernel, geometry = kernel_of(Region((3, 10_000), (), (access,), body, ((1, access),)))
    assert kernel.spec.streamed
    kernel.call(0, geometry, matrix, matrix)
    np.testing.assert_array_equal(matrix, want)


@pytest.mark.usefixtures("all_streamed")
@pytest.mark.parametrize("size", [8192, 8193, 16_383, 24_700])
@pytest.mark.parametrize("shift", [0, 1, 15])
def test_results_past_the_caches_are_computed_from_what_they_overwrite(
    size: int, shift: int
) -> None:
    memory = normal((size + shift + 3,))
    before = memory.copy()
    want = before[shift:-3] * before[shift:-3] + before[shift:-3]
    access = Access(F32, 1, shift, (1,))
    body = (mapped("grow", "{0} * {0} + {0}", (0,), F32),)
    kernel, geometry = kernel_of(Region((size,), (), (access,), body, ((1, access),)))
    assert kernel.spec.streamed
    kernel.call(parallel.driver_address(), geometry, memory, memory)
    np.testing.assert_array_equal(memory[shift:-3], want)
    np.testing.assert_array_equal(memory[:shift], before[:shift])
    np.testing.assert_array_equal(memory[-3:], before[-3:])


FUNCTIONS = {
    "one": ("exp({0})",),
    "one waits for another": ("exp({0})", "log({0})"),
    "side by side": ("exp({0})", "tanh({1})", "log({0} * {0})"),
    "of other sizes": ("exp({0})", "cast int8", "cast float64"),
    "of both parts": ("cast complex64", "{0} * {0}", "cast complex128"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shift", [0, 3])
def test_results_have_the_same_bits_past_the_caches(
    name: str, shift: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    size = 10_001
    pair = [normal((size,)) + 3, normal((size,), seed=1)]
    body: list[Instr] = []
    for expr in FUNCTIONS[name]:
        last = len(body) + 1 if body else 0
        if expr.startswith("cast"):
            body.append(Instr("cast", "cast", "", (last,), expr.removeprefix("cast ")))
        else:
            dtype = body[-1].dtype if body else F32
            args = (last, 1) if "{1}" in expr else (last,)
            body.append(mapped("function", expr, args, dtype))
    inputs = (Access(F32, 1, 0, (1,)),) * 2
    outputs = tuple(
        (number, Access(instr.dtype, 1, shift, (1,))) for number, instr in enumerate(body, 2)
    )
    found = []
    for least in (1 << 40, 1):
        monkeypatch.setattr(loopnest, "STREAMED", least)
        kernel, geometry = kernel_of(Region((size,), (), inputs, tuple(body), outputs))
        assert kernel.spec.streamed == (least == 1)
        results = [np.zeros(size + shift, instr.dtype) for instr in body]
        kernel.call(0, geometry, *pair, *results)
        found.append([result.tobytes() for result in results])
    assert found[0] == found[1]
    # LLVM says on the process's own stream what it could not do.
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("columns", [1, 3, 8, 9, 16, 17, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_that_fill_but_a_vector_are_computed_by_one(dtype: str, columns: int) -> None:
    base = normal((50, 41), dtype)
    view = base[:, :columns]
    # One function waits for the other: whole blocks have several vectors.
    body = [mapped("exp", "exp({0})", (0,), dtype), mapped("tanh", "tanh({0})", (1,), dtype)]
    outputs = [(2, dtype, False)]
    kernel, (result,) = check(view.shape, (), [view], body, outputs, RTOL[dtype], bases=[base])
    assert kernel.spec.short == (1 < columns <= 64 // base.itemsize)
    whole, (expected,) = check(base.shape, (), [base], body, outputs, RTOL[dtype])
    assert not whole.spec.short
    np.testing.assert_array_equal(
        result.reshape(view.shape), expected.reshape(base.shape)[:, :columns]
    )


@pytest.mark.parametrize("columns", [60, 1000, 20_001])
def test_rows_that_are_asked_for_before_they_are_written_are_right(columns: int) -> None:
    # Nothing cancels in the sum below.
    x = np.abs(normal((3, columns), "float64"))
    # Read once more in the last pass, so that nothing waits in the row of the result.
    body = (*softmax("float64"), mapped("add", "{0} + {1}", (5, 0), "float64"))
    region, (result,) = make_region(x.shape, (1,), [(x, x)], body, [(6, "float64", False)])
    kernel, geometry = kernel_of(region)
    assert "fetch_to_write(out0" in cpu.source(kernel.spec).text
    memory = np.full(result.size + 2, 7.0)
    kernel.call(0, geometry, x, memory)
    weights = np.exp(x - x.max(1, keepdims=True))
    expected = weights / weights.sum(1, keepdims=True) + x
    np.testing.assert_allclose(memory[:-2].reshape(x.shape), expected, rtol=RTOL["float64"])
    assert (memory[-2:] == 7).all()


def test_softmax_in_place() -> None:
    x = normal((30, 70))
    region, (result,) = make_region((30, 70), (1,), [(x, x)], softmax(F32), [(5, F32, False)])
    kernel, geometry = kernel_of(region)
    kernel.call(0, geometry, x, result)
    kernel.call(0, geometry, x, x)
    np.testing.assert_array_equal(x, result)


def test_wrong_arguments_are_refused() -> None:
    x = normal((4,))
    kernel, _ = check((4,), (), [x], [mapped("add", "{0} + 1", (0,), F32)], [(1, F32, False)])
    with pytest.raises(TypeError):
        kernel.call(0, x)
    with pytest.raises(TypeError):
        kernel.call(0, np.zeros(16, np.int64), [1.0], x)


# --- reductions -----------------------------------------------------------------------------

# Each pattern of axes with sizes that make it fused and sizes that make it split.
PATTERNS = [
    ((0,), [(1,), (0,), (300,), (70_000,)]),
    ((1,), [(7, 300), (4, 1), (5, 0), (3, 70_000)]),
    ((0,), [(300, 70), (1, 40), (0, 50), (5000, 33)]),
    ((0, 2), [(5, 6, 70), (300, 3, 200)]),
    ((1,), [(3, 40, 50), (2, 3000, 65), (1000, 5)]),
    ((0, 2), [(6, 4, 70, 30), (60, 3, 90, 20)]),
]
CASES = [(axes, shape) for axes, shapes in PATTERNS for shape in shapes]


@pytest.mark.parametrize(("axes", "shape"), CASES)
def test_reductions(axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = normal(shape)
    body = [
        reduce("sum", 0, F32),
        reduce("max", 0, F32),
        reduce("min", 0, F32),
        mapped("greater", "{0} > 3", (0,), "bool"),
        reduce("any", 4, "bool"),
        Instr("cast", "int64", "", (4,), "int64"),
        reduce("sum", 6, "int64"),
    ]
    outputs = [(n, body[n - 1].dtype, True) for n in (1, 2, 3, 5, 7)]
    check(shape, axes, [x], body, outputs, rtol=2e-6)


@pytest.mark.parametrize(("axes", "shape"), CASES)
def test_chained_reductions(axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = normal(shape)
    check(shape, axes, [x], softmax(F32), [(5, F32, False)], rtol=1e-5)
    count = int(np.prod([shape[axis] for axis in axes]))
    body = layer_norm(F32, max(count, 1))
    check(shape, axes, [x], body, [(7, F32, False), (2, F32, True)], rtol=2e-5)


@pytest.mark.parametrize(("axes", "shape"), [((1,), (7, 30)), ((0,), (30, 17)), ((0, 1), (9, 8))])
def test_other_accumulators(axes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = normal(shape, "float64")
    whole = (x * 50).astype("int32")
    body = [
        reduce("prod", 0, "float64"),
        reduce("sum", 1, "int32"),
        reduce("max", 1, "int32"),
        mapped("positive", "{0} > 0", (1,), "bool"),
        reduce("all", 5, "bool"),
    ]
    outputs = [(2, "float64", True), (3, "int32", True), (4, "int32", True), (6, "bool", True)]
    check(shape, axes, [x, whole], body, outputs, rtol=1e-13)


@pytest.mark.parametrize("shape", [(3, 100), (100, 30)])
def test_max_and_min_pass_nan_on(shape: tuple[int, ...]) -> None:
    axes = (1,) if shape[0] < shape[1] else (0,)
    for dtype, seed in itertools.product((F32, "float64"), range(5)):
        body = [reduce("max", 0, dtype), reduce("min", 0, dtype)]
        x = normal(shape, seed=seed).astype(dtype)
        places = np.random.default_rng(seed).integers(0, x.size, 2)
        x.ravel()[places] = np.nan, -np.nan
        x[0, 0] = (np.inf, -np.inf, 0.0, np.nan, 1.0)[seed]
        check(shape, axes, [x], body, [(1, dtype, True), (2, dtype, True)])


@pytest.mark.parametrize("columns", [1, 4, 10, 47])
def test_softmax_of_short_rows(columns: int) -> None:
    x = normal((3000, columns))
    kernel, (result,) = check((3000, columns), (1,), [x], softmax(F32), [(5, F32, False)], 1e-5)
    assert kernel.spec.staged == (columns > 1)
    region, _ = make_region(x.shape, (1,), [(x, x)], softmax(F32), [(5, F32, False)])
    _, geometry = kernel_of(region)
    kernel.call(parallel.driver_address(), geometry, x, x)
    np.testing.assert_array_equal(x, result)


SCANNED = [
    ((0,), (1,)),
    ((0,), (3000,)),
    ((0,), (50, 7)),
    ((0,), (300, 1100)),
    ((1,), (7, 50)),
    ((1,), (3, 40, 50)),
    ((1,), (1000, 5)),
]


@pytest.mark.parametrize("dtype", [F32, "float64", "int32"])
@pytest.mark.parametrize(("axes", "shape"), SCANNED)
def test_scans_add_in_the_order_of_the_elements(
    axes: tuple[int, ...], shape: tuple[int, ...], dtype: str
) -> None:
    x = (normal(shape) * 3).astype(dtype)
    body = [
        scan("sum", 0, dtype),
        mapped("subtract", "{0} - {1}", (1, 0), dtype),
        scan("max", 2, dtype),
        scan("prod", 0, dtype),
        scan("min", 1, dtype),
    ]
    outputs = [(n, dtype, False) for n in (1, 2, 3, 4, 5)]
    with np.errstate(all="ignore"):
        check(shape, axes, [x], body, outputs)


@pytest.mark.parametrize("axis", [0, 1])
def test_scans_keep_signs_of_zeros_and_pass_nan_on(axis: int) -> None:
    x = np.array([[-0.0, -0.0, 1, np.nan], [0.0, -0.0, np.inf, 2], [-0.0, 1, -np.inf, 3]], F32)
    body = [scan("sum", 0, F32), scan("max", 0, F32), scan("prod", 0, F32)]
    outputs = [(n, F32, False) for n in (1, 2, 3)]
    with np.errstate(all="ignore"):
        _, (sums, *_) = check(x.shape, (axis,), [x], body, outputs)
    assert np.signbit(sums[0, 0])


def test_a_scan_runs_forwards_whichever_way_its_operands_lie() -> None:
    base = np.arange(10, dtype=F32)
    backwards = Access(F32, 1, 9, (-1,))
    region = Region((10,), (0,), (backwards,), (scan("sum", 0, F32),), ((1, backwards),))
    kernel, geometry = kernel_of(region)
    result = np.empty(10, F32)
    kernel.call(0, geometry, base, result)
    np.testing.assert_array_equal(result[::-1], np.cumsum(base[::-1]))


def test_a_scan_over_a_broadcast_operand_varies_along_it() -> None:
    x = normal((1, 5))
    check((9, 5), (0,), [x], [scan("sum", 0, F32)], [(1, F32, False)])


def test_scans_do_not_depend_on_threads() -> None:
    x = normal((300, 2100))
    for axis in (0, 1):
        region, _ = make_region(
            x.shape, (axis,), [(x, x)], [scan("sum", 0, F32)], [(1, F32, False)]
        )
        kernel, geometry = kernel_of(region)
        result = np.empty_like(x)
        kernel.call(parallel.driver_address(), geometry, x, result)
        np.testing.assert_array_equal(result, np.cumsum(x, axis=axis))


def test_values_of_the_kept_axes_inside_and_outside() -> None:
    """A per-row scale is read in the loops and after them; a row-wise bias along them."""
    for axes, small in (((1,), (9, 1)), ((0,), (1, 50))):
        x, scale = normal((9, 50)), normal(small, seed=1)
        body = [
            mapped("multiply", "{0} * {1}", (0, 1), F32),
            reduce("sum", 2, F32),
            mapped("add", "{0} + {1} * 2", (3, 1), F32),
        ]
        check((9, 50), axes, [x, scale], body, [(4, F32, True), (2, F32, False)], rtol=2e-6)


def test_a_broadcast_operand_alone_can_be_reduced() -> None:
    x = normal((9, 1))
    body = [mapped("exp", "exp({0})", (0,), F32), reduce("sum", 1, F32)]
    region = Region(
        (9, 50),
        (1,),
        (access_of(x, x, (9, 50)),),
        tuple(body),
        ((2, Access(F32, 1, 0, (1, 0))),),
    )
    kernel, geometry = kernel_of(region)
    result = np.zeros(9, F32)
    kernel.call(0, geometry, x, result)
    np.testing.assert_allclose(result, 50 * np.exp(x[:, 0]), rtol=2e-6)


def test_a_long_sum_keeps_its_accuracy() -> None:
    rng = np.random.default_rng(0)
    for x in (rng.random(10_000_000, np.float32), np.full(10_000_000, 0.1, F32)):
        region, (result,) = make_region(
            x.shape, (0,), [(x, x)], [reduce("sum", 0, F32)], [(1, F32, True)]
        )
        kernel, geometry = kernel_of(region)
        kernel.call(0, geometry, x, result)
        exact = float(np.sum(x, dtype=np.float64))
        assert abs(result[0] - exact) < 1e-6 * exact


def _deviations(count: int, dtype: str) -> list[Instr]:
    """The sums of x - mean and of its squares; x is the input, `count` the size of a row."""
    return [
        reduce("sum", 0, dtype),
        mapped("divide", "{0} / {1}", (1, Literal(count, dtype)), dtype),
        mapped("subtract", "{0} - {1}", (0, 2), dtype),
        mapped("multiply", "{0} * {1}", (3, 3), dtype),
        reduce("sum", 4, dtype),
        reduce("sum", 3, dtype),
    ]


ROW = np.arange(2600.0)
HARD_ROWS = {
    "one block": normal((900,), "float64"),
    "an offset": normal((2600,), "float64") + 1e3,
    "outliers first": np.where(ROW < 64, 1e3, 1e-3 * normal((2600,), "float64")),
    "another first block": np.where(ROW < 1024, 1e4, 0.0) + normal((2600,), "float64"),
    "a trend": ROW + normal((2600,), "float64"),
    "many blocks": 5.0 + normal((70_000,), "float64"),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", HARD_ROWS)
def test_squared_deviations_take_one_sweep_and_are_exact(name: str, dtype: str) -> None:
    count = len(HARD_ROWS[name])
    x = np.broadcast_to(HARD_ROWS[name].astype(dtype), (32, count)).copy()
    body = _deviations(count, dtype)
    region, results = make_region(
        x.shape, (1,), [(x, x)], body, [(5, dtype, True), (6, dtype, True), (2, dtype, True)]
    )
    kernel, geometry = kernel_of(region)
    assert dataflow(kernel.spec).passes == 1
    kernel.call(0, geometry, x, *results)
    squares, plain, centre = (result.astype(np.longdouble) for result in results)
    deviations = x - centre
    np.testing.assert_allclose(
        squares, np.sum(deviations**2, 1, keepdims=True), rtol=2 * RTOL[dtype]
    )
    scale = np.sum(abs(deviations))
    np.testing.assert_allclose(
        plain, np.sum(deviations, 1, keepdims=True), atol=RTOL[dtype] * scale
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_vector_of_squared_deviations_asks_for_a_line_further_on(dtype: str) -> None:
    x = normal((8, 2000)).astype(dtype)
    outputs = [(5, dtype, True)]
    kernel, _ = check(x.shape, (1,), [x], _deviations(2000, dtype), outputs, 2e-6)
    assert cpu.source(kernel.spec).text.count("asking(load(in0, in0_at + j), in0, in0_next") == 1
    gaps = np.repeat(x, 2, axis=1)
    kernel, _ = check(
        x.shape, (1,), [gaps[:, ::2]], _deviations(2000, dtype), outputs, 2e-6, bases=[gaps]
    )
    assert "asking" not in cpu.source(kernel.spec).text


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [2000, 20_000])
def test_what_is_stored_by_sums_of_squares_is_asked_for_beside_them(dtype: str, count: int) -> None:
    x = normal((3, count)).astype(dtype)
    body = [*_deviations(count, dtype), mapped("multiply", "{0} * {1}", (3, 5), dtype)]
    outputs = [(7, dtype, False)]
    kernel, _ = check(x.shape, (1,), [x], body, outputs, 2e-5)
    text = cpu.source(kernel.spec).text
    assert "either(is_short, out0, in0)" in text
    # The row in the first pass, the next one in the second.
    assert text.count("asking(load(in0, in0_at + j), in0_asked, in0_next + j)") == 1
    assert text.count("asking(load(in0, in0_at + j), in0, in0_next + j)") == 1


@pytest.mark.parametrize("shape", [(9, 30, 40), (9, 3, 700), (9, 0, 700)])
def test_squared_deviations_over_two_axes(shape: tuple[int, ...]) -> None:
    wide = normal((*shape[:2], 2 * shape[2]))[..., ::2] if 0 not in shape else np.zeros(shape, F32)
    base = wide.base if wide.base is not None else np.zeros(1, F32)
    body = _deviations(max(shape[1] * shape[2], 1), F32)
    check(shape, (1, 2), [wide], body, [(5, F32, True)], 2e-6, bases=[base])


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_squared_deviations_of_what_has_no_mean_are_nan(odd: float) -> None:
    x = normal((8, 2000))
    x[3, 1500] = odd
    (squares,) = check(x.shape, (1,), [x], _deviations(2000, F32), [(5, F32, True)], 2e-6)[1]
    assert np.isnan(squares[:, 0]).tolist() == [row == 3 for row in range(8)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quotients_by_the_root_of_a_row_are_exact_to_two_units(dtype: str) -> None:
    info = np.finfo(dtype)
    odd = [0.0, -0.0, np.inf, np.nan, -1.0, info.smallest_subnormal, info.tiny, info.max, 1.0, 3.0]
    squares = np.array(odd, dtype)[:, None]
    numbers = normal((600,), dtype)
    numbers[:8] = [0.0, -0.0, np.inf, -np.inf, np.nan, info.smallest_subnormal, info.max, info.tiny]
    x = np.broadcast_to(numbers, (len(odd), 600)).copy()
    body = [
        mapped("sqrt", "sqrt({0})", (1,), dtype),
        mapped("divide", "{0} / {1}", (0, 2), dtype),
        reduce("sum", 3, dtype),
    ]
    outputs = [(3, dtype, False), (4, dtype, True)]
    region, results = make_region(x.shape, (1,), [(x, x), (squares, squares)], body, outputs)
    kernel, geometry = kernel_of(region)
    assert quotients_by_root(kernel.spec) == {3: 2}
    kernel.call(0, geometry, x, squares, *results)
    with np.errstate(all="ignore"):
        wanted = x / np.sqrt(squares)
    np.testing.assert_array_equal(np.isnan(results[0]), np.isnan(wanted))
    np.testing.assert_array_equal(
        np.signbit(results[0])[wanted == 0], np.signbit(wanted)[wanted == 0]
    )
    known = np.isfinite(wanted)
    np.testing.assert_array_equal(results[0][np.isinf(wanted)], wanted[np.isinf(wanted)])
    error = abs(results[0][known].astype(np.longdouble) - wanted[known])
    assert np.all(error <= 2 * np.spacing(np.minimum(abs(wanted[known]), info.max / 2)))


def test_what_is_no_root_of_a_row_divides() -> None:
    x = normal((20, 600))
    sums = [reduce("sum", 0, F32), mapped("divide", "{0} / {1}", (0, 1), F32)]
    roots = [mapped("sqrt", "sqrt({0})", (0,), F32), mapped("divide", "{0} / {1}", (0, 1), F32)]
    for body in (sums, [*roots, reduce("sum", 2, F32)]):
        region, _ = make_region(x.shape, (1,), [(x, x)], body, [(2, F32, False)])
        assert quotients_by_root(kernel_of(region)[0].spec) == {}


# --- threads and code -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes"), [((300_001,), (0,)), ((40_000, 9), (0,)), ((500, 301), (1,))]
)
def test_results_do_not_depend_on_threads(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = normal(shape)
    body = softmax(F32)
    region, (serial,) = make_region(shape, axes, [(x, x)], body, [(5, F32, False)])
    kernel, geometry = kernel_of(region)
    kernel.call(0, geometry, x, serial)
    before = parallel.get_num_threads()
    driver = parallel.driver_address()
    try:
        for count in range(1, before + 1):
            parallel.set_num_threads(count)
            for _ in range(3):
                result = np.zeros_like(serial)
                kernel.call(driver, geometry, x, result)
                assert result.tobytes() == serial.tobytes()
    finally:
        parallel.set_num_threads(before)


PACKED = {
    "sum": ([reduce("sum", 0, F32)], True, r"v?addps"),
    "max": ([reduce("max", 0, F32)], True, r"v?maxps"),
    "exp": ([mapped("exp", "exp({0})", (0,), F32)], False, r"v?(fmadd\d+|mul)ps"),
}


@pytest.mark.parametrize("name", PACKED)
def test_the_inner_loop_is_vector_code(name: str) -> None:
    import platform
    import re

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the instruction names are those of x86-64")
    body, reduced, pattern = PACKED[name]
    for shape, axes in itertools.product([(50, 300)], [(0,), (1,)] if reduced else [()]):
        x = normal(shape)
        kernel, _ = check(shape, axes, [x], body, [(1, F32, reduced)], rtol=2e-6)
        assert re.search(rf"\b{pattern}\b.*%[yz]mm", kernel.assembly())
