"""Python numbers as arguments: constants first, then inputs, with conditions where Python asks."""

from __future__ import annotations

import decimal
import math
import warnings
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import RetraceWarning, TraceError


def arange(*shape: int, dtype: str = "float32") -> hb.Tensor:
    n = int(np.prod(shape))
    return hb.asarray((np.arange(n).reshape(shape) / 7 - 1).astype(dtype))


def agrees(traced: Any, function: Any, *args: Any) -> None:
    """Hold one call against eager code: value, dtype and kind of each result."""
    found, expected = traced(*args), function(*args)
    assert type(found) is type(expected)
    if not isinstance(found, tuple):
        found, expected = (found,), (expected,)
    for a, b in zip(found, expected, strict=True):
        assert type(a) is type(b)
        if isinstance(a, hb.Tensor):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


class TestPromotion:
    def test_the_first_value_is_a_constant(self) -> None:
        f = hb.compile(lambda x, n: x * n)
        f(arange(3), 2)
        assert "multiply(%0, 2.0:f32)" in str(f.concrete_functions[0])

    def test_the_second_value_makes_it_an_input(self) -> None:
        f = hb.compile(lambda x, n: x * n + n)
        for n in (2, 3, 4, 2, -7, 0):
            agrees(f, lambda x, n: x * n + n, arange(3), n)
        assert f.cache_info().misses == 2
        assert "n is an input of the trace after values 2, 3" in f.explain()
        assert "n: i64*[]" in str(f.concrete_functions[1])

    @pytest.mark.parametrize("values", [range(100), [i / 7 for i in range(100)]])
    def test_a_hundred_numbers_make_at_most_three_traces(self, values: Any) -> None:
        f = hb.compile(lambda x, n: hb.sin(x) * n)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RetraceWarning)
            for n in values:
                agrees(f, lambda x, n: hb.sin(x) * n, arange(4), n)
        assert f.cache_info().misses <= 3

    def test_a_hundred_ints_in_containers_and_keywords_make_at_most_three_traces(self) -> None:
        f = hb.compile(lambda x, *, state: x * state["step"] + state["seen"][0])
        for n in range(100):
            out = f(arange(4), state={"step": n, "seen": [n + 1]})
            np.testing.assert_allclose(out.numpy(), arange(4).numpy() * n + n + 1, rtol=1e-6)
        assert f.cache_info().misses <= 3

    def test_other_places_stay_constants(self) -> None:
        f = hb.compile(lambda x, axis, n: x.sum(axis=axis) * n)
        for n in range(5):
            agrees(f, lambda x, axis, n: x.sum(axis=axis) * n, arange(3, 4), 1, n)
        assert f.cache_info().misses == 2

    def test_a_bool_is_no_int(self) -> None:
        f = hb.compile(lambda x, n: x * n if n is not True else x)
        for n in (1, True, 2, False, 3):
            agrees(f, lambda x, n: x * n if n is not True else x, arange(3), n)

    def test_default_values_take_part(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, n: int = 2, m: int = 3) -> hb.Tensor:
            return x * n + m

        x = arange(3)
        for args in ((), (5,), (6,), (6, 7), (7, 8)):
            agrees(f, f.__wrapped__, x, *args)


