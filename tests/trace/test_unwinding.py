"""An error in the middle of a compiled call: what was written before it stays, as in eager code."""

from __future__ import annotations

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
