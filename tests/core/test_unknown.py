"""Unknown numbers: they compute like the numbers that they are, and note what was asked of them."""

from __future__ import annotations

import copy
import math
import operator
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.core.conditions import Unknowns
from hybrid.core.formula import Input, evaluate, text
from hybrid.core.unknown import Unknown, as_size, entered, same, spell


def sizes(*hints: int) -> tuple[Unknowns, list[Any]]:
    """Return sizes n, m, ... of the first arguments."""
    space = Unknowns()
    names = "nmkpq"
    return space, [entered(space, Input(names[i], i, 0), hint) for i, hint in enumerate(hints)]


def conditions(space: Unknowns) -> list[str]:
    return [str(c) for c in space.conditions]


class TestFormulas:
    def test_polynomials_have_a_normal_form(self) -> None:
        _, (n, m) = sizes(4, 5)
        assert spell((n + 1) * (m + n) - n * m) == "n*n + m + n"
        assert same((n + m) ** 2, m * m + 2 * m * n + n * n)
        assert same(n - n, 0)
        assert same(n * 12 // 4, 3 * n)

    def test_division_is_exact_term_by_term(self) -> None:
        _, (n, m) = sizes(4, 5)
        assert spell((4 * n + 3) // 4) == "n"
        assert spell((4 * n + m) // 2) == "2*n + (m // 2)"
        assert spell(n * m * 3 // n) == "3*m"
        assert (n * m * 3) % n == 0
        assert (4 * n + 3) % 4 == 3

    def test_what_holds_for_all_sizes_is_no_condition(self) -> None:
        space, (n, m) = sizes(4, 5)
        assert n >= 0
        assert n + m + 1 > 0
        assert n + 1 != 0
        assert n != -1
        assert n // 2 <= n
        assert n * m >= 0
        assert n % 3 >= 0
        assert (n + 2) // 3 >= 0
        assert conditions(space) == []

    def test_a_comparison_is_a_condition_once(self) -> None:
        space, (n, m) = sizes(4, 5)
        assert n < m
        assert n < m
        assert not n >= m
        assert n != 1
        assert n != 1
        assert n <= m
        assert conditions(space) == ["m >= n + 1", "n != 1"]

    def test_facts_imply_weaker_ones(self) -> None:
        space, (n, _) = sizes(4, 5)
        assert n > 3
        assert n > 2
        assert n != 0
        assert n + 1 >= 4
        assert conditions(space) == ["n >= 4"]

    def test_a_number_that_is_asked_for_is_fixed(self) -> None:
        space, (n, m) = sizes(4, 5)
        assert list(range(n)) == [0, 1, 2, 3]
        assert n == 4
        assert {4: "x"}[n] == "x"
        assert f"{n}" == "4"
        assert m.bit_length() == 3
        assert conditions(space) == ["n == 4", "m == 5"]

    def test_floating_point_numbers_follow_too(self) -> None:
        space, (n,) = sizes(4)
        scale = 1 / (1 + n) + 0.5 * n**0.5
        assert isinstance(scale, float)
        assert scale.hint == 1 / 5 + 0.5 * 2.0
        assert scale > 1.0
        assert round(scale) == 1
        assert math.floor(n / 3) == 1
        assert len(space.conditions) == 4
        assert conditions(space)[0] == "n >= 1"

    def test_a_trace_that_has_ended_leaves_numbers(self) -> None:
        space, (n,) = sizes(4)
        kept = n + 1
        space.open = False
        assert kept == 5
        assert list(range(kept)) == [0, 1, 2, 3, 4]
        assert kept * 2 == 10
        assert type(kept * 2) is int
        assert as_size(kept) == 5
        assert type(as_size(kept)) is int
        assert conditions(space) == []

    def test_numbers_of_two_traces_do_not_mix(self) -> None:
        first, (old,) = sizes(4)
        second, (n,) = sizes(7)
        first.open = False
        assert spell(n + old) == "n + 4"
        assert spell(old * n) == "4*n"
        assert conditions(second) == []


class TestPython:
    def test_they_are_ints_to_isinstance(self) -> None:
        _, (n,) = sizes(4)
        assert isinstance(n, int)
        assert not isinstance(n, float)
        assert isinstance(n / 2, float)
        assert not isinstance(n, bool)

    def test_they_can_be_copied_and_pickled(self) -> None:
        _, (n,) = sizes(4)
        assert copy.deepcopy([n])[0] is n
        assert pickle.loads(pickle.dumps(n)) == 4

    def test_numpy_takes_them_for_ints(self) -> None:
        space, (n,) = sizes(4)
        assert np.zeros(n).shape == (4,)
        assert np.sqrt(n) == 2
        assert np.float32(2) * n == 8
        assert (n * np.arange(3)).tolist() == [0, 4, 8]
        assert (np.ones(2, np.float32) + n).dtype == np.float32
        assert conditions(space) == ["n == 4"]

    def test_strings_and_lists_repeat(self) -> None:
        _, (n,) = sizes(3)
        assert [0] * n == [0, 0, 0]
        assert "ab" * n == "ababab"
        assert "abcd"[n] == "d"

    def test_no_other_type_is_mistaken_for_a_number(self) -> None:
        _, (n,) = sizes(3)
        assert n != "3"
        assert n is not None
        assert n not in ("3", None)
        with pytest.raises(TypeError):
            n < "3"
        with pytest.raises(AttributeError, match="'int' object has no attribute 'shape'"):
            _ = n.shape

    def test_division_by_zero_raises(self) -> None:
        space, (n,) = sizes(0)
        for function in (operator.truediv, operator.floordiv, operator.mod):
            with pytest.raises(ZeroDivisionError):
                function(1, n)
        assert conditions(space) == ["n == 0"]


BINARY = [operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod]
BINARY += [operator.truediv, operator.lt, operator.le, operator.eq, operator.ne, min, max]


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[Any, int, int]]:
    count = draw(st.integers(1, 6))
    pick = st.integers(0, 20)
    return [(draw(st.sampled_from(BINARY)), draw(pick), draw(pick)) for _ in range(count)]


def run(program: list[tuple[Any, int, int]], start: list[Any]) -> list[Any]:
    values = [*start, 1, 2, -3]
    for function, i, j in program:
        try:
            values.append(function(values[i % len(values)], values[j % len(values)]))
        except ZeroDivisionError:
            values.append(7)
    return values


@given(programs(), st.lists(st.integers(0, 9), min_size=2, max_size=2), st.data())
def test_formulas_equal_python_wherever_the_conditions_hold(
    program: list[tuple[Any, int, int]], hints: list[int], data: st.DataObject
) -> None:
    space, start = sizes(*hints)
    found = run(program, start)
    assert [x.hint if type(x) is Unknown else x for x in found] == run(program, list(hints))
    others = data.draw(st.lists(st.integers(0, 9), min_size=2, max_size=2))
    arguments = [np.empty(n) for n in others]
    assert all(c.holds([np.empty(n) for n in hints]) for c in space.conditions)
    if all(c.holds(arguments) for c in space.conditions):
        values = dict(zip(space.hints, others, strict=True))
        now = [evaluate(x.formula, values) if type(x) is Unknown else x for x in found]
        assert now == run(program, list(others))
        for x, value in zip(found, now, strict=True):
            if type(x) is Unknown:
                assert eval(text(x.formula), {}, {k.name: v for k, v in values.items()}) == value
