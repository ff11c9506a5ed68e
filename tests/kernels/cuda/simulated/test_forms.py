"""Every form of GPU kernel: strides, vectors and tails, lanes, splits, 16-bit floats, in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.kernels.cuda import spec
from hybrid.kernels.cuda.kernel import Prepared, prepare
from hybrid.kernels.region import Access, Instr, Literal, Region
from tests.kernels.cuda import simulator
from tests.kernels.cuda.simulator import THREADS, run
from tests.kernels.reference import (
    evaluate,
    layer_norm,
    make_region,
    mapped,
    reduce,
    softmax,
)

F32 = "float32"
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def normal(shape: tuple[int, ...], dtype: str = F32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def check(
    space: tuple[int, ...],
    axes: tuple[int, ...],
    inputs: Sequence[np.ndarray],
    body: Sequence[Instr],
    outputs: Sequence[tuple[int, str, bool]],
    rtol: float = 0.0,
    bases: Sequence[np.ndarray] | None = None,
    **options: Any,
) -> Prepared:
    bases = inputs if bases is None else bases
    region, results = make_region(space, axes, list(zip(inputs, bases, strict=True)), body, outputs)
    prepared = run(region, [*bases, *results], **options)
    for got, want in zip(results, evaluate(region, bases), strict=True):
        np.testing.assert_allclose(got.reshape(want.shape), want, rtol=rtol, atol=10 * rtol)
    return prepared


def form(prepared: Prepared) -> str:
    """The first line of the source, which names the form."""
    return prepared.source.text.partition("\n")[0].removeprefix("# ")


# --- maps -----------------------------------------------------------------------------------


@st.composite
def strided_views(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A view into a base array: transposed, reversed, stepped."""
    rank = draw(st.integers(0, 3))
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=rank, max_size=rank)))
    steps = draw(st.lists(st.sampled_from([1, 1, -1, 2]), min_size=rank, max_size=rank))
    base = normal(tuple(n * abs(step) for n, step in zip(shape, steps, strict=True)))
    view = base[(*(slice(None, None, step) for step in steps), ...)]
    return np.transpose(view, draw(st.permutations(range(rank)))), base