class TestKinds:
    """What Python may do with an int that is an input of the trace."""

    @pytest.mark.parametrize(
        "function",
        [
            lambda x, n: x + n,
            lambda x, n: n - x,
            lambda x, n: x * (n / 2 + 1),
            lambda x, n: x * (n // 3) + n % 3,
            lambda x, n: x**n,
            lambda x, n: x * 0.5**n,
            lambda x, n: hb.where(x > n, x, n),
            lambda x, n: (x, n + 1, n / 4, -n, n**2, divmod(n, 3)),
            lambda x, n: hb.sqrt(n) * x,
            lambda x, n: hb.full((2,), n),
            lambda x, n: hb.asarray(n),
            lambda x, n: x * max(n, 5),
            lambda x, n: x * int(n) + round(n),
            lambda x, n: x * math.floor(n / 2) + math.sqrt(n),
            lambda x, n: x[n % 3] * x[: n % 3].sum(),
            lambda x, n: sum(x * i for i in range(n % 4)) if n % 4 else x,
            lambda x, n: x * [1.0, 2.0, 3.0][n % 3] + {0: 1.0, 1: 5.0, 2: 7.0}[n % 3],
            lambda x, n: x if n > 4 and n != 7 else -x,
            lambda x, n: x * n if isinstance(n, int) else x,
            lambda x, n: x + float(f"{n}"),
            lambda x, n: x * (1 + n & 3) + (n << 1) + (n >> 1) + (n ^ 5) + ~n,
            lambda x, n: hb.zeros((n, 2)).sum() + x,
            lambda x, n: hb.arange(n),
            lambda x, n: hb.arange(n, 3 * n, 2),
            lambda x, n: x.reshape(1, -1).repeat(n, axis=0),
            lambda x, n: hb.roll(x, n),
            lambda x, n: x.at[0].set(n),
            lambda x, n: hb.concat([x, hb.asarray([n, n + 1])]),
            lambda x, n: hb.eye(3, k=n),
            lambda x, n: np.float32(n) * x,
        ],
    )
    def test_any_use_gives_the_eager_result(self, function: Any) -> None:
        f = hb.compile(function)
        for n in (2, 5, 3, 9, 4, 1, 7, 5, 12):
            agrees(f, function, arange(3), n)

    def test_ints_that_only_compute_make_no_further_traces(self) -> None:
        def f(x: Any, n: Any) -> Any:
            y = x * (n / (n + 2)) + n // 3 - n % 5
            return y[: x.shape[0]] + hb.full((1,), n), n + 1

        g = hb.compile(f)
        for n in range(2, 60):
            agrees(g, f, arange(3), n)
        assert g.cache_info().misses == 2

    def test_sizes_from_ints_make_no_further_traces(self) -> None:
        def f(x: Any, n: Any) -> Any:
            return hb.ones((n, 3)) * x, hb.arange(n) + hb.zeros(n)

        g = hb.compile(f)
        for n in (2, 5, 6, 7, 1, 0, 9):
            agrees(g, f, arange(3), n)
        assert g.cache_info().misses == 2

    def test_a_comparison_is_a_condition_before_the_first_segment(self) -> None:
        @hb.compile(fullgraph=True)
        def f(x: hb.Tensor, step: int) -> hb.Tensor:
            return x * 2 if step % 10 == 0 else x + step

        for step in range(40):
            agrees(f, f.__wrapped__, arange(3), step)
        assert f.cache_info().misses == 3
        assert all(len(c.segments) == 1 for c in f.concrete_functions)
        assert "holds where (step % 10) != 0" in f.explain()

    def test_an_int_that_is_fixed_makes_a_trace_for_each_value(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, n: int) -> hb.Tensor:
            for _ in range(n):
                x = x * 2
            return x

        for _ in range(2):
            for n in (1, 3, 2, 4):
                agrees(f, f.__wrapped__, arange(3), n)
        assert f.cache_info().misses == 4
        assert "another trace holds only where n == 2" in f.explain()

    def test_overflow_is_that_of_eager_code(self) -> None:
        f = hb.compile(lambda x, n: x + n)
        small = hb.asarray(np.array([1, 2], np.uint8))
        for n in (1, 2, 3, 200):
            agrees(f, lambda x, n: x + n, small, n)
        for n in (256, -1):
            with pytest.raises(OverflowError):
                f(small, n)
        agrees(f, lambda x, n: x + n, small, 4)
        wide = hb.compile(lambda x, n: x + n * n)
        ints = hb.asarray([1, 2])
        for n in (1, 2, 2**31):
            agrees(wide, lambda x, n: x + n * n, ints, n)
        with pytest.raises(OverflowError):
            wide(ints, 2**32)

    def test_ints_beyond_64_bits_stay_constants(self) -> None:
        f = hb.compile(lambda x, n: x * (n % 7))
        for n in (1, 2**70, 2, 2**65, 3):
            agrees(f, lambda x, n: x * (n % 7), arange(3), n)

    def test_division_by_zero_raises_as_python_does(self) -> None:
        f = hb.compile(lambda x, n: x * (6 // n))
        for n in (1, 2, 3):
            agrees(f, lambda x, n: x * (6 // n), arange(3), n)
        with pytest.raises(ZeroDivisionError):
            f(arange(3), 0)
        agrees(f, lambda x, n: x * (6 // n), arange(3), 5)

    def test_gradients_flow_beside_them(self) -> None:
        f = hb.compile(lambda x, n: (x**2 * n).sum() / n)
        x = hb.Variable(np.array([1.0, 2.0], np.float32))
        for n in (1, 2, 3, 4):
            with hb.GradientTape() as tape:
                y = f(x, n)
            np.testing.assert_allclose(tape.gradient(y, x).numpy(), [2.0, 4.0])

    def test_a_branch_on_data_keeps_its_conditions(self) -> None:
        @hb.compile
        def f(x: hb.Tensor, n: int) -> hb.Tensor:
            if x.sum() > 0 and n > 5:
                return x * n
            return x - n

        for _ in range(2):
            for x in (arange(3), arange(30)):
                for n in (1, 2, 3, 8, 9, 4):
                    agrees(f, f.__wrapped__, x, n)

    @pytest.mark.filterwarnings("ignore::hybrid.errors.SideEffectWarning")
    def test_a_number_that_the_function_keeps_is_an_int_afterwards(self) -> None:
        kept: list[int] = []

        @hb.compile
        def f(x: hb.Tensor, n: int) -> hb.Tensor:
            kept.append(n + 1)
            return x * n

        for n in (1, 2):
            f(arange(2), n)
        assert kept == [2, 3]
        assert list(range(kept[1])) == [0, 1, 2]

    def test_fullgraph_allows_conditions_on_inputs_only(self) -> None:
        f = hb.compile(lambda x, n: x if (x * n).sum() > 0 else -x, fullgraph=True)
        with pytest.raises(TraceError):
            f(arange(3), 2)


class TestShortWay:
    """Calls that differ in ints only go from the arguments to the Plan without look-ups."""

    def test_a_new_int_makes_no_new_launcher(self) -> None:
        f = hb.compile(lambda x, n: x * n + 1)
        for n in range(100):
            agrees(f, lambda x, n: x * n + 1, arange(4), n)
        assert len(f._shortcuts.launchers) == 1

    def test_conditions_choose_among_the_traces(self) -> None:
        def f(x: Any, n: Any, m: int = 2) -> Any:
            if n % 3 == 0:
                return x - n
            return x * n if n > m else x / (n + 10)

        g = hb.compile(f)
        for _ in range(3):
            for n in (1, 2, 3, 4, 5, 6, 2**70, -4, 1):
                agrees(g, f, arange(4), n)
                agrees(g, f, arange(4), n, 4)

    def test_sizes_made_of_ints_choose_their_plan(self) -> None:
        f = hb.compile(lambda x, n: hb.zeros(n) + x)
        for _ in range(3):
            for n in (1, 2, 3, 4, 5):
                agrees(f, lambda x, n: hb.zeros(n) + x, arange(1), n)

    def test_memory_that_is_shared_is_seen_for_any_int(self) -> None:
        def f(x: Any, y: Any, n: Any) -> Any:
            x += n
            return y * 2

        g = hb.compile(f)
        for n in range(6):
            x, y = arange(4), arange(4)
            agrees(g, f, x, y, n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            base, other = np.arange(6.0), np.arange(6.0)
            found, expected = g(base[:4], base[2:], 7), f(hb.asarray(other[:4]), other[2:], 7)
        np.testing.assert_array_equal(found, expected)


class TestRefused:
    """Extension modules look at the type itself, and take no stand-in for an int."""

    def test_a_number_that_is_refused_becomes_a_constant(self) -> None:
        @hb.compile
        def noisy(x: Any, seed: int) -> Any:
            return x + np.random.default_rng(seed).random(3)

        for seed in (1, 2, 3, 1, 2, 3):
            expected = np.ones(3) + np.random.default_rng(seed).random(3)
            np.testing.assert_array_equal(noisy(np.ones(3), seed), expected)
        assert noisy.cache_info() == (3, 3, 3)
        assert "refuses a number" in noisy.explain()

    def test_a_size_that_is_refused_becomes_a_constant(self) -> None:
        f = hb.compile(lambda x: x * float(decimal.Decimal(x.shape[0]).sqrt()))
        for n in (2, 3, 4, 5, 6):
            np.testing.assert_allclose(f(np.ones(n)), np.ones(n) * n**0.5)

    def test_an_error_of_the_users_is_the_same_and_comes_once(self) -> None:
        seen: list[Any] = []

        def f(x: Any, n: int) -> Any:
            if n > 2:
                seen.append(1)
                raise TypeError("n is too large")
            return x * n

        traced = hb.compile(f)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for n in (1, 2):
                traced(np.ones(2), n)
        with pytest.raises(TypeError, match="too large") as caught:
            traced(np.ones(2), 3)
        assert caught.value.__cause__ is None
        assert seen == [1]

    def test_an_error_of_the_users_keeps_its_cause(self) -> None:
        @hb.compile
        def f(x: Any, n: int) -> Any:
            if n > 1:
                raise TypeError("no") from KeyError("because")
            return x

        f(np.ones(2), 1)
        for _ in range(2):
            with pytest.raises(TypeError, match="no") as caught:
                f(np.ones(2), 2)
            assert isinstance(caught.value.__cause__, KeyError)


def test_float_arguments_are_joined_as_arrays_of_any_dtype() -> None:
    def f(a: float, b: float) -> Any:
        return hb.stack([hb.asarray(a, dtype="float64"), hb.asarray(b, dtype="float64")])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = hb.compile(f, fullgraph=True)(0.1, 0.2)
    np.testing.assert_array_equal(found, [0.1, 0.2])
