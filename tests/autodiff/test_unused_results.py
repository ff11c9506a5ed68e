"""A result that a gradient does not reach gives nothing, rather than 0 times infinity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb


def two_results(x: Any) -> Any:
    return hb.sqrt(x * 0), hb.exp(x) * x


def across_a_guard(x: Any) -> Any:
    unused, y = two_results(x)
    return (unused if x.sum() < 0 else y), y


def of_a_branch(x: Any) -> Any:
    return hb.cond(x.sum() > 0, lambda: two_results(x), lambda: (x, x))


def of_a_scan(x: Any) -> Any:
    def step(c: Any, r: Any) -> Any:
        return c * r, two_results(r + 0 * c)

    return hb.scan(step, hb.asarray(1.0), x)[1]


def of_a_counted_loop(x: Any) -> Any:
    return hb.fori_loop(0, 2, lambda i, c: (hb.sqrt(x * 0), c[1] * x), (x, x))


def of_a_while_loop(x: Any) -> Any:
    return hb.while_loop(
        lambda c: c[2] < 2, lambda c: (hb.sqrt(x * 0), c[1] * x, c[2] + 1), (x, x, 0)
    )


def of_a_checkpoint(x: Any) -> Any:
    return hb.checkpoint(two_results)(x)


def of_a_map(x: Any) -> Any:
    return hb.vmap(two_results)(x)


@pytest.mark.parametrize(
    "f",
    [two_results, across_a_guard, of_a_branch, of_a_scan, of_a_counted_loop, of_a_while_loop,
     of_a_checkpoint, of_a_map],
)  # fmt: skip
@pytest.mark.parametrize("where", ["outside", "inside"])
def test_a_result_that_nothing_is_asked_of_has_no_share_in_a_gradient(
    f: Callable[..., Any], where: str
) -> None:
    def gradient(called: Callable[..., Any], x: Any) -> Any:
        with hb.GradientTape() as tape:
            tape.watch(x)
            y = called(x)[1].sum()
        return tape.gradient(y, x)

    expected = gradient(f, hb.asarray([1.0, 2.0, 0.5]))
    assert np.isfinite(expected.numpy()).all()
    traced = hb.compile(f if where == "outside" else lambda x: gradient(f, x))
    for _ in range(3):
        x = hb.asarray([1.0, 2.0, 0.5])
        found = gradient(traced, x) if where == "outside" else traced(x)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
