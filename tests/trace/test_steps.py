"""Replays through guards run generated steps: each segment once, whatever way is taken."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, SideEffectWarning
from tests.trace.agreement import agree, compiled_throughout, falls_back


def test_a_segment_is_not_run_again_when_a_new_branch_is_traced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    v = hb.Variable(0.0)

    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        hb.print("first")
        v.assign_add(1.0)
        if x.sum() > 0:
            hb.print("up")
            if x.sum() > 10:
                return x * 3
            return x * 2
        hb.print("down")
        return -x

    calls = [(1.0, "up"), (-1.0, "down"), (20.0, "up"), (1.0, "up"), (20.0, "up"), (-2.0, "down")]
    for number, (value, way) in enumerate(calls, 1):
        result = f(hb.full(2, value))
        assert capsys.readouterr().out.split() == ["first", way]
        assert result.tolist()[0] == value * (3 if value > 10 else 2 if value > 0 else -1)
        assert v.item() == number
    assert f.cache_info().misses == 1


def test_steps_take_default_values_variables_and_other_layouts() -> None:
    v, w = hb.Variable([1.0, 2.0]), np.ones(2)

    def f(x: hb.Tensor, k: float = 2.0, y: object = None) -> tuple[object, ...]:
        v.assign(x[0] * k)
        if x.sum() > 0:
            x += 1
            if v.read().max() > 3:
                return x, v.read() * w, k, x
            return x[1], v.read()
        return (x * k,)

    def array(sign: float) -> hb.Tensor:
        return hb.asarray(np.arange(4.0).reshape(2, 2) * sign)

    def turned(sign: float) -> hb.Tensor:
        return hb.asarray((np.arange(4.0).reshape(2, 2) * sign).T)

    calls = [
        lambda make=make, sign=sign, rest=rest: (make(sign), *rest)
        for make in (array, turned)
        for sign in (1.0, 5.0, -1.0)
        for rest in ((), (3.0,))
    ]
    with compiled_throughout():
        agree(f, *calls, rounds=3)


def test_too_many_values_name_the_line_and_end_the_launchers() -> None:
    @hb.compile
    def f(x: hb.Tensor) -> hb.Tensor:
        return x * int(x.sum().astype("int64"))  # too many

    with falls_back("too many"):
        for i in range(60):
            assert f(hb.asarray([float(i)])).item() == i * i
    assert len(f.concrete_functions[0].segments) <= 20


class TestManyValues:
    """A guard keeps the ways that were used last, and gives up where values are ever new."""

    def test_those_in_use_stay_whatever_comes_besides(self) -> None:
        traced: list[int] = []

        @hb.compile
        def f(x: hb.Tensor) -> hb.Tensor:
            n = int(x.sum())
            hb.callback(lambda: None, None)
            traced.append(n)
            return x * n

        with warnings.catch_warnings():
            warnings.simplefilter("error", EagerFallbackWarning)
            warnings.simplefilter("ignore", SideEffectWarning)
            for other in range(100, 130):
                for n in (1, 2, 3, other):
                    assert f(hb.asarray([n])).item() == n * n
        assert [traced.count(n) for n in (1, 2, 3)] == [1, 1, 1]
        (concrete,) = f.concrete_functions
        assert len(concrete.segments[0].children) <= 18

    def test_a_way_that_was_forgotten_is_traced_again(self) -> None:
        f = hb.compile(lambda x: x * int(x.sum()))
        for n in [*range(30), *range(30)][:45]:
            assert f(hb.asarray([n])).item() == n * n

    def test_ever_new_values_end_in_eager_code_with_one_warning(self) -> None:
        f = hb.compile(lambda x: x * int(x.sum()))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for n in range(80):
                assert f(hb.asarray([n])).item() == n * n
        told = [w for w in caught if issubclass(w.category, EagerFallbackWarning)]
        assert len(told) == 1
        assert "more than 48 values" in str(told[0].message)


def refused(x: Any) -> Any:
    for _ in range(20):
        x = x * 1.25
        if hb.max(x) > 50:
            raise ValueError("it grows")
    return x


def test_a_way_that_raises_an_error_is_traced_once() -> None:
    traced = hb.compile(refused)
    np.testing.assert_array_equal(traced(hb.ones(3) * 0.01), refused(hb.ones(3) * 0.01))
    for seen in range(4):
        with hb.trace_log() as log, pytest.raises(ValueError, match="it grows"):
            traced(hb.ones(3))
        assert len(log.of("trace")) == (seen == 0)
    np.testing.assert_array_equal(traced(hb.ones(3) * 0.02), refused(hb.ones(3) * 0.02))


def test_a_way_that_raised_an_error_may_raise_none() -> None:
    limit = [1.0]
    counted = hb.Variable(0.0)

    def checked(x: Any) -> Any:
        counted.assign_add(1.0)
        if hb.max(x) > 2 and hb.min(x) > limit[0]:
            raise ValueError("too large")
        return x * 2

    traced = hb.compile(checked)
    traced(hb.ones(3))
    for _ in range(3):
        with pytest.raises(ValueError, match="too large"):
            traced(hb.ones(3) * 4)
    np.testing.assert_array_equal(traced(hb.asarray([1.0, 3.0])), [2.0, 6.0])
    assert float(counted) == 5
    limit[0] = 9.0
    np.testing.assert_array_equal(traced(hb.ones(3) * 4), [8.0, 8.0, 8.0])
    assert float(counted) == 6


def shared_memory(x: Any, y: Any) -> Any:
    if x.sum() > 0:
        x += 1.0
        return y * 2.0
    return x - y


def written_through_a_view(x: Any, y: Any) -> Any:
    if x.sum() > 0:
        rows = x.reshape(-1)
        rows[0] = 5.0
        return x + rows.sum() + y
    return x * 1.0


@pytest.mark.parametrize("function", [shared_memory, written_through_a_view])
@pytest.mark.parametrize("in_a_list", [False, True])
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_a_way_that_writes_is_told_of_memory_by_calls_that_another_way_answered(
    function: Any, in_a_list: bool
) -> None:
    """Where memory is shared, or lies in another order, mattered to no way that came before."""

    def arrays(sign: float, how: str) -> list[Any]:
        memory = sign * np.arange(1.0, 10.0)
        if how == "shared":
            return [memory[:4].reshape(2, 2), memory[1:5].reshape(2, 2)]
        x, y = memory[:4].reshape(2, 2), memory[4:8].reshape(2, 2)
        return [x.T, y] if how == "turned" else [x, y]

    f = hb.compile((lambda given: function(*given)) if in_a_list else function)
    for sign in (-1.0, 1.0, -1.0, 1.0):
        for how in ("apart", "shared", "turned"):
            for _ in range(2):
                mine, wanted = arrays(sign, how), arrays(sign, how)
                given = [hb.asarray(x) for x in mine]
                found = f(given) if in_a_list else f(*given)
                np.testing.assert_array_equal(found, function(*map(hb.asarray, wanted)))
                np.testing.assert_array_equal(mine, wanted)


def test_what_follows_a_loop_takes_its_results_however_they_lie() -> None:
    def f(x: hb.Tensor, limit: hb.Tensor) -> hb.Tensor:
        y = x + 0
        while (y * y).sum() > limit:
            y = hb.sort(y / 2, axis=0).T
        z = y * 2 + x
        while (z * z).sum() > limit * 3:
            z = hb.flip(z, axis=0).T / 2
        return z - y.T

    compiled = hb.compile(f)
    for scale in (1.0, 8.0, 0.01, 3.0, 100.0, 0.5, 8.0):
        x = hb.asarray(np.arange(9.0).reshape(3, 3) * scale)
        for limit in (0.5, 50.0):
            given = x, hb.asarray(limit)
            np.testing.assert_array_equal(compiled(*given), f(*given))
