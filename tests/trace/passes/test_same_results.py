"""The law of every pass: the graph computes the same before and after, whatever the program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import numpy as np
from hypothesis import given, note
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.graph import FuncGraph, verify
from hybrid.core.layout import contiguous
from hybrid.runtime.lower import lower
from hybrid.trace.passes import PASSES, fuse, grouping, optimize
from tests.trace.passes.graphs import assert_same, bodies, check_bodies, sample, show, spec, traced

SHAPES = [(), (3,), (1,), (4, 3), (4, 1), (1, 3), (2, 4, 3), (1, 1), (3, 3), (3, 3)]
DTYPES = ["float64", "float64", "float64", "int64", "bool", "float32"]

UNARY = [hb.negative, hb.abs, hb.square, hb.floor, hb.copy, hb.stop_gradient, hb.sign]
BINARY = [hb.add, hb.subtract, hb.multiply, hb.maximum, hb.minimum]
COMPARE = [hb.less, hb.equal, hb.greater_equal, hb.not_equal]
REDUCE = [hb.sum, hb.max, hb.min, hb.mean, hb.any, hb.all]
LITERALS = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 4.0]


@dataclass
class Program:
    """Random steps on Tensors; run under a recorder it becomes a graph."""

    draw: Callable

    def __call__(self, *inputs: hb.Tensor) -> tuple[hb.Tensor, ...]:
        self.values = list(inputs)
        for _ in range(self.draw(st.integers(1, 14))):
            step = self.draw(st.sampled_from(STEPS))
            self.values.append(hb.asarray(step(self)))
        count = self.draw(st.integers(1, 3))
        return tuple(self.values[-count:])

    def pick(self, *, numeric: bool = False) -> hb.Tensor:
        # Recent values more often: long chains are what fuses.
        recent = self.draw(st.sampled_from((2, 4, 100)))
        x = self.draw(st.sampled_from(self.values[-recent:]))
        return x.astype("float64") if numeric and x.dtype == bool else x

    def pick_like(self, x: hb.Tensor) -> hb.Tensor:
        fitting = [y for y in self.values if fits(x.shape, y.shape)]
        y = self.draw(st.sampled_from(fitting))
        return y.astype("float64") if y.dtype == bool else y

    def axis(self, x: hb.Tensor) -> tuple[int, ...] | None:
        axes = self.draw(st.sets(st.integers(0, x.ndim - 1))) if x.ndim else set()
        return tuple(sorted(axes)) or None


def fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return len(np.broadcast_shapes(a, b)) <= 3
    except ValueError:
        return False


def unary(p: Program) -> hb.Tensor:
    return p.draw(st.sampled_from(UNARY))(p.pick(numeric=True))


def binary(p: Program) -> hb.Tensor:
    x = p.pick(numeric=True)
    return p.draw(st.sampled_from(BINARY))(x, p.pick_like(x))


def with_literal(p: Program) -> hb.Tensor:
    x, c = p.pick(numeric=True).astype("float64"), p.draw(st.sampled_from(LITERALS))
    op = p.draw(st.sampled_from([*BINARY, hb.divide]))
    return op(x, c or 1.0) if op is hb.divide else op(x, c)


def choice(p: Program) -> hb.Tensor:
    x = p.pick(numeric=True)
    y = p.pick_like(x)
    return hb.where(p.draw(st.sampled_from(COMPARE))(x, y), x, y)


def logic(p: Program) -> hb.Tensor:
    return hb.logical_not(p.pick().astype("bool")) if p.draw(st.booleans()) else compare(p)


def compare(p: Program) -> hb.Tensor:
    x = p.pick(numeric=True)
    return p.draw(st.sampled_from(COMPARE))(x, p.pick_like(x))


def cast(p: Program) -> hb.Tensor:
    x = p.pick()
    return x.astype(p.draw(st.sampled_from(["float64", "float32", "bool"])))


def reduction(p: Program) -> hb.Tensor:
    x = p.pick(numeric=True)
    function = p.draw(st.sampled_from(REDUCE))
    return function(x, axis=p.axis(x), keepdims=p.draw(st.booleans()))


def softmax_like(p: Program) -> hb.Tensor:
    x = p.pick(numeric=True).astype("float64")
    if not x.ndim:
        return x
    axis = p.draw(st.integers(0, x.ndim - 1))
    y = x - hb.max(x, axis=axis, keepdims=True)
    return y + hb.expand_dims(hb.sum(y, axis=axis), axis)


def view(p: Program) -> hb.Tensor:
    x = p.pick()
    kind = p.draw(st.sampled_from(["permute", "flat", "expand", "squeeze", "flip", "slice"]))
    if kind == "permute":
        return hb.permute_dims(x, tuple(p.draw(st.permutations(range(x.ndim)))))
    if kind == "flat":
        return hb.reshape(x, p.draw(st.sampled_from([(-1,), (1, -1), (-1, 1)])))
    if kind == "expand" and x.ndim < 3:
        return hb.expand_dims(x, p.draw(st.integers(0, x.ndim)))
    if kind == "squeeze":
        return hb.squeeze(x)
    if kind == "flip":
        return hb.flip(x, p.axis(x))
    step = p.draw(st.sampled_from([1, 2, -1]))
    return x[::step] if x.ndim else x


def broadcast(p: Program) -> hb.Tensor:
    x = p.pick()
    shape = np.broadcast_shapes(x.shape, (4, 3) if fits(x.shape, (4, 3)) else x.shape)
    return hb.broadcast_to(x, shape)


def filled(p: Program) -> hb.Tensor:
    shape = p.draw(st.sampled_from(SHAPES))
    return hb.full(shape, p.draw(st.sampled_from(LITERALS)), dtype="float64")


def library(p: Program) -> hb.Tensor:
    x = p.pick(numeric=True).astype("float64")
    return hb.concat([x, x]) if x.ndim != 2 and x.ndim else x @ hb.permute_dims(x) if x.ndim else x


STEPS = [unary, binary, binary, with_literal, choice, logic, compare, cast, reduction, reduction]
STEPS += [softmax_like, view, view, broadcast, filled, library]


@st.composite
def graphs(draw: Callable) -> FuncGraph:
    specs = [
        spec(*shape, dtype=draw(st.sampled_from(DTYPES)))
        for shape in draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    ]
    return traced(Program(draw), *specs)


@given(graph=graphs(), seed=st.integers(0, 99), special=st.booleans())
def test_each_pass_keeps_what_the_graph_computes(graph, seed, special):
    note(show(graph))
    arrays = sample(graph, seed, special)
    for step in PASSES:
        new = verify(step.run(graph))
        assert_same(graph, new, arrays, rtol=1e-6, atol=1e-6)
        graph = new
    check_bodies(graph)


@given(graph=graphs(), seed=st.integers(0, 99), special=st.booleans())
def test_all_passes_together_keep_what_the_graph_computes(graph, seed, special):
    note(show(graph))
    optimized = verify(optimize(graph))
    check_bodies(optimized)
    assert_same(graph, optimized, sample(graph, seed, special), rtol=1e-6, atol=1e-6)


@given(graph=graphs(), seed=st.integers(0, 99), limit=st.sampled_from([2, 3, 5]))
def test_kernels_of_any_size_compute_the_same(graph, seed, limit):
    note(show(graph))
    limits = {"MAX_NODES": limit, "MAX_ARRAYS": limit, "SMALL_SPACE": limit, "ENOUGH_ROWS": limit}
    with mock.patch.multiple(grouping, **limits):
        optimized = verify(optimize(graph))
    check_bodies(optimized)
    assert_same(graph, optimized, sample(graph, seed), rtol=1e-6, atol=1e-6)


@given(graph=graphs(), seed=st.integers(0, 99), piece=st.integers(1, 7))
def test_long_graphs_cut_into_pieces_compute_the_same(graph, seed, piece):
    note(show(graph))
    with mock.patch.object(fuse, "PIECE", piece):
        optimized = verify(optimize(graph))
    check_bodies(optimized)
    assert_same(graph, optimized, sample(graph, seed), rtol=1e-6, atol=1e-6)


@given(graph=graphs())
def test_every_body_becomes_a_kernel(graph):
    note(show(graph))
    for body in bodies(optimize(graph)):
        lower(body, tuple(contiguous(x.spec.shape) for x in body.inputs))


@given(graph=graphs())
def test_optimizing_twice_changes_nothing_more(graph):
    once = optimize(graph)
    assert str(optimize(once)) == str(once)
