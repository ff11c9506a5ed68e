"""Results are written over what they replace, in native code where that is no more than copying."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.tensor import wrap
from hybrid.kernels.overwriting import overwriting
from hybrid.ops._shortways import known_objects

OVERWRITE = overwriting(known_objects())


def grid() -> np.ndarray[Any, Any]:
    return np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("around", [np.asarray, wrap])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (2, 0, 3)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "?", "c16"])
def test_plain_arrays_are_copied(around: Any, shape: tuple[int, ...], dtype: str) -> None:
    values = [np.ones(shape, dtype), np.full(shape, 0, dtype)]
    targets = [np.full(shape, 7, dtype), np.full(shape, 7, dtype)]
    a, b = map(around, targets)
    assert OVERWRITE(a, values[0], b, values[1]) == 4
    np.testing.assert_array_equal(targets, values)


def test_a_value_that_is_its_own_target_stays() -> None:
    x = grid()
    assert OVERWRITE(x, x, wrap(x), x) == 4
    np.testing.assert_array_equal(x, grid())


def read_only() -> np.ndarray[Any, Any]:
    x = grid()
    x.flags.writeable = False
    return x


def viewed() -> hb.Tensor:
    x = hb.asarray(grid())
    assert x[0].shape == (3,)
    return x


@pytest.mark.parametrize(
    ("target", "value"),
    [
        (grid(), 2.0),
        (grid(), np.ones(3)),
        (grid(), np.ones((2, 3), "f4")),
        (grid(), np.ones((3, 2)).T),
        (grid().T, np.ones((3, 2))),
        (read_only(), np.ones((2, 3))),
        (np.array([[None] * 3] * 2), np.array([[1] * 3] * 2, object)),
        (viewed(), np.ones((2, 3))),
        (hb.Variable(grid()), np.ones((2, 3))),
    ],
)
def test_at_the_first_that_takes_more_it_stops(target: Any, value: Any) -> None:
    first, last = grid(), grid()
    before = repr(target)
    assert OVERWRITE(first, first + 1, target, value, last, last + 1) == 2
    np.testing.assert_array_equal(first, grid() + 1)
    np.testing.assert_array_equal(last, grid())
    assert repr(target) == before
