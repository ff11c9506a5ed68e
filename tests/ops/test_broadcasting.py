"""Axes of size 1 come, go and are stretched as NumPy's are."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import ShapeError

X = np.arange(24.0).reshape(2, 3, 4)

SAME_AS_NUMPY = [
    (hb.broadcast_to, np.broadcast_to, (X, (5, 2, 3, 4))),
    (hb.squeeze, np.squeeze, (X[:, :1],)),
    (hb.squeeze, np.squeeze, (X[:, :1], 1)),
    (hb.expand_dims, np.expand_dims, (X, (0, -1))),
]


@pytest.mark.parametrize(("ours", "numpys", "args"), SAME_AS_NUMPY)
def test_values_are_numpys(ours, numpys, args):
    np.testing.assert_array_equal(ours(*args).numpy(), numpys(*args), strict=True)


def test_what_is_not_of_size_1_is_refused():
    with pytest.raises(ShapeError, match=r"squeeze: axis 1 of shape \(2, 3, 4\) has size 3"):
        hb.squeeze(X, 1)
    with pytest.raises(ShapeError, match=r"broadcast_to: shape \(2, 3, 4\) does not broadcast"):
        hb.broadcast_to(X, (2, 3, 5))
