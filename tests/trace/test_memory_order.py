"""A write through ``reshape`` reaches what it reaches in eager code, however results lie."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, TraceError

A = np.arange(16.0).reshape(4, 4)

# What lies otherwise than in C order, or might: NumPy's functions of a transposed array.
KNOWN: dict[str, Callable[[Any], Any]] = {
    "times": lambda a: a.T * 0.7,
    "exp": lambda a: np.exp(a.T),
    "two orders": lambda a: a.T + a,
    "a row": lambda a: a.T + a[0],
    "a chain": lambda a: np.abs(-(a.T + 1)) * 2,
    "transposed back": lambda a: np.exp(a.T).T,
    "flipped": lambda a: np.flip(a.T) * 2,
    "another dtype": lambda a: a.T.astype("float32"),
    "where": lambda a: np.where(a.T > 3, a.T, 0.0),
    "spread": lambda a: np.broadcast_to(a[0], (3, 4)).T * 2,
    "copied": lambda a: a.T.copy(),
    "an array of it": lambda a: np.array(a.T),
    "one number": lambda a: a.sum().reshape(1, 1) * 2 + np.ones((2, 3)),
    "zeros": lambda a: np.zeros((4, 4)) + 1,
    "three axes": lambda a: np.moveaxis(np.ones((2, 4, 4)) * a[0], 0, -1) * 2,
}
DOUBTFUL: dict[str, Callable[[Any], Any]] = {
    "multiplied": lambda a: a.T @ a.T,
    "sorted": lambda a: np.sort(a.T, 0),
    "rolled": lambda a: np.roll(a.T, 1, 0),
    "joined": lambda a: np.concatenate([a.T, a.T]),
    "averaged": lambda a: np.moveaxis(np.ones((2, 3, 4)) * a[0], 0, -1).mean(0),
    "running sums": lambda a: a.T.cumsum(0),
    "picked": lambda a: a.T[:, [0, 1, 2]],
}


def written(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def function(a: Any) -> Any:
        b = make(a)
        flat = b.reshape(-1)
        flat[1:5] = 99.0
        b[0] += 1
        return b, flat

    return function


@pytest.mark.parametrize("lies", ["in order", "transposed"])
@pytest.mark.parametrize("name", KNOWN)
def test_a_trace_knows_how_results_of_arithmetic_lie(name: str, lies: str) -> None:
    function = written(KNOWN[name])
    a = A if lies == "in order" else A.T
    traced = hb.compile(function, fullgraph=True)
    traced(A)  # which must not answer for another order
    for found, expected in zip(traced(a), function(a), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_only_numpy_knows_runs_eagerly_with_a_warning(name: str) -> None:
    function = written(DOUBTFUL[name])
    traced = hb.compile(function)
    with pytest.warns(EagerFallbackWarning, match="whether reshape made a view"):
        first = traced(A)
    for result in (first, traced(A + 1), traced(A)):
        assert result[0].shape == first[0].shape
    for found, expected in zip(traced(A), function(hb.asarray(A)), strict=True):
        np.testing.assert_allclose(found, expected)
    with pytest.raises(TraceError, match=r"\.copy\(\)"):
        hb.compile(function, fullgraph=True)(A)


def test_nothing_is_done_twice_before_it_runs_eagerly() -> None:
    total = hb.Variable(0.0)

    def function(a: Any, out: Any) -> Any:
        total.assign_add(1.0)
        out += 1
        b = np.sort(a.T, 0)
        flat = b.reshape(-1)
        flat[0] = 5.0
        return b

    out = np.zeros(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EagerFallbackWarning)
        hb.compile(function)(A, out)
    assert float(total) == 1.0
    np.testing.assert_array_equal(out, [1.0, 1.0])


def test_what_nobody_else_has_may_be_written() -> None:
    def function(a: Any) -> Any:
        flat = np.sort(a.T, 0).reshape(-1)
        flat += 1
        return flat

    np.testing.assert_array_equal(hb.compile(function, fullgraph=True)(A), function(A))


def test_reshapes_without_writes_ask_for_no_order() -> None:
    f = hb.compile(lambda a: (np.sort(a.T, 0).reshape(-1), (a.T * 2).reshape(2, 8)), fullgraph=True)
    for a in (A, A.T, A[::-1]):
        for found, expected in zip(f(a), f.__wrapped__(a), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert f.cache_info().misses == 1
