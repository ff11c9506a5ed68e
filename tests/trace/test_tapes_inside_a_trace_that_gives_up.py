"""Tapes inside of a trace that gives up see what they see in eager code, and so do those around."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hybrid as hb

pytestmark = pytest.mark.filterwarnings("ignore::hybrid.errors.EagerFallbackWarning")
Function = Callable[[hb.Tensor], hb.Tensor]


def needs_a_number(x: hb.Tensor) -> None:
    float(x[0, 0])


def writes_afterwards(x: hb.Tensor) -> hb.Tensor:
    needs_a_number(x)
    x[1:] = x[:-1]
    return x * 1


def writes_before(x: hb.Tensor) -> hb.Tensor:
    x *= 2
    needs_a_number(x)
    return x**2


def reads_before_and_afterwards(x: hb.Tensor) -> hb.Tensor:
    y = hb.exp(x * 0.5)
    needs_a_number(x)
    return y * x


def has_a_view(x: hb.Tensor) -> hb.Tensor:
    rows = x[1:]
    needs_a_number(x)
    return rows**2 * x[0]


def writes_beside_a_view(x: hb.Tensor) -> hb.Tensor:
    squares = x[1:] ** 2
    needs_a_number(x)
    rows = x[1:]
    x[0] = 3.0
    return squares * rows


def one_op(x: hb.Tensor) -> hb.Tensor:
    y = hb.sin(x)
    needs_a_number(x)
    return y


def drops_all_it_made(x: hb.Tensor) -> hb.Tensor:
    for _ in range(2):
        x = hb.sin(x) * hb.exp(-x)
    needs_a_number(x)
    return hb.cos(x) * x


def has_several_results(x: hb.Tensor) -> hb.Tensor:
    values, vectors = hb.linalg.eigh(x[:2] @ x[:2].T)
    needs_a_number(x)
    return values * (vectors * vectors)


def selects_by_a_mask(x: hb.Tensor) -> hb.Tensor:
    return x[x[:, 0] > 0] ** 3 * 2


FUNCTIONS: list[Function] = [
    writes_afterwards,
    writes_before,
    reads_before_and_afterwards,
    has_a_view,
    writes_beside_a_view,
    one_op,
    drops_all_it_made,
    has_several_results,
    selects_by_a_mask,
]


def of_something_made_in_the_trace(f: Function, x: hb.Tensor) -> Any:
    with hb.GradientTape() as tape:
        tape.watch(x)
        y = f(x * 1.5).sum()
    return tape.gradient(y, x)


def of_a_view(f: Function, x: hb.Tensor) -> Any:
    view = x[:2]
    with hb.GradientTape() as tape:
        tape.watch(view)
        y = f(view).sum()
    return tape.gradient(y, view)


def of_a_gradient(f: Function, x: hb.Tensor) -> Any:
    with hb.GradientTape() as outer:
        outer.watch(x)
        with hb.GradientTape() as inner:
            inner.watch(x)
            y = (f(x) ** 2).sum()
        slope = inner.gradient(y, x)
    return outer.gradient(slope, x)


def at_a_persistent_tape(f: Function, x: hb.Tensor) -> Any:
    with hb.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * 2
        z = f(y)
        w = (y.sum() * z).sum()
    return tape.gradient(z, x) + tape.gradient(w, x)


WHAT = [
    of_something_made_in_the_trace,
    of_a_view,
    of_a_gradient,
    at_a_persistent_tape,
]


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_first_and_second_gradients_are_those_of_eager_code(function: Function, what: Any) -> None:
    def run(x: hb.Tensor) -> Any:
        return what(function, x)

    def seen(call: Function) -> list[Any]:
        x = hb.asarray([[1.0, 2.0], [0.5, -1.0], [3.0, 4.0]], dtype=hb.float64)
        with hb.GradientTape() as tape:
            tape.watch(x)
            result = call(x)
            target = (result**2).sum() + (x**2).sum()
        return [result.numpy(), tape.gradient(target, x).numpy(), x.numpy()]

    want = seen(run)
    compiled = hb.compile(run)
    for _ in range(2):
        for a, b in zip(want, seen(compiled), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)
