"""Calls that run eagerly take a short way once they are known, and stay what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hybrid as hb

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")


def fallen_back(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the compiled function, which runs eagerly for such arguments."""
    compiled = hb.compile(function)
    for _ in range(3):
        compiled(*args, **kwargs)
    assert "runs eagerly" in str(compiled.explain())
    return compiled


def test_it_computes_what_the_arguments_say() -> None:
    @hb.compile
    def scaled(x: Any, rate: float, n: int = 2) -> Any:
        return x * float(x.sum()) * rate + n

    for i in range(6):
        for x in (np.arange(3.0) + i, hb.asarray(np.arange(4.0) + i), np.arange(2) + i):
            expected = np.asarray(x) * np.asarray(x).sum() * (i + 0.5) + 2
            found = scaled(x, i + 0.5)
            assert isinstance(found, hb.Tensor)
            np.testing.assert_array_equal(found.numpy(), expected)
            np.testing.assert_array_equal(scaled(x, i + 0.5, 3).numpy(), expected + 1)
            np.testing.assert_array_equal(scaled(x, rate=i + 0.5, n=4).numpy(), expected + 2)


def test_what_is_written_and_handed_on_is_the_callers_own() -> None:
    def shifted(x: Any, y: Any) -> Any:
        x += float(y.sum())
        return y, [x, x + 1]

    shifted = fallen_back(shifted, np.zeros(2), np.ones(2))
    for array in (np.zeros(2), hb.zeros(2, "float64")):
        other = np.ones(2)
        same, (written, new) = shifted(array, other)
        assert same is other
        assert written is array
        assert array.tolist() == [2, 2]
        assert new.tolist() == [3, 3]
        assert isinstance(new, hb.Tensor)


def test_containers_are_changed_at_every_call() -> None:
    def logged(state: dict[str, Any], x: Any, *, log: list[float]) -> Any:
        state["n"] = state["n"] + x
        log.append(float(x.sum()))
        return log[-1]

    compiled = fallen_back(logged, {"n": np.zeros(2)}, np.ones(2), log=[])
    state, log = {"n": np.zeros(2)}, []
    for i in range(4):
        assert compiled(state, np.full(2, i), log=log) == 2 * i
    assert state["n"].tolist() == [6, 6]
    assert log == [0, 2, 4, 6]


def test_names_outside_and_default_values_are_read_at_every_call() -> None:
    factor, table, nothing = 1.0, {"offset": 0.0}, np.zeros(2)

    def offset(x: Any, more: Any = nothing) -> Any:
        return x * float(x[0]) * factor + table["offset"] + more

    compiled = fallen_back(offset, np.ones(2))
    assert compiled(np.ones(2)).tolist() == [1, 1]
    factor, table["offset"] = 2.0, 10.0
    assert compiled(np.ones(2)).tolist() == [12, 12]
    offset.__defaults__ = (np.ones(2),)
    assert compiled(np.ones(2)).tolist() == [13, 13]


def test_a_tape_around_records_it_and_errors_name_the_line() -> None:
    def squared(x: Any) -> Any:
        if float(x.sum()) > 100:
            raise ValueError("too much")
        return (x * x).sum()

    x = hb.asarray([1.0, 2.0])
    compiled = fallen_back(squared, x)
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = compiled(x)
    assert tape.gradient(y, x).tolist() == [2.0, 4.0]
    with pytest.raises(ValueError, match="too much"):
        compiled(x * 100)
    with hb.eagerly():
        assert compiled(x).item() == 5


def test_another_value_or_dtype_may_still_be_traced() -> None:
    @hb.compile
    def chosen(x: Any, exact: bool) -> Any:
        return float(x.sum()) if exact else x.sum()

    for _ in range(4):
        assert type(chosen(np.ones(3), True)) is float
        assert isinstance(chosen(np.ones(3), False), hb.Tensor)
        assert chosen(np.ones(3, np.float32), False).dtype == hb.float32
    assert str(chosen.explain()).count("runs eagerly") == 1


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.bool_, np.complex128])
def test_scalars_of_numpy_take_short_ways_too(kind: Any) -> None:
    def straight(a: Any, x: Any) -> Any:
        return x * a, a

    def deciding(a: Any, x: Any) -> Any:
        return x + a if abs(a) > 0.5 else x - 1

    def falling(a: Any, x: Any) -> Any:
        return x * complex(a).real

    def gathered(a: Any, x: Any) -> Any:
        return a["a"] * x

    x = np.arange(3.0)
    for function in (straight, deciding, falling, gathered):
        compiled = hb.compile(function)
        for i in range(8):
            for array in (x + i, hb.asarray(x + i)):
                a = kind(i % 3)
                given = {"a": a} if function is gathered else a
                found, wanted = compiled(given, array), function(given, x + i)
                if function is straight:
                    assert found[1] is a
                    found, wanted = found[0], wanted[0]
                assert found.dtype == wanted.dtype
                assert found.tolist() == wanted.tolist()
        assert compiled.cache_info().misses == 1
        answered = compiled._shortcuts.launchers or compiled._shortcuts.nested._known
        assert answered
