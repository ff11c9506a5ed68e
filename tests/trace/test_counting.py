"""Loops over ranges that ask, and loops within loops of which both do."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.containers import leaves_of
from hybrid.trace import counting

pytestmark = pytest.mark.usefixtures("no_tape_around")

ATOM = np.linspace(0.5, 1.5, 6)


def until_steady(u: Any, p: Any, tol: Any) -> Any:
    for _ in range(60):
        for _ in range(40):
            q = p * 0.5 + u * 0.25
            err = hb.max(abs(q - p))
            p = q
            if err < tol:
                break
        new = u * 0.875 + p * 0.01
        if hb.max(abs(new - u)) < tol:
            break
        u = new
    return u, p


def so_many_times(u: Any, p: Any, tol: Any) -> Any:
    for _ in range(25):
        while True:
            q = p * 0.5 + u * 0.25
            if hb.max(abs(q - p)) < tol:
                break
            p = q
        u = u * 0.9375 + p * 0.01
    return u, p


def while_within_while(u: Any, p: Any, tol: Any) -> Any:
    change = hb.max(abs(u)) + 1
    while change > tol:
        err = tol + 1.0
        while err > tol:
            q = p * 0.5 + u * 0.25
            err, p = hb.max(abs(q - p)), q
        new = u * 0.875 + p * 0.01
        change, u = hb.max(abs(new - u)), new
    return u, p


def with_line_search(x: Any, p: Any, tol: Any) -> Any:
    def height(x: Any) -> Any:
        return hb.sum((x * x - p) ** 2)

    for _ in range(100):
        down = -4 * x * (x * x - p)
        slope = hb.sum(down * down)
        if slope < tol:
            break
        step = hb.sum(down) * 0 + 1.0
        for _ in range(30):
            if height(x + step * down) <= height(x) - 1e-4 * step * slope:
                break
            step = step * 0.5
        x = x + step * down
    return x


def in_a_helper(u: Any, p: Any, tol: Any) -> Any:
    def solved(p: Any, u: Any) -> Any:
        for _ in range(50):
            q = p * 0.5 + u * 0.25
            if hb.max(abs(q - p)) < tol:
                return q
            p = q
        return p

    for _ in range(40):
        p = solved(p, u)
        u = u * 0.875 + p * 0.01
        if hb.sum(u) < 0.5:
            break
    return u, p


def of_several_ways(x: Any, p: Any, tol: Any) -> Any:
    best = x
    for _ in range(50):
        if hb.sum(x) > 4:
            x = x * 0.875
        elif hb.sum(x) > 1:
            best, x = x, x * 0.9375 - 0.001
        else:
            x = x * 0.96875
        if hb.max(x) < tol:
            break
    return x, best


def that_goes_on_after_each_answer(x: Any, p: Any, tol: Any) -> Any:
    for _ in range(50):
        if hb.sum(x) > 2:
            x = x * 0.875
            continue
        x = x * 1.0625 + p * 0.25
    return x


def with_something_after_the_inner_loop(u: Any, p: Any, tol: Any) -> Any:
    for _ in range(12):
        for _ in range(9):
            p = p * 0.75 + u * 0.125
            if hb.max(p) < 0.5:
                break
        else:
            u = u * 0.5
        u = u * 0.9375
        if hb.max(u) < tol:
            return u, p, 1
    return u, p, 2


def that_writes(u: Any, p: Any, tol: Any) -> Any:
    for _ in range(20):
        for _ in range(10):
            p[1:-1] = (p[2:] + p[:-2]) * 0.5
            if hb.max(abs(p[1:] - p[:-1])) < tol:
                break
        u += p * 0.125
        if hb.sum(u) > 10:
            break
    return u * 2


QUIET = "nothing was traced or compiled"
LOOPS = [
    until_steady, so_many_times, while_within_while, with_line_search, in_a_helper, of_several_ways,
    that_goes_on_after_each_answer, with_something_after_the_inner_loop, that_writes,
]  # fmt: skip
CALLS = [(1.0, 1e-3), (2.0, 1e-6), (3.0, 1e-4), (0.25, 0.3), (1.5, 1e-6), (7.0, 1e-2)]


def called(f: Callable[..., Any], scale: float, tol: float) -> list[Any]:
    u, p = hb.asarray(ATOM * scale), hb.asarray(ATOM[::-1] * 1.25)
    return [*leaves_of(f(u, p, hb.asarray(tol, dtype="float64"))), u, p]


def assert_same(got: list[Any], wanted: list[Any]) -> None:
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert type(a) is type(b)
        if isinstance(a, hb.Tensor):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)
        else:
            assert a == b


@pytest.mark.parametrize("f", LOOPS)
def test_each_call_is_that_of_eager_code_and_none_gives_up(f: Callable[..., Any]) -> None:
    wanted = [called(f, *call) for call in CALLS]
    compiled = hb.compile(f)
    with warnings.catch_warnings():
        warnings.simplefilter("error", hb.errors.EagerFallbackWarning)
        for i in (3, 0, 1, 2, 5, 4, 0, 3, 1):
            assert_same(called(compiled, *CALLS[i]), wanted[i])


@pytest.mark.parametrize("f", LOOPS)
def test_other_data_are_not_traced_again_once_the_ways_are_known(f: Callable[..., Any]) -> None:
    compiled = hb.compile(f)
    for _ in range(2):
        for call in CALLS:
            called(compiled, *call)
    with hb.trace_log() as log:
        for call in CALLS:
            called(compiled, *call)
    assert str(log) == QUIET


@pytest.mark.parametrize("f", LOOPS)
def test_a_tape_around_the_call_sees_each_step(f: Callable[..., Any]) -> None:
    compiled = hb.compile(f)
    p, tol = hb.asarray(ATOM[::-1] * 1.25), hb.asarray(1e-3, dtype="float64")

    def height(call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda u: hb.sum(leaves_of(call(u * 1.0, p * 1.0, tol))[0])

    for scale in (1.0, 2.0, 1.0):
        u = hb.asarray(ATOM * scale)
        called(compiled, scale, 1e-3)
        got, wanted = hb.grad(height(compiled))(u), hb.grad(height(f))(u)
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-8, atol=1e-12)


def test_a_loop_of_thousands_of_steps_takes_none_of_them_in_python() -> None:
    def f(x: Any) -> Any:
        for _ in range(10_000):
            x = x * 1.0 + 1.0
            if hb.max(x) < 0:
                break
        return x

    compiled = hb.compile(f)
    np.testing.assert_array_equal(compiled(hb.asarray(ATOM)).numpy(), ATOM + 10_000)
    assert len(compiled.get_concrete_function(hb.asarray(ATOM)).segments) < 8


def test_the_step_at_which_a_loop_ends_is_none_of_the_trace() -> None:
    def f(x: Any, tol: Any) -> Any:
        for _ in range(30):
            x = x * 0.5
            if hb.max(x) < tol:
                break
        return x

    compiled = hb.compile(f)
    for tol in (1e-3, 1e-30, 0.5, 1e-9):
        compiled(hb.asarray(ATOM), tol)
    with hb.trace_log() as log:
        for tol in (1e-4, 1e-5, 1e-6, 0.1, 1e-8, 0.01):
            np.testing.assert_array_equal(
                compiled(hb.asarray(ATOM), tol).numpy(), f(hb.asarray(ATOM), tol).numpy()
            )
    assert str(log) == QUIET


def with_the_count(x: Any, p: Any, tol: Any) -> Any:
    for k in range(3, 200, 2):  # noqa: B007
        x = x * 0.5
        if hb.max(x) < tol:
            break
    return x, k


def with_counts_on_two_ways(x: Any, p: Any, tol: Any) -> Any:
    for k in range(40):
        x = x * 0.75
        if hb.max(x) < tol:
            return x, {"steps": k + 1, "done": True}
        if hb.sum(x) > 3:
            x = x * 0.875
    return x, {"steps": k - 1, "done": False}


def with_counts_of_both(x: Any, p: Any, tol: Any) -> Any:
    for n in range(30):  # noqa: B007
        for k in range(20):  # noqa: B007
            p = p * 0.5 + x * 0.25
            if hb.max(abs(p - x * 0.5)) < tol * 4:
                break
        x = x * 0.75
        if hb.max(x) < tol:
            break
    return x, p, n, k


def with_a_list(x: Any, p: Any, tol: Any) -> Any:
    errors = []
    for k in range(100):  # noqa: B007
        x = x * 0.75
        errors.append(hb.max(x))
        if hb.max(x) < tol:
            break
    return x, k, errors


@pytest.mark.parametrize(
    "f", [with_the_count, with_counts_on_two_ways, with_counts_of_both, with_a_list]
)
def test_numbers_of_steps_that_are_returned_are_values_of_the_graph(f: Callable[..., Any]) -> None:
    compiled = hb.compile(f)
    calls = [(scale, tol) for scale in (1.0, 4.0, 0.25) for tol in (1e-3, 0.3, 0.0, 1e-6, 9.0)]
    for call in calls[::2] + calls[::-2]:
        assert_same(called(compiled, *call), called(f, *call))
    for call in calls:
        called(compiled, *call)
    with hb.trace_log() as log:
        for scale, tol in calls:
            assert_same(called(compiled, scale, tol), called(f, scale, tol))
    assert str(log) == QUIET


def test_a_number_of_steps_is_a_key_of_what_is_returned() -> None:
    def f(x: Any, p: Any, tol: Any) -> Any:
        for k in range(20):  # noqa: B007
            x = x * 0.75
            if hb.max(x) < tol:
                break
        return {k: x}

    compiled = hb.compile(f)
    x, p = hb.asarray(ATOM), hb.asarray(ATOM)
    for tol in (1e-2, 0.3, 0.3, 1e-2, 0.1):
        got = compiled(x, p, hb.asarray(tol))
        assert list(got) == list(f(x, p, hb.asarray(tol)))
        assert type(next(iter(got))) is int


@pytest.mark.parametrize("read", ["x = x * k", "n = k", "x = x + 0.1 * (k % 2)", "g = lambda: k"])
def test_a_variable_that_is_read_elsewhere_is_a_number(read: str) -> None:
    names: dict[str, Any] = {"hb": hb}
    text = f"""
