"""Writes into parts of arrays: in place where the old value is dead, right in any case."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core.graph import Const
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import KernelStep, Schedule, WriteStep
from tests.runtime.graphs import Sketch, layouts_of

INNER = (("slice", (("sizes", (3, 3)), ("starts", (1, 1)), ("steps", (1, 1)))),)


def sweep(shift: tuple[int, int]) -> Any:
    """A body that reads the inner part of a 5x5 array twice, once shifted."""
    body = Sketch("body")
    x = body.input(5, 5)
    here = body("slice", x, starts=(1, 1), sizes=(3, 3), steps=(1, 1))
    there = body("slice", x, starts=(1 + shift[0], 1 + shift[1]), sizes=(3, 3), steps=(1, 1))
    return body.graph(body("add", body("multiply", here, here), there))


def scheduled(sketch: Sketch, *outputs: Any) -> Schedule:
    graph = sketch.graph(*outputs)
    arrays = [np.zeros(value.spec.shape, np.float32) for value in graph.parameters]
    return schedule(graph, layouts_of(arrays))


def kinds(order: Schedule) -> list[str]:
    return [
        "kernel" if isinstance(s, KernelStep) else s.name if isinstance(s, WriteStep) else "call"
        for s in order.steps
    ]


def test_a_kernel_writes_into_the_part_itself_where_it_reads_no_other() -> None:
    sketch = Sketch()
    base = sketch("matmul", sketch.input(5, 5), sketch.capture(5, 5))
    (value,) = sketch.fused(base, body=sweep((0, 0)))
    order = scheduled(sketch, sketch("view_update", base, value, chain=INNER))
    assert kinds(order) == ["call", "kernel"]
    assert len(order.planned) == 1


def test_a_kernel_that_reads_neighbours_of_what_it_writes_goes_through_a_temporary() -> None:
    sketch = Sketch()
    base = sketch("matmul", sketch.input(5, 5), sketch.capture(5, 5))
    (value,) = sketch.fused(base, body=sweep((0, 1)))
    order = scheduled(sketch, sketch("view_update", base, value, chain=INNER))
    assert kinds(order) == ["call", "kernel", "write"]


def test_an_argument_is_copied_once_and_written_in_place_from_then_on() -> None:
    sketch = Sketch()
    value = base = sketch.input(5, 5)
    for shift in ((0, 1), (1, 0), (1, 1)):
        (part,) = sketch.fused(value, body=sweep(shift))
        value = sketch("view_update", value, part, chain=INNER)
    assert base is not value
    order = scheduled(sketch, value)
    assert kinds(order) == ["copy", "kernel", "kernel", "write", "kernel", "write"]


def test_an_array_that_is_read_later_is_copied_before_it_is_written() -> None:
    sketch = Sketch()
    base = sketch("matmul", sketch.input(5, 5), sketch.capture(5, 5))
    (part,) = sketch.fused(base, body=sweep((0, 0)))
    new = sketch("view_update", base, part, chain=INNER)
    order = scheduled(sketch, sketch("matmul", new, base))
    assert kinds(order) == ["call", "copy", "kernel", "call"]


def test_a_view_of_the_old_value_that_is_returned_keeps_it() -> None:
    sketch = Sketch()
    base = sketch("matmul", sketch.input(5, 5), sketch.capture(5, 5))
    row = sketch("slice", base, starts=(0, 0), sizes=(1, 5), steps=(1, 1))
    new = sketch("view_update", base, Const(1.0, hb.float32), chain=INNER)
    assert kinds(scheduled(sketch, new, row)) == ["call", "copy", "write"]


def test_a_value_that_is_wanted_elsewhere_is_kept() -> None:
    sketch = Sketch()
    base = sketch("matmul", sketch.input(5, 5), sketch.capture(5, 5))
    (part,) = sketch.fused(base, body=sweep((0, 0)))
    new = sketch("view_update", base, part, chain=INNER)
    assert kinds(scheduled(sketch, new, part)) == ["call", "kernel", "write"]


def test_a_part_that_overlaps_its_source_is_written_as_numpy_does() -> None:
    def reverse(x: Any) -> Any:
        y = x * 2
        y[::-1] = y
        y[1:] = y[:-1]
        return y

    x = np.arange(25.0, dtype=np.float32).reshape(5, 5)
    np.testing.assert_array_equal(hb.compile(reverse)(x).numpy(), reverse(x))


def test_a_library_result_is_written_in_place_only_if_its_memory_is_its_own() -> None:
    def sort_of(x: Any) -> Any:
        y = hb.sort(x, axis=1)
        y[0] = x[1]
        z = hb.reshape(y.T, (-1,))
        z[3:5] = 0
        return y, z, x + 0

    x = np.arange(20.0, dtype=np.float32)[::-1].reshape(4, 5).copy()
    kept = x.copy()
    for got, wanted in zip(hb.compile(sort_of)(x), sort_of(hb.asarray(x)), strict=True):
        np.testing.assert_array_equal(got.numpy(), wanted.numpy())
    np.testing.assert_array_equal(x, kept)


def test_what_a_kernel_writes_into_a_part_can_be_written_into_another_array() -> None:
    """The kernel stores into the first array, backwards; it must not be aimed at the second."""

    def twice(x: Any) -> Any:
        first, second = np.zeros((3, 4)), np.zeros((3, 4))
        first[:, ::-1] = x * 2
        second[::-1, :] = first
        return second @ second.T, second

    x = np.arange(12.0).reshape(3, 4)
    for got, wanted in zip(hb.compile(twice)(x), twice(x), strict=True):
        np.testing.assert_array_equal(got.numpy(), wanted)


# --- random programs ------------------------------------------------------------------------------


def _slice(rng: random.Random, size: int, length: int) -> slice:
    step = rng.choice((1, 1, 1, -1, 2))
    span = (length - 1) * abs(step) + 1
    if span > size:
        step, span = 1, length
    start = rng.randrange(size - span + 1)
    if step > 0:
        return slice(start, start + span, step)
    return slice(start + span - 1, start - 1 if start else None, step)


def rows(start: int, count: int) -> Any:
    return (("slice", (("sizes", (count, 5)), ("starts", (start, 0)), ("steps", (1, 1)))),)


def two_results() -> Any:
    body = Sketch("body")
    x = body.input(2, 5)
    return body.graph(body("multiply", x, x), body("add", x, x))


def test_a_kernel_writes_several_parts_of_one_array_if_they_have_nothing_in_common() -> None:
    for start, steps in ((2, ["copy", "kernel"]), (1, ["copy", "kernel", "write"])):
        sketch = Sketch()
        base, x = sketch.input(5, 5), sketch.input(2, 5)
        one, other = sketch.fused(x, body=two_results())
        new = sketch("view_update", base, one, chain=rows(0, 2))
        order = scheduled(sketch, sketch("view_update", new, other, chain=rows(start, 2)))
        assert kinds(order) == steps


@pytest.mark.parametrize("places", list(itertools.product(range(4), repeat=3)))
def test_parts_that_one_kernel_computes_are_written_in_order(places: tuple[int, ...]) -> None:
    def f(x: Any, y: Any) -> Any:
        out = hb.zeros((5, 3))
        for place, part in zip(places, (x + y, x * y, x - y), strict=True):
            out[place : place + 2] = part
        return out

    x, y = hb.asarray(np.arange(6.0).reshape(2, 3)), hb.asarray(np.ones((2, 3)))
    np.testing.assert_array_equal(hb.compile(f)(x, y), f(x, y))


def run_program(seed: int, a: Any, b: Any) -> tuple[Any, ...]:
    """Read and write parts of arrays, their copies, transposes and flat views."""
    rng = random.Random(seed)
    arrays = [a, b]
    for _ in range(rng.randrange(2, 9)):
        x, y, z = (rng.choice(arrays) for _ in range(3))
        kind = rng.randrange(6)
        if kind == 0:
            arrays.append(x.copy() if rng.random() < 0.5 else x * 2 - y)
        elif kind == 1:
            arrays[arrays.index(x) if x is a else 0] = x + y
        else:
            rows, columns = rng.randrange(1, 6), rng.randrange(1, 6)
            at, source, other = ((_slice(rng, 6, rows), _slice(rng, 6, columns)) for _ in range(3))
            target = x.T if rng.random() < 0.2 else x
            if kind == 2:
                target[at] = y[source] * 0.5 + z[other]
            elif kind == 3:
                target[at] += y[source]
            elif kind == 4:
                target[at] = y[source]
            else:
                flat = x.reshape(-1)
                flat[at[0]] = y[at[0], 2] + 1
        if rng.random() < 0.3:
            whole = x * 0
            whole[:, :: rng.choice((1, -1))] = arrays[-1]
            arrays.append(whole)
    return tuple(arrays)


@given(st.integers(0, 10**6))
def test_random_programs_of_writes_equal_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-8, 8, (6, 6)).astype(np.float32) for _ in range(2))
    copies = a.copy(), b.copy()

    def program(a: Any, b: Any) -> tuple[Any, ...]:
        return run_program(seed, a, b)

    with np.errstate(all="ignore"):
        wanted = program(a, b)
        got = hb.compile(program)(*copies)
    for one, other in zip((*got, *copies), (*wanted, a, b), strict=True):
        np.testing.assert_array_equal(np.asarray(one), other)


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (1, 4)])
def test_arrays_of_few_elements(shape: tuple[int, int]) -> None:
    def shifted(x: Any) -> Any:
        x[1:] = x[:-1] + 1
        x[:, -1:] = 5
        return x * 2

    mine, theirs = np.ones(shape, np.float32), np.ones(shape, np.float32)
    np.testing.assert_array_equal(hb.compile(shifted)(mine).numpy(), shifted(theirs))
    np.testing.assert_array_equal(mine, theirs)
