"""Loops in which Python counts run in native code, for as many steps as Python was seen to take."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.containers import leaves_of

pytestmark = pytest.mark.usefixtures("no_tape_around")

ATOM = np.linspace(0.5, 1.5, 6)


def bounded(x: Any, tol: Any) -> Any:
    for _ in range(200):
        x = x * 0.9375
        if hb.max(x) < tol:
            break
    return x


def of_two_variables(x: Any, tol: Any) -> Any:
    for _ in range(200):
        new = 0.5 * x + 0.25 * hb.sqrt(x)
        if hb.max(hb.abs(new - x)) < tol:
            break
        x = new
    return x, new


def of_three_variables(x: Any, tol: Any) -> Any:
    a, b = x, x * 0.5
    for _ in range(150):
        a, b = b, 0.5 * a + 0.375 * b
        if hb.max(hb.abs(a - b)) < tol:
            break
    return a, b


def with_the_count(x: Any, tol: Any) -> Any:
    for i in range(150):  # noqa: B007
        x = x * 0.875
        if hb.max(x) < tol:
            break
    return x, i


def the_count_as_a_number(x: Any, tol: Any) -> Any:
    n = 0
    while hb.max(x) > tol and n < 140:
        x = x * 0.875
        n += 1
    return x * n


def or_else(x: Any, tol: Any) -> Any:
    for _ in range(140):
        x = x * 0.9375
        if hb.max(x) < tol:
            break
    else:
        x = -x
    return x + 1


def returned_from_within(x: Any, tol: Any) -> Any:
    for i in range(140):
        x = x * 0.9375
        if hb.max(x) < tol:
            return x, True, i
    return x, False, None


def scaled_now_and_then(x: Any, tol: Any) -> Any:
    for _ in range(40):
        x = x * 1.25
        if hb.max(x) > 1 / tol:
            x = x / hb.max(x)
    return x


def within_another(x: Any, tol: Any) -> Any:
    for k in range(3):
        for _ in range(60):
            x = x * 0.875
            if hb.max(x) < tol:
                break
        x = x + k + 1
    return x


def without_leaving_the_outer_one(x: Any, tol: Any) -> Any:
    for _ in range(3):
        for _ in range(4):
            x = x * 0.75
            if hb.max(x) < tol:
                x = x + 1
    return x


def another_body_in_the_middle(x: Any, tol: Any) -> Any:
    for i in range(140):
        x = x * (0.9375 if i < 20 else 0.875)
        if hb.max(x) < tol:
            break
    return x


def alternating(x: Any, tol: Any) -> Any:
    for i in range(60):
        x = x * 0.9375 if i % 2 else x * 0.875
        if hb.max(x) < tol:
            break
    return x


def a_late_surprise(x: Any, tol: Any) -> Any:
    name = "early"
    for i in range(140):
        x = x * 0.9375
        if i == 30:
            name = "late"
        if hb.max(x) < tol:
            break
    return x + (1 if name == "late" else 2)


def stopped_by_python(x: Any, tol: Any) -> Any:
    left = 20
    while True:
        x = x * 0.875
        left -= 1
        if hb.max(x) < tol or not left:
            break
    return x, left


def by_a_helper(x: Any, tol: Any) -> Any:
    first = bounded(x, tol)
    second, n = with_the_count(x + 1, tol)
    return first * 2, second, n


def in_place(x: Any, tol: Any) -> Any:
    x = x.copy()
    for _ in range(200):
        old = x.copy()
        x[1:-1] = (old[2:] + old[:-2]) * 0.375
        x[0] = x[1] * 0.5
        x[-1] *= 0.75
        if hb.max(hb.abs(x - old)) < tol:
            break
    return x


def a_best_so_far(x: Any, tol: Any) -> Any:
    best, at = x, -1
    for i in range(40):
        x = x * 0.875 + 0.01
        if hb.sum(x) < hb.sum(best) - tol:
            best, at = x, i
    return best, at


def kept_from_an_early_step(x: Any, tol: Any) -> Any:
    kept = x
    for i in range(60):
        x = x * 0.875
        if i == 4:
            kept = x
        if hb.max(x) < tol:
            break
    return x + kept


def with_a_handler(x: Any, tol: Any) -> Any:
    try:
        for i in range(140):
            x = x * 0.9375
            if hb.max(x) < tol:
                raise StopIteration(i)
    except StopIteration as stopped:
        return x, stopped.value
    return x, None


def keeps_a_list(x: Any, tol: Any) -> Any:
    sizes = []
    for _ in range(30):
        x = x * 0.875
        sizes.append(hb.sum(x))
        if hb.max(x) < tol:
            break
    return x, sizes


def skips(x: Any, tol: Any) -> Any:
    n = 0
    for _ in range(40):
        x = x * 0.875
        if hb.max(x) > tol:
            continue
        n += 1
        x = x + 1
    return x, n


def matrices(x: Any, tol: Any) -> Any:
    w = hb.eye(6, dtype="float64") * 0.5 + 0.05
    for i in range(150):  # noqa: B007
        new = w @ x
        if hb.linalg.vector_norm(new - x) < tol:
            break
        x = new
    return x, i


def by_a_library(x: Any, tol: Any) -> Any:
    a = hb.outer(x, x) + hb.eye(6, dtype="float64") * hb.arange(1.0, 7.0, dtype="float64")
    for _ in range(150):
        q, r = hb.linalg.qr(a)
        a = r @ q
        if hb.max(hb.abs(hb.tril(a, k=-1))) < tol:
            break
    return hb.linalg.diagonal(a)


FUNCTIONS = [
    bounded, of_two_variables, of_three_variables, with_the_count, the_count_as_a_number, or_else,
    returned_from_within, scaled_now_and_then, within_another, without_leaving_the_outer_one,
    another_body_in_the_middle, alternating, a_late_surprise, stopped_by_python, by_a_helper,
    in_place, a_best_so_far, kept_from_an_early_step, with_a_handler, keeps_a_list, skips,
    matrices, by_a_library,
]  # fmt: skip
ARGUMENTS = [(1.0, 0.3), (4.0, 1e-9), (1.0, 1e-2), (2.0, 3.0)]


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize("f", FUNCTIONS)
def test_whatever_was_called_first_each_call_gives_the_eager_result(f: Callable[..., Any]) -> None:
    wanted = [leaves_of(f(hb.asarray(ATOM * scale), tol)) for scale, tol in ARGUMENTS]
    for order in ((0, 1, 2, 3), (1, 3, 0, 2, 0, 3, 1)):
        compiled = hb.compile(f)
        for i in order:
            scale, tol = ARGUMENTS[i]
            got = leaves_of(compiled(hb.asarray(ATOM * scale), tol))
            for a, b in zip(got, wanted[i], strict=True):
                assert type(a) is type(b)
                if isinstance(a, hb.Tensor):
                    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)
                else:
                    assert a == b


class Solver:
    """Numbers that a loop reads, and one that it may write."""

    def __init__(self) -> None:
        self.factor = 0.9375
        self.most = 150
        self.calls = 0

    def shrink(self, x: Any, tol: Any) -> Any:
        for k in range(self.most):  # noqa: B007
            x = x * self.factor
            if hb.max(x) < tol:
                break
        return x, k

    @hb.compile
    def decorated(self, x: Any, tol: Any) -> Any:
        for k in range(self.most):  # noqa: B007
            x = x * self.factor
            if hb.max(x) < tol:
                break
        return x, k

    def tally(self, x: Any, tol: Any) -> Any:
        for _ in range(self.most):
            x = x * self.factor
            self.calls += 1
            if hb.max(x) < tol:
                break
        return x * self.calls


@pytest.mark.parametrize("compiled", [hb.compile(Solver().shrink), Solver().decorated])
def test_loops_of_methods_run_natively(compiled: Any) -> None:
    for scale, tol in (*ARGUMENTS, *ARGUMENTS[::-1]):
        x = hb.asarray(ATOM * scale)
        got, wanted = compiled(x, tol), Solver().shrink(x, tol)
        np.testing.assert_allclose(got[0].numpy(), wanted[0].numpy(), rtol=1e-12)
        assert got[1] == wanted[1]
    assert "repeated as a loop" in compiled.explain()


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_a_method_counts_on_its_object_is_counted() -> None:
    there, here = Solver(), Solver()
    compiled = hb.compile(there.tally)
    for scale, tol in (*ARGUMENTS, *ARGUMENTS[::-1]):
        x = hb.asarray(ATOM * scale)
        got, wanted = compiled(x, tol), here.tally(x, tol)
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-12)
        assert there.calls == here.calls


LOOPS = [
    bounded, of_two_variables, of_three_variables, with_the_count, the_count_as_a_number, or_else,
    returned_from_within, another_body_in_the_middle, by_a_helper, in_place, matrices, by_a_library,
]  # fmt: skip


@pytest.mark.parametrize("f", LOOPS)
def test_more_steps_than_a_trace_may_have_decisions_are_few_segments(f: Callable[..., Any]) -> None:
    compiled = hb.compile(f)
    x = hb.asarray(ATOM * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tol in (1e-5, 1e-30):
            compiled(x, tol)
    assert len(compiled.get_concrete_function(x, 1e-5).segments) <= 14


def test_what_cannot_see_the_count_is_traced_once_for_all_of_them() -> None:
    compiled = hb.compile(bounded)
    compiled(hb.asarray(ATOM), 1e-5)
    segments = len(compiled.get_concrete_function(hb.asarray(ATOM), 1e-5).segments)
    for scale in np.linspace(0.01, 1.0, 30):
        x = hb.asarray(ATOM * scale)
        np.testing.assert_array_equal(compiled(x, 1e-5).numpy(), bounded(x, 1e-5).numpy())
    assert len(compiled.get_concrete_function(hb.asarray(ATOM), 1e-5).segments) <= segments + 2


def test_a_longer_loop_than_any_before_is_taken_up_where_those_ended() -> None:
    compiled = hb.compile(bounded)
    for tol in (0.5, 1e-1, 1e-2, 1e-4, 1e-30, 1e-4, 1e-1):
        x = hb.asarray(ATOM)
        np.testing.assert_allclose(compiled(x, tol).numpy(), bounded(x, tol).numpy(), rtol=1e-12)


def test_a_loop_under_a_tape_goes_step_by_step() -> None:
    def loss(x: Any) -> Any:
        for _ in range(30):
            x = x * 0.75
            if hb.max(x) < 0.3:
                break
        return hb.sum(x * x)

    compiled = hb.compile(loss)
    compiled(hb.asarray(ATOM * 9))
    for scale in (1.0, 9.0, 3.0):
        x = hb.asarray(ATOM * scale)
        np.testing.assert_allclose(hb.grad(compiled)(x).numpy(), hb.grad(loss)(x).numpy())
        np.testing.assert_allclose(compiled(x).numpy(), loss(x).numpy())


def test_sizes_that_are_not_known_have_such_loops_too() -> None:
    compiled = hb.compile(bounded)
    for n in (3, 5, 7, 9, 8):
        x = hb.asarray(np.linspace(1, 2, n))
        for tol in (1e-1, 1e-4):
            np.testing.assert_allclose(compiled(x, tol).numpy(), bounded(x, tol).numpy())


def test_an_error_in_the_middle_of_a_loop_is_raised_where_eager_code_raises_it() -> None:
    def f(x: Any) -> Any:
        caught = 0
        for _ in range(50):
            try:
                x = hb.linalg.cholesky(x) - hb.eye(2, dtype="float64") * 0.25
                x = x @ x.T
            except np.linalg.LinAlgError:
                caught += 1
                x = x + hb.eye(2, dtype="float64") * 4
            if hb.max(x) < 0.1:
                break
        return x, caught

    compiled = hb.compile(f)
    for scale in (0.01, 4.0, 9.0, 4.0):
        x = hb.asarray(np.eye(2) * scale)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", hb.errors.EagerFallbackWarning)
            got, wanted = compiled(x), f(x)
        np.testing.assert_allclose(got[0].numpy(), wanted[0].numpy(), rtol=1e-9)
        assert got[1] == wanted[1]


def test_a_loop_without_end_in_sight_runs_eagerly_with_a_warning() -> None:
    def f(x: Any) -> Any:
        for _ in iter(range(10_000)):
            x = x * 1.0
            if hb.max(x) < 0:
                break
        return x

    compiled = hb.compile(f)
    with pytest.warns(hb.errors.EagerFallbackWarning, match="decisions"):
        np.testing.assert_array_equal(compiled(hb.asarray(ATOM)).numpy(), ATOM)


def test_explain_says_how_long_python_was_followed() -> None:
    def f(x: Any, tol: Any) -> Any:
        said = ""
        while hb.max(x) > tol:
            x = x * 0.875
            said += "."
        return x, said

    compiled = hb.compile(f)
    _, said = compiled(hb.asarray(ATOM), 1e-3)
    assert f"a loop of up to {len(said) - 2} steps" in compiled.explain()
