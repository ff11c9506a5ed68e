"""Memory planning: what lives at the same time never shares bytes."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.core.fused import space_of
from hybrid.core.graph import Const
from hybrid.runtime.memory import (
    ALIGNMENT,
    Interval,
    MemoryPlan,
    may_overwrite,
    pack,
    plan_memory,
    used_roots,
)
from hybrid.runtime.schedule import schedule
from hybrid.runtime.steps import KernelStep, Root, Schedule
from tests.runtime.graphs import (
    Sketch,
    add_bias,
    draw_arrays,
    draw_graph,
    f32,
    layouts_of,
    softmax,
)

INTERVALS = st.lists(
    st.builds(
        lambda units, start, length: Interval(units * ALIGNMENT, start, start + length),
        st.integers(0, 6),
        st.integers(0, 12),
        st.integers(0, 5),
    ),
    max_size=20,
)


@given(INTERVALS)
def test_packed_blocks_that_live_together_do_not_overlap(blocks: list[Interval]) -> None:
    offsets, arena = pack(tuple(blocks))
    for (a, at), (b, bt) in combinations(zip(blocks, offsets, strict=True), 2):
        together = a.start <= b.end and b.start <= a.end
        disjoint = at + a.nbytes <= bt or bt + b.nbytes <= at or not a.nbytes or not b.nbytes
        assert disjoint or not together
    assert all(at % ALIGNMENT == 0 for at in offsets)
    assert all(at + block.nbytes <= arena for at, block in zip(offsets, blocks, strict=True))
    together = max(
        (sum(b.nbytes for b in blocks if b.start <= t <= b.end) for t in range(20)), default=0
    )
    assert together <= arena <= sum(block.nbytes for block in blocks)


def test_a_block_goes_into_the_smallest_gap() -> None:
    sizes = [(8, 0, 9), (4, 0, 0), (7, 0, 9), (3, 0, 0), (6, 0, 9), (3, 1, 1)]
    blocks = tuple(Interval(n * ALIGNMENT, a, b) for n, a, b in sizes)
    offsets, _ = pack(blocks)
    assert offsets[-1] == offsets[1]


@given(st.integers(0, 1 << 32))
def test_no_step_writes_over_what_is_still_read(seed: int) -> None:
    """Replays a schedule on bytes: each array must still be what was written when it is read."""
    rng = random.Random(seed)
    graph = draw_graph(rng)
    order = schedule(graph, layouts_of(draw_arrays(rng, graph)))
    memory = plan_memory(order)
    owner: dict[object, Root] = {}
    for step in order.steps:
        read = [root for root in used_roots(step) if root.planned]
        for root in read:
            assert all(owner[cell] is root for cell in cells(root, memory))
        for root in step.outputs:
            if root.planned:
                _check_overwrites(step, root, read, memory)
                owner.update((cell, root) for cell in cells(root, memory))
    for output in order.returns:
        root = getattr(output.source, "root", None)
        if root is not None and root.planned and root.start < len(order.steps):
            assert all(owner[cell] is root for cell in cells(root, memory))
    assert memory.arena <= memory.naive


def cells(root: Root, memory: MemoryPlan) -> set[object]:
    """The bytes of an array: places in the arena, or in the memory of an output."""
    count = root.spec.nbytes
    if root in memory.fresh:
        return {(id(memory.fresh[root]), i) for i in range(count)}
    return set(range(memory.offsets[root], memory.offsets[root] + count))


def _check_overwrites(step: object, root: Root, read: list[Root], memory: MemoryPlan) -> None:
    for source in read:
        if cells(source, memory) & cells(root, memory):
            assert isinstance(step, KernelStep)
            assert cells(source, memory) == cells(root, memory)
            assert may_overwrite(step, source, step.outputs.index(root))


# --- in place -------------------------------------------------------------------------------------


def planned(sketch: Sketch, *outputs: object) -> tuple[Schedule, MemoryPlan]:
    graph = sketch.graph(*outputs)  # type: ignore[arg-type]
    arrays = draw_arrays(random.Random(0), graph)
    order = schedule(graph, layouts_of(arrays))
    return order, plan_memory(order)


def test_epilogues_run_in_place_in_the_memory_of_the_output() -> None:
    sketch = Sketch()
    product = sketch("matmul", sketch.input(3, 5), sketch.capture(5, 4))
    (hidden,) = sketch.fused(product, sketch.capture(4), body=add_bias(3, 4))
    order, memory = planned(sketch, *sketch.fused(hidden, body=softmax(3, 4)))
    assert memory.arena == 0
    assert len(set(map(id, memory.fresh.values()))) == 1
    assert len(order.planned) == 3


INTO_ROWS = {"axes": (0,), "at": 0}


@pytest.mark.parametrize("mode", ["add", "set"])
def test_rows_are_written_in_the_array_they_change_where_nothing_reads_it_later(mode: str) -> None:
    sketch = Sketch()
    rows = sketch.input(3, dtype=np.int64)
    base = sketch("full", Const(0.0, f32), shape=(40_000, 4), dtype=f32)
    new = sketch("index_update", base, sketch.capture(3, 4), rows, **INTO_ROWS, mode=mode)
    order, memory = planned(sketch, sketch("sort", new, axis=0, descending=False, stable=True))
    filled, changed = order.planned
    assert memory.offsets[filled] == memory.offsets[changed]
    assert memory.arena == filled.spec.nbytes


def test_rows_are_written_elsewhere_where_the_array_is_read_again() -> None:
    for again in ("later", "as the rows"):
        sketch = Sketch()
        rows = sketch.input(3, dtype=np.int64)
        base = sketch("matmul", sketch.capture(3, 3), sketch.capture(3, 4))
        value = base if again == "as the rows" else sketch.capture(3, 4)
        new = sketch("index_update", base, value, rows, **INTO_ROWS, mode="add")
        order, memory = planned(
            sketch,
            sketch("matmul", sketch.capture(4, 3), new),
            *((base,) if again == "later" else ()),
        )
        where = {id(memory.fresh.get(root)) for root in order.planned[:2]}
        places = {memory.offsets.get(root) for root in order.planned[:2]}
        assert len(where) == 2 or len(places) == 2


def test_an_input_that_is_read_in_another_order_is_not_overwritten() -> None:
    body = Sketch("body")
    x = body.input(4, 4)
    turned = body.graph(body("add", x, body("permute_dims", x, axes=(1, 0))))
    sketch = Sketch()
    product = sketch("matmul", sketch.input(4, 4), sketch.capture(4, 4))
    _, memory = planned(sketch, *sketch.fused(product, body=turned))
    assert memory.arena == 4 * 4 * 4


def test_an_input_that_is_read_again_later_is_not_overwritten() -> None:
    sketch = Sketch()
    product = sketch("matmul", sketch.input(4, 4), sketch.capture(4, 4))
    (a,) = sketch.fused(product, body=softmax(4, 4))
    (b,) = sketch.fused(product, body=softmax(4, 4))
    order, memory = planned(sketch, sketch("matmul", a, b))
    first, second, third = order.planned[:3]
    assert memory.offsets[second] != memory.offsets[first]
    assert memory.offsets[third] == memory.offsets[first]


def test_with_reductions_only_what_has_the_whole_shape_may_overwrite() -> None:
    body = Sketch("body")
    x = body.input(4, 8)
    e = body("exp", x)
    graph = body.graph(e, body("sum", e, axis=(1,), keepdims=True))
    assert space_of(graph) == (4, 8)
    sketch = Sketch()
    product = sketch("matmul", sketch.input(4, 3), sketch.capture(3, 8))
    order, _ = planned(sketch, *sketch.fused(product, body=graph))
    step = order.steps[1]
    assert isinstance(step, KernelStep)
    assert may_overwrite(step, order.planned[0], 0)
    assert not may_overwrite(step, order.planned[0], 1)


def test_only_what_is_computed_from_an_input_may_overwrite_it() -> None:
    body = Sketch("body")
    x, y = body.input(4, 4), body.input(4, 4)
    graph = body.graph(body("negative", x), body("sum", y, axis=(1,), keepdims=True))
    sketch = Sketch()
    a, b = sketch.input(4, 4), sketch.capture(4, 4)
    first, second = sketch("matmul", a, b), sketch("matmul", b, a)
    order, _ = planned(sketch, *sketch.fused(first, second, body=graph))
    step = order.steps[2]
    assert isinstance(step, KernelStep)
    assert may_overwrite(step, order.planned[0], 0)
    assert not may_overwrite(step, order.planned[1], 0)
