"""A fused elementwise expression of a million numbers, in time and in time to compile."""

from __future__ import annotations

from typing import Any

from benchmarks.case import COMPILED, Case, Compile, Function, formula, uniform

SIZE = 1_000_000


def write(xp: Any) -> Function:
    def expression(a: Any, b: Any) -> Any:
        return xp.tanh(a * b + a) * xp.exp(-b) + xp.log(a + 1)

    return expression


def numexpr_program(numexpr: Any, compile: Compile) -> Function:
    def expression(a: Any, b: Any) -> Any:
        return numexpr.evaluate("tanh(a * b + a) * exp(-b) + log(a + 1)")

    return expression


PROGRAMS = formula(write) | {"numexpr": numexpr_program}

CASES = (
    Case(
        "elementwise float32 1e6",
        uniform(2, "float32"),
        SIZE,
        PROGRAMS,
        rtol=1e-5,
        traffic=3 * 4 * SIZE,
    ),
    Case(
        "elementwise float64 1e6",
        uniform(2, "float64"),
        SIZE,
        PROGRAMS,
        rtol=1e-13,
        atol=1e-14,
        traffic=3 * 8 * SIZE,
    ),
    Case(
        "compile elementwise",
        uniform(2, "float32"),
        SIZE,
        PROGRAMS,
        peers=COMPILED,
        measure="compile",
    ),
    Case(
        "first call after restart",
        uniform(2, "float32"),
        SIZE,
        PROGRAMS,
        peers=COMPILED,
        measure="restart",
    ),
    Case("new shape", uniform(2, "float32"), 1000, PROGRAMS, peers=COMPILED, measure="shape"),
)
