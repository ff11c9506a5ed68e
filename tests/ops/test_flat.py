"""``x.flat``, eager and traced, beside NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

A = np.arange(12.0).reshape(3, 4)


def written(change: Callable[[Any], None]) -> Callable[[Any], Any]:
    def function(a: Any) -> Any:
        b = a.copy()
        change(b)
        return b

    return function


def assign(key: Any, value: Any) -> Callable[[Any], Any]:
    return written(lambda b: b.flat.__setitem__(key, value))


CASES: dict[str, Callable[[Any], Any]] = {
    "read one": lambda a: a.flat[7] + a.flat[-2],
    "read a slice of a transposed one": lambda a: a.T.flat[2:6],
    "read places": lambda a: a.flat[[1, 3]],
    "sum in a loop": lambda a: sum(v * v for v in a.flat),
    "copy": lambda a: a.flat.copy(),
    "write one": assign(-3, 9.0),
    "write a diagonal": assign(slice(None, None, 5), 1.0),
    "write too few": assign(slice(1, 6), [7.0, 8.0]),
    "write places": assign([0, -1], 9.0),
    "write nothing": assign(slice(4, 4), 9.0),
    "write all": written(lambda b: setattr(b, "flat", [1.0, 2.0, 3.0])),
    "write through a view": written(lambda b: b[1:, ::-1].flat.__setitem__(slice(1, 4), 5.0)),
    "write through a transposed view": written(lambda b: b.T.flat.__setitem__(2, 5.0)),
    "write by a mask": written(lambda b: b.flat.__setitem__(b.ravel() > 4, 0.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_numpys(name: str) -> None:
    function = CASES[name]
    expected = function(A)
    for found in (function(hb.asarray(A)), hb.compile(function)(A)):
        np.testing.assert_array_equal(found, expected)


def test_writing_stays_in_the_trace() -> None:
    f = hb.compile(CASES["write by a mask"], fullgraph=True)
    np.testing.assert_array_equal(f(A), CASES["write by a mask"](A))


def test_what_is_read_is_a_copy() -> None:
    x = hb.asarray(A.copy())
    x.flat[:3][0] = 99.0
    np.testing.assert_array_equal(x, A)


def test_gradients_flow_through_it() -> None:
    x = hb.asarray(A)
    np.testing.assert_array_equal(hb.grad(lambda x: (x.flat[::5] * 3).sum())(x), 3 * np.eye(3, 4))


@pytest.mark.parametrize("key", [12, -13, (1, 2), None, "a"])
def test_another_index_is_an_index_error(key: Any) -> None:
    with pytest.raises(IndexError):
        hb.asarray(A).flat[key]
