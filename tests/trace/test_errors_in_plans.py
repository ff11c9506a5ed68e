"""An error in the middle of a compiled call: what was written before it stays, as in eager code."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

FAILING: dict[str, Callable[[Any], Any]] = {
    "assertion": lambda x: hb.assert_(x.sum() < 10, "too much"),  # noqa: PT009
    "index": lambda x: x[x.sum().astype(hb.int32)],
    "callback": lambda x: hb.callback(_refuse_large, None, x),
    "body": lambda x: hb.scan(_checked, x[0] * 0, x)[1],
    "linalg": lambda x: hb.linalg.inv(hb.diag(x - 10)),
}


def _refuse_large(x: Any) -> None:
    if x.sum() >= 10:
        raise ValueError("too much")


def _checked(c: Any, r: Any) -> Any:
    hb.assert_(r < 5)  # noqa: PT009
    return c + r, r


def behaviour(wrapped: Callable[[Any], Any], fail: Callable[[Any], Any], taped: bool) -> list[Any]:
    before, after = hb.Variable(0.0), hb.Variable(0.0)
    outside, result = hb.zeros(4), hb.zeros(4)

    def f(x: Any, changed: Any) -> Any:
        before.assign_add(x[0])
        changed[1:] = x[1:] * 2
        changed[0] = before
        outside.reshape(2, 2)[0] += 1
        noise = hb.random.uniform(2).sum()
        found = fail(x)
        after.assign_add(1.0)
        outside[3] = noise
        return x * before if found is None else x * before + hb.asarray(found).sum()

    compiled = wrapped(f)
    hb.random.seed(7)
    seen: list[Any] = []
    for scale in (1.0, 1.0, 10.0, 2.0, 10.0, 1.0):
        changed = hb.zeros(4)
        x = hb.asarray([scale, 0.5, 0.0, 0.25])
        try:
            if taped:
                with hb.GradientTape() as tape:
                    tape.watch(x)
                    tape.watch(changed)
                    result = compiled(x, changed)
            else:
                result = compiled(x, changed)
            seen.append(np.array(result))
        except Exception as error:
            seen.append(type(error).__name__)
        seen += [np.array(v) for v in (before, after, outside, changed)]
        seen.append(float(hb.random.uniform(())))
    return seen


@pytest.mark.parametrize("taped", [False, True], ids=["plain", "taped"])
@pytest.mark.parametrize("name", FAILING)
def test_what_was_written_before_an_error_stays(name: str, taped: bool) -> None:
    eager = behaviour(lambda f: f, FAILING[name], taped)
    traced = behaviour(hb.compile, FAILING[name], taped)
    assert any(isinstance(x, str) for x in eager)
    for i, (want, got) in enumerate(zip(eager, traced, strict=True)):
        np.testing.assert_array_equal(got, want, err_msg=f"{name}, {i}")


def test_a_callback_sees_what_was_written_before_it_and_not_what_is_written_after() -> None:
    v = hb.Variable([0.0, 0.0])
    seen = hb.Variable(np.zeros((3, 2), np.float32))
    count = hb.Variable(0)

    def note() -> None:
        now = seen.numpy().copy()
        now[count.numpy()] = v.numpy()
        seen.assign(now)
        count.assign_add(1)

    @hb.compile(fullgraph=True)
    def f(x: Any) -> Any:
        v.assign_add(x)
        hb.callback(note, None)
        v.assign([9.0, v[1]])
        return v * 1

    for _ in range(3):
        f(hb.asarray([1.0, 2.0]))
    np.testing.assert_array_equal(seen, [[1, 2], [10, 4], [10, 6]])
    assert f.cache_info().misses == 1


def test_the_writes_of_an_unknown_size_are_committed_before_an_error() -> None:
    total = hb.Variable(0.0)

    @hb.compile(dynamic=True)
    def f(x: Any) -> Any:
        y = x.reshape(x.shape[0] // 2, 2)
        total.assign_add(y.mean())
        x[: x.shape[0] // 2] = 0.0
        hb.assert_(y.sum() < 20)  # noqa: PT009
        total.assign(0.0)
        return y

    f(hb.ones(4))
    for size, value in ((6, 1.0), (8, 5.0), (10, 7.0)):
        x = hb.full(size, value)
        if value == 1.0:
            f(x)
            assert total.numpy() == 0
            continue
        total.assign(0.0)
        with pytest.raises(hb.errors.AssertionFailed):
            f(x)
        assert total.numpy() == value
        np.testing.assert_array_equal(x, [0.0] * (size // 2) + [value] * (size // 2))


def test_what_is_printed_before_an_error_is_printed_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    v = hb.Variable(0.0)

    @hb.compile
    def f(x: Any) -> Any:
        hb.print("x = {}", x)
        v.assign_add(x)
        hb.print("v = {}", v)
        hb.assert_(x < 2)  # noqa: PT009
        v.assign(0.0)
        return x

    f(hb.asarray(1.0))
    with pytest.raises(hb.errors.AssertionFailed):
        f(hb.asarray(3.0))
    assert capsys.readouterr().out == "x = 1.0\nv = 1.0\nx = 3.0\nv = 3.0\n"
    assert v.numpy() == 3


# --- errors that the function itself catches ------------------------------------------------------


def _solved(a: Any, b: Any) -> Any:
    try:
        x = hb.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        x = b * 0 - 7
    return x + 1


def _asked_inside(a: Any, b: Any) -> Any:
    try:
        x = hb.linalg.solve(a, b)
        y = x * 2 if x.sum() > 0 else x - 1
    except np.linalg.LinAlgError:
        y = b * 0
    else:
        y = y * 3
    return y + 1, a * 2


def _asked_before(a: Any, b: Any) -> Any:
    b = b * 2 if a.sum() >= 0 else b - 1
    b[0] = 5
    with contextlib.suppress(np.linalg.LinAlgError):
        b = hb.linalg.inv(a) @ b
    return b


def _everything(a: Any, b: Any) -> Any:
    try:
        found = hb.linalg.inv(a) @ b
        if found.sum() > 1e6:
            found = found / 2
    except:  # noqa: E722
        found = b
    return found


def _finally(a: Any, b: Any) -> Any:
    try:
        b += 1
        return hb.linalg.inv(a) @ b
    finally:
        b *= 2


def _in_a_helper(a: Any, b: Any) -> Any:
    total = b * 0
    for part in (a, a + 1, a - 1):
        try:
            total = total + _solved_or_raised(part, b)
        except ValueError as error:
            total = total - (1.0 if isinstance(error.__cause__, np.linalg.LinAlgError) else 100.0)
    return total


def _solved_or_raised(a: Any, b: Any) -> Any:
    try:
        return hb.linalg.solve(a, b)
    except np.linalg.LinAlgError as error:
        raise ValueError("no solution") from error


def _indexed(a: Any, b: Any) -> Any:
    i = b.astype(hb.int64)
    try:
        picked = a[i]
        s = float(picked.sum())
    except IndexError:
        return a.sum()
    return picked * s


def _looped(a: Any, b: Any) -> Any:
    steps = 0
    try:
        while abs(hb.linalg.det(a)) > 0.1:
            b = hb.linalg.solve(a, b)
            a = a * 0.5
            steps += 1
        b = b + hb.linalg.inv(a * 0)[0]
    except np.linalg.LinAlgError:
        return b * 100 + steps
    return b


CATCHING = (
    _solved,
    _asked_inside,
    _asked_before,
    _everything,
    _finally,
    _in_a_helper,
    _indexed,
    _looped,
)
MATRICES = {
    "regular": np.eye(2) * 3,
    "singular": np.zeros((2, 2)),
    "negative": -np.eye(2),
    "far": np.full((2, 2), 7.0),
}


def _outcome(f: Callable[..., Any], v: hb.Variable, taped: bool, matrix: Any) -> list[Any]:
    a, b = hb.asarray(matrix.copy()), hb.asarray([1.0, 2.0])
    v.assign_add(1.0)
    found: list[Any] = []
    try:
        with hb.GradientTape() if taped else contextlib.nullcontext() as tape:
            if taped:
                tape.watch(b)
            results = f(a, b)
            leaves = results if isinstance(results, tuple) else (results,)
            found += [np.array(x) for x in leaves]
        if taped:
            found.append(np.array(tape.gradient(leaves[0], b, unconnected_gradients="zero")))
    except Exception as error:
        found.append(f"{type(error).__name__}: {error}".split("\n")[0])
    return [*found, np.array(a), np.array(b), np.array(v)]


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.parametrize("taped", [False, True], ids=["plain", "taped"])
@pytest.mark.parametrize("first", MATRICES)
@pytest.mark.parametrize("function", CATCHING, ids=lambda f: f.__name__[1:])
def test_an_error_that_the_function_catches_is_caught(
    function: Callable[..., Any], first: str, taped: bool
) -> None:
    v, w = hb.Variable(0.0), hb.Variable(0.0)

    def f(a: Any, b: Any) -> Any:
        w.assign_add(1.0)
        found = function(a, b)
        w.assign_add(10.0)
        return found

    compiled = hb.compile(f)
    for name in (first, *MATRICES, *MATRICES):
        w.assign(0.0)
        eager = [*_outcome(f, v, taped, MATRICES[name]), float(w)]
        w.assign(0.0)
        traced = [*_outcome(compiled, v, taped, MATRICES[name]), float(w)]
        assert len(traced) == len(eager), name
        for want, got in zip(eager[:-2], traced[:-2], strict=True):
            if isinstance(want, str):
                assert got == want
            else:
                np.testing.assert_allclose(got, want, rtol=1e-12, err_msg=name)
        assert traced[-1] == eager[-1], name


def test_a_caught_error_is_told_once_and_later_calls_are_replayed() -> None:
    compiled = hb.compile(_solved)
    with pytest.warns(
        hb.errors.EagerFallbackWarning, match=r"this time: compiled code came to Lin"
    ):
        compiled(np.zeros((2, 2)), np.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for matrix in (np.eye(2), np.zeros((2, 2)), np.eye(2) * 2):
            np.testing.assert_allclose(
                compiled(matrix, np.ones(2)), _solved(hb.asarray(matrix), hb.ones(2))
            )
    assert compiled.cache_info().currsize == 1
    assert "runs eagerly" not in compiled.explain()


def test_an_error_that_nobody_catches_shows_the_users_line_and_no_second_error() -> None:
    compiled = hb.compile(lambda a: hb.linalg.inv(a) * 2)
    compiled(np.eye(2))
    for _ in range(2):
        with pytest.raises(np.linalg.LinAlgError, match="test_errors_in_plans") as caught:
            compiled(np.zeros((2, 2)))
        assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("acts", [False, True])
def test_a_body_that_raises_acts_once_and_keeps_what_it_wrote_unless_it_acts(acts: bool) -> None:
    seen: list[int] = []
    total = hb.Variable(0.0)

    def count() -> None:
        seen.append(1)

    def f(x: Any, changed: Any, most: Any) -> Any:
        def body(c: Any) -> Any:
            if acts:
                hb.callback(count, None)
            changed[1] += 1
            total.assign_add(10.0)
            hb.assert_(c < most, "too large")  # noqa: PT009
            return c + 1

        changed[0] = 5
        return hb.while_loop(lambda c: c < 9, body, x)

    compiled = hb.compile(f)
    most = hb.asarray(3.0)
    for warm in (False, True, True):
        if warm:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compiled(hb.asarray(0.0), hb.zeros(2), hb.asarray(100.0))
        seen.clear()
        total.assign(0.0)
        changed = hb.zeros(2)
        with warnings.catch_warnings(), pytest.raises(hb.errors.AssertionFailed):  # noqa: PT012
            warnings.simplefilter("ignore")
            compiled(hb.asarray(0.0), changed, most)
        assert len(seen) == (4 if acts else 0)
        assert changed.tolist() == [5, 0 if acts else 4]
        assert float(total) == (0 if acts else 40)
