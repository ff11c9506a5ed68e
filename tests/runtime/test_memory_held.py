"""Memory that a caller still holds is never written, and what a Plan reuses is aligned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core import recycle
from hybrid.core.layout import contiguous
from hybrid.core.spec import TensorSpec
from hybrid.runtime import native_loop
from hybrid.runtime.driver_calls import new_workspace
from hybrid.runtime.memory import ALIGNMENT, Interval, pack

SIZES = [4, recycle.LARGE // 4 + 16]


@pytest.mark.parametrize("size", SIZES)
def test_an_update_leaves_the_value_of_a_variable_that_a_caller_holds(size: int) -> None:
    variable = hb.Variable(hb.ones(size))

    @hb.compile
    def update(x: Any) -> None:
        variable.assign(variable * 2 + x)

    x = hb.zeros(size)
    held = []
    for _ in range(4):
        held.append(variable.read())
        update(x)
    assert [float(value[-1]) for value in held] == [1.0, 2.0, 4.0, 8.0]
    assert float(variable.numpy()[0]) == 16.0


@pytest.mark.parametrize("size", SIZES)
def test_a_view_or_an_ndarray_of_the_old_value_keeps_it(size: int) -> None:
    variable = hb.Variable(hb.ones(size))

    @hb.compile
    def update() -> None:
        variable.assign_add(variable)

    update()
    view, array = variable.read()[1:3], variable.numpy()
    for _ in range(3):
        update()
    assert view.tolist() == [2.0, 2.0]
    assert float(array[0]) == 2.0
    assert float(variable.numpy()[-1]) == 16.0


def test_large_variables_change_places_with_the_value_before() -> None:
    variable = hb.Variable(hb.ones(SIZES[1]))
    update = hb.compile(lambda: variable.assign_add(1.0))
    places = set()
    for _ in range(8):
        update()
        places.add(variable.numpy().ctypes.data)
    assert len(places) <= 3


@given(
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=8),
    lives=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=8, max_size=8),
)
def test_blocks_of_an_arena_lie_at_cache_lines(
    sizes: list[int], lives: list[tuple[int, int]]
) -> None:
    nbytes = [-(-8 * n // ALIGNMENT) * ALIGNMENT for n in sizes]
    blocks = tuple(Interval(b, *sorted(life)) for b, life in zip(nbytes, lives, strict=False))
    places, arena = pack(blocks)
    views = [(at, contiguous((n,)), np.dtype(np.float64)) for at, n in zip(places, sizes)]
    for array in new_workspace(arena, views):
        assert array.ctypes.data % ALIGNMENT == 0


@pytest.mark.parametrize("shape", [(), (3,), (5, 7), (0, 2)])
def test_buffers_of_native_loops_lie_at_cache_lines(shape: tuple[int, ...]) -> None:
    for dtype in (hb.float32, hb.bool, hb.float64):
        array = native_loop._empty(TensorSpec(shape, dtype))
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.ctypes.data % ALIGNMENT == 0


def test_temporaries_that_never_live_together_share_bytes() -> None:
    def chain(x: Any) -> Any:
        for _ in range(6):
            x = hb.sort(x @ x, axis=0) @ x * 1e-3
        return x

    compiled, x = hb.compile(chain), hb.ones((32, 32))
    compiled(x)
    (segment,) = compiled.get_concrete_function(x).segments
    (plan,) = segment.plans.values()
    assert 0 < plan.temp_bytes <= 3 * 32 * 32 * 4
    assert plan.naive_bytes >= 6 * 32 * 32 * 4
    assert f"temporaries {hb_bytes(plan.temp_bytes)}" in str(compiled.explain())


def hb_bytes(count: int) -> str:
    from hybrid.runtime.plan import format_bytes

    return format_bytes(count)
