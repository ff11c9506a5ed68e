"""Triangles of matrices agree with NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb

X = np.arange(24.0).reshape(2, 3, 4)

SAME_AS_NUMPY = [
    (hb.triu, np.triu, (X, 1)),
    (hb.tril, np.tril, (X, -1)),
]


@pytest.mark.parametrize(("ours", "numpys", "args"), SAME_AS_NUMPY)
def test_values_are_numpys(ours, numpys, args):
    np.testing.assert_array_equal(ours(*args).numpy(), numpys(*args), strict=True)
