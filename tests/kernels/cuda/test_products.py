"""Products as cuBLAS is asked for them: by columns, with strides, in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.core.layout import Layout, contiguous
from hybrid.kernels.cuda.products import MOST_CALLS, Factor, Product, as_matrices, factor, plan

Array = np.ndarray[Any, Any]


def layout_of(view: Array, base: Array) -> Layout:
    offset = (view.ctypes.data - base.ctypes.data) // base.itemsize
    return Layout(view.shape, tuple(s // base.itemsize for s in view.strides), offset)


def by_columns(memory: Array, start: int, size: tuple[int, int], how: Factor) -> Array:
    """A matrix as cuBLAS reads it."""
    rows, columns = size[::-1] if how.transposed else size
    assert how.leading >= rows
    places = start + np.arange(rows)[:, None] + how.leading * np.arange(columns)
    assert places.max() < memory.size
    found = memory[places]
    return found.T if how.transposed else found


def run(calls: tuple[Product, ...], a: Array, b: Array, out: Array) -> None:
    first, second, target = b.reshape(-1), a.reshape(-1), out.reshape(-1)
    for call in calls:
        g = call.gemm
        for i in range(g.batch):
            x, y, z = (
                start + i * side.step
                for start, side in zip(call.offsets, (g.first, g.second, g.out), strict=True)
            )
            left = by_columns(first, x, (g.m, g.k), g.first)
            right = by_columns(second, y, (g.k, g.n), g.second)
            places = z + np.arange(g.m)[:, None] + g.out.leading * np.arange(g.n)
            target[places] = left @ right


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_products_of_any_layout(data: st.DataObject) -> None:
    size = st.integers(1, 4)
    batch = data.draw(st.lists(size, max_size=3))
    rows, inner, columns = (data.draw(size) for _ in range(3))
    arrays = []
    for number, shape in enumerate([(rows, inner), (inner, columns)]):
        own = [n if data.draw(st.booleans()) else 1 for n in batch]
        lead = data.draw(st.integers(0, len(own)))
        turned = data.draw(st.booleans())
        stored = (*own[lead:], *(shape[::-1] if turned else shape))
        base = np.arange(np.prod(stored), dtype=float).reshape(stored) + number
        arrays.append((base.swapaxes(-1, -2) if turned else base, base))
    (a, base_a), (b, base_b) = arrays
    wanted = a @ b
    out = np.full(wanted.shape, np.nan)
    calls = plan(layout_of(a, base_a), layout_of(b, base_b), contiguous(out.shape), "float64")
    assert calls is not None
    run(calls, base_a, base_b, out)
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((3,), (5, 3, 2)), ((5, 2, 3), (3,))]
)
def test_vectors_are_matrices_of_one_row_or_column(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = np.arange(np.prod(a), dtype=float).reshape(a), np.arange(np.prod(b)).reshape(b) + 0.5
    wanted = np.asarray(x @ y)
    out = np.full(wanted.shape, np.nan)
    calls = plan(*as_matrices(contiguous(a), contiguous(b), contiguous(wanted.shape)), "float64")
    assert calls is not None
    run(calls, x, y, out)
    np.testing.assert_array_equal(out, wanted)


def test_a_batch_without_gaps_is_one_call_and_a_weight_is_read_by_all() -> None:
    calls = plan(contiguous((6, 5, 3, 4)), contiguous((4, 2)), contiguous((6, 5, 3, 2)), "float32")
    assert calls is not None
    (call,) = calls
    assert call.gemm.batch == 30
    assert (call.gemm.first.step, call.gemm.second.step, call.gemm.out.step) == (0, 12, 6)


def test_transposes_are_flags() -> None:
    turned = contiguous((5, 3)).transpose((1, 0))
    assert factor(turned) == Factor(True, 3)
    assert factor(contiguous((3, 5))) == Factor(False, 5)


@pytest.mark.parametrize("strides", [(10, 2), (-5, 1), (5, -1), (0, 1)])
def test_what_cublas_cannot_read_is_copied_first(strides: tuple[int, int]) -> None:
    assert factor(Layout((3, 5), strides)) is None
    assert plan(Layout((3, 5), strides), contiguous((5, 2)), contiguous((3, 2)), "float32") is None


def test_too_many_calls_are_one_batch_of_copies_instead() -> None:
    n = MOST_CALLS + 1
    a, b = contiguous((n, 1, 3, 4)), contiguous((1, n, 4, 2))
    assert plan(a, b, contiguous((n, n, 3, 2)), "float32") is None
