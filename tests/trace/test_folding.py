"""Errors that leave a compiled function show the user's frames; hybrid's own are folded away."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

import hybrid as hb
from hybrid.core.source import is_framework

HERE = __file__


def helper(x: hb.Tensor, y: hb.Tensor) -> hb.Tensor:
    return x @ y


def mismatched(x: hb.Tensor) -> hb.Tensor:
    return helper(x, hb.ones((3, 4)))


inner = hb.compile(mismatched)


def through_another(x: hb.Tensor) -> hb.Tensor:
    return inner(x * 2)


def in_a_loop(x: hb.Tensor) -> hb.Tensor:
    return hb.fori_loop(0, 3, lambda i, c: helper(c, hb.ones((3, 4))), x)


def by_the_user(x: hb.Tensor) -> hb.Tensor:
    try:
        helper(x, hb.ones((3, 4)))
    except hb.errors.ShapeError as error:
        raise KeyError("what the user says") from error
    return x


def mapped(x: hb.Tensor) -> hb.Tensor:
    return hb.vmap(lambda row: helper(row, hb.ones((3, 4))))(x)


def names(error: BaseException | None) -> list[str]:
    """Return the functions of a traceback; all must be of this file but for calls of compiled."""
    assert error is not None
    frames = traceback.extract_tb(error.__traceback__)
    return [frame.name for frame in frames if frame.filename == HERE or frame.name != "__call__"]


def failing(f: Callable[..., Any], *args: Any) -> BaseException:
    try:
        f(*args)
    except Exception as error:
        return error
    raise AssertionError("no error")


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        (mismatched, ["mismatched", "helper"]),
        (through_another, ["through_another", "mismatched", "helper"]),
        (in_a_loop, ["in_a_loop", "<lambda>", "helper"]),
        (mapped, ["mapped", "<lambda>", "helper"]),
        (by_the_user, ["by_the_user"]),
    ],
)
def test_an_error_in_a_trace_shows_the_users_frames(
    f: Callable[..., Any], wanted: list[str]
) -> None:
    error = failing(hb.compile(f), hb.ones((2, 2)))
    assert names(error) == ["failing", *wanted]
    if error.__cause__ is not None:
        assert names(error.__cause__) == ["by_the_user", "helper"]


def test_an_error_of_a_replay_shows_the_call_and_the_line() -> None:
    @hb.compile
    def f(x: hb.Tensor, i: hb.Tensor) -> hb.Tensor:
        return (x * 2)[i] + 1

    @hb.compile
    def g(x: hb.Tensor, i: hb.Tensor) -> hb.Tensor:
        if x.sum() > 0:
            x = x * 2
        return x[i] + 1

    for compiled in (f, g):
        compiled(hb.ones(3), hb.asarray([0, 1]))
        compiled(hb.ones(3), hb.asarray([0, 1]))
        error = failing(compiled, hb.ones(3), hb.asarray([0, 7]))
        assert names(error) == ["failing", compiled.__name__]
        assert f"at {HERE}" in str(error)


def test_all_frames_are_there_for_those_who_look_into_hybrid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HYBRID_DEBUG", "1")
    error = failing(hb.compile(mismatched), hb.ones((2, 2)))
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert sum(is_framework(frame.f_code) for frame in frames) > 3


def test_the_frame_of_the_call_says_how_to_see_more() -> None:
    error = failing(hb.compile(mismatched), hb.ones((2, 2)))
    assert "HYBRID_DEBUG=1 shows" in "".join(traceback.format_exception(error))


def test_an_error_that_carries_itself_as_its_context_ends() -> None:
    def f(x: hb.Tensor) -> None:
        one, other = KeyError(1), KeyError(2)
        one.__context__, other.__context__ = other, one
        raise one

    assert isinstance(failing(hb.compile(f), hb.ones(2)), KeyError)
