"""Ops whose results nobody reads raise in compiled code what they raise in eager code."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

X = np.asarray([[2.0, 1.0], [1.0, 2.0]])
SINGULAR = np.ones((2, 2))


def index(x: Any, i: Any) -> Any:
    x[i]
    return x + 1


def taken(x: Any, i: Any) -> Any:
    hb.take(x, i, axis=1)
    return x + 1


def two_indices(x: Any, i: Any) -> Any:
    x[i, i]
    return x[i * 0] + 1


def overwritten(x: Any, i: Any) -> Any:
    y = x.copy()
    y[i] = 5.0
    y[:] = 0.0
    return y


def of_an_index(x: Any, i: Any) -> Any:
    x[hb.arange(3)[i]]
    return x + 1


def in_a_body(x: Any, i: Any) -> Any:
    def body(carry: Any, row: Any) -> Any:
        row[i]
        return carry + row, row

    return hb.scan(body, x[0], x)[0]


def a_loop(x: Any, i: Any) -> Any:
    hb.map(lambda row: row[i], x)
    return x + 1


def in_a_branch(x: Any, i: Any) -> Any:
    def taken() -> Any:
        x[i]
        return x

    return hb.cond(x.sum() > 0, taken, lambda: x + 1)


def power(x: Any, i: Any) -> Any:
    hb.asarray([2, 3]) ** (1 - i)
    return x + 1


def counted(x: Any, i: Any) -> Any:
    hb.segment_sum(x, hb.stack([i, i]), 3)
    return x + 1


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """Return the result, or the error in words but for its place."""
    try:
        return np.asarray(function(*args))
    except Exception as error:
        return f"{type(error).__name__}: {error}".split("\n")[0]


@pytest.mark.parametrize(
    "function",
    [
        index,
        taken,
        two_indices,
        overwritten,
        of_an_index,
        in_a_body,
        a_loop,
        in_a_branch,
        power,
        counted,
    ],
)
@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
def test_an_index_or_exponent_that_is_wrong_raises_though_nobody_reads_the_result(
    function: Callable[[Any, Any], Any],
) -> None:
    compiled = hb.compile(function)
    x = hb.asarray(X)
    for number in (0, 5, 1, 5, 0):
        i = hb.asarray(number)
        want, got = outcome(function, x, i), outcome(compiled, x, i)
        np.testing.assert_array_equal(got, want)
    assert compiled.cache_info().misses == 1


@pytest.mark.parametrize(
    "fails",
    [
        hb.linalg.inv,
        lambda x: hb.linalg.solve(x, x),
        lambda x: hb.linalg.cholesky(x - 0.5),
        lambda x: hb.linalg.eigh(x * np.inf)[0][0] + hb.linalg.inv(x)[0, 0],
    ],
    ids=["inv", "solve", "cholesky", "of several results"],
)
@pytest.mark.parametrize("dynamic", [None, True])
def test_a_matrix_that_does_not_do_raises_though_nobody_reads_the_result(
    fails: Callable[[Any], Any], dynamic: bool | None
) -> None:
    @hb.compile(dynamic=dynamic)
    def f(x: Any) -> Any:
        with hb.default_dtype(hb.float64):
            fails(x)
        return x + 1

    with pytest.raises(hb.errors.LinAlgError):
        f(hb.asarray(SINGULAR - 1))


def test_the_function_may_catch_what_nobody_reads() -> None:
    @hb.compile
    def f(x: Any, n: Any) -> Any:
        hb.print("begin")
        try:
            x.astype(hb.int64) ** n
        except ValueError:
            return x * 3
        return x

    x = hb.asarray(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hb.errors.EagerFallbackWarning)
        for n, times in ((2, 1), (-1, 3), (1, 1), (-2, 3)):
            np.testing.assert_array_equal(f(x, hb.asarray(n)), X * times)


def test_what_was_added_is_not_taken_for_what_was_recorded() -> None:
    """A segment that is known hands on what it did before, also what a cycle kept alive then."""

    class Cycle:
        def __init__(self, value: Any) -> None:
            self.me, self.value = self, value

    @hb.compile
    def f(x: Any, i: Any) -> Any:
        x[i]
        y = x * 2
        Cycle(y * 3)
        return y + 1 if y.sum() > 0 else y - 1

    def check(sign: int, number: int) -> None:
        x, i = hb.asarray(X) * sign, hb.asarray(number)
        np.testing.assert_array_equal(outcome(f, x, i), outcome(f.__wrapped__, x, i))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sign in (1, -1, 1, -1):
            check(sign, 0)
    assert f.cache_info().misses == 1
    check(1, 7)


def test_an_unread_index_is_checked_for_every_size_by_one_trace() -> None:
    @hb.compile
    def f(x: Any, i: Any) -> Any:
        x[i]
        return x + 1

    for n in (3, 4, 5, 6, 7):
        x = hb.ones(n)
        f(x, hb.asarray([0, n - 1]))
        with pytest.raises(hb.errors.IndexingError):
            f(x, hb.asarray([0, n]))
    assert f.cache_info().misses == 3


def names(f: hb.CompiledFunction) -> list[str]:
    return [node.op.name for node in f.concrete_functions[0].optimized.nodes]


def test_indices_are_not_checked_where_another_op_looks_at_them() -> None:
    @hb.compile
    def gradient(x: Any, labels: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            loss = hb.log_softmax(x)[hb.arange(len(labels)), labels].sum()
        return tape.gradient(loss, x)

    labels = hb.asarray([1, 0])
    gradient(hb.asarray(X), labels)
    assert "in_bounds" not in names(gradient)
    with pytest.raises(hb.errors.IndexingError):
        gradient(hb.asarray(X), labels + 7)


def test_what_cannot_raise_is_left_out() -> None:
    @hb.compile
    def f(x: Any) -> Any:
        x @ x, hb.sort(x), x[1], x[[0, 1]], hb.linalg.det(x)
        return x + 1

    f(hb.asarray(X))
    assert "matmul" not in names(f)
    assert "sort" not in names(f)
    assert "det" not in names(f)