def f(x, p, tol):
    n = 0
    for k in range(12):
        x = x * 0.75
        {read}
        if hb.max(x) < tol:
            break
    return x, k, n
"""
    exec(text, names)
    compiled = hb.compile(names["f"])
    for call in ((1.0, 1e-3), (1.0, 0.3), (4.0, 0.3), (1.0, 0.1)):
        assert_same(called(compiled, *call), called(names["f"], *call))


def test_a_loop_that_gives_up_in_the_middle_takes_the_steps_that_are_left() -> None:
    def f(x: Any) -> Any:
        for _ in range(12):
            if hb.sum(x) > 5:
                x = x * 0.875
            elif hb.sum(x) > 2:
                x = x * 0.75
            else:
                x = x + float(hb.max(x)) * 0.125
        return x

    for scale in (9.0, 1.0, 3.0):
        compiled = hb.compile(f)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(3):
                got = compiled(hb.asarray(ATOM * scale))
                np.testing.assert_allclose(got.numpy(), f(hb.asarray(ATOM * scale)).numpy())


def test_an_error_in_the_middle_is_that_of_eager_code() -> None:
    def f(x: Any, tol: Any) -> Any:
        for _ in range(30):
            for _ in range(20):
                x = x * 0.875
                if hb.sum(x) < tol * 2:
                    break
            x = x + 0.01
            y = hb.linalg.cholesky(hb.eye(2, dtype="float64") * (hb.sum(x) - tol))
            if hb.sum(x * y[0, 0]) < 1e-3:
                break
        return x

    compiled = hb.compile(f)
    for scale, tol in ((4.0, 0.03), (4.0, 0.5), (1.0, 0.03), (4.0, 0.5), (2.0, 0.04)):
        x = hb.asarray(ATOM * scale)
        try:
            wanted = f(x, tol)
        except np.linalg.LinAlgError:
            with pytest.raises(np.linalg.LinAlgError):
                compiled(x, tol)
        else:
            np.testing.assert_allclose(compiled(x, tol).numpy(), wanted.numpy(), rtol=1e-9)


STEPS = [
    "x = x * 0.875", "x, y = y * 0.9375, x", "y = x + y * 0.5", "n += 1", "z = x", "z = y[::-1]",
    "x = x.copy(); x[1:] *= 0.9375", "x[0] = y[1] * 0.5", "y = y[::-1]", "x += y * 0.01",
    "t = t * 0.5", "g.append(hb.max(x))", "if m < 3: m += 1",
]  # fmt: skip
QUESTIONS = ["hb.max(hb.abs(x)) < tol", "hb.sum(x) > 4", "hb.min(y) < tol", "m > 2", "t < 0.1"]


def _block(choose: random.Random, depth: int) -> list[str]:
    """Return the statements of a loop, with loops in it."""
    lines = []
    for _ in range(choose.randint(2, 4)):
        kind = choose.random()
        if kind < 0.45:
            lines.append(f"if {choose.choice(QUESTIONS)}:")
            lines.append("    " + choose.choice([*STEPS, "continue", "break", "break"]))
        elif kind < 0.7 and depth < 2:
            head = choose.choice(
                ["for _ in range(9)", "for _ in range(2, 40, 3)", "while hb.max(hb.abs(x)) > t"]
            )
            inner = _block(choose, depth + 1)
            lines += [f"{head}:", "    x = x * 0.9375; t = t * 1.01", *("    " + s for s in inner)]
            if choose.random() < 0.3:
                lines += ["else:", "    " + choose.choice(STEPS)]
        else:
            lines.append(choose.choice(STEPS))
    return lines


def written(choose: random.Random) -> str:
    """Return a function of loops within loops, made by chance."""
    body = ["x = x * 0.96875 + y * 0.01", *_block(choose, 0)]
    lines = ["def f(x, tol):", "    y, z, n, m, g, t = x * 0.5, x, 0, 0, [], tol + 0.5"]
    lines += ["    for _ in range(14):", *("        " + s for s in body)]
    ending = choose.choice(["n", "m", "g", "None", "k"])
    if ending == "k":
        lines = [s.replace("for _ in", "for k in", 1) for s in lines]
    return "\n".join([*lines, f"    return x, y, z, t, {ending}"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(8))
def test_loops_made_by_chance_are_those_of_eager_code(seed: int) -> None:
    names: dict[str, Any] = {"hb": hb}
    text = written(random.Random(seed))
    exec(text, names)
    f = names["f"]
    compiled = hb.compile(f)
    for scale, tol in ((1.0, 0.05), (3.0, 0.2), (1.0, 0.05), (9.0, 0.01), (2.0, 0.1)):
        x, y = hb.asarray(ATOM * scale), hb.asarray(ATOM * scale)
        limit = hb.asarray(tol, dtype="float64")
        with np.errstate(all="ignore"):
            wanted = [*leaves_of(f(x, limit)), x]
            got = [*leaves_of(compiled(y, limit)), y]
        try:
            assert_same(got, wanted)
        except AssertionError as error:
            raise AssertionError(text) from error


def test_what_stands_for_range_is_like_it() -> None:
    numbers = range(100)
    stand_in: Any = counting.Range
    assert type(stand_in(100)) is range
    assert isinstance(numbers, stand_in)
    assert not isinstance(100, stand_in)
    assert issubclass(range, stand_in)
    assert {stand_in: 1}[range] == {range: 1}[stand_in] == 1
    assert stand_in.index(numbers, 7) == 7
    assert repr(stand_in) == repr(range)
