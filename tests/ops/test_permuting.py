"""Axes in another order agree with NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.making import asarray
from hybrid.errors import ShapeError

X = np.arange(24.0).reshape(2, 3, 4)

SAME_AS_NUMPY = [
    (hb.permute_dims, np.transpose, (X, (2, 0, -2))),
    (hb.permute_dims, np.transpose, (X,)),
    (hb.moveaxis, np.moveaxis, (X, (0, 1), (-1, 0))),
    (hb.moveaxis, np.moveaxis, (X, 0, 2)),
    (hb.swapaxes, np.swapaxes, (X, 0, -1)),
]


@pytest.mark.parametrize(("ours", "numpys", "args"), SAME_AS_NUMPY)
def test_values_are_numpys(ours, numpys, args):
    np.testing.assert_array_equal(ours(*args).numpy(), numpys(*args), strict=True)


def test_methods_are_numpys():
    x = asarray(X)
    np.testing.assert_array_equal(x.T.numpy(), X.T)
    np.testing.assert_array_equal(x.mT.numpy(), X.mT)
    np.testing.assert_array_equal(x.transpose(1, 0, 2).numpy(), X.transpose(1, 0, 2))
    np.testing.assert_array_equal(x.transpose((1, 0, 2)).numpy(), X.transpose(1, 0, 2))


def test_what_is_no_permutation_is_refused():
    with pytest.raises(ShapeError, match="permutation"):
        hb.permute_dims(X, (0, 1))
