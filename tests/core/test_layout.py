"""Layouts are NumPy's strided views."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid.core.layout import Layout, contiguous


def layout_of(a: np.ndarray) -> Layout:
    return Layout(a.shape, tuple(s // a.itemsize for s in a.strides))


def address(base: np.ndarray, view: np.ndarray) -> int:
    start = base.__array_interface__["data"][0]
    return (view.__array_interface__["data"][0] - start) // base.itemsize


shapes = st.lists(st.sampled_from([1, 2, 3, 4, 6]), max_size=4).map(tuple)


@given(shape=shapes, data=st.data())
def test_reshape_is_a_view_exactly_where_numpy_makes_one(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    a = np.zeros(shape)
    a = a.transpose(data.draw(st.permutations(range(a.ndim))))
    if a.ndim and data.draw(st.booleans()):
        a = a[::-1]
    rest, new = a.size, []
    while rest > 1:
        new.append(data.draw(st.sampled_from([d for d in range(2, rest + 1) if rest % d == 0])))
        rest //= new[-1]
    for _ in range(data.draw(st.integers(0, 2))):
        new.insert(data.draw(st.integers(0, len(new))), 1)
    view = a.reshape(new)
    found = layout_of(a).reshape(tuple(new))
    assert (found is not None) == np.shares_memory(a, view)
    if found is not None:
        wanted = layout_of(view).strides
        assert all(n == 1 or x == y for n, x, y in zip(new, found.strides, wanted, strict=True))


def test_slices_transposes_and_broadcasts_follow_numpy() -> None:
    a = np.zeros((4, 6, 5))
    base = contiguous(a.shape)
    step = base.slice(1, 5, 3, -2)
    assert (step.shape, step.strides) == (a[:, 5::-2].shape, layout_of(a[:, 5::-2]).strides)
    assert step.offset == address(a, a[:, 5::-2])
    turned = base.transpose((2, 0, 1)).drop(1, 3)
    assert turned == Layout((5, 6), (1, 5), 90)
    assert base.insert(0).expand((7, 4, 6, 5)).strides == (0, 30, 5, 1)
    assert base.is_contiguous
    assert not base.transpose((1, 0, 2)).is_contiguous
