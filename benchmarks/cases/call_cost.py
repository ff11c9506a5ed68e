"""What a call costs when there is next to nothing to compute."""

from __future__ import annotations

from typing import Any

from benchmarks.case import Case, Function, formula, uniform


def one_argument(xp: Any) -> Function:
    def expression(a: Any) -> Any:
        return a * a + a

    return expression


def two_arguments(xp: Any) -> Function:
    def expression(a: Any, b: Any) -> Any:
        return a * b + a

    return expression


def four_arguments(xp: Any) -> Function:
    def expression(a: Any, b: Any, c: Any, d: Any) -> Any:
        return a * b + c * d

    return expression


def add(xp: Any) -> Function:
    def expression(a: Any, b: Any) -> Any:
        return a + b

    return expression


EAGER = ("numpy", "hybrid-eager", "torch", "jax-eager")

CASES = (
    Case("call, 1 argument", uniform(1, "float32"), 16, formula(one_argument)),
    Case("call, 2 arguments", uniform(2, "float32"), 16, formula(two_arguments)),
    Case("call, 4 arguments", uniform(4, "float32"), 16, formula(four_arguments)),
    Case("eager add", uniform(2, "float32"), 16, formula(add), peers=EAGER),
)