@settings(max_examples=25)
@given(strided_views(), st.data())
def test_map_over_any_strides(pair: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    view, base = pair
    other = normal(view.shape, seed=1)
    for axis in range(view.ndim):
        if data.draw(st.booleans()):
            other = other[(slice(None),) * axis + (slice(0, 1),)]
    other = np.ascontiguousarray(other).reshape(other.shape)
    body = [mapped("multiply", "{0} * {1}", (0, 1), F32)]
    check(view.shape, (), [view, other], body, [(2, F32, False)], bases=[base, other])


@pytest.mark.parametrize("size", [1, 3, 4, 255, 256, 257, 1031])
def test_sizes_around_the_vector(size: int) -> None:
    x = normal((size,))
    prepared = check((size,), (), [x], [mapped("add", "{0} + {0}", (0,), F32)], [(1, F32, False)])
    assert ("4 at once" in form(prepared)) == (size >= 4)


@pytest.mark.parametrize("dtype", [*INTEGERS, "float64", "bool"])
def test_sixteen_bytes_of_any_dtype_at_once(dtype: str) -> None:
    x = (normal((67,)) * 50).astype(dtype)
    body = [mapped("select", "select({0} > {1}, {0}, {1})", (0, 1), dtype)]
    if dtype == "bool":
        body = [mapped("xor", "{0} ^ {1}", (0, 1), dtype)]
    prepared = check((67,), (), [x, x[::-1].copy()], body, [(2, dtype, False)])
    assert f"{16 // x.itemsize} at once" in form(prepared)


def test_rows_that_are_broadcast_are_read_once_for_a_vector() -> None:
    x, row, column = normal((6, 8)), normal((8,), seed=1), normal((6, 1), seed=2)
    body = [mapped("mix", "{0} * {1} + {2}", (0, 1, 2), F32)]
    prepared = check((6, 8), (), [x, row, column], body, [(3, F32, False)])
    assert "4 at once" in form(prepared)
    assert "load_f32x4(in1" in prepared.source.text
    assert "load(in2" in prepared.source.text


def test_unaligned_operands_are_taken_one_by_one() -> None:
    x = normal((40,))
    body = [mapped("add", "{0} + {0}", (0,), F32)]
    assert "1 at once" in form(check((40,), (), [x], body, [(1, F32, False)], aligned=False))
    inside = check((36,), (), [x[3:39]], body, [(1, F32, False)], bases=[x])
    assert "1 at once" in form(inside)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_arithmetic_wraps_at_its_own_width(dtype: str) -> None:
    info = np.iinfo(dtype)
    x = np.array([info.min, info.max, 0, 1, 7, info.max - 1], dtype)
    y = np.array([info.max, info.max, 5, info.min, 3, 2], dtype)
    body = [
        mapped("mix", "({0} + {1}) * {1} - {0}", (0, 1), dtype),
        mapped("less", "{0} < {1}", (2, 1), "bool"),
    ]
    check(x.shape, (), [x, y], body, [(2, dtype, False), (3, "bool", False)])


def test_a_map_over_nothing_is_not_launched() -> None:
    access = Access(F32, 1, 0, (1,))
    body = (mapped("add", "{0} + 1", (0,), F32),)
    result = np.full(1, 5, F32)
    run(Region((0,), (), (access,), body, ((1, access),)), [np.zeros(1, F32), result])
    assert result[0] == 5


def test_positions_beyond_32_bits_are_divided_in_64() -> None:
    access = Access(F32, 1, 0, (1 << 21, 2))
    body = (mapped("add", "{0} + 1", (0,), F32),)
    large = prepare(Region((1 << 20, 1 << 19), (), (access,), body, ((1, access),)))
    assert "quotient64" in large.source.text
    small = prepare(Region((1 << 9, 1 << 19), (), (access,), body, ((1, access),)))
    assert "quotient32" in small.source.text


# --- 16-bit floats --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_stored_in_16_bits_and_computed_in_32(dtype: str) -> None:
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    x = np.array([1, 0.1, -3.5, 60000, 1e-7, np.inf, np.nan, -0.0, 7], F32).astype(kind)
    one = Literal(1.0, dtype)
    access = Access(dtype, 1, 0, (1,))
    body = (
        mapped("add", "{0} + {1}", (0, one), dtype),
        mapped("sub", "{0} - {1}", (1, one), dtype),
    )
    out = np.zeros_like(x)
    run(Region((9,), (), (access,), body, ((2, access),)), [x, out])
    with np.errstate(all="ignore"):
        want = ((x.astype(F32) + F32_ONE) - F32_ONE).astype(kind)
    np.testing.assert_array_equal(out.view(np.uint16), want.view(np.uint16))


F32_ONE = np.float32(1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_cast_to_16_bits_rounds_inside_a_kernel_too(dtype: str) -> None:
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    x = normal((33,))
    body = (Instr("cast", dtype, "", (0,), dtype), Instr("cast", F32, "", (1,), F32))
    access, out = Access(F32, 1, 0, (1,)), np.zeros_like(x)
    run(Region((33,), (), (access,), body, ((2, access),)), [x, out])
    np.testing.assert_array_equal(out, x.astype(kind).astype(F32))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_of_halves_are_added_in_32_bits(dtype: str) -> None:
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    x = np.ones((3000,), kind)
    inner, outer = Access(dtype, 1, 0, (1,)), Access(dtype, 1, 0, (0,))
    out = np.zeros((1,), kind)
    run(Region((3000,), (0,), (inner,), (reduce("sum", 0, dtype),), ((1, outer),)), [x, out])
    assert out[0] == kind.type(3000)


# --- reductions -----------------------------------------------------------------------------

SHAPES = {
    "rows": ((3, 37), (1,)),
    "rows in vectors": ((3, 40), (1,)),
    "short rows": ((21, 3), (1,)),
    "columns": ((19, 35), (0,)),
    "few columns": ((300, 3), (0,)),
    "everything": ((5, 7, 8), (0, 1, 2)),
    "outside and inside": ((4, 5, 6), (0, 2)),
    "the middle": ((3, 6, 17), (1,)),
    "one element": ((1,), (0,)),
    "one of each": ((5, 1), (1,)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["sum", "max"])
def test_reductions_of_every_shape(shape: str, kind: str) -> None:
    space, axes = SHAPES[shape]
    check(space, axes, [normal(space)], [reduce(kind, 0, F32)], [(1, F32, True)], rtol=2e-6)


@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("dtype", [*INTEGERS, "float64"])
def test_reductions_of_every_dtype(kind: str, dtype: str) -> None:
    x = (normal((2, 21)) * 3).astype(dtype)
    check(x.shape, (1,), [x], [reduce(kind, 0, dtype)], [(1, dtype, True)], rtol=1e-13)


@pytest.mark.parametrize("kind", ["any", "all"])
@pytest.mark.parametrize("axis", [0, 1])
def test_reductions_of_booleans(kind: str, axis: int) -> None:
    x = normal((20, 18)) > (-1.5 if kind == "all" else 1.5)
    check(x.shape, (axis,), [x], [reduce(kind, 0, "bool")], [(1, "bool", True)])


@pytest.mark.parametrize("space", [(4, 0), (0, 4)])
def test_a_sum_of_nothing_is_zero_and_no_sums_are_none(space: tuple[int, int]) -> None:
    access, kept = Access(F32, 2, 0, (space[1], 1)), Access(F32, 1, 0, (1, 0))
    out = np.full((max(space[0], 1),), 5, F32)
    region = Region(space, (1,), (access,), (reduce("sum", 0, F32),), ((1, kept),))
    run(region, [np.zeros(1, F32), out])
    assert (out == (0 if space[0] else 5)).all()


def test_nan_wins_an_extremum() -> None:
    x = normal((3, 40))
    x[1, 17] = np.nan
    check(x.shape, (1,), [x], [reduce("max", 0, F32)], [(1, F32, True)])
    check(x.shape, (0,), [x], [reduce("min", 0, F32)], [(1, F32, True)])


def test_lanes_of_several_warps_meet_in_shared_memory() -> None:
    x = normal((1, 300))
    body = [reduce("max", 0, F32), reduce("sum", 0, F32)]
    outputs = [(1, F32, True), (2, F32, True)]
    prepared = check(x.shape, (1,), [x], body, outputs, rtol=2e-6, threads=THREADS)
    assert "64 lanes" in form(prepared)
    check((20, 40), (0,), [normal((20, 40))], body, outputs, rtol=2e-6, threads=THREADS)


@pytest.mark.parametrize(
    ("space", "axis"), [((4, 18), 1), ((3, 40), 1), ((12, 18), 0), ((5, 1), 1)]
)
def test_softmax_in_one_kernel(space: tuple[int, int], axis: int) -> None:
    x = normal(space)
    check(x.shape, (axis,), [x], softmax(F32), [(5, F32, False)], rtol=2e-6)


def test_layer_norm_in_one_kernel() -> None:
    x = normal((3, 24))
    check(x.shape, (1,), [x], layer_norm(F32, 24), [(7, F32, False)], rtol=1e-5)


def test_results_beside_elements() -> None:
    """Softmax that also gives its maximum and its logarithm of a sum."""
    x = normal((5, 20))
    body = [*softmax(F32), mapped("twice", "{0} + {1}", (4, 1), F32)]
    outputs = [(5, F32, False), (1, F32, True), (6, F32, True)]
    check(x.shape, (1,), [x], body, outputs, rtol=2e-6)


def test_in_place() -> None:
    x = normal((4, 20))
    region, _ = make_region(x.shape, (1,), [(x, x)], softmax(F32), [(5, F32, False)])
    want = evaluate(region, [x])[0]
    run(region, [x, x])
    np.testing.assert_allclose(x, want, rtol=2e-6)


@pytest.mark.parametrize(("space", "axes"), [((700,), (0,)), ((2, 600), (1,)), ((260, 20), (0,))])
def test_split_reductions(space: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = normal(space)
    prepared = check(space, axes, [x], [reduce("sum", 0, F32)], [(1, F32, True)], rtol=2e-6)
    assert "split" in form(prepared)
    assert len(prepared.launches) == 2
    prepared = check(space, axes, [x], softmax(F32), [(5, F32, False)], rtol=2e-6)
    assert [step.entry.rpartition("_")[2] for step in prepared.launches] == [
        "partial0",
        "total0",
        "partial1",
        "total1",
        "store2",
    ]


def test_a_sum_does_not_depend_on_the_number_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal((700,))
    body = [reduce("sum", 0, F32)]
    region, (first,) = make_region(x.shape, (0,), [(x, x)], body, [(1, F32, True)])
    second = np.zeros_like(first)
    run(region, [x, first])
    monkeypatch.setattr(simulator, "BLOCKS", 1)
    run(region, [x, second])
    assert first.tobytes() == second.tobytes()


# --- scans ----------------------------------------------------------------------------------

SCANS = {"sum": np.cumsum, "prod": np.cumprod, "max": np.maximum.accumulate}


@pytest.mark.parametrize("kind", SCANS)
@pytest.mark.parametrize(("space", "axis"), [((3, 45), 1), ((20, 21), 0), ((9,), 0), ((2, 1), 1)])
def test_scans(kind: str, space: tuple[int, ...], axis: int) -> None:
    x = normal(space)
    body = [Instr("scan", f"cum{kind}", kind, (0,), F32)]
    region, (out,) = make_region(space, (axis,), [(x, x)], body, [(1, F32, False)])
    run(region, [x, out])
    np.testing.assert_allclose(out, SCANS[kind](x, axis=axis), rtol=1e-5, atol=1e-5)


def test_what_is_around_a_scan_is_computed_with_it() -> None:
    """Of small integers, whose sums are exact; the row's own factor is read once."""
    x, row = np.arange(60).reshape(2, 30) % 7 - 3, np.array([[2], [5]])
    body = [
        mapped("multiply", "{0} * {1}", (0, 1), "int64"),
        Instr("scan", "cumsum", "sum", (2,), "int64"),
        mapped("add", "{0} + {1}", (3, 0), "int64"),
    ]
    pairs = [(x, x), (row, row)]
    region, (out,) = make_region(x.shape, (1,), pairs, body, [(4, "int64", False)])
    run(region, [x, row, out])
    np.testing.assert_array_equal(out, np.cumsum(x * row, axis=1) + x)


@pytest.mark.parametrize(
    ("kind", "aligned", "space", "axis"),
    [
        ("sum", True, (261,), 0),
        ("max", False, (261,), 0),
        ("sum", True, (2, 160), 1),
        ("prod", True, (150, 3), 0),
    ],
)
def test_scans_of_few_long_rows_are_shared_among_blocks(
    kind: str, aligned: bool, space: tuple[int, ...], axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spec, "LEAST_SCANNED", 1)
    x = np.random.default_rng(0).integers(-3, 4, space)
    if kind == "prod":
        x = x // 3 * 2 + 1  # odd numbers, whose products wrap around but never vanish
    body = [Instr("scan", f"cum{kind}", kind, (0,), "int64")]
    region, (out,) = make_region(space, (axis,), [(x, x)], body, [(1, "int64", False)])
    prepared = run(region, [x, out], aligned=aligned)
    assert [step.entry.rpartition("_")[2] for step in prepared.launches] == [
        "partial0",
        "total0",
        "store0",
    ]
    np.testing.assert_array_equal(out, SCANS[kind](x, axis=axis))


def test_the_sums_of_a_shared_scan_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are within the error of sums of sums, and do not depend on how many blocks there are."""
    monkeypatch.setattr(spec, "LEAST_SCANNED", 1)
    x = normal((500,))
    body = [Instr("scan", "cumsum", "sum", (0,), F32)]
    region, (out,) = make_region(x.shape, (0,), [(x, x)], body, [(1, F32, False)])
    assert len(run(region, [x, out]).launches) == 3
    first = out.copy()
    np.testing.assert_allclose(out, np.cumsum(x, dtype=np.float64), rtol=1e-5, atol=2e-5)
    monkeypatch.setattr(simulator, "BLOCKS", 1)
    run(region, [x, out])
    assert out.tobytes() == first.tobytes()


def test_a_scan_in_place_around_which_things_are_computed_is_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spec, "LEAST_SCANNED", 1)
    x, row = np.arange(320).reshape(2, 160) % 7 - 3, np.array([[2], [5]])
    body = [
        mapped("multiply", "{0} * {1}", (0, 1), "int64"),
        Instr("scan", "cumsum", "sum", (2,), "int64"),
        Instr("scan", "cummax", "max", (2,), "int64"),
        mapped("add", "{0} + {1}", (3, 0), "int64"),
        mapped("add", "{0} + {1}", (5, 4), "int64"),
    ]
    pairs = [(x, x), (row, row)]
    region, _ = make_region(x.shape, (1,), pairs, body, [(6, "int64", False)])
    want = np.cumsum(x * row, axis=1) + x + np.maximum.accumulate(x * row, axis=1)
    assert len(run(region, [x, row, x]).launches) == 3
    np.testing.assert_array_equal(x, want)


def test_a_scan_of_a_scan_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec, "LEAST_SCANNED", 1)
    x = np.arange(200) % 5 - 2
    body = [
        Instr("scan", "cumsum", "sum", (0,), "int64"),
        mapped("negative", "-{0}", (1,), "int64"),
        Instr("scan", "cummax", "max", (2,), "int64"),
    ]
    region, (out,) = make_region(x.shape, (0,), [(x, x)], body, [(3, "int64", False)])
    assert len(run(region, [x, out]).launches) == 1
    np.testing.assert_array_equal(out, np.maximum.accumulate(-np.cumsum(x)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_scans_of_halves_take_sixteen_bytes_at_once(dtype: str) -> None:
    x = (np.arange(304).reshape(2, 152) % 3 - 1).astype(dtype)
    body = [Instr("scan", "cumsum", "sum", (0,), F32)]
    region, (out,) = make_region(x.shape, (1,), [(x, x)], body, [(1, dtype, False)])
    prepared = run(region, [x, out])
    assert form(prepared).endswith(" 8 at once")
    np.testing.assert_array_equal(out, np.cumsum(x.astype(F32), axis=1).astype(dtype))


# --- tiles ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8), (9, 21), (2, 10, 11), (2, 3, 9, 8)])
@pytest.mark.parametrize("dtype", [F32, "float16", "bool", "int64"])
def test_what_lies_along_another_axis_goes_through_tiles(
    shape: tuple[int, ...], dtype: str
) -> None:
    base = (normal(shape) * 9).astype(dtype)
    view = base.swapaxes(-1, -2)
    region, (out,) = make_region(view.shape, (), [(view, base)], [], [(0, dtype, False)])
    prepared = run(region, [base, out], threads=THREADS)
    assert form(prepared).startswith("tiles")
    np.testing.assert_array_equal(out, view)


def test_turned_operands_meet_straight_ones() -> None:
    base, straight, row = normal((20, 13)), normal((13, 20), seed=1), normal((20,), seed=2)
    body = [mapped("mix", "{0} * {1} + {2}", (0, 1, 2), F32)]
    inputs, bases = [base.T, straight, row], [base, straight, row]
    prepared = check((13, 20), (), inputs, body, [(3, F32, False)], bases=bases, threads=THREADS)
    assert form(prepared).startswith("tiles")
    assert prepared.source.text.count("_tile = ") == 1
