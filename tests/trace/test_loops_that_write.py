"""Loops that ask at each step and write to arguments run natively; they write as eager code."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hybrid as hb
from hybrid.core.containers import leaves_of
from hybrid.trace.repeats import writes_alike

pytestmark = pytest.mark.usefixtures("no_tape_around")


def relaxed(u: Any, v: Any, tol: Any) -> Any:
    change = hb.max(u) + tol
    while change > tol:
        old = u.copy()
        u[1:-1] = (old[2:] + old[:-2]) * 0.5
        change = hb.max(hb.abs(u - old))
    return change


def counted(u: Any, v: Any, tol: Any) -> Any:
    n = 0
    while hb.max(u) > tol:
        u *= 0.75
        n += 1
    return n


def with_a_bound(u: Any, v: Any, tol: Any) -> Any:
    for _ in range(60):
        u[1:] = u[:-1] * 0.875
        u[0] *= 0.5
        if hb.sum(u) < tol:
            break
    return u


def of_two(u: Any, v: Any, tol: Any) -> Any:
    while hb.max(u) > tol:
        u *= 0.5
        v += u
    return None


def that_change_places(u: Any, v: Any, tol: Any) -> Any:
    while hb.max(u) + hb.max(v) > tol:
        u, v = v, u
        u *= 0.5
    return u, v


def through_a_view(u: Any, v: Any, tol: Any) -> Any:
    inner = u[1:-1]
    while hb.max(inner) > tol:
        inner *= 0.5
    return inner


def written_by_out(u: Any, v: Any, tol: Any) -> Any:
    while hb.max(u) > tol:
        np.multiply(u, 0.5, out=u)
    return u * 2


def with_a_decision_after(u: Any, v: Any, tol: Any) -> Any:
    while hb.max(u) > tol:
        u *= 0.5
    if hb.max(v) > 2:
        u += 1
    return hb.sum(u)


def with_an_error_after(u: Any, v: Any, tol: Any) -> Any:
    while hb.max(u) > tol:
        u *= 0.5
    try:
        return hb.linalg.solve(hb.outer(v, v), u)
    except np.linalg.LinAlgError:
        u -= 1
    return u


def that_may_fail(u: Any, v: Any, tol: Any) -> Any:
    m = hb.eye(6, dtype="float64")
    while hb.max(u) > tol:
        u *= 0.5
        m = hb.linalg.inv(m + u)
    return m


def one_in_another(u: Any, v: Any, tol: Any) -> Any:
    for k in range(3):
        while hb.max(u) > tol:
            u *= 0.5
        u += v * k
    return u


def kept_from_before(u: Any, v: Any, tol: Any) -> Any:
    first = u * 1
    last = first
    while hb.max(u) > tol:
        last = u * 1
        u *= 0.5
    return first, last


FUNCTIONS = [
    relaxed, counted, with_a_bound, of_two, that_change_places, through_a_view, written_by_out,
    with_a_decision_after, with_an_error_after, that_may_fail, one_in_another, kept_from_before,
]  # fmt: skip
CALLS = [(1.0, 0.3), (4.0, 1e-3), (1.0, 1e-2), (2.0, 5.0)]


def given(scale: float, tol: float) -> list[Any]:
    return [np.linspace(0.5, 1.5, 6) ** 2 * scale, np.linspace(1.0, 2.0, 6) * scale**0.5, tol]


@pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
@pytest.mark.filterwarnings("ignore::hybrid.errors.RetraceWarning")
@pytest.mark.parametrize(("f", "as_tensors"), [(f, i % 2 == 0) for i, f in enumerate(FUNCTIONS)])
def test_results_and_arguments_are_those_of_eager_code(
    f: Callable[..., Any], as_tensors: bool
) -> None:
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        compiled = hb.compile(f)
        for i in (*order, *order[::-1]):
            wanted, own = given(*CALLS[i]), given(*CALLS[i])
            arrays = map(hb.asarray, own[:2]) if as_tensors else own[:2]
            want = f(*map(hb.asarray, wanted[:2]), wanted[2])
            got = compiled(*arrays, own[2])
            for a, b in zip(leaves_of(got), leaves_of(want), strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
            for a, b in zip(own[:2], wanted[:2], strict=True):
                np.testing.assert_array_equal(a, b)


def test_they_are_a_few_segments_whatever_the_number_of_steps() -> None:
    for f in (relaxed, counted, of_two):
        compiled = hb.compile(f)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled(*given(1.0, 1e-4 if f is relaxed else 1e-60))
        segments = compiled.concrete_functions[0].segments
        assert len(segments) <= 6
        assert any(segment.repeat is not None for segment in segments)


def test_a_tape_around_the_call_sees_each_step() -> None:
    u, v = (hb.asarray(x) for x in given(1.0, 0.3)[:2])
    compiled = hb.compile(of_two)
    compiled(u.copy(), v.copy(), 0.3)
    gradients = []
    for f in (of_two, compiled):
        a, b = u.copy(), v.copy()
        with hb.GradientTape() as tape:
            tape.watch([a, b])
            x, y = a * 1, b * 1
            f(x, y, 0.3)
            loss = hb.sum(y * y)
        gradients.append([g.numpy() for g in tape.gradient(loss, [a, b])])
    np.testing.assert_allclose(gradients[1], gradients[0])


def test_writes_to_other_arrays_are_not_alike_whatever_these_hold() -> None:
    held: list[Any] = [hb.Variable([1.0, 2.0]), hb.zeros(2), np.zeros(2), 0]
    for a in held:
        for b in held:
            steps: list[Any] = [
                SimpleNamespace(writes=[SimpleNamespace(target=x)], graph=SimpleNamespace(nodes=[]))
                for x in (a, b)
            ]
            assert writes_alike(*steps) == (a is b is held[3])
