"""`np.ndarray` in a trace: what an argument was given as, a branch takes it for."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

import hybrid as hb
from hybrid.errors import ArrayTypeWarning
from tests.trace.agreement import compiled_throughout

# Which branch is taken is what is tested.
pytestmark = pytest.mark.usefixtures("without_kernels")

W = np.arange(3.0)


def by_isinstance(x: Any) -> Any:
    return x * 2 if isinstance(x, np.ndarray) else -x


def among_others(x: Any) -> Any:
    return x * 2 if isinstance(x, (list, ndarray)) else -x


def by_union(x: Any) -> Any:
    return x * 2 if isinstance(x, np.ndarray | list) else -x


def by_type(x: Any) -> Any:
    return x * 2 if type(x) is np.ndarray else -x


def by_equal_types(x: Any) -> Any:
    return x * 2 if type(x) == ndarray else -x  # noqa: E721


def by_match(x: Any) -> Any:
    match x:
        case np.ndarray():
            return x * 2
    return -x


def in_a_helper_of_a_view(x: Any) -> Any:
    return by_isinstance(x[1:].T)


def imported_inside(x: Any) -> Any:
    import numpy

    return x * 2 if isinstance(x, numpy.ndarray) else -x


def by_being_a_tensor(x: Any) -> Any:
    return x * 2 if isinstance(x, hb.Tensor) else -x


def a_tensor_among_others(x: Any) -> Any:
    return x * 2 if isinstance(x, (hb.Tensor, list, float)) else -x


def a_view_that_is_a_tensor(x: Any) -> Any:
    return x * 2 if isinstance(x[::2], hb.Tensor | list) else -x


def either(x: Any) -> Any:
    return x * 2 if isinstance(x + 1, np.ndarray | hb.Tensor) else -x


def by_a_table(x: Any) -> Any:
    return {np.ndarray: 2.0}.get(type(x), -1.0) * x


def of_a_captured_one(x: Any) -> Any:
    return (x if type(W) is np.ndarray and isinstance(W, ndarray) else -x) + W


FUNCTIONS: list[Callable[[Any], Any]] = [
    by_isinstance, among_others, by_union, by_type, by_equal_types, by_match,
    in_a_helper_of_a_view, imported_inside, by_a_table, of_a_captured_one, by_being_a_tensor,
    a_tensor_among_others, a_view_that_is_a_tensor, either,
]  # fmt: skip


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_a_branch_goes_the_way_that_it_goes_in_eager_code(f: Callable[[Any], Any]) -> None:
    traced = hb.compile(f)
    with compiled_throughout():
        for _ in range(2):
            for x in (np.ones(3), hb.ones(3, dtype=hb.float64), np.ones(3) * 2):
                np.testing.assert_array_equal(traced(x), f(x))


def by_type_of_number(x: Any, rate: Any) -> Any:
    return x * 2 if type(rate) is np.float64 else -x


def by_kind_of_number(x: Any, rate: Any) -> Any:
    return x * 2 if isinstance(rate, np.floating) else -x


def by_being_a_float(x: Any, rate: Any) -> Any:
    return x * 2 if isinstance(rate, float) else -x


def by_table_of_types(x: Any, rate: Any) -> Any:
    table = {float: 2.0, np.float64: 3.0, hb.Tensor: 4.0, np.ndarray: 5.0}
    return x * table[type(rate)] + rate


def tensor_or_array(x: Any, rate: Any) -> Any:
    return x * 2 if isinstance(rate, (hb.Tensor, np.ndarray)) else -x


def scalar_or_not(x: Any, rate: Any) -> Any:
    return x * 2 if np.isscalar(rate) else -x


def in_a_checkpoint(x: Any, rate: Any) -> Any:
    return hb.checkpoint(by_type_of_number)(x, rate)


def by_a_pattern(x: Any) -> Any:
    match x:
        case hb.Tensor(shape=(3,)):
            return x * 2
    return -x


def by_a_pattern_in_a_list(x: Any) -> Any:
    match [x, 1]:
        case [hb.Tensor(), 1]:
            return by_isinstance(x)
        case _:
            return -x


@pytest.mark.parametrize("f", [by_a_pattern, lambda x: by_a_pattern_in_a_list(x)])
def test_a_pattern_that_takes_an_ndarray_for_a_tensor_is_told_of(f: Callable[[Any], Any]) -> None:
    traced = hb.compile(f)
    with pytest.warns(ArrayTypeWarning, match=r"(?s)case hb.Tensor.*case .*hb.Tensor\("):
        traced(np.ones(3))
    with compiled_throughout():
        for _ in range(2):
            x = hb.ones(3, dtype="float64")
            np.testing.assert_array_equal(traced(x), f(x))


RATES = [hb.asarray(1.0, dtype="float64"), np.float64(1.0), np.ones(()), 1.0]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
@pytest.mark.parametrize(
    "f",
    [
        *(by_type_of_number, by_kind_of_number, by_being_a_float, by_table_of_types),
        *(tensor_or_array, scalar_or_not, in_a_checkpoint),
    ],
)
def test_the_class_of_a_number_is_that_of_this_call(
    f: Callable[[Any, Any], Any], order: tuple[int, ...]
) -> None:
    traced = hb.compile(f)
    with compiled_throughout():
        for i in (*order, *order):
            x = hb.ones(2, dtype="float64")
            np.testing.assert_array_equal(traced(x, RATES[i]), f(x, RATES[i]))


def half_of_it(x: Any) -> Any:
    return by_isinstance(x[1:]).sum() + x


CALLERS: list[Callable[[Callable[[Any], Any]], Callable[[Any], Any]]] = [
    lambda f: lambda x: hb.checkpoint(f)(x),
    lambda f: lambda x: hb.checkpoint(f)(x[::-1]),
    lambda f: lambda x: hb.checkpoint(f)(W) + x,
    lambda f: lambda x: hb.checkpoint(hb.checkpoint(f))(x),
    lambda f: lambda x: hb.cond(x.sum() > 0, lambda: hb.checkpoint(f)(x), lambda: 1 * f(x)),
    lambda f: lambda x: hb.scan(lambda c, row: (c + hb.checkpoint(f)(x).sum(), row), W.sum(), W)[0],
    lambda f: lambda x: hb.grad(lambda p: f(p).sum())(x) * f(x).sum(),
    lambda f: lambda x: hb.jvp(f, (x,), (x,))[1],
    lambda f: lambda x: hb.vjp(f, x)[0],
    lambda f: lambda x: hb.jacobian(f)(x),
    lambda f: lambda x: hb.grad(lambda p: hb.checkpoint(f)(p).sum())(x),
    lambda f: lambda x: hb.checkpoint(lambda q: hb.grad(lambda p: f(p).sum())(q) * f(q).sum())(x),
    lambda f: lambda x: hb.vmap(lambda row: hb.grad(lambda p: f(p).sum())(x) + row)(x),
    lambda f: lambda x: hb.vmap(lambda row: f(x) + row)(x),
    lambda f: lambda x: f(hb.asarray(x)),
    lambda f: lambda x: f(hb.asarray(x[::-1])),
    lambda f: lambda x: hb.cond(x.sum() > 0, lambda: f(hb.asarray(x)) * 2, lambda: 1 * f(x)),
]


@pytest.mark.parametrize("f", [by_isinstance, by_being_a_tensor, by_type, by_match, half_of_it])
@pytest.mark.parametrize("caller", CALLERS, ids=range(len(CALLERS)))
def test_what_a_function_is_handed_is_what_it_is_in_eager_code_or_that_is_told(
    caller: Callable[[Callable[[Any], Any]], Callable[[Any], Any]], f: Callable[[Any], Any]
) -> None:
    function = caller(f)
    traced = hb.compile(function)
    for x in (np.ones(3), hb.ones(3, dtype=hb.float64)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ArrayTypeWarning)
            found = traced(x)
        if not any(w.category is ArrayTypeWarning for w in caught):
            np.testing.assert_array_equal(found, function(x))
            np.testing.assert_array_equal(traced(x), function(x))


@pytest.mark.parametrize("f", [by_isinstance, by_being_a_tensor, by_type, by_match])
@pytest.mark.parametrize("caller", CALLERS[:14], ids=range(14))
def test_the_parameters_of_transforms_and_checkpoints_are_known(
    caller: Callable[[Callable[[Any], Any]], Callable[[Any], Any]], f: Callable[[Any], Any]
) -> None:
    function = caller(f)
    traced = hb.compile(function)
    with compiled_throughout():
        for x in (np.ones(3), hb.ones(3, dtype=hb.float64), np.ones(3) * 2):
            np.testing.assert_array_equal(traced(x), function(x))


def test_a_compiled_function_in_another_is_given_what_it_is_given() -> None:
    inner = hb.compile(by_isinstance)
    outer = hb.compile(lambda x: inner(x) + 1)
    for x in (np.ones(3), hb.ones(3, dtype=hb.float64), np.ones(3)):
        np.testing.assert_array_equal(outer(x), by_isinstance(x) + 1)


def test_what_is_computed_is_told_of() -> None:
    def f(x: Any) -> Any:
        y = x + 1
        return y * 2 if isinstance(y, np.ndarray) else -y

    with pytest.warns(ArrayTypeWarning, match=r"np.ndarray \| hb.Tensor") as caught:
        hb.compile(f)(np.ones(3))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(hb.compile(f)(hb.ones(3)), f(hb.ones(3)))


def test_what_hb_asarray_has_made_of_an_argument_is_no_ndarray_and_that_is_told() -> None:
    def f(x: Any) -> Any:
        x = hb.asarray(x)
        return x * 2 if isinstance(x, np.ndarray) else -x

    with pytest.warns(ArrayTypeWarning):
        found = hb.compile(f)(np.ones(3))
    np.testing.assert_array_equal(found, f(np.ones(3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(hb.compile(f)(hb.ones(3)), f(hb.ones(3)))


def test_the_class_serves_as_numpys_does() -> None:
    def f(x: Any) -> Any:
        class Own(np.ndarray):
            pass

        own = np.arange(3.0).view(Own)
        assert issubclass(Own, np.ndarray)
        assert isinstance(own, np.ndarray)
        assert not isinstance(own, list)
        assert np.ndarray((2,), float).shape == (2,)
        assert np.ndarray.__name__ == "ndarray"
        assert np.ndarray == ndarray
        assert not issubclass(list, np.ndarray)
        return x + float(np.ndarray.sum(own)) + len(str(np.ndarray[Any, Any])) * 0

    np.testing.assert_array_equal(hb.compile(f)(np.ones(2)), [4.0, 4.0])
    assert np.ndarray is type(np.ones(2))


@pytest.mark.parametrize("given", [np.ones((3, 2)), hb.ones((3, 2))])
def test_in_bodies_and_mapped_functions_what_is_outside_is_what_it_was(given: Any) -> None:
    def weight(p: Any) -> float:
        return 1.0 if isinstance(p, np.ndarray) else 100.0

    def scanned(x: Any) -> Any:
        step = lambda c, a: (c + a * weight(x) + weight(x[0]) + weight(a) + weight(c), c)
        return hb.scan(step, hb.zeros(2), hb.ones((3, 2)))[0]

    def chosen(x: Any) -> Any:
        return hb.cond(x.sum() > 0, lambda: x[1] * weight(x[1]), lambda: x[0] * weight(x))

    def mapped(x: Any) -> Any:
        return hb.vmap(lambda p: p * weight(x) + weight(x[1:]) + weight(p))(hb.ones(3))

    with compiled_throughout():
        for f in (scanned, chosen, mapped):
            assert np.array_equal(hb.compile(f)(given), f(given))


def test_in_bodies_it_warns_of_what_is_computed() -> None:
    def rows(x: Any) -> Any:
        return hb.fori_loop(
            0, 2, lambda i, c: c + (1.0 if isinstance(x[i], np.ndarray) else 100.0), hb.zeros(())
        )

    with pytest.warns(ArrayTypeWarning):
        hb.compile(rows)(np.ones((3, 2)))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * 2 if isinstance(x + 1, hb.Tensor) else -x,
        lambda x: x * 2 if isinstance(x.sum(), np.floating) else -x,
        lambda x: x * 2 if isinstance(x[0], float) else -x,
        lambda x: x * 2 if isinstance(x[0], (int, float)) else -x,
        lambda x: x * 2 if type(x.sum()) is np.float64 else -x,
        lambda x: x * 2 if np.isscalar(x[0]) else -x,
    ],
)
def test_what_may_be_a_scalar_of_numpys_or_an_array_is_told_of(f: Callable[[Any], Any]) -> None:
    with pytest.warns(ArrayTypeWarning, match="what is computed from ndarrays") as caught:
        hb.compile(f)(np.ones(3))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(hb.compile(f)(hb.ones(3)), f(hb.ones(3)))


def test_numbers_are_what_they_are() -> None:
    f = hb.compile(
        lambda x, rate, n: x * rate if isinstance(rate, float) and isinstance(n, int) else x
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(3):
            np.testing.assert_array_equal(f(np.ones(2), 3.0, n), [3.0, 3.0])


def test_a_function_that_dispatches_by_class_is_told_of() -> None:
    @functools.singledispatch
    def scaled(x: Any) -> Any:
        return x * 2

    @scaled.register
    def _(x: np.ndarray) -> Any:
        return x * 3

    @functools.singledispatch
    def same(x: Any) -> Any:
        return x

    same.register(int, lambda x: x + 1)

    with pytest.warns(ArrayTypeWarning, match="scaled, which functools.singledispatch makes"):
        hb.compile(lambda x: scaled(x))(W)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ArrayTypeWarning)
        hb.compile(lambda x: same(x))(W)
        hb.compile(lambda x: scaled(x))(hb.asarray(W))
        scaled.register(hb.Tensor, scaled.dispatch(np.ndarray))
        np.testing.assert_array_equal(hb.compile(lambda x: scaled(x))(W), W * 3)
