"""Arrays put side by side agree with NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import ShapeError

X = np.arange(24.0).reshape(2, 3, 4)

SAME_AS_NUMPY = [
    (hb.concatenate, np.concatenate, ([X, X[:, :1]], 1)),
    (hb.concatenate, np.concatenate, ([X, X], None)),
    (hb.vstack, np.vstack, ([X[0, 0], X[0]],)),
    (hb.hstack, np.hstack, ([X[0], X[0]],)),
    (hb.hstack, np.hstack, ([X[0, 0], X[0, 1]],)),
]


@pytest.mark.parametrize(("ours", "numpys", "args"), SAME_AS_NUMPY)
def test_values_are_numpys(ours, numpys, args):
    np.testing.assert_array_equal(ours(*args).numpy(), numpys(*args), strict=True)


def test_stack_is_numpys():
    np.testing.assert_array_equal(hb.stack([X, X + 1], axis=-1).numpy(), np.stack([X, X + 1], -1))


def test_what_does_not_join_is_refused():
    with pytest.raises(ShapeError, match=r"\(2, 3, 4\) and \(2, 2, 4\) have sizes 3 and 2"):
        hb.concat([X, X[:, :2]])
    with pytest.raises(ShapeError, match="there is no array to join"):
        hb.stack([])
    for join in (hb.concat, hb.stack, hb.hstack, hb.vstack, hb.dstack, hb.column_stack):
        with pytest.raises(TypeError, match=f"{join.__name__}: expected a list or tuple of arrays"):
            join(5)
