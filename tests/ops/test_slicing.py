"""Parts of arrays, and axes turned round, agree with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import AxisError, ShapeError

X = np.arange(24.0).reshape(2, 3, 4)

SAME_AS_NUMPY = [
    (hb.flip, np.flip, (X, (0, 2))),
    (hb.flip, np.flip, (X,)),
]


@pytest.mark.parametrize(("ours", "numpys", "args"), SAME_AS_NUMPY)
def test_values_are_numpys(ours, numpys, args):
    np.testing.assert_array_equal(ours(*args).numpy(), numpys(*args), strict=True)


def test_parts_are_numpys():
    for cuts in (2, [1, 3], [-1], [2, 1], [9]):
        for ours, numpys in zip(hb.split(X, cuts, 2), np.split(X, cuts, 2), strict=True):
            np.testing.assert_array_equal(ours.numpy(), numpys)
    for ours, numpys in zip(hb.unstack(X, axis=1), np.unstack(X, axis=1), strict=True):
        np.testing.assert_array_equal(ours.numpy(), numpys)


def test_numbers_of_a_row_know_nothing_of_later_writes() -> None:
    def f(x: Any) -> Any:
        first, *_ = np.unstack(x)
        x += 1
        return first

    for run in (f, hb.compile(f)):
        assert float(run(hb.ones(3))) == 1


def test_axes_and_parts_that_are_not_there_are_refused():
    with pytest.raises(AxisError, match=r"flip: axis 3 does not exist"):
        hb.flip(X, 3)
    with pytest.raises(ShapeError, match="does not split into 2 parts"):
        hb.split(X, 2, axis=1)
