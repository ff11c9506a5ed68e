"""What NumPy's functions are told goes to hybrid's at once where it means the same there."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.ops.protocols import functions

Call = tuple[Any, Any, int, tuple[str, ...]]


def pairs() -> Iterator[tuple[Any, Any]]:
    for space in (np, np.linalg, np.fft):
        for name in dir(space):
            func = getattr(space, name)
            known = callable(func) and hasattr(func, "__name__") and hasattr(func, "__module__")
            if not known or isinstance(func, type | np.ufunc):
                continue
            ours = functions.namesake(func)
            if ours is not None and functions._signature(func) is not None:
                yield func, ours


def calls() -> list[Call]:
    found = []
    for func, ours in pairs():
        signature = functions._signature(func)
        assert signature is not None
        for keys in (k for r in range(3) for k in permutations(signature.parameters, r)):
            found += [(func, ours, count, keys) for count in range(5)]
    return [call for call in found if functions._told(*call) is not None]


def by_route(func: Any, ours: Any, args: list[Any], named: dict[str, Any]) -> Any:
    """What `ours` is given where each argument is looked at by itself."""
    route = functions._route(func, ours, len(args), tuple(named))
    assert route is not None
    placed, keyword = [], dict(functions._other_defaults(func, ours))
    for (theirs, own), value in zip(route, (*args, *named.values()), strict=True):
        assert own is not None
        if own.kind in (own.POSITIONAL_ONLY, own.VAR_POSITIONAL):
            placed.append(value)
        elif not (value is theirs.default and own.default is not own.empty):
            keyword[own.name] = value
    return bound(ours, placed, keyword)


def bound(ours: Any, args: list[Any], named: dict[str, Any]) -> Any:
    try:
        found = inspect.signature(ours).bind(*args, **named)
    except TypeError:
        return None
    found.apply_defaults()
    return found.arguments


@pytest.mark.parametrize("default", [False, True])
def test_a_call_at_once_is_told_what_the_route_says(default: bool) -> None:
    found = calls()
    assert len(found) > 1000
    for func, ours, count, keys in found:
        args: list[Any] = [object() for _ in range(count)]
        known = {k: inspect.signature(func).parameters[k].default for k in keys}
        usual = {k: d for k, d in known.items() if d not in (inspect.Parameter.empty, np._NoValue)}
        named = {k: usual[k] if default and k in usual else object() for k in keys}
        told = functions._told(func, ours, count, keys)
        assert told is not None
        got = bound(ours, args, {**told, **named})
        assert got == by_route(func, ours, args, named), (func, count, keys)


def test_no_value_stands_for_the_default() -> None:
    x = hb.arange(6.0).reshape(2, 3)
    none: Any = np._NoValue
    assert np.sum(x, axis=1, keepdims=none).tolist() == [3.0, 12.0]
    assert np.sum(x, axis=1, keepdims=True).tolist() == [[3.0], [12.0]]
    assert np.max(x, axis=0, initial=none, where=none).tolist() == [3.0, 4.0, 5.0]
    assert np.sort(x[:, ::-1], axis=0).tolist() == [[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]
    with pytest.raises((TypeError, ValueError)):
        np.sum(x, axis=1, keepdim=True)


def test_a_call_of_a_form_seen_before_is_answered_as_the_first_was() -> None:
    x = hb.asarray(np.arange(6.0).reshape(2, 3))
    for _ in range(3):
        assert np.sum(x, axis=1).tolist() == [3.0, 12.0]
        assert np.sum(x, axis=None, keepdims=True).tolist() == [[15.0]]
        assert np.where(x > 2, x, 0.0).dtype == np.where(x.numpy() > 2, x.numpy(), 0.0).dtype
        assert np.where(x > 2, 1.5, 0.5).dtype == hb.float64
        assert np.concatenate([x, [[0.5, 1, 2]]]).shape == (3, 3)
        assert np.reshape(x, (3, -1)).shape == (3, 2)
        with pytest.raises(ValueError, match="reshape"):
            np.reshape(x, (4, -1))
        with pytest.raises(TypeError):
            np.sum(x, axis=0, keepdim=True)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = np.sum(x * x, axis=1)
    assert tape.gradient(y, x).tolist() == (2 * x).tolist()
    assert hb.compile(lambda x: np.sum(x, axis=1))(x).tolist() == [3.0, 12.0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bool"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.clip(x, 0.2, 0.7),
        lambda x: np.clip(x, 1e-50, 2),
        lambda x: np.clip(x, 0.7, 0.2),
        lambda x: np.where(x, x, 0.1),
        lambda x: np.where(x, 0.1, 0.3),
        lambda x: np.where(x, 0.1, 3),
        lambda x: np.where([1e-50, 0.0, 1.0], x, 0.1),
        lambda x: np.where(x, x, 1e-50),
    ],
)
def test_numbers_beside_tensors_are_as_wide_as_numpys_at_every_call(call: Any, dtype: str) -> None:
    x = np.array([0.0, 0.5, 1.0]).astype(dtype)
    wanted = call(x)
    for _ in range(3):
        found = call(hb.asarray(x))
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found.numpy(), wanted)
