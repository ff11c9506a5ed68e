"""Arrays are compared with others by dtype, shape and strides, in native code."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hybrid as hb
from hybrid.kernels.alike import alike
from hybrid.trace import keys

DTYPES = st.sampled_from([np.dtype(x) for x in ("f4", "f8", "i4", "?", "c8", ">f4")])


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    array = np.zeros([n * 2 for n in shape], draw(DTYPES))
    steps = tuple(slice(None, None, draw(st.sampled_from((1, 2, -1)))) for _ in shape)
    return np.asarray(array[steps]).transpose(draw(st.permutations(range(len(shape)))))


def described(x: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    return x.dtype, x.shape, x.strides


@given(st.lists(arrays(), min_size=1, max_size=4), st.data())
def test_it_says_what_python_says(known: list[Any], data: st.DataObject) -> None:
    others = [data.draw(st.one_of(st.just(x), arrays())) for x in known]
    same = [*map(described, known)] == [*map(described, others)]
    assert alike(known)(*known)
    assert bool(alike(known)(*others)) == same


@pytest.mark.parametrize("other", [None, 1.0, "a", [1.0], np.float32(0), np.ma.zeros(3)])
def test_what_is_no_array_is_not_alike(other: Any) -> None:
    assert not alike([np.zeros(3)])(other)


def test_what_it_compares_with_lives_as_long_as_it() -> None:
    same = alike([np.zeros(3, [("a", "f4"), ("b", "i8")])])
    gc.collect()
    made = [np.dtype([("a", "f4"), (f"c{i}", "i8")]) for i in range(50)]
    assert not any(same(np.zeros(3, dtype)) for dtype in made)


def test_calls_find_their_traces_whatever_came_before() -> None:
    @hb.compile
    def f(a: hb.Tensor, b: hb.Tensor) -> hb.Tensor:
        return a * 2 + b

    kinds = [hb.ones(3), hb.ones((2, 3)), hb.ones((2, 6))[:, ::2], hb.ones((3, 2)).T]
    kinds += [hb.ones(3, dtype="float64"), hb.ones(3, dtype="int32")]
    for _ in range(keys.WORTH_COMPARING + 2):
        for x in kinds:
            found = f(x, x)
            assert (found.dtype, found.shape) == (x.dtype, x.shape)
            assert (found.numpy() == 3).all()
    for _ in range(keys.WORTH_COMPARING + 2):
        f(kinds[0], kinds[0])
    kinds[0]._data.shape = (3, 1)  # NumPy allows that in place
    assert f(kinds[0], kinds[0]).shape == (3, 1)
