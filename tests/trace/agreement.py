"""Holds a compiled function against the same function run eagerly, call by call."""

from __future__ import annotations

import dataclasses
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import hybrid as hb
from hybrid.errors import EagerFallbackWarning

Call = Callable[[], tuple[Any, ...]]


def alike(a: Any, b: Any) -> None:
    """Fail unless two results are of the same types, order, shapes, dtypes and values."""
    assert type(a) is type(b), f"{type(a)} is not {type(b)}"
    if isinstance(a, hb.Tensor | np.ndarray | np.generic):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        x, y = np.asarray(a), np.asarray(b)
        if x.dtype.kind in "fcV":
            x, y = x.astype(np.complex128), y.astype(np.complex128)
            np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-7)
            np.testing.assert_array_equal(np.signbit(x.real), np.signbit(y.real))
        else:
            np.testing.assert_array_equal(x, y)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            alike(a[key], b[key])
    elif isinstance(a, list | tuple | deque):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            alike(x, y)
    elif dataclasses.is_dataclass(a):
        alike(vars(a), vars(b))
    elif isinstance(a, float):
        np.testing.assert_allclose(a, b, rtol=4e-16)
    elif type(a).__eq__ is not object.__eq__:
        assert a == b


def outcome(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, Any]:
    """Return what a call returned and the type that it raised; one of them is None."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, type(error)


def agree(function: Callable[..., Any], *calls: Call, rounds: int = 2) -> hb.CompiledFunction:
    """Call a function compiled and eagerly; results, errors and arguments afterwards must agree.

    Parameters
    ----------
    function : callable
    *calls : callable
        Each makes the arguments of one call anew.
    rounds : int
        How often all calls are made: replays must agree as the first call does.

    Returns
    -------
    CompiledFunction
    """
    traced = hb.compile(function)
    for _ in range(rounds):
        for make in calls:
            mine, its = make(), make()
            got, failed = outcome(traced, mine)
            wanted, expected = outcome(function, its)
            assert failed is expected, (failed, expected)
            alike(got, wanted)
            alike(mine, its)
    return traced


@contextmanager
def falls_back(match: str, times: int = 1) -> Iterator[None]:
    """Expect `times` warnings of an eager fallback, the first of which says `match`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    texts = [str(w.message) for w in caught if w.category is EagerFallbackWarning]
    assert len(texts) == times, texts
    assert match in texts[0], texts[0]


@contextmanager
def compiled_throughout() -> Iterator[None]:
    """Let a fallback to eager code fail the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", EagerFallbackWarning)
        yield


def changes_are_seen(f: Callable[[Any], Any], change: Callable[[float], None]) -> None:
    """Fail unless a compiled function gives the eager result after each change of what it reads."""
    traced = hb.compile(f)
    with compiled_throughout():
        for value in (None, None, 4.0, 2.0, 3.0):
            if value is not None:
                change(value)
            for _ in range(4):  # the last ones are answered in native code
                np.testing.assert_array_equal(traced(np.arange(3.0)), f(np.arange(3.0)))
