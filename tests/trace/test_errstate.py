"""What `np.errstate` asks for in a compiled function happens as it does in eager code."""

import warnings

import numpy as np
import pytest

import hybrid as hb
from hybrid.errors import EagerFallbackWarning, TraceError

ONES, ZEROS = np.ones(2), np.zeros(2)


def caught(x):
    try:
        with np.errstate(all="raise"):
            return 1 / x
    except FloatingPointError:
        return x - 1


@np.errstate(divide="raise")
def inverse(x):
    return 1 / x


def as_a_decorator(x):
    try:
        return inverse(x)
    except FloatingPointError:
        return x - 1


def by_seterr(x):
    old = np.seterr(divide="raise")
    try:
        return 1 / x
    except FloatingPointError:
        return x - 1
    finally:
        np.seterr(**old)


def by_call(x):
    met = []
    with np.errstate(divide="call", call=lambda *what: met.append(what[0])):
        y = 1 / x
    return y if not met else x - 1


def in_a_vmap(x):
    try:
        with np.errstate(divide="raise"):
            return hb.vmap(lambda each: 1 / each)(x)
    except FloatingPointError:
        return x - 1


def around_a_scan(x):
    try:
        with np.errstate(divide="raise"):
            return hb.scan(lambda sum, each: (sum + 1 / each, each), hb.zeros((), "float64"), x)[0]
    except FloatingPointError:
        return hb.sum(x - 1)


def in_a_scan(x):
    def step(sum, each):
        with np.errstate(divide="raise"):
            return sum + 1 / each, each

    try:
        return hb.scan(step, hb.zeros((), "float64"), x)[0]
    except FloatingPointError:
        return hb.sum(x - 1)


FUNCTIONS = (
    caught,
    as_a_decorator,
    by_seterr,
    by_call,
    in_a_vmap,
    around_a_scan,
    in_a_scan,
)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_what_is_asked_to_raise_raises_in_a_compiled_function_too(function):
    compiled = hb.compile(function)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for x in (ONES, ZEROS, ONES, ZEROS):
            np.testing.assert_array_equal(compiled(x), function(hb.asarray(x)))
    told = [w for w in heard if w.category is EagerFallbackWarning]
    assert len(told) == 1
    assert "looks at what each op has met" in str(told[0].message)


@pytest.mark.filterwarnings("error")
def test_a_function_that_asks_for_less_stays_traced():
    @hb.compile
    def quiet(x):
        with np.errstate(divide="ignore", over="warn"):
            return 1 / x

    with np.errstate(all="raise"):  # which eager code alone heeds
        np.testing.assert_array_equal(quiet(ZEROS), [np.inf, np.inf])
    np.testing.assert_array_equal(quiet(ZEROS), [np.inf, np.inf])
    assert len(quiet.concrete_functions) == 1


def test_a_whole_graph_refuses_what_asks_to_raise():
    with pytest.raises(TraceError, match=r"fullgraph=True, but np.errstate\(all='raise'\)"):
        hb.compile(caught, fullgraph=True)(ONES)
