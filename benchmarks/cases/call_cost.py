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


def sixteen_arguments(xp: Any) -> Function:
    def expression(*given: Any) -> Any:
        total = given[0] * given[1]
        for value in given[2:]:
            total = total + value
        return total

    return expression


def add(xp: Any) -> Function:
    return lambda a, b: a + b


def exponential(xp: Any) -> Function:
    return lambda a: xp.exp(a)


def summed(xp: Any) -> Function:
    return lambda a: xp.sum(a)


def sliced(xp: Any) -> Function:
    return lambda a: a[1:-1]


def product(xp: Any) -> Function:
    def expression(a: Any, b: Any) -> Any:
        return a.reshape(4, 4) @ b.reshape(4, 4)

    return expression


EAGER = ("numpy", "hybrid-eager", "torch", "jax-eager")

CASES = (
    Case("call, 1 argument", uniform(1, "float32"), 16, formula(one_argument)),
    Case("call, 2 arguments", uniform(2, "float32"), 16, formula(two_arguments)),
    Case("call, 4 arguments", uniform(4, "float32"), 16, formula(four_arguments)),
    Case("call, 16 arguments", uniform(16, "float32"), 16, formula(sixteen_arguments)),
    Case("eager add", uniform(2, "float32"), 16, formula(add), peers=EAGER),
    Case("eager exp", uniform(1, "float32"), 16, formula(exponential), peers=EAGER),
    Case("eager sum", uniform(1, "float32"), 16, formula(summed), peers=EAGER),
    Case("eager slice", uniform(1, "float32"), 16, formula(sliced), peers=EAGER),
    Case("eager reshape and product", uniform(2, "float32"), 16, formula(product), peers=EAGER),
    Case("eager add 1e6", uniform(2, "float32"), 1_000_000, formula(add), peers=EAGER),
)
