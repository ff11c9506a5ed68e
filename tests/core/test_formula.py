"""Formulas: their Python text, which calls compile, stands for the same number."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hybrid as hb
from hybrid.core import formula
from hybrid.core.formula import Call, Formula, Input, input_formula

INPUTS = (Input("n", 0), Input("m", 1), Input("k", 2))
WHOLES = st.recursive(
    st.sampled_from(INPUTS).map(input_formula) | st.integers(-3, 3),
    lambda inner: st.one_of(
        st.builds(formula.add, inner, inner, st.integers(-2, 2)),
        st.builds(formula.multiply, inner, inner),
        st.builds(formula.whole_call, st.sampled_from(("floordiv", "mod", "xor")), inner, inner),
        st.builds(formula.whole_call, st.sampled_from(("neg", "abs")), inner),
    ),
    max_leaves=6,
)
NUMBERS: st.SearchStrategy[Formula] = st.recursive(
    WHOLES | st.sampled_from((-1.5, 0.5, math.inf, -math.inf, math.nan)),
    lambda inner: st.one_of(
        st.builds(
            lambda name, a, b: Call(name, (a, b)),
            st.sampled_from(("add", "sub", "mul", "truediv", "mod", "lt", "le", "eq")),
            inner,
            inner,
        ),
        st.builds(lambda a: Call("pow", (a, 2)), inner),
        st.builds(lambda name, a: Call(name, (a,)), st.sampled_from(("neg", "abs")), inner),
    ),
    max_leaves=5,
)


@given(NUMBERS, st.tuples(*[st.integers(-4, 4)] * 3))
def test_the_text_of_a_formula_stands_for_its_value(number: Formula, args: tuple[int, ...]) -> None:
    try:
        expected = formula.evaluate(number, dict(zip(INPUTS, args)))
    except (ZeroDivisionError, OverflowError) as error:
        with pytest.raises(type(error)):
            formula.read(number)(args)
        return
    found = formula.read(number)(args)
    assert type(found) is type(expected)
    assert repr(found) == repr(expected) or found == expected


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * (1 / x.size),
        lambda x: x * (100 // (2 * x.shape[0])),
        lambda x: x * (100 % (x.shape[0] * x.shape[1])),
        lambda x: x * (-x.shape[0]) ** 2,
        lambda x: x * (2 * x.shape[0]) ** 2,
        lambda x: x * (-3) ** x.shape[0],
        lambda x: hb.minimum(x, x.shape[0] * float("inf")),
    ],
)
def test_numbers_that_follow_from_sizes_are_those_of_eager_code(
    function: Callable[[hb.Tensor], hb.Tensor],
) -> None:
    traced = hb.compile(function)
    for shape in [(4, 5), (5, 5), (6, 7), (3, 3), (9, 2)]:
        x = hb.ones(shape)
        np.testing.assert_allclose(traced(x), function(x), rtol=1e-6)


SIZES = (Input("n", 0, 0), Input("m", 0, 1), Input("k", 2))
ATOMS = st.sampled_from(
    [*map(input_formula, SIZES), formula.whole_call("mod", input_formula(SIZES[0]), 3)]
)
POLYNOMIALS = st.recursive(
    ATOMS | st.integers(-2, 2),
    lambda inner: (
        st.builds(formula.add, inner, inner, st.integers(-2, 2))
        | st.builds(formula.multiply, inner, inner)
    ),
    max_leaves=4,
).filter(lambda a: isinstance(a, formula.Sum))


@given(POLYNOMIALS, POLYNOMIALS)
def test_what_is_never_below_is_told_as_by_the_difference(a: formula.Sum, b: formula.Sum) -> None:
    expected = formula.least(formula.add(a, b, -1)) >= 0
    assert formula.never_below(a, b) == expected
    assert formula.never_below(a, a)
