"""Arrays that a function makes from captured ones, and writes to, before it goes on eagerly."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

CAPTURED = np.array([[3.0, 1.0, 2.0], [0.5, -2.0, 1.0]])
X = np.ones((2, 3))


def caught(x: Any) -> None:
    with contextlib.suppress(IndexError):
        x[[0, 7]]


def asked(x: Any) -> None:
    float(x[0, 0])


def doubled_when_sorted(x: Any, leave: Callable[[Any], None]) -> Any:
    made = np.sort(CAPTURED)
    made *= 2.0
    if x.sum() > 0:
        leave(x)
    return made


def written_behind_each_decision(x: Any, leave: Callable[[Any], None]) -> Any:
    made = np.clip(CAPTURED, -1, 1)
    made *= 2.0
    row = made[0]
    if x.sum() > 0:
        row += 1.0
    if x[0, 0] < 5:
        made[1] -= 3.0
        leave(x)
    return made


def two_of_them(x: Any, leave: Callable[[Any], None]) -> Any:
    first, second = np.where(CAPTURED > 0, CAPTURED, 0.0), np.tril(CAPTURED)
    first += x
    if x.sum() > 0:
        second += first
        leave(x)
    return first, second


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize("leave", [caught, asked])
@pytest.mark.parametrize(
    "function", [doubled_when_sorted, written_behind_each_decision, two_of_them]
)
def test_what_was_written_to_it_before_is_there_where_the_function_goes_on_eagerly(
    function: Callable[..., Any], leave: Callable[[Any], None]
) -> None:
    compiled = hb.compile(function)
    for x in (-X, X, 9.0 * X, -X, X, -X, 9.0 * X):
        found, expected = compiled(x.copy(), leave), function(x.copy(), leave)
        np.testing.assert_allclose(found, expected)


def test_a_way_met_later_goes_on_from_what_was_written() -> None:
    def function(x: Any) -> Any:
        made = np.sort(CAPTURED)
        made *= 2.0
        return made if x.sum() > 0 else made + 100.0

    compiled = hb.compile(function)
    for x in (X, -X, X, -X):
        np.testing.assert_array_equal(compiled(x), function(x))
    assert compiled.cache_info().misses == 1
