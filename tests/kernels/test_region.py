"""Canonical loops: what two regions must share, and how regions and sources read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from hybrid.kernels import build, wide
from hybrid.kernels.cpu import source
from hybrid.kernels.loopnest import canonical
from hybrid.kernels.region import Access, Instr, Pick, Region, format_region, supported, unsupported
from hybrid.kernels.spec import dataflow, geometry_slots
from tests.kernels.reference import layer_norm, make_region, mapped, reduce, scan, softmax

GOLDEN = Path(__file__).parent / "golden"
F32 = "float32"


def elementwise(*views: np.ndarray, space: tuple[int, ...] | None = None) -> Region:
    """x + y (+ ...) over arrays that lie as given."""
    space = np.broadcast_shapes(*(view.shape for view in views)) if space is None else space
    expr = " + ".join(f"{{{i}}}" for i in range(len(views)))
    body = [mapped("add", expr, tuple(range(len(views))), F32)]
    pairs = [(view, np.zeros(1, F32) if not view.size else view) for view in views]
    region, _ = make_region(space, (), pairs, body, [(len(views), F32, False)])
    return region


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, F32)


def test_contiguous_axes_become_one_loop_of_any_size() -> None:
    spec, geometry = canonical(elementwise(zeros(4, 5, 6), zeros(4, 5, 6)))
    flat, _ = canonical(elementwise(zeros(999), zeros(999)))
    assert spec == flat
    assert spec.kept == 0
    assert geometry[geometry_slots(spec)["n_j"]] == 120


def test_a_broadcast_row_keeps_two_loops_whatever_the_rank() -> None:
    spec, _ = canonical(elementwise(zeros(4, 5, 70), zeros(70)))
    other, _ = canonical(elementwise(zeros(70, 99), zeros(99)))
    assert spec == other
    assert spec.kept == 1
    assert [operand.inner for operand in spec.inputs] == ["1", "1"]


def test_a_short_broadcast_row_becomes_one_long_loop() -> None:
    spec, geometry = canonical(elementwise(zeros(400, 10), zeros(10)))
    assert (spec.kept, spec.inputs[1].inner) == (0, "p")
    slots = geometry_slots(spec)
    assert [geometry[slots[name]] for name in ("n_j", "period")] == [4000, 10]


def test_a_broadcast_column_is_constant_in_the_longest_inner_loop() -> None:
    spec, geometry = canonical(elementwise(zeros(4, 5, 6), zeros(4, 1, 1)))
    assert [operand.inner for operand in spec.inputs] == ["1", "0"]
    assert geometry[geometry_slots(spec)["n_j"]] == 30


def test_transposed_operands_walk_along_their_memory() -> None:
    a, b = zeros(5, 7).T, zeros(5, 7).T
    region = elementwise(a, b)
    spec, _ = canonical(
        Region(region.space, (), region.inputs, region.body, ((2, region.inputs[0]),))
    )
    assert spec.kept == 0
    assert spec.inputs[0].inner == "1"


def test_a_reversed_axis_is_walked_forwards() -> None:
    access = Access(F32, 1, 9, (-1,))
    body = (mapped("copy", "{0}", (0,), F32),)
    spec, geometry = canonical(Region((10,), (), (access,), body, ((1, access),)))
    assert spec.inputs[0].inner == "1"
    assert geometry[geometry_slots(spec)["in0_offset"]] == 0


@pytest.mark.parametrize(
    ("shape", "axes", "form", "split"),
    [
        ((50, 60), (1,), "rows", False),
        ((50, 60), (0,), "columns", False),
        ((50, 60), (0, 1), "rows", False),
        ((300, 400), (0, 1), "rows", True),
        ((4000, 60), (0,), "columns", True),
        ((4, 5, 60), (0, 2), "rows", False),
        ((4, 50, 60), (1,), "columns", False),
        ((1000, 3), (1,), "columns", False),
        ((1000, 3), (0,), "rows", False),
    ],
)
def test_form_of_reductions(
    shape: tuple[int, ...], axes: tuple[int, ...], form: str, split: bool
) -> None:
    x = zeros(*shape)
    region, _ = make_region(shape, axes, [(x, x)], [reduce("sum", 0, F32)], [(1, F32, True)])
    spec, _ = canonical(region)
    assert (spec.form, spec.split) == (form, split)


def test_softmax_takes_three_passes_and_keeps_its_exponentials() -> None:
    x = zeros(8, 90)
    region, _ = make_region((8, 90), (1,), [(x, x)], softmax(F32), [(5, F32, False)])
    spec, _ = canonical(region)
    flow = dataflow(spec)
    assert flow.passes == 3
    assert flow.saved == {3}


def test_unsupported_dtypes_are_named() -> None:
    access = Access("longdouble", 1, 0, (1,))
    body = (Instr("map", "add", "{0} + {0}", (0,), "longdouble"),)
    region = Region((4,), (), (access,), body, ((1, access),))
    assert not supported(region)
    assert unsupported(region) == "dtype longdouble has no fused kernels"


def test_reductions_of_complex_numbers_are_refused() -> None:
    source, result = Access("complex64", 1, 0, (1,)), Access("complex64", 1, 0, (0,))
    region = Region((4,), (0,), (source,), (reduce("sum", 0, "complex64"),), ((1, result),))
    assert unsupported(region) == "a reduction or a scan of complex numbers"


def test_large_work_is_worth_threads_and_small_is_not() -> None:
    for size, worth in ((16, False), (4_000_000, True)):
        access = Access(F32, 1, 0, (1,))
        body = (mapped("exp", "exp({0})", (0,), F32),)
        spec, geometry = canonical(Region((size,), (), (access,), body, ((1, access),)))
        assert spec.worth_parallel(geometry) is worth


def gathered_sum() -> Region:
    """Sums of 10 rows each of a table of 100 x 64, which indices name."""
    index = Access("int64", 2, 0, (10, 1, 0))
    rows = Access(F32, 2, 0, (0, 0, 1), (Pick(0, 100, 64),))
    result = Access(F32, 3, 0, (64, 0, 1))
    return Region((40, 10, 64), (1,), (index, rows), (reduce("sum", 1, F32),), ((2, result),))


def golden_regions() -> dict[str, Region]:
    x, bias = zeros(40, 50), zeros(50)
    tall = zeros(4000, 50)
    one, other = zeros(90, 1, 30), zeros(1, 80, 30)
    return {
        "map_bias_tanh": make_region(
            (40, 50),
            (),
            [(x, x), (bias, bias)],
            [mapped("add", "{0} + {1}", (0, 1), F32), mapped("tanh", "tanh({0})", (2,), F32)],
            [(3, F32, False)],
        )[0],
        "rows_softmax": make_region((40, 50), (1,), [(x, x)], softmax(F32), [(5, F32, False)])[0],
        "columns_layer_norm": make_region(
            (40, 50), (0,), [(x, x)], layer_norm(F32, 40), [(7, F32, False)]
        )[0],
        "columns_split_sum": make_region(
            (4000, 50), (0,), [(tall, tall)], [reduce("sum", 0, F32)], [(1, F32, True)]
        )[0],
        "columns_gathered_sum": gathered_sum(),
        "tiled_distances": make_region(
            (90, 80, 30),
            (2,),
            [(one, one), (other, other)],
            [
                mapped("subtract", "{0} - {1}", (0, 1), F32),
                mapped("square", "{0} * {0}", (2,), F32),
                reduce("sum", 3, F32),
            ],
            [(4, F32, True)],
        )[0],
        "rows_split_sum": make_region(
            (4000, 50), (0, 1), [(tall, tall)], [reduce("sum", 0, F32)], [(1, F32, True)]
        )[0],
    }


@pytest.mark.parametrize("name", sorted(golden_regions()))
def test_sources_read_as_before(name: str) -> None:
    """Write the files anew with HYBRID_UPDATE_GOLDEN=1."""
    region = golden_regions()[name]
    text = format_region(region) + "\n\n" + source(canonical(region)[0]).text
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("HYBRID_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(
    ("axes", "body", "reason"),
    [
        ((1,), [scan("sum", 0, F32), reduce("max", 1, F32)], "scans beside reductions"),
        ((0, 1), [scan("sum", 0, F32)], "along several axes"),
        ((1,), [scan("any", 0, F32)], "unknown scan any"),
    ],
)
def test_scans_no_kernel_can_do(axes: tuple[int, ...], body: list[Instr], reason: str) -> None:
    x = zeros(3, 4)
    region, _ = make_region(x.shape, axes, [(x, x)], body, [(1, F32, False)])
    assert reason in unsupported(region)


CHAINS = {
    "two that wait": ([("tanh({0})", 0), ("exp({0})", 1)], True),
    "two side by side": ([("tanh({0})", 0), ("exp({0})", 0)], False),
    "cheap ones and one": ([("sqrt({0})", 0), ("sqrt({0})", 1), ("exp({0})", 2)], False),
    "more than registers hold": ([("tanh({0})", i) for i in range(9)], False),
}


@pytest.mark.parametrize("name", CHAINS)
def test_functions_that_wait_for_each_other_are_computed_of_several_vectors_at_once(
    name: str,
) -> None:
    calls, several = CHAINS[name]
    x = zeros(64)
    body = [mapped("f", expr, (given,), F32) for expr, given in calls]
    outputs = [(value, F32, False) for value in range(1, len(body) + 1)]
    region, _ = make_region(x.shape, (), [(x, x)], body, outputs)
    assert ("in lanes(0, 64, 16, 4)" in source(canonical(region)[0]).text) == several


def test_functions_beside_each_other_have_one_body_for_all_lengths() -> None:
    x = zeros(64)
    calls = [mapped("f", "tanh({0})", (0,), F32), mapped("f", "exp({0})", (0,), F32)]
    outputs = [(1, F32, False), (2, F32, False)]
    region, _ = make_region(x.shape, (), [(x, x)], calls, outputs)
    assert "in lanes(0, 16, 16, 1)" in source(canonical(region)[0]).text
    if wide.has_masks():
        assembly = build.assembly(source(canonical(region)[0]))
        assert len(re.findall("vscalefps", assembly)) == 1
        assert "ss\t%xmm" not in assembly
