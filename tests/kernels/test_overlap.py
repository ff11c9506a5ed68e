"""Arrays that are written are compared with others by their bounds, in native code."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid.kernels.overlap import APART, SHARED, UNKNOWN, overlap

MEMORY = np.zeros((12, 6))


@st.composite
def parts(draw: st.DrawFn) -> Any:
    """Parts of one array, now and then nothing at all."""
    if draw(st.integers(0, 5)) == 0:
        return None
    ends = st.integers(0, 12)
    steps = st.sampled_from((1, 2, -1, -3))
    part = MEMORY[draw(ends) : draw(ends) : draw(steps), draw(ends) :: draw(steps)]
    return part.T if draw(st.booleans()) else part


def shared(arrays: list[Any], written: set[int], first: int) -> bool:
    return any(
        np.may_share_memory(arrays[i], x)
        for i in written
        for k, x in enumerate(arrays)
        if k != i and arrays[i] is not None and x is not None
        if not (x is arrays[i] and min(i, k) >= first)
    )


@given(st.data())
def test_it_says_what_numpy_says_pair_by_pair(data: st.DataObject) -> None:
    arrays = data.draw(st.lists(parts(), min_size=1, max_size=5))
    arrays += data.draw(st.lists(st.sampled_from(arrays), max_size=2))
    places = st.integers(0, len(arrays) - 1)
    written, first = data.draw(st.sets(places)), data.draw(st.integers(0, len(arrays)))
    found = overlap(written, len(arrays), first)(*arrays)
    assert found == (SHARED if shared(arrays, written, first) else APART)


def test_what_is_no_ndarray_is_left_to_python() -> None:
    class Own(np.ndarray[Any, Any]):
        pass

    compare = overlap({0}, 2, 0)
    for other in (1, 2.0, "x", [MEMORY], MEMORY.view(Own)):
        assert compare(MEMORY, other) == UNKNOWN
