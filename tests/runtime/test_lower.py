"""Lowering: a fused node becomes a Region."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.core.fused import axes_of
from hybrid.core.graph import Const, FuncGraph
from hybrid.core.interpret import interpret
from hybrid.core.layout import Layout, contiguous
from hybrid.core.spec import TensorSpec
from hybrid.kernels.region import format_region
from hybrid.runtime.instructions import Unsupported
from hybrid.runtime.lower import lower
from tests.runtime.graphs import Sketch, draw_arrays, draw_body, f32, layouts_of, softmax
from tests.runtime.regions import run_region


def lowered(body: FuncGraph, *layouts: Layout) -> str:
    return format_region(lower(body, layouts).region)


def test_softmax_becomes_one_region() -> None:
    assert lowered(softmax(3, 4), contiguous((3, 4))) == (
        "region [3, 4] reduce [1]\n"
        "  %0 = load float32 offset 0 strides [4, 1]\n"
        "  %1 = reduce max(%0) -> float32\n"
        '  %2 = map subtract(%0, %1) -> float32  # "{0} - {1}"\n'
        '  %3 = map exp(%2) -> float32  # "exp({0})"\n'
        "  %4 = reduce sum(%3) -> float32\n"
        '  %5 = map divide(%3, %4) -> float32  # "{0} / {1}"\n'
        "  store %5 float32 offset 0 strides [4, 1]"
    )


def test_views_become_strides_and_operands_are_read_once() -> None:
    body = Sketch("body")
    x, y = body.input(3, 4), body.input(4)
    turned = body("permute_dims", x, axes=(1, 0))
    back = body("flip", y, axis=(0,))
    column = body("expand_dims", back, axis=(1,))
    total = body("add", turned, column)
    graph = body.graph(body("multiply", total, turned))
    assert lowered(graph, contiguous((3, 4)), Layout((4,), (2,))) == (
        "region [4, 3]\n"
        "  %0 = load float32 offset 0 strides [1, 4]\n"
        "  %1 = load float32 offset 6 strides [-2, 0]\n"
        '  %2 = map add(%0, %1) -> float32  # "{0} + {1}"\n'
        '  %3 = map multiply(%2, %0) -> float32  # "{0} * {1}"\n'
        "  store %3 float32 offset 0 strides [3, 1]"
    )


def test_inputs_in_the_same_array_are_read_once() -> None:
    body = Sketch("body")
    graph = body.graph(body("add", body.input(3), body.input(3)))
    result = lower(graph, (contiguous((3,)),) * 2, (0, 0))
    assert result.operands == (0,)
    assert result.region.body[0].args == (0, 0)


def test_sums_of_small_integers_are_widened_first() -> None:
    body = Sketch("body")
    x = body.input(4, dtype="int8")
    graph = body.graph(body("sum", x, axis=(0,), keepdims=True))
    kinds = [(i.kind, i.dtype) for i in lower(graph, (contiguous((4,)),)).region.body]
    assert kinds == [("cast", "int64"), ("reduce", "int64")]


def test_casts_of_literals_are_done_once_and_for_all() -> None:
    body = Sketch("body")
    x = body.input(4)
    half = body("astype", Const(0.1, np.dtype("float64")), dtype=f32)
    region = lower(body.graph(body("multiply", x, half)), (contiguous((4,)),)).region
    (literal,) = (arg for arg in region.body[0].args if not isinstance(arg, int))
    assert literal.value == float(np.float32(0.1))


def test_what_no_kernel_can_do_is_refused_with_a_reason() -> None:
    body = Sketch("body")
    x = body.input(2, 3)
    flat = body("reshape", body("permute_dims", x, axes=(1, 0)), shape=(6,))
    with pytest.raises(Unsupported, match="reshape needs a copy"):
        lower(body.graph(body("negative", flat)), (contiguous((2, 3)),))

    body = Sketch("body")
    total = body("sum", body.input(2, dtype="complex64"), axis=(0,), keepdims=True)
    with pytest.raises(Unsupported, match="reduction or a scan of complex numbers"):
        lower(body.graph(total), (contiguous((2,)),))

    body = Sketch("body")
    moved = body("flip", body("negative", body.input(2)), axis=(0,))
    with pytest.raises(Unsupported, match="flip of a value that the kernel computes"):
        lower(body.graph(body("negative", moved)), (contiguous((2,)),))


@given(st.integers(0, 1 << 32))
def test_region_equals_its_body(seed: int) -> None:
    rng = random.Random(seed)
    shapes = rng.choice([((3, 4), (4,)), ((2, 1, 3), (2, 4, 1)), ((), ()), ((5,), ()), ((1, 4),)])
    body = draw_body(rng, [TensorSpec(shape, f32) for shape in shapes])
    arrays = draw_arrays(rng, body)
    found = lower(body, layouts_of(arrays))
    outputs = [np.full(x.spec.shape, 77, f32) for x in body.outputs]
    run_region(found.region, (*(arrays[i] for i in found.operands), *outputs))
    for have, want in zip(outputs, interpret(body, arrays), strict=True):
        np.testing.assert_array_equal(have, want)
    assert not found.region.axes or found.region.axes == axes_of(body)
