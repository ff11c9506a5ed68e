"""What the bytecode of a function tells about what it reads after a question."""

from __future__ import annotations

import dis
from collections.abc import Callable
from typing import Any

import pytest

from hybrid.trace import bytecode


def left_by_break(x: Any) -> Any:
    for _n in range(9):
        x = x * 2
        if x > 5:
            break
    return x


def returns_the_count(x: Any) -> Any:
    for n in range(9):  # noqa: B007
        x = x * 2
        if x > 5:
            break
    return x, n


def goes_on(x: Any) -> Any:
    for _n in range(9):
        x = x * 2
        if x > 5:
            x = x / 2
    return x


def writes_before_it_reads(x: Any, n: Any) -> Any:
    n = n + 1
    while not x > 5:
        x = x * 2
    n = 0
    return x + n


def with_a_handler(x: Any) -> Any:
    try:
        if x > 5:
            return x
    except ValueError:
        pass
    return -x


def looks_by_name(x: Any) -> Any:
    if x > 5:
        return x
    return len(locals())


def question_of(f: Callable[..., Any]) -> int:
    """Return the first instruction that asks."""
    code = f.__code__
    return next(i.offset for i in dis.get_instructions(code) if bytecode.decides(code, i.offset))


@pytest.mark.parametrize(
    ("f", "answer", "read"),
    [
        (left_by_break, True, {"x"}),
        (left_by_break, False, None),
        (returns_the_count, True, {"x", "n"}),
        (goes_on, True, None),
        (writes_before_it_reads, True, {"x"}),
        (with_a_handler, True, None),
        (looks_by_name, True, None),
    ],
)
def test_what_may_be_read_after_an_answer(
    f: Callable[..., Any], answer: bool, read: set[str] | None
) -> None:
    assert bytecode.read_after(f.__code__, question_of(f), answer) == read


def asks_after_a_way_round(x: Any) -> Any:
    for n in range(9):
        if n == 3:
            continue
        if x > 5:
            x = x / 2
    return x


def asks_in_an_inner_loop(x: Any) -> Any:
    for _n in range(9):
        while x > 5:
            x = x / 2
    return x


def asks_in_two_loops(x: Any) -> Any:
    for _n in range(9):
        for _m in range(9):
            if x > 5:
                x = x / 2
    return x


def last_question_of(f: Callable[..., Any]) -> int:
    """Return the last instruction that asks."""
    code = f.__code__
    return [i.offset for i in dis.get_instructions(code) if bytecode.decides(code, i.offset)][-1]


@pytest.mark.parametrize(
    ("f", "once"),
    [
        (left_by_break, True),
        (goes_on, True),
        (asks_after_a_way_round, False),
        (asks_in_an_inner_loop, False),
        (asks_in_two_loops, False),
        (with_a_handler, False),
    ],
)
def test_whether_a_question_counts_the_steps_of_a_loop(f: Callable[..., Any], once: bool) -> None:
    assert bytecode.once_a_step(f.__code__, last_question_of(f)) is once
